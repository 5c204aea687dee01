//! `cargo xtask test`: everything CI runs. It goes on after a failure, so that one run tells all.

use crate::repo::Repo;
use crate::{packages, tidy};
use anyhow::Result;
use clap::Args;
use std::time::{Duration, Instant};

#[derive(Args)]
pub(crate) struct Options {
    /// Leave out the step that installs Debian packages
    #[arg(long)]
    no_packages: bool,
    /// Run the steps whose name contains this only
    #[arg(long)]
    only: Option<String>,
}

/// One step by its name; false when it found something wrong.
type Step<'a> = (&'static str, Box<dyn Fn() -> Result<bool> + 'a>);

pub(crate) fn run(repo: &Repo, options: &Options) -> Result<bool> {
    let begin = Instant::now();
    let mut results: Vec<(&str, bool, Duration)> = Vec::new();
    let steps = steps(repo, options);
    let count = steps.len();
    for (index, (name, step)) in steps.into_iter().enumerate() {
        println!("\n── {}/{count} {name} ({:.0} s so far)", index + 1, begin.elapsed().as_secs_f64());
        let start = Instant::now();
        let good = step().unwrap_or_else(|error| {
            println!("error: {error:#}");
            false
        });
        results.push((name, good, start.elapsed()));
    }
    println!("\n── summary");
    for (name, good, took) in &results {
        println!("{:>8.1} s  {}  {name}", took.as_secs_f64(), if *good { "ok    " } else { "FAILED" });
    }
    let good = results.iter().all(|(_, good, _)| *good);
    println!(
        "{:>8.1} s  {}",
        begin.elapsed().as_secs_f64(),
        if good { "all is well" } else { "something FAILED" }
    );
    Ok(good)
}

fn steps<'a>(repo: &'a Repo, options: &'a Options) -> Vec<Step<'a>> {
    let cargo = |arguments: &'static [&'static str]| -> Box<dyn Fn() -> Result<bool> + 'a> {
        Box::new(move || repo.shows("cargo", arguments))
    };
    let mut steps: Vec<Step<'a>> = vec![
        ("packages", Box::new(|| packages::install(repo).map(|()| true))),
        ("fmt", cargo(&["fmt", "--all", "--check"])),
        ("tidy", Box::new(|| tidy::run(repo))),
        ("clippy", cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])),
        // The live tests start the processes of this binary, as they are released.
        ("build", cargo(&["build", "--workspace"])),
        ("tests", cargo(&["test", "--workspace", "--no-fail-fast"])),
        ("browser", Box::new(|| browser(repo))),
    ];
    if options.no_packages {
        steps.retain(|(name, _)| *name != "packages");
    }
    if let Some(only) = &options.only {
        steps.retain(|(name, _)| name.contains(only.as_str()));
    }
    steps
}

/// The web faces in a real Chromium, against the demo's processes.
fn browser(repo: &Repo) -> Result<bool> {
    const FOLDER: &str = "crates/testkit/tests/browser";
    if !repo.shows("npm", &["ci", "--prefix", FOLDER, "--no-audit", "--no-fund"])? {
        return Ok(false);
    }
    let mut node = repo.command("node", &["run.js"]);
    node.current_dir(repo.path(FOLDER)).env("PLEIAD", repo.target().join("debug/pleiad"));
    Ok(node.status()?.success())
}
