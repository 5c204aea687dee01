//! What is done to a server, and what it used for it.

use super::server::{CORES, DOMAIN, FIRST, Ground, HOST, PORT, Server, TLS_PORT, on_core, password};
use crate::bench::network::said;
use crate::bench::sipp::{Background, Sipp};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// What SIPp's phones do.
const CALLING_PHONE: &str = include_str!("../sipp/caller.xml");
const CALLED_PHONE: &str = include_str!("../sipp/called.xml");
/// Phones of a measurement.
const PHONES: &str = "10000";
/// Calls of a measurement.
const CALLS: &str = "8000";
/// Phones that call, and the one that SIPp lets be called (`-auth_uri` proves one address).
const CALLERS: usize = 500;
const CALLED: usize = FIRST + 999;
/// Registrations of which the memory is taken.
pub(super) const MEMORY_USERS: usize = 50_000;
/// Phones on TLS that stay.
const TLS_PHONES: usize = 2_000;
/// Calls that are up when their memory is taken, and how many begin a second.
const HELD_CALLS: u64 = 2_000;
const HELD_RATE: u64 = 400;
/// How long SIPp's phones talk, and how long while memory is taken: longer than that takes, and shorter than the 60 s in
/// which a session timer of 90 s must be refreshed.
const TALK: &str = "<pause milliseconds=\"100\" />";
const LONG_TALK: &str = "<pause milliseconds=\"50000\" />";
/// Longer than any transaction lives.
const TRANSACTIONS_OVER: Duration = Duration::from_secs(36);

/// What a server used.
pub(super) struct Used {
    ns: u64,
    operations: u64,
    /// What the load said.
    pub(super) said: String,
}

impl Used {
    pub(super) fn micros(&self) -> f64 {
        real(self.ns) / real(self.operations) / 1000.0
    }
}

fn real(count: u64) -> f64 {
    f64::from(u32::try_from(count / 1000).unwrap_or(u32::MAX)) * 1000.0
        + f64::from(u32::try_from(count % 1000).unwrap_or(0))
}

/// Runs `load` to its end on the second core.
fn load(ground: &Ground, words: &[&str]) -> Result<Value> {
    let text = said(on_core(CORES[1]).arg(&ground.load).args(words))?;
    serde_json::from_str(text.trim()).context("the load printed no JSON")
}

/// What the load did, by its own words.
fn done(figures: &Value) -> Option<u64> {
    figures.get("done")?.as_u64()
}

/// How long it took.
fn seconds(figures: &Value) -> f64 {
    figures.get("seconds").and_then(Value::as_f64).unwrap_or(f64::NAN)
}

fn used(server: &Server, work: impl FnOnce() -> Result<Value>) -> Result<Used> {
    let before = server.cpu_ns()?;
    let figures = work()?;
    let ns = server.cpu_ns()? - before;
    let operations = done(&figures).unwrap_or(0);
    ensure!(operations > 0, "nothing succeeded: {figures}");
    Ok(Used { ns, operations, said: figures.to_string() })
}

fn target(port: u16) -> String {
    format!("{HOST}:{port}")
}

pub(super) fn challenged(ground: &Ground, server: &Server) -> Result<Used> {
    used(server, || load(ground, &["register", &target(PORT), PHONES, "5", "64", "lazy"]))
}

pub(super) fn registered(ground: &Ground, server: &Server) -> Result<Used> {
    // The first round makes the bindings, the next ones renew them; all count.
    used(server, || load(ground, &["register", &target(PORT), PHONES, "4", "64"]))
}

pub(super) fn over_tls(ground: &Ground, server: &Server) -> Result<Used> {
    used(server, || load(ground, &["tls", &target(TLS_PORT), "2000", "16"]))
}

/// A phone of SIPp's that answers by `scenario`, registered.
fn answering(ground: &Ground, scenario: &str) -> Result<Background> {
    let row = format!("{CALLED};{DOMAIN};[authentication username={CALLED} password={}]", password(CALLED));
    let words = ["-auth_uri", DOMAIN, "-key", "contact_port", "6082", "-m", "1", "-timeout", "10s"];
    Sipp::at(HOST, &ground.folder, "called-register", include_str!("../sipp/register.xml"), 6081)?
        .users(&ground.folder, "called-register", &[row])?
        .words(&[&target(PORT)])
        .words(&words)
        .run()?;
    let answering = Sipp::at(HOST, &ground.folder, "called", scenario, 6082)?
        .words(&["-mp", "26082", "-nd", "-default_behaviors", "all,-abortunexp"])
        .spawn()?;
    sleep(Duration::from_millis(500)); // SIPp says nothing when it listens
    Ok(answering)
}

/// SIPp's phones that call by `scenario`.
fn calling(ground: &Ground, name: &str, scenario: &str, pace: &[&str]) -> Result<Sipp> {
    let row = |user: usize| {
        format!("{user};{CALLED};{DOMAIN};[authentication username={user} password={}]", password(user))
    };
    let rows: Vec<String> = (FIRST..FIRST + CALLERS).map(row).collect();
    let uri = format!("{CALLED}@{DOMAIN}");
    Ok(Sipp::at(HOST, &ground.folder, name, scenario, 6083)?
        .users(&ground.folder, name, &rows)?
        .words(&[&target(PORT), "-auth_uri", &uri, "-mp", "28082"])
        .words(pace))
}

pub(super) fn called(ground: &Ground, server: &Server) -> Result<Used> {
    let _answering = answering(ground, CALLED_PHONE)?;
    let calling = calling(
        ground,
        "calls",
        CALLING_PHONE,
        &["-m", CALLS, "-r", "1500", "-l", "200", "-timeout", "120s"],
    )?;
    let before = server.cpu_ns()?;
    let figures = calling.run()?;
    let ns = server.cpu_ns()? - before;
    let said =
        format!("{} calls, {} failed, {} repeated", figures.good, figures.failed, figures.retransmissions);
    ensure!(figures.failed * 1000 <= figures.good, "{said}");
    Ok(Used { ns, operations: figures.good, said })
}

/// Bytes a registration takes, when no transaction of it is left.
pub(super) fn memory_of_registration(ground: &Ground, server: &Server) -> Result<f64> {
    // Tables and pools that come with the first phones are not theirs.
    load(ground, &["return", &target(PORT), "1000", "1"])?;
    sleep(TRANSACTIONS_OVER);
    let before = server.memory()?;
    let phones = MEMORY_USERS.to_string();
    load(ground, &["return", &target(PORT), &phones, "20"])?;
    sleep(TRANSACTIONS_OVER);
    Ok((real(server.memory()?) - real(before)) / real(u64::try_from(MEMORY_USERS - 1_000)?))
}

/// Bytes a call takes that is up, when no transaction of it is left. Both phones promise to refresh session timers
/// (RFC 4028) and hang up before they would have to: else we would ask them by OPTIONS, which SIPp does not answer in a call.
pub(super) fn memory_of_call(ground: &Ground, server: &Server) -> Result<f64> {
    let caller = CALLING_PHONE
        .replace("Content-Type:", "Supported: timer\nSession-Expires: 1800;refresher=uac\nContent-Type:");
    let called = CALLED_PHONE
        .replace("Content-Type:", "Require: timer\nSession-Expires: 1800;refresher=uas\nContent-Type:");
    let _answering = answering(ground, &called)?;
    // Tables and pools that come with the first calls are not theirs.
    calling(ground, "first-calls", &caller, &["-m", "500", "-r", "400", "-l", "500", "-timeout", "60s"])?
        .run()?;
    sleep(TRANSACTIONS_OVER);
    let before = server.memory()?;
    let (count, rate) = (HELD_CALLS.to_string(), HELD_RATE.to_string());
    let pace = ["-m", &count, "-r", &rate, "-l", &count, "-timeout", "120s"];
    let calls = calling(ground, "held-calls", &caller.replace(TALK, LONG_TALK), &pace)?;
    let calls = std::thread::spawn(move || calls.run());
    sleep(Duration::from_secs(HELD_CALLS / HELD_RATE) + TRANSACTIONS_OVER);
    let after = server.memory()?;
    let figures = calls.join().ok().context("the calls' thread ended")??;
    ensure!(figures.good == HELD_CALLS, "{} of {HELD_CALLS} calls were up", figures.good);
    Ok((real(after) - real(before)) / real(HELD_CALLS))
}

/// Bytes an idle phone on TLS takes, its binding too.
pub(super) fn memory_of_tls(ground: &Ground, server: &Server) -> Result<f64> {
    load(ground, &["tls", &target(TLS_PORT), "200", "16"])?;
    sleep(Duration::from_secs(2));
    let before = server.memory()?;
    let count = TLS_PHONES.to_string();
    let mut phones = on_core(CORES[1])
        .arg(&ground.load)
        .args(["tls", &target(TLS_PORT), &count, "16", "hold"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start the load")?;
    let mut said = String::new();
    BufReader::new(phones.stdout.take().context("no output")?).read_line(&mut said)?;
    let figures: Value = serde_json::from_str(said.trim()).context("the load printed no JSON")?;
    ensure!(done(&figures) == Some(u64::try_from(TLS_PHONES)?), "{figures}");
    sleep(Duration::from_secs(2));
    let after = server.memory()?;
    phones.stdin.take().context("no input")?.write_all(b"\n")?;
    phones.wait()?;
    Ok((real(after) - real(before)) / real(u64::try_from(TLS_PHONES)?))
}

/// Registrations a second, as fast as they are answered; the load has four processes, so that it is not the limit of one.
pub(super) fn throughput(ground: &Ground, server: &Server) -> Result<f64> {
    let _alive = server.cpu_ns()?;
    let words = ["register", &target(PORT), "2500", "3", "32"];
    let begin = Instant::now();
    let mut running = Vec::new();
    for _ in 0..4 {
        let mut command = on_core("0,1");
        command.arg(&ground.load).args(words).stdout(Stdio::piped());
        running.push(command.spawn().context("cannot start the load")?);
    }
    let mut total = 0;
    for load in running {
        let output = load.wait_with_output()?;
        let figures: Value = serde_json::from_slice(&output.stdout).context("the load printed no JSON")?;
        total += done(&figures).unwrap_or(0);
    }
    Ok(real(total) / begin.elapsed().as_secs_f64())
}

/// What became of the phones after a restart.
pub(super) struct Back {
    pub(super) seconds: f64,
    pub(super) refused: u64,
    pub(super) said: String,
}

/// 50,000 phones come within 10 s, while somebody calls all the time.
pub(super) fn come_back(ground: &Ground, server: &Server) -> Result<Back> {
    let _alive = server.cpu_ns()?;
    let _answering = answering(ground, CALLED_PHONE)?;
    let pace = ["-m", "1000", "-r", "50", "-l", "100", "-timeout", "90s"];
    let calls = calling(ground, "calls-meanwhile", CALLING_PHONE, &pace)?;
    let calls = std::thread::spawn(move || calls.run());
    let figures = load(ground, &["return", &target(PORT), "50000", "10"])?;
    let calls = calls.join().map_err(|_| anyhow::anyhow!("the calls ended early"))??;
    let said = format!("{figures} | meanwhile {} calls, {} failed", calls.good, calls.failed);
    ensure!(done(&figures) == Some(50_000), "{said}");
    Ok(Back { seconds: seconds(&figures), refused: calls.failed, said })
}

/// What it is to hold many.
pub(super) struct Held {
    pub(super) seconds: f64,
    pub(super) megabytes: f64,
    pub(super) said: String,
}

/// 100,000 phones register, and again.
pub(super) fn hold(ground: &Ground, server: &Server) -> Result<Held> {
    sleep(TRANSACTIONS_OVER);
    load(ground, &["return", &target(PORT), "100000", "40"])?;
    sleep(TRANSACTIONS_OVER);
    let megabytes = real(server.memory()?) / 1e6;
    let figures = load(ground, &["return", &target(PORT), "100000", "40"])?;
    ensure!(done(&figures) == Some(100_000), "{figures}");
    Ok(Held { seconds: seconds(&figures), megabytes, said: format!("{megabytes:.0} MB | {figures}") })
}

/// A while of mixed load: registrations, calls, TLS connections; what each said.
pub(super) fn mixed(ground: &Ground) -> Result<String> {
    let registrations = load(ground, &["return", &target(PORT), "3000", "10"])?;
    let connections = load(ground, &["tls", &target(TLS_PORT), "200", "16"])?;
    let calls = calling(
        ground,
        "soak-calls",
        CALLING_PHONE,
        &["-m", "1000", "-r", "100", "-l", "100", "-timeout", "60s"],
    )?
    .run()?;
    Ok(format!(
        "{} registrations, {} connections, {} calls, {} failed",
        done(&registrations).unwrap_or(0),
        done(&connections).unwrap_or(0),
        calls.good,
        calls.failed
    ))
}

/// The phone that is called in the mixed load.
pub(super) fn mixed_callee(ground: &Ground) -> Result<Background> {
    answering(ground, CALLED_PHONE)
}
