//! What every live test needs: phones with ports of their own, on the network of [`Cluster`].

use anyhow::Context;
use std::cell::Cell;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;
use testkit::live::baresip::{Baresip, Setup};
use testkit::live::cluster::{Cluster, DOMAIN};
use testkit::live::raw::RawPeer;
use testkit::live::scenario::Scenario;
use testkit::live::sipp::{Run, Sipp};

/// A network with the counters that keep phones apart.
pub struct Stage {
    pub cluster: Cluster,
    next_port: Cell<u16>,
}

impl Stage {
    pub fn new() -> anyhow::Result<Stage> {
        Ok(Stage { cluster: Cluster::deploy()?, next_port: Cell::new(20_000) })
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
        let port = self.next_port.get();
        self.next_port.set(port + 10);
        port
    }

    fn folder(&self, what: &str, port: u16) -> PathBuf {
        self.cluster.folder.path().join(format!("{what}-{port}"))
    }

    /// A registered baresip for an extension, where that extension lives.
    pub fn baresip(&self, extension: &str, auto_answer: bool) -> anyhow::Result<Baresip> {
        self.baresip_over(extension, auto_answer, "udp")
    }

    pub fn baresip_over(
        &self,
        extension: &str,
        auto_answer: bool,
        transport: &'static str,
    ) -> anyhow::Result<Baresip> {
        let line = self.cluster.line(extension)?;
        let port = self.port();
        let setup = Setup {
            extension: extension.to_owned(),
            password: line.secret.clone(),
            domain: DOMAIN.to_owned(),
            registrar: self.cluster.sip_address(&line.host)?.to_string(),
            transport,
            // A tone nobody else plays: the port makes it different in each call of each run.
            tone_hz: 400 + u32::from(port % 1_000) * 2 + std::process::id() % 7,
            auto_answer,
            expires_s: 3_600,
            namespace: Some(self.cluster.star.namespace(&line.host)),
            address: IpAddr::V4(self.cluster.star.address(&line.host)?),
            port,
        };
        let mut phone = Baresip::start(setup, self.folder(extension, port))?;
        phone.wait_registered().with_context(|| format!("baresip {extension} registers"))?;
        Ok(phone)
    }

    /// Starts a SIPp phone for an extension on a port of its own.
    pub fn sipp(&self, extension: &str, port: u16, scenario: &Scenario) -> anyhow::Result<Sipp> {
        self.sipp_over(extension, port, scenario, "udp")
    }

    pub fn sipp_over(
        &self,
        extension: &str,
        port: u16,
        scenario: &Scenario,
        transport: &str,
    ) -> anyhow::Result<Sipp> {
        self.run(extension, port, scenario, transport, (1, 1))
    }

    /// Begins the scenario `calls` times, `rate` a second.
    pub fn sipp_many(
        &self,
        extension: &str,
        scenario: &Scenario,
        calls: u32,
        rate: u32,
    ) -> anyhow::Result<Sipp> {
        self.run(extension, self.port(), scenario, "udp", (calls, rate))
    }

    fn run(
        &self,
        extension: &str,
        port: u16,
        scenario: &Scenario,
        transport: &str,
        (calls, rate): (u32, u32),
    ) -> anyhow::Result<Sipp> {
        let line = self.cluster.line(extension)?;
        let run = Run {
            scenario,
            transport,
            local: SocketAddr::new(IpAddr::V4(self.cluster.star.address(&line.host)?), port),
            remote: self.cluster.sip_address(&line.host)?.to_string(),
            calls,
            rate,
            limit_s: 60,
        };
        let folder = self.folder(&format!("sipp-{extension}-{}", self.port()), port);
        Sipp::start(Some((&self.cluster.star, &line.host)), &run, &folder)
    }

    /// The part of `own` towards `peer`.
    pub fn part(&self, own: &str, peer: &str) -> anyhow::Result<Scenario> {
        Ok(Scenario::new(own, &self.cluster.line(own)?.secret, peer, DOMAIN))
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

    /// A socket beside the phones of a host.
    pub fn raw(&self, host: &str) -> anyhow::Result<RawPeer> {
        let local = SocketAddr::new(IpAddr::V4(self.cluster.star.address(host)?), self.port());
        RawPeer::open(&self.cluster.star.namespace(host), local, self.cluster.sip_address(host)?)
    }

    /// The ended calls of a member, newest first.
    pub fn records(&self, host: &str) -> anyhow::Result<Vec<serde_json::Value>> {
        let answer = self.cluster.machine(host, &["records"])?;
        Ok(answer.as_array().cloned().unwrap_or_default())
    }

    /// Runs `story` and requires that it leaves exactly one new call record at the caller's member, with this cause.
    pub fn one_record(
        &self,
        host: &str,
        cause: &str,
        story: impl FnOnce() -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let known = self.originated(host)?;
        story()?;
        let fresh = testkit::live::eventually("the call record", Duration::from_secs(5), || {
            let all = self.originated(host)?;
            let fresh: Vec<_> = all.into_iter().filter(|record| !known.contains(record)).collect();
            Ok((!fresh.is_empty()).then_some(fresh))
        })?;
        anyhow::ensure!(fresh.len() == 1, "one call, {} records: {fresh:?}", fresh.len());
        anyhow::ensure!(fresh[0]["cause"] == cause, "the cause should be {cause}: {}", fresh[0]);
        Ok(())
    }

    fn originated(&self, host: &str) -> anyhow::Result<Vec<serde_json::Value>> {
        let records = self.records(host)?;
        Ok(records.into_iter().filter(|record| record["role"] == "originating").collect())
    }
}

/// One story: what happens on the stage.
pub type Story = fn(&mut Stage) -> anyhow::Result<()>;

/// Tells the stories one after the other, says how each went, and fails at the end if one did. `PLEIAD_STORY` tells only
/// those whose name contains it.
pub fn tell(stage: &mut Stage, stories: &[(&str, Story)]) {
    let wanted = std::env::var("PLEIAD_STORY").unwrap_or_default();
    let mut failed = Vec::new();
    for (name, story) in stories.iter().filter(|(name, _)| name.contains(&wanted)) {
        let begin = std::time::Instant::now();
        let outcome = story(stage);
        eprintln!("  {name}: {} ({:.1?})", if outcome.is_ok() { "ok" } else { "FAILED" }, begin.elapsed());
        if let Err(fault) = outcome {
            eprintln!("    {fault:#}");
            failed.push(*name);
        }
    }
    if !failed.is_empty() {
        let kept = stage.keep_logs();
        panic!(
            "{} of {} stories failed: {failed:?}; logs kept in {}",
            failed.len(),
            stories.len(),
            kept.display()
        );
    }
}
