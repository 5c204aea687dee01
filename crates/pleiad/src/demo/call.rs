//! `pleiad demo call A B`: a real call between two phones of the demo, with sound both ways.

use super::phones::{self, Phone};
use crate::phone::{Line, converse};
use anyhow::{Context, Result};
use clap::Args;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

/// Who calls whom.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// The calling extension, for example 2101
    from: String,
    /// The called extension, for example 2201
    to: String,
    /// How long they talk
    #[arg(long, default_value_t = 3)]
    seconds: u16,
    /// As JSON, with everything both phones saw
    #[arg(long)]
    json: bool,
}

/// Succeeds when each phone heard the other's tone.
pub(super) async fn run(dir: &Path, options: &Options) -> Result<ExitCode> {
    let phones = phones::read(dir)?.with_context(|| {
        format!("there is no phones.csv in {}\n  next: start the demo once with `pleiad demo`", dir.display())
    })?;
    let (caller, called) = (line(&phones, &options.from)?, line(&phones, &options.to)?);
    let talk = Duration::from_secs(u64::from(options.seconds));
    converse(caller, called, talk, options.json).await
}

fn line(phones: &[Phone], extension: &str) -> Result<Line> {
    let phone = phones.iter().find(|phone| phone.extension == extension).with_context(|| {
        let known: Vec<&str> = phones.iter().map(|phone| phone.extension.as_str()).collect();
        format!("the demo has no phone {extension}\n  next: use one of {}", known.join(", "))
    })?;
    Ok(Line {
        extension: phone.extension.clone(),
        password: phone.password.clone(),
        registrar: phone.registrar.to_string(),
    })
}
