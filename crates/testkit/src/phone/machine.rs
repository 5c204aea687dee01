//! The phone as a pure machine: one line, one registration, one call, over one flow to its registrar.
//!
//! It knows no socket and no clock: messages and commands come in, bytes, events and changes of media come out.
//! A second call is answered busy, as a desk phone without call waiting does.

use super::call::Call;
use super::registration::Registration;
use super::watching::Watching;
use call::Look;
use media::sdp::Negotiated;
use sip::digest::{Client, Password};
use sip::transaction::{self, Limits};
use sip::{Flow, Message, Method, Name, NameAddr, Request, Response, ServerKey, Status, Tokens, Uri, Via};
use std::net::SocketAddr;
use std::time::Duration;

/// The methods a phone answers, for Allow.
pub(super) const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, INFO, NOTIFY";
/// Challenges answered for one request.
const CHALLENGES_MAX: u8 = 4;
/// What the phone calls itself.
const USER_AGENT: &str = "pleiad-phone";

/// Who the phone is.
#[derive(Debug, Clone)]
pub struct Line {
    /// Its number.
    pub extension: String,
    /// Its secret.
    pub password: String,
    /// The host of its own and other numbers' addresses.
    pub domain: String,
    /// How long a registration is asked for.
    pub expires_s: u32,
    /// Where it receives media.
    pub media: SocketAddr,
}

/// What the phone is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Registers, and goes on refreshing.
    Register,
    /// Removes its registration.
    Unregister,
    /// Calls a number.
    Call(String),
    /// Answers what rings.
    Answer,
    /// Declines what rings with this status.
    Reject(u16),
    /// Ends, cancels or declines the call.
    HangUp,
    /// Puts the other side on hold.
    Hold,
    /// Takes it back.
    Resume,
    /// Lights a lamp for a number, for as long as the phone lives.
    Watch(String),
}

/// What happens to the phone.
#[derive(Debug, Clone)]
pub enum Input {
    /// A message from the registrar.
    Received(Message),
    /// A person's act.
    Command(Command),
    /// The flow to the registrar is new (a TCP connection was made again).
    FlowChanged(Flow),
    /// Nothing but time.
    Tick,
}

/// What the phone wants done or told.
#[derive(Debug, Clone)]
pub enum Output {
    /// Bytes for the registrar.
    Send(Vec<u8>),
    /// Media go like this from now on; none = stop.
    Media(Option<Negotiated>),
    /// Something a person would notice.
    Event(Event),
}

/// What a person at the phone notices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The registration stands for so long.
    Registered {
        /// As granted.
        expires_s: u32,
    },
    /// The registration was removed.
    Unregistered,
    /// The registrar refused, or did not answer (408).
    RegistrationRefused {
        /// Its status.
        status: u16,
    },
    /// Somebody calls.
    Incoming {
        /// The number shown.
        from: String,
    },
    /// The call we make goes on: 180, 183 …
    Progress {
        /// The status.
        status: u16,
    },
    /// The call is up.
    Answered,
    /// The other side, or we, changed who sends.
    Changed {
        /// True while the other side holds us.
        held: bool,
    },
    /// A hold or resume of ours was refused; the call goes on as it was.
    ChangeRefused {
        /// The status, 491 for glare.
        status: u16,
    },
    /// The call is over.
    Ended(End),
    /// A lamp shows something else.
    Lamp {
        /// The number it is for.
        number: String,
        /// What it shows.
        shows: Look,
    },
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct End {
    /// The SIP status; 200 for a hang-up.
    pub status: u16,
    /// The reason phrase.
    pub text: String,
    /// The Q.850 cause of a Reason header (RFC 3326).
    pub q850: Option<u8>,
    /// True when it was this phone that ended it.
    pub by_us: bool,
}

pub(super) type Layer = sip::Layer<Flow>;

/// What every part of the phone needs to send.
#[derive(Debug)]
pub(super) struct Core {
    pub(super) line: Line,
    pub(super) flow: Flow,
    pub(super) tokens: Tokens,
    layer: Layer,
}

/// The phone.
#[derive(Debug)]
pub struct Machine {
    core: Core,
    registration: Registration,
    call: Call,
    watching: Watching,
}

impl Machine {
    /// A phone that does nothing yet.
    #[must_use]
    pub fn new(line: Line, flow: Flow, seed: [u8; 32]) -> Machine {
        let mut core = Core { line, flow, tokens: Tokens::new(seed), layer: Layer::new(Limits::default()) };
        let registration = Registration::new(&mut core);
        Machine { core, registration, call: Call::Idle, watching: Watching::default() }
    }

    /// Takes an input; what follows from it is appended to `out`.
    pub fn handle(&mut self, now: Duration, input: Input, out: &mut Vec<Output>) {
        match input {
            Input::Received(message) => {
                let from = self.core.flow;
                let message = if message.is_request() { message.stamped(from.remote) } else { message };
                self.layer(now, transaction::Input::Received { from, message }, out);
            }
            Input::Command(command) => self.command(now, command, out),
            Input::FlowChanged(flow) => {
                self.core.flow = flow;
                self.registration.renew(now, &mut self.core, out);
                self.watching.renew(now, &mut self.core, out);
            }
            Input::Tick => {
                self.layer(now, transaction::Input::Tick, out);
                self.registration.tick(now, &mut self.core, out);
                self.watching.tick(now, &mut self.core, out);
            }
        }
    }

    /// When the phone wants a [`Input::Tick`]: a retransmission or the refresh of its registration.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Duration> {
        let timers =
            [self.core.layer.next_timeout(), self.registration.next_timeout(), self.watching.next_timeout()];
        timers.into_iter().flatten().min()
    }

    /// What the lamp of a number shows; none before it was told anything.
    #[must_use]
    pub fn lamp(&self, number: &str) -> Option<Look> {
        self.watching.shows(number)
    }

    /// The Call-ID of the call that is up, as this phone believes.
    #[must_use]
    pub fn talking_in(&self) -> Option<&str> {
        self.call.talking_in()
    }

    /// True when there is no call at all.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.call.is_idle()
    }

    fn command(&mut self, now: Duration, command: Command, out: &mut Vec<Output>) {
        match command {
            Command::Register => self.registration.begin(now, &mut self.core, out),
            Command::Watch(number) => self.watching.begin(now, &number, &mut self.core, out),
            Command::Unregister => self.registration.end(now, &mut self.core, out),
            command => self.call.command(now, command, &mut self.core, out),
        }
    }

    fn layer(&mut self, now: Duration, input: transaction::Input<Flow>, out: &mut Vec<Output>) {
        let mut produced = Vec::new();
        self.core.layer.handle(now, input, &mut produced);
        // What the layer sends by itself (an ACK to a refusal) goes out before what we answer to its news.
        let (sent, news): (Vec<_>, Vec<_>) =
            produced.into_iter().partition(|output| matches!(output, transaction::Output::Send { .. }));
        for output in sent.into_iter().chain(news) {
            self.take(now, output, out);
        }
    }

    fn take(&mut self, now: Duration, output: transaction::Output<Flow>, out: &mut Vec<Output>) {
        let core = &mut self.core;
        match output {
            // What was meant for a server that was given up is not for the one that took its place.
            transaction::Output::Send { to, .. } if to.remote != core.flow.remote => {}
            transaction::Output::Send { bytes, .. } => out.push(Output::Send(bytes)),
            transaction::Output::Request { key, message, .. } => self.request(now, key, &message, out),
            transaction::Output::Cancelled { key, .. } => self.call.cancelled(now, &key, core, out),
            transaction::Output::Ack { message, .. } => self.call.acknowledged(&message, out),
            transaction::Output::Response { key, message, .. } => {
                if !self.registration.response(now, &key, &message, core, out)
                    && !self.watching.response(now, &key, &message, core, out)
                {
                    self.call.response(now, &key, &message, core, out);
                }
            }
            transaction::Output::Failed { key, .. } => {
                if !self.registration.failed(now, &key, out) && !self.watching.failed(now, &key) {
                    self.call.failed(&key, out);
                }
            }
            transaction::Output::Unacknowledged { .. } => self.call.command(now, Command::HangUp, core, out),
            transaction::Output::Stray { .. } => {}
        }
    }

    fn request(&mut self, now: Duration, key: ServerKey, request: &Message, out: &mut Vec<Output>) {
        let core = &mut self.core;
        if self.watching.notified(now, &key, request, core, out)
            || self.call.request(now, &key, request, core, out)
        {
            return;
        }
        let refusal = match request.method() {
            Method::Invite if request.is_in_dialog() => Status::NO_SUCH_CALL,
            Method::Invite => return self.call.incoming(now, key, request, core, out),
            Method::Options | Method::Notify if !request.is_in_dialog() => Status::OK,
            Method::Bye | Method::Info | Method::Update | Method::Options | Method::Notify => {
                Status::NO_SUCH_CALL
            }
            _ => Status::METHOD_NOT_ALLOWED,
        };
        let answer = Response::to(request, refusal).header(Name::Allow, ALLOW);
        core.respond(now, key, answer, out);
    }
}

impl Core {
    /// A Via with a fresh branch.
    pub(super) fn via(&mut self) -> Via {
        let local = self.flow.local;
        let branch = self.tokens.branch();
        Via::new(self.flow.transport.as_str(), local.ip(), Some(local.port()), &branch).with_rport()
    }

    /// `sip:number@domain`.
    pub(super) fn address_of(&self, number: &str) -> NameAddr {
        NameAddr::new(self.uri_of(number))
    }

    pub(super) fn uri_of(&self, number: &str) -> Uri {
        let domain = sip::Host::parse(&self.line.domain).unwrap_or_else(|| self.flow.remote.ip().into());
        Uri::sip(number, domain)
    }

    /// Where we are reached.
    pub(super) fn contact(&self) -> NameAddr {
        let local = self.flow.local;
        let uri = Uri::sip(&self.line.extension, local.ip()).with_port(local.port());
        let transport = self.flow.transport.as_str().to_ascii_lowercase();
        NameAddr::new(uri.with_param("transport", Some(&transport)))
    }

    /// Sends a request and gives it back, with the key of its transaction.
    pub(super) fn send(
        &mut self,
        now: Duration,
        request: Request,
        out: &mut Vec<Output>,
    ) -> Option<(sip::ClientKey, Message)> {
        let request = request.header(Name::UserAgent, USER_AGENT).header(Name::Allow, ALLOW);
        let message = ours(request.message())?;
        Some((self.transmit(now, &message, out), message))
    }

    fn transmit(&mut self, now: Duration, message: &Message, out: &mut Vec<Output>) -> sip::ClientKey {
        let key = sip::ClientKey::of(message);
        self.pass(now, transaction::Input::Request { to: self.flow, request: message.clone() }, out);
        key
    }

    /// The same request again, with the answer to the challenge of `response` (RFC 3261 § 22.2).
    pub(super) fn send_authorized(
        &mut self,
        now: Duration,
        request: &Message,
        response: &Message,
        out: &mut Vec<Output>,
    ) -> Option<(sip::ClientKey, Message)> {
        let (name, value) = self.authorization(request, response)?;
        let cseq = sip::CSeq { number: request.cseq().number + 1, method: request.method().clone() };
        let via = self.via();
        let edited = sip::Edit::of(request).pop_via().push_via(&via).set(Name::CSeq, cseq).set(name, value);
        let message = ours(edited.message())?;
        Some((self.transmit(now, &message, out), message))
    }

    pub(super) fn respond(
        &mut self,
        now: Duration,
        key: ServerKey,
        response: Response,
        out: &mut Vec<Output>,
    ) {
        let response = response.header(Name::Server, USER_AGENT);
        if let Some(response) = ours(response.message()) {
            self.pass(now, transaction::Input::Respond { key, response }, out);
        }
    }

    pub(super) fn cancel(&mut self, now: Duration, key: sip::ClientKey, out: &mut Vec<Output>) {
        self.pass(now, transaction::Input::Cancel { key }, out);
    }

    pub(super) fn acknowledge(
        &mut self,
        now: Duration,
        key: sip::ClientKey,
        ack: Request,
        out: &mut Vec<Output>,
    ) {
        if let Some(ack) = ours(ack.message()) {
            self.pass(now, transaction::Input::Acknowledge { key, to: self.flow, ack }, out);
        }
    }

    /// What we give to the layer ourselves makes it send, and nothing else.
    fn pass(&mut self, now: Duration, input: transaction::Input<Flow>, out: &mut Vec<Output>) {
        let mut produced = Vec::new();
        self.layer.handle(now, input, &mut produced);
        out.extend(produced.into_iter().filter_map(|output| match output {
            transaction::Output::Send { bytes, .. } => Some(Output::Send(bytes)),
            _ => None,
        }));
    }

    fn authorization(&mut self, request: &Message, response: &Message) -> Option<(Name, String)> {
        let cnonce = self.tokens.tag();
        let mut client =
            Client::challenged(response, &self.line.extension, &Password::Plain(self.line.password.clone()))?;
        let uri = request.request_uri()?.to_string();
        Some(client.authorization(request.method(), &uri, &cnonce))
    }
}

/// True when a refusal is a challenge worth an answer: the first one, or one that says that only the nonce was too old
/// (RFC 7616 § 3.3), as a registrar does that was started again meanwhile.
pub(super) fn is_answerable(response: &Message, tries: u8) -> bool {
    let name = match response.status() {
        Some(Status::UNAUTHORIZED) => Name::WwwAuthenticate,
        Some(Status::PROXY_AUTHENTICATION_REQUIRED) => Name::ProxyAuthenticate,
        _ => return false,
    };
    let stale =
        || response.headers(name).any(|challenge| challenge.to_ascii_lowercase().contains("stale=true"));
    tries == 0 || (tries < CHALLENGES_MAX && stale())
}

/// A message we built ourselves; when it is none, that is our own bug.
fn ours(message: Result<Message, sip::ParseError>) -> Option<Message> {
    message.inspect_err(|error| tracing::error!(%error, "the phone built a message that is none")).ok()
}
