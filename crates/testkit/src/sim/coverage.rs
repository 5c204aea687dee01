//! Which states of the link met which events, over a campaign. A pair that can happen and never did is a test
//! that was not made.

use cluster::{hub, uplink};
use ipbx::member::LinkSide;
use std::collections::BTreeMap;

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct Coverage {
    node: BTreeMap<(uplink::StateName, uplink::EventName), u64>,
    server: BTreeMap<(hub::SessionName, hub::EventName), u64>,
}

impl Coverage {
    /// Adds what a machine has met in its life.
    pub(super) fn take(&mut self, link: &LinkSide) {
        match link {
            LinkSide::None => {}
            LinkSide::Node(uplink) => add(&mut self.node, uplink.reached()),
            LinkSide::Server(hub) => add(&mut self.server, hub.reached()),
        }
    }

    /// Adds another life.
    pub fn merge(&mut self, other: &Coverage) {
        add(&mut self.node, &other.node);
        add(&mut self.server, &other.server);
    }

    /// The pairs that can happen between healthy machines and did not.
    #[must_use]
    pub fn missing(&self) -> Vec<String> {
        let node = NODE.iter().flat_map(|(state, events)| events.iter().map(|event| (*state, *event)));
        let node = node.filter(|pair| !self.node.contains_key(pair)).map(|pair| format!("node {pair:?}"));
        let server = SERVER.iter().flat_map(|(state, events)| events.iter().map(|event| (*state, *event)));
        let server =
            server.filter(|pair| !self.server.contains_key(pair)).map(|pair| format!("server {pair:?}"));
        node.chain(server).collect()
    }

    /// Every pair with its count, a line each.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let node =
            self.node.iter().map(|((state, event), count)| format!("node {state:?} {event:?} {count}"));
        let server =
            self.server.iter().map(|((state, event), count)| format!("server {state:?} {event:?} {count}"));
        node.chain(server).collect()
    }
}

fn add<K: Ord + Copy>(sum: &mut BTreeMap<K, u64>, more: &BTreeMap<K, u64>) {
    for (pair, count) in more {
        *sum.entry(*pair).or_default() += count;
    }
}

/// What can happen to a node whose cluster server is healthy. A refusal, garbage and foreign messages need a
/// peer that is not: the table of `docs/design/link.md` is tested with those.
const NODE: &[(uplink::StateName, &[uplink::EventName])] = {
    use uplink::EventName as E;
    use uplink::StateName as S;
    &[
        (S::Isolated, &[E::DialDue, E::Registration, E::Log, E::Stop, E::Applied]),
        (
            S::Connecting,
            &[E::Established, E::Overdue, E::Closed, E::Welcome, E::Room, E::Registration, E::Log, E::Stop],
        ),
        (
            S::Synchronising,
            // An end of the stream here needs a snapshot of over 64 KiB: it is in the table's test.
            &[
                E::Room,
                E::SnapshotBegin,
                E::SnapshotRecords,
                E::SnapshotEnd,
                E::Changes,
                E::Current,
                E::Applied,
            ],
        ),
        (
            S::Connected,
            &[
                E::BeatDue,
                E::Overdue,
                E::Closed,
                E::Room,
                E::Heartbeat,
                E::Changes,
                E::LogAck,
                E::Goodbye,
                E::Applied,
                E::Registration,
                E::Log,
                E::Stop,
            ],
        ),
    ]
};

/// What can happen to a session of healthy nodes.
const SERVER: &[(hub::SessionName, &[hub::EventName])] = {
    use hub::EventName as E;
    use hub::SessionName as S;
    &[
        (S::Greeting, &[E::Hello, E::Closed, E::Overdue]),
        (S::Synchronising, &[E::Heartbeat, E::Live, E::Log, E::Room, E::Closed]),
        (
            S::Connected,
            &[E::BeatDue, E::Overdue, E::Closed, E::Room, E::Heartbeat, E::Live, E::Log, E::Goodbye],
        ),
    ]
};
