//! A child process with its output in a file, ended when the handle goes.

use super::eventually;
use anyhow::Context;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::Duration;

/// The `pleiad` binary under test: `PLEIAD_BIN`, or the one cargo built beside this test.
///
/// # Errors
/// Says how to build it when it is not there.
pub fn pleiad_binary() -> anyhow::Result<PathBuf> {
    if let Some(path) = std::env::var_os("PLEIAD_BIN") {
        return Ok(PathBuf::from(path));
    }
    let own = std::env::current_exe()?;
    let path = own
        .ancestors()
        .nth(2)
        .map(|profile| profile.join("pleiad"))
        .filter(|path| path.exists())
        .context("no pleiad binary beside the tests: run `cargo build -p pleiad` first")?;
    Ok(path)
}

/// A process that a test started.
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command` with its output in `log` (appended).
    ///
    /// # Errors
    /// When the program is not there or the log cannot be written.
    pub fn start(name: &str, command: &mut Command, log: &Path) -> anyhow::Result<Process> {
        Process::spawn(name, command.stdin(Stdio::null()), log)
    }

    /// Starts `command` likewise, with a pipe to type into.
    ///
    /// # Errors
    /// When the program is not there or the log cannot be written.
    pub fn start_typing(
        name: &str,
        command: &mut Command,
        log: &Path,
    ) -> anyhow::Result<(Process, ChildStdin)> {
        let mut process = Process::spawn(name, command.stdin(Stdio::piped()), log)?;
        let keys = process.child.stdin.take().context("a child without standard input")?;
        Ok((process, keys))
    }

    fn spawn(name: &str, command: &mut Command, log: &Path) -> anyhow::Result<Process> {
        let file = File::options().create(true).append(true).open(log)?;
        let child = command
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("starting {name}: {command:?}"))?;
        Ok(Process { name: name.to_owned(), child, log: log.to_owned() })
    }

    /// What it is called in messages.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has written so far.
    #[must_use]
    pub fn output(&self) -> String {
        std::fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// True when its output, from byte `since` on, has one of `words`.
    #[must_use]
    pub fn said(&self, since: usize, words: &[&str]) -> bool {
        let output = self.output();
        let fresh = output.get(since..).unwrap_or_default();
        words.iter().any(|word| fresh.contains(word))
    }

    /// Waits until its output, from byte `since` on, has one of `words`.
    ///
    /// # Errors
    /// With the end of its output, when it does not come or the process ends first.
    pub fn wait_output(&mut self, words: &[&str], since: usize, limit: Duration) -> anyhow::Result<()> {
        let name = self.name.clone();
        let outcome = eventually(&format!("{name} to say one of {words:?}"), limit, || {
            if self.said(since, words) {
                return Ok(Some(()));
            }
            match self.child.try_wait()? {
                Some(status) => anyhow::bail!("{name} ended with {status}"),
                None => Ok(None),
            }
        });
        outcome.with_context(|| self.tail())
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let pid = i32::try_from(self.child.id())?;
        kill(Pid::from_raw(pid), signal).with_context(|| format!("{signal} to {}", self.name))
    }

    /// `kill -9`, and waits until it is gone.
    ///
    /// # Errors
    /// When it cannot be waited for.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it still runs at the end of `limit`.
    pub fn wait(&mut self, limit: Duration) -> anyhow::Result<ExitStatus> {
        let name = self.name.clone();
        eventually(&format!("the end of {name}"), limit, || Ok(self.child.try_wait()?))
            .with_context(|| self.tail())
    }

    /// True while it runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// The end of its output.
    #[must_use]
    pub fn tail(&self) -> String {
        let output = self.output();
        // Some programs write over one line again and again.
        let lines: Vec<String> = output.lines().map(|line| line.chars().take(200).collect()).collect();
        let from = lines.len().saturating_sub(25);
        format!("last words of {}:\n{}", self.name, lines.get(from..).unwrap_or_default().join("\n"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Ask first, so that a program that wraps another (ip netns exec) is not left with an orphan.
        if self.is_running() && self.signal(Signal::SIGTERM).is_ok() {
            let _ = eventually("a polite end", Duration::from_secs(2), || Ok(self.child.try_wait()?));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
