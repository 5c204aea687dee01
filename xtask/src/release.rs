//! `cargo xtask release`: the archive that is installed on a machine: the binary, its units, samples and papers.

use crate::repo::Repo;
use anyhow::{Context, Result, ensure};
use std::fs;

/// What goes into the archive beside the binary: where it lies, where it is packed.
const CONTENTS: &[(&str, &str)] = &[
    ("packaging", "packaging"),
    ("docs/manual", "manual"),
    ("README.md", "README.md"),
    ("CHANGELOG.md", "CHANGELOG.md"),
    ("LICENSE", "LICENSE"),
];

pub(crate) fn run(repo: &Repo) -> Result<bool> {
    ensure!(
        repo.shows("cargo", &["build", "--profile", "dist", "--package", "pleiad", "--locked"])?,
        "the build failed"
    );
    let name = format!("pleiad-{}-{}", env!("CARGO_PKG_VERSION"), std::env::consts::ARCH);
    let dist = repo.target().join("dist");
    let stage = dist.join(&name);
    if stage.exists() {
        fs::remove_dir_all(&stage).context("cannot clear the last stage")?;
    }
    fs::create_dir_all(stage.join("bin")).context("cannot make the stage")?;
    fs::copy(dist.join("pleiad"), stage.join("bin/pleiad")).context("cannot copy the binary")?;
    for (from, to) in CONTENTS {
        let (from, to) = (repo.path(from).display().to_string(), stage.join(to).display().to_string());
        ensure!(repo.shows("cp", &["-r", &from, &to])?, "cannot pack {from}");
    }
    let archive = dist.join(format!("{name}.tar.gz"));
    let (folder, file) = (dist.display().to_string(), archive.display().to_string());
    let fixed = ["--sort=name", "--owner=0", "--group=0", "--numeric-owner"];
    let mut arguments = fixed.to_vec();
    arguments.extend(["-C", &folder, "-czf", &file, &name]);
    ensure!(repo.shows("tar", &arguments)?, "tar failed");
    println!("{} ({} KiB)", archive.display(), fs::metadata(&archive)?.len() / 1024);
    Ok(true)
}
