//! How long a stranger waits for a clean build (DESIGN § 9: dev under 4 minutes, release under 8, on 2 cores).

use super::{Figure, Raw};
use crate::repo::Repo;
use anyhow::{Context, Result, ensure};
use std::fmt::Write as _;
use std::time::Instant;

pub(super) fn run(repo: &Repo, raw: &Raw) -> Result<Vec<Figure>> {
    let target = repo.target().join("bench/clean-build");
    let mut figures = Vec::new();
    let mut text = String::new();
    for (profile, goal) in [("dev", "goal < 240 s"), ("release", "goal < 480 s")] {
        if target.exists() {
            std::fs::remove_dir_all(&target).context("cannot clear the last clean build")?;
        }
        let start = Instant::now();
        let status = repo
            .command("cargo", &["build", "--locked", "--workspace", "--profile", profile])
            .env("CARGO_TARGET_DIR", &target)
            .status()
            .context("cannot run cargo")?;
        ensure!(status.success(), "the {profile} build failed");
        let took = start.elapsed().as_secs_f64();
        writeln!(text, "clean build, profile {profile}, {} cores: {took:.1} s", cores())?;
        figures.push(Figure::new(format!("clean build, {profile}"), format!("{took:.0} s"), goal));
    }
    std::fs::remove_dir_all(&target).context("cannot clear the clean build")?;
    raw.keep("build", &text)?;
    Ok(figures)
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
