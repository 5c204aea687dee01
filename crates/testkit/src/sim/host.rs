//! One machine: a disk, and the process on it while it runs. What is made here is the daemon's own composition,
//! [`ipbx::member::Member`].

use super::chance::Chance;
use super::disk::Disk;
use super::sabotage::Sabotage;
use call::{AnchorWhen, EdgeConfig, Place};
use cluster::{Hub, Uplink, hub, uplink};
use ipbx::member::{
    CallInput, CallNotice, CallSide, CallSideConfig, Input, LinkInput, LinkNotice, LinkSide, Member, Output,
};
use model::{ClusterId, DongleId, HardwareType, MemberNumber, Record};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

/// The cluster of every simulated life.
pub(super) const CLUSTER: &str = "sim-1";
/// The member whose media are always anchored.
const ANCHORING: u16 = 1;

/// See the module.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) number: u16,
    /// Into how many its edge is divided.
    shards: u8,
    pub(super) disk: Disk,
    pub(super) process: Option<Member>,
    /// How often a process was started here.
    pub(super) starts: u64,
}

impl Host {
    pub(super) fn new(number: u16, chance: &mut Chance) -> Host {
        let shards = if chance.percent(50) { 1 } else { 4 };
        Host { number, shards, disk: Disk::default(), process: None, starts: 0 }
    }

    pub(super) fn member(&self) -> MemberNumber {
        member(self.number)
    }

    /// Where its phones reach it.
    pub(super) fn address(&self) -> SocketAddr {
        SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, octet(self.number), 1)), 5060)
    }

    /// Starts the process from what is on the disk.
    pub(super) fn start(
        &mut self,
        now: Duration,
        chance: &mut Chance,
        broken: Option<Sabotage>,
        out: &mut Vec<Output>,
    ) {
        self.starts += 1;
        let frozen = self.disk.frozen.take();
        let mut first = Vec::new();
        let config = self.call_config(chance, broken);
        let thawed = frozen
            .filter(|_| broken != Some(Sabotage::ThawForgetsCalls))
            .and_then(|bytes| CallSide::thaw(now, self.call_config(chance, broken), &bytes, &mut first).ok());
        let calls = thawed.unwrap_or_else(|| CallSide::new(now, config, &mut first));
        let link = self.link(now, chance, broken);
        let mut process = Member::new(now, calls, link, first, out);
        if self.number != 0 {
            // A thawed edge may remember an uplink that this process does not have yet.
            process.handle(now, Input::Calls(CallInput::Link(LinkNotice::Down)), out);
        }
        for entry in self.disk.unacknowledged.values().cloned() {
            process.handle(now, Input::Link(LinkInput::Calls(CallNotice::Log(entry))), out);
        }
        self.process = Some(process);
    }

    fn call_config(&self, chance: &mut Chance, broken: Option<Sabotage>) -> CallSideConfig {
        let place = if self.number == 0 { Place::ClusterServer } else { Place::Node };
        let bindings = match broken {
            Some(Sabotage::BindingsForgotten) => Vec::new(),
            _ => self.disk.bindings.values().cloned().collect(),
        };
        let mut edge = EdgeConfig::new(self.member(), place, CLUSTER).with_shards(self.shards);
        if self.number == ANCHORING {
            edge.media.anchor = AnchorWhen::Always;
        }
        let calls = match broken {
            Some(Sabotage::CallsForgotten) => Vec::new(),
            _ => self.disk.dialogs.values().cloned().collect(),
        };
        CallSideConfig {
            calls,
            cluster: cluster_id(),
            edge,
            seed: chance.seed(),
            records: self.disk.records.values().cloned().collect(),
            bindings,
            subscriptions: self.disk.subscriptions.values().cloned().collect(),
        }
    }

    fn link(&mut self, now: Duration, chance: &mut Chance, broken: Option<Sabotage>) -> LinkSide {
        let records: Vec<Record> = self.disk.records.values().cloned().collect();
        if self.number == 0 {
            self.disk.position.epoch += 1;
            let settings = hub::Settings { cluster: cluster_id(), release: model::release::THIS };
            let recent = self.disk.recent.clone();
            return LinkSide::Server(Box::new(Hub::new(settings, self.disk.position, records, recent, now)));
        }
        let identity = uplink::Identity {
            cluster: cluster_id(),
            member: self.member(),
            dongle_id: dongle(self.number),
            release: model::release::THIS,
            hardware_type: HardwareType::Server,
        };
        let mut position = self.disk.position;
        if broken == Some(Sabotage::PositionAhead) {
            position.revision += 1;
        }
        LinkSide::Node(Box::new(Uplink::new(identity, self.starts, position, &records, chance.seed(), now)))
    }
}

/// A member number that is one.
pub(super) fn member(number: u16) -> MemberNumber {
    MemberNumber::try_from(number).unwrap_or(MemberNumber::CLUSTER_SERVER)
}

/// An octet of an invented address.
pub(super) fn octet(number: u16) -> u8 {
    u8::try_from(number % 256).unwrap_or(0)
}

#[expect(clippy::expect_used, reason = "constant text that is an identity")]
fn cluster_id() -> ClusterId {
    CLUSTER.parse().expect("a cluster id")
}

/// The machine of that number.
#[expect(clippy::expect_used, reason = "constant text that is an identity")]
pub(super) fn dongle(number: u16) -> DongleId {
    format!("SIM-{number:04}").parse().expect("a dongle id")
}
