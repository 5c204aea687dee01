//! `pleiad manager`: reads the settings and runs the management station until it is told to end.

use anyhow::Result;
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;

/// The management station.
#[derive(Debug, Args)]
#[command(after_help = "Example: pleiad manager --config /etc/pleiad/manager.toml
The first login is printed at the first start and kept in manager.txt of the state folder.")]
pub(crate) struct Options {
    /// The settings file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

pub(crate) async fn run(options: Options) -> Result<ExitCode> {
    let config = manager::Config::read(&options.config)?;
    crate::log::start("info")?;
    manager::run(config).await?;
    Ok(ExitCode::SUCCESS)
}
