//! All transactions of one owner: finds the machine of an event, and does what belongs to no single machine.

use super::client_invite::ClientInvite;
use super::client_other::ClientOther;
use super::server_invite::ServerInvite;
use super::server_other::ServerOther;
use super::{
    ClientEvent, ClientKey, Effect, Failure, Input, Limits, Output, ServerEvent, ServerKey, companion,
    identity,
};
use crate::token::hex;
use crate::{Hop, Message, Method, Name, Response, Status};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Retry-After of the 503 that a full layer answers with.
const RETRY_AFTER_FULL_S: u32 = 5;

/// Every transaction, client and server. Serde data.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(bound(serialize = "H: Serialize", deserialize = "H: Deserialize<'de>"))]
pub struct Layer<H> {
    limits: Limits,
    clients: BTreeMap<ClientKey, Entry<H, Client<H>>>,
    servers: BTreeMap<ServerKey, Entry<H, Server>>,
    /// Requests outside a dialog that are not refused, by what a copy of them shares; and INVITEs by what their
    /// ACK shares.
    identities: BTreeMap<String, ServerKey>,
    /// Who wants to be woken when.
    deadlines: BTreeSet<(Duration, Sleeper)>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Entry<H, M> {
    hop: H,
    machine: M,
    wake_at: Option<Duration>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
enum Client<H> {
    Invite(Box<ClientInvite<H>>),
    /// `ours`: the layer's own CANCEL, of which the user hears nothing.
    Other {
        machine: Box<ClientOther>,
        ours: bool,
    },
}

#[derive(Debug, Clone, Serialize, Deserialize)]
enum Server {
    Invite { machine: Box<ServerInvite>, identity: String },
    Other { machine: Box<ServerOther>, identity: String },
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Sleeper {
    Client(ClientKey),
    Server(ServerKey),
}

impl<H: Hop> Layer<H> {
    /// With nothing in it.
    #[must_use]
    pub fn new(limits: Limits) -> Layer<H> {
        Layer {
            limits,
            clients: BTreeMap::new(),
            servers: BTreeMap::new(),
            identities: BTreeMap::new(),
            deadlines: BTreeSet::new(),
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
        self.deadlines.first().map(|(at, _)| *at)
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
    }

    fn received_request(&mut self, now: Duration, from: H, message: Message, out: &mut Vec<Output<H>>) {
        let key = ServerKey::of(&message);
        match message.method() {
            Method::Ack => return self.received_ack(now, key, from, message, out),
            Method::Cancel => return self.received_cancel(now, key, from, message, out),
            _ => {}
        }
        if let Some(entry) = self.servers.get_mut(&key) {
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
        if self.len() >= self.limits.transactions_max {
            let full = Response::to(&message, Status::SERVICE_UNAVAILABLE)
                .header(Name::RetryAfter, RETRY_AFTER_FULL_S);
            return refuse(&from, full, &key, out);
        }
        self.open_server(now, &key, from.clone(), &message, identity);
        out.push(Output::Request { key, from, message });
    }

    fn open_server(&mut self, now: Duration, key: &ServerKey, hop: H, request: &Message, identity: String) {
        let reliable = hop.is_reliable();
        self.identities.insert(identity.clone(), key.clone());
        let machine = if *request.method() == Method::Invite {
            Server::Invite {
                machine: Box::new(ServerInvite::start(now, request.clone(), reliable)),
                identity,
            }
        } else {
            Server::Other { machine: Box::new(ServerOther::start(now, &self.limits, reliable)), identity }
        };
        self.servers.insert(key.clone(), Entry { hop, machine, wake_at: None });
        self.settle_server(key);
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
        if self.invite(&key).is_some_and(|invite| invite.accepted_tag().is_none()) {
            return self.step_server(now, &key, ServerEvent::Ack, out);
        }
        let confirmed = self.identities.get(&identity(&ack, &Method::Invite)).cloned().filter(|key| {
            self.invite(key).is_some_and(|invite| {
                invite.accepted_tag().is_some() && invite.accepted_tag() == ack.to().tag()
            })
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
        if self.servers.contains_key(&key) {
            return self.step_server(now, &key, ServerEvent::Again, out);
        }
        let target = ServerKey::cancelled_by(&cancel);
        let (status, tag, proceeding) = match self.invite(&target) {
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
        // A response with two Via was meant for somebody behind us (RFC 3261 §8.1.3.3).
        if !self.clients.contains_key(&key) || message.list(Name::Via).nth(1).is_some() {
            out.push(Output::Stray { from, message });
            return;
        }
        self.step_client(now, &key, ClientEvent::Response(&message), Some(&from), out);
    }

    fn send_request(&mut self, now: Duration, to: H, request: Message, ours: bool, out: &mut Vec<Output<H>>) {
        let key = ClientKey::of(&request);
        if self.len() >= self.limits.transactions_max || self.clients.contains_key(&key) {
            if !ours {
                out.push(Output::Failed { key, why: Failure::Full });
            }
            return;
        }
        let reliable = to.is_reliable();
        let mut effects = Vec::new();
        let machine = if *request.method() == Method::Invite {
            let machine = ClientInvite::start(now, &self.limits, request, reliable, &mut effects);
            Client::Invite(Box::new(machine))
        } else {
            let machine = ClientOther::start(now, &self.limits, request, reliable, &mut effects);
            Client::Other { machine: Box::new(machine), ours }
        };
        self.clients.insert(key.clone(), Entry { hop: to, machine, wake_at: None });
        self.settle_client(&key);
        self.client_effects(now, &key, effects, None, out);
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
        if self.clients.contains_key(key) {
            self.step_client(now, key, ClientEvent::Acknowledge { to: &to, ack }, None, out);
        } else {
            out.push(Output::Send { to, bytes: ack.to_bytes() });
        }
    }

    fn unreachable(&mut self, now: Duration, hop: &H, out: &mut Vec<Output<H>>) {
        let waiting = self.clients.iter().filter(|(_, entry)| entry.hop == *hop);
        let keys: Vec<ClientKey> = waiting.map(|(key, _)| key.clone()).collect();
        for key in keys {
            self.step_client(now, &key, ClientEvent::Unreachable, None, out);
        }
    }

    fn tick(&mut self, now: Duration, out: &mut Vec<Output<H>>) {
        while let Some((at, _)) = self.deadlines.first()
            && *at <= now
            && let Some((_, sleeper)) = self.deadlines.pop_first()
        {
            match sleeper {
                Sleeper::Client(key) => self.step_client(now, &key, ClientEvent::Tick, None, out),
                Sleeper::Server(key) => self.step_server(now, &key, ServerEvent::Tick, out),
            }
        }
    }

    fn invite(&self, key: &ServerKey) -> Option<&ServerInvite> {
        match &self.servers.get(key)?.machine {
            Server::Invite { machine, .. } => Some(machine),
            Server::Other { .. } => None,
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
        let Some(entry) = self.clients.get_mut(key) else { return };
        let mut effects = Vec::new();
        match &mut entry.machine {
            Client::Invite(machine) => machine.step(now, &self.limits, event, &mut effects),
            Client::Other { machine, .. } => machine.step(now, &self.limits, event, &mut effects),
        }
        let from = from.cloned().unwrap_or_else(|| entry.hop.clone());
        self.client_effects(now, key, effects, Some(from), out);
        self.settle_client(key);
    }

    fn client_effects(
        &mut self,
        now: Duration,
        key: &ClientKey,
        effects: Vec<Effect<H>>,
        from: Option<H>,
        out: &mut Vec<Output<H>>,
    ) {
        let Some(entry) = self.clients.get(key) else { return };
        let hop = entry.hop.clone();
        let ours = matches!(entry.machine, Client::Other { ours: true, .. });
        let cancel = match &entry.machine {
            Client::Invite(machine) if effects.contains(&Effect::Cancel) => {
                let invite = machine.request();
                companion(invite, Method::Cancel, invite.header(Name::To).unwrap_or_default())
            }
            _ => None,
        };
        for effect in effects {
            match effect {
                Effect::Send(bytes) => out.push(Output::Send { to: hop.clone(), bytes }),
                Effect::SendTo(to, bytes) => out.push(Output::Send { to, bytes }),
                Effect::Deliver(message) if !ours => {
                    let from = from.clone().unwrap_or_else(|| hop.clone());
                    out.push(Output::Response { key: key.clone(), from, message });
                }
                Effect::Fail(why) if !ours => out.push(Output::Failed { key: key.clone(), why }),
                Effect::Deliver(_) | Effect::Fail(_) | Effect::Cancel | Effect::Unacknowledged => {}
            }
        }
        if let Some(cancel) = cancel {
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
        let Some(entry) = self.servers.get_mut(key) else { return };
        let mut effects: Vec<Effect<H>> = Vec::new();
        let refused = matches!(event, ServerEvent::Respond(response)
            if response.status().is_some_and(|status| status.code() >= 300));
        let identity = match &mut entry.machine {
            Server::Invite { machine, identity } => {
                machine.step(now, &self.limits, event, &mut effects);
                identity
            }
            Server::Other { machine, identity } => {
                machine.step(now, &self.limits, event, &mut effects);
                identity
            }
        };
        if refused && self.identities.get(identity) == Some(key) {
            self.identities.remove(identity);
        }
        for effect in effects {
            match effect {
                Effect::Send(bytes) => out.push(Output::Send { to: entry.hop.clone(), bytes }),
                Effect::Unacknowledged => out.push(Output::Unacknowledged { key: key.clone() }),
                Effect::SendTo(..) | Effect::Deliver(_) | Effect::Cancel | Effect::Fail(_) => {}
            }
        }
        self.settle_server(key);
    }

    fn dismiss(&mut self, key: &ServerKey, response: &Message, out: &mut Vec<Output<H>>) {
        let Some(entry) = self.servers.remove(key) else { return };
        reset(&mut self.deadlines, Sleeper::Server(key.clone()), entry.wake_at, None);
        let (Server::Invite { identity, .. } | Server::Other { identity, .. }) = &entry.machine;
        if self.identities.get(identity) == Some(key) {
            self.identities.remove(identity);
        }
        out.push(Output::Send { to: entry.hop, bytes: response.to_bytes() });
    }

    /// Forgets a client that is over, else notes its next timer.
    fn settle_client(&mut self, key: &ClientKey) {
        let Some(entry) = self.clients.get_mut(key) else { return };
        let (over, wake_at) = match &entry.machine {
            Client::Invite(machine) => (machine.is_over(), machine.deadline()),
            Client::Other { machine, .. } => (machine.is_over(), machine.deadline()),
        };
        let before = std::mem::replace(&mut entry.wake_at, wake_at);
        reset(&mut self.deadlines, Sleeper::Client(key.clone()), before, wake_at);
        if over {
            self.clients.remove(key);
        }
    }

    /// Forgets a server that is over, else notes its next timer.
    fn settle_server(&mut self, key: &ServerKey) {
        let Some(entry) = self.servers.get_mut(key) else { return };
        let (over, wake_at, identity) = match &entry.machine {
            Server::Invite { machine, identity } => (machine.is_over(), machine.deadline(), identity),
            Server::Other { machine, identity } => (machine.is_over(), machine.deadline(), identity),
        };
        if over && self.identities.get(identity) == Some(key) {
            self.identities.remove(identity);
        }
        let before = std::mem::replace(&mut entry.wake_at, wake_at);
        reset(&mut self.deadlines, Sleeper::Server(key.clone()), before, wake_at);
        if over {
            self.servers.remove(key);
        }
    }
}

fn reset(
    deadlines: &mut BTreeSet<(Duration, Sleeper)>,
    sleeper: Sleeper,
    before: Option<Duration>,
    after: Option<Duration>,
) {
    if let Some(at) = before {
        deadlines.remove(&(at, sleeper.clone()));
    }
    if let Some(at) = after {
        deadlines.insert((at, sleeper));
    }
}

fn refuse<H: Hop>(to: &H, response: Response, key: &ServerKey, out: &mut Vec<Output<H>>) {
    out.push(Output::Send { to: to.clone(), bytes: response.to_tag(&stateless_tag(key)).bytes() });
}

/// The same request always gets the same tag, though nothing is remembered of it (RFC 3261 §8.2.7).
fn stateless_tag(key: &ServerKey) -> String {
    let hash = Sha256::digest(key.to_string().as_bytes());
    hex(hash.get(..8).unwrap_or_default())
}
