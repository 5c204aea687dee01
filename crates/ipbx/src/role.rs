//! The configured role of this machine, as the manager sets it and as it rests in the state folder (DCS-21,
//! DEP-34). It is not the runtime state: a node that is cut off is still a node (AMB-02).

use crate::files::{self, FileError};
use crate::identity::Identity;
use model::{ClusterId, MemberNumber};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The file of the state folder.
const FILE: &str = "role.json";

/// The SIP domain of a machine on its own.
pub const OWN_DOMAIN: &str = "pleiad.test";

/// Why a role cannot be taken; the machine keeps the one it has.
#[derive(Debug, thiserror::Error)]
pub enum RoleError {
    /// A field that this role needs is absent.
    #[error("a {role} needs the field '{field}'")]
    Missing {
        /// The role asked for.
        role: &'static str,
        /// What is not there.
        field: &'static str,
    },
    /// A field has a value that cannot be.
    #[error("field '{field}': {reason}")]
    Invalid {
        /// Which one.
        field: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// The state folder.
    #[error(transparent)]
    File(#[from] FileError),
}

/// The cluster a machine belongs to, as far as the role says it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClusterSettings {
    /// Its identity: realm, and host part of every SIP address inside.
    pub id: ClusterId,
    /// Its name, for people.
    pub name: String,
    /// The SIP domain of the phones.
    pub domain: String,
    /// The site number every member shares (ARC-22).
    pub site_number: u16,
}

/// What a member proves itself with on the cluster link: the machine's own key, signed by the authority.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// The certificate for `nN.CLUSTER`, PEM.
    pub certificate_pem: String,
    /// The certificate of the cluster's authority, PEM.
    pub authority_pem: String,
    /// The certificate for phones on TLS, of the same key and authority, PEM. A manager of an earlier release
    /// gives none: the machine's self-signed one serves then.
    #[serde(default)]
    pub sip_certificate_pem: Option<String>,
}

impl std::fmt::Debug for Membership {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Membership(…)")
    }
}

/// The role of this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "role", rename_all = "kebab-case")]
pub enum Role {
    /// A system of its own, with a cluster of one and no link.
    Independent {
        /// Its own, generated at the first start.
        cluster: ClusterSettings,
    },
    /// The centre of a cluster.
    ClusterServer {
        /// The cluster it leads.
        cluster: ClusterSettings,
        /// For the links of its nodes.
        membership: Membership,
    },
    /// A node of a cluster.
    Node {
        /// The cluster it belongs to.
        cluster: ClusterSettings,
        /// For its link.
        membership: Membership,
        /// Its number, 1 to 230.
        number: MemberNumber,
        /// Where it dials its cluster server, `host:port`.
        cs_address: String,
    },
}

/// A role as the manager asks for it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoleRequest {
    /// `cluster-server`, `node` or `independent`.
    pub role: RoleName,
    /// The cluster; not for `independent`.
    #[serde(default)]
    pub cluster: Option<ClusterSettings>,
    /// The node number; for `node`.
    #[serde(default)]
    pub node_number: Option<MemberNumber>,
    /// `host:port` of the cluster server's link; for `node`.
    #[serde(default)]
    pub cs_address: Option<String>,
    /// The signed certificate; not for `independent`.
    #[serde(default)]
    pub certificate_pem: Option<String>,
    /// The authority; not for `independent`.
    #[serde(default)]
    pub authority_pem: Option<String>,
    /// The signed certificate for phones on TLS; not for `independent`.
    #[serde(default)]
    pub sip_certificate_pem: Option<String>,
    /// A password for the account `admin` of the web administration.
    #[serde(default)]
    pub admin_password: Option<String>,
    /// End the calls that are up.
    #[serde(default)]
    pub force: bool,
}

/// The word for a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RoleName {
    /// A system of its own.
    Independent,
    /// The centre of a cluster.
    ClusterServer,
    /// A node of a cluster.
    Node,
}

impl RoleName {
    /// The word as it is written.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            RoleName::Independent => "independent",
            RoleName::ClusterServer => "cluster-server",
            RoleName::Node => "node",
        }
    }
}

impl Role {
    /// Reads the stored role; a machine that never had one is independent.
    ///
    /// # Errors
    /// When the file is damaged or cannot be written.
    pub fn load_or_make(dir: &Path, identity: &Identity, name: &str) -> Result<Role, RoleError> {
        let path = dir.join(FILE);
        if let Some(role) = files::read_json::<Role>(&path)? {
            return Ok(role);
        }
        let role = Role::independent(identity, name)?;
        files::write_json(&path, &role)?;
        Ok(role)
    }

    /// Keeps the role for the next start.
    ///
    /// # Errors
    /// When the file cannot be written; the old one then stands.
    pub fn save(&self, dir: &Path) -> Result<(), RoleError> {
        Ok(files::write_json(&dir.join(FILE), self)?)
    }

    /// The role of a machine on its own: a cluster of one, named after its dongle.
    ///
    /// # Errors
    /// When the dongle id is too long to be part of a cluster id.
    pub fn independent(identity: &Identity, name: &str) -> Result<Role, RoleError> {
        let label = format!("s-{}", identity.dongle_id.as_str().to_ascii_lowercase());
        let id = ClusterId::try_from(label)
            .map_err(|fault| RoleError::Invalid { field: "dongle_id", reason: fault.to_string() })?;
        let cluster =
            ClusterSettings { id, name: name.to_owned(), domain: OWN_DOMAIN.to_owned(), site_number: 0 };
        Ok(Role::Independent { cluster })
    }

    /// The role a request asks for.
    ///
    /// # Errors
    /// When a field is missing or wrong, naming it.
    pub fn from_request(request: &RoleRequest, identity: &Identity, name: &str) -> Result<Role, RoleError> {
        let word = request.role.word();
        let missing = |field| RoleError::Missing { role: word, field };
        if request.role == RoleName::Independent {
            return Role::independent(identity, name);
        }
        let cluster = request.cluster.clone().ok_or(missing("cluster"))?;
        let membership = Membership {
            certificate_pem: request.certificate_pem.clone().ok_or(missing("certificate_pem"))?,
            authority_pem: request.authority_pem.clone().ok_or(missing("authority_pem"))?,
            sip_certificate_pem: request.sip_certificate_pem.clone(),
        };
        if request.role == RoleName::ClusterServer {
            return Ok(Role::ClusterServer { cluster, membership });
        }
        let number = request.node_number.ok_or(missing("node_number"))?;
        if number.is_cluster_server() {
            let reason = "a node has a number from 1 to 230".to_owned();
            return Err(RoleError::Invalid { field: "node_number", reason });
        }
        let cs_address = request.cs_address.clone().ok_or(missing("cs_address"))?;
        let well_formed = cs_address
            .rsplit_once(':')
            .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0));
        if !well_formed {
            let reason = format!("'{cs_address}' is not host:port");
            return Err(RoleError::Invalid { field: "cs_address", reason });
        }
        Ok(Role::Node { cluster, membership, number, cs_address })
    }

    /// The word for it.
    #[must_use]
    pub fn name(&self) -> RoleName {
        match self {
            Role::Independent { .. } => RoleName::Independent,
            Role::ClusterServer { .. } => RoleName::ClusterServer,
            Role::Node { .. } => RoleName::Node,
        }
    }

    /// The cluster it belongs to, or is.
    #[must_use]
    pub fn cluster(&self) -> &ClusterSettings {
        match self {
            Role::Independent { cluster }
            | Role::ClusterServer { cluster, .. }
            | Role::Node { cluster, .. } => cluster,
        }
    }

    /// The number this machine has among the members: 0 unless it is a node.
    #[must_use]
    pub fn member(&self) -> MemberNumber {
        match self {
            Role::Node { number, .. } => *number,
            Role::Independent { .. } | Role::ClusterServer { .. } => MemberNumber::CLUSTER_SERVER,
        }
    }

    /// The number of a node.
    #[must_use]
    pub fn node_number(&self) -> Option<MemberNumber> {
        match self {
            Role::Node { number, .. } => Some(*number),
            Role::Independent { .. } | Role::ClusterServer { .. } => None,
        }
    }

    /// The certificate phones on TLS see, and the one they must trust for it, both PEM: the cluster's authority, or
    /// the machine's self-signed certificate itself.
    #[must_use]
    pub fn sip_trust<'a>(&'a self, identity: &'a Identity) -> (&'a str, &'a str) {
        match self {
            Role::ClusterServer { membership, .. } | Role::Node { membership, .. } => {
                if let Some(certificate) = &membership.sip_certificate_pem {
                    return (certificate, &membership.authority_pem);
                }
            }
            Role::Independent { .. } => {}
        }
        (&identity.certificate_pem, &identity.certificate_pem)
    }

    /// Who writes common data for this machine, when it is not the machine itself.
    #[must_use]
    pub fn owner_elsewhere(&self) -> Option<&str> {
        match self {
            Role::Node { cs_address, .. } => Some(cs_address),
            Role::Independent { .. } | Role::ClusterServer { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(dir: &Path) -> Identity {
        Identity::load_or_make(dir, "x", std::net::Ipv4Addr::LOCALHOST.into()).unwrap()
    }

    fn node_request() -> RoleRequest {
        RoleRequest {
            role: RoleName::Node,
            cluster: Some(ClusterSettings {
                id: "c-1".parse().unwrap(),
                name: "Centre".to_owned(),
                domain: "pleiad.test".to_owned(),
                site_number: 1,
            }),
            node_number: Some("7".parse().unwrap()),
            cs_address: Some("10.0.0.1:7601".to_owned()),
            certificate_pem: Some("c".to_owned()),
            authority_pem: Some("a".to_owned()),
            sip_certificate_pem: None,
            admin_password: None,
            force: false,
        }
    }

    #[test]
    fn a_new_machine_is_independent_and_stays_what_it_was_made() {
        let dir = tempfile::tempdir().unwrap();
        let identity = identity(dir.path());
        assert_eq!(Role::load_or_make(dir.path(), &identity, "x").unwrap().name(), RoleName::Independent);
        let node = Role::from_request(&node_request(), &identity, "x").unwrap();
        node.save(dir.path()).unwrap();
        let again = Role::load_or_make(dir.path(), &identity, "x").unwrap();
        assert_eq!(again, node);
        assert_eq!((again.member().get(), again.owner_elsewhere()), (7, Some("10.0.0.1:7601")));
    }

    #[test]
    fn dep_30_a_node_without_number_or_server_address_is_refused_naming_the_field() {
        let dir = tempfile::tempdir().unwrap();
        let identity = identity(dir.path());
        let refused =
            |request: RoleRequest| Role::from_request(&request, &identity, "x").unwrap_err().to_string();
        assert!(refused(RoleRequest { node_number: None, ..node_request() }).contains("node_number"));
        assert!(refused(RoleRequest { cs_address: None, ..node_request() }).contains("cs_address"));
        assert!(
            refused(RoleRequest { cs_address: Some("nowhere".into()), ..node_request() })
                .contains("host:port")
        );
        assert!(
            refused(RoleRequest { node_number: Some(MemberNumber::CLUSTER_SERVER), ..node_request() })
                .contains("1 to 230")
        );
    }
}
