//! Who may have a connection: the table of phones' connections, its limits, and who goes when it is full.
//!
//! | standing | what it has shown | when there is no room |
//! | --- | --- | --- |
//! | shaking | it opened a TLS connection | the first to go among those of its source |
//! | unproven | nothing, or messages that led to no registration | the idlest goes |
//! | proven | a registration with the right digest came over it | it stays; the newcomer is refused |
//!
//! So a flood of connections pushes out itself, never a registered phone. To take a connection out of the table is
//! to end it: its task waits on the other end of `queue`.

use super::flood::network_of;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use tokio::sync::mpsc;

/// Connections of phones at a time, TCP and TLS together.
pub(super) const CONNECTIONS_MAX: usize = 100_000;
/// Connections of one source that have not proven anything yet; registered phones do not count.
pub(super) const UNPROVEN_PER_SOURCE_MAX: usize = 500;
/// TLS handshakes of one source at a time.
pub(super) const HANDSHAKES_PER_SOURCE_MAX: usize = 256;
/// Unproven connections that may be open at a time.
pub(super) const UNPROVEN_MAX: usize = 10_000;
/// Messages that may wait for a phone that is slow to read.
pub(super) const QUEUE_MESSAGES_MAX: usize = 64;
/// Bytes that may wait for a phone that is slow to read.
pub(super) const QUEUE_BYTES_MAX: usize = 256 * 1024;
/// The same for a peer that has proven nothing.
const UNPROVEN_QUEUE_BYTES_MAX: usize = 32 * 1024;
/// Connections looked at to find the idlest one.
const LOOKED_AT: usize = 64;

/// What a connection has shown so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Its TLS handshake is not over.
    Shaking,
    /// It may be anybody's.
    Unproven,
    /// A phone registered over it.
    Proven,
}

/// What the table and the connection's own task share.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    /// When something was last received, in milliseconds of the steady clock.
    heard_ms: AtomicU64,
    /// Bytes in the queue.
    queued: AtomicUsize,
}

impl Pulse {
    pub(super) fn heard(&self, now_ms: u64) {
        self.heard_ms.store(now_ms, Ordering::Relaxed);
    }

    /// The task took a message out of its queue.
    pub(super) fn taken(&self, bytes: usize) {
        self.queued.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// One connection, as others see it.
#[derive(Debug)]
struct Place {
    remote: SocketAddr,
    standing: Standing,
    queue: mpsc::Sender<Vec<u8>>,
    pulse: Arc<Pulse>,
}

/// The connections of one source.
#[derive(Debug, Default)]
struct Source {
    shaking: BTreeSet<u64>,
    unproven: BTreeSet<u64>,
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sent {
    /// It is in the connection's queue.
    Queued,
    /// There is no such connection.
    Gone,
    /// The peer does not read: the connection was ended.
    Deaf(SocketAddr),
}

/// The table.
#[derive(Debug, Default)]
pub(super) struct Places {
    open: BTreeMap<u64, Place>,
    sources: BTreeMap<IpAddr, Source>,
    /// All that are not proven, the oldest first.
    unproven: BTreeSet<u64>,
    evicted: u64,
}

impl Places {
    /// Gives a new connection its place. `None` when it is refused.
    pub(super) fn enter(
        &mut self,
        number: u64,
        remote: SocketAddr,
        standing: Standing,
        queue: mpsc::Sender<Vec<u8>>,
    ) -> Option<Arc<Pulse>> {
        self.make_room(network_of(remote.ip()), standing)?;
        let pulse = Arc::new(Pulse::default());
        self.open.insert(number, Place { remote, standing, queue, pulse: Arc::clone(&pulse) });
        self.unproven.insert(number);
        let source = self.sources.entry(network_of(remote.ip())).or_default();
        match standing {
            Standing::Shaking => source.shaking.insert(number),
            Standing::Unproven | Standing::Proven => source.unproven.insert(number),
        };
        Some(pulse)
    }

    fn make_room(&mut self, source: IpAddr, standing: Standing) -> Option<()> {
        let known = self.sources.get(&source);
        let full = |numbers: &BTreeSet<u64>, max: usize| numbers.len() >= max;
        let oldest_shaking = known
            .filter(|known| standing == Standing::Shaking && full(&known.shaking, HANDSHAKES_PER_SOURCE_MAX))
            .and_then(|known| known.shaking.first().copied());
        let idlest_of_source = known
            .filter(|known| full(&known.unproven, UNPROVEN_PER_SOURCE_MAX))
            .and_then(|known| self.idlest(&known.unproven));
        let mut going: BTreeSet<u64> = [oldest_shaking, idlest_of_source].into_iter().flatten().collect();
        if going.is_empty() && (self.unproven.len() >= UNPROVEN_MAX || self.open.len() >= CONNECTIONS_MAX) {
            going.insert(self.idlest(&self.unproven)?);
        }
        going.into_iter().for_each(|number| self.evict(number));
        Some(())
    }

    /// The one that was silent the longest, among the oldest.
    fn idlest(&self, numbers: &BTreeSet<u64>) -> Option<u64> {
        let heard = |number: &&u64| {
            self.open.get(number).map_or(0, |place| place.pulse.heard_ms.load(Ordering::Relaxed))
        };
        numbers.iter().take(LOOKED_AT).min_by_key(heard).copied()
    }

    fn evict(&mut self, number: u64) {
        self.evicted += 1;
        self.leave(number);
    }

    /// The system has no descriptors left: one that is not proven gives up its own.
    pub(super) fn evict_idlest(&mut self) {
        if let Some(number) = self.idlest(&self.unproven) {
            self.evict(number);
        }
    }

    /// The handshake is over.
    pub(super) fn shaken(&mut self, number: u64) {
        self.rise(number, Standing::Unproven);
    }

    /// A phone registered over it.
    pub(super) fn prove(&mut self, number: u64) {
        self.rise(number, Standing::Proven);
    }

    fn rise(&mut self, number: u64, standing: Standing) {
        let Some(place) = self.open.get_mut(&number).filter(|place| place.standing != standing) else {
            return;
        };
        place.standing = standing;
        let source = network_of(place.remote.ip());
        self.forget_in(source, number);
        if standing == Standing::Unproven {
            self.sources.entry(source).or_default().unproven.insert(number);
        } else {
            self.unproven.remove(&number);
        }
    }

    fn forget_in(&mut self, source: IpAddr, number: u64) {
        let Some(known) = self.sources.get_mut(&source) else { return };
        known.shaking.remove(&number);
        known.unproven.remove(&number);
        if known.shaking.is_empty() && known.unproven.is_empty() {
            self.sources.remove(&source);
        }
    }

    /// A connection is over.
    pub(super) fn leave(&mut self, number: u64) {
        let Some(place) = self.open.remove(&number) else { return };
        self.unproven.remove(&number);
        self.forget_in(network_of(place.remote.ip()), number);
    }

    /// All connections are over.
    pub(super) fn clear(&mut self) {
        let evicted = self.evicted;
        *self = Places { evicted, ..Places::default() };
    }

    /// Hands a message to a connection.
    pub(super) fn send(&mut self, number: u64, bytes: Vec<u8>) -> Sent {
        let Some(place) = self.open.get(&number) else { return Sent::Gone };
        let length = bytes.len();
        let most = match place.standing {
            Standing::Proven => QUEUE_BYTES_MAX,
            Standing::Shaking | Standing::Unproven => UNPROVEN_QUEUE_BYTES_MAX,
        };
        let waiting = place.pulse.queued.fetch_add(length, Ordering::Relaxed);
        if waiting + length <= most && place.queue.try_send(bytes).is_ok() {
            return Sent::Queued;
        }
        let remote = place.remote;
        self.leave(number);
        Sent::Deaf(remote)
    }

    /// Connections that are open.
    pub(super) fn count(&self) -> usize {
        self.open.len()
    }

    /// Connections that had to go since the start.
    pub(super) fn evicted(&self) -> u64 {
        self.evicted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Crowd {
        places: Places,
        next: u64,
        ends: BTreeMap<u64, mpsc::Receiver<Vec<u8>>>,
    }

    impl Crowd {
        fn new() -> Crowd {
            Crowd { places: Places::default(), next: 1, ends: BTreeMap::new() }
        }

        fn comes(&mut self, from: &str, standing: Standing) -> Option<u64> {
            let (queue, end) = mpsc::channel(QUEUE_MESSAGES_MAX);
            let number = self.next;
            self.next += 1;
            let pulse = self.places.enter(number, from.parse().unwrap(), standing, queue)?;
            pulse.heard(number);
            self.ends.insert(number, end);
            Some(number)
        }

        fn is_open(&mut self, number: u64) -> bool {
            let end = self.ends.get_mut(&number).unwrap();
            !matches!(end.try_recv(), Err(mpsc::error::TryRecvError::Disconnected))
        }
    }

    #[test]
    fn threat_10_a_flood_of_connections_pushes_out_itself_and_no_registered_phone() {
        let mut crowd = Crowd::new();
        let phone = crowd.comes("192.0.2.1:5060", Standing::Unproven).unwrap();
        crowd.places.prove(phone);
        let first = crowd.comes("192.0.2.1:1000", Standing::Unproven).unwrap();
        for _ in 0..UNPROVEN_PER_SOURCE_MAX {
            crowd.comes("192.0.2.1:1001", Standing::Unproven).unwrap();
        }
        assert!(crowd.is_open(phone));
        assert!(!crowd.is_open(first));
        assert_eq!((crowd.places.count(), crowd.places.evicted()), (UNPROVEN_PER_SOURCE_MAX + 1, 1));
    }

    #[test]
    fn threat_10_many_sources_together_push_out_the_idlest_of_the_oldest() {
        let mut crowd = Crowd::new();
        let busy = crowd.comes("198.51.100.1:1", Standing::Unproven).unwrap();
        for source in 0..UNPROVEN_MAX - 1 {
            let from = format!("10.{}.{}.1:1", source / 250, source % 250);
            crowd.comes(&from, Standing::Unproven).unwrap();
        }
        crowd.places.open[&busy].pulse.heard(1_000_000);
        crowd.comes("203.0.113.9:1", Standing::Unproven).unwrap();
        assert_eq!(crowd.places.count(), UNPROVEN_MAX);
        assert!(crowd.is_open(busy) && !crowd.is_open(busy + 1));
    }

    #[test]
    fn threat_10_unfinished_handshakes_of_a_source_make_room_for_its_next_one() {
        let mut crowd = Crowd::new();
        let first = crowd.comes("[2001:db8::1]:1", Standing::Shaking).unwrap();
        for host in 0..HANDSHAKES_PER_SOURCE_MAX {
            crowd.comes(&format!("[2001:db8::{host:x}]:2"), Standing::Shaking).unwrap();
        }
        assert!(!crowd.is_open(first), "a /64 is one source");
        let elsewhere = crowd.comes("[2001:db8:1::1]:1", Standing::Shaking).unwrap();
        crowd.places.shaken(elsewhere);
        assert!(crowd.is_open(elsewhere) && crowd.is_open(first + 1));
    }

    #[test]
    fn threat_11_a_peer_that_does_not_read_is_ended_when_its_queue_is_full() {
        let mut crowd = Crowd::new();
        let deaf = crowd.comes("192.0.2.1:1", Standing::Unproven).unwrap();
        let deaf_phone = crowd.comes("192.0.2.1:3", Standing::Unproven).unwrap();
        crowd.places.prove(deaf_phone);
        for (number, most) in [(deaf, UNPROVEN_QUEUE_BYTES_MAX), (deaf_phone, QUEUE_BYTES_MAX)] {
            let large = vec![0; most / 4];
            for _ in 0..4 {
                assert_eq!(crowd.places.send(number, large.clone()), Sent::Queued);
            }
            assert!(matches!(crowd.places.send(number, large), Sent::Deaf(_)));
            assert_eq!(crowd.places.send(number, Vec::new()), Sent::Gone);
        }
        let slow = crowd.comes("192.0.2.1:2", Standing::Unproven).unwrap();
        let sent = (0..=QUEUE_MESSAGES_MAX).map(|_| crowd.places.send(slow, vec![0]));
        assert_eq!(sent.filter(|sent| *sent == Sent::Queued).count(), QUEUE_MESSAGES_MAX);
    }
}
