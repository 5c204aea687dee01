//! The campaign, and what it is worth.

use super::{Coverage, Outcome, Sabotage, live};
use std::ops::Range;

/// Seeds of the campaign that CI runs.
const CAMPAIGN: Range<u64> = 1..1_001;
/// A broken system must be caught within so many lives. Most are in the first; a commit that is acknowledged too early
/// shows only when its server dies in the same few milliseconds.
const CAUGHT_WITHIN: u64 = 200;

/// Lives these seeds on both cores.
fn campaign(seeds: Range<u64>) -> Vec<Outcome> {
    let odd = seeds.clone().filter(|seed| !seed.is_multiple_of(2));
    let even = seeds.filter(|seed| seed.is_multiple_of(2));
    std::thread::scope(|scope| {
        let odd = scope.spawn(move || odd.map(|seed| live(seed, None, false)).collect::<Vec<_>>());
        let mut all: Vec<Outcome> = even.map(|seed| live(seed, None, false)).collect();
        all.extend(odd.join().unwrap());
        all
    })
}

#[test]
fn duh_01_duh_04_syn_17_a_thousand_lives_keep_every_promise() {
    let lives = campaign(CAMPAIGN);
    let bad: Vec<String> = lives
        .iter()
        .flat_map(|life| life.violations.iter().map(|what| format!("seed {}: {what}", life.seed)))
        .collect();
    assert!(bad.is_empty(), "{} violations, `pleiad sim --seed N` tells:\n{}", bad.len(), bad.join("\n"));
    let mut coverage = Coverage::default();
    lives.iter().for_each(|life| coverage.merge(&life.coverage));
    assert!(coverage.missing().is_empty(), "never reached in the campaign: {:#?}", coverage.missing());
    let ends: u64 = lives.iter().flat_map(|life| life.causes.values()).sum();
    assert!(ends > 10 * (CAMPAIGN.end - CAMPAIGN.start), "only {ends} calls ended in all lives");
}

#[test]
fn the_same_seed_is_the_same_life() {
    for seed in [3, 17, 99] {
        let (first, second) = (live(seed, None, false), live(seed, None, false));
        assert_eq!(first.trace_hash, second.trace_hash, "seed {seed}");
        assert_eq!(first.happenings, second.happenings);
    }
    assert_ne!(live(3, None, false).trace_hash, live(4, None, false).trace_hash);
}

#[test]
fn every_sabotage_is_caught() {
    for broken in Sabotage::ALL {
        let caught = (1..=CAUGHT_WITHIN).any(|seed| !live(seed, Some(*broken), false).violations.is_empty());
        assert!(caught, "{broken:?} passes {CAUGHT_WITHIN} lives unseen");
    }
}
