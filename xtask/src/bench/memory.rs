//! What each process of the demo takes at rest (goal: 40 MB), and how long the demo took to be in service.

use super::network::Network;
use super::{Figure, Raw};
use anyhow::{Context, Result};
use std::fmt::Write as _;
use std::thread::sleep;
use std::time::Duration;

/// The process and the argument it is known by.
const PROCESSES: [(&str, &str); 5] = [
    ("manager", "manager.toml"),
    ("cluster server", "cs.toml"),
    ("node 1", "node-1.toml"),
    ("node 2", "node-2.toml"),
    ("line of node 1", "wan-1.sock"),
];
/// A while without any work.
const REST: Duration = Duration::from_secs(5);

pub(super) fn run(network: &Network, raw: &Raw) -> Result<Vec<Figure>> {
    sleep(REST);
    let service = network.started_in.as_secs_f64();
    let mut text = format!("in service after {service:.2} s\n");
    let mut figures = vec![Figure::new("demo in service", format!("{service:.2} s"), "goal < 10 s")];
    for (name, word) in PROCESSES {
        let status = std::fs::read_to_string(format!("/proc/{}/status", network.pid(word)?))?;
        let kib = |field: &str| -> Option<u64> {
            status.lines().find_map(|line| line.strip_prefix(field))?.split_whitespace().next()?.parse().ok()
        };
        let (resident, anonymous) = (kib("VmRSS:"), kib("RssAnon:"));
        let (resident, anonymous) = (resident.context("no VmRSS")?, anonymous.context("no RssAnon")?);
        writeln!(text, "{name}: resident {resident} KiB, of it anonymous {anonymous} KiB")?;
        let value = format!("{:.1} MB", megabytes(resident));
        figures.push(Figure::new(format!("memory at rest, {name}"), value, "goal <= 40 MB"));
    }
    raw.keep("memory", &text)?;
    Ok(figures)
}

fn megabytes(kib: u64) -> f64 {
    f64::from(u32::try_from(kib).unwrap_or(u32::MAX)) * 1024.0 / 1e6
}
