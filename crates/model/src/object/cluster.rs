//! The cluster itself and its nodes, as every member knows them.

use super::{Object, ObjectError, invalid};
use crate::ids::{ClusterId, DongleId, MemberNumber};
use crate::record::Kind;
use serde::{Deserialize, Serialize};

/// The cluster: one record, with the key `cluster`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cluster {
    /// Its identity, fixed at creation.
    pub id: ClusterId,
    /// The name people gave it.
    pub name: String,
    /// The SIP domain of the phones' addresses, for example `pleiad.test`.
    pub domain: String,
    /// The site number that every member shares (ARC-22).
    pub site_number: u16,
}

impl Cluster {
    /// The key of the only record of this kind.
    pub const KEY: &'static str = "cluster";
}

impl Object for Cluster {
    const KIND: Kind = Kind::Cluster;

    fn validate(&self, key: &str) -> Result<(), ObjectError> {
        if key != Cluster::KEY {
            return Err(invalid(Kind::Cluster, key, "key", "there is one cluster record, 'cluster'"));
        }
        let domain_ok = !self.domain.is_empty()
            && self.domain.len() <= 253
            && self.domain.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-');
        if !domain_ok {
            return Err(invalid(Kind::Cluster, key, "domain", "a host name such as pleiad.test is needed"));
        }
        Ok(())
    }
}

/// A node: the key is its number, bound here to the machine that may use it (DEP-29).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// The name people gave it.
    pub name: String,
    /// The machine that may call itself by this number.
    pub dongle_id: DongleId,
}

impl Object for Node {
    const KIND: Kind = Kind::Node;

    fn validate(&self, key: &str) -> Result<(), ObjectError> {
        match key.parse::<MemberNumber>() {
            Ok(number) if !number.is_cluster_server() => Ok(()),
            Ok(_) => Err(invalid(Kind::Node, key, "key", "0 is the cluster server, nodes are 1 to 230")),
            Err(fault) => Err(invalid(Kind::Node, key, "key", fault.to_string())),
        }
    }
}
