//! From the cut to isolated (promised: 3 s), from the return to connected (promised: calls across within 5 s).

use super::network::Network;
use super::{Figure, Raw};
use anyhow::{Result, ensure};
use std::fmt::Write as _;
use std::thread::sleep;
use std::time::{Duration, Instant};

const CUTS: usize = 10;
/// How long a state may take to come.
const LIMIT: Duration = Duration::from_secs(20);

pub(super) fn run(network: &Network, raw: &Raw) -> Result<Vec<Figure>> {
    network.log_in()?;
    let (mut gone, mut back) = (Vec::new(), Vec::new());
    let mut text = String::new();
    for round in 1..=CUTS {
        gone.push(until(network, "cut", "isolated")?);
        sleep(Duration::from_secs(1));
        back.push(until(network, "heal", "connected")?);
        let last = |times: &[f64]| times.last().copied().unwrap_or_default();
        writeln!(
            text,
            "cut {round}: isolated after {:.2} s, connected after {:.2} s",
            last(&gone),
            last(&back)
        )?;
        sleep(Duration::from_secs(1));
    }
    raw.keep("cut", &text)?;
    let worst = |times: &[f64]| times.iter().copied().fold(0.0, f64::max);
    Ok(vec![
        Figure::new("cut to isolated, worst of ten", format!("{:.2} s", worst(&gone)), "goal <= 3 s"),
        Figure::new("return to connected, worst of ten", format!("{:.2} s", worst(&back)), "goal <= 5 s"),
    ])
}

/// Seconds from the act until the node itself says `state`; asking takes some 20 ms, which counts.
fn until(network: &Network, act: &str, state: &str) -> Result<f64> {
    network.demo(&[act, "1"])?;
    let begin = Instant::now();
    loop {
        let said = network.quick(&["state", "node-1"])?;
        if said.get("state").is_some_and(|now| now == state) {
            return Ok(begin.elapsed().as_secs_f64());
        }
        ensure!(begin.elapsed() < LIMIT, "node 1 is not {state} {LIMIT:?} after the {act}: {said}");
    }
}
