//! The state of the machine: its role, its link or its nodes, its data, its calls.

use crate::machine::Machine;
use crate::member::LinkSide;
use crate::role::RoleName;
use crate::running::Running;
use crate::shell::clock::{ms, wall_ms};
use crate::shell::engine::{Engine, Stopped};
use cluster::{hub, uplink};
use model::object::Cluster;
use model::tables::Tables;
use model::{DongleId, HardwareType, MemberNumber, Position, Release};
use serde::{Deserialize, Serialize};
use web::ApiError;

/// The state of a machine.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StateView {
    /// What it runs.
    pub release: Release,
    /// What it is made of.
    pub hardware_type: HardwareType,
    /// Who it is.
    pub dongle_id: DongleId,
    /// Its name.
    pub name: String,
    /// Its wall clock.
    pub unix_ms: u64,
    /// How long the process runs.
    pub uptime_ms: u64,
    /// Its role.
    pub role: RoleName,
    /// Its number as a node.
    pub node_number: Option<MemberNumber>,
    /// `independent`, `in-service` (a cluster server), or a node's `connected`, `synchronising`, `isolated`.
    pub state: String,
    /// The cluster it belongs to, or is.
    pub cluster: Cluster,
    /// Where its data stand.
    pub position: Position,
    /// The digest of its data, hexadecimal.
    pub digest: String,
    /// Subscribers it holds.
    pub subscribers: usize,
    /// True when the general-purpose subscriber is the only one (DEP-28).
    pub general_purpose_only: bool,
    /// Phones registered at it.
    pub bindings: usize,
    /// Calls in progress.
    pub calls: usize,
    /// Hang-ups owed to members beyond a cut.
    pub owed: usize,
    /// Subscriptions of its phones to lines and messages.
    #[serde(default)]
    pub subscriptions: usize,
    /// Streams of media that pass through it.
    #[serde(default)]
    pub streams: usize,
    /// The SIP port, UDP and TCP.
    pub sip_port: u16,
    /// The port of SIP over TLS.
    pub sip_tls_port: u16,
    /// On a cluster server: the port nodes dial.
    pub link_port: Option<u16>,
    /// On a node: its link.
    pub uplink: Option<UplinkView>,
    /// On a cluster server: its nodes.
    pub nodes: Vec<NodeView>,
    /// Records this release cannot read, with the reason.
    pub unreadable: Vec<String>,
}

/// A node's view of its link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UplinkView {
    /// Where it dials.
    pub address: String,
    /// `connected`, `synchronising`, `isolated`.
    pub state: String,
    /// Since when, Unix time.
    pub since_ms: u64,
    /// The last revision of the cluster server it has heard of.
    pub cluster_revision: u64,
    /// The revision that is on disk too: changes are in force first and kept right behind, and it is the kept ones that
    /// `objects` shows.
    pub durable_revision: u64,
    /// True while SIP messages can be carried.
    pub carries_sip: bool,
    /// Why it is not connected, when an operator must act.
    pub fault: Option<String>,
}

/// A cluster server's view of one node (ARC-05).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeView {
    /// Its number.
    pub number: MemberNumber,
    /// Its name.
    pub name: String,
    /// `connected`, `synchronising`, `isolated`.
    pub state: String,
    /// Since when, Unix time.
    pub since_ms: u64,
    /// Where its data stand, as it last said.
    pub position: Position,
    /// Whether its data are proven equal; none before the first comparison.
    pub digest_equal: Option<bool>,
    /// What it runs.
    pub release: Option<Release>,
    /// Revisions it is behind.
    pub lag: u64,
    /// Phones registered at it.
    pub bindings: usize,
}

/// What the link side knows.
#[derive(Default)]
struct LinkSight {
    state: String,
    digest: String,
    position: Option<Position>,
    standing: Option<uplink::Standing>,
    nodes: Vec<hub::NodeStatus>,
}

/// What the call side knows.
struct CallSight {
    tables: TablesSight,
    bindings: usize,
    calls: usize,
    owed: usize,
    subscriptions: usize,
    streams: usize,
    names: Vec<(MemberNumber, String)>,
}

#[derive(Default)]
struct TablesSight {
    cluster: Option<Cluster>,
    subscribers: usize,
    ordinary: usize,
    unreadable: Vec<String>,
}

/// The state of the machine.
///
/// # Errors
/// 503 while its role is being changed.
pub async fn state(machine: &Machine) -> Result<StateView, ApiError> {
    let running = super::running(machine)?;
    let link = running.link.ask(|thread| link_sight(thread.side())).await.map_err(super::being_rebuilt)?;
    let sights = running.engine.ask_all(call_sight).await.map_err(super::being_rebuilt)?;
    let sum = |count: fn(&CallSight) -> usize| sights.iter().map(count).sum::<usize>();
    let (bindings, calls_up, owed) =
        (sum(|each| each.bindings), sum(|each| each.calls), sum(|each| each.owed));
    let (subscriptions, streams) = (sum(|each| each.subscriptions), sum(|each| each.streams));
    let calls = sights.into_iter().next().ok_or(Stopped).map_err(super::being_rebuilt)?;
    let position = match link.position {
        Some(position) => position,
        None => {
            let store = machine.store().clone();
            super::on_disk(move || store.position()).await?
        }
    };
    let config = machine.config();
    let settings = running.role.cluster();
    let cluster = calls.tables.cluster.unwrap_or_else(|| Cluster {
        id: settings.id.clone(),
        name: settings.name.clone(),
        domain: settings.domain.clone(),
        site_number: settings.site_number,
    });
    Ok(StateView {
        release: config.release,
        hardware_type: config.hardware_type,
        dongle_id: machine.identity().dongle_id.clone(),
        name: config.name.clone(),
        unix_ms: wall_ms(),
        uptime_ms: ms(machine.clock().now().saturating_sub(machine.started())),
        role: running.role.name(),
        node_number: running.role.node_number(),
        state: link.state.clone(),
        cluster,
        position,
        digest: link.digest,
        subscribers: calls.tables.subscribers,
        general_purpose_only: calls.tables.ordinary == 0,
        bindings,
        calls: calls_up,
        owed,
        subscriptions,
        streams,
        sip_port: running.phones.address().port(),
        sip_tls_port: running.phones.tls_address().port(),
        link_port: running.link_address.map(|address| address.port()),
        uplink: link.standing.map(|standing| uplink_view(&running, link.state, &standing)),
        nodes: link.nodes.iter().map(|node| node_view(node, &calls.names)).collect(),
        unreadable: calls.tables.unreadable,
    })
}

fn link_sight(side: &LinkSide) -> LinkSight {
    match side {
        LinkSide::None => LinkSight { state: "independent".to_owned(), ..LinkSight::default() },
        LinkSide::Node(machine) => {
            let standing = machine.standing();
            LinkSight {
                state: uplink_word(standing.state).to_owned(),
                digest: crate::identity::hex(&machine.digest().to_bytes()),
                position: Some(standing.position),
                standing: Some(standing),
                nodes: Vec::new(),
            }
        }
        LinkSide::Server(machine) => LinkSight {
            state: "in-service".to_owned(),
            digest: crate::identity::hex(&machine.digest().to_bytes()),
            position: Some(machine.position()),
            standing: None,
            nodes: machine.nodes(),
        },
    }
}

/// What one thread knows; the records are the same for all, and only the first one has to look at them.
fn call_sight(engine: &mut Engine) -> CallSight {
    let shard = engine.lane().shard();
    let first = engine.head().is_some().then(|| shard.tables());
    CallSight {
        tables: first.map(tables_sight).unwrap_or_default(),
        bindings: shard.bindings().count(),
        calls: shard.calls().count(),
        owed: shard.owed(),
        subscriptions: shard.subscriptions(),
        streams: shard.streams(),
        names: first
            .into_iter()
            .flat_map(|tables| tables.nodes().map(|(number, node)| (number, node.name.clone())))
            .collect(),
    }
}

fn tables_sight(tables: &Tables) -> TablesSight {
    TablesSight {
        cluster: tables.cluster().cloned(),
        subscribers: tables.subscribers().count(),
        ordinary: tables.subscribers().filter(|(_, subscriber)| !subscriber.general_purpose).count(),
        unreadable: tables
            .unreadable()
            .map(|(kind, key, fault)| format!("{kind} '{key}': {fault}"))
            .collect(),
    }
}

/// A node tries again each second; people are shown that it is isolated, not each attempt.
fn uplink_word(state: uplink::StateName) -> &'static str {
    match state {
        uplink::StateName::Isolated | uplink::StateName::Connecting => "isolated",
        uplink::StateName::Synchronising => "synchronising",
        uplink::StateName::Connected => "connected",
    }
}

/// The word for the state of a node as its cluster server sees it.
#[must_use]
pub fn node_word(state: hub::StateName) -> &'static str {
    match state {
        hub::StateName::Unreachable => "isolated",
        hub::StateName::Synchronising => "synchronising",
        hub::StateName::Connected => "connected",
    }
}

fn uplink_view(running: &Running, state: String, standing: &uplink::Standing) -> UplinkView {
    let dialler = running.dialler.as_ref();
    let fault = standing.fault.as_ref().map(ToString::to_string);
    UplinkView {
        address: dialler.map(|dialler| dialler.address().to_owned()).unwrap_or_default(),
        state,
        since_ms: ms(standing.since),
        cluster_revision: standing.cluster_revision,
        durable_revision: standing.durable,
        carries_sip: running.members.connected().contains(&MemberNumber::CLUSTER_SERVER),
        fault: fault.or_else(|| dialler.and_then(crate::shell::link::dial::Dialler::last_fault)),
    }
}

fn node_view(status: &hub::NodeStatus, names: &[(MemberNumber, String)]) -> NodeView {
    let name = names.iter().find(|(number, _)| *number == status.member).map(|(_, name)| name.clone());
    NodeView {
        number: status.member,
        name: name.unwrap_or_default(),
        state: node_word(status.state).to_owned(),
        since_ms: ms(status.since),
        position: status.position,
        digest_equal: status.digest_equal,
        release: status.release,
        lag: status.lag,
        bindings: status.bindings,
    }
}
