//! What supervision knows: the map of machines and links (ARC-05, DEP-45), and the doctor's findings.

use super::MachineKind;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Whether a machine answers the manager.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Reach {
    /// It answered within the last few polls.
    Up,
    /// It does not answer.
    Lost,
    /// It was never asked: not claimed yet.
    Unknown,
}

/// How the link of a node to its cluster server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LinkState {
    /// Connected, synchronised, digest equal.
    Up,
    /// Connected but not yet, or not truly, synchronised.
    Degraded,
    /// The node runs by itself.
    Isolated,
    /// The cluster server has no link and the node does not answer either.
    Lost,
    /// Nobody could be asked.
    Unknown,
}

impl LinkState {
    /// The word shown to people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            LinkState::Up => "up",
            LinkState::Degraded => "degraded",
            LinkState::Isolated => "isolated",
            LinkState::Lost => "lost",
            LinkState::Unknown => "unknown",
        }
    }
}

/// What a machine itself said when it was last asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LiveState {
    /// Whether it answers now.
    pub reach: Reach,
    /// How old the rest is.
    pub age_ms: u64,
    /// Since when it answers or not, in milliseconds since the Unix epoch.
    pub since_ms: u64,
    /// Its last words, none when it never answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sight: Option<MachineSight>,
    /// Why the last attempt failed; empty when it did not.
    pub fault: String,
}

/// The part of a machine's state the manager shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MachineSight {
    /// Its release.
    pub release: String,
    /// Its role: `independent`, `cluster-server`, `node`.
    pub role: String,
    /// Its state, for example `connected` or `isolated`.
    pub state: String,
    /// Its number in the cluster.
    pub node_number: Option<u8>,
    /// The revision its data stand at.
    pub revision: u64,
    /// The digest of its data.
    pub digest: String,
    /// Subscribers it holds.
    pub subscribers: u64,
    /// Phones bound at it.
    pub bindings: u64,
    /// Calls in progress at it.
    pub calls: u64,
    /// Its clock against ours, positive when it is ahead (PRE-14).
    pub clock_offset_ms: i64,
}

/// A machine on the map.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MapMachine {
    /// Its key in the topology.
    pub id: String,
    /// What it is called.
    pub name: String,
    /// Cluster server or node.
    pub kind: MachineKind,
    /// Its multi-site.
    pub multi_site: String,
    /// For a node: the key of its cluster server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cs: Option<String>,
    /// How far its deployment is.
    pub progress: super::Progress,
    /// Its number in the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_number: Option<u8>,
    /// What supervision last heard of it.
    pub live: LiveState,
}

/// A link on the map: from a node to its cluster server (ARC-25: there are no others).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MapLink {
    /// The node's key.
    pub node: String,
    /// The cluster server's key.
    pub cs: String,
    /// How it is.
    pub state: LinkState,
    /// Since when, in milliseconds since the Unix epoch; 0 when nobody knows.
    pub since_ms: u64,
    /// Revisions the node is behind, as the cluster server sees it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lag: Option<u64>,
    /// Whether the node's data are proven equal at the same revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest_equal: Option<bool>,
    /// What both ends say, in words.
    pub detail: String,
}

/// The supervision map (DEP-45).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Map {
    /// When it was drawn, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// The machines, by key.
    pub machines: Vec<MapMachine>,
    /// The links, by node.
    pub links: Vec<MapLink>,
}

/// The verdict on one thing the doctor looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// Works, but should be seen to.
    Warning,
    /// Wrong.
    Fault,
}

impl Verdict {
    /// The word shown to people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Ok => "ok",
            Verdict::Warning => "warning",
            Verdict::Fault => "fault",
        }
    }
}

/// One thing the doctor looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Check {
    /// What was examined: `manager` or the key of a machine.
    pub subject: String,
    /// What was asked, for example `clock`.
    pub check: String,
    /// The verdict.
    pub verdict: Verdict,
    /// What was found.
    pub detail: String,
    /// The next thing to do; empty when there is nothing.
    pub next: String,
}

/// The doctor's findings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Doctor {
    /// The worst of the verdicts.
    pub verdict: Verdict,
    /// Everything that was looked at.
    pub checks: Vec<Check>,
}
