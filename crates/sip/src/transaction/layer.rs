//! All transactions of one owner: finds the machine of an event, and does what belongs to no single machine.

use super::alarms::{Alarm, Alarms, Sleeper, Sleepers};
use super::client_invite::ClientInvite;
use super::client_other::ClientOther;
use super::key::{ClientKey, ServerKey, identity};
use super::server_invite::ServerInvite;
use super::server_other::ServerOther;
use super::table::{Spread, Table};
use super::{ClientEvent, Effect, Failure, Input, Limits, Output, ServerEvent};
use crate::via::ViaRef;
use crate::{Hop, Message, Method, Name, Response, Status};
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, VecDeque};
use std::time::Duration;

/// Retry-After of the 503 that a full layer answers with.
const RETRY_AFTER_FULL_S: u32 = 5;

/// Every transaction, client and server. Serde data.
#[derive(Debug, Clone)]
pub struct Layer<H> {
    pub(super) limits: Limits,
    pub(super) spread: Spread,
    pub(super) clients: Table<ClientEntry<H>>,
    pub(super) servers: Table<ServerEntry<H>>,
    /// Requests outside a dialog that are not refused, by what a copy of them shares; and INVITEs by what their
    /// ACK shares.
    pub(super) identities: HashMap<u64, u64, Spread>,
    alarms: Alarms,
    /// Servers of requests but INVITE that have their answer, the oldest first, and some that are over.
    answered: VecDeque<u64>,
    /// Room for what one step asks for; empty between two.
    effects: Vec<Effect<H>>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct ClientEntry<H> {
    hop: H,
    machine: Client<H>,
    #[serde(skip)]
    alarm: Alarm,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
enum Client<H> {
    Invite(Box<ClientInvite<H>>),
    /// `ours`: the layer's own CANCEL, of which the user hears nothing.
    Other {
        machine: ClientOther,
        ours: bool,
    },
}

impl<H: Hop> Client<H> {
    fn is_of(&self, branch: Option<&str>) -> bool {
        match self {
            Client::Invite(machine) => machine.is_of(branch),
            Client::Other { machine, .. } => machine.is_of(branch),
        }
    }

    /// When it wants to be woken; `None` when it is over.
    fn deadline(&self) -> Option<Option<Duration>> {
        let (over, deadline) = match self {
            Client::Invite(machine) => (machine.is_over(), machine.deadline()),
            Client::Other { machine, .. } => (machine.is_over(), machine.deadline()),
        };
        (!over).then_some(deadline)
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct ServerEntry<H> {
    hop: H,
    machine: Server,
    /// By which copies are known; `None` once it is refused.
    pub(super) identity: Option<u64>,
    #[serde(skip)]
    alarm: Alarm,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
enum Server {
    Invite(Box<ServerInvite>),
    Other(ServerOther),
}

impl Server {
    fn is_of(&self, via: ViaRef<'_>) -> bool {
        match self {
            Server::Invite(machine) => machine.is_of(via),
            Server::Other(machine) => machine.is_of(via),
        }
    }

    /// True when it is kept only to repeat its answer.
    fn is_answered_for_good(&self) -> bool {
        matches!(self, Server::Other(machine) if machine.is_answered())
    }

    /// When it wants to be woken; `None` when it is over.
    fn deadline(&self) -> Option<Option<Duration>> {
        let (over, deadline) = match self {
            Server::Invite(machine) => (machine.is_over(), machine.deadline()),
            Server::Other(machine) => (machine.is_over(), machine.deadline()),
        };
        (!over).then_some(deadline)
    }
}

impl<H: Hop> Layer<H> {
    /// With nothing in it.
    #[must_use]
    pub fn new(limits: Limits) -> Layer<H> {
        Layer::spread(limits, Spread::default())
    }

    /// The same with 16 random bytes, without which strangers could choose names that lie badly in its tables.
    #[must_use]
    pub fn keyed(limits: Limits, key: [u8; 16]) -> Layer<H> {
        Layer::spread(limits, Spread::of(key))
    }

    pub(super) fn spread(limits: Limits, spread: Spread) -> Layer<H> {
        Layer {
            limits,
            spread,
            clients: Table::new(spread),
            servers: Table::new(spread),
            identities: HashMap::with_hasher(spread),
            alarms: Alarms::default(),
            answered: VecDeque::new(),
            effects: Vec::new(),
        }
    }

    /// Transactions held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.clients.len() + self.servers.len()
    }

    /// True when none is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The earliest timer of any transaction.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Duration> {
        self.alarms.next()
    }

    /// The one way in.
    pub fn handle(&mut self, now: Duration, input: Input<H>, out: &mut Vec<Output<H>>) {
        match input {
            Input::Received { from, message } if message.is_request() => {
                self.received_request(now, from, message, out)
            }
            Input::Received { from, message } => self.received_response(now, from, message, out),
            Input::Request { to, request } => self.send_request(now, to, request, false, out),
            Input::Abandon { key } => self.step_client(now, &key, ClientEvent::Abandon, None, out),
            Input::Cancel { key } => self.step_client(now, &key, ClientEvent::Cancel, None, out),
            Input::Acknowledge { key, to, ack } => self.acknowledge(now, &key, to, &ack, out),
            Input::Respond { key, response } => {
                self.step_server(now, &key, ServerEvent::Respond(&response), out)
            }
            Input::Dismiss { key, response } => self.dismiss(&key, &response, out),
            Input::Unreachable { hop } => self.unreachable(now, &hop, out),
            Input::Tick => self.tick(now, out),
        }
        self.tidy_alarms();
    }

    fn received_request(&mut self, now: Duration, from: H, message: Message, out: &mut Vec<Output<H>>) {
        let key = ServerKey::of(&message);
        match message.method() {
            Method::Ack => return self.received_ack(now, key, from, message, out),
            Method::Cancel => return self.received_cancel(now, key, from, message, out),
            _ => {}
        }
        if let Some(entry) = self.servers.find_mut(key.number()) {
            if !entry.machine.is_of(message.via_ref()) {
                return refuse_for_now(&from, &message, &key, out);
            }
            // A peer that lost its connection repeats the request on the next one: the answer follows it.
            if from.is_reliable() {
                entry.hop = from;
            }
            return self.step_server(now, &key, ServerEvent::Again, out);
        }
        let identity = identity(&message, message.method());
        if !message.is_in_dialog() && self.identities.contains_key(&identity) {
            return refuse(&from, Response::to(&message, Status::LOOP_DETECTED), &key, out);
        }
        self.make_room();
        if self.len() >= self.limits.room_for(message.method()) {
            return refuse_for_now(&from, &message, &key, out);
        }
        self.open_server(now, &key, from.clone(), &message, identity);
        out.push(Output::Request { key, from, message });
    }

    /// When half of the layer is used, what is kept only to repeat an answer makes room, oldest first: else a few thousand
    /// registrations a second would fill it, each for the 32 s of Timer J. A copy of the request that comes later is a new
    /// request, as for a stateless server (RFC 3261 §8.2.7).
    fn make_room(&mut self) {
        while self.len() > self.limits.transactions_max / 2
            && let Some(name) = self.answered.pop_front()
        {
            let Some(entry) = self.servers.find(name) else { continue };
            if entry.machine.is_answered_for_good() {
                let identity = entry.identity;
                self.servers.take(name);
                self.forget_identity(identity, &ServerKey::numbered(name));
            }
        }
    }

    /// Notes every server that has its answer, as after a thaw.
    pub(super) fn note_answered(&mut self) {
        let all = self.servers.in_order().into_iter();
        self.answered =
            all.filter(|(_, entry)| entry.machine.is_answered_for_good()).map(|(name, _)| name).collect();
    }

    fn open_server(&mut self, now: Duration, key: &ServerKey, hop: H, request: &Message, identity: u64) {
        let reliable = hop.is_reliable();
        let is_invite = *request.method() == Method::Invite;
        let machine = if is_invite {
            Server::Invite(Box::new(ServerInvite::start(now, request.clone(), reliable)))
        } else {
            Server::Other(ServerOther::start(now, &self.limits, request.clone(), reliable))
        };
        let identity = (is_invite || !request.is_in_dialog()).then_some(identity);
        if let Some(identity) = identity {
            self.identities.insert(identity, key.number());
        }
        let mut alarm = Alarm::default();
        self.alarms.set(Sleeper::Server(key.number()), &mut alarm, machine.deadline().flatten());
        self.servers.put(key.number(), ServerEntry { hop, machine, identity, alarm });
    }

    /// An ACK has the branch of a refused INVITE, or one of its own when it confirms a 2xx (RFC 3261 §17.1.1.3).
    fn received_ack(
        &mut self,
        now: Duration,
        key: ServerKey,
        from: H,
        ack: Message,
        out: &mut Vec<Output<H>>,
    ) {
        if self
            .invite(&key)
            .is_some_and(|invite| invite.accepted_tag().is_none() && invite.is_of(ack.via_ref()))
        {
            return self.step_server(now, &key, ServerEvent::Ack, out);
        }
        let named =
            self.identities.get(&identity(&ack, &Method::Invite)).map(|name| ServerKey::numbered(*name));
        let confirmed = named.filter(|key| {
            let tag = self.invite(key).and_then(ServerInvite::accepted_tag);
            tag.is_some() && tag == ack.to_tag()
        });
        let Some(key) = confirmed else {
            out.push(Output::Ack { key: None, from, message: ack });
            return;
        };
        if self.invite(&key).is_some_and(|invite| !invite.is_acknowledged()) {
            self.step_server(now, &key, ServerEvent::Ack, out);
            out.push(Output::Ack { key: Some(key), from, message: ack });
        }
    }

    /// RFC 3261 §9.2: the CANCEL has an answer of its own, whatever becomes of the INVITE.
    fn received_cancel(
        &mut self,
        now: Duration,
        key: ServerKey,
        from: H,
        cancel: Message,
        out: &mut Vec<Output<H>>,
    ) {
        if self.servers.has(key.number()) {
            return self.step_server(now, &key, ServerEvent::Again, out);
        }
        let target = ServerKey::cancelled_by(&cancel);
        let invite = self.invite(&target).filter(|invite| invite.is_of(cancel.via_ref()));
        let (status, tag, proceeding) = match invite {
            Some(invite) => (Status::OK, invite.our_tag().map(str::to_owned), invite.is_proceeding()),
            None => (Status::NO_SUCH_CALL, None, false),
        };
        let tag = tag.unwrap_or_else(|| stateless_tag(&target));
        let Ok(answer) = Response::to(&cancel, status).to_tag(&tag).message() else { return };
        if self.len() >= self.limits.transactions_max {
            out.push(Output::Send { to: from, bytes: answer.to_bytes() });
        } else {
            let identity = identity(&cancel, &Method::Cancel);
            self.open_server(now, &key, from, &cancel, identity);
            self.step_server(now, &key, ServerEvent::Respond(&answer), out);
        }
        if proceeding {
            out.push(Output::Cancelled { key: target, cancel });
        }
    }

    fn received_response(&mut self, now: Duration, from: H, message: Message, out: &mut Vec<Output<H>>) {
        let key = ClientKey::of(&message);
        let entry = self.clients.find(key.number());
        let known = entry.is_some_and(|entry| entry.machine.is_of(message.branch()));
        // A response with two Via was meant for somebody behind us (RFC 3261 §8.1.3.3).
        if !known || message.list(Name::Via).nth(1).is_some() {
            out.push(Output::Stray { from, message });
            return;
        }
        self.step_client(now, &key, ClientEvent::Response(&message), Some(&from), out);
    }

    fn send_request(&mut self, now: Duration, to: H, request: Message, ours: bool, out: &mut Vec<Output<H>>) {
        let key = ClientKey::of(&request);
        if self.len() >= self.limits.transactions_max || self.clients.has(key.number()) {
            if !ours {
                out.push(Output::Failed { key, why: Failure::Full });
            }
            return;
        }
        let reliable = to.is_reliable();
        let mut effects = std::mem::take(&mut self.effects);
        let machine = if *request.method() == Method::Invite {
            let machine = ClientInvite::start(now, &self.limits, request, reliable, &mut effects);
            Client::Invite(Box::new(machine))
        } else {
            let machine = ClientOther::start(now, &self.limits, request, reliable, &mut effects);
            Client::Other { machine, ours }
        };
        for effect in effects.drain(..) {
            if let Effect::Send(wire) = effect {
                out.push(Output::Send { to: to.clone(), bytes: wire.to_vec() });
            }
        }
        self.effects = effects;
        let mut alarm = Alarm::default();
        self.alarms.set(Sleeper::Client(key.number()), &mut alarm, machine.deadline().flatten());
        self.clients.put(key.number(), ClientEntry { hop: to, machine, alarm });
    }

    /// When the INVITE is no longer known the ACK goes out all the same: a late one still ends a retransmission.
    fn acknowledge(
        &mut self,
        now: Duration,
        key: &ClientKey,
        to: H,
        ack: &Message,
        out: &mut Vec<Output<H>>,
    ) {
        if self.clients.has(key.number()) {
            self.step_client(now, key, ClientEvent::Acknowledge { to: &to, ack }, None, out);
        } else {
            out.push(Output::Send { to, bytes: ack.to_bytes() });
        }
    }

    fn unreachable(&mut self, now: Duration, hop: &H, out: &mut Vec<Output<H>>) {
        let all = self.clients.in_order().into_iter();
        let waiting: Vec<u64> = all.filter(|(_, entry)| entry.hop == *hop).map(|(name, _)| name).collect();
        for name in waiting {
            self.step_client(now, &ClientKey::numbered(name), ClientEvent::Unreachable, None, out);
        }
    }

    fn tick(&mut self, now: Duration, out: &mut Vec<Output<H>>) {
        while let Some(sleeper) = self.due(now) {
            match sleeper {
                Sleeper::Client(name) => {
                    self.step_client(now, &ClientKey::numbered(name), ClientEvent::Tick, None, out);
                }
                Sleeper::Server(name) => {
                    self.step_server(now, &ServerKey::numbered(name), ServerEvent::Tick, out);
                }
            }
        }
    }

    fn due(&mut self, now: Duration) -> Option<Sleeper> {
        let Layer { clients, servers, alarms, .. } = self;
        alarms.due(now, &mut Both { clients, servers })
    }

    fn tidy_alarms(&mut self) {
        if self.alarms.is_overgrown(self.len()) {
            self.set_alarms_anew();
        }
        let Layer { clients, servers, alarms, .. } = self;
        alarms.tidy(&mut Both { clients, servers });
    }

    /// Asks every machine when it wants to be woken.
    pub(super) fn set_alarms_anew(&mut self) {
        self.alarms.clear();
        let clients = self.clients.in_order().into_iter().map(|(name, _)| Sleeper::Client(name));
        let servers = self.servers.in_order().into_iter().map(|(name, _)| Sleeper::Server(name));
        let sleepers: Vec<Sleeper> = clients.chain(servers).collect();
        for sleeper in sleepers {
            let wake_at = match sleeper {
                Sleeper::Client(name) => self.clients.find(name).and_then(|entry| entry.machine.deadline()),
                Sleeper::Server(name) => self.servers.find(name).and_then(|entry| entry.machine.deadline()),
            };
            let mut both = Both { clients: &mut self.clients, servers: &mut self.servers };
            if let Some(alarm) = both.alarm(sleeper) {
                *alarm = Alarm::default();
                self.alarms.set(sleeper, alarm, wake_at.flatten());
            }
        }
    }

    /// True while it has the server transaction of that name.
    #[must_use]
    pub fn serves(&self, key: &ServerKey) -> bool {
        self.servers.has(key.number())
    }

    fn invite(&self, key: &ServerKey) -> Option<&ServerInvite> {
        match &self.servers.find(key.number())?.machine {
            Server::Invite(machine) => Some(machine),
            Server::Other(_) => None,
        }
    }

    fn step_client(
        &mut self,
        now: Duration,
        key: &ClientKey,
        event: ClientEvent<'_, H>,
        from: Option<&H>,
        out: &mut Vec<Output<H>>,
    ) {
        let Some(entry) = self.clients.find_mut(key.number()) else { return };
        let mut effects = std::mem::take(&mut self.effects);
        match &mut entry.machine {
            Client::Invite(machine) => machine.step(now, &self.limits, event, &mut effects),
            Client::Other { machine, .. } => machine.step(now, &self.limits, event, &mut effects),
        }
        let ours = matches!(entry.machine, Client::Other { ours: true, .. });
        let mut cancels = None;
        for effect in effects.drain(..) {
            match effect {
                Effect::Send(wire) => out.push(Output::Send { to: entry.hop.clone(), bytes: wire.to_vec() }),
                Effect::SendTo(to, wire) => out.push(Output::Send { to, bytes: wire.to_vec() }),
                Effect::Deliver(message) if !ours => {
                    let from = from.unwrap_or(&entry.hop).clone();
                    out.push(Output::Response { key: key.clone(), from, message });
                }
                Effect::Fail(why) if !ours => out.push(Output::Failed { key: key.clone(), why }),
                Effect::Cancel(cancel) => cancels = Some((entry.hop.clone(), cancel)),
                Effect::Deliver(_) | Effect::Fail(_) | Effect::Unacknowledged => {}
            }
        }
        self.effects = effects;
        match entry.machine.deadline() {
            Some(wake_at) => self.alarms.set(Sleeper::Client(key.number()), &mut entry.alarm, wake_at),
            None => drop(self.clients.take(key.number())),
        }
        if let Some((hop, cancel)) = cancels {
            self.send_request(now, hop, cancel, true, out);
        }
    }

    fn step_server(
        &mut self,
        now: Duration,
        key: &ServerKey,
        event: ServerEvent<'_>,
        out: &mut Vec<Output<H>>,
    ) {
        let Some(entry) = self.servers.find_mut(key.number()) else { return };
        let mut effects = std::mem::take(&mut self.effects);
        let responds = matches!(event, ServerEvent::Respond(_));
        let refused = matches!(event, ServerEvent::Respond(response)
            if response.status().is_some_and(|status| status.code() >= 300));
        match &mut entry.machine {
            Server::Invite(machine) => machine.step(now, &self.limits, event, &mut effects),
            Server::Other(machine) => machine.step(now, &self.limits, event, &mut effects),
        }
        for effect in effects.drain(..) {
            match effect {
                Effect::Send(wire) => out.push(Output::Send { to: entry.hop.clone(), bytes: wire.to_vec() }),
                Effect::Unacknowledged => out.push(Output::Unacknowledged { key: key.clone() }),
                Effect::SendTo(..) | Effect::Deliver(_) | Effect::Cancel(_) | Effect::Fail(_) => {}
            }
        }
        self.effects = effects;
        let deadline = entry.machine.deadline();
        // A request that was refused is none that a copy of it could be merged with: phones exist that repeat the
        // CSeq after a 401.
        let shared = if refused || deadline.is_none() { entry.identity.take() } else { None };
        match deadline {
            Some(wake_at) => {
                if responds && entry.machine.is_answered_for_good() {
                    self.answered.push_back(key.number());
                }
                self.alarms.set(Sleeper::Server(key.number()), &mut entry.alarm, wake_at);
            }
            None => {
                drop(self.servers.take(key.number()));
                while self.answered.front().is_some_and(|name| !self.servers.has(*name)) {
                    self.answered.pop_front();
                }
            }
        }
        self.forget_identity(shared, key);
    }

    fn dismiss(&mut self, key: &ServerKey, response: &Message, out: &mut Vec<Output<H>>) {
        let Some(entry) = self.servers.take(key.number()) else { return };
        self.forget_identity(entry.identity, key);
        out.push(Output::Send { to: entry.hop, bytes: response.to_bytes() });
    }

    fn forget_identity(&mut self, identity: Option<u64>, key: &ServerKey) {
        if let Some(identity) = identity
            && self.identities.get(&identity) == Some(&key.number())
        {
            self.identities.remove(&identity);
        }
    }
}

/// Both sides, as the alarms see them.
struct Both<'a, H> {
    clients: &'a mut Table<ClientEntry<H>>,
    servers: &'a mut Table<ServerEntry<H>>,
}

impl<H> Sleepers for Both<'_, H> {
    fn alarm(&mut self, sleeper: Sleeper) -> Option<&mut Alarm> {
        match sleeper {
            Sleeper::Client(name) => self.clients.find_mut(name).map(|entry| &mut entry.alarm),
            Sleeper::Server(name) => self.servers.find_mut(name).map(|entry| &mut entry.alarm),
        }
    }
}

fn refuse<H: Hop>(to: &H, response: Response, key: &ServerKey, out: &mut Vec<Output<H>>) {
    out.push(Output::Send { to: to.clone(), bytes: response.to_tag(&stateless_tag(key)).bytes() });
}

fn refuse_for_now<H: Hop>(to: &H, request: &Message, key: &ServerKey, out: &mut Vec<Output<H>>) {
    let response = Response::to(request, Status::SERVICE_UNAVAILABLE);
    refuse(to, response.header(Name::RetryAfter, RETRY_AFTER_FULL_S), key, out);
}

/// The same request always gets the same tag, though nothing is remembered of it (RFC 3261 §8.2.7).
fn stateless_tag(key: &ServerKey) -> String {
    key.to_string()
}
