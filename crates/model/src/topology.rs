//! The manager's topology (DCS-03..07, DEP-23): region > multi-site > cluster server > node.
//!
//! These are objects of the manager alone ([`Scope::Manager`](crate::record::Scope)); no member of a cluster
//! holds them. A machine carries what the operator said of it and, in [`Progress`], what its deployment has
//! found out so far: each state holds what that state knows, so a role cannot be given to a machine whose
//! identity was never read.

use crate::hardware::HardwareType;
use crate::ids::{ClusterId, DongleId, IdError, MemberNumber};
use crate::object::{Object, ObjectError, invalid};
use crate::record::Kind;
use crate::release::Release;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Characters of a name.
pub const NAME_CHARACTERS_MAX: usize = 64;
/// Characters of a free text.
pub const TEXT_CHARACTERS_MAX: usize = 2_000;
/// Where a machine's HTTPS API listens unless said otherwise.
pub const WEB_PORT: u16 = 7501;
/// Where a cluster server's link listens unless said otherwise.
pub const LINK_PORT: u16 = 7601;

/// The text names no place to connect to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not an address: expected HOST or HOST:PORT, for example 192.0.2.7:7501")]
pub struct NotAnAddress(pub String);

/// A host (name, IPv4, or IPv6 in brackets) and a port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostPort {
    /// The host, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl HostPort {
    /// Reads `HOST` or `HOST:PORT`.
    ///
    /// # Errors
    /// [`NotAnAddress`] when the host is empty or has foreign characters, or the port is no number above 0.
    pub fn parse(text: &str, default_port: u16) -> Result<HostPort, NotAnAddress> {
        let fault = || NotAnAddress(text.to_owned());
        let text = text.trim();
        let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, rest)) => (host, rest.strip_prefix(':')),
            None => match text.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            },
        };
        let port = match port {
            Some(digits) => digits.parse::<u16>().ok().filter(|port| *port != 0).ok_or_else(fault)?,
            None => default_port,
        };
        let is_name = |b: u8| b.is_ascii_alphanumeric() || b == b'.' || b == b'-';
        let plain = !host.is_empty() && host.len() <= 253 && host.bytes().all(is_name);
        if plain || host.parse::<std::net::Ipv6Addr>().is_ok() {
            Ok(HostPort { host: host.to_ascii_lowercase(), port })
        } else {
            Err(fault())
        }
    }
}

impl FromStr for HostPort {
    type Err = NotAnAddress;
    fn from_str(text: &str) -> Result<Self, NotAnAddress> {
        HostPort::parse(text, WEB_PORT)
    }
}

impl TryFrom<String> for HostPort {
    type Error = NotAnAddress;
    fn try_from(text: String) -> Result<Self, NotAnAddress> {
        text.parse()
    }
}

impl From<HostPort> for String {
    fn from(address: HostPort) -> String {
        address.to_string()
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// A region: the top of the topology (DCS-03).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Region {
    /// Its name.
    pub name: String,
    /// Anything worth knowing.
    #[serde(default)]
    pub comment: String,
}

/// A multi-site: a cluster lies in one, and it lies in a region (DCS-04).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MultiSite {
    /// Its name.
    pub name: String,
    /// The key of its region.
    pub region: String,
    /// Anything worth knowing.
    #[serde(default)]
    pub comment: String,
}

/// What a machine is to become, with what only that has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Purpose {
    /// The centre of a cluster.
    ClusterServer {
        /// The key of the multi-site it was created in.
        multi_site: String,
        /// The SIP domain of the phones.
        domain: String,
        /// The site number its members share (ARC-22).
        site_number: u16,
        /// The identity of its cluster, fixed at the first configuration.
        cluster: Option<ClusterId>,
    },
    /// A node.
    Node {
        /// The key of its cluster server's machine.
        cluster_server: String,
    },
}

/// What identification read and accepted (DCS-15, DEP-25).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identified {
    /// Its release.
    pub release: Release,
    /// Its hardware type.
    pub hardware_type: HardwareType,
    /// Its identity.
    pub dongle_id: DongleId,
    /// Its clock against the manager's, positive when it is ahead (PRE-14).
    pub clock_offset_ms: i64,
}

/// The part of a deployment that only the manager decides (DEP-30).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assignment {
    /// 0 for a cluster server, 1 to 230 for a node.
    pub number: MemberNumber,
    /// Which run of the configuration this is; a step of an older run does nothing.
    pub generation: u64,
}

/// How far the deployment of a machine is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "progress")]
pub enum Progress {
    /// Name and address.
    Created,
    /// It obeys this manager.
    Claimed {
        /// SHA-256 of the certificate seen when it was claimed; no other is believed.
        fingerprint: String,
    },
    /// Its identity was read and fits.
    Identified {
        /// See `Claimed`.
        fingerprint: String,
        /// What was read.
        identity: Identified,
    },
    /// Its configuration began; until it ends, the same run may be repeated.
    Configuring {
        /// See `Claimed`.
        fingerprint: String,
        /// What was read.
        identity: Identified,
        /// What it is to be.
        assignment: Assignment,
    },
    /// It has its role.
    Configured {
        /// See `Claimed`.
        fingerprint: String,
        /// What was read.
        identity: Identified,
        /// What it is.
        assignment: Assignment,
    },
}

impl Progress {
    /// The pinned fingerprint, once claimed.
    #[must_use]
    pub fn fingerprint(&self) -> Option<&str> {
        match self {
            Progress::Created => None,
            Progress::Claimed { fingerprint }
            | Progress::Identified { fingerprint, .. }
            | Progress::Configuring { fingerprint, .. }
            | Progress::Configured { fingerprint, .. } => Some(fingerprint),
        }
    }

    /// What identification read, once identified.
    #[must_use]
    pub fn identity(&self) -> Option<&Identified> {
        match self {
            Progress::Created | Progress::Claimed { .. } => None,
            Progress::Identified { identity, .. }
            | Progress::Configuring { identity, .. }
            | Progress::Configured { identity, .. } => Some(identity),
        }
    }

    /// Its number and generation, once configuration began.
    #[must_use]
    pub fn assignment(&self) -> Option<Assignment> {
        match self {
            Progress::Configuring { assignment, .. } | Progress::Configured { assignment, .. } => {
                Some(*assignment)
            }
            Progress::Created | Progress::Claimed { .. } | Progress::Identified { .. } => None,
        }
    }

    /// True once the machine has its role.
    #[must_use]
    pub fn is_configured(&self) -> bool {
        matches!(self, Progress::Configured { .. })
    }
}

/// A machine of the topology.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// What it is called (compulsory).
    pub name: String,
    /// Where its HTTPS API is (compulsory).
    pub address: HostPort,
    /// What it is to become.
    pub purpose: Purpose,
    /// Cluster server: where nodes dial its link. Node: where this one dials instead (NAT, relay).
    pub link_address: Option<HostPort>,
    /// Where it stands.
    #[serde(default)]
    pub postal_address: String,
    /// Information for other operators.
    #[serde(default)]
    pub information: String,
    /// Anything else.
    #[serde(default)]
    pub comment: String,
    /// How far its deployment is.
    pub progress: Progress,
}

impl Machine {
    /// True for the machine of a cluster server.
    #[must_use]
    pub fn is_cluster_server(&self) -> bool {
        matches!(self.purpose, Purpose::ClusterServer { .. })
    }

    /// The cluster it is the centre of, once it has one.
    #[must_use]
    pub fn cluster(&self) -> Option<&ClusterId> {
        match &self.purpose {
            Purpose::ClusterServer { cluster, .. } => cluster.as_ref(),
            Purpose::Node { .. } => None,
        }
    }

    /// The key of its cluster server, for a node.
    #[must_use]
    pub fn cluster_server(&self) -> Option<&str> {
        match &self.purpose {
            Purpose::Node { cluster_server } => Some(cluster_server),
            Purpose::ClusterServer { .. } => None,
        }
    }

    /// Where `node` is to dial when this is its cluster server (DEP-32); `listening` is the link port that the
    /// cluster server itself reports.
    #[must_use]
    pub fn link_address_for(&self, node: &Machine, listening: Option<u16>) -> HostPort {
        node.link_address.clone().or_else(|| self.link_address.clone()).unwrap_or_else(|| HostPort {
            host: self.address.host.clone(),
            port: listening.unwrap_or(LINK_PORT),
        })
    }
}

/// Makes the key of a new object from its name: `Node 1` becomes `node-1`, then `node-1-2` when that is taken.
/// The key stays when the name changes.
#[must_use]
pub fn key_of_name(name: &str, taken: impl Fn(&str) -> bool) -> String {
    let mut slug = String::new();
    for c in name.chars().flat_map(char::to_lowercase) {
        if c.is_ascii_alphanumeric() {
            slug.push(c);
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    let slug = match slug.trim_end_matches('-') {
        "" => "machine",
        text => text,
    };
    let mut key = slug.to_owned();
    let mut count = 2_u32;
    while taken(&key) {
        key = format!("{slug}-{count}");
        count = count.saturating_add(1);
    }
    key
}

/// Makes the identity of a new cluster from a name and 4 random bytes: `paris-3fa91c07`.
///
/// # Errors
/// Never for a name of any characters; the type asks.
pub fn cluster_id_of_name(name: &str, random: [u8; 4]) -> Result<ClusterId, IdError> {
    let slug = key_of_name(name, |_| false);
    let letters: String = slug.chars().skip_while(|c| !c.is_ascii_lowercase()).take(24).collect();
    let stem = if letters.is_empty() { "c" } else { letters.trim_end_matches('-') };
    format!("{stem}-{:08x}", u32::from_be_bytes(random)).parse()
}

fn check_name(kind: Kind, key: &str, name: &str) -> Result<(), ObjectError> {
    let count = name.chars().count();
    if name.trim().is_empty() {
        return Err(invalid(kind, key, "name", "a name is compulsory"));
    }
    if count > NAME_CHARACTERS_MAX || name.chars().any(char::is_control) {
        return Err(invalid(
            kind,
            key,
            "name",
            format!("at most {NAME_CHARACTERS_MAX} printable characters"),
        ));
    }
    Ok(())
}

fn check_text(kind: Kind, key: &str, field: &'static str, text: &str) -> Result<(), ObjectError> {
    if text.chars().count() > TEXT_CHARACTERS_MAX {
        return Err(invalid(kind, key, field, format!("at most {TEXT_CHARACTERS_MAX} characters")));
    }
    Ok(())
}

impl Object for Region {
    const KIND: Kind = Kind::Region;

    fn validate(&self, key: &str) -> Result<(), ObjectError> {
        check_name(Kind::Region, key, &self.name)?;
        check_text(Kind::Region, key, "comment", &self.comment)
    }
}

impl Object for MultiSite {
    const KIND: Kind = Kind::MultiSite;

    fn validate(&self, key: &str) -> Result<(), ObjectError> {
        check_name(Kind::MultiSite, key, &self.name)?;
        if self.region.is_empty() {
            return Err(invalid(Kind::MultiSite, key, "region", "a region is compulsory; create one first"));
        }
        check_text(Kind::MultiSite, key, "comment", &self.comment)
    }
}

impl Object for Machine {
    const KIND: Kind = Kind::Machine;

    fn validate(&self, key: &str) -> Result<(), ObjectError> {
        check_name(Kind::Machine, key, &self.name)?;
        check_text(Kind::Machine, key, "postal_address", &self.postal_address)?;
        check_text(Kind::Machine, key, "information", &self.information)?;
        check_text(Kind::Machine, key, "comment", &self.comment)?;
        match &self.purpose {
            Purpose::ClusterServer { multi_site, .. } if multi_site.is_empty() => Err(invalid(
                Kind::Machine,
                key,
                "multi_site",
                "a cluster server is created in a multi-site; create one first",
            )),
            Purpose::ClusterServer { domain, .. } if HostPort::parse(domain, 1).is_err() => {
                Err(invalid(Kind::Machine, key, "domain", "a host name such as pleiad.test is needed"))
            }
            Purpose::Node { cluster_server } if cluster_server.is_empty() => Err(invalid(
                Kind::Machine,
                key,
                "cs",
                "a node is created in a cluster: name its cluster server",
            )),
            Purpose::ClusterServer { .. } | Purpose::Node { .. } => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(name: &str, purpose: Purpose) -> Machine {
        Machine {
            name: name.to_owned(),
            address: "192.0.2.7".parse().unwrap(),
            purpose,
            link_address: None,
            postal_address: String::new(),
            information: String::new(),
            comment: String::new(),
            progress: Progress::Created,
        }
    }

    fn cluster_server(name: &str) -> Machine {
        let purpose = Purpose::ClusterServer {
            multi_site: "paris".to_owned(),
            domain: "pleiad.test".to_owned(),
            site_number: 1,
            cluster: None,
        };
        machine(name, purpose)
    }

    #[test]
    fn dcs_06_a_machine_without_a_name_is_refused_and_the_field_is_named() {
        let fault = cluster_server("  ").validate("x").unwrap_err();
        assert!(matches!(fault, ObjectError::Invalid { field: "name", .. }), "{fault}");
        assert_eq!(cluster_server("CS").validate("cs"), Ok(()));
    }

    #[test]
    fn dcs_06_an_address_is_a_host_with_or_without_a_port_and_nothing_else() {
        let read = |text: &str| HostPort::parse(text, WEB_PORT).map(|a| a.to_string());
        assert_eq!(read("192.0.2.7"), Ok("192.0.2.7:7501".to_owned()));
        assert_eq!(read("CS.example:8443"), Ok("cs.example:8443".to_owned()));
        assert_eq!(read("[2001:db8::7]:7501"), Ok("[2001:db8::7]:7501".to_owned()));
        assert_eq!(read("[2001:db8::7]"), Ok("[2001:db8::7]:7501".to_owned()));
        for wrong in ["", " ", ":7501", "host:", "host:0", "host:70000", "a b", "https://host", "2001:db8::7"]
        {
            assert_eq!(read(wrong), Err(NotAnAddress(wrong.to_owned())), "{wrong}");
        }
    }

    #[test]
    fn dcs_04_a_multi_site_needs_a_region() {
        let orphan = MultiSite { name: "Paris".to_owned(), region: String::new(), comment: String::new() };
        assert!(matches!(orphan.validate("paris"), Err(ObjectError::Invalid { field: "region", .. })));
    }

    #[test]
    fn dep_23_a_node_needs_its_cluster_server() {
        let orphan = machine("N", Purpose::Node { cluster_server: String::new() });
        assert!(matches!(orphan.validate("n"), Err(ObjectError::Invalid { field: "cs", .. })));
    }

    #[test]
    fn dep_32_a_node_dials_its_own_override_then_that_of_its_server_then_the_default() {
        let mut server = cluster_server("CS");
        let mut node = machine("N", Purpose::Node { cluster_server: "cs".to_owned() });
        assert_eq!(server.link_address_for(&node, None).to_string(), "192.0.2.7:7601");
        assert_eq!(server.link_address_for(&node, Some(7700)).to_string(), "192.0.2.7:7700");
        server.link_address = Some("198.51.100.1:7700".parse().unwrap());
        assert_eq!(server.link_address_for(&node, None).to_string(), "198.51.100.1:7700");
        node.link_address = Some("127.0.0.1:9000".parse().unwrap());
        assert_eq!(server.link_address_for(&node, None).to_string(), "127.0.0.1:9000");
    }

    #[test]
    fn keys_come_from_names_and_are_unique() {
        assert_eq!(key_of_name("Île de France / 2", |_| false), "le-de-france-2");
        assert_eq!(key_of_name("Node 1", |key| key == "node-1"), "node-1-2");
        assert_eq!(key_of_name("***", |_| false), "machine");
        assert_eq!(cluster_id_of_name("12 Paris", [0, 1, 2, 255]).unwrap().as_str(), "paris-000102ff");
        assert_eq!(cluster_id_of_name("12", [0; 4]).unwrap().as_str(), "c-00000000");
    }

    #[test]
    fn a_machine_survives_storage() {
        let stored = cluster_server("CS").to_json().unwrap();
        assert_eq!(Machine::from_json("cs", &stored), Ok(cluster_server("CS")));
    }
}
