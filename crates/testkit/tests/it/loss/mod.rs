//! 200 kills under writes: nothing that was acknowledged is lost (DESIGN § 1, promise 3).
//!
//! Writers change objects through the manager and phones register and unregister at all three call servers, each
//! keeping its own log of what it was told. At seeded instants seeded processes (cluster server, nodes, manager)
//! get `kill -9` and are started again; then the logs are held against what is there.

mod ledger;
mod phones;
mod writers;

use crate::stage::Stage;
use anyhow::{Context, ensure};
use ledger::{Desk, Ledger};
use model::{Kind, Record};
use serde_json::Value;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use store::ConfigStore;
use testkit::live::eventually;
use writers::Door;

const KILLS: usize = 200;
const SEED: u64 = 0x5eed_0002;
/// Writers and phones get at most so long before the next kill.
const PAUSE_MS_MAX: u64 = 1_000;
const SOON: Duration = Duration::from_secs(20);
const HOSTS: [&str; 4] = ["cs", "n1", "n2", "mgr"];

#[test]
fn nothing_acknowledged_is_lost_by_200_kills_of_seeded_processes_syn_01_dep_45() {
    let stage = Stage::new().expect("a network in service");
    let door = Door::of(&stage.cluster).expect("a way to the manager");
    let (ledger, desk, stop) = (Ledger::default(), Desk::default(), AtomicBool::new(false));
    let prefix = stage.cluster.star.namespace("");
    let lines = phones::lines(&stage.cluster).expect("six lines");
    let outcome = std::thread::scope(|scope| {
        for writer in writers::WRITERS {
            let (door, ledger, stop) = (&door, &ledger, &stop);
            scope.spawn(move || writers::write(door, writer, ledger, stop));
        }
        for line in &lines {
            let (desk, stop, namespace) = (&desk, &stop, format!("{prefix}{}", line.host));
            scope.spawn(move || phones::live(line, &namespace, desk, stop));
        }
        let outcome = kill_again_and_again(&stage, &door, &ledger, &desk);
        stop.store(true, Ordering::Release);
        outcome
    });
    let outcome = outcome.and_then(|checked| {
        eprintln!("  {KILLS} kills: {ledger}, {checked} registrations looked for");
        ensure!(checked > KILLS / 2, "only {checked} registrations were looked for");
        all_there(&stage, &door, &ledger)
    });
    if outcome.is_err() {
        stage.keep_logs();
    }
    outcome.expect("nothing is lost");
}

/// Returns how many settled registrations were looked for and found as they were acknowledged.
fn kill_again_and_again(stage: &Stage, door: &Door, ledger: &Ledger, desk: &Desk) -> anyhow::Result<usize> {
    let mut dice = Dice(SEED);
    let (mut killed, mut checked) = (0, 0);
    while killed < KILLS {
        std::thread::sleep(Duration::from_millis(dice.below(PAUSE_MS_MAX)));
        let victims: Vec<&str> = HOSTS.into_iter().filter(|_| dice.below(5) < 2).collect();
        // A kill takes as long as a registration: who begins one meanwhile could not be judged afterwards.
        desk.pause();
        for host in &victims {
            stage.cluster.kill(host)?;
        }
        killed += victims.len();
        let settled = desk.settled();
        let revision = ledger.revision();
        for host in &victims {
            match *host {
                "mgr" => stage.cluster.start_manager()?,
                host => stage.cluster.start_machine(host)?,
            }
        }
        for host in victims.iter().filter(|host| **host != "mgr") {
            checked += registrations_stand(door, host, &settled)
                .with_context(|| format!("after {killed} kills, the last of {victims:?}"))?;
        }
        if victims.contains(&"cs") {
            let state = door.ask("cs", "state")?;
            let now = state["position"]["revision"].as_u64().context("a position")?;
            ensure!(
                now >= revision,
                "revision {revision} was acknowledged, {now} is there after kill {killed}"
            );
        }
        desk.resume();
    }
    Ok(checked)
}

fn registrations_stand(door: &Door, host: &str, settled: &[(phones::Line, bool)]) -> anyhow::Result<usize> {
    let bindings = door.ask(host, "bindings")?;
    let all = bindings.as_array().context("a list of bindings")?;
    let there = |extension: &str| all.iter().any(|binding| binding["extension"] == extension);
    let ours = settled.iter().filter(|(line, _)| line.host == host);
    for (line, registered) in ours.clone() {
        let found = there(&line.extension);
        ensure!(
            found == *registered,
            "{}: acknowledged as {registered}, found {found}: {bindings}",
            line.extension
        );
    }
    Ok(ours.count())
}

/// Every acknowledged object is at the cluster server and on the disks of both nodes, every region at the manager.
fn all_there(stage: &Stage, door: &Door, ledger: &Ledger) -> anyhow::Result<()> {
    eventually("both nodes to hold what the cluster server holds", SOON, || {
        let state = door.ask("cs", "state")?;
        let nodes = state["nodes"].as_array().cloned().unwrap_or_default();
        let same = |node: &Value| {
            node["digest_equal"] == true && node["position"]["revision"] == state["position"]["revision"]
        };
        Ok((nodes.len() == 2 && nodes.iter().all(same)).then_some(()))
    })?;
    for kind in writers::KINDS {
        nothing_lost("the cluster server", ledger, kind, &door.objects(kind)?)?;
    }
    for host in ["n1", "n2"] {
        stage.cluster.kill(host)?;
        let store = ConfigStore::open(&stage.cluster.folder.path().join(host).join("config.db"))?;
        for kind in writers::KINDS {
            let records = store.list(Kind::from_name(kind).context("a kind")?)?;
            let pair = |record: Record| Ok((record.key, serde_json::from_slice(&record.value)?));
            let objects: Vec<(String, Value)> =
                records.into_iter().map(pair).collect::<anyhow::Result<_>>()?;
            nothing_lost(host, ledger, kind, &objects)?;
        }
    }
    let lost = ledger.lost(writers::REGION, &door.regions()?);
    ensure!(lost.is_empty(), "the manager has lost regions {lost:?}");
    ensure!(ledger.acknowledged() > KILLS, "only {ledger}: too few to prove anything");
    Ok(())
}

fn nothing_lost(host: &str, ledger: &Ledger, kind: &str, objects: &[(String, Value)]) -> anyhow::Result<()> {
    let lost = ledger.lost(kind, &writers::numbers(kind, objects)?);
    ensure!(lost.is_empty(), "{host} has lost {kind}: {lost:?}");
    Ok(())
}

/// Numbers from a seed (split-mix).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}
