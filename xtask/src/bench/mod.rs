//! `cargo xtask bench`: the measurements, absolute, with the raw output kept in `target/bench/*.txt`.
//!
//! Each bench is one file here and answers with [`Figure`]s; this one runs them and prints the table. What needs a
//! network gets the demo of the release build at an address of its own, and SIPp as the phones; server and load each have
//! a core to themselves.
//!
//! | bench | measures |
//! | --- | --- |
//! | `memory` | each process at rest |
//! | `register` | CPU of the cluster server for a registration with digest |
//! | `calls` | CPU of the cluster server for a call |
//! | `change` | from a change at the cluster server to the node that acts on it |
//! | `cut` | from the cut to isolated, from the return to connected |
//! | `sip` | registrations, calls and TLS beside Kamailio: CPU and memory of each; avalanche; growth by shards |
//! | `soak` | `--minutes N` of mixed load: the memory as a table and a picture |
//! | `media` | CPU, loss and delay of a relayed RTP packet, beside rtpengine |
//! | `build` | a clean build |

mod build;
mod calls;
mod change;
mod cut;
mod media;
mod memory;
mod network;
mod register;
mod sip;
mod sipp;

use crate::repo::Repo;
use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use network::Network;
use std::path::PathBuf;

#[derive(Args)]
pub(crate) struct Options {
    /// Which to run; all but `sip`, `soak` and `build` when none is named
    #[arg(value_parser = NAMES.to_vec())]
    names: Vec<String>,
    /// Minutes of `soak`
    #[arg(long, default_value_t = 60)]
    minutes: u64,
}

/// The benches, in the order they run.
const NAMES: &[&str] = &["memory", "register", "calls", "change", "cut", "sip", "media", "soak", "build"];
/// Take many minutes, so only when they are asked for; they start what they need themselves.
const ON_DEMAND: &[&str] = &["sip", "media", "soak", "build"];

/// One measured number, as a person compares it.
struct Figure {
    what: String,
    value: String,
    /// What it should be, when that was promised.
    goal: &'static str,
}

impl Figure {
    fn new(what: impl Into<String>, value: impl Into<String>, goal: &'static str) -> Figure {
        Figure { what: what.into(), value: value.into(), goal }
    }
}

/// Where a bench leaves what it saw.
struct Raw {
    folder: PathBuf,
}

impl Raw {
    fn make(repo: &Repo) -> Result<Raw> {
        let folder = repo.target().join("bench");
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(Raw { folder })
    }

    /// Keeps `text` as `NAME.txt`.
    fn keep(&self, name: &str, text: &str) -> Result<()> {
        let file = self.folder.join(format!("{name}.txt"));
        std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))
    }
}

pub(crate) fn run(repo: &Repo, options: &Options) -> Result<bool> {
    let raw = Raw::make(repo)?;
    let asked = |name: &str| options.names.iter().any(|asked| asked == name);
    let names: Vec<&str> = NAMES
        .iter()
        .copied()
        .filter(|name| asked(name) || (options.names.is_empty() && !ON_DEMAND.contains(name)))
        .collect();
    let network = if names.iter().any(|name| !ON_DEMAND.contains(name)) {
        ensure!(
            repo.shows("cargo", &["build", "--release", "--package", "pleiad"])?,
            "the release build failed"
        );
        Some(Network::start(repo, &raw.folder)?)
    } else {
        None
    };
    let mut figures = Vec::new();
    for name in names {
        println!("── bench {name}");
        figures.extend(
            measure(name, repo, options, network.as_ref(), &raw).with_context(|| format!("bench {name}"))?,
        );
    }
    let table = table(&figures);
    print!("\n{table}");
    raw.keep("table", &table)?;
    Ok(true)
}

fn measure(
    name: &str,
    repo: &Repo,
    options: &Options,
    network: Option<&Network>,
    raw: &Raw,
) -> Result<Vec<Figure>> {
    match (name, network) {
        ("build", _) => build::run(repo, raw),
        ("sip", _) => sip::run(repo, raw),
        ("soak", _) => sip::soak(repo, raw, options.minutes),
        ("media", _) => media::run(repo, raw),
        ("memory", Some(network)) => memory::run(network, raw),
        ("register", Some(network)) => register::run(network, raw),
        ("calls", Some(network)) => calls::run(network, raw),
        ("change", Some(network)) => change::run(network, raw),
        ("cut", Some(network)) => cut::run(network, raw),
        _ => bail!("there is no such bench"),
    }
}

fn table(figures: &[Figure]) -> String {
    let wide = figures.iter().map(|figure| figure.what.chars().count()).max().unwrap_or(0);
    let line = |figure: &Figure| format!("{:<wide$}  {:>14}  {}\n", figure.what, figure.value, figure.goal);
    figures.iter().map(line).collect()
}
