//! Checks and chores of the workspace, in the project's own language (STYLE 29).
//!
//! | command | what it does |
//! | --- | --- |
//! | `cargo xtask tidy` | the walls between crates, purity, sizes, leftovers, the demo's modesty |
//! | `cargo xtask trace` | which requirement has which test |
//! | `cargo xtask test` | everything CI runs, from the packages to the last live test |
//! | `cargo xtask bench` | the measurements, raw output kept |
//! | `cargo xtask release` | the archive that is installed on a machine |
//!
//! It depends on no crate of ours: it must run when they do not compile.

mod bench;
mod packages;
mod release;
mod repo;
mod test;
mod tidy;
mod trace;

use anyhow::Result;
use clap::{Parser, Subcommand};
use repo::Repo;
use std::process::ExitCode;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Checks and chores of the Pleiad workspace")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Check the rules that a compiler does not know
    Tidy,
    /// List the requirements with the tests that name them
    Trace(trace::Options),
    /// Install what is missing, then check and test everything
    Test(test::Options),
    /// Measure, keep the raw output, print the table
    Bench(bench::Options),
    /// Build the archive that is installed on a machine
    Release,
}

fn main() -> ExitCode {
    match Repo::find().and_then(|repo| run(&repo, Arguments::parse().chore)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// False when the chore was done and found something wrong.
fn run(repo: &Repo, chore: Chore) -> Result<bool> {
    match chore {
        Chore::Tidy => tidy::run(repo),
        Chore::Trace(options) => trace::run(repo, &options),
        Chore::Test(options) => test::run(repo, &options),
        Chore::Bench(options) => bench::run(repo, &options),
        Chore::Release => release::run(repo),
    }
}
