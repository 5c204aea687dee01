//! SIPp as the phones: one run with its scenario, its users and its figures.

use super::network::{ADDRESS, DOMAIN, PASSWORD};
use anyhow::{Context, Result, ensure};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A run that has ended.
pub(super) struct Figures {
    pub(super) good: u64,
    pub(super) failed: u64,
    pub(super) retransmissions: u64,
    /// SIPp's own lines, for the raw output.
    pub(super) raw: String,
}

/// A SIPp before it is started.
pub(super) struct Sipp {
    command: Command,
    statistics: PathBuf,
}

impl Sipp {
    /// `name` names its files in `folder`; `port` is its own.
    pub(super) fn new(folder: &Path, name: &str, scenario: &str, port: u16) -> Result<Sipp> {
        Sipp::at(ADDRESS, folder, name, scenario, port)
    }

    /// The same at another address of its own.
    pub(super) fn at(host: &str, folder: &Path, name: &str, scenario: &str, port: u16) -> Result<Sipp> {
        let (file, statistics) = (folder.join(format!("{name}.xml")), folder.join(format!("{name}.csv")));
        std::fs::write(&file, scenario).context("cannot write the scenario")?;
        let _ = std::fs::remove_file(&statistics);
        let mut command = Command::new("taskset");
        command.args(["-c", "1", "sipp", "-nostdin", "-i", host, "-mi", host, "-t", "u1"]);
        command.arg("-sf").arg(&file).args(["-p", &port.to_string(), "-buff_size", "4194304"]);
        command.args(["-trace_stat", "-fd", "1", "-stf"]).arg(&statistics);
        let log = File::create(folder.join(format!("{name}.out"))).context("cannot write SIPp's output")?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        Ok(Sipp { command, statistics })
    }

    pub(super) fn words(mut self, words: &[&str]) -> Sipp {
        self.command.args(words);
        self
    }

    /// Each line of `rows` is a user; SIPp takes them in turn.
    pub(super) fn users(mut self, folder: &Path, name: &str, rows: &[String]) -> Result<Sipp> {
        let file = folder.join(format!("{name}-users.csv"));
        std::fs::write(&file, format!("SEQUENTIAL\n{}\n", rows.join("\n")))
            .context("cannot write the users")?;
        self.command.arg("-inf").arg(&file);
        Ok(self)
    }

    /// Runs in the background, until it is killed.
    pub(super) fn spawn(mut self) -> Result<Background> {
        Ok(Background(self.command.spawn().context("cannot start sipp: is it installed?")?))
    }

    /// Runs to its end.
    pub(super) fn run(mut self) -> Result<Figures> {
        // A run with failed calls ends with 1: the figures say how many.
        let status = self.command.status().context("cannot run sipp: is it installed?")?;
        let raw =
            std::fs::read_to_string(&self.statistics).with_context(|| format!("sipp ended with {status}"))?;
        let mut lines = raw.lines();
        let names: Vec<&str> = lines.next().unwrap_or_default().split(';').collect();
        let last: Vec<&str> = lines.next_back().unwrap_or_default().split(';').collect();
        let figure = |name: &str| -> u64 {
            let index = names.iter().position(|known| *known == name);
            index.and_then(|index| last.get(index)?.parse().ok()).unwrap_or(0)
        };
        let figures = Figures {
            good: figure("SuccessfulCall(C)"),
            failed: figure("FailedCall(C)"),
            retransmissions: figure("Retransmissions(C)"),
            raw: raw.clone(),
        };
        ensure!(figures.good > 0, "nothing succeeded; sipp ended with {status}");
        Ok(figures)
    }
}

/// A SIPp that answers until its handle goes.
pub(super) struct Background(Child);

impl Drop for Background {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The user's row of a registration.
pub(super) fn registering(extension: u32) -> String {
    format!("{extension};{DOMAIN};{}", proof(extension))
}

/// The user's row of a call.
pub(super) fn calling(caller: u32, called: u32) -> String {
    format!("{caller};{called};{DOMAIN};{}", proof(caller))
}

fn proof(extension: u32) -> String {
    format!("[authentication username={extension} password={PASSWORD}]")
}
