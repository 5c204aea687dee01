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
    places: HashMap<Extension, u32, Key>,
    owners: Vec<Option<Box<Placed>>>,
    free: Vec<u32>,
    /// The earliest first; of several at one time in the order of their numbers.
    alarms: BinaryHeap<Reverse<(Duration, Extension)>>,
}

#[derive(Debug)]
struct Placed {
    extension: Extension,
    owner: Owner,
}

impl Table {
    pub(super) fn new(key: Key) -> Table {
        let places = HashMap::with_hasher(key);
        Table { places, owners: Vec::new(), free: Vec::new(), alarms: BinaryHeap::new() }
    }

    pub(super) fn key(&self) -> Key {
        *self.places.hasher()
    }

    fn place(&self, extension: &Extension) -> Option<usize> {
        usize::try_from(*self.places.get(extension)?).ok()
    }

    pub(super) fn find(&self, extension: &Extension) -> Option<&Owner> {
        self.owners.get(self.place(extension)?)?.as_ref().map(|placed| &placed.owner)
    }

    pub(super) fn find_mut(&mut self, extension: &Extension) -> Option<&mut Owner> {
        let place = self.place(extension)?;
        self.owners.get_mut(place)?.as_mut().map(|placed| &mut placed.owner)
    }

    /// Lets `change` have the owner, made when there is none.
    pub(super) fn change<T>(&mut self, extension: &Extension, change: impl FnOnce(&mut Owner) -> T) -> T {
        if let Some(owner) = self.find_mut(extension) {
            return change(owner);
        }
        let mut owner = Owner::default();
        let changed = change(&mut owner);
        self.put(extension, owner);
        changed
    }

    fn put(&mut self, extension: &Extension, owner: Owner) {
        let placed = Some(Box::new(Placed { extension: extension.clone(), owner }));
        let place = self.free.pop().or_else(|| u32::try_from(self.owners.len()).ok()).unwrap_or(u32::MAX);
        match usize::try_from(place).ok().and_then(|place| self.owners.get_mut(place)) {
            Some(free) => *free = placed,
            None => self.owners.push(placed),
        }
        self.places.insert(extension.clone(), place);
    }

    pub(super) fn forget(&mut self, extension: &Extension) {
        let Some(place) = self.places.remove(extension) else { return };
        self.free.push(place);
        if let Some(owner) = usize::try_from(place).ok().and_then(|place| self.owners.get_mut(place)) {
            *owner = None;
        }
    }

    /// All of them in the order of their numbers.
    pub(super) fn in_order(&self) -> Vec<(&Extension, &Owner)> {
        let all = self.owners.iter().flatten().map(|placed| (&placed.extension, &placed.owner));
        let mut all: Vec<(&Extension, &Owner)> = all.collect();
        all.sort_unstable_by_key(|(extension, _)| *extension);
        all
    }

    /// Sees to it that the owner is looked at when it is due.
    pub(super) fn wind(&mut self, now: Duration, extension: &Extension) {
        let Some(owner) = self.find_mut(extension) else { return };
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
            if let Some(owner) = self.find_mut(&extension).filter(|owner| owner.alarm == Some(at)) {
                owner.alarm = None;
                return Some(extension);
            }
        }
        None
    }

    /// Alarms that do not count any more are taken out when they are most.
    fn prune(&mut self) {
        if self.alarms.len() > 2 * self.places.len() + SLACK {
            let mut alarms = std::mem::take(&mut self.alarms);
            alarms.retain(|Reverse((at, extension))| {
                self.find(extension).is_some_and(|owner| owner.alarm == Some(*at))
            });
            self.alarms = alarms;
        }
    }
}
