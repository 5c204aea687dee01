//! The registrar of this shard (RFC 3261 § 10): which devices of which subscribers are bound here.
//!
//! It decides on values only; the edge authenticates before and answers after. What a REGISTER asks for is read in
//! [`super::asked`]. It changes all its contacts or none (§ 10.3 step 7). A refresh with the CSeq it already has changes nothing.

use super::asked::{Asked, Refusal, Wish, path_of};
use super::{Owner, Owners};
use crate::binding::{BindingChange, BindingRef, Device, PackedBinding, packed_path};
use crate::settings::{DEVICES_PER_SUBSCRIBER_MAX, EdgeSettings};
use model::Extension;
use sip::{Flow, Message};
use smallvec::SmallVec;
use std::cmp::Reverse;
use std::net::IpAddr;
use std::time::Duration;

/// What a REGISTER changed.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Changed {
    /// To keep and publish.
    pub(crate) changes: SmallVec<[BindingChange; 1]>,
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

impl Owner {
    fn phone(&self, device: &str) -> Option<BindingRef<'_>> {
        self.phones.iter().map(PackedBinding::read).find(|phone| phone.device == device)
    }

    /// Puts a phone in the place of its device's former binding. True when it had one.
    fn put(&mut self, phone: PackedBinding) -> bool {
        let device = phone.read().device;
        let place = self.phones.iter().position(|known| known.read().device >= device);
        let place = place.unwrap_or(self.phones.len());
        match self.phones.get_mut(place) {
            Some(known) if known.read().device == device => {
                *known = phone;
                true
            }
            _ => {
                self.phones.insert(place, phone);
                false
            }
        }
    }

    /// Takes a phone out.
    fn take(&mut self, device: &str) -> Option<BindingChange> {
        let place = self.phones.iter().position(|phone| phone.read().device == device)?;
        let phone = self.phones.remove(place);
        let phone = phone.read();
        let device = Device(phone.device.to_owned());
        Some(BindingChange::Unbound { extension: phone.extension.parse().ok()?, device })
    }

    /// A further device than one may have takes the place of the oldest.
    fn make_room(&mut self) -> Option<BindingChange> {
        if self.phones.len() < DEVICES_PER_SUBSCRIBER_MAX {
            return None;
        }
        let oldest = self.phones.iter().map(PackedBinding::read).min_by_key(|phone| phone.since)?;
        let oldest = oldest.device.to_owned();
        self.take(&oldest)
    }

    /// RFC 3261 § 10.3 step 7: within one Call-ID only a higher CSeq changes a binding.
    fn in_order(&self, device: &str, request: &Message) -> bool {
        let later =
            |known: BindingRef<'_>| known.call_id != request.call_id() || known.cseq < request.cseq().number;
        self.phone(device).is_none_or(later)
    }
}

impl Owners {
    /// Takes what a REGISTER of `extension`, proven to be its own, asks for.
    pub(crate) fn register(
        &mut self,
        now: Duration,
        extension: &Extension,
        (flow, request): (&Flow, &Message),
        settings: &EdgeSettings,
        bindings_max: usize,
    ) -> Result<Changed, Refusal> {
        let path = packed_path(&path_of(request)?);
        let asked = match Wish::of(request, settings)? {
            Wish::Nothing => return Ok(Changed::default()),
            Wish::EndAll => return self.unbind_all(now, extension, request),
            Wish::Bind(asked) => asked,
        };
        if let Some(owner) = self.table.find(extension)
            && !asked.iter().all(|asked| owner.in_order(&asked.device, request))
        {
            return Err(Refusal::OutOfOrder);
        }
        let owner = self.table.find(extension);
        let known = |asked: &&Asked<'_>| owner.is_some_and(|owner| owner.phone(&asked.device).is_some());
        let new = asked.iter().filter(|asked| !asked.expires.is_zero() && !known(asked)).count();
        if new > 0 && self.bound + new > bindings_max {
            return Err(Refusal::Full);
        }
        let mut changed = Changed::default();
        for asked in &asked {
            if asked.expires.is_zero() {
                let unbound = self.table.find_mut(extension).and_then(|owner| owner.take(&asked.device));
                self.bound -= usize::from(unbound.is_some());
                changed.changes.extend(unbound);
            } else {
                self.bind(now, extension, asked, (flow, request, &path), &mut changed);
            }
        }
        self.settle(now, extension);
        Ok(changed)
    }

    fn bind(
        &mut self,
        now: Duration,
        extension: &Extension,
        asked: &Asked<'_>,
        (flow, request, path): (&Flow, &Message, &[u8]),
        changed: &mut Changed,
    ) {
        let known = self.table.find(extension).and_then(|owner| owner.phone(&asked.device));
        let known = known.map(|known| (known.since, known.flow));
        if let Some((_, before)) = known
            && before != asked.flow(flow)
        {
            changed.moved.push((before, asked.flow(flow)));
        }
        if known.is_none() {
            let gone = self.table.find_mut(extension).and_then(Owner::make_room);
            self.bound -= usize::from(gone.is_some());
            changed.changes.extend(gone);
        }
        let since = known.map_or(now, |(since, _)| since);
        let phone = asked.binding((now, since), extension, flow, (request, path));
        changed.new |= known.is_none();
        changed.changes.push(BindingChange::Bound(phone.clone()));
        self.put(extension, phone);
    }

    /// Takes a binding as it was kept, in place of the device's former one.
    pub(crate) fn restore(&mut self, phone: PackedBinding) {
        let Ok(extension) = phone.read().extension.parse::<Extension>() else { return };
        self.put(&extension, phone);
        self.table.wind(Duration::ZERO, &extension);
    }

    fn put(&mut self, extension: &Extension, phone: PackedBinding) {
        let BindingRef { connected, flow, .. } = phone.read();
        if connected && flow.connection != 0 {
            let over = self.connections.entry(flow.connection).or_default();
            if !over.contains(extension) {
                over.push(extension.clone());
            }
        }
        let replaced = self.table.change(extension, |owner| owner.put(phone));
        self.bound += usize::from(!replaced);
    }

    /// Its bindings have changed: forgets it when nothing is left, else has it looked at in time.
    fn settle(&mut self, now: Duration, extension: &Extension) {
        if self.table.find(extension).is_some_and(|owner| owner.is_nothing(now)) {
            self.table.forget(extension);
        } else {
            self.table.wind(now, extension);
        }
    }

    fn unbind_all(
        &mut self,
        now: Duration,
        extension: &Extension,
        request: &Message,
    ) -> Result<Changed, Refusal> {
        let Some(owner) = self.table.find_mut(extension) else { return Ok(Changed::default()) };
        if owner.phones.iter().any(|phone| !owner.in_order(phone.read().device, request)) {
            return Err(Refusal::OutOfOrder);
        }
        let devices: Vec<String> = owner.phones.iter().map(|phone| phone.read().device.to_owned()).collect();
        let changes: SmallVec<[BindingChange; 1]> =
            devices.iter().filter_map(|device| owner.take(device)).collect();
        self.bound -= changes.len();
        self.settle(now, extension);
        Ok(Changed { changes, ..Changed::default() })
    }

    /// The bindings of one subscriber, the preferred first.
    pub(crate) fn phones(&self, extension: &Extension) -> impl Iterator<Item = BindingRef<'_>> + use<'_> {
        let phones = self.table.find(extension).map(|owner| owner.phones.as_slice()).unwrap_or_default();
        let mut phones: SmallVec<[BindingRef<'_>; 1]> = phones.iter().map(PackedBinding::read).collect();
        phones.sort_by_key(|phone| Reverse(phone.q));
        phones.into_iter()
    }

    /// True when `extension` has a phone here, whether it can be called now or not.
    pub(crate) fn has(&self, extension: &Extension) -> bool {
        self.table.find(extension).is_some_and(|owner| !owner.phones.is_empty())
    }

    /// Subscribers that have a phone here.
    pub(crate) fn subscribers(&self) -> impl Iterator<Item = &Extension> {
        let bound = self.table.in_order().into_iter().filter(|(_, owner)| !owner.phones.is_empty());
        bound.map(|(extension, _)| extension)
    }

    /// True when a phone of `extension` can be called here.
    pub(crate) fn is_bound(&self, extension: &Extension) -> bool {
        self.phones(extension).any(|phone| phone.connected)
    }

    /// True when a phone of `extension` is registered from that address.
    pub(crate) fn is_at_home(&self, extension: &Extension, source: IpAddr) -> bool {
        let owner = self.table.find(extension);
        owner.is_some_and(|owner| owner.phones.iter().any(|phone| phone.read().flow.remote.ip() == source))
    }

    /// All bindings, by subscriber and device.
    pub(crate) fn all(&self) -> impl Iterator<Item = &PackedBinding> {
        self.table.in_order().into_iter().flat_map(|(_, owner)| owner.phones.iter())
    }

    /// A phone's connection is gone: it is not called until it comes back with its next REGISTER.
    pub(crate) fn flow_closed(&mut self, flow: &Flow) {
        for extension in self.connections.remove(&flow.connection).unwrap_or_default() {
            let phones = self.table.find_mut(&extension).map(|owner| &mut owner.phones);
            for phone in phones.into_iter().flatten().filter(|phone| phone.read().flow == *flow) {
                *phone = phone.disconnected();
            }
        }
    }

    /// Ends what has run out.
    pub(crate) fn expire(&mut self, now: Duration) -> Vec<BindingChange> {
        let mut changes = Vec::new();
        while let Some(extension) = self.table.rung(now) {
            let Some(owner) = self.table.find_mut(&extension) else { continue };
            let over = |phone: &PackedBinding| phone.read().until <= now;
            while let Some(phone) = owner.phones.iter().find(|phone| over(phone)).cloned() {
                changes.extend(owner.take(phone.read().device));
                self.bound -= 1;
            }
            self.settle(now, &extension);
        }
        changes
    }

    /// When the next binding may run out.
    pub(crate) fn next_expiry(&self) -> Option<Duration> {
        self.table.next()
    }
}
