//! Hostile peers: each does one thing no phone would do, as long as it is let, to a server that runs. They judge nothing; whoever
//! lays the siege looks whether the server still serves.
//!
//! | file | peers |
//! | --- | --- |
//! | `datagrams` | malformed, oversize, flooding over UDP |
//! | `streams` | slow, silent, deaf, connecting and leaving, endless, half-shaken over TCP and TLS |
//! | `forged` | those that bear another's address: spoofed floods, hang-ups, registrations, media |
//!
//! They stay on the loopback, and they are paced: what is tested is what a server does with so much, and not which of two
//! processes gets the processor of a busy machine.

pub mod datagrams;
pub mod forged;
pub mod streams;

use anyhow::Context;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::time::{Duration, Instant};

/// Acts of a paced peer between two looks at the clock.
const VOLLEY: u32 = 20;

/// Whom they attack.
#[derive(Debug)]
pub struct Field {
    /// Where it speaks UDP and TCP.
    pub sip: SocketAddr,
    /// Where it speaks TLS.
    pub tls: SocketAddr,
    /// From where phones of its have registered.
    pub phones: Vec<SocketAddr>,
    /// Numbers of such phones.
    pub numbers: Vec<String>,
    /// Ports of its media.
    pub media: std::ops::Range<u16>,
    /// Where the hostile peers are; the first one of them.
    pub from: IpAddr,
    tickets: AtomicU16,
    over: AtomicBool,
}

/// What a hostile peer does until the siege is over. Says how often it did it.
pub type Attack = fn(&Field) -> anyhow::Result<u64>;

impl Field {
    /// A server under attack, with nothing known of its phones.
    #[must_use]
    pub fn new(sip: SocketAddr, tls: SocketAddr, from: IpAddr) -> Field {
        Field {
            sip,
            tls,
            phones: Vec::new(),
            numbers: Vec::new(),
            media: 0..0,
            from,
            tickets: AtomicU16::new(0),
            over: AtomicBool::new(false),
        }
    }

    /// True when a peer is to stop.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// A number nobody else has, for Call-IDs and branches.
    fn ticket(&self) -> u16 {
        self.tickets.fetch_add(1, Ordering::Relaxed)
    }

    /// Lets the peers attack while `defend` is at work; what it says, and how much each of them did.
    ///
    /// # Errors
    /// What `defend` says, or a peer that could do nothing: a siege that was none proves nothing.
    pub fn besieged<T>(
        &self,
        attacks: &[Attack],
        defend: impl FnOnce() -> anyhow::Result<T>,
    ) -> anyhow::Result<(T, Vec<u64>)> {
        self.over.store(false, Ordering::Relaxed);
        std::thread::scope(|scope| {
            let peers: Vec<_> = attacks.iter().map(|attack| scope.spawn(|| attack(self))).collect();
            let defended = defend();
            self.over.store(true, Ordering::Relaxed);
            let mut acts = Vec::new();
            for peer in peers {
                let did = peer.join().map_err(|_| anyhow::anyhow!("a hostile peer panicked"))?;
                acts.push(did.context("a hostile peer could not attack")?);
            }
            anyhow::ensure!(acts.iter().all(|acts| *acts > 0), "a hostile peer did nothing: {acts:?}");
            Ok((defended?, acts))
        })
    }

    /// Does `act` so many times a second until the siege is over; says how often.
    fn paced(&self, per_second: u32, mut act: impl FnMut(u64) -> anyhow::Result<()>) -> anyhow::Result<u64> {
        let (begun, mut acts) = (Instant::now(), 0_u64);
        while !self.is_over() {
            for _ in 0..VOLLEY {
                act(acts)?;
                acts += 1;
            }
            let due = Duration::from_secs_f64(f64::from(u32::try_from(acts)?) / f64::from(per_second));
            std::thread::sleep(due.saturating_sub(begun.elapsed()));
        }
        Ok(acts)
    }
}

/// A request as a stranger writes it, to the last blank line. `from` is what it says of itself.
fn request(method: &str, to: &str, from: SocketAddr, transport: &str, name: &str) -> String {
    let contact = match method {
        "INVITE" | "SUBSCRIBE" | "REGISTER" => format!("Contact: <sip:x@{from}>\r\n"),
        _ => String::new(),
    };
    format!(
        "{method} sip:{to} SIP/2.0\r\nVia: SIP/2.0/{transport} {from};branch=z9hG4bK{name};rport\r\nMax-Forwards: 70\r\n\
         From: <sip:2001@{to}>;tag=f{name}\r\nTo: <sip:{to}>\r\nCall-ID: {name}\r\nCSeq: 1 {method}\r\n{contact}\
         User-Agent: a stranger\r\nContent-Length: 0\r\n\r\n"
    )
}

/// The address `steps` after this one.
fn beside(address: IpAddr, steps: u32) -> IpAddr {
    match address {
        IpAddr::V4(address) => std::net::Ipv4Addr::from_bits(address.to_bits().wrapping_add(steps)).into(),
        IpAddr::V6(address) => {
            std::net::Ipv6Addr::from_bits(address.to_bits().wrapping_add(u128::from(steps))).into()
        }
    }
}
