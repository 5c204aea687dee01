//! `pleiad sim`: simulated lives of a cluster, each replayable from its seed. The simulator itself is testkit's.

use anyhow::{Result, ensure};
use clap::Args;
use std::process::ExitCode;
use testkit::sim;

/// Simulated lives of a cluster: invented network, clock, disks and fate around the real machines.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  pleiad sim --seed 17                            one life, told line by line
  pleiad sim --seed 1 --lives 1000 --coverage     a campaign
It fails when an invariant does not hold; the seed it names repeats the life exactly.")]
pub(crate) struct Options {
    /// The seed of the first life
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many lives, with the seeds that follow
    #[arg(long, default_value_t = 1)]
    lives: u64,
    /// Break something on purpose, by its name; the campaign must then fail
    #[arg(long, value_name = "NAME")]
    sabotage: Option<String>,
    /// Print which state met which event how often
    #[arg(long)]
    coverage: bool,
}

/// Lives them all; succeeds when every invariant held.
pub(crate) fn run(options: Options) -> Result<ExitCode> {
    let Options { seed, lives, sabotage, coverage } = options;
    ensure!(lives > 0, "--lives must be at least 1");
    let seeds = seed..=seed.saturating_add(lives - 1);
    let good = sim::main_like(&sim::Options { seeds, sabotage, coverage });
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
