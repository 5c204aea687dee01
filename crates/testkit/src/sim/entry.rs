//! `pleiad sim`: one life told line by line, or a campaign of many.

use super::{Coverage, Sabotage, live};
use std::ops::RangeInclusive;

/// What `pleiad sim` is asked for.
#[derive(Debug, Clone)]
pub struct Options {
    /// The seeds; a single one is told line by line.
    pub seeds: RangeInclusive<u64>,
    /// Something broken on purpose, by its name in [`Sabotage`].
    pub sabotage: Option<String>,
    /// Prints the coverage of states and events.
    pub coverage: bool,
}

/// Runs what was asked for and says whether all was well. Everything is printed to standard output.
#[must_use]
pub fn main_like(options: &Options) -> bool {
    let broken = match &options.sabotage {
        None => None,
        Some(name) => match Sabotage::ALL.iter().find(|broken| format!("{broken:?}") == *name) {
            Some(broken) => Some(*broken),
            None => {
                println!("unknown sabotage '{name}'; there are: {:?}", Sabotage::ALL);
                return false;
            }
        },
    };
    let told = options.seeds.start() == options.seeds.end();
    let (mut coverage, mut lives, mut bad, mut happenings) = (Coverage::default(), 0u64, 0u64, 0u64);
    for seed in options.seeds.clone() {
        let outcome = live(seed, broken, told);
        coverage.merge(&outcome.coverage);
        lives += 1;
        happenings += outcome.happenings;
        bad += u64::from(!outcome.violations.is_empty());
        for violation in &outcome.violations {
            println!("seed {seed}: {violation}");
        }
        if told {
            println!("seed {seed}: trace {:016x}, {:?}", outcome.trace_hash, outcome.causes);
        }
    }
    println!("{lives} lives, {happenings} happenings, {bad} with a violation");
    if options.coverage {
        coverage.lines().iter().for_each(|line| println!("{line}"));
    }
    let missing = if told { Vec::new() } else { coverage.missing() };
    missing.iter().for_each(|pair| println!("never reached: {pair}"));
    bad == 0
}
