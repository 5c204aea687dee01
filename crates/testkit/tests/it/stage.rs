//! What every live test needs: phones with ports of their own, on the network of [`Cluster`].
//!
//! A stage has rows of phones, and a story is played on one row: what it calls 2101 is 2111 in row 1. So stories that
//! change nothing but their own calls are told side by side.

use anyhow::Context;
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use testkit::live::cluster::{Cluster, DOMAIN, Line, MACHINES, Terms};
use testkit::live::eventually;
use testkit::live::raw::RawPeer;
use testkit::live::scenario::Scenario;
use testkit::live::sipp::{Run, Sipp};
use testkit::live::softphone::{self, PORTS, Program, Setup, Softphone};
use testkit::phone::Transport;

/// The ports that phones take, below those that the system gives away by itself.
const FIRST_PORT: u16 = 20_000;
const PHONES_MAX: u16 = 1_200;
/// The lowest tone, and how far apart two of them are at least, in Hz.
const TONE_HZ_MIN: u32 = 400;
const TONE_STEP_HZ: u32 = 20;
const TONES: u32 = 120;
const CALL: Duration = Duration::from_secs(60);
/// How soon members know of a cut, and are back after it.
const NOTICED_WITHIN: Duration = Duration::from_secs(15);
/// A vanished party is given up after 90 s (DESIGN § 7); who hangs up leaves at once.
const LEFT_WITHIN: Duration = Duration::from_secs(10);

/// A row of phones of a network.
#[derive(Clone)]
pub struct Stage {
    pub cluster: Arc<Cluster>,
    row: u16,
    rows: u16,
    phones: Arc<AtomicU16>,
    /// Where the tones of this run begin.
    key: u32,
}

impl Stage {
    /// A network with one row.
    pub fn new() -> anyhow::Result<Stage> {
        Stage::with_rows(1)
    }

    pub fn with_rows(rows: u16) -> anyhow::Result<Stage> {
        Stage::on(Terms { rows, every_address: false })
    }

    pub fn on(terms: Terms) -> anyhow::Result<Stage> {
        Ok(Stage {
            cluster: Arc::new(Cluster::deploy(terms)?),
            row: 0,
            rows: terms.rows,
            phones: Arc::default(),
            key: u32::try_from(RandomState::new().hash_one(0) % u64::from(TONES))?,
        })
    }

    /// The same network with its stories told one after the other, for those that cut and kill; phones of other rows are
    /// called by their full numbers.
    pub fn one_at_a_time(self) -> Stage {
        Stage { rows: 1, ..self }
    }

    fn in_row(&self, row: u16) -> Stage {
        Stage { row, ..self.clone() }
    }

    /// The number of this row that stands where `number` stands in row 0; any other number stays.
    pub fn number(&self, number: &str) -> String {
        let in_row_0 = |base: &u16| (base / 10).is_multiple_of(10) && self.cluster.line(number).is_ok();
        let own = number.parse::<u16>().ok().filter(in_row_0);
        own.map_or_else(|| number.to_owned(), |base| (base + 10 * self.row).to_string())
    }

    pub fn line(&self, number: &str) -> anyhow::Result<&Line> {
        self.cluster.line(&self.number(number))
    }

    /// Copies what the network wrote to where it outlives the test.
    pub fn keep_logs(&self) -> PathBuf {
        let kept = std::env::temp_dir().join("pleiad-live-failed");
        let _ = std::fs::remove_dir_all(&kept);
        let _ =
            std::process::Command::new("cp").arg("-r").arg(self.cluster.folder.path()).arg(&kept).status();
        kept
    }

    pub fn port(&self) -> u16 {
        FIRST_PORT + self.phones.fetch_add(1, Ordering::Relaxed) % PHONES_MAX * PORTS
    }

    fn folder(&self, what: &str, port: u16) -> PathBuf {
        self.cluster.folder.path().join(format!("{what}-{port}"))
    }

    /// A registered baresip by UDP for an extension, where that extension lives.
    pub fn baresip(&self, extension: &str, auto_answer: bool) -> anyhow::Result<Box<dyn Softphone>> {
        self.phone(Program::Baresip, extension, |setup| {
            setup.auto_answer = auto_answer;
            Ok(())
        })
    }

    /// A registered phone for an extension, where that extension lives, set up as `choose` says.
    pub fn phone(
        &self,
        program: Program,
        extension: &str,
        choose: impl FnOnce(&mut Setup) -> anyhow::Result<()>,
    ) -> anyhow::Result<Box<dyn Softphone>> {
        let line = self.line(extension)?;
        let port = self.port();
        let nth = u32::from((port - FIRST_PORT) / PORTS);
        let mut setup = Setup {
            extension: line.extension.clone(),
            password: line.secret.clone(),
            domain: DOMAIN.to_owned(),
            registrar: self.cluster.sip_address(&line.host)?.to_string(),
            transport: Transport::Udp,
            authority: None,
            srtp: false,
            message_waiting: false,
            watches: Vec::new(),
            // Random in each run, and not the tone of any other phone that plays at the same time.
            tone_hz: TONE_HZ_MIN + (self.key + nth * 7) % TONES * TONE_STEP_HZ,
            auto_answer: false,
            expires_s: 3_600,
            namespace: Some(self.cluster.star.namespace(&line.host)),
            address: IpAddr::V4(self.cluster.star.address(&line.host)?),
            port,
        };
        choose(&mut setup)?;
        softphone::start(program, setup, &self.folder(&line.extension, port))
    }

    /// Starts a SIPp phone for an extension on a port of its own.
    pub fn sipp(&self, extension: &str, port: u16, scenario: &Scenario) -> anyhow::Result<Sipp> {
        // With so short a period the one call begins at once.
        self.run(&self.line(extension)?.host, extension, port, scenario, (1, 1_000))
    }

    /// A SIPp phone for an extension at another member than its own.
    pub fn sipp_at(&self, host: &str, extension: &str, scenario: &Scenario) -> anyhow::Result<Sipp> {
        self.run(host, extension, self.port(), scenario, (1, 1_000))
    }

    /// Begins the scenario `calls` times, `rate` a second.
    pub fn sipp_many(
        &self,
        extension: &str,
        scenario: &Scenario,
        calls: u32,
        rate: u32,
    ) -> anyhow::Result<Sipp> {
        self.run(&self.line(extension)?.host, extension, self.port(), scenario, (calls, rate))
    }

    fn run(
        &self,
        host: &str,
        extension: &str,
        port: u16,
        scenario: &Scenario,
        (calls, rate): (u32, u32),
    ) -> anyhow::Result<Sipp> {
        let line = self.line(extension)?;
        let run = Run {
            scenario,
            transport: "udp",
            local: SocketAddr::new(IpAddr::V4(self.cluster.star.address(host)?), port),
            remote: self.cluster.sip_address(host)?.to_string(),
            calls,
            rate,
            limit_s: 180,
        };
        let folder = self.folder(&format!("sipp-{}-{}", line.extension, self.port()), port);
        Sipp::start(Some((&self.cluster.star, host)), &run, &folder)
    }

    /// The part of `own` towards `peer`.
    pub fn part(&self, own: &str, peer: &str) -> anyhow::Result<Scenario> {
        Ok(Scenario::new(&self.number(own), &self.line(own)?.secret, &self.number(peer), DOMAIN))
    }

    /// Registers a SIPp phone as the only one of its number, and then lets it play `answer`.
    pub fn answerer(&self, own: &str, answer: impl FnOnce(Scenario) -> Scenario) -> anyhow::Result<Sipp> {
        let port = self.port();
        self.unregister(own)?;
        self.sipp(own, port, &self.part(own, own)?.register())?
            .finish(Duration::from_secs(20))
            .with_context(|| format!("sipp {own} registers"))?;
        self.sipp(own, port, &answer(self.part(own, "caller")?))
    }

    /// Removes every binding of an extension, as its owner may: a phone of an earlier story would be called as well.
    pub fn unregister(&self, extension: &str) -> anyhow::Result<()> {
        let part = self.part(extension, extension)?.unregister_all();
        self.sipp(extension, self.port(), &part)?.finish(Duration::from_secs(20))
    }

    /// Lets a SIPp phone play `call`.
    pub fn caller(
        &self,
        own: &str,
        peer: &str,
        call: impl FnOnce(Scenario) -> Scenario,
    ) -> anyhow::Result<Sipp> {
        self.sipp(own, self.port(), &call(self.part(own, peer)?))
    }

    /// One call between two SIPp phones, each playing its part to the end, and its one record.
    pub fn call(
        &self,
        (from, call): (&str, impl FnOnce(Scenario) -> Scenario),
        (to, answer): (&str, impl FnOnce(Scenario) -> Scenario),
        cause: &str,
    ) -> anyhow::Result<()> {
        let played = || {
            let called = self.answerer(to, answer)?;
            self.caller(from, to, call)?.finish(CALL)?;
            called.finish(CALL)
        };
        self.one_record(from, cause, played).with_context(|| format!("{from} calls {to}"))
    }

    /// No call is left at any member, no stream of media, and no hang-up owed to another.
    pub fn nothing_left(&self) -> anyhow::Result<()> {
        for (host, _) in MACHINES {
            eventually(&format!("nothing left at {host}"), LEFT_WITHIN, || {
                let state = self.cluster.machine(host, &["state"])?;
                let nothing = ["calls", "streams", "owed"].iter().all(|what| state[what] == 0);
                Ok(nothing.then_some(()))
            })
            .with_context(|| format!("{:?}", self.cluster.machine(host, &["calls"])))?;
        }
        Ok(())
    }

    /// A socket beside the phones of a host.
    pub fn raw(&self, host: &str) -> anyhow::Result<RawPeer> {
        let local = SocketAddr::new(IpAddr::V4(self.cluster.star.address(host)?), self.port());
        RawPeer::open(&self.cluster.star.namespace(host), local, self.cluster.sip_address(host)?)
    }

    /// The ended calls that phones of this row began at a member, newest first.
    pub fn records(&self, host: &str) -> anyhow::Result<Vec<serde_json::Value>> {
        let answer = self.cluster.machine(host, &["records"])?;
        let all = answer.as_array().cloned().unwrap_or_default();
        let ours = |record: &serde_json::Value| {
            record["role"] == "originating"
                && record["caller"]["number"].as_str().is_some_and(|number| self.has(number))
        };
        Ok(all.into_iter().filter(ours).collect())
    }

    /// True when the number is one of this row.
    pub fn has(&self, number: &str) -> bool {
        number.parse::<u16>().is_ok_and(|number| number / 10 % 10 == self.row)
    }

    /// Runs `story` and requires that it leaves exactly one new call record at the member of the caller, with this
    /// cause.
    pub fn one_record(
        &self,
        caller: &str,
        cause: &str,
        story: impl FnOnce() -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let record = self.record_of(caller, story)?;
        anyhow::ensure!(record["cause"] == cause, "the cause should be {cause}: {record}");
        Ok(())
    }

    /// The one new call record that `story` leaves at the member of the caller.
    pub fn record_of(
        &self,
        caller: &str,
        story: impl FnOnce() -> anyhow::Result<()>,
    ) -> anyhow::Result<serde_json::Value> {
        let host = &self.line(caller)?.host;
        let known = self.records(host)?;
        story()?;
        let mut fresh = eventually("the call record", Duration::from_secs(5), || {
            let all = self.records(host)?;
            let fresh: Vec<_> = all.into_iter().filter(|record| !known.contains(record)).collect();
            Ok((!fresh.is_empty()).then_some(fresh))
        })?;
        anyhow::ensure!(fresh.len() == 1, "one call, {} records: {fresh:?}", fresh.len());
        fresh.pop().context("one record")
    }
}

/// What happens to the network in the middle of a story.
#[derive(Debug, Clone, Copy)]
pub enum Fault {
    /// Every packet to and from a host is lost, until it ends.
    Cut(&'static str),
    /// Its machine is killed, and started again at the end.
    Kill(&'static str),
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Fault::Cut(host) => write!(f, "{host} cut off"),
            Fault::Kill(host) => write!(f, "{host} killed"),
        }
    }
}

impl Fault {
    /// Begins. After a cut the node knows that it is alone.
    pub fn strikes(self, stage: &Stage) -> anyhow::Result<()> {
        match self {
            Fault::Cut(host) => {
                let since = stage.cluster.logged(host)?;
                stage.cluster.star.cut(host)?;
                stage.cluster.wait_logged(host, since, "state=Isolated", NOTICED_WITHIN)
            }
            Fault::Kill(host) => stage.cluster.kill(host),
        }
    }

    /// Is over: all members are in touch again.
    pub fn ends(self, stage: &Stage) -> anyhow::Result<()> {
        match self {
            Fault::Cut(host) => stage.cluster.star.heal(host)?,
            Fault::Kill(host) => stage.cluster.start_machine(host)?,
        }
        stage.cluster.wait_node(1, "connected", NOTICED_WITHIN)?;
        stage.cluster.wait_node(2, "connected", NOTICED_WITHIN).map(drop)
    }
}

/// One story: what happens on the stage.
pub type Story = fn(&Stage) -> anyhow::Result<()>;

/// Tells the stories and says how each went; fails at the end if one did. Where the stage has several rows, a row that is
/// free takes the next story: put long ones first. `PLEIAD_STORY` tells only those whose name contains it.
pub fn tell(stage: &Stage, stories: &[(&str, Story)]) {
    let told: Vec<(String, Box<Telling<'_>>)> = stories
        .iter()
        .map(|(name, story)| {
            let telling: Box<Telling<'_>> = Box::new(story);
            ((*name).to_owned(), telling)
        })
        .collect();
    tell_all(stage, &told);
}

/// A story that knows more than its stage.
pub type Telling<'a> = dyn Fn(&Stage) -> anyhow::Result<()> + Sync + 'a;

/// [`tell`] for stories that were made up at run time.
pub fn tell_all(stage: &Stage, stories: &[(String, Box<Telling<'_>>)]) {
    let wanted = std::env::var("PLEIAD_STORY").unwrap_or_default();
    let stories: Vec<_> = stories.iter().filter(|(name, _)| name.contains(&wanted)).collect();
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let begin = Instant::now();
    std::thread::scope(|scope| {
        for row in 0..stage.rows {
            let (stage, stories, next, failed) = (stage.in_row(row), &stories, &next, &failed);
            scope.spawn(move || {
                while let Some((name, story)) = stories.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if !told(name, || story(&stage)) {
                        failed.lock().expect("nobody panics with it").push(name.clone());
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().expect("nobody panicked with it");
    eprintln!("  {} stories in {:.1?}", stories.len(), begin.elapsed());
    if !failed.is_empty() {
        let kept = stage.keep_logs();
        panic!("{} stories failed: {failed:?}; logs kept in {}", failed.len(), Path::display(&kept));
    }
}

fn told(name: &str, story: impl FnOnce() -> anyhow::Result<()>) -> bool {
    let begin = Instant::now();
    let outcome = story();
    match &outcome {
        Ok(()) => eprintln!("  {name}: ok ({:.1?})", begin.elapsed()),
        Err(fault) => eprintln!("  {name}: FAILED ({:.1?})\n    {fault:#}", begin.elapsed()),
    }
    outcome.is_ok()
}
