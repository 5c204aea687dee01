//! Random lives: phones call, answer, hold, hang up, reconnect and are pulled; links are cut and healed; the cluster
//! server is killed and started. At the end everything is healed, everybody hangs up, and nothing may be left.

use crate::phone::Phone;
use crate::world::{Make, Odds, World};
use call::{CallRecord, Role};
use model::Cause;
use std::collections::{BTreeMap, BTreeSet};

/// Lives a test run walks through.
const LIVES: u64 = 60;

const NUMBERS: [&str; 6] = ["2001", "2002", "2101", "2102", "2201", "2202"];

/// One thing that happens.
fn step(world: &mut World, odds: &mut Odds) {
    let number = NUMBERS[odds.below(6)];
    match odds.below(20) {
        0..=3 => {
            let called = NUMBERS[odds.below(6)];
            if world.phone(number).is_idle() {
                world.phone(number).call(called);
            }
        }
        4..=6 if world.phone(number).rings() => world.phone(number).answer(),
        7 if world.phone(number).calls() => world.phone(number).cancel(),
        8 if world.phone(number).talks() => world.phone(number).hold(),
        9 if world.phone(number).talks() => world.phone(number).resume(),
        10..=11 if world.phone(number).talks() => world.phone(number).hang_up(),
        12 => {
            let node = 1 + u16::try_from(odds.below(2)).unwrap();
            if world.is_linked(node) { world.cut(node) } else { world.heal(node) }
        }
        13 if odds.below(3) == 0 => {
            if world.is_alive(0) {
                world.kill_cluster_server()
            } else {
                world.start_cluster_server()
            }
        }
        14 => world.phone(number).register(3600),
        _ => {}
    }
    let pause_ms = [0, 1, 10, 25, 300, 3_000, 20_000][odds.below(7)];
    world.wait_ms(pause_ms);
}

/// One life. Returns the causes its calls ended with.
fn live(seed: u64, make: Make, loss_percent: usize) -> BTreeSet<Cause> {
    let mut world = World::new(make);
    if make.anchored {
        world.phones.values_mut().for_each(Phone::describe_media);
    }
    let mut odds = Odds::new(seed);
    world.lose(loss_percent, seed);
    for _ in 0..60 {
        step(&mut world, &mut odds);
    }
    world.lose_nothing();
    if !world.is_alive(0) {
        world.start_cluster_server();
    }
    for node in [1, 2] {
        if !world.is_linked(node) {
            world.heal(node);
        }
    }
    // What rings is given up, what talks is hung up; then the longest timer runs out.
    for number in NUMBERS {
        world.phone(number).give_up();
        world.wait_ms(50);
    }
    world.wait_ms(200_000);
    // The cluster server's own phones may have lost their call server in the middle of a call.
    for number in ["2001", "2002"] {
        world.phone(number).give_up();
        world.phone(number).stop_ringing();
    }
    world.wait_ms(200_000);
    world.all_idle();
    every_call_has_its_records(&world);
    world.records.iter().map(|record| record.cause).collect()
}

fn every_call_has_its_records(world: &World) {
    let mut calls: BTreeMap<(String, Role, String), usize> = BTreeMap::new();
    for record in &world.records {
        *calls.entry((record.session.clone(), record.role, record.member.to_string())).or_default() += 1;
    }
    let twice: Vec<_> = calls.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "one record a call and edge: {twice:?}");
    // Records of calls that the killed process had begun died with it.
    let survives = |record: &&CallRecord| !record.caller.number.starts_with("20");
    for record in world.records.iter().filter(|record| record.role == Role::Terminating).filter(survives) {
        let call = |other: &&CallRecord| other.session == record.session && other.role == Role::Originating;
        assert_eq!(world.records.iter().filter(call).count(), 1, "a leg record has its call record");
    }
}

#[test]
fn random_lives_leave_nothing_behind() {
    let mut causes = BTreeSet::new();
    for seed in 0..LIVES {
        let loss_percent = if seed % 2 == 1 { 10 } else { 0 };
        let shards = if seed % 4 < 2 { 1 } else { 4 };
        let make = Make { frozen: seed % 10 < 2, shards, anchored: false };
        let outcome = std::panic::catch_unwind(|| live(seed, make, loss_percent));
        match outcome {
            Ok(ended) => causes.extend(ended),
            Err(_) => panic!("seed {seed}"),
        }
    }
    // A walk that does not come by the interesting places proves nothing.
    for cause in [
        Cause::NormalClearing,
        Cause::Cancelled,
        Cause::Busy,
        Cause::NoAnswer,
        Cause::UnreachableByCut,
        Cause::Barred,
        Cause::LostPhone,
    ] {
        assert!(causes.contains(&cause), "{cause} was never reached: {causes:?}");
    }
}

/// Whatever happens to its calls, a member gives every port back (`World::all_idle` asks).
#[test]
fn random_anchored_lives_leak_no_port() {
    let mut anchored = 0;
    for seed in 0..LIVES / 3 {
        let make = Make { frozen: seed % 5 == 0, shards: if seed % 2 == 0 { 1 } else { 4 }, anchored: true };
        let loss_percent = if seed % 3 == 1 { 10 } else { 0 };
        match std::panic::catch_unwind(|| live(seed, make, loss_percent)) {
            Ok(causes) => anchored += causes.len(),
            Err(_) => panic!("seed {seed}"),
        }
    }
    assert!(anchored > 0);
}
