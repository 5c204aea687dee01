//! The JSON of a machine's HTTPS API, as far as the manager speaks it.
//!
//! What comes from a machine may be of another release: unknown fields are skipped, absent ones have defaults
//! where their absence has a meaning. What is sent is exactly what this release knows.

use model::{DongleId, HardwareType, Position, Release};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;

/// `GET /api/v1/identity`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Identity {
    /// Its release.
    pub release: Release,
    /// Its hardware type.
    pub hardware_type: HardwareType,
    /// Its identity.
    pub dongle_id: DongleId,
    /// Its wall clock.
    pub unix_ms: u64,
    /// Its role.
    pub role: String,
    /// True when a manager owns it.
    pub claimed: bool,
    /// The fingerprint of its web certificate, as it writes it.
    pub fingerprint: String,
    /// Its name.
    #[serde(default)]
    pub name: String,
}

/// Where a machine announces itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ManagerContact {
    /// The manager's name.
    pub name: String,
    /// The URL of `announce`.
    pub announce_url: String,
    /// The fingerprint of the manager's certificate.
    pub announce_fingerprint: String,
}

/// `POST /api/v1/claim`
#[derive(Debug, Serialize)]
pub struct ClaimRequest {
    /// Fresh random text.
    pub nonce: String,
    /// Our proof.
    pub proof: String,
    /// Who we are.
    pub manager: ManagerContact,
}

/// The answer to a claim.
#[derive(Deserialize)]
pub struct ClaimAnswer {
    /// Our token there.
    pub token: String,
    /// Its token here.
    pub announce_token: String,
    /// Its proof.
    pub proof: String,
}

impl fmt::Debug for ClaimAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClaimAnswer(…)")
    }
}

/// `POST /api/v1/csr`
#[derive(Debug, Serialize)]
pub struct CsrRequest {
    /// The host name of the member to be.
    pub common_name: String,
}

/// The answer to it.
#[derive(Debug, Deserialize)]
pub struct CsrAnswer {
    /// The signing request.
    pub csr_pem: String,
    /// The addresses phones may reach the machine by.
    #[serde(default)]
    pub addresses: Vec<IpAddr>,
}

/// The cluster a machine belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cluster {
    /// Its identity.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The SIP domain of the phones.
    pub domain: String,
    /// The site number (ARC-22).
    pub site_number: u16,
}

/// `POST /api/v1/role`
#[derive(Clone, Default, Serialize)]
pub struct RoleRequest {
    /// `cluster-server`, `node`, `independent`.
    pub role: &'static str,
    /// The cluster, but for `independent`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<Cluster>,
    /// The number of a node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_number: Option<u8>,
    /// Where a node dials.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cs_address: Option<String>,
    /// The signed certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate_pem: Option<String>,
    /// The authority's certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authority_pem: Option<String>,
    /// The signed certificate for phones on TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sip_certificate_pem: Option<String>,
    /// The password of `admin` at its web administration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admin_password: Option<String>,
    /// Even while calls are up.
    pub force: bool,
}

impl fmt::Debug for RoleRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RoleRequest")
            .field("role", &self.role)
            .field("cluster", &self.cluster)
            .field("node_number", &self.node_number)
            .field("cs_address", &self.cs_address)
            .field("force", &self.force)
            .finish_non_exhaustive()
    }
}

/// `GET /api/v1/state`
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct State {
    /// Its release.
    pub release: Release,
    /// Its identity.
    pub dongle_id: DongleId,
    /// Its wall clock.
    pub unix_ms: u64,
    /// Its role.
    pub role: String,
    /// Its number in the cluster.
    #[serde(default)]
    pub node_number: Option<u8>,
    /// Its state, for example `connected`.
    #[serde(default)]
    pub state: String,
    /// The cluster it belongs to.
    #[serde(default)]
    pub cluster: Option<Cluster>,
    /// Where its data stand.
    #[serde(default)]
    pub position: Position,
    /// The digest of its data.
    #[serde(default)]
    pub digest: String,
    /// Subscribers it holds.
    #[serde(default)]
    pub subscribers: u64,
    /// True when there is none but the general-purpose one (DEP-28).
    #[serde(default)]
    pub general_purpose_only: bool,
    /// Phones bound at it.
    #[serde(default)]
    pub bindings: u64,
    /// Calls in progress.
    #[serde(default)]
    pub calls: u64,
    /// Where a cluster server listens for its nodes.
    #[serde(default)]
    pub link_port: Option<u16>,
    /// The link of a node.
    #[serde(default)]
    pub uplink: Option<Uplink>,
    /// The nodes of a cluster server.
    #[serde(default)]
    pub nodes: Vec<NodeSight>,
    /// Records its release cannot read, with the reason.
    #[serde(default)]
    pub unreadable: Vec<String>,
}

/// A node's own view of its link.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Uplink {
    /// Where it dials.
    #[serde(default)]
    pub address: String,
    /// `connected`, `isolated` …
    #[serde(default)]
    pub state: String,
    /// Since when.
    #[serde(default)]
    pub since_ms: u64,
    /// Why it is not connected, when an operator must act.
    #[serde(default)]
    pub fault: Option<String>,
}

/// A cluster server's view of one node.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct NodeSight {
    /// Its number.
    pub number: u8,
    /// `connected`, `isolated` …
    pub state: String,
    /// Since when.
    #[serde(default)]
    pub since_ms: u64,
    /// Whether its data are proven equal.
    #[serde(default)]
    pub digest_equal: Option<bool>,
    /// Revisions it is behind.
    #[serde(default)]
    pub lag: Option<u64>,
}

/// `POST /api/v1/announce` at the manager: PBX_INFOS (DEP-35).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Announcement {
    /// Who comes.
    pub dongle_id: String,
    /// Its release.
    pub release: String,
    /// Its role now.
    pub role: String,
    /// Its number now.
    #[serde(default)]
    pub node_number: Option<u8>,
    /// Why: `start` or `role`.
    pub event: String,
}
