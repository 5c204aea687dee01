//! SIPp with a scenario of ours: a phone that says exactly what the scenario says.

use super::process::Process;
use super::scenario::Scenario;
use super::star::Star;
use anyhow::{Context, bail};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// From a phone's first port to that of its media.
const MEDIA: u16 = 6;

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
    /// How many times a second it is begun. SIPp lets one such period pass before it begins the first.
    pub rate: u32,
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
            // It sends back what it hears: a phone that calls it hears itself.
            .args(["-rtp_echo", "-mp", &(run.local.port() + MEDIA).to_string()])
            // SIPp puts the scheme in front by itself.
            .args(["-auth_uri", run.scenario.uri().trim_start_matches("sip:")])
            .args(["-r", &run.rate.to_string()])
            .args(["-m", &run.calls.to_string(), "-timeout", &limit, "-timeout_error"])
            .args(["-trace_msg", "-trace_err", "-message_file", "messages.log", "-error_file", "errors.log"])
            .current_dir(folder);
        command.arg(&run.remote);
        let process = Process::start("sipp", &mut command, &folder.join("out.log"))?;
        Ok(Sipp { process, folder: folder.to_owned() })
    }

    /// Where it writes its logs.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
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

/// The time between the first message of a finished run that contains `from` and the next that contains `until`.
///
/// # Errors
/// When one of them is not in the log.
pub fn time_between(folder: &Path, from: &str, until: &str) -> anyhow::Result<Duration> {
    let log = std::fs::read_to_string(folder.join("messages.log"))?;
    let mut begin = None;
    for message in log.split("-----------------------------------------------").skip(1) {
        let stamp = message.trim_start().lines().next().and_then(seconds_of_day);
        match (begin, stamp) {
            (None, Some(at)) if message.contains(from) => begin = Some(at),
            (Some(begin), Some(at)) if message.contains(until) => {
                return Ok(Duration::try_from_secs_f64(at - begin)?);
            }
            _ => {}
        }
    }
    bail!("{} has no '{from}' followed by '{until}'", folder.display())
}

/// `2026-11-22 12:30:57.123456` as seconds of that day.
///
/// None when the text is no such stamp.
#[must_use]
pub fn seconds_of_day(stamp: &str) -> Option<f64> {
    let clock = stamp.split_whitespace().nth(1)?;
    let mut parts = clock.splitn(3, ':');
    let hours: f64 = parts.next()?.parse().ok()?;
    let minutes: f64 = parts.next()?.parse().ok()?;
    let seconds: f64 = parts.next()?.parse().ok()?;
    Some(hours * 3_600.0 + minutes * 60.0 + seconds)
}

/// One call of a run, as its log tells it.
#[derive(Debug, Clone, PartialEq)]
pub struct Answered {
    /// When the INVITE with credentials was sent, in seconds of the day.
    pub invited_s: f64,
    /// The final status it got.
    pub status: u16,
}

/// The calls of a run that were refused, with the time of their authenticated INVITE.
///
/// # Errors
/// When there is no log.
pub fn answers(folder: &Path) -> anyhow::Result<Vec<Answered>> {
    let log = std::fs::read_to_string(folder.join("messages.log"))?;
    let mut invited = std::collections::BTreeMap::new();
    let mut answers = Vec::new();
    for message in log.split("-----------------------------------------------").skip(1) {
        let stamp = message.trim_start().lines().next().and_then(seconds_of_day);
        let (Some(at), Some(call)) = (stamp, super::raw::header(message, "Call-ID")) else { continue };
        if message.contains("CSeq: 2 INVITE") {
            let start = message.lines().find(|line| line.contains("SIP/2.0")).unwrap_or_default();
            match super::raw::status(start) {
                None => drop(invited.insert(call.to_owned(), at)),
                Some(status) if status >= 200 => {
                    answers.extend(
                        invited.get(call).map(|invited_s| Answered { invited_s: *invited_s, status }),
                    );
                }
                Some(_) => {}
            }
        }
    }
    Ok(answers)
}
