//! The invariants of DESIGN § 10. What is seen on the way is noted in the [`Ledger`]; what must hold once all
//! is healed is asked of the [`World`].

use super::host::{Host, member};
use super::media;
use super::world::World;
use call::{CallRecord, CallView, PackedBinding, Progress, Role};
use cluster::{LiveBinding, hub, uplink};
use ipbx::member::{LinkFault, LinkSide, Member};
use model::{Cause, Change, Kind, MemberNumber, Record};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Violations kept; more say no more.
const VIOLATIONS_MAX: usize = 20;

type CallName = (u16, Role, String);

/// A call is on the disk so long after its answer at the latest: the longest stall of a disk, and its queue.
const ON_DISK_WITHIN: Duration = Duration::from_secs(3);

fn call_name(number: u16, view: &CallView) -> CallName {
    (number, view.role, view.call_ids.first().cloned().unwrap_or_default())
}

/// What was promised and seen so far.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    violations: Vec<String>,
    /// The revision the administrator was last told is done.
    acknowledged: u64,
    /// Calls an edge said it has, that have no record yet.
    open: BTreeMap<CallName, Progress>,
    records: BTreeMap<CallName, u64>,
    causes: BTreeMap<Cause, u64>,
    /// Members whose process died: the calls it had that nobody had answered are gone with it.
    crashes: BTreeMap<u16, u64>,
    /// The calls that were answered then, by the names of their records: the next process must have them.
    answered: BTreeMap<u16, BTreeSet<CallName>>,
}

impl Ledger {
    /// An invariant does not hold.
    pub(super) fn broke(&mut self, now: Duration, what: String) {
        if self.violations.len() < VIOLATIONS_MAX {
            let since = now.saturating_sub(super::world::T0);
            self.violations.push(format!("{:.3} s: {what}", since.as_secs_f64()));
        }
    }

    pub(super) fn violations(&self) -> &[String] {
        &self.violations
    }

    pub(super) fn causes(&self) -> &BTreeMap<Cause, u64> {
        &self.causes
    }

    pub(super) fn crashes(&self, number: u16) -> u64 {
        self.crashes.get(&number).copied().unwrap_or(0)
    }

    /// A phone was told that it is registered; `kept` says whether that is on the disk.
    pub(super) fn registered(&mut self, now: Duration, extension: &str, kept: bool) {
        if !kept {
            self.broke(now, format!("{extension} was told it is registered, but nothing is on the disk"));
        }
    }

    /// The administrator was told that this is done.
    pub(super) fn acknowledged(&mut self, revision: u64, _changes: &[Change]) {
        self.acknowledged = self.acknowledged.max(revision);
    }

    pub(super) fn seen(&mut self, number: u16, view: &CallView) {
        if let (Some(first), true) = (view.call_ids.first(), view.progress != Progress::Ended) {
            self.open.insert((number, view.role, first.clone()), view.progress);
        }
    }

    pub(super) fn ended(&mut self, now: Duration, number: u16, record: &CallRecord) {
        let name = (number, record.role, record.call_ids.first().cloned().unwrap_or_default());
        self.open.remove(&name);
        *self.causes.entry(record.cause).or_default() += 1;
        let count = self.records.entry(name.clone()).or_default();
        *count += 1;
        // A process that died has forgotten the call; when the INVITE comes again it is a new one to the next.
        if *count > 1 + self.crashes.get(&number).copied().unwrap_or(0) {
            self.broke(now, format!("n{number} wrote two records of call {}", name.2));
        }
        if record.cause == Cause::EndedByOperator {
            self.broke(now, format!("n{number} ended call {} and nobody asked for it", name.2));
        }
    }

    /// The process died and had these calls.
    pub(super) fn crashed(&mut self, now: Duration, number: u16, calls: &[CallView]) {
        let settled = |view: &&CallView| view.answered.is_some_and(|at| at + ON_DISK_WITHIN < now);
        let answered: BTreeSet<CallName> =
            calls.iter().filter(settled).map(|view| call_name(number, view)).collect();
        self.open.retain(|name, _| name.0 != number || answered.contains(name));
        self.answered.insert(number, answered);
        *self.crashes.entry(number).or_default() += 1;
    }

    pub(super) fn link_fault(&mut self, now: Duration, number: u16, fault: &LinkFault) {
        match fault {
            // A link that is new before the loss of the old one is noticed is ordinary.
            LinkFault::Hub(hub::Fault::Replaced(_)) => {}
            other => self.broke(now, format!("n{number}: {other}")),
        }
    }

    pub(super) fn call_fault(&mut self, now: Duration, number: u16, fault: &call::Fault) {
        self.broke(now, format!("n{number}: {fault}"));
    }

    /// A process found this on its disk and began with it.
    pub(super) fn started(&mut self, now: Duration, host: &Host) {
        let number = host.number;
        if number == 0 && host.disk.position.revision < self.acknowledged {
            let (there, told) = (host.disk.position.revision, self.acknowledged);
            self.broke(now, format!("revision {told} was acknowledged, after the restart there is {there}"));
        }
        let Some(process) = &host.process else { return };
        for binding in
            host.disk.bindings.values().map(PackedBinding::read).filter(|binding| binding.until > now)
        {
            let taken_back =
                process.calls.edge().bindings().any(|there| there.read().device == binding.device);
            if !taken_back {
                self.broke(now, format!("n{number} forgot the registration of {}", binding.extension));
            }
        }
        let there: BTreeSet<CallName> =
            process.calls.edge().calls().iter().map(|view| call_name(number, view)).collect();
        for name in self.answered.remove(&number).unwrap_or_default() {
            if !there.contains(&name) {
                self.broke(now, format!("n{number} was killed and forgot the answered call {}", name.2));
            }
        }
    }
}

/// After healing and a quiet time: everybody believes the same of every call.
pub(super) fn beliefs_agree(world: &mut World) {
    let mut found = Vec::new();
    let mut edges: BTreeMap<String, BTreeSet<u16>> = BTreeMap::new();
    for (number, process) in processes(world) {
        for view in process.calls.edge().calls() {
            edges.entry(view.session.clone()).or_default().insert(number);
        }
    }
    for (number, process) in processes(world) {
        for view in process.calls.edge().calls() {
            let crossing = edges.get(&view.session).is_some_and(|there| there.len() == 2);
            let phones = world.desks.iter().filter(|desk| desk.home == number);
            let believing = phones.filter_map(|desk| desk.machine.talking_in());
            let believing = believing.filter(|talking| view.call_ids.iter().any(|id| id == talking)).count();
            let wanted = if crossing { 1 } else { 2 };
            if view.progress == Progress::Talking && believing != wanted {
                let ids = view.call_ids.join(", ");
                found.push(format!("n{number} believes in call {ids}, {believing} of {wanted} phones do"));
            }
        }
    }
    for desk in &world.desks {
        let Some(talking) = desk.machine.talking_in() else { continue };
        let calls = world.hosts.get(&desk.home).and_then(|host| host.process.as_ref());
        let known = calls.is_some_and(|process| {
            let calls = process.calls.edge().calls();
            calls.iter().any(|view| view.call_ids.iter().any(|id| id == talking))
        });
        // A phone cannot know that its call died with the process of its edge; its own hang-up will tell.
        if !known && world.ledger.crashes(desk.home) == desk.crashes_then {
            found.push(format!("{} believes in call {talking}, its edge does not", desk.extension));
        }
    }
    found.extend(media::of_calls_alone(world));
    note(world, found);
}

/// After everybody hung up: nothing is left over, and all data agree.
pub(super) fn all_is_quiet(world: &mut World) {
    let mut found = Vec::new();
    for desk in world.desks.iter().filter(|desk| !desk.machine.is_idle()) {
        found.push(format!("{} cannot get out of its call", desk.extension));
    }
    for (number, process) in processes(world) {
        let edge = process.calls.edge();
        found.extend(edge.calls().iter().map(|view| {
            format!("n{number} still has call {} ({:?})", view.call_ids.join(", "), view.progress)
        }));
        if edge.owed() > 0 {
            found.push(format!("n{number} still owes {} BYEs", edge.owed()));
        }
    }
    for ((number, role, id), progress) in &world.ledger.open {
        found.push(format!("n{number} never wrote the {role:?} record of call {id} ({progress:?})"));
    }
    found.extend(media::of_calls_alone(world));
    found.extend(data_converge(world));
    found.extend(logs_are_gathered(world));
    found.extend(location_is_the_union(world));
    note(world, found);
}

fn data_converge(world: &World) -> Vec<String> {
    let mut found = Vec::new();
    let Some((server, LinkSide::Server(hub))) = host(world, 0) else {
        return vec!["there is no cluster server".to_owned()];
    };
    if hub.position().revision < world.ledger.acknowledged {
        found.push("the cluster server lost an acknowledged commit".to_owned());
    }
    for number in [1, 2] {
        let Some((node, LinkSide::Node(uplink))) = host(world, number) else {
            found.push(format!("there is no node {number}"));
            continue;
        };
        if uplink.standing().state != uplink::StateName::Connected {
            found.push(format!("n{number} is {:?}", uplink.standing().state));
        }
        if uplink.position() != hub.position() || uplink.digest() != hub.digest_of(member(number)) {
            found.push(format!("n{number} and the cluster server do not agree on the data"));
        }
        let should: BTreeMap<&(Kind, String), &Record> =
            server.disk.records.iter().filter(|(_, record)| concerns(record, number)).collect();
        let holds: BTreeMap<&(Kind, String), &Record> = node.disk.records.iter().collect();
        if should != holds {
            found.push(format!("n{number} has {} records on disk, not its {}", holds.len(), should.len()));
        }
    }
    for status in hub.nodes() {
        if status.digest_equal != Some(true) || status.lag != 0 {
            let (digest, lag) = (status.digest_equal, status.lag);
            found.push(format!("seen from the server n{} has digest {digest:?}, lag {lag}", status.member));
        }
    }
    found
}

fn logs_are_gathered(world: &World) -> Vec<String> {
    let Some(server) = world.hosts.get(&0) else { return Vec::new() };
    let nodes = world.hosts.values().filter(|host| host.number != 0);
    let missing = nodes.flat_map(|host| host.disk.kept.iter().map(move |id| (host.number, id)));
    missing
        .filter(|(_, id)| !server.disk.gathered.contains_key(*id))
        .map(|(number, id)| format!("record {id} of n{number} never reached the cluster server"))
        .chain(records_are_kept(world))
        .collect()
}

/// Every record an edge wrote is on a disk, unless its process died with the write under way.
fn records_are_kept(world: &World) -> Vec<String> {
    let mut found = Vec::new();
    for host in world.hosts.values() {
        let written = world.ledger.records.iter().filter(|((number, _, _), _)| *number == host.number);
        let written: u64 = written.map(|(_, count)| count).sum();
        let kept = u64::try_from(host.disk.kept.len()).unwrap_or(0);
        if kept < written && world.ledger.crashes(host.number) == 0 {
            found.push(format!("n{} wrote {written} records and kept {kept}", host.number));
        }
    }
    found
}

fn location_is_the_union(world: &World) -> Vec<String> {
    let Some(server) = world.hosts.get(&0).and_then(|host| host.process.as_ref()) else { return Vec::new() };
    let Some(location) = server.calls.location() else { return vec!["no location table".to_owned()] };
    let known: BTreeSet<(MemberNumber, String, String)> = location
        .bindings()
        .into_iter()
        .map(|(member, extension, device)| (member, extension.to_string(), device.0))
        .collect();
    let there: BTreeSet<(MemberNumber, String, String)> = processes(world)
        .flat_map(|(number, process)| {
            let bindings = process.calls.edge().bindings();
            bindings
                .map(PackedBinding::read)
                .map(move |b| (member(number), b.extension.to_owned(), b.device.to_owned()))
        })
        .collect();
    let mut found = Vec::new();
    if known != there {
        found.push(format!("the cluster server knows {known:?}, the edges have {there:?}"));
    }
    let published: BTreeMap<MemberNumber, Vec<&LiveBinding>> =
        server.calls.published().fold(BTreeMap::new(), |mut all, (member, binding)| {
            all.entry(member).or_insert_with(Vec::new).push(binding);
            all
        });
    if published.keys().any(|member| member.is_cluster_server()) {
        found.push("the cluster server published to itself".to_owned());
    }
    found
}

/// DESIGN § 5.2: common data, and the subscribers whose home it is.
fn concerns(record: &Record, number: u16) -> bool {
    if record.kind != Kind::Subscriber {
        return true;
    }
    let value: serde_json::Value = serde_json::from_slice(&record.value).unwrap_or_default();
    value.get("home").and_then(serde_json::Value::as_u64) == Some(number.into())
}

fn processes(world: &World) -> impl Iterator<Item = (u16, &Member)> {
    world.hosts.iter().filter_map(|(number, host)| host.process.as_ref().map(|process| (*number, process)))
}

fn host(world: &World, number: u16) -> Option<(&Host, &LinkSide)> {
    let host = world.hosts.get(&number)?;
    Some((host, &host.process.as_ref()?.link))
}

fn note(world: &mut World, found: Vec<String>) {
    let now = world.now;
    found.into_iter().for_each(|what| world.ledger.broke(now, what));
}
