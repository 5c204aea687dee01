//! Packets as they were on the wire: a tcpdump that runs during a test, and what its file says.

use super::process::Process;
use super::star::inside;
use super::wav;
use anyhow::{Context, bail};
use media::g711::Law;
use media::rtp;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A running capture.
pub struct Capture {
    process: Process,
    file: PathBuf,
}

/// One UDP packet.
#[derive(Debug, Clone)]
pub struct Packet {
    /// Since the Unix epoch.
    pub at: Duration,
    /// Who sent it.
    pub from: SocketAddrV4,
    /// To whom.
    pub to: SocketAddrV4,
    /// What it carried.
    pub payload: Vec<u8>,
}

impl Capture {
    /// Captures `filter` on `interface`, in a namespace or on the machine itself, until [`stop`](Capture::stop).
    ///
    /// # Errors
    /// When tcpdump is missing or may not listen.
    pub fn start(
        namespace: Option<&str>,
        interface: &str,
        filter: &str,
        file: &Path,
    ) -> anyhow::Result<Capture> {
        let mut command = inside(namespace, "tcpdump");
        command.args(["-i", interface, "-U", "-n", "-B", "16384", "-w"]).arg(file).arg(filter);
        let mut process = Process::start("tcpdump", &mut command, &file.with_extension("log"))?;
        process.wait_output(&["listening on"], 0, Duration::from_secs(10))?;
        Ok(Capture { process, file: file.to_owned() })
    }

    /// Ends the capture and reads what it holds.
    ///
    /// # Errors
    /// When the file is no capture.
    pub fn stop(mut self) -> anyhow::Result<Vec<Packet>> {
        self.process.signal(nix::sys::signal::Signal::SIGINT)?;
        self.process.wait(Duration::from_secs(10))?;
        read(&self.file)
    }
}

/// The UDP packets of a pcap file (micro- or nanoseconds, Ethernet or cooked).
///
/// # Errors
/// When it is no such file.
pub fn read(file: &Path) -> anyhow::Result<Vec<Packet>> {
    let bytes = std::fs::read(file).with_context(|| file.display().to_string())?;
    let unit: u64 = match word(&bytes, 0) {
        Some(0xa1b2_c3d4) => 1_000,
        Some(0xa1b2_3c4d) => 1,
        _ => bail!("{} is no pcap file", file.display()),
    };
    let link_bytes = match word(&bytes, 20) {
        Some(1) => 14,
        Some(113) => 16,
        Some(276) => 20,
        other => bail!("unknown link type {other:?}"),
    };
    let mut packets = Vec::new();
    let mut at = 24;
    while let (Some(seconds), Some(part), Some(length)) =
        (word(&bytes, at), word(&bytes, at + 4), word(&bytes, at + 8))
    {
        let length = usize::try_from(length)?;
        let Some(frame) = bytes.get(at + 16..at + 16 + length) else { break };
        let time = Duration::from_secs(u64::from(seconds)) + Duration::from_nanos(u64::from(part) * unit);
        packets.extend(frame.get(link_bytes..).and_then(|ip| udp(time, ip)));
        at += 16 + length;
    }
    Ok(packets)
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn udp(at: Duration, ip: &[u8]) -> Option<Packet> {
    let header = usize::from(ip.first()? & 0x0f) * 4;
    if ip.first()? >> 4 != 4 || *ip.get(9)? != 17 {
        return None;
    }
    let address = |from: usize| Some(Ipv4Addr::from(<[u8; 4]>::try_from(ip.get(from..from + 4)?).ok()?));
    let port = |from: usize| Some(u16::from_be_bytes(ip.get(from..from + 2)?.try_into().ok()?));
    Some(Packet {
        at,
        from: SocketAddrV4::new(address(12)?, port(header)?),
        to: SocketAddrV4::new(address(16)?, port(header + 2)?),
        payload: ip.get(header + 8..)?.to_vec(),
    })
}

/// The longest time without a packet of each RTP stream (from, to) between `from` and `until`, edges included.
#[must_use]
pub fn longest_gaps(
    packets: &[Packet],
    from: Duration,
    until: Duration,
) -> BTreeMap<(SocketAddrV4, SocketAddrV4), Duration> {
    let mut last = BTreeMap::new();
    let mut gaps: BTreeMap<_, Duration> = BTreeMap::new();
    for packet in packets.iter().filter(|packet| is_rtp(packet) && packet.at >= from && packet.at <= until) {
        let stream = (packet.from, packet.to);
        let since = last.insert(stream, packet.at).unwrap_or(from);
        let gap = gaps.entry(stream).or_default();
        *gap = (*gap).max(packet.at.saturating_sub(since));
    }
    for (stream, at) in last {
        let gap = gaps.entry(stream).or_default();
        *gap = (*gap).max(until.saturating_sub(at));
    }
    gaps
}

/// Seconds of G.711 A-law in the capture in which a tone of `hz` holds at least 80 % of the energy.
///
/// # Errors
/// When there is more than can be counted.
pub fn rtp_tone_s(packets: &[Packet], hz: u32) -> anyhow::Result<f64> {
    let sound = audio(packets);
    let bytes = sound.values().flat_map(|packet| packet.payload.iter().copied());
    let samples: Vec<f64> = bytes.map(|byte| f64::from(Law::A.decode(byte))).collect();
    wav::tone_s(&samples, hz)
}

/// Seconds of audio in the capture, whatever it is.
#[must_use]
pub fn rtp_s(packets: &[Packet]) -> f64 {
    audio(packets).values().map(|_| PACKET_S).sum()
}

/// One packet of sound, in seconds.
const PACKET_S: f64 = 0.02;

/// The packets of sound in their order: a capture on every interface sees those of the machine itself twice.
fn audio(packets: &[Packet]) -> BTreeMap<(u32, u16), rtp::Packet<'_>> {
    let parsed = packets.iter().filter(|packet| is_rtp(packet));
    let parsed = parsed.filter_map(|packet| rtp::Packet::parse(&packet.payload).ok());
    parsed.map(|packet| ((packet.header.ssrc, packet.header.sequence), packet)).collect()
}

/// Version 2 and an audio payload type: good enough to tell RTP from RTCP and SIP (RFC 3550 § 5.1, RFC 5761).
fn is_rtp(packet: &Packet) -> bool {
    let (first, second) =
        (packet.payload.first().copied().unwrap_or(0), packet.payload.get(1).copied().unwrap_or(0));
    first >> 6 == 2 && packet.payload.len() >= 12 && !(200..=207).contains(&second)
}
