//! The doctor: looks at the manager and at each machine and says what is wrong and what to do next.
//!
//! The verdicts are pure functions of what was seen; only the first part of this file looks.

use crate::machine::unix_ms;
use crate::service::{Service, Topology};
use crate::supervision::Sight;
use crate::view::{Check, Doctor, LinkState, MapLink, Reach, Verdict};
use model::deploy::{CLOCK_REFUSE_MS, CLOCK_WARN_MS};
use model::release::MINIMUM;
use model::topology::{Machine, Progress};
use std::path::Path;

/// Free space below which the disk is worth a warning, in bytes.
const DISK_WARN_BYTES: u64 = 512 * 1024 * 1024;
/// Free space below which it is a fault.
const DISK_FAULT_BYTES: u64 = 64 * 1024 * 1024;
/// Days of validity left below which the manager's certificate is worth a warning.
const CERTIFICATE_WARN_DAYS: u64 = 30;
const DAY_MS: u64 = 24 * 60 * 60 * 1_000;
/// The subject of the checks on the manager itself.
const MANAGER: &str = "manager";

impl Service {
    /// Looks at everything.
    ///
    /// # Errors
    /// Only our own: a task that died.
    pub async fn doctor(&self) -> Result<Doctor, crate::service::ServiceError> {
        let (vault, store) = (self.vault().clone(), self.store().clone());
        let topology = self.snapshot();
        let dir = store.path().parent().unwrap_or(Path::new(".")).to_owned();
        let mut checks = crate::service::blocking(move || {
            Ok(vec![
                check_writable(vault.probe().map_err(|fault| fault.to_string())),
                check_space(free_bytes(&dir)),
            ])
        })
        .await?;
        checks.push(check_certificate(self.certificate_ends(), unix_ms()));
        checks.push(check_topology(&topology));
        let offsets = topology.machines.keys().filter_map(|key| clock_offset(self.sights().of(key).as_ref()));
        checks.push(check_own_clock(&offsets.collect::<Vec<_>>()));
        let links = self.map().links;
        for (key, machine) in topology.by_key() {
            checks.extend(check_machine(key, machine, self.sights().of(key).as_ref()));
            checks.extend(links.iter().filter(|link| link.node == key).map(check_link));
            if machine.is_cluster_server() {
                checks.extend(self.check_phones(&topology, key));
            }
        }
        let verdict = checks.iter().map(|check| check.verdict).max().unwrap_or(Verdict::Ok);
        Ok(Doctor { verdict, checks })
    }
}

impl Service {
    /// How many phones a cluster's subscribers have, over all members that answer.
    fn check_phones(&self, topology: &Topology, centre: &str) -> Option<Check> {
        let sight = self.sights().of(centre)?;
        let state = sight.fresh()?;
        let nodes = topology.nodes_of(centre).filter_map(|(key, _)| self.sights().of(key));
        let elsewhere: u64 = nodes.filter_map(|sight| sight.fresh().map(|state| state.bindings)).sum();
        let phones = state.bindings.saturating_add(elsewhere);
        let detail = format!("{} subscribers, {phones} phones registered", state.subscribers);
        Some(check(centre, "phones", Verdict::Ok, detail, ""))
    }
}

fn clock_offset(sight: Option<&Sight>) -> Option<i64> {
    let sight = sight.filter(|sight| sight.reach == Reach::Up)?;
    sight.last.as_ref().map(|(_, offset, _)| *offset)
}

/// When every machine disagrees with us in the same direction, it is our clock that is wrong.
fn check_own_clock(offsets: &[i64]) -> Check {
    let far = |offset: &&i64| offset.unsigned_abs() > CLOCK_WARN_MS;
    let ahead = offsets.iter().filter(far).filter(|offset| offset.is_positive()).count();
    let behind = offsets.iter().filter(far).filter(|offset| offset.is_negative()).count();
    if offsets.len() > 1 && (ahead == offsets.len() || behind == offsets.len()) {
        let next = "set the manager's clock (NTP)";
        return check(
            MANAGER,
            "clock",
            Verdict::Fault,
            "every machine's clock differs from the manager's",
            next,
        );
    }
    check(
        MANAGER,
        "clock",
        Verdict::Ok,
        format!("agrees with {} machines", offsets.len() - ahead - behind),
        "",
    )
}

fn check_certificate(ends_ms: Option<u64>, now_ms: u64) -> Check {
    let next = "delete web-certificate.json in the manager's folder and start it again; machines must then be claimed anew";
    let Some(ends_ms) = ends_ms else {
        return check(MANAGER, "certificate", Verdict::Warning, "its end could not be read", next);
    };
    let days = ends_ms.saturating_sub(now_ms) / DAY_MS;
    let verdict = match days {
        0 => Verdict::Fault,
        days if days < CERTIFICATE_WARN_DAYS => Verdict::Warning,
        _ => Verdict::Ok,
    };
    check(MANAGER, "certificate", verdict, format!("valid for {days} days"), next)
}

/// Bytes free for the manager's folder, by `df`'s own call.
fn free_bytes(dir: &Path) -> Option<u64> {
    let output = std::process::Command::new("df").args(["--output=avail", "-B1"]).arg(dir).output().ok()?;
    String::from_utf8(output.stdout).ok()?.lines().last()?.trim().parse().ok()
}

fn check(subject: &str, check: &str, verdict: Verdict, detail: impl Into<String>, next: &str) -> Check {
    let next = if verdict == Verdict::Ok { String::new() } else { next.to_owned() };
    Check { subject: subject.to_owned(), check: check.to_owned(), verdict, detail: detail.into(), next }
}

fn check_writable(probe: Result<(), String>) -> Check {
    match probe {
        Ok(()) => check(MANAGER, "disk writable", Verdict::Ok, "a file was written, synced and removed", ""),
        Err(fault) => {
            let next =
                "give the manager write permission on its folder, and remount the disk if it went read-only";
            check(MANAGER, "disk writable", Verdict::Fault, fault, next)
        }
    }
}

fn check_space(free: Option<u64>) -> Check {
    let next = "free space on the disk of the manager's folder";
    match free {
        None => check(MANAGER, "disk space", Verdict::Warning, "could not be read (df)", "install coreutils"),
        Some(free) => {
            let verdict = match free {
                free if free < DISK_FAULT_BYTES => Verdict::Fault,
                free if free < DISK_WARN_BYTES => Verdict::Warning,
                _ => Verdict::Ok,
            };
            check(MANAGER, "disk space", verdict, format!("{} MiB free", free / (1024 * 1024)), next)
        }
    }
}

fn check_topology(topology: &Topology) -> Check {
    match topology.machines.len() {
        0 => {
            let next = "create a region, a multi-site and a cluster server";
            check(MANAGER, "topology", Verdict::Warning, "no machine yet", next)
        }
        count => check(MANAGER, "topology", Verdict::Ok, format!("{count} machines"), ""),
    }
}

fn check_machine(key: &str, machine: &Machine, sight: Option<&Sight>) -> Vec<Check> {
    if machine.progress.fingerprint().is_none() {
        let next = "claim it with the code it shows on its console";
        return vec![check(key, "claimed", Verdict::Warning, "not claimed yet", next)];
    }
    let mut checks = vec![check_reach(key, sight), check_progress(key, machine)];
    let Some(state) = sight.and_then(Sight::fresh) else { return checks };
    checks.push(check_clock(key, clock_offset(sight).unwrap_or(0)));
    let verdict = if state.release < MINIMUM { Verdict::Fault } else { Verdict::Ok };
    let next = format!("upgrade it to {MINIMUM} or later");
    checks.push(check(key, "release", verdict, state.release.to_string(), &next));
    if !state.unreadable.is_empty() {
        let detail =
            format!("{} records cannot be read: {}", state.unreadable.len(), state.unreadable.join("; "));
        let next = "write these objects again, or bring the machine to the release of its cluster server";
        checks.push(check(key, "records", Verdict::Fault, detail, next));
    }
    if machine.progress.is_configured() {
        checks.push(check_role(key, machine, &state.role, state.node_number));
    }
    checks
}

fn check_reach(key: &str, sight: Option<&Sight>) -> Check {
    let next = "check that the machine is running, its address, and the network between";
    match sight.map(|sight| (sight.reach, sight.fault.as_str())) {
        Some((Reach::Up, "")) => {
            check(key, "reachable", Verdict::Ok, "answers, with the pinned certificate", "")
        }
        Some((Reach::Up, fault)) => check(key, "reachable", Verdict::Warning, fault, next),
        Some((Reach::Lost | Reach::Unknown, fault)) if fault.contains("presents the certificate") => {
            let next = "another machine is at this address, or it was reset: delete it here and add it anew";
            check(key, "certificate", Verdict::Fault, fault, next)
        }
        Some((Reach::Lost | Reach::Unknown, fault)) => check(key, "reachable", Verdict::Fault, fault, next),
        None => check(key, "reachable", Verdict::Warning, "not asked yet", "repeat this in a few seconds"),
    }
}

fn check_progress(key: &str, machine: &Machine) -> Check {
    let (verdict, detail, next) = match machine.progress {
        Progress::Configured { .. } => (Verdict::Ok, "configured", ""),
        Progress::Configuring { .. } => (
            Verdict::Fault,
            "its configuration began and did not end",
            "configure it again; the log names the step",
        ),
        Progress::Identified { .. } => (Verdict::Warning, "identified, without a role", "configure it"),
        Progress::Claimed { .. } | Progress::Created => {
            (Verdict::Warning, "claimed, not identified", "identify it")
        }
    };
    check(key, "deployment", verdict, detail, next)
}

fn check_clock(key: &str, offset_ms: i64) -> Check {
    let verdict = match offset_ms.unsigned_abs() {
        off if off > CLOCK_REFUSE_MS => Verdict::Fault,
        off if off > CLOCK_WARN_MS => Verdict::Warning,
        _ => Verdict::Ok,
    };
    let next = "synchronise the clocks of manager and machine (NTP)";
    check(key, "clock", verdict, format!("{offset_ms} ms off"), next)
}

fn check_role(key: &str, machine: &Machine, role: &str, number: Option<u8>) -> Check {
    let expected = if machine.is_cluster_server() { "cluster-server" } else { "node" };
    let assigned = machine.progress.assignment().map_or(0, |assignment| assignment.number.get());
    if role == expected && number.unwrap_or(0) == assigned {
        return check(key, "role", Verdict::Ok, format!("{role} {assigned}"), "");
    }
    let detail = format!("it is {role} {}, it should be {expected} {assigned}", number.unwrap_or(0));
    check(key, "role", Verdict::Fault, detail, "configure it again")
}

fn check_link(link: &MapLink) -> Check {
    let verdict = match link.state {
        LinkState::Up => Verdict::Ok,
        LinkState::Degraded | LinkState::Unknown => Verdict::Warning,
        LinkState::Isolated | LinkState::Lost => Verdict::Fault,
    };
    let behind = link.lag.map_or(String::new(), |lag| format!(", {lag} changes behind"));
    let next = "check the network between node and cluster server, and the link address the node dials";
    check(&link.node, "link", verdict, format!("{}: {}{behind}", link.state.name(), link.detail), next)
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::topology::Purpose;

    fn machine(progress: Progress) -> Machine {
        Machine {
            name: "m".to_owned(),
            address: "192.0.2.1".parse().unwrap(),
            purpose: Purpose::Node { cluster_server: "cs".to_owned() },
            link_address: None,
            postal_address: String::new(),
            information: String::new(),
            comment: String::new(),
            progress,
        }
    }

    #[test]
    fn what_is_wrong_comes_with_what_to_do_and_what_is_right_without() {
        for found in [
            check_space(Some(0)),
            check_space(None),
            check_clock("n1", 3_000),
            check_writable(Err("read-only".to_owned())),
            check_topology(&Topology::default()),
            check_reach("n1", None),
        ] {
            assert!(found.verdict > Verdict::Ok && !found.next.is_empty(), "{found:?}");
        }
        assert_eq!(check_clock("n1", -1_999).verdict, Verdict::Ok);
        assert!(check_space(Some(u64::MAX)).next.is_empty());
    }

    #[test]
    fn pre_14_when_all_machines_disagree_it_is_the_manager_that_is_wrong() {
        assert_eq!(check_own_clock(&[5_000, 5_100]).verdict, Verdict::Fault);
        assert_eq!(check_own_clock(&[5_000, 0]).verdict, Verdict::Ok);
        assert_eq!(check_own_clock(&[]).verdict, Verdict::Ok);
    }

    #[test]
    fn a_certificate_near_its_end_is_a_warning_and_after_it_a_fault() {
        let now = 1_000 * DAY_MS;
        assert_eq!(check_certificate(Some(now + 31 * DAY_MS), now).verdict, Verdict::Ok);
        assert_eq!(check_certificate(Some(now + 29 * DAY_MS), now).verdict, Verdict::Warning);
        assert_eq!(check_certificate(Some(now - DAY_MS), now).verdict, Verdict::Fault);
    }

    #[test]
    fn pre_14_a_clock_a_minute_off_is_a_fault() {
        assert_eq!(check_clock("n1", 2_001).verdict, Verdict::Warning);
        assert_eq!(check_clock("n1", -60_001).verdict, Verdict::Fault);
    }

    #[test]
    fn an_unclaimed_machine_is_asked_nothing_more() {
        let checks = check_machine("n1", &machine(Progress::Created), None);
        assert_eq!(checks.iter().map(|check| check.check.as_str()).collect::<Vec<_>>(), ["claimed"]);
    }
}
