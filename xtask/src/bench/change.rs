//! From a change at the cluster server to the nodes that hold it.
//!
//! Each round writes an object through the manager and then asks both nodes for their revision until they have it. The
//! time from the API's 200 is an upper bound: asking itself takes some 20 ms, which counts.

use super::network::Network;
use super::{Figure, Raw};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

const CHANGES: u32 = 50;
/// How long a change may take.
const LIMIT: Duration = Duration::from_secs(5);

pub(super) fn run(network: &Network, raw: &Raw) -> Result<Vec<Figure>> {
    network.log_in()?;
    let mut text = String::new();
    let (mut times, mut asks) = (Vec::new(), 0_u32);
    for round in 1..=CHANGES {
        let value = format!("{{\"prefixes\":[\"29{round:02}\"]}}");
        let written = network.quick(&["object", "put", "barred-numbers", "bench", "--value", &value])?;
        let revision = written.get("revision").and_then(Value::as_u64).context("no revision")?;
        let begin = Instant::now();
        let mut asked = 0_u32;
        for node in ["node-1", "node-2"] {
            loop {
                asked += 1;
                let said = network.quick(&["state", node])?;
                if said.pointer("/position/revision").and_then(Value::as_u64).is_some_and(|at| at >= revision)
                {
                    break;
                }
                ensure!(begin.elapsed() < LIMIT, "{node} has no revision {revision} after {LIMIT:?}");
            }
        }
        let took = begin.elapsed().as_secs_f64() * 1000.0;
        writeln!(
            text,
            "change {round}: on both nodes at most {took:.1} ms after the 200, {asked} questions"
        )?;
        times.push(took);
        asks += asked;
    }
    network.quick(&["object", "delete", "barred-numbers", "bench"])?;
    raw.keep("change", &text)?;
    times.sort_by(f64::total_cmp);
    let at_first_look = 2 * CHANGES == asks;
    let worst = times.last().copied().unwrap_or_default();
    let value = if at_first_look { format!("< {worst:.0} ms") } else { format!("{worst:.0} ms") };
    Ok(vec![Figure::new("change on both nodes, worst of 50 (asking included)", value, "goal <= 50 ms p99")])
}
