//! The log of a role: lines on standard error, for the journal to keep. PLEIAD_LOG overrides the settings, in the
//! words of tracing's filter; PLEIAD_LOG_JSON=1 writes JSON.

use anyhow::{Context, Result, anyhow};
use tracing_subscriber::EnvFilter;

/// Starts it; `filter` is what the settings say.
pub(crate) fn start(filter: &str) -> Result<()> {
    let asked = std::env::var("PLEIAD_LOG").unwrap_or_else(|_| filter.to_owned());
    let filter = EnvFilter::try_new(&asked)
        .with_context(|| format!("log: '{asked}' is no filter; use for example info, warn or ipbx=debug"))?;
    let lines =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false);
    let started = match std::env::var_os("PLEIAD_LOG_JSON") {
        Some(_) => lines.json().try_init(),
        None => lines.try_init(),
    };
    started.map_err(|fault| anyhow!("the log cannot be started: {fault}"))
}
