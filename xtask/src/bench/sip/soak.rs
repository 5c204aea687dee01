//! `cargo xtask bench soak --minutes N`: mixed load on one machine for so long, and its memory as a table and a picture. What is
//! looked for is a line that ends where it began.

use super::server::{CORES, Who};
use super::{USERS, load, prepare};
use crate::bench::{Figure, Raw};
use crate::repo::Repo;
use anyhow::{Context, Result, ensure};
use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::time::{Duration, Instant};

/// The part of the run after which the memory must not grow any more: pools, caches and the trace are full then.
const WARM: f64 = 0.2;
/// What it may have grown by between then and the end.
const GROWTH_MAX: f64 = 0.05;

/// A look at the server.
struct Sample {
    minutes: f64,
    megabytes: f64,
}

pub(in crate::bench) fn run(repo: &Repo, raw: &Raw, minutes: u64) -> Result<Vec<Figure>> {
    let ground = prepare(repo, raw)?;
    let server = ground.start(Who::Pleiad { shards: 2 }, USERS, CORES[0])?;
    let file = raw.folder.join("soak.csv");
    let mut table = File::create(&file).with_context(|| format!("cannot write {}", file.display()))?;
    writeln!(table, "minutes,megabytes,cpu_s,what")?;
    println!("minutes,megabytes,cpu_s,what");
    let _called = load::mixed_callee(&ground)?;
    let (begin, whole) = (Instant::now(), Duration::from_secs(minutes * 60));
    let mut samples = Vec::new();
    while begin.elapsed() < whole {
        let said = load::mixed(&ground)?;
        let sample =
            Sample { minutes: begin.elapsed().as_secs_f64() / 60.0, megabytes: megabytes(server.memory()?) };
        let cpu_s = Duration::from_nanos(server.cpu_ns()?).as_secs_f64();
        let line = format!("{:.2},{:.1},{cpu_s:.1},{said}", sample.minutes, sample.megabytes);
        println!("{line}");
        writeln!(table, "{line}")?;
        samples.push(sample);
    }
    let picture = raw.folder.join("soak.svg");
    std::fs::write(&picture, draw(&samples))
        .with_context(|| format!("cannot write {}", picture.display()))?;
    println!("plot: {}", picture.display());
    judge(&samples)
}

fn megabytes(bytes: u64) -> f64 {
    f64::from(u32::try_from(bytes / 1024).unwrap_or(u32::MAX)) * 1024.0 / 1e6
}

fn judge(samples: &[Sample]) -> Result<Vec<Figure>> {
    let last = samples.last().context("no sample")?;
    let warm = samples.iter().find(|sample| sample.minutes >= last.minutes * WARM).unwrap_or(last);
    let growth = last.megabytes / warm.megabytes - 1.0;
    ensure!(
        growth <= GROWTH_MAX,
        "the memory grows: {:.1} MB, then {:.1} MB",
        warm.megabytes,
        last.megabytes
    );
    let what = format!(
        "memory after {:.0} minutes of mixed load (after {:.0}: {:.1} MB)",
        last.minutes, warm.minutes, warm.megabytes
    );
    Ok(vec![Figure::new(what, format!("{:.1} MB", last.megabytes), "goal: flat")])
}

/// Memory over time, from zero, so that flat looks flat.
fn draw(samples: &[Sample]) -> String {
    const WIDE: f64 = 900.0;
    const HIGH: f64 = 320.0;
    const EDGE: f64 = 50.0;
    let most = samples.iter().map(|sample| sample.megabytes).fold(1.0, f64::max) * 1.1;
    let end = samples.last().map_or(1.0, |sample| sample.minutes).max(0.1);
    let at = |sample: &Sample| {
        let x = EDGE + sample.minutes / end * (WIDE - 2.0 * EDGE);
        let y = HIGH - EDGE - sample.megabytes / most * (HIGH - 2.0 * EDGE);
        format!("{x:.1},{y:.1}")
    };
    let line: Vec<String> = samples.iter().map(at).collect();
    let (floor, right) = (HIGH - EDGE, WIDE - EDGE);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDE} {HIGH}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{WIDE}\" height=\"{HIGH}\" fill=\"white\"/>\n\
         <path d=\"M{EDGE},{EDGE} V{floor} H{right}\" fill=\"none\" stroke=\"#666\"/>\n"
    );
    // Writing to a String cannot fail.
    let _ = writeln!(
        svg,
        "<polyline points=\"{}\" fill=\"none\" stroke=\"#06c\" stroke-width=\"2\"/>",
        line.join(" ")
    );
    let _ = writeln!(
        svg,
        "<text x=\"{EDGE}\" y=\"30\">memory of the call server under mixed load, MB (top: {most:.0})</text>"
    );
    let _ = writeln!(
        svg,
        "<text x=\"{right}\" y=\"{}\" text-anchor=\"end\">{end:.0} minutes</text>",
        HIGH - 20.0
    );
    svg.push_str("</svg>\n");
    svg
}
