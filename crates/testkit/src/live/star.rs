//! A star of network namespaces: every host has one cable to a core that routes, and the core can lose all
//! packets of a host. No process is told; nothing is closed.
//!
//! ```text
//!   host 0 (10.70.0.2) ──┐
//!   host 1 (10.70.1.2) ──┤ core (10.70.N.1): forwards, or drops
//!   host 2 (10.70.2.2) ──┘
//!       └── home (192.168.77.2), whose addresses host 2 hides (a NAT)
//! ```
//!
//! Each host has an IPv6 address too, fd70:N::2.

use anyhow::{Context, bail};
use nix::sched::{CloneFlags, setns};
use std::fs::File;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

static STARS: AtomicU32 = AtomicU32::new(0);

/// The namespaces of one test, removed when it ends.
pub struct Star {
    prefix: String,
    hosts: Vec<String>,
    homes: Vec<String>,
}

/// The address of what is behind a NAT.
pub const HOME: Ipv4Addr = Ipv4Addr::new(192, 168, 77, 2);

impl Star {
    /// Makes a core and one host for each name.
    ///
    /// # Errors
    /// When this machine lets us make no namespaces (it takes root, iproute2 and iptables).
    pub fn new(names: &[&str]) -> anyhow::Result<Star> {
        let serial = STARS.fetch_add(1, Ordering::Relaxed);
        let prefix = format!("pl{}-{serial}", std::process::id());
        let mut star = Star { prefix, hosts: Vec::new(), homes: Vec::new() };
        let core = star.core();
        run(&["ip", "netns", "add", &core])?;
        forward(&core)?;
        for name in names {
            star.add_host(name)?;
        }
        Ok(star)
    }

    fn core(&self) -> String {
        format!("{}-core", self.prefix)
    }

    fn add_host(&mut self, name: &str) -> anyhow::Result<()> {
        let index = self.hosts.len();
        let (core, host) = (self.core(), format!("{}-{name}", self.prefix));
        run(&["ip", "netns", "add", &host])?;
        self.hosts.push(name.to_owned());
        let cable = format!("m{index}");
        run(&[
            "ip", "-n", &core, "link", "add", &cable, "type", "veth", "peer", "name", "eth0", "netns", &host,
        ])?;
        configure(&core, &cable, &format!("10.70.{index}.1/24"))?;
        configure(&host, "eth0", &format!("10.70.{index}.2/24"))?;
        configure(&core, &cable, &format!("fd70:{index}::1/64"))?;
        configure(&host, "eth0", &format!("fd70:{index}::2/64"))?;
        run(&["ip", "-n", &host, "link", "set", "lo", "up"])?;
        run(&["ip", "-n", &host, "route", "add", "default", "via", &format!("10.70.{index}.1")])?;
        run(&["ip", "-n", &host, "-6", "route", "add", "default", "via", &format!("fd70:{index}::1")])
    }

    /// Puts a home behind a host, which hides it: what comes from the home bears the host's address and a port of its
    /// choice, and nothing gets in that was not asked for.
    ///
    /// # Errors
    /// When there is no such host, or it can hide nothing.
    pub fn add_home(&mut self, gateway: &str, name: &str) -> anyhow::Result<()> {
        let (gateway, home) = (self.namespace(gateway), self.namespace(name));
        run(&["ip", "netns", "add", &home])?;
        self.homes.push(name.to_owned());
        run(&[
            "ip", "-n", &gateway, "link", "add", "lan", "type", "veth", "peer", "name", "eth0", "netns",
            &home,
        ])?;
        configure(&gateway, "lan", "192.168.77.1/24")?;
        configure(&home, "eth0", &format!("{HOME}/24"))?;
        run(&["ip", "-n", &home, "link", "set", "lo", "up"])?;
        run(&["ip", "-n", &home, "route", "add", "default", "via", "192.168.77.1"])?;
        forward(&gateway)?;
        let hide = ["-t", "nat", "-A", "POSTROUTING", "-o", "eth0", "-j", "MASQUERADE", "--random"];
        run(&[&["ip", "netns", "exec", &gateway, "iptables", "-w"], hide.as_slice()].concat())
    }

    fn index(&self, name: &str) -> anyhow::Result<u8> {
        let index = self.hosts.iter().position(|host| host == name);
        Ok(u8::try_from(index.with_context(|| format!("the star has no host {name}"))?)?)
    }

    /// The namespace of a host.
    #[must_use]
    pub fn namespace(&self, name: &str) -> String {
        format!("{}-{name}", self.prefix)
    }

    /// The address of a host.
    ///
    /// # Errors
    /// When there is no such host.
    pub fn address(&self, name: &str) -> anyhow::Result<Ipv4Addr> {
        Ok(Ipv4Addr::new(10, 70, self.index(name)?, 2))
    }

    /// The IPv6 address of a host.
    ///
    /// # Errors
    /// When there is no such host.
    pub fn address_v6(&self, name: &str) -> anyhow::Result<Ipv6Addr> {
        Ok(Ipv6Addr::new(0xfd70, self.index(name)?.into(), 0, 0, 0, 0, 0, 2))
    }

    /// A command that will run on a host.
    #[must_use]
    pub fn command(&self, name: &str, program: impl AsRef<std::ffi::OsStr>) -> Command {
        inside(Some(&self.namespace(name)), program)
    }

    /// From now on every packet to and from this host is lost in the core.
    ///
    /// # Errors
    /// When the core cannot be told.
    pub fn cut(&self, name: &str) -> anyhow::Result<()> {
        self.forwarding("-I", name)
    }

    /// Packets flow again.
    ///
    /// # Errors
    /// When the host was not cut.
    pub fn heal(&self, name: &str) -> anyhow::Result<()> {
        self.forwarding("-D", name)
    }

    fn forwarding(&self, verb: &str, name: &str) -> anyhow::Result<()> {
        let cable = format!("m{}", self.index(name)?);
        for direction in ["-i", "-o"] {
            let core = self.core();
            run(&[
                "ip", "netns", "exec", &core, "iptables", "-w", verb, "FORWARD", direction, &cable, "-j",
                "DROP",
            ])?;
        }
        Ok(())
    }

    /// Runs `work` with the network of a host: sockets made in it stay there.
    ///
    /// # Errors
    /// What `work` says, or that the namespace cannot be entered.
    pub fn inside<T: Send>(
        &self,
        name: &str,
        work: impl FnOnce() -> anyhow::Result<T> + Send,
    ) -> anyhow::Result<T> {
        inside_namespace(&self.namespace(name), work)
    }
}

/// A command that will run in a namespace, or on the machine itself.
#[must_use]
pub fn inside(namespace: Option<&str>, program: impl AsRef<std::ffi::OsStr>) -> Command {
    let Some(namespace) = namespace else { return Command::new(program) };
    let mut command = Command::new("ip");
    command.args(["netns", "exec", namespace]).arg(program);
    command
}

/// Runs `work` on a thread of its own in the named namespace.
///
/// # Errors
/// What `work` says, or that the namespace cannot be entered.
pub fn inside_namespace<T: Send>(
    namespace: &str,
    work: impl FnOnce() -> anyhow::Result<T> + Send,
) -> anyhow::Result<T> {
    let path = format!("/run/netns/{namespace}");
    std::thread::scope(|scope| {
        let thread = scope.spawn(move || {
            let file = File::open(&path).with_context(|| path.clone())?;
            setns(file, CloneFlags::CLONE_NEWNET).with_context(|| format!("entering {path}"))?;
            work()
        });
        match thread.join() {
            Ok(outcome) => outcome,
            Err(_) => bail!("the work inside {namespace} panicked"),
        }
    })
}

impl Drop for Star {
    fn drop(&mut self) {
        for name in self.hosts.iter().chain(&self.homes).map(String::as_str).chain(["core"]) {
            let namespace = self.namespace(name);
            // Whatever still runs in there was started by this test; its handle may have leaked in a panic.
            if let Ok(pids) = Command::new("ip").args(["netns", "pids", &namespace]).output() {
                for pid in String::from_utf8_lossy(&pids.stdout).split_whitespace() {
                    let _ = Command::new("kill").args(["-9", pid]).status();
                }
            }
            let _ = Command::new("ip").args(["netns", "del", &namespace]).status();
        }
    }
}

fn configure(namespace: &str, interface: &str, address: &str) -> anyhow::Result<()> {
    let mut words = vec!["ip", "-n", namespace, "addr", "add", address, "dev", interface];
    if address.contains(':') {
        // Without it the kernel looks for others with this address first, for a second.
        words.push("nodad");
    }
    run(&words)?;
    run(&["ip", "-n", namespace, "link", "set", interface, "up"])
}

fn forward(namespace: &str) -> anyhow::Result<()> {
    for key in ["net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"] {
        run(&["ip", "netns", "exec", namespace, "sysctl", "-qw", key])?;
    }
    Ok(())
}

fn run(words: &[&str]) -> anyhow::Result<()> {
    let (program, arguments) = words.split_first().context("an empty command")?;
    let output = Command::new(program).args(arguments).output().with_context(|| words.join(" "))?;
    if !output.status.success() {
        bail!("`{}` failed: {}", words.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
