//! What the core costs, without sockets: `cargo bench -p sip --bench micro`, or `cargo xtask bench sip`.
//!
//! CPU time of this thread, every case in turn in each of the rounds, so that a slow moment of the machine falls on
//! all of them; the median of the rounds is shown, with allocations and bytes counted by the allocator.
#![expect(clippy::unwrap_used, reason = "a bench that is surprised ends")]
#![expect(clippy::indexing_slicing, reason = "there is a round")]
#![expect(clippy::as_conversions, reason = "counts become figures to read")]

mod cases;
mod messages;

use cases::Case;
use rustix::time::{ClockId, clock_gettime};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Turns of all cases.
const ROUNDS: usize = 11;
/// Operations of one case in one turn.
const OPERATIONS: u32 = 4_000;

struct Measured {
    name: &'static str,
    limit: &'static str,
    ns: Vec<f64>,
    allocations: f64,
}

fn main() {
    // A word as argument runs the cases that have it in their name, for a profiler.
    let wanted = std::env::args().skip(1).find(|word| !word.starts_with('-')).unwrap_or_default();
    let mut cases = cases::all();
    cases.retain(|case| case.name.contains(&wanted));
    let mut measured: Vec<Measured> = cases
        .iter()
        .map(|case| Measured { name: case.name, limit: case.limit, ns: Vec::new(), allocations: 0.0 })
        .collect();
    for _ in 0..ROUNDS {
        for (case, measured) in cases.iter_mut().zip(&mut measured) {
            turn(case, measured);
        }
    }
    println!("{:<58} {:>10} {:>19} {:>8}  limit", "operation", "ns CPU", "(min - max)", "allocs");
    for Measured { name, limit, ns, allocations } in &mut measured {
        ns.sort_by(f64::total_cmp);
        let (least, middle, most) = (ns[0], ns[ns.len() / 2], ns[ns.len() - 1]);
        let spread = format!("({least:.0} - {most:.0})");
        println!("{name:<58} {middle:>10.0} {spread:>19} {allocations:>8.1}  {limit}");
    }
    println!();
    for (name, bytes, limit) in cases::memory(|make| {
        let region = Region::new(ALLOCATOR);
        let kept = make();
        let change = region.change();
        drop(kept);
        change.bytes_allocated as f64 - change.bytes_deallocated as f64
    }) {
        println!("{name:<58} {bytes:>10.0} bytes{:>23}  {limit}", "");
    }
}

fn turn(case: &mut Case, measured: &mut Measured) {
    let region = Region::new(ALLOCATOR);
    let begin = cpu_ns();
    for turn in 0..OPERATIONS {
        (case.operation)(turn);
    }
    measured.ns.push((cpu_ns() - begin) / f64::from(OPERATIONS));
    let change = region.change();
    measured.allocations = (change.allocations + change.reallocations) as f64 / f64::from(OPERATIONS);
}

fn cpu_ns() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}
