//! `pleiad ipbx`: reads the settings and runs the call server until it is told to end.

use anyhow::Result;
use clap::Args;
use ipbx::Config;
use std::path::PathBuf;
use std::process::ExitCode;

/// A call server.
#[derive(Debug, Args)]
#[command(after_help = "Example: pleiad ipbx --config /etc/pleiad/ipbx.toml
It starts independent and unclaimed; its claim code is printed and kept in the state folder until a manager
claims it. SIGTERM drains: new calls are refused, calls in progress have `drain_seconds` to end by themselves.")]
pub(crate) struct Options {
    /// The settings file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

pub(crate) async fn run(options: Options) -> Result<ExitCode> {
    let config = Config::load(&options.config)?;
    crate::log::start(&config.log)?;
    ipbx::run(config).await?;
    Ok(ExitCode::SUCCESS)
}
