//! One independent call server with subscribers of its own, on an address of the loopback: for what needs no network and
//! no manager.

use super::eventually;
use super::process::{Process, pleiad_binary};
use anyhow::Context;
use ipbx::{Config, Machine};
use model::Kind;
use serde_json::{Value, json};
use sip::digest::{Algorithm, ha1};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use store::Commit;

/// Subscribers of one commit.
const COMMIT: usize = 90;
/// How long it may take to start.
const START: Duration = Duration::from_secs(20);

/// A subscriber to be.
#[derive(Debug, Clone)]
pub struct Subscriber {
    /// Its extension.
    pub extension: String,
    /// Its secret.
    pub secret: String,
}

impl Subscriber {
    /// A subscriber with a secret of its own.
    #[must_use]
    pub fn new(extension: &str) -> Subscriber {
        Subscriber { extension: extension.to_owned(), secret: format!("live-test-secret-{extension}") }
    }
}

/// Makes the folder of a machine with these subscribers, of extensions from `first` to `last`, written as its own service
/// would. Returns its realm.
///
/// # Errors
/// When the folder cannot be written.
pub async fn furnish(
    dir: &Path,
    (first, last): (&str, &str),
    subscribers: &[Subscriber],
) -> anyhow::Result<String> {
    let ports = Config {
        sip_port: 0,
        sip_tls_port: 0,
        web_port: 0,
        link_port: 0,
        ..Config::with_dir(dir.to_owned())
    };
    let started = Machine::start(ports).await?;
    let machine = started.machine.clone();
    let realm = machine.running().context("it does not run")?.role.cluster().id.clone();
    let text = |value: Value| value.to_string().into_bytes();
    let range = json!({ "first": first, "last": last, "use": "extensions" });
    let class = json!({ "barred": [] });
    machine.store().commit(Commit::new().put(Kind::NumberingRange, "all", text(range)).put(
        Kind::FeatureClass,
        "usual",
        text(class),
    ))?;
    for some in subscribers.chunks(COMMIT) {
        let commit = some.iter().fold(Commit::new(), |commit, one| {
            let of = |algorithm| ha1(algorithm, &one.extension, realm.as_str(), &one.secret);
            let credentials = json!({ "ha1_md5": of(Algorithm::Md5), "ha1_sha256": of(Algorithm::Sha256) });
            let value =
                json!({ "name": "", "feature_class": "usual", "home": 0, "credentials": credentials });
            commit.put(Kind::Subscriber, one.extension.clone(), text(value))
        });
        machine.store().commit(commit)?;
    }
    started.stop(Duration::ZERO).await;
    Ok(realm.to_string())
}

/// A running server; it ends with its handle.
pub struct Lone {
    process: Process,
    folder: tempfile::TempDir,
    /// UDP and TCP.
    pub sip: SocketAddr,
    /// TLS.
    pub tls: SocketAddr,
}

impl Lone {
    /// Starts one at this address with subscribers 2000 to 2999 of which these exist. `settings` are further lines of its file.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn start(at: IpAddr, settings: &str, subscribers: &[Subscriber]) -> anyhow::Result<Lone> {
        let folder = tempfile::Builder::new().prefix("pleiad-lone-").tempdir()?;
        let dir = folder.path().join("state");
        furnish(&dir, ("2000", "2999"), subscribers).await?;
        let config = folder.path().join("ipbx.toml");
        std::fs::write(&config, format!("dir = {dir:?}\nbind = \"{at}\"\n{settings}\n"))?;
        let mut command = Command::new(pleiad_binary()?);
        command.arg("ipbx").arg("--config").arg(&config);
        let process = Process::start("lone", &mut command, &folder.path().join("log.txt"))?;
        let lone = Lone { process, folder, sip: (at, 5060).into(), tls: (at, 5061).into() };
        let answers = |at: SocketAddr| TcpStream::connect_timeout(&at, Duration::from_millis(300)).ok();
        eventually("the server to listen", START, || Ok(answers(lone.sip).and(answers(lone.tls)).map(drop)))
            .with_context(|| lone.process.tail())?;
        Ok(lone)
    }

    /// Bytes of memory it has at present.
    ///
    /// # Errors
    /// When it is gone.
    pub fn memory(&self) -> anyhow::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.pid()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        let kib: u64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kib * 1024)
    }

    /// What it has written so far.
    #[must_use]
    pub fn output(&self) -> String {
        self.process.output()
    }

    /// The end of what it has written.
    #[must_use]
    pub fn tail(&self) -> String {
        self.process.tail()
    }

    /// True while it runs.
    pub fn is_running(&mut self) -> bool {
        self.process.is_running()
    }

    /// Everything it writes.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}
