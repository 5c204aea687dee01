//! `cargo xtask bench`: the measurements, absolute, with the raw output kept in `target/bench/*.txt`.
//!
//! Each bench is one file here and answers with [`Figure`]s; this one runs them and prints the table.

use crate::repo::Repo;
use anyhow::{Context, Result};
use clap::Args;
use std::path::PathBuf;

mod build;

#[derive(Args)]
pub(crate) struct Options {
    /// Which to run; all when none is named
    #[arg(value_parser = NAMES.to_vec())]
    names: Vec<String>,
}

/// The benches, in the order they run.
const NAMES: &[&str] = &["build"];

/// One measured number, as a person compares it.
pub(crate) struct Figure {
    what: String,
    value: String,
    /// What it should be, when that was promised.
    goal: &'static str,
}

impl Figure {
    pub(crate) fn new(what: impl Into<String>, value: impl Into<String>, goal: &'static str) -> Figure {
        Figure { what: what.into(), value: value.into(), goal }
    }
}

/// Where a bench leaves what it saw.
pub(crate) struct Raw {
    folder: PathBuf,
}

impl Raw {
    /// Keeps `text` as `NAME.txt`.
    pub(crate) fn keep(&self, name: &str, text: &str) -> Result<()> {
        let file = self.folder.join(format!("{name}.txt"));
        std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))
    }
}

pub(crate) fn run(repo: &Repo, options: &Options) -> Result<bool> {
    let folder = repo.target().join("bench");
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let raw = Raw { folder };
    let mut figures = Vec::new();
    let wanted =
        |name: &&&str| options.names.is_empty() || options.names.iter().any(|wanted| wanted == **name);
    for name in NAMES.iter().filter(wanted) {
        println!("── bench {name}");
        figures.extend(match *name {
            "build" => build::run(repo, &raw)?,
            _ => Vec::new(),
        });
    }
    let table = table(&figures);
    print!("\n{table}");
    raw.keep("table", &table)?;
    Ok(true)
}

fn table(figures: &[Figure]) -> String {
    let wide = figures.iter().map(|figure| figure.what.chars().count()).max().unwrap_or(0);
    let line = |figure: &Figure| format!("{:<wide$}  {:>14}  {}\n", figure.what, figure.value, figure.goal);
    figures.iter().map(line).collect()
}
