//! What SIP costs, over sockets, beside Kamailio in the same run: processor time of one core for each operation. The servers take
//! turns, so that what else the machine does falls on both; the median of the rounds counts.
//!
//! | operation | load |
//! | --- | --- |
//! | a REGISTER that is challenged | `load` of `testkit`: 10,000 phones on one socket, 64 at a time |
//! | a registration with digest, kept | the same; ours is kill-safe before the 200, Kamailio's is in memory only |
//! | a call with 407, INVITE to BYE | SIPp on both ends; ours is a B2BUA, Kamailio a record-routing proxy |
//! | a new TLS 1.3 connection and its REGISTER | `load`: P-256, no resumption |
//! | memory | after the above, at rest |
//!
//! The parts of the core alone come first: [`micro`].

mod load;
mod micro;
mod server;
mod soak;

pub(super) use soak::run as soak;

use super::{Figure, Raw};
use crate::repo::Repo;
use anyhow::{Context, Result, ensure};
use server::{CORES, Ground, Who};

/// Turns of each server.
const ROUNDS: usize = 3;
/// Subscribers.
const USERS: usize = 10_000;

/// One operation: what it is called, how it is loaded, what was promised.
struct Operation {
    name: &'static str,
    measure: fn(&Ground, &server::Server) -> Result<load::Used>,
    goal: &'static str,
}

const OPERATIONS: &[Operation] = &[
    Operation { name: "REGISTER challenged", measure: load::challenged, goal: "goal <= 10 us" },
    Operation {
        name: "registration with digest",
        measure: load::registered,
        goal: "goal <= 18 us, kill-safe <= 25",
    },
    Operation { name: "call with 407, INVITE to BYE", measure: load::called, goal: "goal <= 120 us" },
    Operation { name: "new TLS connection + REGISTER", measure: load::over_tls, goal: "goal <= 600 us" },
];

pub(super) fn run(repo: &Repo, raw: &Raw) -> Result<Vec<Figure>> {
    let ground = prepare(repo, raw)?;
    let mut text = String::new();
    let mut figures = micro::run(repo, raw)?;
    for operation in OPERATIONS {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for round in 0..ROUNDS {
            for (who, used) in [(Who::Pleiad { shards: 1 }, &mut ours), (Who::Kamailio, &mut theirs)] {
                let server = ground.start(who, USERS, CORES[0])?;
                let one = (operation.measure)(&ground, &server)
                    .with_context(|| format!("{} at {}", operation.name, who.name()))?;
                let line = format!(
                    "{} | {} | round {round} | {:.1} us | {}",
                    operation.name,
                    who.name(),
                    one.micros(),
                    one.said
                );
                println!("   {line}");
                text.push_str(&line);
                text.push('\n');
                used.push(one.micros());
            }
        }
        let (ours, theirs) = (median(&mut ours), median(&mut theirs));
        let value = format!("{ours:.1} us");
        let what = format!("CPU, {} (Kamailio {theirs:.1} us, ratio {:.2})", operation.name, ours / theirs);
        figures.push(Figure::new(what, value, operation.goal));
    }
    figures.extend(memory(&ground, &mut text)?);
    figures.extend(growth(&ground, &mut text)?);
    figures.extend(avalanche(&ground, &mut text)?);
    raw.keep("sip", &text)?;
    Ok(figures)
}

/// Builds what is needed and says where it is. Ours is the build that operators install, as Kamailio is.
fn prepare(repo: &Repo, raw: &Raw) -> Result<Ground> {
    server::check()?;
    ensure!(
        repo.shows("cargo", &["build", "--release", "--package", "testkit", "--example", "load"])?,
        "the load could not be built"
    );
    ensure!(
        repo.shows("cargo", &["build", "--profile", "dist", "--package", "pleiad"])?,
        "the build of the distribution failed"
    );
    let target = repo.target();
    let folder = raw.folder.join("sip");
    std::fs::create_dir_all(&folder).context("cannot make a folder")?;
    Ok(Ground { pleiad: target.join("dist/pleiad"), load: target.join("release/examples/load"), folder })
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Measures bytes of one thing on a server.
type Measure = fn(&Ground, &server::Server) -> Result<f64>;

/// Memory of a registration, of a call that is up and of an idle phone on TLS, on both servers.
fn memory(ground: &Ground, text: &mut String) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    let measures: [(&str, &str, Measure); 3] = [
        ("registration", "goal <= 600 bytes", load::memory_of_registration),
        ("call that is up", "goal <= 8 KB", load::memory_of_call),
        ("idle phone on TLS", "goal <= 40 KB", load::memory_of_tls),
    ];
    for (what, goal, measure) in measures {
        let users = load::MEMORY_USERS;
        let ours = measure(ground, &ground.start(Who::Pleiad { shards: 1 }, users, CORES[0])?)?;
        let theirs = measure(ground, &ground.start(Who::Kamailio, users, CORES[0])?)?;
        text.push_str(&format!("memory | {what} | pleiad {ours:.0} | kamailio {theirs:.0}\n"));
        let name = format!("memory, {what} (Kamailio {theirs:.0} bytes)");
        figures.push(Figure::new(name, format!("{ours:.0} bytes"), goal));
    }
    Ok(figures)
}

/// Registrations a second when the server has one thread on one core and two on two.
fn growth(ground: &Ground, text: &mut String) -> Result<Vec<Figure>> {
    let one = load::throughput(ground, &ground.start(Who::Pleiad { shards: 1 }, USERS, "0")?)?;
    let two = load::throughput(ground, &ground.start(Who::Pleiad { shards: 2 }, USERS, "0,1")?)?;
    text.push_str(&format!("growth | 1 shard, 1 core {one:.0}/s | 2 shards, 2 cores {two:.0}/s\n"));
    let what = format!("registrations/s, 2 shards on 2 cores (1 on 1: {one:.0})");
    Ok(vec![Figure::new(what, format!("{two:.0}"), "grows, though the load shares the cores")])
}

/// 50,000 phones come back within 10 s of a restart, and 100,000 are held and refreshed, while calls are made.
fn avalanche(ground: &Ground, text: &mut String) -> Result<Vec<Figure>> {
    let server = ground.start(Who::Pleiad { shards: 2 }, 100_000, "0,1")?;
    let back = load::come_back(ground, &server)?;
    text.push_str(&format!("avalanche | {}\n", back.said));
    let held = load::hold(ground, &server)?;
    text.push_str(&format!("held | {}\n", held.said));
    Ok(vec![
        Figure::new("50,000 phones back", format!("{:.1} s", back.seconds), "goal < 120 s"),
        Figure::new("calls refused meanwhile", back.refused.to_string(), "goal 0"),
        Figure::new("100,000 registrations refreshed", format!("{:.1} s", held.seconds), "in one process"),
        Figure::new("memory with 100,000 registrations", format!("{:.0} MB", held.megabytes), ""),
    ])
}
