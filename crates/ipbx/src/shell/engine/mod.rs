//! The engine: threads that own the call side, one a shard. They are the only readers of the clock for it, read phones'
//! datagrams themselves, and turn what it says into sends, writes and events. They never wait for disk or peer.
//!
//! | file | what |
//! | --- | --- |
//! | here | the way to the engine: who is told what |
//! | `lane` | one thread: its turn |
//! | `gate` | registrations that wait while calls go first |
//! | `keep` | what is written behind a turn, and the answers that wait for it |
//!
//! An acknowledgement that depends on the disk (the 200 to a REGISTER) travels with the write: the journal's writer sends it
//! when `kill -9` can no longer lose what it acknowledges.

mod gate;
mod keep;
mod lane;

pub use lane::Engine;

use super::clock::SteadyClock;
use super::inbox::{self, Bell, Inbox, Outlet};
use super::link::LinkHandle;
use super::media::MediaRelay;
use super::members::Members;
use super::phones::Phones;
use super::records::Records;
use crate::config::FloodConfig;
use crate::member::{CallInput, CallOutput, CallSide, ToHead};
use arc_swap::ArcSwapOption;
use call::{Hop, ShardInput, Sorter};
use sip::Tokens;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use store::Journal;
use web::events::Hub;

/// Datagrams of other threads that may wait for a thread. At 50 µs a message that is a fifth of a second.
pub const MESSAGES_MAX: usize = 4_096;
/// Messages of streams that may wait for a thread: their readers wait for room, each in its turn.
pub const STREAM_MESSAGES_MAX: usize = 512;

/// What an engine thread is told.
enum Order {
    /// For its shard.
    Shard(ShardInput),
    /// For the head, which the first thread has.
    Head(HeadOrder),
    Ask(Box<dyn FnOnce(&mut Engine) + Send>),
    Stop,
}

enum HeadOrder {
    Outside(CallInput),
    Lane(ToHead),
}

/// A question nobody answered: the engine has stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the engine is being rebuilt or has stopped")]
pub struct Stopped;

/// The way to the engine.
#[derive(Clone)]
pub struct EngineHandle {
    /// One a thread, never empty.
    inboxes: Arc<[Inbox<Order>]>,
    ways: Arc<OnceLock<Ways>>,
    tokens: Arc<Mutex<Tokens>>,
    counters: Arc<Counters>,
}

/// How messages are sorted, known once there is a call side.
#[derive(Debug, Clone, Copy)]
struct Ways {
    sorter: Sorter,
    /// What members send passes the relay.
    is_centre: bool,
}

/// What is counted since the start.
#[derive(Debug, Default)]
pub struct Counters {
    /// Messages taken from phones and members.
    pub received: AtomicU64,
    /// Messages handed to sockets.
    pub sent: AtomicU64,
    /// Datagrams lost because the engine had no room.
    pub overrun: AtomicU64,
    /// Registrations told to come back later.
    pub deferred: AtomicU64,
    /// Datagrams of floods that were dropped unread.
    pub flooded: AtomicU64,
    /// Calls that ended, refused ones too.
    pub ended: AtomicU64,
    /// Faults reported by the call side.
    pub faults: AtomicU64,
}

impl EngineHandle {
    /// Queues for an engine of so many threads that is not running yet.
    ///
    /// # Errors
    /// When the system has no descriptor left.
    pub fn open(threads: u8, seed: [u8; 32]) -> std::io::Result<(EngineHandle, EngineInbox)> {
        let (mut inboxes, mut outlets) = (Vec::new(), Vec::new());
        for _ in 0..threads.max(1) {
            let (inbox, outlet, bell) = inbox::open_with_bell(MESSAGES_MAX, STREAM_MESSAGES_MAX)?;
            inboxes.push(inbox);
            outlets.push((outlet, bell));
        }
        let handle = EngineHandle {
            inboxes: inboxes.into(),
            ways: Arc::default(),
            tokens: Arc::new(Mutex::new(Tokens::new(seed))),
            counters: Arc::default(),
        };
        Ok((handle, EngineInbox(outlets)))
    }

    /// A message from a stream: its reader waits for room.
    pub async fn give(&self, input: CallInput) {
        match input {
            CallInput::FlowClosed(flow) => {
                for inbox in self.inboxes.iter() {
                    inbox.give(Order::Shard(ShardInput::FlowClosed(flow))).await;
                }
            }
            input => {
                let (thread, order) = self.sorted(input);
                if let Some(inbox) = self.inboxes.get(thread) {
                    inbox.give(order).await;
                }
            }
        }
    }

    /// Something this process says itself.
    pub fn tell(&self, input: CallInput) {
        self.tell_thread(0, Order::Head(HeadOrder::Outside(input)));
    }

    /// The thread that takes an input, and as what. What is not one shard's alone is the head's.
    fn sorted(&self, input: CallInput) -> (usize, Order) {
        let (from, message) = match (input, self.ways.get()) {
            (CallInput::Phone { flow, message }, Some(_)) => (Hop::Phone(flow), message),
            (CallInput::Member { message, .. }, Some(ways)) if !ways.is_centre => (Hop::Cluster, message),
            (other, _) => return (0, Order::Head(HeadOrder::Outside(other))),
        };
        let shard = self.ways.get().map_or(0, |ways| usize::from(ways.sorter.shard_of(&message).0));
        (shard, Order::Shard(ShardInput::Sip { from, message }))
    }

    fn tell_thread(&self, thread: usize, order: Order) {
        if let Some(inbox) = self.inboxes.get(thread) {
            inbox.tell(order);
        }
    }

    /// Asks the first thread, which has the head too; it answers between two messages.
    ///
    /// # Errors
    /// [`Stopped`] when it has ended.
    pub async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Engine) -> T + Send + 'static,
    ) -> Result<T, Stopped> {
        self.ask_thread(0, question).await
    }

    /// Asks every thread, each for its own shard.
    ///
    /// # Errors
    /// [`Stopped`] when one has ended.
    pub async fn ask_all<T: Send + 'static>(
        &self,
        question: impl Fn(&mut Engine) -> T + Clone + Send + 'static,
    ) -> Result<Vec<T>, Stopped> {
        let mut answers = Vec::with_capacity(self.inboxes.len());
        for thread in 0..self.inboxes.len() {
            answers.push(self.ask_thread(thread, question.clone()).await?);
        }
        Ok(answers)
    }

    async fn ask_thread<T: Send + 'static>(
        &self,
        thread: usize,
        question: impl FnOnce(&mut Engine) -> T + Send + 'static,
    ) -> Result<T, Stopped> {
        let (sender, answer) = tokio::sync::oneshot::channel();
        let ask = move |engine: &mut Engine| drop(sender.send(question(engine)));
        self.tell_thread(thread, Order::Ask(Box::new(ask)));
        answer.await.map_err(|_| Stopped)
    }

    /// Ends the threads after what was said before.
    pub fn stop(&self) {
        self.inboxes.iter().for_each(|inbox| inbox.tell(Order::Stop));
    }

    /// A fresh tag, for answers that are made outside of the engine.
    #[must_use]
    pub fn tag(&self) -> String {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner).tag()
    }

    /// What is counted.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }
}

/// Where readers of streams find the present engine: sockets stay open while one engine replaces another.
#[derive(Clone, Default)]
pub struct EngineSlot {
    present: Arc<ArcSwapOption<EngineHandle>>,
}

impl EngineSlot {
    /// The engine that runs now, if one does.
    #[must_use]
    pub fn present(&self) -> Option<Arc<EngineHandle>> {
        self.present.load_full()
    }

    /// From now on messages go there; nowhere with `None`.
    pub fn set(&self, engine: Option<EngineHandle>) {
        self.present.store(engine.map(Arc::new));
    }
}

/// The queues of an engine that is to be started.
pub struct EngineInbox(Vec<(Outlet<Order>, Arc<Bell>)>);

/// What an engine works with.
#[derive(Clone)]
pub struct Surroundings {
    /// The time.
    pub clock: SteadyClock,
    /// Phones' sockets.
    pub phones: Phones,
    /// What strangers may send.
    pub flood: FloodConfig,
    /// Connections to other members.
    pub members: Members,
    /// The link side.
    pub link: LinkHandle,
    /// Where records of calls go.
    pub records: Records,
    /// What comes and goes by the thousand and must be found again.
    pub live: Journal,
    /// Who wants to know.
    pub hub: Hub,
    /// The relays of anchored media.
    pub media: MediaRelay,
    /// True on a node: its records go to the cluster server.
    pub uploads: bool,
}

impl EngineInbox {
    /// Starts the threads. `first` is what the call side said when it was made.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(
        self,
        handle: &EngineHandle,
        side: CallSide,
        first: Vec<CallOutput>,
        around: &Surroundings,
    ) -> std::io::Result<Vec<JoinHandle<Engine>>> {
        let (head, lanes) = side.split();
        let ways = Ways { sorter: head.sorter(), is_centre: head.head().is_centre() };
        let _only_once = handle.ways.set(ways);
        let (mut head, mut first) = (Some(head), Some(first));
        let mut threads = Vec::new();
        for (number, (lane, queue)) in lanes.into_iter().zip(self.0).enumerate() {
            let parts = lane::Parts { number, lane, head: head.take(), handle: handle.clone(), queue };
            let mut engine = Engine::new(parts, around.clone(), ways.sorter);
            let first = first.take().unwrap_or_default();
            let name = format!("engine-{number}");
            threads.push(std::thread::Builder::new().name(name).spawn(move || {
                engine.begin(first);
                engine.run();
                engine
            })?);
        }
        Ok(threads)
    }
}

/// The call side that stopped threads were: what they still had to tell each other is told.
#[must_use]
pub fn joined(mut engines: Vec<Engine>) -> Option<CallSide> {
    loop {
        let told: Vec<bool> = engines.iter_mut().map(Engine::finish).collect();
        if !told.contains(&true) {
            break;
        }
    }
    let mut lanes = Vec::new();
    let mut head = None;
    for engine in engines {
        let (lane, its_head) = engine.parts();
        lanes.push(lane);
        head = head.or(its_head);
    }
    Some(CallSide::joined(head?, lanes))
}

/// The longest a thread sleeps when nothing is due.
const SLEEP_MAX: Duration = Duration::from_secs(60);
