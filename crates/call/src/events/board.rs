//! The board of lines of one shard: what the lines of its subscribers do here and elsewhere, which of them are watched,
//! and what is to be told to the other members.
//!
//! A line is *own* as far as it has phones or calls at this member. Of what other members say only the lines that are
//! watched here are known, and none of it while the uplink is lost.

use super::line::{CALLS_SHOWN_MAX, Direction, Lamp, Line, LineCall};
use super::summary::Messages;
use crate::record::CallId;
use model::Extension;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Changes of lines are told to the other members at most this often: at once while it is quiet, together under load.
const PUBLISH_EVERY: Duration = Duration::from_millis(100);
/// Subscribers of one shard with waiting messages. Those of a further one are not told.
const MAILBOXES_MAX: usize = 40_000;

/// See the module.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Board {
    /// The calls of lines here, the oldest first.
    calls: BTreeMap<Extension, Vec<LineCall>>,
    /// What other members say of watched lines; none for what they do not know.
    elsewhere: BTreeMap<Extension, Vec<Line>>,
    messages: BTreeMap<Extension, Messages>,
    /// How many subscriptions here watch a line.
    watched: BTreeMap<Extension, usize>,
    /// Lines to be told to the other members.
    changed: BTreeSet<Extension>,
    /// And not before.
    publish_at: Duration,
}

/// What a call is on lines, as their owners were told.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct LinesTold {
    /// Another one when there is something to tell.
    pub(crate) mark: u64,
    /// The lines it is on.
    pub(crate) lines: Vec<(Extension, Direction)>,
}

impl Board {
    /// A call is so on a line, or is on it no more. Calls over [`CALLS_SHOWN_MAX`] are not noted.
    pub(crate) fn note(
        &mut self,
        extension: &Extension,
        name: (CallId, Direction),
        now_so: Option<LineCall>,
    ) {
        let calls = self.calls.entry(extension.clone()).or_default();
        let room = calls.len() < CALLS_SHOWN_MAX;
        let known = calls.iter_mut().find(|call| (call.call, call.direction) == name);
        match (known, now_so) {
            (Some(known), Some(call)) => *known = call,
            (None, Some(call)) if room => calls.push(call),
            (None, Some(_)) | (_, None) => calls.retain(|call| (call.call, call.direction) != name),
        }
        if calls.is_empty() {
            self.calls.remove(extension);
        }
        self.touch(extension);
    }

    /// The line is another one for the other members: it is told to them soon.
    pub(crate) fn touch(&mut self, extension: &Extension) {
        self.changed.insert(extension.clone());
    }

    /// What other members say of a line; none when nothing is known.
    pub(crate) fn hear(&mut self, extension: &Extension, said: Option<Vec<Line>>) {
        match said {
            Some(said) if self.watched.contains_key(extension) => {
                self.elsewhere.insert(extension.clone(), said);
            }
            _ => drop(self.elsewhere.remove(extension)),
        }
    }

    /// The uplink is lost: nothing is known of what other members say. Returns the lines this is so of.
    pub(crate) fn forget_elsewhere(&mut self) -> Vec<Extension> {
        std::mem::take(&mut self.elsewhere).into_keys().collect()
    }

    /// The messages that wait for a subscriber.
    pub(crate) fn messages_of(&self, extension: &Extension) -> Messages {
        self.messages.get(extension).copied().unwrap_or_default()
    }

    /// So many messages wait. False when that was so.
    pub(crate) fn put_messages(&mut self, extension: &Extension, messages: Messages) -> bool {
        let before = self.messages_of(extension);
        if messages == Messages::default() {
            self.messages.remove(extension);
        } else if self.messages.len() < MAILBOXES_MAX || self.messages.contains_key(extension) {
            self.messages.insert(extension.clone(), messages);
        }
        before != self.messages_of(extension)
    }

    /// A subscription begins to watch a line. True for the first one.
    pub(super) fn watch(&mut self, extension: &Extension) -> bool {
        let watching = self.watched.entry(extension.clone()).or_default();
        *watching += 1;
        *watching == 1
    }

    /// One ends. True for the last one.
    pub(super) fn unwatch(&mut self, extension: &Extension) -> bool {
        let Some(watching) = self.watched.get_mut(extension) else { return false };
        *watching = watching.saturating_sub(1);
        let last = *watching == 0;
        if last {
            self.watched.remove(extension);
            self.elsewhere.remove(extension);
        }
        last
    }

    /// The lines that are watched here.
    pub(crate) fn watched(&self) -> impl Iterator<Item = &Extension> {
        self.watched.keys()
    }

    /// Subscribers that have calls here.
    pub(crate) fn busy(&self) -> impl Iterator<Item = &Extension> {
        self.calls.keys()
    }

    /// The line as it is at this member.
    pub(crate) fn own(&self, extension: &Extension, registered: bool) -> Line {
        Line { registered, calls: self.calls.get(extension).cloned().unwrap_or_default() }
    }

    /// The line as far as it is known. `at_home` says that nobody else could know of it what this member does not.
    pub(crate) fn lamp(&self, extension: &Extension, registered: bool, at_home: bool) -> Lamp {
        let own = self.own(extension, registered);
        match self.elsewhere.get(extension) {
            Some(others) => Lamp::Known(others.iter().fold(own, Line::joined)),
            None if at_home || !own.is_nothing() => Lamp::Known(own),
            None => Lamp::Unknown,
        }
    }

    /// When lines are to be told.
    pub(crate) fn publish_due(&self) -> Option<Duration> {
        (!self.changed.is_empty()).then_some(self.publish_at)
    }

    /// The lines to tell now.
    pub(crate) fn publish(&mut self, now: Duration) -> Vec<Extension> {
        self.publish_at = now + PUBLISH_EVERY;
        std::mem::take(&mut self.changed).into_iter().collect()
    }

    /// Nobody is to be told: it is no member of a cluster.
    pub(crate) fn tell_nobody(&mut self) {
        self.changed.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::super::line::{Look, Phase};
    use super::super::scene::tests::call;
    use super::*;

    fn extension() -> Extension {
        "2201".parse().unwrap()
    }

    fn note(board: &mut Board, number: u64, phase: Option<Phase>) {
        let now_so = phase.map(|phase| call(number, phase));
        board.note(&extension(), (CallId(number), Direction::Recipient), now_so);
    }

    #[test]
    fn trm_05_a_line_looks_like_the_strongest_of_its_calls() {
        let mut board = Board::default();
        let look = |board: &Board| board.lamp(&extension(), true, true).look();
        assert_eq!(look(&board), Look::Idle);
        note(&mut board, 1, Some(Phase::Early));
        assert_eq!(look(&board), Look::Ringing);
        note(&mut board, 2, Some(Phase::Confirmed));
        assert_eq!(look(&board), Look::Talking);
        note(&mut board, 2, None);
        note(&mut board, 1, None);
        assert_eq!(look(&board), Look::Idle);
        assert_eq!(board.lamp(&extension(), false, true).look(), Look::Absent);
        for number in 0..100 {
            note(&mut board, number, Some(Phase::Early));
        }
        assert_eq!(board.own(&extension(), true).calls.len(), CALLS_SHOWN_MAX);
    }

    #[test]
    fn trm_05_a_line_at_several_members_is_one_and_without_their_word_unknown() {
        let mut board = Board::default();
        let lamp = |board: &Board| board.lamp(&extension(), false, false);
        board.watch(&extension());
        assert_eq!(lamp(&board), Lamp::Unknown);
        let talks = Line { registered: true, calls: vec![call(9, Phase::Confirmed)] };
        board.hear(&extension(), Some(vec![talks, Line { registered: true, calls: vec![] }]));
        assert_eq!(lamp(&board).look(), Look::Talking);
        note(&mut board, 1, Some(Phase::Early));
        let Lamp::Known(line) = lamp(&board) else { panic!() };
        assert_eq!(line.calls.len(), 2);
        assert_eq!(board.forget_elsewhere(), [extension()]);
        // What is known here is shown; the rest is not missed.
        assert_eq!(lamp(&board).look(), Look::Ringing);
        note(&mut board, 1, None);
        assert_eq!(lamp(&board), Lamp::Unknown);
        board.unwatch(&extension());
        board.hear(&extension(), Some(vec![]));
        assert_eq!(lamp(&board), Lamp::Unknown);
    }
}
