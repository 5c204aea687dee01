//! SIPp with a scenario of ours: a phone that says exactly what the scenario says.

use super::process::Process;
use super::scenario::Scenario;
use super::star::Star;
use anyhow::{Context, bail};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// One SIPp run.
pub struct Sipp {
    process: Process,
    folder: PathBuf,
}

/// What to run.
#[derive(Debug, Clone)]
pub struct Run<'a> {
    /// What the phone says and expects.
    pub scenario: &'a Scenario,
    /// `udp` or `tcp`.
    pub transport: &'a str,
    /// Address to bind.
    pub local: std::net::SocketAddr,
    /// `host:port` of the server.
    pub remote: String,
    /// How often to run the scenario.
    pub calls: u32,
    /// Ends the run whatever happens.
    pub limit_s: u32,
}

impl Sipp {
    /// Starts a run in `folder`, on a host of a star or on the machine itself.
    ///
    /// # Errors
    /// When SIPp is not there.
    pub fn start(star: Option<(&Star, &str)>, run: &Run<'_>, folder: &Path) -> anyhow::Result<Sipp> {
        std::fs::create_dir_all(folder)?;
        let scenario = folder.join("scenario.xml");
        std::fs::write(&scenario, run.scenario.xml())?;
        let mut command = match star {
            Some((star, host)) => star.command(host, "sipp"),
            None => Command::new("sipp"),
        };
        let limit = format!("{}s", run.limit_s);
        let transport = if run.transport == "tcp" { "t1" } else { "u1" };
        command
            .args(["-nostdin", "-sf"])
            .arg(scenario)
            .args(["-i", &run.local.ip().to_string(), "-p", &run.local.port().to_string()])
            .args(["-mi", &run.local.ip().to_string(), "-t", transport])
            .args(["-m", &run.calls.to_string(), "-timeout", &limit, "-timeout_error"])
            .args(["-trace_msg", "-trace_err", "-message_file", "messages.log", "-error_file", "errors.log"])
            .current_dir(folder);
        command.arg(&run.remote);
        let process = Process::start("sipp", &mut command, &folder.join("out.log"))?;
        Ok(Sipp { process, folder: folder.to_owned() })
    }

    /// Waits for its end; every call must have gone as the scenario says.
    ///
    /// # Errors
    /// With SIPp's own account of what went wrong.
    pub fn finish(mut self, limit: Duration) -> anyhow::Result<()> {
        let status = self.process.wait(limit)?;
        if status.success() {
            return Ok(());
        }
        let read = |name: &str| std::fs::read_to_string(self.folder.join(name)).unwrap_or_default();
        let errors = read("errors.log");
        let messages = read("messages.log");
        let tail: String = messages.chars().rev().take(3_000).collect::<Vec<_>>().into_iter().rev().collect();
        bail!("sipp ended with {status}\n{errors}\n--- last messages ---\n{tail}")
    }

    /// The messages so far, as SIPp wrote them.
    ///
    /// # Errors
    /// When there is no log yet.
    pub fn messages(&self) -> anyhow::Result<String> {
        std::fs::read_to_string(self.folder.join("messages.log")).context("sipp wrote no messages")
    }
}
