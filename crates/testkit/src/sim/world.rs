//! The engine loop of a simulated life: it owns the clock, the network, the disks and the order of everything.
//!
//! It is the second engine loop of the house (the first is the daemon's): it drives the same
//! [`ipbx::member::Member`], and turns its outputs into events at invented instants.

use super::chance::Chance;
use super::checks::Ledger;
use super::disk::Write;
use super::host::{Host, member};
use super::media::Streams;
use super::network::{End, Segment, Stream, Weather};
use super::people::{Act, Desk, PHONES};
use super::sabotage::Sabotage;
use super::trace::Trace;
use super::{Coverage, landscape};
use crate::phone::machine;
use ::media::relay::StreamId;
use cluster::Conn;
use ipbx::member::{CallInput, CallOutput, Input, LinkInput, LinkOutput, Output, PhoneSend};
use model::{MemberNumber, Position};
use sip::{Flow, Message, Transport};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// When every simulated life begins.
pub(super) const T0: Duration = Duration::from_secs(1_800_000_000);

/// Something that will happen.
#[derive(Debug, Clone)]
pub(super) enum Event {
    /// A datagram reaches a phone.
    ToPhone(usize, Vec<u8>),
    /// A datagram of a phone reaches its member.
    FromPhone(usize, Vec<u8>),
    /// SIP of one member reaches another.
    ToMember { from: u16, to: u16, bytes: Vec<u8> },
    /// A dial has crossed the network, if it can.
    Dialled(Conn),
    /// The node's end of a new connection stands.
    Established(Conn),
    /// A piece of a link stream arrives.
    Segment(Conn, End, Segment),
    /// What waited while cut arrives.
    Released(Conn, End),
    /// The socket took these bytes.
    Sent(u16, Conn, usize),
    /// The relay of a member has closed a stream.
    MediaClosed(u16, StreamId),
    /// Somebody does something.
    Act(Act),
    /// Something befalls the world.
    Fate(Fate),
}

/// What befalls the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// Packets between this node and the cluster server stop.
    Cut(u16),
    /// They flow again.
    Heal(u16),
    /// The process dies (kill -9) and starts again after a while.
    Crash(u16),
    /// The process stops cleanly, its calls frozen, and starts again at once.
    Freeze(u16),
    /// The process starts.
    Start(u16),
    /// A phone loses its power and comes back.
    Unplug(usize),
    /// Somebody who is idle calls somebody.
    Dial(usize),
    /// The administrator changes something.
    Commit,
}

/// See the module.
#[derive(Debug)]
pub(super) struct World {
    pub(super) now: Duration,
    pub(super) chance: Chance,
    pub(super) hosts: BTreeMap<u16, Host>,
    pub(super) desks: Vec<Desk>,
    pub(super) ledger: Ledger,
    pub(super) trace: Trace,
    pub(super) coverage: Coverage,
    pub(super) broken: Option<Sabotage>,
    pub(super) cut: BTreeSet<u16>,
    pub(super) weather: Weather,
    /// True once people only end what they began.
    pub(super) quiet: bool,
    agenda: BTreeMap<(Duration, u64), Event>,
    /// When each machine and disk wants to be woken.
    timers: BTreeMap<Who, Duration>,
    scheduled: u64,
    pub(super) streams: BTreeMap<Conn, Stream>,
    pub(super) dials: u64,
    /// What the relays carry.
    pub(super) media: Streams,
    pub(super) revision: u64,
}

impl World {
    pub(super) fn new(seed: u64, broken: Option<Sabotage>, verbose: bool) -> World {
        let mut chance = Chance::new(seed);
        let mut hosts: BTreeMap<u16, Host> =
            [0, 1, 2].into_iter().map(|number| (number, Host::new(number, &mut chance))).collect();
        if let Some(server) = hosts.get_mut(&0) {
            server.disk.position = Position { history: 1 + chance.below(1 << 40), epoch: 0, revision: 1 };
            let records = landscape::records().into_iter();
            server.disk.records = records.map(|record| ((record.kind, record.key.clone()), record)).collect();
        }
        let weather = Weather {
            loss_percent: chance.below(6),
            double_percent: chance.below(4),
            delay_ms_max: chance.below(60),
        };
        let mut world = World {
            now: T0,
            chance,
            hosts,
            desks: Vec::new(),
            ledger: Ledger::default(),
            trace: Trace::new(verbose),
            coverage: Coverage::default(),
            broken,
            cut: BTreeSet::new(),
            weather,
            quiet: false,
            agenda: BTreeMap::new(),
            timers: BTreeMap::new(),
            scheduled: 0,
            streams: BTreeMap::new(),
            dials: 0,
            media: Streams::new(),
            revision: 1,
        };
        for number in [0, 1, 2] {
            world.start(number);
        }
        for index in 0..PHONES.len() {
            world.plug_in(index);
        }
        world
    }

    /// Lets an event happen after a while.
    pub(super) fn after(&mut self, delay: Duration, event: Event) {
        self.at(self.now + delay, event);
    }

    pub(super) fn at(&mut self, when: Duration, event: Event) {
        self.scheduled += 1;
        self.agenda.insert((when, self.scheduled), event);
    }

    /// Everything that happens until then.
    pub(super) fn run_until(&mut self, end: Duration) {
        loop {
            let planned = self.agenda.first_key_value().map(|((when, _), _)| *when);
            let (timer, who) = self.next_timer();
            match (planned, timer) {
                (Some(when), timer) if when <= end && timer.is_none_or(|due| when <= due) => {
                    self.now = self.now.max(when);
                    if let Some((_, event)) = self.agenda.pop_first() {
                        self.happen(event);
                    }
                }
                (_, Some(due)) if due <= end => {
                    self.now = self.now.max(due);
                    self.wake(who);
                }
                _ => break,
            }
        }
        self.now = end;
    }

    /// The first timer of any machine or disk.
    fn next_timer(&self) -> (Option<Duration>, Who) {
        let first = self.timers.iter().map(|(who, due)| (*due, *who)).min();
        first.map_or((None, Who::Phone(0)), |(due, who)| (Some(due), who))
    }

    /// Asks a machine or disk again when it wants to be woken: after each step of it.
    pub(super) fn look_at_timer(&mut self, who: Who) {
        let running = |number: &u16| self.hosts.get(number).filter(|host| host.process.is_some());
        let due = match &who {
            Who::Process(number) => running(number).and_then(|host| host.process.as_ref()?.next_timeout()),
            Who::Disk(number) => running(number).and_then(|host| host.disk.next_done()),
            Who::Phone(index) => self.desks.get(*index).and_then(|desk| desk.machine.next_timeout()),
        };
        match due {
            Some(due) => drop(self.timers.insert(who, due)),
            None => drop(self.timers.remove(&who)),
        }
    }

    fn wake(&mut self, who: Who) {
        match who {
            Who::Process(number) => self.tell(number, Input::Tick),
            Who::Disk(number) => self.written(number),
            Who::Phone(index) => self.phone(index, machine::Input::Tick),
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::ToPhone(index, bytes) => {
                if let Ok(message) = Message::parse(&bytes) {
                    self.phone(index, machine::Input::Received(message));
                }
            }
            Event::FromPhone(index, bytes) => self.phone_sends(index, &bytes),
            Event::ToMember { from, to, bytes } => {
                if !self.apart(from, to)
                    && let Ok(message) = Message::parse(&bytes)
                {
                    self.tell(to, Input::Calls(CallInput::Member { from: member(from), message }));
                }
            }
            Event::Dialled(conn) => self.dialled(conn),
            Event::Established(conn) => self.established(conn),
            Event::Segment(conn, to, segment) => self.segment(conn, to, segment),
            Event::Released(conn, to) => self.released(conn, to),
            Event::MediaClosed(number, id) => self.media_closed(number, id),
            Event::Sent(number, conn, count) => self.tell(number, Input::Link(LinkInput::Sent(conn, count))),
            Event::Act(act) => self.act(act),
            Event::Fate(fate) => self.befall(fate),
        }
    }

    /// A process takes an input; what it wants done is done.
    pub(super) fn tell(&mut self, number: u16, input: Input) {
        let now = self.now;
        let Some(process) = self.hosts.get_mut(&number).and_then(|host| host.process.as_mut()) else {
            return;
        };
        let mut out = Vec::new();
        process.handle(now, input, &mut out);
        self.look_at_timer(Who::Process(number));
        self.outputs(number, out);
    }

    pub(super) fn outputs(&mut self, number: u16, out: Vec<Output>) {
        for output in out {
            match output {
                Output::Calls(output) => self.of_calls(number, output),
                Output::Link(output) => self.of_link(number, output),
            }
        }
    }

    fn of_calls(&mut self, number: u16, output: CallOutput) {
        match output {
            CallOutput::SendPhone(send) => {
                // A transaction repeats an answer that still waits for the disk: the shell's duty is to hold it.
                if self.hosts.get(&number).is_none_or(|host| !host.disk.promises(&send)) {
                    self.send_phone(&send);
                }
            }
            CallOutput::SendMember { to, bytes } => self.send_member(number, to, bytes),
            CallOutput::KeepBinding { change, then } => {
                let early = self.broken == Some(Sabotage::BindingAcknowledgedEarly);
                let (now, later) = if early { (then, Vec::new()) } else { (Vec::new(), then) };
                now.into_iter().for_each(|send| self.send_phone(&send));
                self.write(number, Write::Binding { change, then: later });
            }
            CallOutput::KeepDialog { change, then, then_members } => {
                self.write(number, Write::Dialog { change, then, then_members });
            }
            CallOutput::KeepSubscription { change, then } => {
                self.write(number, Write::Subscription { change, then });
            }
            CallOutput::KeepRecord(record) => {
                self.trace.note(self.now, || {
                    format!(
                        "n{number} record {:?} {} {}",
                        record.role,
                        record.call_ids.join(","),
                        record.cause
                    )
                });
                self.ledger.ended(self.now, number, &record);
                if self.broken != Some(Sabotage::RecordForgotten) {
                    self.write(number, Write::Record(Box::new(record)));
                }
            }
            CallOutput::CallChanged(call) => self.look_at(number, call),
            CallOutput::Media(order) => self.relay_media(number, order),
            CallOutput::Fault(fault) => {
                self.trace.note(self.now, || format!("n{number} fault {fault}"));
                self.ledger.call_fault(self.now, number, &fault);
            }
            CallOutput::ToLink(_) | CallOutput::BindingsChanged(_) => {}
        }
    }

    fn of_link(&mut self, number: u16, output: LinkOutput) {
        match output {
            LinkOutput::Dial(conn) => self.dial(number, conn),
            LinkOutput::Send(conn, bytes) => self.send_link(number, conn, bytes),
            LinkOutput::Close(conn, reason) => {
                self.trace.note(self.now, || format!("n{number} closes {conn}: {reason:?}"));
                self.close(number, conn);
            }
            LinkOutput::KeepChanges { position, changes } => {
                let changes = if self.broken == Some(Sabotage::ChangeNotKept) { Vec::new() } else { changes };
                self.write(number, Write::Changes { position, changes });
            }
            LinkOutput::KeepSnapshot { position, mut records } => {
                if self.broken == Some(Sabotage::PartialSnapshot) {
                    records.pop();
                }
                self.write(number, Write::Snapshot { position, records });
            }
            LinkOutput::LogAcked(ids) => {
                if let Some(host) = self.hosts.get_mut(&number) {
                    ids.iter().for_each(|id| drop(host.disk.unacknowledged.remove(id)));
                }
            }
            LinkOutput::KeepLog(from, entry) => self.write(number, Write::Log(from, entry)),
            LinkOutput::UplinkState(state) => {
                self.trace.note(self.now, || format!("n{number} {state:?}"));
                if self.broken == Some(Sabotage::DownHangsUp) && state == cluster::uplink::StateName::Isolated
                {
                    self.hang_up_all(number);
                }
            }
            LinkOutput::NodeState(node, state) => {
                self.trace.note(self.now, || format!("n{number} sees n{node} {state:?}"));
            }
            LinkOutput::Fault(fault) => {
                self.trace.note(self.now, || format!("n{number} link fault {fault}"));
                self.ledger.link_fault(self.now, number, &fault);
            }
            LinkOutput::WantLogs | LinkOutput::ToCalls(_) => {}
        }
    }

    fn hang_up_all(&mut self, number: u16) {
        let Some(process) = self.hosts.get(&number).and_then(|host| host.process.as_ref()) else { return };
        let calls: Vec<call::CallId> =
            process.calls.edge().calls().into_iter().map(|view| view.call).collect();
        for call in calls {
            self.tell(number, Input::Calls(CallInput::HangUp(call)));
        }
    }

    /// A call has changed: how far has it come?
    fn look_at(&mut self, number: u16, call: call::CallId) {
        let process = self.hosts.get(&number).and_then(|host| host.process.as_ref());
        let calls = process.map(|process| process.calls.edge().calls()).unwrap_or_default();
        if let Some(view) = calls.iter().find(|view| view.call == call) {
            self.ledger.seen(number, view);
        }
    }

    pub(super) fn write(&mut self, number: u16, write: Write) {
        let Some(host) = self.hosts.get_mut(&number) else { return };
        host.disk.begin(self.now, write, &mut self.chance);
        self.look_at_timer(Who::Disk(number));
        // Crashes like to come while something is being written.
        if !self.quiet && self.chance.below(400) == 0 {
            let delay = self.chance.ms(0, 2);
            self.after(delay, Event::Fate(Fate::Crash(number)));
        }
    }

    /// A write of that host is on its disk.
    pub(super) fn written(&mut self, number: u16) {
        let Some(write) = self.hosts.get_mut(&number).and_then(|host| host.disk.done(self.now)) else {
            return;
        };
        self.look_at_timer(Who::Disk(number));
        match write {
            Write::Binding { then, .. } | Write::Subscription { then, .. } => {
                then.into_iter().for_each(|send| self.send_phone(&send))
            }
            Write::Dialog { then, then_members, .. } => {
                then.into_iter().for_each(|send| self.send_phone(&send));
                then_members.into_iter().for_each(|(to, bytes)| self.send_member(number, to, bytes));
            }
            Write::Changes { position, .. } | Write::Snapshot { position, .. } => {
                self.tell(number, Input::Link(LinkInput::Applied(position)));
            }
            Write::Log(from, entry) => self.tell(number, Input::Link(LinkInput::Recorded(from, entry.id))),
            Write::Commit { revision, changes } => {
                self.ledger.acknowledged(revision, &changes);
                self.tell(number, Input::Committed { revision, changes });
            }
            Write::Record(_) => {}
        }
    }

    // Phones.

    fn phone(&mut self, index: usize, input: machine::Input) {
        let Some(desk) = self.desks.get_mut(index) else { return };
        let mut out = Vec::new();
        desk.machine.handle(self.now, input, &mut out);
        self.look_at_timer(Who::Phone(index));
        for output in out {
            match output {
                machine::Output::Send(bytes) => {
                    for when in self.weather.arrivals(self.now, &mut self.chance) {
                        self.at(when, Event::FromPhone(index, bytes.clone()));
                    }
                }
                machine::Output::Event(event) => self.person(index, &event),
                machine::Output::Media(_) => {}
            }
        }
    }

    fn person(&mut self, index: usize, event: &crate::phone::Event) {
        let quiet = self.quiet;
        let Some(desk) = self.desks.get_mut(index) else { return };
        self.trace.note(self.now, || format!("{} {event:?}", desk.extension));
        let acts = desk.sees(index, event, quiet, &mut self.chance);
        if *event == crate::phone::Event::Answered {
            desk.crashes_then = self.ledger.crashes(desk.home);
        }
        if matches!(event, crate::phone::Event::Registered { .. }) {
            let (home, extension) = (desk.home, desk.extension);
            let kept = self
                .hosts
                .get(&home)
                .is_some_and(|host| host.disk.bindings.keys().any(|(kept, _)| kept == extension));
            self.ledger.registered(self.now, extension, kept);
        }
        for (after, act) in acts {
            self.after(after, Event::Act(act));
        }
    }

    fn act(&mut self, act: Act) {
        let Some(desk) = self.desks.get(act.desk) else { return };
        if desk.call == act.call {
            self.trace.note(self.now, || format!("{} does {:?}", desk.extension, act.command));
            self.phone(act.desk, machine::Input::Command(act.command));
        }
    }

    fn phone_sends(&mut self, index: usize, bytes: &[u8]) {
        let Some(desk) = self.desks.get(index) else { return };
        let flow = Flow {
            transport: Transport::Udp,
            local: desk.flow.remote,
            remote: desk.flow.local,
            connection: 0,
        };
        let home = desk.home;
        let Ok(message) = Message::parse(bytes) else { return };
        let message = if message.is_request() { message.stamped(flow.remote) } else { message };
        self.tell(home, Input::Calls(CallInput::Phone { flow, message }));
    }

    fn send_phone(&mut self, send: &PhoneSend) {
        let target = self.desks.iter().position(|desk| desk.flow.local == send.flow.remote);
        let Some(index) = target else { return };
        for when in self.weather.arrivals(self.now, &mut self.chance) {
            self.at(when, Event::ToPhone(index, send.bytes.clone()));
        }
    }

    /// Puts a phone on its desk and switches it on.
    pub(super) fn plug_in(&mut self, index: usize) {
        let Some((_, home)) = PHONES.get(index) else { return };
        let Some(host) = self.hosts.get(home) else { return };
        let desk = Desk::new(index, host, &mut self.chance);
        match self.desks.get_mut(index) {
            Some(old) => {
                let call = old.call + 1;
                *old = Desk { call, ..desk };
            }
            None => self.desks.push(desk),
        }
        self.phone(index, machine::Input::Command(crate::phone::Command::Register));
    }

    // Members.

    fn send_member(&mut self, from: u16, to: MemberNumber, bytes: Vec<u8>) {
        let to = u16::from(to);
        let bye = self.broken == Some(Sabotage::ByeDropped) && bytes.starts_with(b"BYE ");
        if !bye && !self.apart(from, to) {
            let when = self.now + self.chance.ms(1, 15);
            self.at(when, Event::ToMember { from, to, bytes });
        }
    }

    /// True when nothing passes between the two: a cut, or one is not there.
    pub(super) fn apart(&self, from: u16, to: u16) -> bool {
        let cut = self.cut.contains(&from.max(to));
        let dead = |number| self.hosts.get(&number).is_none_or(|host| host.process.is_none());
        cut || dead(from) || dead(to)
    }
}

/// Whose timer it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Who {
    Process(u16),
    Disk(u16),
    Phone(usize),
}
