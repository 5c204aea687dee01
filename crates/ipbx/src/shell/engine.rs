//! The engine thread: it owns the call side, is the only reader of the clock for it, and turns what it says
//! into sends, writes and events. It never waits for disk or peer.
//!
//! An acknowledgement that depends on the disk (the 200 to a REGISTER) is not sent from here: it travels with
//! the write, and the store's writer sends it when `kill -9` can no longer lose what it acknowledges.

use super::clock::{SteadyClock, ms};
use super::inbox::{self, Inbox, Outlet, Turn};
use super::link::LinkHandle;
use super::members::Members;
use super::phones::Phones;
use crate::member::{CallInput, CallOutput, CallSide, LinkInput, LinkNotice, PhoneSend, log_id};
use crate::trace::{Party, Trace, Traced};
use arc_swap::ArcSwapOption;
use call::{BindingChange, CallRecord, Role};
use model::{Change, MemberNumber};
use sip::{Flow, Method, Tokens, Transport};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use store::{Batch, Journal, LogEntry, RuntimeStore, RuntimeWrite, Shelf};
use web::events::Hub;

/// Messages from outside that may wait for the engine. At 50 µs a message that is a fifth of a second.
pub const MESSAGES_MAX: usize = 4_096;

/// What the engine thread is told.
enum Order {
    Call(CallInput),
    Ask(Box<dyn FnOnce(&mut Engine) + Send>),
    Stop,
}

/// A question nobody answered: the engine has stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the engine is being rebuilt or has stopped")]
pub struct Stopped;

/// The way to the engine.
#[derive(Clone)]
pub struct EngineHandle {
    inbox: Inbox<Order>,
    tokens: Arc<Mutex<Tokens>>,
    counters: Arc<Counters>,
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
    /// Calls that ended, refused ones too.
    pub ended: AtomicU64,
    /// Faults reported by the call side.
    pub faults: AtomicU64,
}

impl EngineHandle {
    /// A queue for an engine that is not running yet.
    #[must_use]
    pub fn open(seed: [u8; 32]) -> (EngineHandle, EngineInbox) {
        let (inbox, outlet) = inbox::open(MESSAGES_MAX);
        let tokens = Arc::new(Mutex::new(Tokens::new(seed)));
        let counters = Arc::new(Counters::default());
        (EngineHandle { inbox, tokens, counters }, EngineInbox(outlet))
    }

    /// A datagram's message: lost when there is no room.
    pub fn try_give(&self, input: CallInput) {
        if !self.inbox.try_give(Order::Call(input)) {
            self.counters.overrun.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A message from a stream: its reader waits for room.
    pub async fn give(&self, input: CallInput) {
        self.inbox.give(Order::Call(input)).await;
    }

    /// Something this process says itself.
    pub fn tell(&self, input: CallInput) {
        self.inbox.tell(Order::Call(input));
    }

    /// Asks the engine, which answers between two messages.
    ///
    /// # Errors
    /// [`Stopped`] when it has ended.
    pub async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Engine) -> T + Send + 'static,
    ) -> Result<T, Stopped> {
        let (sender, answer) = tokio::sync::oneshot::channel();
        let ask = move |engine: &mut Engine| drop(sender.send(question(engine)));
        self.inbox.tell(Order::Ask(Box::new(ask)));
        answer.await.map_err(|_| Stopped)
    }

    /// Ends the thread after what was said before.
    pub fn stop(&self) {
        self.inbox.tell(Order::Stop);
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

/// Where readers of sockets find the present engine: sockets stay open while one engine replaces another.
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

/// The queue of an engine that is to be started.
pub struct EngineInbox(Outlet<Order>);

/// What an engine works with.
pub struct Surroundings {
    /// The time.
    pub clock: SteadyClock,
    /// Phones' sockets.
    pub phones: Phones,
    /// Connections to other members.
    pub members: Members,
    /// The link side.
    pub link: LinkHandle,
    /// Records of calls.
    pub runtime: RuntimeStore,
    /// Registrations.
    pub live: Journal,
    /// Who wants to know.
    pub hub: Hub,
    /// True on a node: its records go to the cluster server.
    pub uploads: bool,
}

/// The engine: the call side and its surroundings.
pub struct Engine {
    side: CallSide,
    around: Surroundings,
    counters: Arc<Counters>,
    trace: Trace,
    promised: Promised,
}

/// Answers that wait for the disk. They are at most as many as the journal's queue has batches.
#[derive(Clone, Default)]
struct Promised {
    sends: Arc<Mutex<BTreeSet<PhoneSend>>>,
}

impl Promised {
    fn hold(&self, sends: &[PhoneSend]) {
        let mut held = self.lock();
        if held.len() < store::journal::JOURNAL_QUEUE_MAX {
            held.extend(sends.iter().cloned());
        }
    }

    fn holds(&self, send: &PhoneSend) -> bool {
        let held = self.lock();
        !held.is_empty() && held.contains(send)
    }

    fn release(&self, send: &PhoneSend) {
        self.lock().remove(send);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<PhoneSend>> {
        self.sends.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl EngineInbox {
    /// Starts the thread. `first` is what the call side said when it was made.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(
        self,
        handle: &EngineHandle,
        side: CallSide,
        first: Vec<CallOutput>,
        around: Surroundings,
    ) -> std::io::Result<JoinHandle<()>> {
        let counters = Arc::clone(&handle.counters);
        let (trace, promised) = (Trace::default(), Promised::default());
        let mut engine = Engine { side, around, counters, trace, promised };
        std::thread::Builder::new().name("engine".to_owned()).spawn(move || {
            engine.act(first);
            engine.run(&self.0);
        })
    }
}

impl Engine {
    /// The call side.
    #[must_use]
    pub fn side(&self) -> &CallSide {
        &self.side
    }

    /// The messages of a call.
    #[must_use]
    pub fn trace(&self, call_ids: &[String]) -> Vec<Traced> {
        self.trace.of(call_ids)
    }

    /// The steady clock's present instant.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.around.clock.now()
    }

    fn run(&mut self, orders: &Outlet<Order>) {
        loop {
            let now = self.around.clock.now();
            let patience = self.side.next_timeout().map(|at| at.saturating_sub(now));
            match orders.wait(patience) {
                Turn::Closed => return,
                Turn::Time => {}
                Turn::Items(items) => {
                    for order in items {
                        match order {
                            Order::Call(input) => self.take(input),
                            Order::Ask(question) => question(self),
                            Order::Stop => return,
                        }
                    }
                }
            }
            let now = self.around.clock.now();
            if self.side.next_timeout().is_some_and(|at| at <= now) {
                self.step(now, CallInput::Tick);
            }
        }
    }

    fn take(&mut self, input: CallInput) {
        let now = self.around.clock.now();
        self.observe(now, &input);
        self.step(now, input);
    }

    fn step(&mut self, now: Duration, input: CallInput) {
        let mut said = Vec::new();
        let revision = revision_brought(&input);
        self.side.handle(now, input, &mut said);
        if let Some(revision) = revision {
            tracing::debug!(revision, "changes in force");
        }
        self.act(said);
    }

    fn act(&mut self, said: Vec<CallOutput>) {
        for output in said {
            match output {
                CallOutput::SendPhone(send) => self.send_phone(send),
                CallOutput::SendMember { to, bytes } => self.send_member(to, bytes),
                CallOutput::KeepBinding { change, then } => self.keep_binding(change, then),
                CallOutput::KeepRecord(record) => self.keep_record(&record),
                CallOutput::ToLink(notice) => self.around.link.tell(LinkInput::Calls(notice)),
                CallOutput::CallChanged(_) => self.around.hub.changed("calls"),
                CallOutput::BindingsChanged(_) => self.around.hub.changed("bindings"),
                CallOutput::Fault(fault) => {
                    self.counters.faults.fetch_add(1, Ordering::Relaxed);
                    tracing::warn!(%fault, "the call side reports a fault");
                }
            }
        }
    }

    fn send_phone(&mut self, send: PhoneSend) {
        // A transaction repeats an answer that still waits for the disk: it stays held until the disk has it.
        if self.promised.holds(&send) {
            return;
        }
        self.note_sent(Party::Phone(send.flow.remote), Some(&send.flow), &send.bytes);
        self.counters.sent.fetch_add(1, Ordering::Relaxed);
        self.around.phones.send(&send.flow, send.bytes);
    }

    fn send_member(&mut self, to: MemberNumber, bytes: Vec<u8>) {
        self.note_sent(Party::Member(to.get()), None, &bytes);
        self.counters.sent.fetch_add(1, Ordering::Relaxed);
        self.around.members.send(to, bytes);
    }

    /// Writes a binding; what acknowledges it goes out behind the write, on the writer's thread.
    fn keep_binding(&mut self, change: BindingChange, then: Vec<PhoneSend>) {
        let Some(batch) = binding_batch(&change) else { return };
        for send in &then {
            self.note_sent(Party::Phone(send.flow.remote), Some(&send.flow), &send.bytes);
        }
        let phones = self.around.phones.clone();
        if let BindingChange::Bound(binding) = &change {
            phones.prove(&binding.flow);
        }
        let counters = Arc::clone(&self.counters);
        let promised = self.promised.clone();
        promised.hold(&then);
        self.around.live.append_then(batch, move |written| match written {
            Ok(()) => {
                for send in then {
                    promised.release(&send);
                    counters.sent.fetch_add(1, Ordering::Relaxed);
                    phones.send(&send.flow, send.bytes);
                }
            }
            // It stays held: what could not be kept is never acknowledged, however often it is asked again.
            Err(fault) => tracing::error!(%fault, "a registration could not be kept: not acknowledged"),
        });
        self.around.hub.changed("bindings");
    }

    fn keep_record(&mut self, record: &CallRecord) {
        self.counters.ended.fetch_add(1, Ordering::Relaxed);
        tracing::info!(session = %record.session, cause = %record.cause, "call ended");
        let Some(entry) = log_row(record) else { return };
        let write = if self.around.uploads {
            RuntimeWrite::Append(entry)
        } else {
            RuntimeWrite::AppendGathered(entry)
        };
        let hub = self.around.hub.clone();
        self.around.runtime.write_then(vec![write], move |written| match written {
            Ok(()) => hub.changed("records"),
            Err(fault) => tracing::error!(%fault, "a call record could not be kept"),
        });
    }

    fn observe(&mut self, now: Duration, input: &CallInput) {
        let (party, flow, message) = match input {
            CallInput::Phone { flow, message } => (Party::Phone(flow.remote), Some(flow), message),
            CallInput::Member { from, message } => (Party::Member(from.get()), None, message),
            _ => return,
        };
        self.counters.received.fetch_add(1, Ordering::Relaxed);
        if !matches!(message.cseq().method, Method::Register | Method::Options) {
            self.note(now, false, party, flow, (message.call_id(), message.to_bytes()));
        }
    }

    fn note_sent(&mut self, party: Party, flow: Option<&Flow>, bytes: &[u8]) {
        if let Some(call_id) = traced_call_id(bytes) {
            self.note(self.around.clock.now(), true, party, flow, (&call_id, bytes.to_vec()));
        }
    }

    fn note(
        &mut self,
        at: Duration,
        sent: bool,
        party: Party,
        flow: Option<&Flow>,
        (call_id, bytes): (&str, Vec<u8>),
    ) {
        let local = flow.map_or(self.around.phones.address(), |flow| flow.local);
        let udp = flow.is_some_and(|flow| flow.transport == Transport::Udp);
        self.trace.keep(call_id, Traced { at, sent, party, local, udp, bytes });
    }
}

/// The Call-ID of a message worth tracing: one of a call, not a registration or a keep-alive.
fn traced_call_id(bytes: &[u8]) -> Option<String> {
    let head = bytes.get(..bytes.len().min(4_096)).unwrap_or_default();
    let text = String::from_utf8_lossy(head);
    let mut call_id = None;
    for line in text.lines().skip(1).take_while(|line| !line.is_empty()) {
        let Some((name, value)) = line.split_once(':') else { continue };
        let name = name.trim();
        if name.eq_ignore_ascii_case("call-id") || name.eq_ignore_ascii_case("i") {
            call_id = Some(value.trim().to_owned());
        } else if name.eq_ignore_ascii_case("cseq")
            && ["REGISTER", "OPTIONS"].iter().any(|method| value.trim_end().ends_with(method))
        {
            return None;
        }
    }
    call_id
}

/// The change as the journal keeps it. A device is one record, named by its subscriber and itself.
fn binding_batch(change: &BindingChange) -> Option<Batch> {
    let (extension, device) = change.subject();
    let key = format!("{extension}\0{device}");
    let mut batch = Batch::default();
    let kept = match change {
        BindingChange::Bound(binding) => {
            batch.put(Shelf::BINDING, key.as_bytes(), &serde_json::to_vec(binding).ok()?)
        }
        BindingChange::Unbound { .. } => batch.remove(Shelf::BINDING, key.as_bytes()),
    };
    kept.ok().map(|()| batch)
}

/// A record as a row of the log: `call` for the record of a call, `leg` for that of a leg.
#[must_use]
pub fn log_row(record: &CallRecord) -> Option<LogEntry> {
    let stream = match record.role {
        Role::Originating => "call",
        Role::Terminating => "leg",
    };
    Some(LogEntry {
        id: log_id(record),
        stream: stream.to_owned(),
        session: record.session.clone(),
        at_ms: ms(record.created),
        value: serde_json::to_vec(record).ok()?,
    })
}

/// The revision whose changes an input brings, for the log alone.
fn revision_brought(input: &CallInput) -> Option<u64> {
    match input {
        CallInput::Changes(changes) | CallInput::Link(LinkNotice::Changes(changes)) => {
            changes.iter().map(Change::revision).max()
        }
        _ => None,
    }
}
