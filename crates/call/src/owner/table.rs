//! The owners of a shard by their numbers, and when each wants to be looked at.
//!
//! A number is found by one keyed hash, whatever strangers call themselves. An alarm that is put off stays where it is and is
//! set anew when it rings: a phone renews its registration long before it runs out, and taking its alarm out each time
//! would cost more than one ring in an hour.

use super::Owner;
use crate::keyed::Key;
use model::Extension;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::time::Duration;

/// Alarms of the past that are tolerated before the heap is made anew, besides one for each owner.
const SLACK: usize = 1_024;

/// See the module.
#[derive(Debug)]
pub(super) struct Table {
    owners: HashMap<Extension, Box<Owner>, Key>,
    /// The earliest first; of several at one time in the order of their numbers.
    alarms: BinaryHeap<Reverse<(Duration, Extension)>>,
}

impl Table {
    pub(super) fn new(key: Key) -> Table {
        Table { owners: HashMap::with_hasher(key), alarms: BinaryHeap::new() }
    }

    pub(super) fn key(&self) -> Key {
        *self.owners.hasher()
    }

    pub(super) fn find(&self, extension: &Extension) -> Option<&Owner> {
        self.owners.get(extension).map(Box::as_ref)
    }

    pub(super) fn find_mut(&mut self, extension: &Extension) -> Option<&mut Owner> {
        self.owners.get_mut(extension).map(Box::as_mut)
    }

    /// The owner, made when there is none.
    pub(super) fn entry(&mut self, extension: &Extension) -> &mut Owner {
        self.owners.entry(extension.clone()).or_default()
    }

    pub(super) fn forget(&mut self, extension: &Extension) {
        self.owners.remove(extension);
    }

    /// All of them in the order of their numbers.
    pub(super) fn in_order(&self) -> Vec<(&Extension, &Owner)> {
        let mut all: Vec<(&Extension, &Owner)> =
            self.owners.iter().map(|(extension, owner)| (extension, owner.as_ref())).collect();
        all.sort_unstable_by_key(|(extension, _)| *extension);
        all
    }

    /// Sees to it that the owner is looked at when it is due.
    pub(super) fn wind(&mut self, now: Duration, extension: &Extension) {
        let Some(owner) = self.owners.get_mut(extension) else { return };
        if let Some(due) = owner.due(now)
            && owner.alarm.is_none_or(|alarm| due < alarm)
        {
            owner.alarm = Some(due);
            self.alarms.push(Reverse((due, extension.clone())));
            self.prune();
        }
    }

    /// The earliest alarm. When it rings there may be nothing to do yet.
    pub(super) fn next(&self) -> Option<Duration> {
        self.alarms.peek().map(|Reverse((at, _))| *at)
    }

    /// The next owner whose alarm has rung; whoever asks winds it again.
    pub(super) fn rung(&mut self, now: Duration) -> Option<Extension> {
        while let Some(Reverse((at, _))) = self.alarms.peek()
            && *at <= now
        {
            let Reverse((at, extension)) = self.alarms.pop()?;
            if let Some(owner) = self.owners.get_mut(&extension).filter(|owner| owner.alarm == Some(at)) {
                owner.alarm = None;
                return Some(extension);
            }
        }
        None
    }

    /// Alarms that do not count any more are taken out when they are most.
    fn prune(&mut self) {
        if self.alarms.len() > 2 * self.owners.len() + SLACK {
            let owners = &self.owners;
            let counts = |at: &Duration, extension: &Extension| {
                owners.get(extension).is_some_and(|owner| owner.alarm == Some(*at))
            };
            self.alarms.retain(|Reverse((at, extension))| counts(at, extension));
        }
    }
}
