//! What the node tells of its registrations: all of them once per connection, then each change.
//!
//! It is produced when the line has room. A registration that changes ten times meanwhile is told once, so
//! nothing grows with the rate of changes.

use crate::link::LiveBinding;
use crate::wire::{Binding, Live};
use model::Extension;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

/// Registrations in one message.
const BATCH_MAX: usize = 50;
/// Bytes of the detail of a registration; more is left out.
const DETAIL_BYTES_MAX: usize = 4 * 1024;

type Name = (Extension, String);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Publication {
    held: BTreeMap<Name, LiveBinding>,
    changed: BTreeSet<Name>,
    full: Option<Full>,
}

/// How far the full list has been told.
#[derive(Debug)]
enum Full {
    Begin,
    After(Name),
}

impl Publication {
    pub(super) fn bound(&mut self, mut binding: LiveBinding) {
        if binding.detail.len() > DETAIL_BYTES_MAX {
            binding.detail.clear();
        }
        let name = (binding.extension.clone(), binding.device.clone());
        self.changed.insert(name.clone());
        self.held.insert(name, binding);
    }

    pub(super) fn unbound(&mut self, extension: Extension, device: String) {
        let name = (extension, device);
        if self.held.remove(&name).is_some() {
            self.changed.insert(name);
        }
    }

    /// A new connection: tell all of it again.
    pub(super) fn restart(&mut self) {
        self.full = Some(Full::Begin);
        self.changed.clear();
    }

    /// The next message, if there is anything to tell.
    pub(super) fn next_message(&mut self) -> Option<Live> {
        match self.full.take() {
            Some(full) => Some(self.next_of_full(full)),
            None => self.next_changes(),
        }
    }

    fn next_of_full(&mut self, full: Full) -> Live {
        let first = matches!(full, Full::Begin);
        let from = match full {
            Full::Begin => Bound::Unbounded,
            Full::After(name) => Bound::Excluded(name),
        };
        let batch: Vec<(&Name, &LiveBinding)> =
            self.held.range((from, Bound::Unbounded)).take(BATCH_MAX).collect();
        let bound = batch.iter().map(|(_, binding)| Binding::from(*binding)).collect();
        let last = batch.len() < BATCH_MAX;
        if let (false, Some((name, _))) = (last, batch.last()) {
            self.full = Some(Full::After((*name).clone()));
        }
        Live { first, last, bound, unbound: Vec::new() }
    }

    fn next_changes(&mut self) -> Option<Live> {
        let mut live = Live::default();
        for _ in 0..BATCH_MAX {
            let Some(name) = self.changed.pop_first() else { break };
            match self.held.get(&name) {
                Some(binding) => live.bound.push(binding.into()),
                None => live.unbound.push(Binding {
                    extension: name.0.into(),
                    device: name.1,
                    detail: Vec::new(),
                }),
            }
        }
        (!live.bound.is_empty() || !live.unbound.is_empty()).then_some(live)
    }
}
