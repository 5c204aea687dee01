//! The network under measurement: the demo of the release build, at an address of its own.

use crate::repo::Repo;
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Where the network listens: nobody else's loopback address.
pub(super) const ADDRESS: &str = "127.0.0.41";
/// The SIP domain of its phones.
pub(super) const DOMAIN: &str = "pleiad.test";
/// The password of every subscriber that a bench makes.
pub(super) const PASSWORD: &str = "bench-secret-of-all-phones";
/// How long the network may take until it is in service.
const START: Duration = Duration::from_secs(60);
/// How long the demo may take to end.
const END: Duration = Duration::from_secs(15);

/// A running network; it ends with its handle.
pub(super) struct Network {
    binary: PathBuf,
    folder: PathBuf,
    demo: Child,
    /// From the first process to service.
    pub(super) started_in: Duration,
}

impl Network {
    /// Starts one with empty folders.
    pub(super) fn start(repo: &Repo, bench: &Path) -> Result<Network> {
        let (binary, folder) = (repo.target().join("release/pleiad"), bench.join("network"));
        if folder.exists() {
            std::fs::remove_dir_all(&folder).context("cannot clear the last network")?;
        }
        let log = bench.join("demo.txt");
        let output = File::create(&log).context("cannot write the demo's output")?;
        let begin = Instant::now();
        let demo = Command::new(&binary)
            .args(["demo", "--bind", ADDRESS, "--dir"])
            .arg(&folder)
            .env("PLEIAD_LOG", "info,ipbx::shell::engine=debug")
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("cannot start {}", binary.display()))?;
        let mut network = Network { binary, folder, demo, started_in: Duration::ZERO };
        loop {
            let said = std::fs::read_to_string(&log).unwrap_or_default();
            if said.contains("the network is in service") {
                network.started_in = begin.elapsed();
                return Ok(network);
            }
            if let Some(status) = network.demo.try_wait()? {
                bail!("the demo ended with {status}:\n{said}");
            }
            ensure!(begin.elapsed() < START, "the demo is not in service after {START:?}:\n{said}");
            sleep(Duration::from_millis(20));
        }
    }

    /// Where the processes log.
    pub(super) fn logs(&self) -> PathBuf {
        self.folder.join("logs")
    }

    /// `pleiad demo …`, from a second terminal.
    pub(super) fn demo(&self, words: &[&str]) -> Result<String> {
        let mut command = Command::new(&self.binary);
        command.arg("demo").args(words).arg("--dir").arg(&self.folder);
        said(&mut command)
    }

    /// `pleiad ctl --json …`, as the first operator.
    pub(super) fn ctl(&self, words: &[&str]) -> Result<Value> {
        let mut command = Command::new(&self.binary);
        command
            .args([
                "ctl",
                "--json",
                "--manager",
                &format!("{ADDRESS}:7443"),
                "--user",
                "admin",
                "--password-file",
            ])
            .arg(self.folder.join("manager.txt"))
            .args(words)
            .env("XDG_CONFIG_HOME", self.folder.join("ctl"));
        serde_json::from_str(&said(&mut command)?).context("ctl printed no JSON")
    }

    /// Logs in once, so that the following commands only send their token.
    pub(super) fn log_in(&self) -> Result<()> {
        self.ctl(&["login"]).map(drop)
    }

    /// `pleiad ctl --json …` with the token of [`Network::log_in`].
    pub(super) fn quick(&self, words: &[&str]) -> Result<Value> {
        let mut command = Command::new(&self.binary);
        command.args(["ctl", "--json"]).args(words).env("XDG_CONFIG_HOME", self.folder.join("ctl"));
        serde_json::from_str(&said(&mut command)?).context("ctl printed no JSON")
    }

    /// Makes sure of `count` subscribers from `first` on, at home at `member`, all with [`PASSWORD`].
    pub(super) fn subscribers(&self, first: u32, count: u32, member: u8) -> Result<Vec<u32>> {
        self.log_in()?;
        let numbers: Vec<u32> = (first..first + count).collect();
        for number in &numbers {
            let value = serde_json::json!({
                "name": format!("Bench {number}"), "feature_class": "standard", "home": member, "secret": PASSWORD,
            });
            self.quick(&["object", "put", "subscriber", &number.to_string(), "--value", &value.to_string()])?;
        }
        Ok(numbers)
    }

    /// The process that was started with this settings file or control socket.
    pub(super) fn pid(&self, word: &str) -> Result<u32> {
        for entry in std::fs::read_dir("/proc").context("no /proc")?.flatten() {
            let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
            let path = entry.path();
            let parent = stat(&path).and_then(|fields| fields.get(1)?.parse::<u32>().ok());
            let line = std::fs::read_to_string(path.join("cmdline")).unwrap_or_default();
            if parent == Some(self.demo.id()) && line.split('\0').any(|argument| argument == word) {
                return Ok(pid);
            }
        }
        bail!("no process of the demo was started with {word}")
    }

    /// Gives a process the first core, to itself when the load has the second.
    pub(super) fn pin(&self, pid: u32) -> Result<()> {
        said(Command::new("taskset").args(["-a", "-c", "-p", "0", &pid.to_string()])).map(drop)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let asked = self.demo(&["stop"]).is_ok();
        let begin = Instant::now();
        while asked && begin.elapsed() < END && matches!(self.demo.try_wait(), Ok(None)) {
            sleep(Duration::from_millis(50));
        }
        // The children see the end of their pipe, whatever happened before.
        let _ = self.demo.kill();
        let _ = self.demo.wait();
    }
}

/// The processor time a process has used, in milliseconds.
pub(super) fn cpu_ms(pid: u32) -> Result<u64> {
    const MS_PER_TICK: u64 = 10; // USER_HZ is 100 on every Linux we build for
    let fields =
        stat(Path::new(&format!("/proc/{pid}"))).with_context(|| format!("process {pid} is gone"))?;
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
    Ok((ticks(11) + ticks(12)) * MS_PER_TICK)
}

/// The fields of `stat` after the name, which may contain blanks.
fn stat(process: &Path) -> Option<Vec<String>> {
    let text = std::fs::read_to_string(process.join("stat")).ok()?;
    let (_, fields) = text.rsplit_once(')')?;
    Some(fields.split_whitespace().map(str::to_owned).collect())
}

/// What a program prints, when it succeeds.
pub(super) fn said(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot run {command:?}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        bail!("{command:?} ended with {}: {text}{}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(text)
}
