//! A whole network in namespaces, deployed by `pleiad ctl` alone, as an administrator would.
//!
//! ```text
//!   mgr  manager            n1  node 1, subscribers 2101 2102, their phones
//!   cs   cluster server,    n2  node 2, subscribers 2201 2202, their phones
//!        subscribers 2001 2002, their phones
//!   gate a router, and behind its NAT: home
//! ```

use super::eventually;
use super::process::{Process, pleiad_binary};
use super::star::Star;
use anyhow::{Context, bail, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The SIP domain of the phones.
pub const DOMAIN: &str = "pleiad.test";
/// SIP port of every machine.
pub const SIP_PORT: u16 = 5060;
/// Port of SIP over TLS of every machine.
pub const SIP_TLS_PORT: u16 = 5061;
/// HTTPS port of every call server.
pub const WEB_PORT: u16 = 7501;
/// Link port of the cluster server.
pub const LINK_PORT: u16 = 7601;
/// HTTPS port of the manager.
pub const MANAGER_PORT: u16 = 7443;

/// A subscriber and where its phones live.
#[derive(Debug, Clone)]
pub struct Line {
    /// Its extension.
    pub extension: String,
    /// Its secret.
    pub secret: String,
    /// The host of the star its phones are on, which is also that of its registrar.
    pub host: String,
}

/// What a network is like.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// Rows of subscribers: in row 1 the six have the numbers 2011, 2012, 2111, 2112, 2211, 2212, and so on.
    pub rows: u16,
    /// The call servers listen on every address they have, IPv6 too, rather than on one of IPv4.
    pub every_address: bool,
}

/// The network.
pub struct Cluster {
    terms: Terms,
    /// The namespaces.
    pub star: Star,
    /// Everything it writes.
    pub folder: tempfile::TempDir,
    machines: Mutex<BTreeMap<String, Process>>,
    login: Mutex<(String, String)>,
    lines: BTreeMap<String, Line>,
    _alone: Alone,
}

static BUSY: Mutex<bool> = Mutex::new(false);
static FREE: Condvar = Condvar::new();

/// The right to run a network or to besiege a server: two at once would disturb each other's timing on a small machine.
#[derive(Debug)]
pub struct Alone;

impl Alone {
    /// Waits until nobody else has it.
    #[must_use]
    pub fn wait() -> Alone {
        let mut busy = BUSY.lock().unwrap_or_else(PoisonError::into_inner);
        while *busy {
            busy = FREE.wait(busy).unwrap_or_else(PoisonError::into_inner);
        }
        *busy = true;
        Alone
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        *BUSY.lock().unwrap_or_else(PoisonError::into_inner) = false;
        FREE.notify_one();
    }
}

/// The machines of the network: host, name, role.
pub const MACHINES: [(&str, &str); 3] = [("cs", "centre"), ("n1", "north"), ("n2", "south")];

/// The subscribers of row 0: number, home, host.
const SUBSCRIBERS: [(u16, u16, &str); 6] =
    [(2001, 0, "cs"), (2002, 0, "cs"), (2101, 1, "n1"), (2102, 1, "n1"), (2201, 2, "n2"), (2202, 2, "n2")];

impl Cluster {
    /// Starts bare processes and deploys them.
    ///
    /// # Errors
    /// With the step that failed and what it said.
    pub fn deploy(terms: Terms) -> anyhow::Result<Cluster> {
        let alone = Alone::wait();
        let mut star = Star::new(&["mgr", "cs", "n1", "n2", "gate"])?;
        star.add_home("gate", "home")?;
        let folder = tempfile::Builder::new().prefix("pleiad-live-").tempdir()?;
        let mut cluster = Cluster {
            terms,
            star,
            folder,
            machines: Mutex::default(),
            login: Mutex::default(),
            lines: BTreeMap::new(),
            _alone: alone,
        };
        cluster.start_manager()?;
        for (host, _) in MACHINES {
            cluster.start_machine(host)?;
        }
        cluster.configure()?;
        for row in 0..terms.rows {
            cluster.subscribe(row)?;
        }
        Ok(cluster)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts (or starts again) the manager.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn start_manager(&self) -> anyhow::Result<()> {
        let (dir, config) = (self.path("mgr"), self.path("mgr.toml"));
        let address = self.star.address("mgr")?;
        std::fs::write(&config, format!("dir = {dir:?}\nbind = \"{address}:{MANAGER_PORT}\"\n"))?;
        self.start("mgr", "manager", &config)?;
        let login = eventually("the manager's first login", Duration::from_secs(10), || {
            Ok(std::fs::read_to_string(dir.join("manager.txt")).ok())
        })?;
        let (user, password) = login.trim().split_once(' ').context("manager.txt is not `user password`")?;
        *self.login.lock().unwrap_or_else(PoisonError::into_inner) = (user.to_owned(), password.to_owned());
        self.wait_port("mgr", MANAGER_PORT)?;
        // Once, and not with each command: a login is made to cost.
        let mut command = self.ctl_command(&["login"])?;
        command.env("PLEIAD_USER", user).env("PLEIAD_PASSWORD", password);
        let answer = command.output()?;
        ensure!(answer.status.success(), "login: {}", String::from_utf8_lossy(&answer.stderr));
        Ok(())
    }

    /// Starts (or starts again) a call server, whatever its role is by now.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn start_machine(&self, host: &str) -> anyhow::Result<()> {
        let (dir, config) = (self.path(host), self.path(&format!("{host}.toml")));
        let address = match self.terms.every_address {
            true => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            false => IpAddr::V4(self.star.address(host)?),
        };
        std::fs::write(
            &config,
            format!(
                "dir = {dir:?}\nname = \"{host}\"\nbind = \"{address}\"\nsip_port = {SIP_PORT}\n\
                 sip_tls_port = {SIP_TLS_PORT}\nweb_port = {WEB_PORT}\nlink_port = {LINK_PORT}\n"
            ),
        )?;
        self.start(host, "ipbx", &config)?;
        self.wait_port(host, WEB_PORT)
    }

    fn start(&self, host: &str, role: &str, config: &Path) -> anyhow::Result<()> {
        let mut command = self.star.command(host, pleiad_binary()?);
        command.arg(role).arg("--config").arg(config);
        let process = Process::start(host, &mut command, &self.path(&format!("{host}.log")))?;
        self.processes().insert(host.to_owned(), process);
        Ok(())
    }

    fn processes(&self) -> MutexGuard<'_, BTreeMap<String, Process>> {
        self.machines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn of_machine<T>(
        &self,
        host: &str,
        look: impl FnOnce(&mut Process) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        look(self.processes().get_mut(host).with_context(|| format!("no machine {host}"))?)
    }

    fn wait_port(&self, host: &str, port: u16) -> anyhow::Result<()> {
        let at = SocketAddr::new(IpAddr::V4(self.star.address(host)?), port);
        self.star.inside(host, || {
            eventually(&format!("{host} on port {port}"), Duration::from_secs(10), || {
                Ok(std::net::TcpStream::connect_timeout(&at, Duration::from_millis(300)).ok().map(drop))
            })
        })
    }

    /// `kill -9` of a machine's process.
    ///
    /// # Errors
    /// When there is none.
    pub fn kill(&self, host: &str) -> anyhow::Result<()> {
        // `ip netns exec` execs the program, so the child is the machine itself.
        self.of_machine(host, Process::kill)
    }

    /// Ends a machine's process as an administrator does, and waits for its end.
    ///
    /// # Errors
    /// When it does not end.
    pub fn stop(&self, host: &str) -> anyhow::Result<()> {
        self.of_machine(host, |process| {
            process.signal(Signal::SIGTERM)?;
            process.wait(Duration::from_secs(10)).map(drop)
        })
    }

    /// The process id of a machine.
    ///
    /// # Errors
    /// When there is none.
    pub fn pid(&self, host: &str) -> anyhow::Result<u32> {
        self.of_machine(host, |process| Ok(process.pid()))
    }

    /// User and password of the first account of the manager.
    #[must_use]
    pub fn login(&self) -> (String, String) {
        self.login.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Runs `pleiad ctl` on the manager's host and returns what it prints as JSON.
    ///
    /// # Errors
    /// With its error output when it exits with another code than 0.
    pub fn ctl(&self, words: &[&str]) -> anyhow::Result<Value> {
        let output = self.ctl_command(words)?.output()?;
        if !output.status.success() {
            bail!(
                "`pleiad ctl {}` ended with {}: {}{}",
                words.join(" "),
                output.status,
                String::from_utf8_lossy(&output.stderr),
                String::from_utf8_lossy(&output.stdout)
            );
        }
        if output.stdout.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&output.stdout).with_context(|| {
            format!("`ctl {}` printed no JSON: {}", words.join(" "), String::from_utf8_lossy(&output.stdout))
        })
    }

    /// The `ctl` command itself, for those who want its exit code.
    ///
    /// # Errors
    /// When there is no binary.
    pub fn ctl_command(&self, words: &[&str]) -> anyhow::Result<std::process::Command> {
        let address = self.star.address("mgr")?;
        let mut command = self.star.command("mgr", pleiad_binary()?);
        command
            .args(["ctl", "--json"])
            .args(words)
            .env("PLEIAD_MANAGER", format!("{address}:{MANAGER_PORT}"))
            .env("PLEIAD_CONFIG_DIR", self.path("ctl"))
            .env("XDG_CONFIG_HOME", self.path("ctl"))
            .env("HOME", self.folder.path());
        Ok(command)
    }

    fn configure(&mut self) -> anyhow::Result<()> {
        self.ctl(&["region", "add", "live"])?;
        self.ctl(&["multi-site", "add", "tests", "--region", "live"])?;
        for (host, name) in MACHINES {
            let address = format!("{}:{WEB_PORT}", self.star.address(host)?);
            let mut words = vec!["machine", "add", name, "--address", &address];
            let link = format!("{}:{LINK_PORT}", self.star.address("cs")?);
            if host == "cs" {
                words.extend(["--cluster-server", "--multi-site", "tests", "--domain", DOMAIN]);
            } else {
                words.extend(["--node-of", "centre", "--cs-address", &link]);
            }
            self.ctl(&words)?;
            let code = std::fs::read_to_string(self.path(host).join("claim-code"))?;
            self.ctl(&["machine", "claim", name, "--code", code.trim()])?;
            self.ctl(&["machine", "identify", name])?;
            self.ctl(&["machine", "configure", name])?;
        }
        self.put(
            "numbering-range",
            "extensions",
            &serde_json::json!({"first": "2000", "last": "2999", "use": "extensions"}),
        )?;
        self.put("barred-numbers", "forbidden", &serde_json::json!({"prefixes": []}))?;
        self.put("feature-class", "standard", &serde_json::json!({"barred": ["forbidden"]}))?;
        Ok(())
    }

    /// Makes the six subscribers of a row.
    fn subscribe(&mut self, row: u16) -> anyhow::Result<()> {
        for (base, member, host) in SUBSCRIBERS {
            let extension = (base + 10 * row).to_string();
            let secret = format!("live-test-secret-{extension}");
            let value = serde_json::json!({"name": format!("Phone {extension}"), "feature_class": "standard", "home": member, "secret": secret});
            self.put("subscriber", &extension, &value)?;
            let line = Line { extension: extension.clone(), secret, host: host.to_owned() };
            self.lines.insert(extension, line);
        }
        Ok(())
    }

    /// Writes an object at the cluster server.
    ///
    /// # Errors
    /// What the cluster server says against it.
    pub fn put(&self, kind: &str, key: &str, value: &Value) -> anyhow::Result<Value> {
        self.ctl(&["object", "put", kind, key, "--value", &value.to_string()])
    }

    /// A subscriber of the network.
    ///
    /// # Errors
    /// When there is none.
    pub fn line(&self, extension: &str) -> anyhow::Result<&Line> {
        self.lines.get(extension).with_context(|| format!("no subscriber {extension}"))
    }

    /// The SIP address of a host's machine.
    ///
    /// # Errors
    /// When there is no such host.
    pub fn sip_address(&self, host: &str) -> anyhow::Result<SocketAddr> {
        Ok(SocketAddr::new(IpAddr::V4(self.star.address(host)?), SIP_PORT))
    }

    /// Where a host's machine speaks SIP over TLS.
    ///
    /// # Errors
    /// When there is no such host.
    pub fn sip_tls_address(&self, host: &str) -> anyhow::Result<SocketAddr> {
        Ok(SocketAddr::new(IpAddr::V4(self.star.address(host)?), SIP_TLS_PORT))
    }

    /// The certificate that phones of the cluster trust, as `ctl authority` writes it.
    ///
    /// # Errors
    /// When the machine does not answer.
    pub fn authority(&self, host: &str) -> anyhow::Result<PathBuf> {
        let file = self.path(&format!("authority-{host}.pem"));
        self.machine(host, &["authority", "--output", &file.display().to_string()])?;
        Ok(file)
    }

    /// A read of a machine's own API, through the manager.
    ///
    /// # Errors
    /// When the machine does not answer.
    pub fn machine(&self, host: &str, words: &[&str]) -> anyhow::Result<Value> {
        let (_, name) = MACHINES.iter().find(|(own, _)| *own == host).context("no such machine")?;
        let (verb, rest) = words.split_first().context("nothing asked")?;
        let mut all = vec![*verb, name];
        all.extend(rest);
        self.ctl(&all)
    }

    /// How much a machine has logged so far, for [`wait_logged`](Cluster::wait_logged).
    ///
    /// # Errors
    /// When there is no such machine.
    pub fn logged(&self, host: &str) -> anyhow::Result<usize> {
        self.of_machine(host, |process| Ok(process.output().len()))
    }

    /// Waits until a machine logs `words`, from `since` on; works while the machine is cut off.
    ///
    /// # Errors
    /// With its last words.
    pub fn wait_logged(&self, host: &str, since: usize, words: &str, limit: Duration) -> anyhow::Result<()> {
        let outcome = eventually(&format!("{host} to log '{words}'"), limit, || {
            self.of_machine(host, |process| Ok(process.said(since, &[words]).then_some(())))
        });
        match outcome {
            Ok(()) => Ok(()),
            Err(fault) => Err(fault.context(self.of_machine(host, |process| Ok(process.tail()))?)),
        }
    }

    /// Waits until the cluster server says that a node is in this state.
    ///
    /// # Errors
    /// When it is not by then. Returns how long it took.
    pub fn wait_node(&self, number: u64, state: &str, limit: Duration) -> anyhow::Result<Duration> {
        let begin = Instant::now();
        eventually(&format!("node {number} to be {state}"), limit, || {
            let view = self.machine("cs", &["state"])?;
            let nodes = view.get("nodes").and_then(Value::as_array).cloned().unwrap_or_default();
            let found = nodes.iter().any(|node| node["number"] == number && node["state"] == state);
            Ok(found.then_some(()))
        })?;
        Ok(begin.elapsed())
    }
}
