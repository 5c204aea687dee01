//! The registrar of this shard (RFC 3261 § 10): which devices of which subscribers are bound here.
//!
//! It decides on values only; the edge authenticates before and answers after. What a REGISTER asks for is read in
//! [`super::asked`]. It changes all its contacts or none (§ 10.3 step 7). A refresh with the CSeq it already has changes nothing.

use super::asked::{Asked, Refusal, Wish, path_of};
use crate::binding::{Binding, BindingChange, Device};
use crate::settings::{DEVICES_PER_SUBSCRIBER_MAX, EdgeSettings};
use model::Extension;
use serde::{Deserialize, Serialize};
use sip::{Flow, Message};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The bindings of the owners of one shard.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Registrar {
    bindings: BTreeMap<Extension, BTreeMap<Device, Binding>>,
    /// When each one runs out, in order.
    expiries: BTreeSet<(Duration, Extension, Device)>,
    /// Who has registered over which connection, until that closes.
    connections: BTreeMap<u64, BTreeSet<Extension>>,
}

/// What a REGISTER changed.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Changed {
    /// To keep and publish.
    pub(crate) changes: Vec<BindingChange>,
    /// Devices whose flow is another one now: calls of theirs move with them.
    pub(crate) moved: Vec<(Flow, Flow)>,
    /// A device came that was not there before.
    new: bool,
}

impl Changed {
    /// True when the subscriber has other phones than before.
    pub(crate) fn is_of_phones(&self) -> bool {
        self.new || self.changes.iter().any(|change| matches!(change, BindingChange::Unbound { .. }))
    }
}

impl Registrar {
    /// Takes what a REGISTER of `extension`, proven to be its own, asks for.
    pub(crate) fn register(
        &mut self,
        now: Duration,
        extension: &Extension,
        (flow, request): (&Flow, &Message),
        settings: &EdgeSettings,
        bindings_max: usize,
    ) -> Result<Changed, Refusal> {
        let path = path_of(request)?;
        let asked = match Wish::of(request, settings)? {
            Wish::Nothing => return Ok(Changed::default()),
            Wish::EndAll => return self.unbind_all(extension, request),
            Wish::Bind(asked) => asked,
        };
        let ordered = asked.iter().all(|asked| self.in_order(extension, &asked.device, request));
        if !ordered {
            return Err(Refusal::OutOfOrder);
        }
        let known = |asked: &Asked| {
            self.bindings.get(extension).is_some_and(|devices| devices.contains_key(&asked.device))
        };
        let new = asked.iter().filter(|asked| !asked.expires.is_zero() && !known(asked)).count();
        if new > 0 && self.expiries.len() + new > bindings_max {
            return Err(Refusal::Full);
        }
        let mut changed = Changed::default();
        for asked in asked {
            if asked.expires.is_zero() {
                changed.changes.extend(self.unbind(extension, &asked.device));
            } else {
                self.bind(asked.binding(now, extension, flow, (request, &path)), &mut changed);
            }
        }
        Ok(changed)
    }

    fn bind(&mut self, mut binding: Binding, changed: &mut Changed) {
        let extension = binding.extension.clone();
        let devices = self.bindings.entry(extension.clone()).or_default();
        match devices.get(&binding.device) {
            Some(known) => {
                binding.since = known.since;
                if known.flow != binding.flow {
                    changed.moved.push((known.flow, binding.flow));
                }
            }
            None if devices.len() >= DEVICES_PER_SUBSCRIBER_MAX => {
                let oldest = devices.values().min_by_key(|binding| binding.since);
                let oldest = oldest.map(|binding| binding.device.clone());
                changed.changes.extend(oldest.and_then(|oldest| self.unbind(&extension, &oldest)));
            }
            None => {}
        }
        changed.new |= !self.restore(binding.clone());
        changed.changes.push(BindingChange::Bound(binding));
    }

    /// Takes a binding as it was kept or made, in place of the device's former one. True when it has one.
    pub(crate) fn restore(&mut self, binding: Binding) -> bool {
        let expiry = |binding: &Binding| (binding.until, binding.extension.clone(), binding.device.clone());
        self.expiries.insert(expiry(&binding));
        if binding.connected && binding.flow.connection != 0 {
            let over = self.connections.entry(binding.flow.connection).or_default();
            over.insert(binding.extension.clone());
        }
        let devices = self.bindings.entry(binding.extension.clone()).or_default();
        let until = binding.until;
        let former = devices.insert(binding.device.clone(), binding);
        if let Some(former) = former.as_ref().filter(|former| former.until != until) {
            self.expiries.remove(&expiry(former));
        }
        former.is_some()
    }

    fn unbind(&mut self, extension: &Extension, device: &Device) -> Option<BindingChange> {
        let devices = self.bindings.get_mut(extension)?;
        let binding = devices.remove(device)?;
        self.expiries.remove(&(binding.until, extension.clone(), device.clone()));
        if devices.is_empty() {
            self.bindings.remove(extension);
        }
        Some(BindingChange::Unbound { extension: extension.clone(), device: device.clone() })
    }

    fn unbind_all(&mut self, extension: &Extension, request: &Message) -> Result<Changed, Refusal> {
        let devices: Vec<Device> = self.of(extension).map(|binding| binding.device.clone()).collect();
        if devices.iter().any(|device| !self.in_order(extension, device, request)) {
            return Err(Refusal::OutOfOrder);
        }
        let changes = devices.iter().filter_map(|device| self.unbind(extension, device)).collect();
        Ok(Changed { changes, ..Changed::default() })
    }

    /// RFC 3261 § 10.3 step 7: within one Call-ID only a higher CSeq changes a binding.
    fn in_order(&self, extension: &Extension, device: &Device, request: &Message) -> bool {
        let known = self.bindings.get(extension).and_then(|devices| devices.get(device));
        known.is_none_or(|known| known.call_id != request.call_id() || known.cseq < request.cseq().number)
    }

    /// The bindings of one subscriber, the preferred first.
    pub(crate) fn of(&self, extension: &Extension) -> impl Iterator<Item = &Binding> {
        let mut bindings: Vec<&Binding> =
            self.bindings.get(extension).map(|devices| devices.values().collect()).unwrap_or_default();
        bindings.sort_by_key(|binding| std::cmp::Reverse(binding.q));
        bindings.into_iter()
    }

    /// True when `extension` has a phone here, whether it can be called now or not.
    pub(crate) fn has(&self, extension: &Extension) -> bool {
        self.bindings.contains_key(extension)
    }

    /// Subscribers that have a phone here.
    pub(crate) fn subscribers(&self) -> impl Iterator<Item = &Extension> {
        self.bindings.keys()
    }

    /// True when a phone of `extension` can be called here.
    pub(crate) fn is_bound(&self, extension: &Extension) -> bool {
        self.of(extension).any(|binding| binding.connected)
    }

    /// All bindings.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Binding> {
        self.bindings.values().flat_map(BTreeMap::values)
    }

    /// A phone's connection is gone: it is not called until it comes back with its next REGISTER.
    pub(crate) fn flow_closed(&mut self, flow: &Flow) {
        for extension in self.connections.remove(&flow.connection).unwrap_or_default() {
            let devices = self.bindings.get_mut(&extension).into_iter().flat_map(BTreeMap::values_mut);
            devices.filter(|binding| binding.flow == *flow).for_each(|binding| binding.connected = false);
        }
    }

    /// Ends what has run out.
    pub(crate) fn expire(&mut self, now: Duration) -> Vec<BindingChange> {
        let mut changes = Vec::new();
        while let Some((until, extension, device)) = self.expiries.first().cloned()
            && until <= now
        {
            self.expiries.remove(&(until, extension.clone(), device.clone()));
            changes.extend(self.unbind(&extension, &device));
        }
        changes
    }

    /// When the next binding runs out.
    pub(crate) fn next_expiry(&self) -> Option<Duration> {
        self.expiries.first().map(|(until, ..)| *until)
    }
}
