//! What a whole call costs at an edge, without sockets and disks: `cargo bench -p call --bench calls`.
//!
//! A call with 407 as a B2BUA: INVITE, 407, ACK, INVITE with digest, 180, 200, ACK, BYE, 200 on both legs. CPU time,
//! allocations and bytes are those of reading and taking the eight messages that come in; what the phones do is not
//! counted. Then the memory of calls that are up, when none of their transactions is left.
//!
//! A number as argument runs so many calls and nothing else, for a profiler: in `callgrind` with
//! `--toggle-collect='calls::phones::take*'` the instructions are those of the edge. The word `held` ends with calls that
//! are up, for a profiler of memory (`valgrind --tool=dhat`).
#![expect(clippy::unwrap_used, reason = "a bench that is surprised ends")]
#![expect(clippy::indexing_slicing, reason = "there is a round")]
#![expect(clippy::as_conversions, reason = "counts become figures to read")]

mod phones;

use phones::Phones;
use rustix::time::{ClockId, clock_gettime};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, Stats, StatsAlloc};
use std::alloc::System;
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Turns of the measurement.
const ROUNDS: usize = 11;
/// Calls of one turn.
const CALLS: u32 = 500;
/// Calls that are up when memory is taken.
const HELD: u32 = 1_000;
/// Longer than any transaction lives, and between two questions whether a phone is there (every 30 s).
const TRANSACTIONS_OVER: Duration = Duration::from_secs(50);

/// What the edge used, without what its phones did.
#[derive(Default)]
pub(crate) struct Meter {
    /// A profiler may not know the clock.
    is_on: bool,
    ns: f64,
    allocations: usize,
    bytes: usize,
}

impl Meter {
    /// Counts what `work` uses.
    pub(crate) fn count<T>(&mut self, work: impl FnOnce() -> T) -> T {
        if !self.is_on {
            return work();
        }
        let region = Region::new(ALLOCATOR);
        let begin = cpu_ns();
        let result = work();
        self.ns += cpu_ns() - begin;
        let change = region.change();
        self.allocations += change.allocations + change.reallocations;
        self.bytes += change.bytes_allocated;
        result
    }
}

fn cpu_ns() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

fn held(change: &Stats) -> f64 {
    change.bytes_allocated as f64 - change.bytes_deallocated as f64
}

fn main() {
    let profiled = std::env::args().skip(1).find_map(|word| word.parse::<u32>().ok());
    let mut phones = Phones::registered();
    if let Some(calls) = profiled {
        let mut meter = Meter::default();
        (0..calls).for_each(|_| phones.whole_call(&mut meter));
        println!("{calls} calls");
        return;
    }
    if std::env::args().any(|word| word == "held") {
        (0..HELD).for_each(|_| drop(phones.answered_call(&mut Meter::default())));
        phones.wait(TRANSACTIONS_OVER);
        std::mem::forget(phones);
        return;
    }
    let mut rounds: Vec<f64> = Vec::new();
    let mut total = Meter::default();
    for _ in 0..ROUNDS {
        let mut meter = Meter { is_on: true, ..Meter::default() };
        (0..CALLS).for_each(|_| phones.whole_call(&mut meter));
        rounds.push(meter.ns / f64::from(CALLS));
        total.allocations += meter.allocations;
        total.bytes += meter.bytes;
        phones.wait(TRANSACTIONS_OVER);
    }
    rounds.sort_by(f64::total_cmp);
    let calls = f64::from(CALLS) * ROUNDS as f64;
    println!(
        "whole call with 407, eight messages in: {:.1} us CPU ({:.1} - {:.1}), {:.0} allocations, {:.0} bytes allocated",
        rounds[rounds.len() / 2] / 1e3,
        rounds[0] / 1e3,
        rounds[rounds.len() - 1] / 1e3,
        total.allocations as f64 / calls,
        total.bytes as f64 / calls
    );
    memory();
}

/// Bytes of a call that is up, with the transactions of its answer and without.
fn memory() {
    let mut phones = Phones::registered();
    // Tables that come with the first calls are not theirs.
    (0..10).for_each(|_| drop(phones.answered_call(&mut Meter::default())));
    phones.wait(TRANSACTIONS_OVER);
    let region = Region::new(ALLOCATOR);
    (0..HELD).for_each(|_| drop(phones.answered_call(&mut Meter::default())));
    let fresh = held(&region.change()) / f64::from(HELD);
    phones.wait(TRANSACTIONS_OVER);
    let settled = held(&region.change()) / f64::from(HELD);
    println!("a call that is up: {settled:.0} bytes (goal <= 8192), {fresh:.0} bytes with its transactions");
}
