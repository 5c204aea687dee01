//! The repository on disk: where it is, which files belong to it, and running programs in it.

use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A checkout of the project.
pub(crate) struct Repo {
    root: PathBuf,
}

impl Repo {
    /// The repository this program was built from.
    pub(crate) fn find() -> Result<Repo> {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = here.parent().context("xtask lies at the top of the workspace")?.to_path_buf();
        Ok(Repo { root })
    }

    /// The absolute path of something in the repository.
    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    /// The text of a file that must be there.
    pub(crate) fn read(&self, relative: &str) -> Result<String> {
        let path = self.path(relative);
        std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    }

    /// Every file of the repository that git does not ignore, relative, sorted.
    pub(crate) fn files(&self) -> Result<Vec<String>> {
        let listing = self
            .capture("git", &["ls-files", "--cached", "--others", "--exclude-standard", "--deduplicate"])?;
        let mut files: Vec<String> =
            listing.lines().filter(|line| self.path(line).is_file()).map(str::to_owned).collect();
        files.sort();
        Ok(files)
    }

    /// Where cargo puts what it builds.
    pub(crate) fn target(&self) -> PathBuf {
        match std::env::var_os("CARGO_TARGET_DIR") {
            Some(folder) => self.root.join(folder),
            None => self.path("target"),
        }
    }

    /// A command that starts at the top of the repository and never waits for a keyboard.
    pub(crate) fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(&self.root).stdin(Stdio::null());
        command
    }

    /// Runs a program whose output belongs to the reader. True when it succeeded.
    pub(crate) fn shows(&self, program: &str, arguments: &[&str]) -> Result<bool> {
        let status = self
            .command(program, arguments)
            .status()
            .with_context(|| format!("cannot run {program}: is it installed?"))?;
        Ok(status.success())
    }

    /// Runs a program and takes what it prints.
    pub(crate) fn capture(&self, program: &str, arguments: &[&str]) -> Result<String> {
        let output = self
            .command(program, arguments)
            .stderr(Stdio::inherit())
            .output()
            .with_context(|| format!("cannot run {program}: is it installed?"))?;
        if !output.status.success() {
            bail!("{program} {} ended with {}", arguments.join(" "), output.status);
        }
        String::from_utf8(output.stdout)
            .with_context(|| format!("{program} printed something that is not text"))
    }
}
