//! Phones on UDP, all behind one socket.

use crate::phone::{Answer, Registration};
use anyhow::{Context, Result};
use ipbx::shell::phones::port::{Arrivals, Port};
use serde_json::{Value, json};
use sip::Message;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// After this long a request is repeated, as Timer E would.
const REPEAT: Duration = Duration::from_millis(500);
/// Nothing takes longer.
const GIVE_UP: Duration = Duration::from_secs(300);

/// The phones.
struct Phones {
    port: Port,
    own: SocketAddr,
    server: SocketAddr,
    arrivals: Arrivals,
    /// What waits for an answer, by phone: the registration, its request, when it is repeated.
    open: BTreeMap<usize, (Registration, String, Instant)>,
    repeats: BTreeSet<(Instant, usize)>,
    /// To be sent.
    sends: Vec<usize>,
    proves: bool,
    done: usize,
    repeated: usize,
    deferred: usize,
    refused: BTreeMap<u16, usize>,
    /// To begin at that time.
    later: BTreeSet<(Instant, usize)>,
    begun: BTreeMap<usize, Instant>,
    longest: Duration,
}

impl Phones {
    fn new(server: SocketAddr, proves: bool) -> Result<Phones> {
        let probe = UdpSocket::bind("127.0.0.1:0").context("no socket")?;
        probe.connect(server).context("no way to the server")?;
        let own = probe.local_addr().context("no address")?;
        drop(probe);
        let port = Port::open(own, false).context("no port")?;
        Ok(Phones {
            port,
            own,
            server,
            arrivals: Arrivals::new(),
            open: BTreeMap::new(),
            repeats: BTreeSet::new(),
            sends: Vec::new(),
            proves,
            done: 0,
            repeated: 0,
            deferred: 0,
            refused: BTreeMap::new(),
            later: BTreeSet::new(),
            begun: BTreeMap::new(),
            longest: Duration::ZERO,
        })
    }

    fn begin(&mut self, registration: Registration, now: Instant) {
        self.begun.entry(registration.phone).or_insert(now);
        let request = registration.request("UDP", self.own, "");
        self.ask(registration, request, now);
    }

    fn ask(&mut self, registration: Registration, request: String, now: Instant) {
        let phone = registration.phone;
        if let Some((_, _, at)) = self.open.insert(phone, (registration, request, now + REPEAT)) {
            self.repeats.remove(&(at, phone));
        }
        self.repeats.insert((now + REPEAT, phone));
        self.sends.push(phone);
    }

    fn flush(&mut self) {
        let requests: Vec<(SocketAddr, &[u8])> = self
            .sends
            .iter()
            .filter_map(|phone| Some((self.server, self.open.get(phone)?.1.as_bytes())))
            .collect();
        self.port.send(&requests);
        self.sends.clear();
    }

    /// Takes what came, and says which registrations are over.
    fn hear(&mut self, now: Instant, over: &mut Vec<Registration>) {
        while self.port.receive(&mut self.arrivals) > 0 {
            let answers: Vec<Message> =
                self.arrivals.iter().filter_map(|(_, bytes)| Message::parse(bytes).ok()).collect();
            for answer in answers {
                let Some(registration) = Registration::of(&answer) else { continue };
                let waits = self.open.get(&registration.phone);
                // An answer to an earlier request of this phone says nothing new.
                if !waits.is_some_and(|(_, request, _)| {
                    request.contains(&format!("branch={}\r\n", answer.via().branch().unwrap_or_default()))
                }) {
                    continue;
                }
                let heard = registration.hears(&answer, "UDP", self.own);
                match heard {
                    Answer::Prove(request) if self.proves => self.ask(registration, request, now),
                    Answer::Prove(_) | Answer::Registered => {
                        self.close(registration.phone);
                        self.done += 1;
                        if let Some(begun) = self.begun.remove(&registration.phone) {
                            self.longest = self.longest.max(now - begun);
                        }
                        over.push(registration);
                    }
                    Answer::Later(seconds) => {
                        self.close(registration.phone);
                        self.deferred += 1;
                        self.later.insert((now + Duration::from_secs(seconds), registration.phone));
                    }
                    Answer::Refused(status) => {
                        self.close(registration.phone);
                        *self.refused.entry(status).or_default() += 1;
                        over.push(registration);
                    }
                }
            }
        }
    }

    fn close(&mut self, phone: usize) {
        if let Some((_, _, at)) = self.open.remove(&phone) {
            self.repeats.remove(&(at, phone));
        }
    }

    fn repeat(&mut self, now: Instant) {
        while let Some((at, phone)) = self.repeats.first().copied()
            && at <= now
        {
            self.repeats.remove(&(at, phone));
            if let Some((_, _, next)) = self.open.get_mut(&phone) {
                *next = now + REPEAT;
                self.repeats.insert((now + REPEAT, phone));
                self.repeated += 1;
                self.sends.push(phone);
            }
        }
    }

    fn figures(&self, begun: Instant) -> Value {
        json!({
            "done": self.done, "repeated": self.repeated, "deferred": self.deferred, "refused": self.refused,
            "seconds": begun.elapsed().as_secs_f64(), "longest_s": self.longest.as_secs_f64(),
        })
    }
}

/// `count` phones register `rounds` times, `window` at a time. Who does not prove itself is done with the challenge.
pub(crate) fn register(
    server: SocketAddr,
    count: usize,
    rounds: usize,
    window: usize,
    proves: bool,
) -> Result<Value> {
    let mut phones = Phones::new(server, proves)?;
    let begun = Instant::now();
    let all = (0..rounds).flat_map(|round| (0..count).map(move |phone| Registration { phone, round }));
    let mut all = all.peekable();
    let mut over = Vec::new();
    while begun.elapsed() < GIVE_UP {
        let now = Instant::now();
        while phones.open.len() < window && all.peek().is_some() {
            if let Some(next) = all.next() {
                phones.begin(next, now);
            }
        }
        phones.flush();
        phones.hear(now, &mut over);
        over.clear();
        phones.repeat(now);
        if phones.open.is_empty() && all.peek().is_none() && phones.sends.is_empty() {
            break;
        }
    }
    Ok(phones.figures(begun))
}

/// `count` phones come within `seconds`, and each tries until it is in.
pub(crate) fn come_back(server: SocketAddr, count: usize, seconds: u64) -> Result<Value> {
    let mut phones = Phones::new(server, true)?;
    let begun = Instant::now();
    let each = Duration::from_secs(seconds) / u32::try_from(count.max(1)).unwrap_or(u32::MAX);
    let mut at = begun;
    for phone in 0..count {
        phones.later.insert((at, phone));
        at += each;
    }
    let mut over = Vec::new();
    while (phones.done < count) && begun.elapsed() < GIVE_UP {
        let now = Instant::now();
        while let Some((at, phone)) = phones.later.first().copied()
            && at <= now
        {
            phones.later.remove(&(at, phone));
            phones.begin(Registration { phone, round: 0 }, now);
            if phones.sends.len() >= 64 {
                phones.flush();
            }
        }
        phones.flush();
        phones.hear(now, &mut over);
        over.clear();
        phones.repeat(now);
        if phones.open.is_empty() {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    Ok(phones.figures(begun))
}
