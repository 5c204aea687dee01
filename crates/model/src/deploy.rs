//! Deployment as rules: what a machine must be for its role, which number a node gets, and which steps
//! a configuration takes (DCS-14..21, DEP-25..36, PRE-14).
//!
//! Nothing here talks to a machine. The manager's service reads the facts, asks these rules, and does what they
//! allow; a [`Refusal`] says why not and what to do next, in the words the operator sees.

use crate::hardware::HardwareType;
use crate::ids::{DongleId, MemberNumber, NODES_MAX};
use crate::release::{MINIMUM, Release};
use crate::topology::{HostPort, Identified, Machine, Purpose};
use std::fmt;

/// A clock offset above this is worth a warning: call records of two members no longer line up (PRE-14).
pub const CLOCK_WARN_MS: u64 = 2_000;
/// A clock offset above this is refused. User-state stamps more than 60 s ahead are clamped (DESIGN § 5.3),
/// so a member that far off would lose its users' changes (PRE-14).
pub const CLOCK_REFUSE_MS: u64 = 60_000;

/// Why a machine may not take the next step. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// DCS-16, DEP-26.
    #[error("release {found} is below {MINIMUM}, the lowest that is supported")]
    ReleaseTooLow {
        /// What the machine runs.
        found: Release,
    },
    /// DCS-17.
    #[error("hardware type '{found}' cannot be a cluster server; only 'server' can")]
    WrongHardware {
        /// What the machine is.
        found: HardwareType,
    },
    /// DEP-27.
    #[error("the cluster server '{cluster_server}' is not {needed} yet")]
    ClusterServerFirst {
        /// Its key.
        cluster_server: String,
        /// How far it must be.
        needed: &'static str,
    },
    /// DEP-28.
    #[error("the machine holds {count} subscribers beside the general-purpose one")]
    SubscribersPresent {
        /// How many too many.
        count: u64,
    },
    /// DEP-29: an identity belongs to one machine of one cluster.
    #[error("dongle id {dongle_id} is already in use by '{by}'")]
    IdentityInUse {
        /// The identity.
        dongle_id: DongleId,
        /// Who has it.
        by: String,
    },
    /// The machine at this address is not the one that was identified before.
    #[error("the machine now reports dongle id {found}; {expected} was identified before")]
    OtherMachine {
        /// What it reports.
        found: DongleId,
        /// What is stored.
        expected: DongleId,
    },
    /// PRE-14.
    #[error("the clocks are {offset_ms} ms apart; at most {CLOCK_REFUSE_MS} ms are accepted")]
    ClockOff {
        /// How far, positive when the machine is ahead.
        offset_ms: i64,
    },
    /// ARC-24.
    #[error("the cluster has {NODES_MAX} nodes; a cluster server accepts no more")]
    ClusterFull,
    /// Two machines cannot be at one address.
    #[error("address {address} is already that of '{by}'")]
    AddressInUse {
        /// The address.
        address: HostPort,
        /// The key of the machine that has it.
        by: String,
    },
    /// People find things by their names.
    #[error("the name '{name}' is already that of '{by}'")]
    NameInUse {
        /// The name.
        name: String,
        /// The key of what has it.
        by: String,
    },
    /// DCS-21, DEP-34: a role change rebuilds the engine.
    #[error("{calls} calls are up and would end")]
    CallsUp {
        /// How many.
        calls: u64,
    },
    /// The act needs an earlier one.
    #[error("the machine is not {needed} yet")]
    TooEarly {
        /// What must be done first: `claimed`, `identified` …
        needed: &'static str,
    },
    /// The machine obeys another manager.
    #[error("the machine is already claimed by another manager")]
    ClaimedElsewhere,
    /// The machine already has a role of its own.
    #[error("the machine already is {role} of another deployment")]
    RoleTaken {
        /// Its role.
        role: String,
    },
    /// A cluster server with nodes cannot go.
    #[error("'{cluster_server}' still has {nodes} nodes")]
    HasNodes {
        /// Its key.
        cluster_server: String,
        /// How many.
        nodes: usize,
    },
}

impl Refusal {
    /// The code of the API.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Refusal::ReleaseTooLow { .. } => "release-too-low",
            Refusal::WrongHardware { .. } => "wrong-hardware-type",
            Refusal::ClusterServerFirst { .. } => "cluster-server-first",
            Refusal::SubscribersPresent { .. } => "subscribers-present",
            Refusal::IdentityInUse { .. } => "identity-in-use",
            Refusal::OtherMachine { .. } => "other-machine",
            Refusal::ClockOff { .. } => "clock-off",
            Refusal::ClusterFull => "cluster-full",
            Refusal::AddressInUse { .. } => "address-in-use",
            Refusal::NameInUse { .. } => "name-in-use",
            Refusal::CallsUp { .. } => "calls-up",
            Refusal::TooEarly { .. } => "too-early",
            Refusal::ClaimedElsewhere => "claimed-elsewhere",
            Refusal::RoleTaken { .. } => "role-taken",
            Refusal::HasNodes { .. } => "has-nodes",
        }
    }

    /// The next thing to do.
    #[must_use]
    pub fn next(&self) -> String {
        match self {
            Refusal::ReleaseTooLow { .. } => {
                format!("upgrade the machine to {MINIMUM} or later, then identify it again")
            }
            Refusal::WrongHardware { .. } => {
                "use a machine of hardware type 'server', or add this one as a node".to_owned()
            }
            Refusal::ClusterServerFirst { cluster_server, needed } => {
                format!("finish '{cluster_server}' until it is {needed}, then repeat this")
            }
            Refusal::SubscribersPresent { .. } => {
                "delete the machine's own subscribers (export them first), then configure it again".to_owned()
            }
            Refusal::IdentityInUse { by, .. } => {
                format!(
                    "delete '{by}' from the topology, or check that the address is the intended machine's"
                )
            }
            Refusal::OtherMachine { .. } => {
                "check the address; if the machine was replaced, delete it here and add it anew".to_owned()
            }
            Refusal::ClockOff { .. } => {
                "set the clocks (NTP) of manager and machine, then identify it again".to_owned()
            }
            Refusal::ClusterFull => {
                "delete a node that is no longer used, or start a second cluster".to_owned()
            }
            Refusal::AddressInUse { by, .. } => format!("edit or delete '{by}', or give another address"),
            Refusal::NameInUse { by, .. } => format!("give another name, or rename '{by}' first"),
            Refusal::CallsUp { .. } => {
                "wait until the calls have ended, or configure with force, which ends them".to_owned()
            }
            Refusal::TooEarly { needed: "claimed" } => {
                "claim the machine with the code it shows on its console".to_owned()
            }
            Refusal::TooEarly { needed: "identified" } => "identify the machine".to_owned(),
            Refusal::TooEarly { needed } => format!("repeat this when the machine is {needed}"),
            Refusal::ClaimedElsewhere => {
                "release it from its console (TOTAL start), then claim it with the new code".to_owned()
            }
            Refusal::RoleTaken { .. } => {
                "reset the machine from its console (TOTAL start), then claim and identify it again"
                    .to_owned()
            }
            Refusal::HasNodes { .. } => "delete its nodes first".to_owned(),
        }
    }
}

/// What is no obstacle but should be seen to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Warning {
    /// PRE-14: over [`CLOCK_WARN_MS`].
    ClockOffset {
        /// How far, positive when the machine is ahead.
        offset_ms: i64,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Warning::ClockOffset { offset_ms } => {
                write!(f, "the clocks are {offset_ms} ms apart; synchronise them (NTP) before going on")
            }
        }
    }
}

/// How far apart two wall clocks are, when `theirs` was read somewhere between `before` and `after` on ours.
/// Positive when the machine is ahead; an offset the round trip could explain counts as none.
#[must_use]
pub fn clock_offset_ms(before_ms: u64, theirs_ms: u64, after_ms: u64) -> i64 {
    let distance = |from: u64, to: u64| i64::try_from(to.abs_diff(from)).unwrap_or(i64::MAX);
    if theirs_ms < before_ms {
        -distance(before_ms, theirs_ms)
    } else if theirs_ms > after_ms {
        distance(after_ms, theirs_ms)
    } else {
        0
    }
}

/// PRE-14: one verdict on a clock.
///
/// # Errors
/// [`Refusal::ClockOff`] over [`CLOCK_REFUSE_MS`].
pub fn check_clock(offset_ms: i64) -> Result<Option<Warning>, Refusal> {
    match offset_ms.unsigned_abs() {
        off if off > CLOCK_REFUSE_MS => Err(Refusal::ClockOff { offset_ms }),
        off if off > CLOCK_WARN_MS => Ok(Some(Warning::ClockOffset { offset_ms })),
        _ => Ok(None),
    }
}

/// May this machine be identified as what the topology says it is to become?
///
/// `machines` is the whole topology by key, `key` the machine's own; what it reports is `found`.
///
/// # Errors
/// The first rule that is broken: cluster server first (DEP-27), release (DCS-16, DEP-26), hardware (DCS-17),
/// identity (DEP-29), clock (PRE-14).
pub fn check_identity<'a>(
    key: &str,
    machine: &Machine,
    found: &Identified,
    machines: impl Iterator<Item = (&'a str, &'a Machine)> + Clone,
) -> Result<Option<Warning>, Refusal> {
    check_cluster_server(machine, machines.clone())?;
    if found.release < MINIMUM {
        return Err(Refusal::ReleaseTooLow { found: found.release });
    }
    if machine.is_cluster_server() && found.hardware_type != HardwareType::Server {
        return Err(Refusal::WrongHardware { found: found.hardware_type });
    }
    let expected = machine.progress.identity().map(|identity| &identity.dongle_id);
    if let Some(expected) = expected.filter(|expected| **expected != found.dongle_id) {
        return Err(Refusal::OtherMachine { found: found.dongle_id.clone(), expected: expected.clone() });
    }
    let mut others = machines.filter(|(other, _)| *other != key);
    let holder =
        others.find(|(_, other)| other.progress.identity().is_some_and(|i| i.dongle_id == found.dongle_id));
    if let Some((by, _)) = holder {
        return Err(Refusal::IdentityInUse { dongle_id: found.dongle_id.clone(), by: by.to_owned() });
    }
    check_clock(found.clock_offset_ms)
}

/// DEP-27, before a node is even asked: is its cluster server identified?
///
/// # Errors
/// [`Refusal::ClusterServerFirst`].
pub fn check_cluster_server<'a>(
    machine: &Machine,
    machines: impl Iterator<Item = (&'a str, &'a Machine)>,
) -> Result<(), Refusal> {
    check_cluster_server_before(machine, machines, "identified", |server| {
        server.progress.identity().is_some()
    })
}

fn check_cluster_server_before<'a>(
    machine: &Machine,
    mut machines: impl Iterator<Item = (&'a str, &'a Machine)>,
    needed: &'static str,
    far_enough: impl Fn(&Machine) -> bool,
) -> Result<(), Refusal> {
    let Purpose::Node { cluster_server } = &machine.purpose else { return Ok(()) };
    match machines.find(|(key, _)| key == cluster_server) {
        Some((_, server)) if far_enough(server) => Ok(()),
        _ => Err(Refusal::ClusterServerFirst { cluster_server: cluster_server.clone(), needed }),
    }
}

/// What a machine says of itself just before its role is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleFacts {
    /// Its identity, read again.
    pub dongle_id: DongleId,
    /// Its present role: `independent`, `cluster-server`, `node`.
    pub role: String,
    /// The cluster it belongs to, if any.
    pub cluster: Option<String>,
    /// Subscribers it holds.
    pub subscribers: u64,
    /// True when none is there but the general-purpose one (DEP-28).
    pub general_purpose_only: bool,
    /// Calls in progress.
    pub calls: u64,
}

/// May this identified machine now be given its role?
///
/// # Errors
/// The first rule that is broken: cluster server configured before (DEP-27), same machine as identified, no
/// role in another cluster, no subscribers on a node to be (DEP-28), no calls unless forced (DCS-21, DEP-34).
pub fn check_role<'a>(
    machine: &Machine,
    facts: &RoleFacts,
    own_cluster: Option<&str>,
    force: bool,
    machines: impl Iterator<Item = (&'a str, &'a Machine)>,
) -> Result<(), Refusal> {
    let Some(identity) = machine.progress.identity() else {
        let needed = if machine.progress.fingerprint().is_some() { "identified" } else { "claimed" };
        return Err(Refusal::TooEarly { needed });
    };
    check_cluster_server_before(machine, machines, "configured", |server| server.progress.is_configured())?;
    if facts.dongle_id != identity.dongle_id {
        return Err(Refusal::OtherMachine {
            found: facts.dongle_id.clone(),
            expected: identity.dongle_id.clone(),
        });
    }
    let foreign = facts.role != "independent" && facts.cluster.as_deref() != own_cluster;
    if foreign {
        return Err(Refusal::RoleTaken { role: facts.role.clone() });
    }
    let joins_first_time = facts.role != "node";
    if !machine.is_cluster_server()
        && joins_first_time
        && !facts.general_purpose_only
        && facts.subscribers > 0
    {
        return Err(Refusal::SubscribersPresent { count: facts.subscribers });
    }
    if facts.calls > 0 && !force {
        return Err(Refusal::CallsUp { calls: facts.calls });
    }
    Ok(())
}

/// The number of a new node: the lowest that is free (DEP-30).
///
/// # Errors
/// [`Refusal::ClusterFull`] for the 231st (ARC-24).
pub fn choose_number(taken: impl Iterator<Item = MemberNumber>) -> Result<MemberNumber, Refusal> {
    let taken: std::collections::BTreeSet<MemberNumber> = taken.collect();
    (1..=u16::from(NODES_MAX))
        .filter_map(|number| MemberNumber::try_from(number).ok())
        .find(|number| !taken.contains(number))
        .ok_or(Refusal::ClusterFull)
}

/// Refuses an address that another machine of the topology has.
///
/// # Errors
/// [`Refusal::AddressInUse`].
pub fn check_address<'a>(
    key: Option<&str>,
    address: &HostPort,
    mut machines: impl Iterator<Item = (&'a str, &'a Machine)>,
) -> Result<(), Refusal> {
    match machines.find(|(other, machine)| Some(*other) != key && machine.address == *address) {
        Some((by, _)) => Err(Refusal::AddressInUse { address: address.clone(), by: by.to_owned() }),
        None => Ok(()),
    }
}

/// Refuses a name that another thing of the same sort has; upper and lower case do not tell names apart.
///
/// # Errors
/// [`Refusal::NameInUse`].
pub fn check_name<'a>(
    key: &str,
    name: &str,
    mut named: impl Iterator<Item = (&'a str, &'a str)>,
) -> Result<(), Refusal> {
    match named.find(|(other, taken)| *other != key && taken.to_lowercase() == name.to_lowercase()) {
        Some((by, _)) => Err(Refusal::NameInUse { name: name.to_owned(), by: by.to_owned() }),
        None => Ok(()),
    }
}

/// One step of a configuration. Each is done whole or not at all, and may be repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Read the machine's state and check the rules.
    Check,
    /// Choose the node's number (DEP-30); for a cluster server, name its cluster.
    Number,
    /// Make the cluster's authority, if it has none.
    Authority,
    /// Bind number and dongle id at the cluster server (DEP-29).
    NodeRecord,
    /// Have the machine make its key, and sign its certificate.
    Certificate,
    /// Write role, cluster, number, address of the cluster server and certificates (DCS-19, DEP-32, DEP-33).
    Role,
    /// Wait for the machine to come back and announce itself (DCS-21, DEP-34, DEP-35).
    Announcement,
    /// Wait until the cluster server reports the node connected and synchronised (DEP-36).
    Synchronised,
}

impl Step {
    /// The word of the operations log.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Step::Check => "check",
            Step::Number => "number",
            Step::Authority => "authority",
            Step::NodeRecord => "node-record",
            Step::Certificate => "certificate",
            Step::Role => "role",
            Step::Announcement => "announcement",
            Step::Synchronised => "synchronised",
        }
    }

    /// The next thing to do when the step failed for a reason that names none itself.
    #[must_use]
    pub fn next_when_failed(self) -> &'static str {
        match self {
            Step::Check | Step::Number | Step::Authority => {
                "see the reason, then configure the machine again"
            }
            Step::NodeRecord => "check that the cluster server is up and reachable, then configure again",
            Step::Certificate | Step::Role => {
                "check that the machine is up and reachable, then configure again"
            }
            Step::Announcement => {
                "check that the machine is running and can reach the manager's address, then configure again"
            }
            Step::Synchronised => {
                "check that the node can reach the link address of its cluster server, then configure again"
            }
        }
    }
}

/// The steps of a configuration, in order. The plan is the same at each run: a step that finds its work done
/// says so and changes nothing.
#[must_use]
pub fn plan(machine: &Machine) -> &'static [Step] {
    const CLUSTER_SERVER: &[Step] =
        &[Step::Check, Step::Number, Step::Authority, Step::Certificate, Step::Role, Step::Announcement];
    const NODE: &[Step] = &[
        Step::Check,
        Step::Number,
        Step::NodeRecord,
        Step::Certificate,
        Step::Role,
        Step::Announcement,
        Step::Synchronised,
    ];
    if machine.is_cluster_server() { CLUSTER_SERVER } else { NODE }
}

#[cfg(test)]
mod tests;
