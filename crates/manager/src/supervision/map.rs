//! The supervision map: machines and links, joined of what the machines say (DEP-45).
//!
//! A link is judged by its cluster server, which sees all of its nodes; when that does not answer, by the node;
//! when both are silent nobody knows, and the map says so rather than guess.

use super::{Sight, Sights};
use crate::machine::unix_ms;
use crate::machine::wire::NodeSight;
use crate::service::{Service, Topology};
use crate::view::{LinkState, Map, MapLink, MapMachine, Reach};
use model::topology::{Machine, Purpose};

/// Revisions a node may be behind before its link counts as degraded; a change is on its way for milliseconds.
const LAG_MAX: u64 = 100;

impl Service {
    /// The map as it is now.
    #[must_use]
    pub fn map(&self) -> Map {
        let topology = self.snapshot();
        let sights = self.sights();
        Map {
            at_ms: unix_ms(),
            machines: topology
                .by_key()
                .map(|(key, machine)| map_machine(&topology, sights, key, machine))
                .collect(),
            links: topology
                .by_key()
                .filter_map(|(key, machine)| map_link(&topology, sights, key, machine))
                .collect(),
        }
    }
}

fn map_machine(topology: &Topology, sights: &Sights, key: &str, machine: &Machine) -> MapMachine {
    let multi_site = match topology.centre_of(key, machine).map(|(_, server)| &server.purpose) {
        Some(Purpose::ClusterServer { multi_site, .. }) => multi_site.clone(),
        Some(Purpose::Node { .. }) | None => String::new(),
    };
    MapMachine {
        id: key.to_owned(),
        name: machine.name.clone(),
        kind: crate::service::topology::kind_of(machine),
        multi_site,
        cs: machine.cluster_server().map(str::to_owned),
        progress: crate::service::topology::progress_of(machine),
        node_number: machine.progress.assignment().map(|assignment| assignment.number.get()),
        live: sights.live(key),
    }
}

/// The link of a node that has its number; before that there is none to be drawn.
fn map_link(topology: &Topology, sights: &Sights, key: &str, node: &Machine) -> Option<MapLink> {
    let (cs, _) = topology.centre_of(key, node).filter(|(centre, _)| *centre != key)?;
    let number = node.progress.assignment()?.number.get();
    let centre = sights.of(cs);
    let entry =
        centre.as_ref().and_then(Sight::fresh).map(|state| state.nodes.iter().find(|n| n.number == number));
    let own = sights.of(key);
    let (state, since_ms, detail) = judge(entry, own.as_ref());
    // What the cluster server last knew of a node it has no link to is no news of it.
    let linked = entry.flatten().filter(|_| matches!(state, LinkState::Up | LinkState::Degraded));
    let lag = match linked {
        Some(node) => node.lag,
        None => behind(centre.as_ref(), own.as_ref()),
    };
    Some(MapLink {
        node: key.to_owned(),
        cs: cs.to_owned(),
        state,
        since_ms,
        lag,
        digest_equal: linked.and_then(|node| node.digest_equal),
        detail,
    })
}

/// Revisions between what the two ends say of their own data, when both answer.
fn behind(centre: Option<&Sight>, own: Option<&Sight>) -> Option<u64> {
    let (centre, own) = (centre?.fresh()?.position, own?.fresh()?.position);
    (centre.history == own.history).then(|| centre.revision.saturating_sub(own.revision))
}

/// `entry` is what a fresh answer of the cluster server says of the node: none when the cluster server is silent,
/// `Some(None)` when it does not know the node.
fn judge(entry: Option<Option<&NodeSight>>, own: Option<&Sight>) -> (LinkState, u64, String) {
    let own_word = own.and_then(Sight::fresh).map(|state| state.state.as_str());
    let uplink = own.and_then(Sight::fresh).and_then(|state| state.uplink.as_ref());
    let own_since = uplink.map_or(0, |uplink| uplink.since_ms);
    let fault = uplink.and_then(|uplink| uplink.fault.as_ref());
    let because = fault.map_or(String::new(), |fault| format!(": {fault}"));
    let lost_since = own.filter(|sight| sight.reach == Reach::Lost).map(|sight| sight.since_ms);
    match (entry, own_word) {
        (Some(Some(node)), _) if node.state == "connected" => {
            let (state, detail) = judge_connected(node);
            (state, node.since_ms, detail)
        }
        (Some(Some(node)), _) if matches!(node.state.as_str(), "connecting" | "synchronising") => {
            (LinkState::Degraded, node.since_ms, format!("the node is {}", node.state))
        }
        (Some(known), Some(word)) => {
            let since = known.map_or(own_since, |node| node.since_ms);
            (
                LinkState::Isolated,
                since,
                format!("no link at the cluster server; the node says it is {word}{because}"),
            )
        }
        (Some(known), None) => {
            let since = known.map(|node| node.since_ms).or(lost_since).unwrap_or(0);
            (LinkState::Lost, since, "no link at the cluster server, and the node does not answer".to_owned())
        }
        (None, Some("connected")) => (
            LinkState::Up,
            own_since,
            "as the node says; the cluster server does not answer the manager".to_owned(),
        ),
        (None, Some(word)) => {
            let detail = format!(
                "the node says it is {word}{because}; the cluster server does not answer the manager"
            );
            (LinkState::Isolated, own_since, detail)
        }
        (None, None) => (LinkState::Unknown, 0, "neither end answers the manager".to_owned()),
    }
}

fn judge_connected(node: &NodeSight) -> (LinkState, String) {
    let lag = node.lag.unwrap_or(0);
    if node.digest_equal == Some(false) {
        (LinkState::Degraded, "connected, but the data differ: being repaired".to_owned())
    } else if lag > LAG_MAX {
        (LinkState::Degraded, format!("connected, {lag} changes behind"))
    } else {
        (LinkState::Up, "connected and synchronised".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::state;
    use super::*;
    use std::time::Instant;

    fn entry(word: &str) -> NodeSight {
        NodeSight { number: 1, state: word.to_owned(), since_ms: 7, digest_equal: Some(true), lag: Some(0) }
    }

    fn sight(word: &str) -> Sight {
        let sights = Sights::default();
        sights.answered("n1", state("node", word), 0, Instant::now());
        sights.of("n1").unwrap()
    }

    fn link(entry: Option<Option<&NodeSight>>, own: Option<&Sight>) -> LinkState {
        judge(entry, own).0
    }

    #[test]
    fn dep_45_arc_05_the_link_is_what_its_two_ends_say_of_it() {
        let (connected, isolated) = (sight("connected"), sight("isolated"));
        assert_eq!(link(Some(Some(&entry("connected"))), Some(&connected)), LinkState::Up);
        assert_eq!(link(Some(Some(&entry("connected"))), None), LinkState::Up);
        assert_eq!(link(Some(Some(&entry("synchronising"))), Some(&connected)), LinkState::Degraded);
        assert_eq!(link(Some(Some(&entry("isolated"))), Some(&isolated)), LinkState::Isolated);
        assert_eq!(link(Some(None), Some(&isolated)), LinkState::Isolated);
        assert_eq!(link(Some(Some(&entry("isolated"))), None), LinkState::Lost);
        assert_eq!(link(None, Some(&isolated)), LinkState::Isolated);
        assert_eq!(link(None, Some(&connected)), LinkState::Up);
        assert_eq!(link(None, None), LinkState::Unknown);
    }

    #[test]
    fn an_isolated_node_is_as_far_behind_as_the_two_ends_say() {
        let at = |history: u64, revision: u64| {
            let sights = Sights::default();
            let mut said = state("node", "isolated");
            said.position = model::Position { history, epoch: 1, revision };
            sights.answered("x", said, 0, Instant::now());
            sights.of("x")
        };
        assert_eq!(behind(at(1, 9).as_ref(), at(1, 4).as_ref()), Some(5));
        assert_eq!(behind(at(1, 9).as_ref(), at(2, 4).as_ref()), None, "another history");
        assert_eq!(behind(at(1, 9).as_ref(), None), None);
    }

    #[test]
    fn dep_45_a_link_that_is_up_with_other_data_or_far_behind_is_degraded() {
        let differs = NodeSight { digest_equal: Some(false), ..entry("connected") };
        assert_eq!(link(Some(Some(&differs)), None), LinkState::Degraded);
        let behind = NodeSight { lag: Some(LAG_MAX + 1), ..entry("connected") };
        assert_eq!(link(Some(Some(&behind)), None), LinkState::Degraded);
        let on_its_way = NodeSight { lag: Some(1), ..entry("connected") };
        assert_eq!(link(Some(Some(&on_its_way)), None), LinkState::Up);
    }
}
