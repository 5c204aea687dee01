//! Where subscribers are, as the cluster server knows it: the union of what the members publish.
//!
//! It holds no addresses: a member is named, and only that member knows its phones' flows. What a lost
//! member published stays known as `unreachable`, because being cut off is not being absent (DESIGN § 5.1).

use crate::binding::{BindingChange, Device};
use model::tables::Tables;
use model::{Extension, MemberNumber};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Where a subscriber is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whereabouts {
    /// A phone of it is registered at these members, all of them within reach; its home first.
    Bound(Vec<MemberNumber>),
    /// The members that have, or would have, its phones are beyond a cut.
    Unreachable {
        /// Those members.
        members: Vec<MemberNumber>,
        /// When the first of them was lost.
        since: Duration,
    },
    /// Its home is within reach and no phone is registered anywhere.
    Absent,
}

#[derive(Debug, Clone)]
struct Published {
    /// `None` while the member is within reach.
    lost: Option<Duration>,
    devices: BTreeMap<Extension, BTreeSet<Device>>,
}

/// The location table of the cluster server.
#[derive(Debug, Clone)]
pub struct Location {
    /// When this table began: members not heard of since then count as lost since then.
    began: Duration,
    members: BTreeMap<MemberNumber, Published>,
}

impl Location {
    /// An empty table of a cluster server that has just started.
    #[must_use]
    pub fn new(now: Duration) -> Location {
        let own = Published { lost: None, devices: BTreeMap::new() };
        Location { began: now, members: BTreeMap::from([(MemberNumber::CLUSTER_SERVER, own)]) }
    }

    /// The member is within reach and these are all its bindings. This is what makes a member reachable:
    /// a link alone does not, since calls cannot be routed before its bindings are known.
    pub fn snapshot<'a>(
        &mut self,
        member: MemberNumber,
        bindings: impl IntoIterator<Item = (&'a Extension, &'a Device)>,
    ) {
        let mut devices: BTreeMap<Extension, BTreeSet<Device>> = BTreeMap::new();
        for (extension, device) in bindings {
            devices.entry(extension.clone()).or_default().insert(device.clone());
        }
        self.members.insert(member, Published { lost: None, devices });
    }

    /// One change of a member's bindings.
    pub fn apply(&mut self, member: MemberNumber, change: &BindingChange) {
        match change {
            BindingChange::Bound(binding) => {
                if let Some(binding) = binding.unpack() {
                    self.bound(member, &binding.extension, &binding.device);
                }
            }
            BindingChange::Unbound { extension, device } => self.unbound(member, extension, device),
        }
    }

    /// A device is bound at a member, as it published.
    pub fn bound(&mut self, member: MemberNumber, extension: &Extension, device: &Device) {
        let devices = &mut self.published(member).devices;
        devices.entry(extension.clone()).or_default().insert(device.clone());
    }

    /// A device is not bound any more at a member, as it published.
    pub fn unbound(&mut self, member: MemberNumber, extension: &Extension, device: &Device) {
        let all = &mut self.published(member).devices;
        if let Some(devices) = all.get_mut(extension) {
            devices.remove(device);
            if devices.is_empty() {
                all.remove(extension);
            }
        }
    }

    fn published(&mut self, member: MemberNumber) -> &mut Published {
        let began = self.began;
        let unheard = || Published { lost: Some(began), devices: BTreeMap::new() };
        self.members.entry(member).or_insert_with(unheard)
    }

    /// The link to a member is lost. What it published stays known.
    pub fn lost(&mut self, now: Duration, member: MemberNumber) {
        if let Some(published) = self.members.get_mut(&member) {
            published.lost.get_or_insert(now);
        }
    }

    /// A member that left the cluster is forgotten.
    pub fn forget(&mut self, member: MemberNumber) {
        self.members.remove(&member);
    }

    /// True while calls can be sent to `member`.
    #[must_use]
    pub fn reaches(&self, member: MemberNumber) -> bool {
        self.members.get(&member).is_some_and(|published| published.lost.is_none())
    }

    /// True when a phone of `extension` is registered at `member`, reachable or not.
    #[must_use]
    pub fn is_bound_at(&self, extension: &Extension, member: MemberNumber) -> bool {
        self.members.get(&member).is_some_and(|published| published.devices.contains_key(extension))
    }

    /// Where `extension` is. `tables` say where its home is.
    #[must_use]
    pub fn find(&self, extension: &Extension, tables: &Tables) -> Whereabouts {
        let home = tables.subscriber(extension).map(|subscriber| subscriber.home);
        let mut bound = Vec::new();
        let mut lost = BTreeMap::new();
        for (member, published) in &self.members {
            if published.devices.contains_key(extension) {
                match published.lost {
                    None => bound.push(*member),
                    Some(since) => drop(lost.insert(*member, since)),
                }
            }
        }
        if !bound.is_empty() {
            bound.sort_by_key(|member| Some(*member) != home);
            return Whereabouts::Bound(bound);
        }
        if let Some(home) = home.filter(|home| !self.reaches(*home)) {
            let since = self.members.get(&home).and_then(|published| published.lost);
            lost.insert(home, since.unwrap_or(self.began));
        }
        match lost.values().min() {
            Some(since) => {
                Whereabouts::Unreachable { since: *since, members: lost.keys().copied().collect() }
            }
            None => Whereabouts::Absent,
        }
    }

    /// Subscribers with a phone, and where: for pages and metrics.
    #[must_use]
    pub fn bindings(&self) -> Vec<(MemberNumber, Extension, Device)> {
        let mut all = Vec::new();
        for (member, published) in &self.members {
            for (extension, devices) in &published.devices {
                all.extend(devices.iter().map(|device| (*member, extension.clone(), device.clone())));
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{Kind, Record};

    fn member(number: u16) -> MemberNumber {
        MemberNumber::try_from(number).unwrap()
    }

    fn tables() -> Tables {
        let value = br#"{"feature_class":"free","home":2,"credentials":null}"#.to_vec();
        Tables::of(&[Record { kind: Kind::Subscriber, key: "2201".to_owned(), revision: 1, value }])
    }

    #[test]
    fn a_subscriber_is_bound_then_unreachable_then_absent() {
        let extension: Extension = "2201".parse().unwrap();
        let device = Device("d".to_owned());
        let at = Duration::from_secs;
        let mut location = Location::new(at(10));
        // A cluster server that has just started cannot say "absent" of a node it has not heard.
        let silent = Whereabouts::Unreachable { members: vec![member(2)], since: at(10) };
        assert_eq!(location.find(&extension, &tables()), silent);
        location.snapshot(member(2), [(&extension, &device)]);
        assert_eq!(location.find(&extension, &tables()), Whereabouts::Bound(vec![member(2)]));
        location.lost(at(20), member(2));
        let cut = Whereabouts::Unreachable { members: vec![member(2)], since: at(20) };
        assert_eq!(location.find(&extension, &tables()), cut);
        location.snapshot(member(2), []);
        assert_eq!(location.find(&extension, &tables()), Whereabouts::Absent);
    }

    #[test]
    fn a_phone_registered_elsewhere_is_found_there_while_its_home_is_cut_off() {
        let extension: Extension = "2201".parse().unwrap();
        let device = Device("d".to_owned());
        let mut location = Location::new(Duration::ZERO);
        location.snapshot(member(2), [(&extension, &device)]);
        location.snapshot(MemberNumber::CLUSTER_SERVER, [(&extension, &device)]);
        let both = Whereabouts::Bound(vec![member(2), member(0)]);
        assert_eq!(location.find(&extension, &tables()), both);
        location.lost(Duration::ZERO, member(2));
        assert_eq!(location.find(&extension, &tables()), Whereabouts::Bound(vec![member(0)]));
    }
}
