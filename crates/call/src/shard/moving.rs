//! A call moves to another shard as a value, because what it wants to be joined with is there (Replaces, transfer, pick-up).
//!
//! It takes along its dialogs' tags and who is counted as its caller; its transactions stay behind. So it must be settled:
//! what it still waits for is answered with a failure before it leaves. Its tags keep naming the old shard, which passes on
//! what comes for them until the call is over; what comes meanwhile is passed on twice at most.

use super::word::Saying;
use super::{Shard, ShardId, Step};
use crate::core::{Ask, Purpose};
use crate::events::LinesTold;
use crate::hop::Hop;
use crate::record::CallId;
use crate::session::{Event, Session, Side};
use model::Extension;
use sip::transaction::{Failure, Input as LayerInput};
use sip::{Message, Method, ServerKey};

/// A call on its way.
#[derive(Debug)]
pub(crate) struct Moving {
    call: CallId,
    session: Session,
    tags: Vec<(String, Side)>,
    caller: Option<Extension>,
    /// The name under which it is on disk.
    kept: Option<String>,
    /// What it is on lines, as their owners were told.
    lines: Option<LinesTold>,
    from: ShardId,
    /// What it asks for at its new place.
    ask: Ask,
}

/// A CANCEL that looks for its INVITE.
#[derive(Debug)]
pub(crate) struct Round {
    home: ShardId,
    from: Hop,
    cancel: Message,
}

impl Shard {
    /// The other shard that a dialog of ours lives in, as its tag says. None when it is here, or nobody's.
    pub(super) fn elsewhere(&self, tag: &str) -> Option<ShardId> {
        if self.core.dialog(tag).is_some() {
            return None;
        }
        let there = self.core.forward_of(tag).or_else(|| self.core.sorter.shard_of_tag(tag));
        there.filter(|shard| *shard != self.core.id)
    }

    /// Moves a call to another shard, where it asks again.
    pub(super) fn move_call(&mut self, step: &mut Step<'_>, call: CallId, to: ShardId, ask: Ask) {
        self.settle_call(step, call);
        let Some(session) = self.sessions.remove(&call) else { return };
        if let Some(due) = session.deadline() {
            self.deadlines.remove(&(due, call));
        }
        let kept = self.core.is_kept(call, None);
        let (tags, caller) = self.core.part_with(call);
        tags.iter().for_each(|(tag, _)| self.core.forward(tag, to));
        let from = self.core.id;
        let lines = self.core.held.lines_told.remove(&call);
        step.say(to, Saying::Move(Box::new(Moving { call, session, tags, caller, kept, lines, from, ask })));
    }

    /// Ends what a call waits for: no answer to it will find the call again.
    fn settle_call(&mut self, step: &mut Step<'_>, call: CallId) {
        for key in self.core.clients_of(call) {
            let purpose = self.core.purpose(&key).cloned();
            self.core.settle(&key);
            match purpose {
                Some(Purpose::Passed(call, passed)) => {
                    self.tell(step, call, Event::Passed(passed, Err(Failure::Unreachable)));
                }
                Some(Purpose::Check(call, side)) => {
                    self.tell(step, call, Event::Checked(side, Err(Failure::Unreachable)));
                }
                _ => {}
            }
        }
    }

    /// A call comes to stay.
    pub(super) fn move_in(&mut self, step: &mut Step<'_>, moving: Moving) {
        let Moving { call, session, tags, caller, kept, lines, from, ask } = moving;
        let mut home_again = Vec::new();
        for (tag, side) in tags {
            self.core.forward_no_more(&tag);
            self.core.bind_tag(&tag, call, side);
            if self.core.sorter.shard_of_tag(&tag) == Some(self.core.id) {
                home_again.push(tag);
            }
        }
        if !home_again.is_empty() {
            step.say(from, Saying::Gone(None, home_again));
        }
        self.core.counts_for(call, caller);
        self.core.is_kept(call, kept);
        self.keep(call, session);
        self.core.held.lines_told.extend(lines.map(|lines| (call, lines)));
        self.core.asks.push_back(ask);
    }

    /// Takes a message, or passes it on to where its dialog has moved.
    pub(super) fn receive(&mut self, step: &mut Step<'_>, from: Hop, message: Message) {
        if self.core.sorter.shards() > 1 && message.is_request() {
            if self.is_astray(&message) {
                let round = Round { home: self.core.id, from, cancel: message };
                step.say(self.next(), Saying::Cancel(Box::new(round)));
                return;
            }
            if let Some(to) = self.core.forwarded(&message) {
                step.say(to, Saying::Sip(from, Box::new(message)));
                return;
            }
        }
        self.turn(step).transact(LayerInput::Received { from, message });
    }

    /// A CANCEL is sorted by its Call-ID, which is not what its INVITE was sorted by when that one had Replaces. It goes
    /// round; where the round ends it is answered.
    pub(super) fn cancel_round(&mut self, step: &mut Step<'_>, round: Box<Round>) {
        if round.home == self.core.id || !self.is_astray(&round.cancel) {
            let Round { from, cancel, .. } = *round;
            self.turn(step).transact(LayerInput::Received { from, message: cancel });
        } else {
            step.say(self.next(), Saying::Cancel(round));
        }
    }

    fn is_astray(&self, message: &Message) -> bool {
        let layer = &self.core.held.layer;
        *message.method() == Method::Cancel
            && !layer.serves(&ServerKey::of(message))
            && !layer.serves(&ServerKey::cancelled_by(message))
    }

    /// The next shard of the round.
    fn next(&self) -> ShardId {
        let shards = self.core.sorter.shards();
        ShardId(self.core.id.0.checked_add(1).filter(|next| *next < shards).unwrap_or(0))
    }
}
