//! What a registration with digest costs the cluster server: REGISTER, 401, REGISTER, 200, durable before the 200.

use super::network::{ADDRESS, DOMAIN, Network, cpu_ms};
use super::sipp::{Sipp, registering};
use super::{Figure, Raw};
use anyhow::{Result, ensure};
use std::time::Instant;

/// Subscribers that register, and how often each.
const SUBSCRIBERS: u32 = 100;
const ROUNDS: u32 = 100;

pub(super) fn run(network: &Network, raw: &Raw) -> Result<Vec<Figure>> {
    let rows: Vec<String> = network.subscribers(2300, SUBSCRIBERS, 0)?.into_iter().map(registering).collect();
    let server = network.pid("cs.toml")?;
    network.pin(server)?;
    let count = (SUBSCRIBERS * ROUNDS).to_string();
    let target = format!("{ADDRESS}:5060");
    let load = Sipp::new(&raw.folder, "register", include_str!("sipp/register.xml"), 6060)?
        .users(&raw.folder, "register", &rows)?
        .words(&[
            &target,
            "-auth_uri",
            DOMAIN,
            "-key",
            "contact_port",
            "6060",
            "-m",
            &count,
            "-r",
            "20000",
            "-l",
            "32",
            "-timeout",
            "120s",
        ]);
    let (before, begin) = (cpu_ms(server)?, Instant::now());
    let figures = load.run()?;
    let (used, seconds) = (cpu_ms(server)? - before, begin.elapsed().as_secs_f64());
    let per = micros_per(used, figures.good);
    let text = format!(
        "{} registrations, {} failed, {} retransmissions, {seconds:.2} s, server CPU {used} ms: {per:.0} us each\n\n{}",
        figures.good, figures.failed, figures.retransmissions, figures.raw
    );
    raw.keep("register", &text)?;
    ensure!(figures.failed == 0, "{} registrations failed, see register.txt", figures.failed);
    let rate = per_second(figures.good, seconds);
    Ok(vec![
        Figure::new("CPU per registration with digest", format!("{per:.0} us"), ""),
        Figure::new("registrations per second, one core", format!("{rate:.0}"), ""),
    ])
}

/// Microseconds of `used_ms` for each of `count`.
pub(super) fn micros_per(used_ms: u64, count: u64) -> f64 {
    real(used_ms) * 1000.0 / real(count)
}

pub(super) fn per_second(count: u64, seconds: f64) -> f64 {
    real(count) / seconds
}

fn real(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}
