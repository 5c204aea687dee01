//! `pleiad demo --netns`: each call server in a network namespace of its own, joined by a core that routes. It needs
//! root, iproute2 and iptables. A cut is a rule of the core that drops what passes between a node and the cluster server.
//!
//! ```text
//!   this machine: manager, phones (10.77.99.2) ──┐
//!   cluster server (10.77.0.2) ──────────────────┤ core (10.77.N.1): forwards, or drops
//!   node 1 (10.77.1.2), node 2 (10.77.2.2) ──────┘
//! ```

use anyhow::{Context, Result, bail, ensure};
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};

/// The namespace that routes.
const CORE: &str = "pleiad-demo-core";
/// This machine's end of its cable to the core.
const CABLE: &str = "pleiad-demo";
/// The third number of this machine's address.
pub(super) const HERE: u8 = 99;

/// The namespaces of the demo; they go with their handle.
pub(super) struct Namespaces {
    members: Vec<u8>,
}

/// The address of a member, or of this machine at [`HERE`].
pub(super) fn address(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, number, 2)
}

/// The namespace of a member.
pub(super) fn name(number: u8) -> String {
    format!("pleiad-demo-{number}")
}

impl Namespaces {
    /// Makes the core, a namespace for each member, and the cables.
    pub(super) fn make(members: &[u8]) -> Result<Namespaces> {
        ensure!(rustix::process::geteuid().is_root(), "--netns makes network namespaces, which takes root");
        let namespaces = Namespaces { members: members.to_vec() };
        // What a demo that was killed has left behind.
        namespaces.remove();
        ip(&["netns", "add", CORE])?;
        run("ip", &["netns", "exec", CORE, "sysctl", "-qw", "net.ipv4.ip_forward=1"])?;
        for number in members {
            let name = name(*number);
            ip(&["netns", "add", &name])?;
            ip(&["-n", &name, "link", "set", "lo", "up"])?;
            ip(&[
                "-n",
                CORE,
                "link",
                "add",
                &cable(*number),
                "type",
                "veth",
                "peer",
                "name",
                "eth0",
                "netns",
                &name,
            ])?;
            ip(&["-n", &name, "addr", "add", &format!("{}/24", address(*number)), "dev", "eth0"])?;
            ip(&["-n", &name, "link", "set", "eth0", "up"])?;
            core_end(*number)?;
            ip(&["-n", &name, "route", "add", "default", "via", &gateway(*number)])?;
        }
        ip(&["-n", CORE, "link", "add", &cable(HERE), "type", "veth", "peer", "name", CABLE])?;
        // The peer was made in the core; this machine's end comes over.
        ip(&["-n", CORE, "link", "set", CABLE, "netns", "1"])?;
        ip(&["addr", "add", &format!("{}/24", address(HERE)), "dev", CABLE])?;
        ip(&["link", "set", CABLE, "up"])?;
        core_end(HERE)?;
        ip(&["route", "replace", "10.77.0.0/16", "via", &gateway(HERE)])?;
        Ok(namespaces)
    }

    fn remove(&self) {
        // What is not there needs no removing.
        for number in &self.members {
            let _ = ip(&["netns", "del", &name(*number)]);
        }
        let _ = ip(&["netns", "del", CORE]);
        let _ = ip(&["link", "del", CABLE]);
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        self.remove();
    }
}

/// True while packets between a node and the cluster server are dropped.
pub(super) fn is_cut(node: u8) -> bool {
    rule("-C", node, 0).is_ok()
}

/// Drops them from now on.
pub(super) fn cut(node: u8) -> Result<()> {
    if is_cut(node) {
        return Ok(());
    }
    rule("-I", node, 0)?;
    rule("-I", 0, node)
}

/// Lets them through again.
pub(super) fn heal(node: u8) -> Result<()> {
    if !is_cut(node) {
        return Ok(());
    }
    rule("-D", node, 0)?;
    rule("-D", 0, node)
}

fn rule(verb: &str, from: u8, to: u8) -> Result<()> {
    let (from, to) = (address(from).to_string(), address(to).to_string());
    run(
        "ip",
        &["netns", "exec", CORE, "iptables", "-w", verb, "FORWARD", "-s", &from, "-d", &to, "-j", "DROP"],
    )
}

fn core_end(number: u8) -> Result<()> {
    ip(&["-n", CORE, "addr", "add", &format!("{}/24", gateway(number)), "dev", &cable(number)])?;
    ip(&["-n", CORE, "link", "set", &cable(number), "up"])
}

fn cable(number: u8) -> String {
    format!("m{number}")
}

fn gateway(number: u8) -> String {
    format!("10.77.{number}.1")
}

fn ip(words: &[&str]) -> Result<()> {
    run("ip", words)
}

fn run(program: &str, words: &[&str]) -> Result<()> {
    let output = Command::new(program)
        .args(words)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run {program}: install iproute2 and iptables"))?;
    if !output.status.success() {
        bail!("`{program} {}`: {}", words.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
