//! Regions, multi-sites and machines as the API shows them (DCS-03..07, DEP-23).

use super::{StepReport, supervision::LiveState};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A region to make or to change (DCS-03).
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RegionRequest {
    /// Its name, compulsory.
    pub name: String,
    /// Anything worth knowing.
    #[serde(default)]
    pub comment: String,
}

/// A region.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RegionView {
    /// Its key, made of the first name and never changed.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Anything worth knowing.
    pub comment: String,
}

/// A multi-site to make or to change (DCS-04).
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MultiSiteRequest {
    /// Its name, compulsory.
    pub name: String,
    /// The region it lies in.
    pub region: String,
    /// Anything worth knowing.
    #[serde(default)]
    pub comment: String,
}

/// A multi-site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MultiSiteView {
    /// Its key, made of the first name and never changed.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The region it lies in.
    pub region: String,
    /// Anything worth knowing.
    pub comment: String,
}

/// What a machine is to become.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MachineKind {
    /// The centre of a cluster.
    ClusterServer,
    /// One of up to 230 around it.
    Node,
}

/// A machine to put into the topology: name and address are compulsory (DCS-06, DEP-23).
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MachineCreate {
    /// What to call it.
    #[serde(default)]
    pub name: String,
    /// Host and port of its HTTPS API, for example `192.0.2.7:7501`; without a port, 7501.
    #[serde(default)]
    pub address: String,
    /// Cluster server or node.
    pub kind: MachineKind,
    /// For a cluster server: the multi-site it is created in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub multi_site: Option<String>,
    /// For a node: the key of its cluster server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cs: Option<String>,
    /// For a cluster server: where its nodes dial its link port (default: its host, port 7601).
    /// For a node: where *this* node dials, when it sees the cluster server at another address (NAT, relay).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link_address: Option<String>,
    /// For a cluster server: the SIP domain of the phones (default `pleiad.test`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// For a cluster server: the site number all its members share (ARC-22; default 1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site_number: Option<u16>,
    /// Where the machine stands.
    #[serde(default)]
    pub postal_address: String,
    /// Information for other operators.
    #[serde(default)]
    pub information: String,
    /// Anything else.
    #[serde(default)]
    pub comment: String,
}

impl MachineCreate {
    /// A cluster server in `multi_site`.
    #[must_use]
    pub fn cluster_server(name: &str, address: &str, multi_site: &str) -> MachineCreate {
        MachineCreate {
            multi_site: Some(multi_site.to_owned()),
            ..MachineCreate::bare(name, address, MachineKind::ClusterServer)
        }
    }

    /// A node of the cluster server `cs`.
    #[must_use]
    pub fn node(name: &str, address: &str, cs: &str) -> MachineCreate {
        MachineCreate { cs: Some(cs.to_owned()), ..MachineCreate::bare(name, address, MachineKind::Node) }
    }

    fn bare(name: &str, address: &str, kind: MachineKind) -> MachineCreate {
        MachineCreate {
            name: name.to_owned(),
            address: address.to_owned(),
            kind,
            multi_site: None,
            cs: None,
            link_address: None,
            domain: None,
            site_number: None,
            postal_address: String::new(),
            information: String::new(),
            comment: String::new(),
        }
    }
}

/// What may be changed of a machine that exists; a field left out stays as it is.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MachineEdit {
    /// What to call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Host and port of its HTTPS API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// See [`MachineCreate::link_address`]; an empty text takes the override away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link_address: Option<String>,
    /// Where the machine stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postal_address: Option<String>,
    /// Information for other operators.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub information: Option<String>,
    /// Anything else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

/// How far the deployment of a machine is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Progress {
    /// Known by name and address only.
    Created,
    /// It obeys this manager; its certificate is pinned.
    Claimed,
    /// Release, hardware type and dongle id are known and fit.
    Identified,
    /// Its configuration began and did not end: run it again.
    Configuring,
    /// It has its role.
    Configured,
}

/// A machine of the topology, with what is known of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MachineView {
    /// Its key, made of the first name and never changed.
    pub id: String,
    /// What it is called.
    pub name: String,
    /// Host and port of its HTTPS API.
    pub address: String,
    /// Cluster server or node.
    pub kind: MachineKind,
    /// Its region, through the multi-site.
    pub region: String,
    /// Its multi-site; a node has that of its cluster server.
    pub multi_site: String,
    /// For a node: the key of its cluster server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cs: Option<String>,
    /// The identity of the cluster, once there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// The override described at [`MachineCreate::link_address`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link_address: Option<String>,
    /// For a cluster server: the SIP domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// The site number shared by all members (ARC-22).
    pub site_number: u16,
    /// Where the machine stands.
    pub postal_address: String,
    /// Information for other operators.
    pub information: String,
    /// Anything else.
    pub comment: String,
    /// How far its deployment is.
    pub progress: Progress,
    /// What to do next with it, in words; empty when there is nothing.
    pub next: String,
    /// SHA-256 of the certificate that was pinned when it was claimed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// Its release, once identified (DCS-15, DEP-25).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// Its hardware type, once identified (DCS-15, DEP-25).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hardware_type: Option<String>,
    /// Its dongle id, once identified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dongle_id: Option<String>,
    /// Its clock against ours when it was identified, positive when it is ahead (PRE-14).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_offset_ms: Option<i64>,
    /// 0 for a cluster server, 1 to 230 for a node, once configured (DEP-30, DEP-31).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_number: Option<u8>,
    /// How often it was configured; a step of an older run finds itself out of date.
    pub generation: u64,
    /// What supervision last heard of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live: Option<LiveState>,
}

/// `POST /api/v1/machines/{id}/claim`
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ClaimRequest {
    /// The one-time code the machine shows on its console until it is claimed.
    pub code: String,
}

impl std::fmt::Debug for ClaimRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ClaimRequest(…)")
    }
}

/// `POST /api/v1/machines/{id}/configure`
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfigureRequest {
    /// Change the role even while calls are up; they end.
    #[serde(default)]
    pub force: bool,
}

/// What a deployment act did: the machine as it is now, and each step. A refused or failed step is
/// the last one and carries the next thing to do.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct Deployment {
    /// The machine afterwards.
    pub machine: MachineView,
    /// The steps in the order they were done.
    pub steps: Vec<StepReport>,
    /// What is no obstacle but should be seen to, such as a clock that is a little off (PRE-14).
    pub warnings: Vec<String>,
    /// The web-admin password made for the machine (`admin`), shown here and nowhere again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admin_password: Option<String>,
}

impl std::fmt::Debug for Deployment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Deployment")
            .field("machine", &self.machine.id)
            .field("steps", &self.steps)
            .field("warnings", &self.warnings)
            .finish_non_exhaustive()
    }
}
