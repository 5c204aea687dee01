//! What the demo consists of. Names, numbers and ports are fixed, so that recipes can be written.

use super::netns;
use anyhow::{Context, Result, ensure};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::path::PathBuf;

/// The nodes of the demo.
pub(super) const NODES: [u8; 2] = [1, 2];
/// The key of the feature class of ordinary subscribers.
pub(super) const CLASS_STANDARD: &str = "standard";
/// The key of the feature class that may not call the numbers of [`BARRED_LIST`].
pub(super) const CLASS_RESTRICTED: &str = "restricted";
/// The key of the list of barred numbers, and its prefixes.
pub(super) const BARRED_LIST: (&str, [&str; 2]) = ("premium", ["0900", "2900"]);
/// The emergency number and who answers it.
pub(super) const EMERGENCY: (&str, &str) = ("112", "2001");
/// The range of extensions.
pub(super) const RANGE: (&str, &str) = ("2000", "2999");

/// A call server of the demo.
pub(super) struct Member {
    /// Its name in the topology, in settings and logs.
    pub(super) name: &'static str,
    /// 0 for the cluster server.
    pub(super) number: u8,
    pub(super) sip_port: u16,
    pub(super) sip_tls_port: u16,
    pub(super) web_port: u16,
    pub(super) link_port: u16,
    /// The extensions whose phones register there.
    pub(super) extensions: [&'static str; 2],
}

const MEMBERS: [Member; 3] = [
    Member {
        name: "cs",
        number: 0,
        sip_port: 5060,
        sip_tls_port: 5061,
        web_port: 7501,
        link_port: 7601,
        extensions: ["2001", "2002"],
    },
    Member {
        name: "node-1",
        number: 1,
        sip_port: 5160,
        sip_tls_port: 5161,
        web_port: 7502,
        link_port: 7602,
        extensions: ["2101", "2102"],
    },
    Member {
        name: "node-2",
        number: 2,
        sip_port: 5260,
        sip_tls_port: 5261,
        web_port: 7503,
        link_port: 7603,
        extensions: ["2201", "2202"],
    },
];

/// The manager's HTTPS port.
const MANAGER_PORT: u16 = 7443;
/// Where node N dials its cluster server: its relay listens on this port plus N.
const WAN_PORT: u16 = 7610;

/// What the processes stand on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ground {
    /// One address of this machine; nodes reach the cluster server through relays.
    Loopback(IpAddr),
    /// A network namespace for each call server.
    Namespaces,
}

/// The demo as it was asked for.
pub(super) struct Plan {
    pub(super) ground: Ground,
    /// The SIP domain of the phones.
    pub(super) domain: String,
}

impl Plan {
    pub(super) fn new(ground: Ground, domain: &str) -> Plan {
        Plan { ground, domain: domain.to_owned() }
    }

    /// The addresses of a network are written into its topology at the first start: a later start must be alike.
    pub(super) fn settle(&self, dir: &Path) -> Result<()> {
        let place = match self.ground {
            Ground::Loopback(address) => format!("--bind {address}"),
            Ground::Namespaces => "--netns".to_owned(),
        };
        let (file, ours) = (dir.join("demo.txt"), format!("{place} --domain {}\n", self.domain));
        match std::fs::read_to_string(&file) {
            Ok(theirs) => ensure!(
                theirs == ours,
                "the network in {0} was made with `{1}`, not with `{2}`\n  next: start it as it was, or choose another --dir",
                dir.display(),
                theirs.trim(),
                ours.trim()
            ),
            Err(_) => {
                std::fs::write(&file, ours).with_context(|| format!("cannot write {}", file.display()))?
            }
        }
        Ok(())
    }

    /// The three call servers, the cluster server first.
    pub(super) fn members(&self) -> &'static [Member] {
        &MEMBERS
    }

    /// A port of a member, as everybody but its own node reaches it.
    pub(super) fn at(&self, member: &Member, port: u16) -> SocketAddr {
        SocketAddr::new(self.ip(member.number), port)
    }

    pub(super) fn manager_address(&self) -> SocketAddr {
        SocketAddr::new(self.ip(netns::HERE), MANAGER_PORT)
    }

    fn ip(&self, number: u8) -> IpAddr {
        match self.ground {
            Ground::Loopback(address) => address,
            Ground::Namespaces => netns::address(number).into(),
        }
    }

    /// Where a node's relay listens, and where it carries to; namespaces need no relay.
    pub(super) fn relay(&self, node: u8) -> Option<(SocketAddr, SocketAddr)> {
        match self.ground {
            Ground::Loopback(address) => {
                Some((SocketAddr::new(address, WAN_PORT + u16::from(node)), self.cluster_link()))
            }
            Ground::Namespaces => None,
        }
    }

    /// Where a node dials its cluster server.
    pub(super) fn dialled_by(&self, node: u8) -> SocketAddr {
        self.relay(node).map_or_else(|| self.cluster_link(), |(listen, _)| listen)
    }

    fn cluster_link(&self) -> SocketAddr {
        let [cs, ..] = &MEMBERS;
        self.at(cs, cs.link_port)
    }
}

/// The control socket of a node's relay, in the demo's folder.
pub(super) fn wan_socket(node: u8) -> PathBuf {
    PathBuf::from(format!("wan-{node}.sock"))
}

/// The name of a node's relay.
pub(super) fn wan_name(node: u8) -> String {
    format!("wan-{node}")
}
