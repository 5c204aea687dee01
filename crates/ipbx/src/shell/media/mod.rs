//! The relays of anchored media: threads that do nothing else, so that media never hold up signalling, nor it them.
//!
//! What is carried where is said by the call side (`Order`), and decided for each packet by `media::relay`. What it is not:
//! there is no queue, no jitter buffer and no task per stream. A thread waits for all its sockets at once; under load it
//! lets a fraction of a millisecond pass between two looks, so that one look finds many packets.
//!
//! | per packet | system calls |
//! | --- | --- |
//! | wait for it | one for all that are there |
//! | take it, send it on | one each, on sockets that are connected to the phones |

mod socket;
mod thread;

use super::clock::SteadyClock;
use media::relay::{Order, Relay, Report, StreamId};
use rustix::event::{EventfdFlags, eventfd};
use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;
use thread::{Relaying, Told};

/// Where reports go.
pub type Listener = Arc<dyn Fn(Report) + Send + Sync>;

/// What a relay starts with.
pub struct Beginning {
    /// The time.
    pub clock: SteadyClock,
    /// Threads, 1 at least.
    pub threads: usize,
    /// Silence of both ends after which it is told.
    pub silence: Duration,
    /// What the process before has frozen, if it is to go on.
    pub frozen: Option<Vec<u8>>,
    /// Who is told.
    pub listener: Listener,
}

/// The way to the relays.
#[derive(Clone)]
pub struct MediaRelay {
    lanes: Arc<Vec<Lane>>,
}

struct Lane {
    /// Orders are as many as calls change: they need no limit of their own.
    orders: mpsc::Sender<Told>,
    bell: Arc<OwnedFd>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl MediaRelay {
    /// Starts the threads. They hold no socket until they are ordered to.
    ///
    /// # Errors
    /// When the system gives no thread or descriptor.
    pub fn start(beginning: Beginning) -> io::Result<MediaRelay> {
        let mut kept = beginning.frozen.as_deref().map(thawed).unwrap_or_default();
        let threads = beginning.threads.max(1);
        let mut lanes = Vec::new();
        for number in 0..threads {
            let (orders, told) = mpsc::channel();
            let bell = Arc::new(eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?);
            let mine = kept.extract_if(.., |id, _| lane_of(*id, threads) == number).collect();
            let relaying = Relaying::new(&beginning, told, Arc::clone(&bell), mine)?;
            let thread = std::thread::Builder::new().name(format!("media-{number}"));
            let thread = Mutex::new(Some(thread.spawn(move || relaying.run())?));
            lanes.push(Lane { orders, bell, thread });
        }
        Ok(MediaRelay { lanes: Arc::new(lanes) })
    }

    /// Orders something. It never waits.
    pub fn order(&self, order: Order) {
        let (Order::Open(id, ..) | Order::Alter(id, _) | Order::Close(id)) = &order;
        if let Some(lane) = self.lanes.get(lane_of(*id, self.lanes.len())) {
            lane.tell(Told::Order(order));
        }
    }

    /// Ends the threads and gives all ports back. What they were in the middle of is returned for the process that
    /// follows: learnt sources, and where every key stream stands.
    #[must_use]
    pub fn freeze(&self) -> Vec<u8> {
        let mut all = BTreeMap::new();
        for lane in self.lanes.iter() {
            let (sender, frozen) = mpsc::channel();
            lane.tell(Told::Freeze(sender));
            all.append(&mut frozen.recv().unwrap_or_default());
            lane.join();
        }
        let listed: Vec<(StreamId, Relay)> = all.into_iter().collect();
        serde_json::to_vec(&listed).unwrap_or_default()
    }
}

impl Lane {
    fn tell(&self, told: Told) {
        // A thread that has ended was told to; there is nobody to ring for.
        if self.orders.send(told).is_ok() {
            let _full_is_rung = rustix::io::write(&self.bell, &1u64.to_ne_bytes());
        }
    }

    fn join(&self) {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("a media thread had panicked");
        }
    }
}

fn lane_of(stream: StreamId, lanes: usize) -> usize {
    // The lowest bits name the shard; those above count its streams.
    usize::try_from(stream.0 >> 8).unwrap_or_default() % lanes.max(1)
}

fn thawed(frozen: &[u8]) -> BTreeMap<StreamId, Relay> {
    match serde_json::from_slice::<Vec<(StreamId, Relay)>>(frozen) {
        Ok(listed) => listed.into_iter().collect(),
        Err(fault) => {
            tracing::warn!(%fault, "the media of the process before cannot be taken over");
            BTreeMap::new()
        }
    }
}

#[cfg(test)]
mod tests;
