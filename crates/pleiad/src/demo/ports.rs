//! Who is in the way: every port of the demo is tried before anything is started, and a taken one is said plainly,
//! with the process that has it where the system tells.

use super::plan::{Ground, NODES, Plan, wan_name};
use anyhow::{Result, bail};
use std::fmt::Write as _;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::path::Path;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Transport {
    Tcp,
    Udp,
}

struct Wanted {
    process: String,
    transport: Transport,
    address: SocketAddr,
}

/// Fails with every port that cannot be had. A namespace of its own has every port free.
pub(super) fn check(plan: &Plan) -> Result<()> {
    if plan.ground == Ground::Namespaces {
        return Ok(());
    }
    let mut taken = String::new();
    for Wanted { process, transport, address } in wanted(plan) {
        if let Err(fault) = try_to_bind(transport, address) {
            let (port, word) = (address.port(), if transport == Transport::Tcp { "TCP" } else { "UDP" });
            let by = holder(transport, address)
                .map_or_else(|| fault.to_string(), |who| format!("in use by {who}"));
            writeln!(taken, "  {word} port {port} on {}, needed by {process}: {by}", address.ip())?;
        }
    }
    if taken.is_empty() {
        return Ok(());
    }
    bail!(
        "the demo cannot start, nothing was started:\n{taken}  next: end what uses the port (for another demo: \
         `pleiad demo stop --dir ITS_FOLDER`), or choose another address with --bind, for example 127.0.0.2"
    )
}

fn wanted(plan: &Plan) -> Vec<Wanted> {
    let one = |process: &str, transport, address| Wanted { process: process.to_owned(), transport, address };
    let mut all = vec![one("manager", Transport::Tcp, plan.manager_address())];
    for member in plan.members() {
        all.push(one(member.name, Transport::Udp, plan.at(member, member.sip_port)));
        for port in [member.sip_port, member.sip_tls_port, member.web_port, member.link_port] {
            all.push(one(member.name, Transport::Tcp, plan.at(member, port)));
        }
    }
    for node in NODES {
        let Some((listen, _)) = plan.relay(node) else { continue };
        all.push(one(&wan_name(node), Transport::Tcp, listen));
        all.push(one(&wan_name(node), Transport::Udp, listen));
    }
    all
}

fn try_to_bind(transport: Transport, address: SocketAddr) -> io::Result<()> {
    match transport {
        Transport::Tcp => TcpListener::bind(address).map(drop),
        Transport::Udp => UdpSocket::bind(address).map(drop),
    }
}

/// `NAME (process ID)` of who has an address, as far as we may see it.
fn holder(transport: Transport, address: SocketAddr) -> Option<String> {
    let tables: &[&str] = match transport {
        Transport::Tcp => &["/proc/net/tcp", "/proc/net/tcp6"],
        Transport::Udp => &["/proc/net/udp", "/proc/net/udp6"],
    };
    let socket = tables.iter().find_map(|table| {
        let text = std::fs::read_to_string(table).ok()?;
        text.lines().skip(1).find_map(|row| inode_of(row, transport, address))
    })?;
    process_with(&format!("socket:[{socket}]"))
}

/// The inode of the socket that has `address`, or every address, when this row of the kernel's table is it.
fn inode_of(row: &str, transport: Transport, address: SocketAddr) -> Option<String> {
    const LISTENING: &str = "0A";
    let columns: Vec<&str> = row.split_whitespace().collect();
    let (local, port) = columns.get(1)?.rsplit_once(':')?;
    let ours = match address.ip() {
        // The kernel prints the four bytes as one number of this machine.
        IpAddr::V4(ip) => format!("{:08X}", u32::from_ne_bytes(ip.octets())),
        IpAddr::V6(_) => String::new(),
    };
    let everybody = local.bytes().all(|digit| digit == b'0');
    let in_the_way = everybody || local == ours || (address.is_ipv6() && local.len() > 8);
    let busy = transport == Transport::Udp || columns.get(3) == Some(&LISTENING);
    let fits = u16::from_str_radix(port, 16).ok()? == address.port() && in_the_way && busy;
    if fits { columns.get(9).map(|inode| (*inode).to_owned()) } else { None }
}

fn process_with(socket: &str) -> Option<String> {
    let processes = std::fs::read_dir("/proc").ok()?;
    processes.flatten().find_map(|process| {
        // Beside the numbers there is /proc/self, which would be no answer.
        process.file_name().to_str()?.parse::<u32>().ok()?;
        let files = std::fs::read_dir(process.path().join("fd")).ok()?;
        let has =
            |file: std::fs::DirEntry| std::fs::read_link(file.path()).is_ok_and(|to| to == Path::new(socket));
        if !files.flatten().any(has) {
            return None;
        }
        let name = std::fs::read_to_string(process.path().join("comm")).ok()?;
        Some(format!("{} (process {})", name.trim(), process.file_name().display()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_is_said_with_the_process_that_has_it_and_the_way_out() {
        // An address of this test process alone, so that it meets no other demo.
        let id = std::process::id();
        let address = format!("127.77.{}.{}", id / 250 % 250 + 1, id % 250 + 1);
        let plan = Plan::new(Ground::Loopback(address.parse().unwrap()), "pleiad.test");
        check(&plan).unwrap();
        let _in_the_way = TcpListener::bind((address.as_str(), 7502)).unwrap();
        let said = check(&plan).unwrap_err().to_string();
        assert!(said.contains("TCP port 7502") && said.contains("node-1"), "{said}");
        assert!(said.contains(&format!("process {id}")), "{said}");
        assert!(said.contains("next:"), "{said}");
    }
}
