//! The edge: everything a member does for the phones attached to it. It is its shards, and a mailbox for what they tell
//! each other; here all of them run on one thread, so that tests and the simulator see the very words that travel between
//! threads in the daemon.
//!
//! It is not a proxy (see `Relay`) and it touches no media. The records are shared by all shards and changed here.

mod freeze;
mod front;

pub use freeze::ThawError;
pub use front::{Front, Whom};

use crate::binding::PackedBinding;
use crate::core::{Core, Held, Keys};
use crate::events::{Lamp, Line, Restored as RestoredLamp};
use crate::io::{Fault, Input, Output};
use crate::keyed::Key;
use crate::owner::Ban;
use crate::record::{CallId, CallView};
use crate::session::{Desk, Restored, Session};
use crate::settings::EdgeConfig;
use crate::shard::{Mail, Shard, ShardId, ShardInput};
use model::routing::{Decision, Outcome};
use model::tables::Tables;
use model::{Cause, Extension};
use sip::Tokens;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// The call server's side towards its phones.
#[derive(Debug)]
pub struct Edge {
    front: Front,
    keys: Keys,
    /// At least one.
    shards: Vec<Shard>,
}

impl Edge {
    /// A new edge with nothing registered and no records yet. `seed` is fresh random bytes.
    #[must_use]
    pub fn new(config: EdgeConfig, seed: [u8; 32]) -> Edge {
        let mut tokens = Tokens::new(seed);
        let mut key = || Key::of(tokens.key32());
        let (spread, seal) = (key(), key());
        let keys = Keys { spread, seal, nonces: tokens.key32() };
        let count = config.shards.max(1);
        let held = |_| (Held::new(config.place, tokens.key32()), BTreeMap::new());
        let helds = (0..count).map(held).collect();
        Edge::of(config, keys, helds, &mut tokens)
    }

    fn of(
        config: EdgeConfig,
        keys: Keys,
        shards: Vec<(Held, BTreeMap<CallId, Session>)>,
        tokens: &mut Tokens,
    ) -> Edge {
        let config = Arc::new(config);
        let shards: Vec<Shard> = (0..=u8::MAX)
            .map(ShardId)
            .zip(shards)
            .map(|(id, (held, sessions))| {
                Shard::of(Core::new(id, &config, &keys, held, tokens.key32()), sessions)
            })
            .collect();
        let front = Front::new(config, &keys);
        Edge { front, keys, shards }
    }

    /// Takes back the bindings that were kept on disk. Those of connections count as not connected, since the
    /// connection died with the process that had it; the phone comes back with its next REGISTER.
    pub fn restore_bindings<B: Into<PackedBinding>>(
        &mut self,
        now: Duration,
        bindings: impl IntoIterator<Item = B>,
    ) {
        for packed in bindings.into_iter().map(B::into) {
            let binding = packed.read();
            let Ok(extension) = binding.extension.parse::<Extension>() else { continue };
            if binding.until <= now {
                continue;
            }
            let restored = match binding.flow.transport.is_reliable() {
                true => packed.disconnected(),
                false => packed.clone(),
            };
            if let Some(owner) = self.owner_of(&extension) {
                owner.owners.restore(restored);
            }
        }
    }

    /// Takes back the answered calls that were kept on disk (`Output::Dialog`), after a process that had no time to freeze.
    /// Both their dialogs go on; what was on its way in them is lost. Says what could not be read.
    pub fn restore_calls<'a>(
        &mut self,
        now: Duration,
        kept: impl IntoIterator<Item = &'a [u8]>,
    ) -> Vec<Fault> {
        kept.into_iter().filter_map(|bytes| self.restore_call(now, bytes).err()).collect()
    }

    /// It goes where its media has its ports, else where its caller's Call-ID leads. Its tags were sealed with a key that died with its process: every
    /// other shard remembers whose they are.
    fn restore_call(&mut self, now: Duration, bytes: &[u8]) -> Result<(), Fault> {
        let Restored { mut session, mut streams } =
            Session::restore(now, bytes).map_err(|fault| Fault::NotRestored(fault.to_string()))?;
        let sorter = self.front.sorter();
        let Some(dialogs) = session.dialogs() else { return Ok(()) };
        let hashed = sorter.hashed(&dialogs[0].0.dialog.call_id);
        let names = dialogs.map(|(leg, tag)| (tag.to_owned(), leg.side));
        // Ports belong to shards; those of a shard that is no more are lost.
        streams.retain(|(id, _)| Desk::shard_of(*id) < sorter.shards());
        let home = streams.first().map_or(hashed, |(id, _)| ShardId(Desk::shard_of(*id)));
        streams.retain(|(id, _)| Desk::shard_of(*id) == home.0);
        let caller: Option<Extension> = session.begun_by().and_then(|number| number.parse().ok());
        if let Some(caller) = &caller
            && let Some(owner) = self.owner_of(caller)
        {
            owner.owners.begins(caller);
        }
        // Whoever names it in Replaces does so in a dialog of its own, which may be in any shard.
        for shard in self.shards.iter_mut().filter(|shard| shard.core.id != home) {
            names.iter().for_each(|(tag, _)| shard.core.forward(tag, home));
        }
        if let Some(shard) = self.shards.get_mut(usize::from(home.0)) {
            let call = shard.core.name_call();
            session.is_called(call);
            names.iter().for_each(|(tag, side)| shard.core.bind_tag(tag, call, *side));
            shard.core.counts_for(call, caller);
            shard.core.is_kept(call, session.kept_name());
            shard.core.held.media.take_back(call, streams);
            shard.keep(call, session);
        }
        Ok(())
    }

    /// Takes back the subscriptions that were kept on disk (`Output::Subscription`), and how many messages wait, after a
    /// process that had no time to freeze. Each phone is told soon how everything is that it watches, one after the other. Says what could not be read, and what
    /// is over and need not be kept. [`Edge::lamps`] are then the lines that other members are to be asked for.
    pub fn restore_subscriptions<'a>(
        &mut self,
        now: Duration,
        kept: impl IntoIterator<Item = &'a [u8]>,
    ) -> Vec<Output> {
        let mut said = Vec::new();
        let mut restored = 0;
        for bytes in kept {
            match RestoredLamp::of(now, bytes, restored) {
                Err(fault) => said.push(Output::Fault(Fault::LampNotRestored(fault.to_string()))),
                Ok(RestoredLamp::Subscription(subscription)) if subscription.until <= now => {
                    said.push(Output::Subscription(subscription.forgotten()));
                }
                Ok(RestoredLamp::Subscription(subscription)) => {
                    restored += 1;
                    if let Some(Held { notifier, board, .. }) = self.owner_of(&subscription.watched.clone()) {
                        notifier.restore(board, *subscription);
                    }
                }
                Ok(RestoredLamp::Messages(extension, messages)) => {
                    if let Some(owner) = self.owner_of(&extension) {
                        owner.board.put_messages(&extension, messages);
                    }
                }
            }
        }
        said
    }

    fn owner_of(&mut self, extension: &Extension) -> Option<&mut Held> {
        let owner = self.front.sorter().owner_of(extension.as_str());
        self.shards.get_mut(usize::from(owner.0)).map(|shard| &mut shard.core.held)
    }

    /// One step.
    pub fn handle(&mut self, now: Duration, input: Input, out: &mut Vec<Output>) {
        if matches!(input, Input::Changes(_) | Input::Snapshot(_)) {
            // Whoever changes the records must be the only one to have them, or has to copy them.
            self.shards.iter_mut().for_each(|shard| shard.core.tables = Arc::default());
        }
        let (whom, input) = self.front.sort(input, out);
        let mut mail = Mail::new();
        match whom {
            Whom::One(shard) => self.tell(now, shard, input, out, &mut mail),
            Whom::All => {
                for shard in (0..=u8::MAX).map(ShardId).take(self.shards.len()) {
                    if let Some(input) = input.again() {
                        self.tell(now, shard, input, out, &mut mail);
                    }
                }
            }
        }
        let mut waiting = VecDeque::from(mail);
        while let Some((to, word)) = waiting.pop_front() {
            let mut more = Mail::new();
            self.tell(now, to, ShardInput::Word(word), out, &mut more);
            waiting.extend(more);
        }
    }

    fn tell(
        &mut self,
        now: Duration,
        to: ShardId,
        input: ShardInput,
        out: &mut Vec<Output>,
        mail: &mut Mail,
    ) {
        if let Some(shard) = self.shards.get_mut(usize::from(to.0)) {
            shard.handle(now, input, out, mail);
        }
    }

    /// When it wants a tick at the latest.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Duration> {
        self.shards.iter().filter_map(Shard::next_timeout).min()
    }

    /// Its parts, to be run on threads of their own: what comes from outside goes through the front, and words are carried
    /// to the shards they are for.
    #[must_use]
    pub fn split(self) -> (Front, Vec<Shard>) {
        (self.front, self.shards)
    }

    /// The edge those parts were; no word may be on its way.
    #[must_use]
    pub fn joined(front: Front, shards: Vec<Shard>) -> Edge {
        let keys = *front.keys();
        Edge { front, keys, shards }
    }

    /// The records in force.
    #[must_use]
    pub fn tables(&self) -> &Tables {
        self.front.tables()
    }

    /// Who it is.
    #[must_use]
    pub fn config(&self) -> &EdgeConfig {
        self.front.config()
    }

    /// All devices bound here.
    pub fn bindings(&self) -> impl Iterator<Item = &PackedBinding> {
        self.shards.iter().flat_map(Shard::bindings)
    }

    /// All calls in progress.
    #[must_use]
    pub fn calls(&self) -> Vec<CallView> {
        let mut calls: Vec<CallView> = self.shards.iter().flat_map(Shard::calls).collect();
        calls.sort_by_key(|view| view.call);
        calls
    }

    /// Who is refused unheard for having guessed at passwords.
    #[must_use]
    pub fn bans(&self, now: Duration) -> Vec<Ban> {
        self.shards.iter().flat_map(|shard| shard.bans(now)).collect()
    }

    /// Streams that are anchored.
    #[must_use]
    pub fn streams(&self) -> usize {
        self.shards.iter().map(Shard::streams).sum()
    }

    /// Records that wait for the last figures of their media.
    #[must_use]
    pub fn unwritten(&self) -> usize {
        self.shards.iter().map(Shard::unwritten).sum()
    }

    /// The lines of subscribers with a phone or a call here, as they are here.
    #[must_use]
    pub fn lines(&self) -> BTreeMap<Extension, Line> {
        self.shards.iter().flat_map(Shard::lines).collect()
    }

    /// The lines that are watched here, as far as they are known.
    #[must_use]
    pub fn lamps(&self) -> BTreeMap<Extension, Lamp> {
        self.shards.iter().flat_map(Shard::lamps).collect()
    }

    /// Subscriptions of phones.
    #[must_use]
    pub fn subscriptions(&self) -> usize {
        self.shards.iter().map(Shard::subscriptions).sum()
    }

    /// BYEs owed to other members.
    #[must_use]
    pub fn owed(&self) -> usize {
        self.shards.iter().map(Shard::owed).sum()
    }

    /// What a call from `from` to `to` would do now: the same decision as the call's.
    #[must_use]
    pub fn explain(&self, from: &Extension, to: &str) -> Decision {
        let bound = |extension: &Extension| {
            let owner = self.front.sorter().owner_of(extension.as_str());
            self.shards.get(usize::from(owner.0)).is_some_and(|shard| shard.is_bound(extension))
        };
        let nothing = || Decision {
            outcome: Outcome::Refused(Cause::TemporaryFailure),
            emergency: false,
            steps: Vec::new(),
        };
        self.shards.first().map_or_else(nothing, |shard| shard.explain(from, to, &bound))
    }
}
