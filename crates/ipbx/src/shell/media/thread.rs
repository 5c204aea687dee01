//! One relay thread: it owns its streams and their sockets, and is the only one that touches them.

use super::socket::{Doors, Token, Way};
use super::{Beginning, Listener, SteadyClock};
use media::datagram::Datagram;
use media::relay::{Channel, Order, Relay, Report, Spec, Standing, StreamId, Verdict};
use rustix::event::{Timespec, epoll};
use std::collections::BTreeMap;
use std::io;
use std::mem::MaybeUninit;
use std::net::UdpSocket;
use std::os::fd::OwnedFd;
use std::sync::{Arc, mpsc};
use std::time::Duration;

/// Bytes of a datagram we take; RTP stays below the Ethernet's 1,500. A longer one comes shortened and proves nothing.
const DATAGRAM_BYTES_MAX: usize = 2_048;
/// Sockets one look may find.
const LOOK_MAX: usize = 512;
/// How often silence is looked for, and load measured.
const ROUND: Duration = Duration::from_secs(1);
/// Packets a second from which on looks are spaced: below it each packet goes on at once.
const BUSY: u64 = 5_000;
/// The space between two looks under load. It is the delay that batching costs at most.
const SPACE: Duration = Duration::from_micros(700);
/// The token of the bell.
const BELL: u64 = u64::MAX;

/// What the thread is told.
#[expect(clippy::large_enum_variant, reason = "orders come once a call, and nearly all are orders")]
pub(super) enum Told {
    Order(Order),
    /// Stop, and say where everything stands.
    Freeze(mpsc::Sender<BTreeMap<StreamId, Relay>>),
}

/// See the module.
pub(super) struct Relaying {
    clock: SteadyClock,
    silence: Duration,
    listener: Listener,
    told: mpsc::Receiver<Told>,
    bell: Arc<OwnedFd>,
    epoll: OwnedFd,
    /// Streams of the process before that have not been opened again yet.
    kept: BTreeMap<StreamId, Relay>,
    streams: Vec<Option<Stream>>,
    places: BTreeMap<StreamId, usize>,
    next_round: Duration,
    taken: u64,
    spaced: bool,
}

struct Stream {
    id: StreamId,
    relay: Relay,
    doors: Doors,
    silent: bool,
}

impl Relaying {
    pub(super) fn new(
        beginning: &Beginning,
        told: mpsc::Receiver<Told>,
        bell: Arc<OwnedFd>,
        kept: BTreeMap<StreamId, Relay>,
    ) -> io::Result<Relaying> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, &bell, epoll::EventData::new_u64(BELL), epoll::EventFlags::IN)?;
        Ok(Relaying {
            clock: beginning.clock,
            silence: beginning.silence,
            listener: Arc::clone(&beginning.listener),
            told,
            bell,
            epoll,
            kept,
            streams: Vec::new(),
            places: BTreeMap::new(),
            next_round: beginning.clock.now() + ROUND,
            taken: 0,
            spaced: false,
        })
    }

    /// Works until it is frozen, or nobody is left to order.
    pub(super) fn run(mut self) {
        let mut found = [const { MaybeUninit::uninit() }; LOOK_MAX];
        let mut buffer = [0u8; DATAGRAM_BYTES_MAX];
        loop {
            let patience = Timespec { tv_sec: 1, tv_nsec: 0 };
            let (events, _) = match epoll::wait(&self.epoll, &mut found, Some(&patience)) {
                Ok(events) => events,
                Err(rustix::io::Errno::INTR) => continue,
                Err(fault) => return tracing::error!(%fault, "media cannot be waited for"),
            };
            let now = self.clock.now();
            let mut rung = false;
            for event in events.iter() {
                match event.data.u64() {
                    BELL => rung = true,
                    token => self.carry(now, token, &mut buffer),
                }
            }
            let packets = events.len();
            let round = now >= self.next_round;
            if (rung || round) && !self.listen(now) {
                return;
            }
            if round {
                self.round(now);
            }
            if self.spaced && packets < LOOK_MAX {
                std::thread::sleep(SPACE);
            }
        }
    }

    /// Takes one packet and sends it on. What else is there is found at the next look.
    fn carry(&mut self, now: Duration, token: u64, buffer: &mut [u8]) {
        let Some(token) = Token::of(token) else { return };
        let Some(Some(stream)) = self.streams.get_mut(token.place) else { return };
        let Some((at, door, opposite)) = stream.doors.pair(token.door) else { return };
        let Some((length, from)) = door.hear(token.way, buffer) else { return };
        self.taken += 1;
        let mut packet = Datagram::new(buffer, length);
        let Verdict::Forward(to) = stream.relay.handle(now, at, from, &mut packet) else { return };
        opposite.say(packet.bytes(), to);
        if token.way == Way::Open && at.1 == Channel::Rtp {
            door.connect(from, |socket| wait_for(&self.epoll, socket, Token { way: Way::Direct, ..token }));
        }
    }

    /// Hears what it is told. False when it is to end.
    fn listen(&mut self, now: Duration) -> bool {
        let mut rings = [0u8; 8];
        let _rung = rustix::io::read(&self.bell, &mut rings);
        loop {
            match self.told.try_recv() {
                Ok(Told::Order(Order::Open(id, spec, standing))) => self.open(now, id, spec, standing),
                Ok(Told::Order(Order::Alter(id, spec))) => self.alter(id, spec),
                Ok(Told::Order(Order::Close(id))) => self.close(id),
                Ok(Told::Freeze(reply)) => {
                    let streams = std::mem::take(&mut self.streams).into_iter().flatten();
                    let _gone = reply.send(streams.map(|stream| (stream.id, stream.relay)).collect());
                    return false;
                }
                Err(mpsc::TryRecvError::Empty) => return true,
                Err(mpsc::TryRecvError::Disconnected) => return false,
            }
        }
    }

    fn open(&mut self, now: Duration, id: StreamId, spec: Spec, standing: Option<Box<Standing>>) {
        if let Err(fault) = self.try_open(now, id, spec, standing) {
            tracing::error!(%fault, "a media port cannot be opened");
            (self.listener)(Report::Failed(id));
        }
    }

    fn try_open(
        &mut self,
        now: Duration,
        id: StreamId,
        spec: Spec,
        standing: Option<Box<Standing>>,
    ) -> io::Result<()> {
        let doors = Doors::open(&spec)?;
        let place = self.streams.iter().position(Option::is_none).unwrap_or(self.streams.len());
        for (door, socket) in doors.all() {
            wait_for(&self.epoll, socket, Token { place, door, way: Way::Open })?;
        }
        let mut relay = match (self.kept.remove(&id), standing) {
            (Some(mut relay), _) => {
                relay.alter(spec);
                relay.resumed(now);
                relay
            }
            (None, Some(standing)) => Relay::going_on(now, spec, &standing),
            (None, None) => Relay::new(now, spec),
        };
        tell_standing(&self.listener, id, &mut relay);
        if place == self.streams.len() {
            self.streams.push(None);
        }
        if let Some(free) = self.streams.get_mut(place) {
            *free = Some(Stream { id, relay, doors, silent: false });
            self.places.insert(id, place);
        }
        Ok(())
    }

    fn alter(&mut self, id: StreamId, spec: Spec) {
        let place = self.places.get(&id).and_then(|place| self.streams.get_mut(*place));
        if let Some(Some(stream)) = place {
            stream.relay.alter(spec);
        }
    }

    fn close(&mut self, id: StreamId) {
        // The sockets leave the epoll set when they are closed.
        let stream =
            self.places.remove(&id).and_then(|place| self.streams.get_mut(place)).and_then(Option::take);
        let (caller, called) = stream.map(|stream| stream.relay.traffic()).unwrap_or_default();
        (self.listener)(Report::Closed(id, caller, called));
    }

    /// Once a second: who has fallen silent, whose key streams have gone far, and is there so much to do that looks are spaced.
    fn round(&mut self, now: Duration) {
        for stream in self.streams.iter_mut().flatten() {
            let silent = stream.relay.silence(now) >= self.silence;
            if silent != stream.silent {
                stream.silent = silent;
                let report = if silent { Report::Silent } else { Report::Heard };
                (self.listener)(report(stream.id));
            }
            tell_standing(&self.listener, stream.id, &mut stream.relay);
        }
        self.spaced = std::mem::take(&mut self.taken) > BUSY;
        self.next_round = now + ROUND;
    }
}

fn tell_standing(listener: &Listener, id: StreamId, relay: &mut Relay) {
    if let Some(standing) = relay.stands() {
        listener(Report::Stands(id, Box::new(standing)));
    }
}

fn wait_for(epoll: &OwnedFd, socket: &UdpSocket, token: Token) -> io::Result<()> {
    let data = epoll::EventData::new_u64(token.packed());
    Ok(epoll::add(epoll, socket, data, epoll::EventFlags::IN)?)
}
