//! What a call between two phones of the cluster server costs it: challenge, 180, 200, ACK, 100 ms of talk, BYE, record.

use super::network::{ADDRESS, DOMAIN, Network, cpu_ms};
use super::register::{micros_per, per_second};
use super::sipp::{Sipp, calling, registering};
use super::{Figure, Raw};
use anyhow::{Result, ensure};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Phones that call.
const CALLERS: u32 = 100;
/// The phone they call; SIPp proves one address only (`-auth_uri`), so there is one.
const CALLED: u32 = 2299;
/// Calls in all.
const CALLS: &str = "10000";

pub(super) fn run(network: &Network, raw: &Raw) -> Result<Vec<Figure>> {
    let callers = network.subscribers(2300, CALLERS, 0)?;
    let called = network.subscribers(CALLED, 1, 0)?;
    let server = network.pid("cs.toml")?;
    network.pin(server)?;
    let target = format!("{ADDRESS}:5060");
    let rows: Vec<String> = called.into_iter().map(registering).collect();
    let words = [&target, "-auth_uri", DOMAIN, "-key", "contact_port", "6062", "-m", "1", "-timeout", "10s"];
    Sipp::new(&raw.folder, "called-register", include_str!("sipp/register.xml"), 6061)?
        .users(&raw.folder, "called-register", &rows)?
        .words(&words)
        .run()?;
    let _answering = Sipp::new(&raw.folder, "called", include_str!("sipp/called.xml"), 6062)?
        .words(&["-mp", "26062", "-nd", "-default_behaviors", "all,-abortunexp"])
        .spawn()?;
    sleep(Duration::from_millis(500)); // SIPp says nothing when it listens
    let rows: Vec<String> = callers.iter().map(|caller| calling(*caller, CALLED)).collect();
    let uri = format!("{CALLED}@{DOMAIN}");
    let pace = ["-m", CALLS, "-r", "2000", "-l", "100", "-timeout", "120s"];
    let load = Sipp::new(&raw.folder, "calls", include_str!("sipp/caller.xml"), 6063)?
        .users(&raw.folder, "calls", &rows)?
        .words(&[&target, "-auth_uri", &uri, "-mp", "28062"])
        .words(&pace);
    let (before, begin) = (cpu_ms(server)?, Instant::now());
    let figures = load.run()?;
    let (used, seconds) = (cpu_ms(server)? - before, begin.elapsed().as_secs_f64());
    let per = micros_per(used, figures.good);
    let text = format!(
        "{} calls, {} failed, {} retransmissions, {seconds:.2} s, server CPU {used} ms: {per:.0} us each\n\n{}",
        figures.good, figures.failed, figures.retransmissions, figures.raw
    );
    raw.keep("calls", &text)?;
    ensure!(figures.failed * 1000 <= figures.good, "{} calls failed, see calls.txt", figures.failed);
    let rate = per_second(figures.good, seconds);
    Ok(vec![
        Figure::new("CPU per call, both phones at one member", format!("{per:.0} us"), ""),
        Figure::new("calls per second, one core", format!("{rate:.0}"), ""),
    ])
}
