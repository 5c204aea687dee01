//! One engine thread: a shard, its socket, its queue, its turn.
//!
//! ```text
//!   sleep  until a datagram, an order or a timer          one `poll`; none while there is work
//!   turn   orders → datagrams → registrations that wait → timers
//!          then send what was said, write what must be kept
//! ```
//!
//! Datagrams are read and sent by the batch, writes go out once a turn, and what is only for onlookers (events,
//! traces) is gathered or left as it is until somebody asks.

use super::gate::{Gate, TAKEN_PER_TURN};
use super::keep::Keeper;
use super::{Counters, EngineHandle, HeadOrder, Order, SLEEP_MAX, Surroundings};
use crate::member::{CallInput, CallOutput, HeadSide, Lane, LinkInput, LinkNotice, PhoneSend, Said, ToHead};
use crate::shell::inbox::{Bell, Outlet, TURN_ITEMS_MAX};
use crate::shell::phones::flood::{Verdict, Wall};
use crate::shell::phones::port::Arrivals;
use crate::trace::{Circumstances, Kept, Party, Trace, Traced};
use call::{Hop, ShardInput, Sorter, Whom};
use model::Change;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use sip::{Flow, Message, Method, Name, Response, Status, Transport};
use std::net::SocketAddr;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Datagrams of a turn: at 10 µs each what is answered with the last of them waits for a millisecond.
const TURN_DATAGRAMS_MAX: usize = 128;
/// Sends that are put together at most.
const SENDS_MAX: usize = 256;

/// What a thread is made of.
pub(super) struct Parts {
    pub(super) number: usize,
    pub(super) lane: Lane,
    pub(super) head: Option<HeadSide>,
    pub(super) handle: EngineHandle,
    pub(super) queue: (Outlet<Order>, Arc<Bell>),
}

/// One thread of the engine.
pub struct Engine {
    number: usize,
    lane: Lane,
    head: Option<HeadSide>,
    handle: EngineHandle,
    counters: Arc<Counters>,
    orders: Outlet<Order>,
    /// The first of the next turn's orders.
    overlooked: Option<Order>,
    bell: Arc<Bell>,
    around: Surroundings,
    sorter: Sorter,
    wall: Wall,
    gate: Gate<(Hop, Message)>,
    keeper: Keeper,
    trace: Trace,
    said: Said,
    /// To be sent at the end of the turn.
    sends: Vec<PhoneSend>,
    /// Of each of them whether it is worth a trace.
    traced: Vec<bool>,
    told: Told,
}

/// What onlookers are to be told at the end of the turn.
#[derive(Default)]
struct Told {
    calls: bool,
    bindings: bool,
    bans: bool,
}

impl Engine {
    pub(super) fn new(parts: Parts, around: Surroundings, sorter: Sorter) -> Engine {
        let Parts { number, lane, head, handle, queue: (orders, bell) } = parts;
        let counters = Arc::clone(&handle.counters);
        Engine {
            number,
            lane,
            head,
            handle,
            counters,
            orders,
            overlooked: None,
            bell,
            wall: Wall::new(around.flood),
            around,
            sorter,
            gate: Gate::default(),
            keeper: Keeper::new(number),
            trace: Trace::default(),
            said: Said::default(),
            sends: Vec::new(),
            traced: Vec::new(),
            told: Told::default(),
        }
    }

    /// The shard of this thread.
    #[must_use]
    pub fn lane(&self) -> &Lane {
        &self.lane
    }

    /// What there is once; the first thread has it.
    #[must_use]
    pub fn head(&self) -> Option<&HeadSide> {
        self.head.as_ref()
    }

    /// The messages of a call that passed here.
    #[must_use]
    pub fn trace(&self, call_ids: &[String]) -> Vec<Traced> {
        self.trace.of(call_ids)
    }

    /// What is dropped here of floods.
    #[must_use]
    pub fn wall(&self) -> &Wall {
        &self.wall
    }

    /// The steady clock's present instant.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.around.clock.now()
    }

    pub(super) fn parts(self) -> (Lane, Option<HeadSide>) {
        (self.lane, self.head)
    }

    /// Does what the call side said when it was made.
    pub(super) fn begin(&mut self, first: Vec<CallOutput>) {
        let now = self.now();
        for binding in self.lane.shard().bindings() {
            let binding = binding.read();
            self.around.phones.prove(&binding.flow, binding.until);
        }
        self.said.out = first;
        self.settle(now, true);
        self.flush(now);
    }

    /// Works until it is stopped.
    pub(super) fn run(&mut self) {
        let mut arrivals = Arrivals::new();
        loop {
            let now = self.now();
            let Some(orders) = self.obey(now, TURN_ITEMS_MAX) else { return self.flush(now) };
            let idle = self.take_datagrams(&mut arrivals);
            let now = self.now();
            if self.lane.next_timeout().is_some_and(|at| at <= now) {
                self.step(now, ShardInput::Tick, true);
            }
            self.flush(now);
            if orders < TURN_ITEMS_MAX && idle {
                self.sleep();
            }
        }
    }

    /// Reads datagrams until there are none or the turn is long enough; true when nothing is left to do. What comes while
    /// the first ones are worked on belongs to the turn: one write to the disk and one system call to send answer all of them.
    fn take_datagrams(&mut self, arrivals: &mut Arrivals) -> bool {
        let mut taken = 0;
        while taken < TURN_DATAGRAMS_MAX {
            let now = self.now();
            let datagrams = self.receive(now, arrivals);
            let waiting = self.register(now);
            if datagrams == 0 && !waiting {
                return true;
            }
            taken += datagrams.max(1);
        }
        false
    }

    /// Waits for something to do.
    fn sleep(&mut self) {
        self.bell.fall_asleep();
        // One that came before the bell was watched.
        self.overlooked = self.orders.next();
        if self.overlooked.is_some() {
            return self.bell.wake_up(false);
        }
        let left = self.lane.next_timeout().map_or(SLEEP_MAX, |at| at.saturating_sub(self.now()));
        // Rounded up: a timer that rings early finds nothing to do.
        let patience = PollTimeout::try_from(left.min(SLEEP_MAX) + Duration::from_micros(999));
        let mut watched = vec![PollFd::new(self.bell.as_fd(), PollFlags::POLLIN)];
        if let Some(port) = self.around.phones.port(self.number) {
            watched.push(PollFd::new(port.as_fd(), PollFlags::POLLIN));
        }
        if let Err(fault) = poll(&mut watched, patience.unwrap_or(PollTimeout::MAX)) {
            tracing::trace!(%fault, "waiting for sockets");
        }
        let rung = watched.first().and_then(PollFd::any).unwrap_or(true);
        self.bell.wake_up(rung);
    }

    /// Takes orders, at most so many; none when one of them is to stop.
    fn obey(&mut self, now: Duration, most: usize) -> Option<usize> {
        for count in 0..most {
            let Some(order) = self.overlooked.take().or_else(|| self.orders.next()) else {
                return Some(count);
            };
            if !self.order(now, order) {
                return None;
            }
        }
        Some(most)
    }

    /// False when it is to stop.
    fn order(&mut self, now: Duration, order: Order) -> bool {
        match order {
            Order::Shard(ShardInput::Sip { from, message }) => self.arrive(now, from, message),
            Order::Shard(input) => self.step(now, input, true),
            Order::Head(order) => self.lead(now, order),
            Order::Ask(question) => question(self),
            Order::Stop => return false,
        }
        true
    }

    /// Reads a batch of datagrams.
    fn receive(&mut self, now: Duration, arrivals: &mut Arrivals) -> usize {
        let phones = self.around.phones.clone();
        let Some(port) = phones.port(self.number) else { return 0 };
        let count = port.receive(arrivals);
        for (remote, datagram) in arrivals.iter() {
            // Keep-alives of phones behind address translators (RFC 5626 § 3.5.1 and habit).
            if self.is_heard(now, remote)
                && !datagram.iter().all(|byte| byte.is_ascii_whitespace() || *byte == 0)
            {
                self.datagram(now, remote, datagram);
            }
        }
        count
    }

    /// False for what a flood sends.
    fn is_heard(&mut self, now: Duration, remote: SocketAddr) -> bool {
        let phones = &self.around.phones;
        let verdict = self.wall.judge(now, remote, || phones.knows(now, remote));
        if verdict == Verdict::Heard {
            return true;
        }
        count(&self.counters.flooded, 1);
        if let Verdict::Begun(source) = verdict {
            tracing::warn!(%source, "a flood of datagrams: only registered phones are heard from there");
            self.told.bans = true;
        }
        false
    }

    fn datagram(&mut self, now: Duration, remote: SocketAddr, datagram: &[u8]) {
        let local = self.around.phones.local_toward(remote.ip());
        let flow = Flow { transport: Transport::Udp, local, remote, connection: 0 };
        match Message::received(datagram, remote) {
            Ok(message) => {
                let shard = usize::from(self.sorter.shard_of(&message).0);
                let from = Hop::Phone(flow);
                if shard == self.number {
                    self.arrive(now, from, message);
                } else {
                    self.pass_on(shard, from, message);
                }
            }
            Err(fault) => {
                tracing::debug!(%remote, fault = %fault, "a datagram is no SIP message");
                if let Some(bytes) = fault.answer(&self.handle.tag()) {
                    self.send(PhoneSend { flow, bytes }, false);
                }
            }
        }
    }

    /// A message for another thread: lost, as any datagram may be, when that has no room.
    fn pass_on(&self, shard: usize, from: Hop, message: Message) {
        let order = Order::Shard(ShardInput::Sip { from, message });
        if !self.handle.inboxes.get(shard).is_some_and(|inbox| inbox.try_give(order)) {
            count(&self.counters.overrun, 1);
        }
    }

    /// A message for this shard. Registrations wait until what is no registration is done.
    fn arrive(&mut self, now: Duration, from: Hop, message: Message) {
        count(&self.counters.received, 1);
        let is_register = message.is_request() && message.cseq().method == Method::Register;
        let Hop::Phone(flow) = &from else { return self.take(now, from, message) };
        if !is_register {
            return self.take(now, from, message);
        }
        let flow = *flow;
        let unwritten = self.keeper.unwritten();
        if let Err(refused) = self.gate.enter(flow.remote.ip(), (from, message), unwritten) {
            count(&self.counters.deferred, 1);
            let (_, message) = refused.item;
            let answer = Response::to(&message, Status::SERVICE_UNAVAILABLE)
                .to_tag(&self.handle.tag())
                .header(Name::RetryAfter, refused.after_s);
            self.send(PhoneSend { flow, bytes: answer.bytes() }, false);
        }
    }

    /// Takes registrations that wait; true when there are more.
    fn register(&mut self, now: Duration) -> bool {
        for _ in 0..TAKEN_PER_TURN {
            let Some((from, message)) = self.gate.next() else { return false };
            self.step(now, ShardInput::Sip { from, message }, false);
        }
        !self.gate.is_empty()
    }

    fn take(&mut self, now: Duration, from: Hop, message: Message) {
        let is_worth_a_trace = !matches!(message.cseq().method, Method::Register | Method::Options);
        if is_worth_a_trace {
            let known = self.circumstances(now, &from);
            self.trace.keep(known, Kept::Read(message.clone()));
        }
        self.step(now, ShardInput::Sip { from, message }, is_worth_a_trace);
    }

    fn circumstances(&self, at: Duration, other: &Hop) -> Circumstances {
        match other {
            Hop::Phone(flow) => Circumstances {
                at,
                party: Party::Phone(flow.remote),
                local: flow.local,
                udp: flow.transport == Transport::Udp,
            },
            Hop::Cluster => {
                let local = self.around.phones.address();
                Circumstances { at, party: Party::Member(0), local, udp: false }
            }
        }
    }

    /// One step of the shard, and all that follows from it here.
    fn step(&mut self, now: Duration, input: ShardInput, is_worth_a_trace: bool) {
        self.lane.handle(now, input, &mut self.said);
        self.settle(now, is_worth_a_trace);
    }

    /// Does what the last step said: outputs here, words to other threads, and to the head.
    fn settle(&mut self, now: Duration, is_worth_a_trace: bool) {
        let mut out = std::mem::take(&mut self.said.out);
        for output in out.drain(..) {
            self.act(now, output, is_worth_a_trace);
        }
        self.said.out = out;
        for (to, word) in self.said.mail.drain(..) {
            self.handle.tell_thread(usize::from(to.0), Order::Shard(ShardInput::Word(word)));
        }
        if self.said.to_head.is_empty() {
            return;
        }
        for word in std::mem::take(&mut self.said.to_head) {
            self.report(now, word);
        }
    }

    fn report(&mut self, now: Duration, word: ToHead) {
        match self.head.is_some() {
            true => self.lead(now, HeadOrder::Lane(word)),
            false => self.handle.tell_thread(0, Order::Head(HeadOrder::Lane(word))),
        }
    }

    /// What the head is told, and what it has the shards hear.
    fn lead(&mut self, now: Duration, order: HeadOrder) {
        let Some(head) = &mut self.head else { return };
        let revision = revision_brought(&order);
        if revision.is_some() {
            self.lane.lay_down_tables();
        }
        let mut out = Vec::new();
        let sorted = match order {
            HeadOrder::Outside(CallInput::Member { from, message }) => {
                count(&self.counters.received, 1);
                let local = self.around.phones.address();
                let party = Party::Member(from.get());
                self.trace
                    .keep(Circumstances { at: now, party, local, udp: false }, Kept::Read(message.clone()));
                head.take(now, CallInput::Member { from, message }, &mut out)
            }
            HeadOrder::Outside(input) => head.take(now, input, &mut out),
            HeadOrder::Lane(word) => head.hear(word, &mut out),
        };
        for output in out {
            self.act(now, output, true);
        }
        match sorted {
            Some((Whom::One(shard), input)) if usize::from(shard.0) == self.number => {
                self.step(now, input, true)
            }
            Some((Whom::One(shard), input)) => {
                self.handle.tell_thread(usize::from(shard.0), Order::Shard(input));
            }
            Some((Whom::All, input)) => {
                for other in 1..self.handle.inboxes.len() {
                    if let Some(copy) = input.again() {
                        self.handle.tell_thread(other, Order::Shard(copy));
                    }
                }
                self.step(now, input, true);
            }
            None => {}
        }
        if let Some(revision) = revision {
            tracing::debug!(revision, "changes in force");
        }
    }

    fn act(&mut self, now: Duration, output: CallOutput, is_worth_a_trace: bool) {
        match output {
            CallOutput::SendPhone(send) => {
                if self.keeper.holds(&send) {
                    return;
                }
                if is_call(&send) && self.keeper.is_behind(&send.bytes) {
                    self.trace_sent(now, &send);
                    return self.keeper.queue(send);
                }
                self.send(send, is_worth_a_trace);
            }
            CallOutput::SendMember { to, bytes } => {
                count(&self.counters.sent, 1);
                let known = Circumstances {
                    at: now,
                    party: Party::Member(to.get()),
                    local: self.around.phones.address(),
                    udp: false,
                };
                self.trace.keep(known, Kept::Sent(bytes.clone()));
                if self.keeper.is_behind(&bytes) {
                    return self.keeper.queue_member(to, bytes);
                }
                self.around.members.send(to, bytes);
            }
            CallOutput::KeepBinding { change, then } => {
                if let call::BindingChange::Bound(binding) = &change {
                    let binding = binding.read();
                    self.around.phones.prove(&binding.flow, binding.until);
                }
                self.keeper.binding(&change, then);
                self.told.bindings = true;
            }
            CallOutput::KeepDialog { change, then, then_members } => {
                then.iter().for_each(|send| self.trace_sent(now, send));
                self.keeper.dialog(&change, then, then_members);
            }
            CallOutput::KeepSubscription { change, then } => self.keeper.subscription(&change, then),
            CallOutput::KeepRecord(record) => {
                count(&self.counters.ended, 1);
                tracing::debug!(session = %record.session, cause = %record.cause, "call ended");
                self.keeper.record(&record, self.around.uploads);
            }
            CallOutput::ToLink(notice) => self.around.link.tell(LinkInput::Calls(notice)),
            CallOutput::CallChanged(_) => self.told.calls = true,
            CallOutput::BindingsChanged(_) => self.told.bindings = true,
            CallOutput::Media(order) => self.around.media.order(order),
            CallOutput::Fault(fault) => {
                self.told.bans |= matches!(fault, call::Fault::Braked { .. });
                count(&self.counters.faults, 1);
                tracing::warn!(%fault, "the call side reports a fault");
            }
        }
    }

    fn trace_sent(&mut self, now: Duration, send: &PhoneSend) {
        let known = self.circumstances(now, &Hop::Phone(send.flow));
        self.trace.keep(known, Kept::Sent(send.bytes.clone()));
    }

    fn send(&mut self, send: PhoneSend, is_worth_a_trace: bool) {
        self.sends.push(send);
        self.traced.push(is_worth_a_trace);
        if self.sends.len() >= SENDS_MAX {
            let now = self.now();
            self.send_all(now);
        }
    }

    /// Sends what was said, and keeps of it what is worth a trace.
    fn send_all(&mut self, now: Duration) {
        if self.sends.is_empty() {
            return;
        }
        count(&self.counters.sent, self.sends.len());
        let mut sends = std::mem::take(&mut self.sends);
        let mut traced = std::mem::take(&mut self.traced);
        // Streams take the bytes; what is to be traced of them is copied first.
        for (send, _) in sends
            .iter()
            .zip(&traced)
            .filter(|(send, is)| **is && is_call(send) && send.flow.transport.is_reliable())
        {
            let known = self.circumstances(now, &Hop::Phone(send.flow));
            self.trace.keep(known, Kept::Sent(send.bytes.clone()));
        }
        self.around.phones.send(self.number, &mut sends);
        for (send, is_worth_a_trace) in sends.drain(..).zip(traced.drain(..)) {
            if is_worth_a_trace && !send.flow.transport.is_reliable() && is_call(&send) {
                let known = self.circumstances(now, &Hop::Phone(send.flow));
                self.trace.keep(known, Kept::Sent(send.bytes));
            }
        }
        self.sends = sends;
        self.traced = traced;
    }

    /// The end of a turn.
    fn flush(&mut self, now: Duration) {
        self.send_all(now);
        self.keeper.flush(&self.around, &self.counters);
        let Told { calls, bindings, bans } = std::mem::take(&mut self.told);
        if calls {
            self.around.hub.changed("calls");
        }
        if bindings {
            self.around.hub.changed("bindings");
        }
        if bans {
            self.around.hub.changed("bans");
        }
    }

    /// After the stop, on whatever thread: takes what other threads still had to say. True when there was something.
    pub(super) fn finish(&mut self) -> bool {
        let now = self.now();
        let mut told = false;
        while let Some(order) = self.overlooked.take().or_else(|| self.orders.next()) {
            told = true;
            self.order(now, order);
        }
        while self.register(now) {}
        self.flush(now);
        told
    }
}

/// The question whether a phone is there is not worth a trace.
fn is_call(send: &PhoneSend) -> bool {
    !send.bytes.starts_with(b"OPTIONS ")
}

pub(super) fn count(counter: &AtomicU64, more: usize) {
    counter.fetch_add(u64::try_from(more).unwrap_or(u64::MAX), Ordering::Relaxed);
}

/// The revision whose changes an order brings.
fn revision_brought(order: &HeadOrder) -> Option<u64> {
    match order {
        HeadOrder::Outside(CallInput::Changes(changes) | CallInput::Link(LinkNotice::Changes(changes))) => {
            changes.iter().map(Change::revision).max()
        }
        HeadOrder::Outside(_) | HeadOrder::Lane(_) => None,
    }
}
