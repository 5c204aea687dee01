//! Many phones at once: G.711, 50 packets a second from each leg, every packet marked with its leg, number and time. So
//! loss, order, delay and what comes out at the wrong leg are counted packet by packet.

use anyhow::{Context, Result};
use media::datagram::Datagram;
use media::rtp::{Header, Packet};
use media::srtp::{Context as Srtp, Suite};
use rustix::event::{Timespec, epoll};
use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

/// A tick is 20 ms; the legs are spread over it in slots of a millisecond.
const SLOTS: usize = 20;
const SLOT: Duration = Duration::from_millis(1);
/// Later than this is as good as lost.
const LATE: Duration = Duration::from_millis(60);
/// After the last packet.
const PATIENCE: Duration = Duration::from_millis(300);
const PAYLOAD_BYTES: usize = 160;
const MAGIC: u32 = 0x504c_4541;

struct Leg {
    socket: UdpSocket,
    sequence: u16,
    last: u32,
    seal: Option<Srtp>,
    unseal: Option<Srtp>,
}

struct Load {
    legs: Vec<Leg>,
    epoll: OwnedFd,
    started: Instant,
    sent: u64,
    misrouted: u64,
    reordered: u64,
    broken: u64,
    delays_us: Vec<u32>,
}

pub(super) fn run(file: &str, legs: usize, seconds: usize, srtp: bool) -> Result<()> {
    let mut load = Load::new(file, legs, srtp)?;
    let mut behind = Duration::ZERO;
    for tick in 0..u32::try_from(seconds * 50)? {
        for slot in 0..SLOTS {
            let due = SLOT * (tick * 20 + u32::try_from(slot)?);
            // It never sleeps: to be woken would be work of the relay, which a real network card spares it.
            while load.started.elapsed() < due {
                load.hear()?;
            }
            behind = behind.max(load.started.elapsed().saturating_sub(due));
            for leg in load.legs.len() * slot / SLOTS..load.legs.len() * (slot + 1) / SLOTS {
                load.say(leg, tick)?;
                if leg % 32 == 31 {
                    load.hear()?;
                }
            }
        }
    }
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        load.hear()?;
    }
    load.report(behind);
    Ok(())
}

impl Load {
    fn new(file: &str, count: usize, srtp: bool) -> Result<Load> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let text = std::fs::read_to_string(file)?;
        let mut legs = Vec::new();
        for line in text.lines().take(count) {
            let mut ports = line.split(' ').map(str::parse::<u16>);
            let (local, remote) = (ports.next().context("no port")??, ports.next().context("no port")??);
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, local))?;
            socket.connect((Ipv4Addr::LOCALHOST, remote))?;
            socket.set_nonblocking(true)?;
            let token = epoll::EventData::new_u64(u64::try_from(legs.len())?);
            epoll::add(&epoll, &socket, token, epoll::EventFlags::IN)?;
            let (relays, phones) = super::keys();
            let sealed = srtp && legs.len() % 2 == 1;
            let context = |key| sealed.then(|| Srtp::new(Suite::AesCm128HmacSha1_80, key));
            legs.push(Leg { socket, sequence: 0, last: 0, seal: context(phones), unseal: context(relays) });
        }
        let started = Instant::now();
        Ok(Load {
            legs,
            epoll,
            started,
            sent: 0,
            misrouted: 0,
            reordered: 0,
            broken: 0,
            delays_us: Vec::new(),
        })
    }

    fn say(&mut self, number: usize, tick: u32) -> Result<()> {
        let mut payload = [0xd5; PAYLOAD_BYTES];
        let at = u64::try_from(self.started.elapsed().as_micros())?.to_be_bytes();
        let words = [MAGIC.to_be_bytes(), u32::try_from(number)?.to_be_bytes(), tick.to_be_bytes()];
        for (byte, value) in payload.iter_mut().zip(words.into_iter().flatten().chain(at)) {
            *byte = value;
        }
        let Some(leg) = self.legs.get_mut(number) else { return Ok(()) };
        leg.sequence = leg.sequence.wrapping_add(1);
        let ssrc = 1_000 + u32::try_from(number)?;
        let timestamp = tick.wrapping_mul(160);
        let header = Header { marker: false, payload_type: 8, sequence: leg.sequence, timestamp, ssrc };
        let mut bytes = header.packet(&payload);
        let length = bytes.len();
        if let Some(seal) = &mut leg.seal {
            bytes.resize(length + media::srtp::GROWTH_BYTES_MAX, 0);
            let mut packet = Datagram::new(&mut bytes, length);
            seal.protect_rtp(&mut packet)?;
            let sealed = packet.bytes().len();
            bytes.truncate(sealed);
        }
        if leg.socket.send(&bytes).is_ok() {
            self.sent += 1;
        }
        Ok(())
    }

    /// Takes what is there.
    fn hear(&mut self) -> Result<()> {
        let mut found = [const { MaybeUninit::uninit() }; 256];
        let (events, _) = epoll::wait(&self.epoll, &mut found, Some(&Timespec::default()))?;
        let mut buffer = [0; 2_048];
        for event in events.iter() {
            let number = usize::try_from(event.data.u64())?;
            let Some(leg) = self.legs.get_mut(number) else { continue };
            while let Ok(length) = leg.socket.recv(&mut buffer) {
                let now = self.started.elapsed();
                let mut packet = Datagram::new(&mut buffer, length);
                if leg.unseal.as_mut().is_some_and(|unseal| unseal.unprotect_rtp(&mut packet).is_err()) {
                    self.broken += 1;
                    continue;
                }
                let Some((from, tick, at)) = mark(packet.bytes()) else { continue };
                if from != number ^ 1 {
                    self.misrouted += 1;
                    continue;
                }
                self.reordered += u64::from(tick < leg.last);
                leg.last = leg.last.max(tick);
                let delay = u32::try_from(now.saturating_sub(at).as_micros()).unwrap_or(u32::MAX);
                self.delays_us.push(delay);
            }
        }
        Ok(())
    }

    fn report(mut self, behind: Duration) {
        self.delays_us.sort_unstable();
        let delays = &self.delays_us;
        let received = delays.len();
        let late = delays.iter().filter(|delay| Duration::from_micros(u64::from(**delay)) > LATE).count();
        let share = |hundredths: usize| delays.get(received * hundredths / 100).copied().unwrap_or_default();
        println!(
            "legs={} sent={} received={received} misrouted={} broken={} late={late} reordered={} delay_p50_us={} \
             delay_p99_us={} delay_max_us={} behind_us={}",
            self.legs.len(),
            self.sent,
            self.misrouted,
            self.broken,
            self.reordered,
            share(50),
            share(99),
            delays.last().copied().unwrap_or_default(),
            behind.as_micros()
        );
    }
}

/// The leg, number and time in a packet of ours.
fn mark(bytes: &[u8]) -> Option<(usize, u32, Duration)> {
    let payload = Packet::parse(bytes).ok()?.payload;
    let (words, rest) = payload.split_first_chunk::<12>()?;
    let word = |at: usize| Some(u32::from_be_bytes(words.get(at..at + 4)?.try_into().ok()?));
    let at = u64::from_be_bytes(*rest.first_chunk::<8>()?);
    let leg = usize::try_from(word(4)?).ok()?;
    (word(0)? == MAGIC).then_some((leg, word(8)?, Duration::from_micros(at)))
}
