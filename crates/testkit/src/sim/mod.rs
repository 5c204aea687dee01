//! The simulator: a cluster server, two nodes and six phones on an invented network, from one seed.
//!
//! The machines are the daemon's own ([`ipbx::member::Member`]) and the phones are those of `pleiad phone`; clock,
//! network, disks and fate are invented. One seed is one life: ninety seconds in which people telephone, an
//! administrator commits, packets are lost, doubled and overtaken, links are cut, processes die at any write or are
//! frozen and thawed, phones lose their power. Then all heals. After a quiet time everybody must believe the same
//! of every call; after everybody hung up nothing may be left over, and all data agree ([`checks`]).
//!
//! The same seed is the same life: the trace is hashed to prove it. A campaign of many seeds must have met every
//! state of the link with every event that can come in it ([`coverage`]). What the invariants are worth is shown by
//! [`Sabotage`]: lives in which something is broken on purpose must not pass.

mod chance;
mod checks;
pub mod coverage;
mod disk;
mod entry;
mod fate;
mod host;
mod landscape;
mod media;
mod network;
mod people;
mod sabotage;
#[cfg(test)]
mod tests;
mod trace;
mod wires;
mod world;

pub use coverage::Coverage;
pub use entry::{Options, main_like};
pub use sabotage::Sabotage;

use crate::phone::Command;
use chance::Chance;
use model::Cause;
use people::{Act, PHONES};
use std::collections::BTreeMap;
use std::time::Duration;
use world::{Event, Fate, T0, World};

/// How long fate is at work.
const CHAOS: Duration = Duration::from_secs(90);
/// Until then everything has healed.
const HEALED: Duration = Duration::from_secs(100);
/// A vanished phone frees its call within 90 s (DESIGN § 7); then beliefs must agree.
const AGREED: Duration = Duration::from_secs(205);
/// After everybody hung up: every timer of RFC 3261 § 17 has run out.
const OVER: Duration = Duration::from_secs(285);

/// What came of a life.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Its seed.
    pub seed: u64,
    /// What should not have been; empty for a good life.
    pub violations: Vec<String>,
    /// The hash of everything that happened.
    pub trace_hash: u64,
    /// How many things happened.
    pub happenings: u64,
    /// How calls ended.
    pub causes: BTreeMap<Cause, u64>,
    /// Which states met which events.
    pub coverage: Coverage,
}

/// Lives the life of that seed.
#[must_use]
pub fn live(seed: u64, broken: Option<Sabotage>, verbose: bool) -> Outcome {
    let mut world = World::new(seed, broken, verbose);
    plan(&mut world);
    world.run_until(T0 + CHAOS);
    for number in [1, 2] {
        world.after(Duration::ZERO, Event::Fate(Fate::Heal(number)));
    }
    world.quiet = true;
    world.weather.loss_percent = 0;
    world.run_until(T0 + HEALED);
    world.run_until(T0 + AGREED);
    checks::beliefs_agree(&mut world);
    everybody_hangs_up(&mut world);
    world.run_until(T0 + OVER);
    checks::all_is_quiet(&mut world);
    for host in world.hosts.values() {
        host.process.iter().for_each(|process| world.coverage.take(&process.link));
    }
    Outcome {
        seed,
        violations: world.ledger.violations().to_vec(),
        trace_hash: world.trace.hash(),
        happenings: world.trace.lines(),
        causes: world.ledger.causes().clone(),
        coverage: world.coverage,
    }
}

/// What will befall this world, when.
fn plan(world: &mut World) {
    let mut chance = Chance::new(world.chance.number());
    let chaos = u64::try_from(CHAOS.as_millis()).unwrap_or(0);
    let at = |world: &mut World, from: u64, to: u64, fate: Fate, chance: &mut Chance| {
        let when = chance.ms(from, to);
        world.after(when, Event::Fate(fate));
        u64::try_from(when.as_millis()).unwrap_or(0)
    };
    for _ in 0..20 + chance.below(40) {
        let index = usize::try_from(chance.below(6)).unwrap_or(0).min(PHONES.len() - 1);
        at(world, 1_500, chaos, Fate::Dial(index), &mut chance);
    }
    for _ in 0..chance.below(25) {
        at(world, 500, chaos, Fate::Commit, &mut chance);
    }
    for _ in 0..chance.below(6) {
        let node = u16::try_from(1 + chance.below(2)).unwrap_or(1);
        let begun = at(world, 3_000, chaos - 5_000, Fate::Cut(node), &mut chance);
        at(world, begun + 200, begun + 20_000, Fate::Heal(node), &mut chance);
    }
    for _ in 0..chance.below(4) {
        let number = u16::try_from(chance.below(3)).unwrap_or(0);
        at(world, 2_000, chaos, Fate::Crash(number), &mut chance);
    }
    for _ in 0..chance.below(4) {
        let number = u16::try_from(chance.below(3)).unwrap_or(0);
        at(world, 2_000, chaos, Fate::Freeze(number), &mut chance);
    }
    if chance.percent(30) {
        let index = usize::try_from(chance.below(6)).unwrap_or(0);
        at(world, 2_000, chaos, Fate::Unplug(index), &mut chance);
    }
}

fn everybody_hangs_up(world: &mut World) {
    let acts: Vec<Act> = world
        .desks
        .iter()
        .enumerate()
        .map(|(desk, there)| Act { desk, call: there.call, command: Command::HangUp })
        .collect();
    for act in acts {
        let delay = world.chance.ms(0, 2_000);
        world.after(delay, Event::Act(act));
    }
}
