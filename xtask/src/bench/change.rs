//! From a change at the cluster server to the nodes that act on it.
//!
//! Each round writes an object through the manager. The processes' own logs, by one clock, say when the cluster server
//! had it written (which is before the API's 200) and when the calls of each node were decided by it.

use super::network::Network;
use super::{Figure, Raw};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::fmt::Write as _;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

const CHANGES: u32 = 100;

pub(super) fn run(network: &Network, raw: &Raw) -> Result<Vec<Figure>> {
    network.log_in()?;
    let mut revisions = Vec::new();
    for round in 1..=CHANGES {
        let value = format!("{{\"prefixes\":[\"29{round:02}\"]}}");
        let written = network.quick(&["object", "put", "barred-numbers", "bench", "--value", &value])?;
        revisions.push(written.get("revision").and_then(Value::as_u64).context("no revision")?);
    }
    network.quick(&["object", "delete", "barred-numbers", "bench"])?;
    sleep(Duration::from_secs(1));
    let logs = network.logs();
    let mut text = String::new();
    let mut times = Vec::new();
    for revision in revisions {
        let written = instant(&logs.join("cs.log"), "object written", revision)?;
        for node in ["node-1", "node-2"] {
            let in_force = instant(&logs.join(format!("{node}.log")), "changes in force", revision)?;
            let took = (in_force - written) * 1000.0;
            writeln!(text, "revision {revision}: at {node} {took:.3} ms after it was written")?;
            times.push(took);
        }
    }
    raw.keep("change", &text)?;
    times.sort_by(f64::total_cmp);
    let (median, worst) = (times.get(times.len() / 2), times.last());
    let shown = |time: Option<&f64>| time.map_or_else(|| "–".to_owned(), |time| format!("{time:.1} ms"));
    Ok(vec![
        Figure::new("change in force at a node, median", shown(median), ""),
        Figure::new("change in force at a node, worst of 200", shown(worst), "goal <= 50 ms p99"),
    ])
}

/// Seconds of the day at which a log has `words` with this revision.
fn instant(log: &Path, words: &str, revision: u64) -> Result<f64> {
    let text = std::fs::read_to_string(log).with_context(|| format!("cannot read {}", log.display()))?;
    let mark = format!("revision={revision}");
    let line =
        text.lines().find(|line| line.contains(words) && line.split_whitespace().any(|word| word == mark));
    let line = line.with_context(|| format!("{} does not say '{words}' of {mark}", log.display()))?;
    // 2026-11-22T14:11:36.131766Z
    let (_, clock) =
        line.split_whitespace().next().and_then(|stamp| stamp.split_once('T')).context("no time")?;
    let parts: Vec<f64> =
        clock.trim_end_matches('Z').split(':').filter_map(|part| part.parse().ok()).collect();
    ensure!(parts.len() == 3, "'{clock}' is no time");
    Ok(parts.iter().fold(0.0, |sum, part| sum * 60.0 + part))
}
