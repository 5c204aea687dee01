//! What a relayed RTP packet costs: our relay threads and rtpengine (userspace, one thread) in turns, each alone on the
//! first core, the load on the second. Both relay the same calls on loopback for the same load tool (`media_bench` of ipbx).

mod rtpengine;

use super::{Figure, Raw};
use crate::repo::Repo;
use anyhow::{Context, Result, ensure};
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

/// Calls at a time, and how long they talk.
const CALLS: usize = 700;
const SECONDS: &str = "4";
/// Turns of each; the median counts.
const TURNS: usize = 3;
/// Where the relay runs, and the load.
const RELAY_CORE: &str = "0";
const LOAD_CORE: &str = "1";

/// Who relays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Relay {
    Pleiad,
    PleiadSrtp,
    Rtpengine,
}

impl Relay {
    fn name(self) -> &'static str {
        match self {
            Relay::Pleiad => "pleiad",
            Relay::PleiadSrtp => "pleiad, SRTP on one side",
            Relay::Rtpengine => "rtpengine",
        }
    }

    fn is_sealed(self) -> bool {
        self == Relay::PleiadSrtp
    }
}

/// What one turn showed.
struct Turn {
    cpu_us: f64,
    lost: f64,
    p50_ms: f64,
    p99_ms: f64,
}

/// A process that ends with its input.
struct Running {
    child: Child,
    _input: Option<ChildStdin>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self._input = None;
        // What has ended already cannot be ended; nothing is left to do about it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(super) fn run(repo: &Repo, raw: &Raw) -> Result<Vec<Figure>> {
    let build = ["build", "--release", "--package", "ipbx", "--example", "media_bench"];
    ensure!(repo.shows("cargo", &build)?, "the release build failed");
    let tool = repo.target().join("release/examples/media_bench");
    let legs = raw.folder.join("media-legs");
    let mut relays = vec![Relay::Pleiad, Relay::PleiadSrtp];
    if rtpengine::is_there() {
        relays.insert(1, Relay::Rtpengine);
    } else {
        println!("   rtpengine is not installed: nothing to compare with (Debian: rtpengine-daemon)");
    }
    let (mut text, mut turns) = (String::new(), BTreeMap::<Relay, Vec<Turn>>::new());
    for round in 1..=TURNS {
        for relay in &relays {
            let (turn, line) = turn(*relay, &tool, &legs).with_context(|| relay.name())?;
            let line = format!(
                "round={round} relay=\"{}\" cpu_us_per_packet={:.2} {line}",
                relay.name(),
                turn.cpu_us
            );
            println!("   {line}");
            text.extend([&line, "\n"]);
            turns.entry(*relay).or_default().push(turn);
        }
    }
    raw.keep("media", &text)?;
    Ok(turns.iter().flat_map(|(relay, turns)| figures(*relay, turns)).collect())
}

fn turn(relay: Relay, tool: &Path, legs: &Path) -> Result<(Turn, String)> {
    let running = match relay {
        Relay::Pleiad | Relay::PleiadSrtp => start(tool, legs, relay.is_sealed())?,
        Relay::Rtpengine => rtpengine::start(CALLS, legs)?,
    };
    let before = cpu_us(running.child.id())?;
    let mut load = pinned(LOAD_CORE, tool);
    load.arg("load").arg(legs).args([&(2 * CALLS).to_string(), SECONDS]);
    if relay.is_sealed() {
        load.arg("srtp");
    }
    let output = load.output().context("the load tool")?;
    ensure!(output.status.success(), "the load tool: {}", String::from_utf8_lossy(&output.stderr));
    let spent = cpu_us(running.child.id())? - before;
    let line = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let field = |name: &str| -> Result<f64> {
        let found = line.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        found.with_context(|| format!("no {name} in {line}"))?.parse().context("a number")
    };
    let (sent, received) = (field("sent")?, field("received")?);
    ensure!(sent > 0.0 && field("misrouted")? < 1.0 && field("broken")? < 1.0, "wrong: {line}");
    let turn = Turn {
        cpu_us: spent / sent,
        lost: 100.0 * (sent - received + field("late")?) / sent,
        p50_ms: field("delay_p50_us")? / 1_000.0,
        p99_ms: field("delay_p99_us")? / 1_000.0,
    };
    Ok((turn, line))
}

fn figures(relay: Relay, turns: &[Turn]) -> Vec<Figure> {
    let median = |of: fn(&Turn) -> f64| {
        let mut values: Vec<f64> = turns.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or_default()
    };
    let ours = |goal: &'static str| if relay == Relay::Rtpengine { "" } else { goal };
    let name = relay.name();
    vec![
        Figure::new(
            format!("CPU a relayed packet, {name}"),
            format!("{:.2} µs", median(|t| t.cpu_us)),
            ours("goal <= 5 µs"),
        ),
        Figure::new(
            format!("lost or late, {CALLS} calls, {name}"),
            format!("{:.3} %", median(|t| t.lost)),
            ours("goal < 0.1 %"),
        ),
        Figure::new(format!("delay p50, {name}"), format!("{:.2} ms", median(|t| t.p50_ms)), ""),
        Figure::new(
            format!("delay p99, {name}"),
            format!("{:.2} ms", median(|t| t.p99_ms)),
            ours("goal <= 5 ms"),
        ),
    ]
}

fn start(tool: &Path, legs: &Path, sealed: bool) -> Result<Running> {
    let mut command = pinned(RELAY_CORE, tool);
    command.args(["relay", &CALLS.to_string()]).arg(legs);
    if sealed {
        command.arg("srtp");
    }
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("our relay")?;
    let (input, output) = (child.stdin.take(), child.stdout.take().context("no output")?);
    let running = Running { child, _input: input };
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line)?;
    ensure!(line.trim() == "ready", "our relay is not ready");
    Ok(running)
}

fn pinned(core: &str, program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", core]).arg(program);
    command
}

/// Processor time of all threads of a process, from the scheduler's own count in nanoseconds.
fn cpu_us(pid: u32) -> Result<f64> {
    let mut spent = 0.0;
    for task in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let file: PathBuf = task?.path().join("schedstat");
        let text = std::fs::read_to_string(file)?;
        spent += text.split(' ').next().unwrap_or_default().parse::<f64>()? / 1_000.0;
    }
    Ok(spent)
}
