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
//! | `build` | a clean build |

mod build;
mod calls;
mod change;
mod cut;
mod memory;
mod network;
mod register;
mod sipp;

use crate::repo::Repo;
use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use network::Network;
use std::path::PathBuf;

#[derive(Args)]
pub(crate) struct Options {
    /// Which to run; all but `build` when none is named
    #[arg(value_parser = NAMES.to_vec())]
    names: Vec<String>,
}

/// The benches, in the order they run.
const NAMES: &[&str] = &["memory", "register", "calls", "change", "cut", "build"];
/// Takes many minutes, so only when it is asked for.
const ON_DEMAND: &str = "build";

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
    /// Keeps `text` as `NAME.txt`.
    fn keep(&self, name: &str, text: &str) -> Result<()> {
        let file = self.folder.join(format!("{name}.txt"));
        std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))
    }
}

pub(crate) fn run(repo: &Repo, options: &Options) -> Result<bool> {
    let folder = repo.target().join("bench");
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let raw = Raw { folder };
    let asked = |name: &str| options.names.iter().any(|asked| asked == name);
    let names: Vec<&str> = NAMES
        .iter()
        .copied()
        .filter(|name| asked(name) || (options.names.is_empty() && *name != ON_DEMAND))
        .collect();
    let network = if names.iter().any(|name| *name != ON_DEMAND) {
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
        figures.extend(measure(name, repo, network.as_ref(), &raw).with_context(|| format!("bench {name}"))?);
    }
    let table = table(&figures);
    print!("\n{table}");
    raw.keep("table", &table)?;
    Ok(true)
}

fn measure(name: &str, repo: &Repo, network: Option<&Network>, raw: &Raw) -> Result<Vec<Figure>> {
    match (name, network) {
        ("build", _) => build::run(repo, raw),
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
