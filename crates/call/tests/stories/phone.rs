//! A phone as the stories use it: it does what it is told, answers what it must, and remembers what it heard.
//!
//! It is a real user agent over the transactions and dialogs of `sip`; what it hears is noted in short words:
//! `180`, `200`, `486/17`, `BYE/16`, `CANCEL`, `ACK`, `INVITE`, `INFO 200`.

use crate::watcher::{Watch, challenge_without_sha};
use crate::world::{edge_address, secret_of};
use sip::digest::{Client, Password};
use sip::transaction::{Input, Limits, Output};
use sip::{
    ClientKey, Dialog, Flow, Host, Layer, Message, Method, Name, NameAddr, Request, Response, ServerKey,
    Status, Tokens, Transport, Uri, Via,
};
use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

/// Bytes from a phone, with the flow as its edge sees it.
pub(crate) struct PhoneOutput {
    pub(crate) flow: Flow,
    pub(crate) bytes: Vec<u8>,
}

/// What a phone does when it is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WhenCalled {
    Ring,
    Busy,
    Decline,
    Refuse(u16),
    /// Not even a 100.
    Mute,
}

#[derive(Debug)]
pub(crate) struct PhoneCall {
    pub(crate) invite: Message,
    /// The INVITE it has not answered yet.
    pub(crate) server: Option<ServerKey>,
    /// Its own INVITE.
    pub(crate) client: Option<ClientKey>,
    pub(crate) tag: String,
    /// Before the answer, once a response has made it.
    pub(crate) early: Option<Dialog>,
    pub(crate) dialog: Option<Dialog>,
    pub(crate) late_offer: bool,
    /// The number of its last reliable response.
    pub(crate) rseq: u32,
}

pub(crate) struct Phone {
    pub(crate) number: String,
    /// What the story calls it: its number, but for a second phone of a subscriber.
    pub(crate) name: String,
    pub(crate) member: u16,
    pub(crate) registered: bool,
    pub(crate) when_called: WhenCalled,
    pub(crate) heard: Vec<String>,
    /// Bodies heard, in order.
    pub(crate) sdp: Vec<String>,
    /// It sends no ACK.
    pub(crate) keeps_ack: bool,
    /// It does not answer re-INVITEs until told.
    pub(crate) thinks: bool,
    /// `+sip.instance`, when it has one.
    pub(crate) instance: Option<String>,
    pub(crate) secret: String,
    /// The number it registers: its own, unless it lies.
    pub(crate) registers: String,
    /// It registers `Contact: *`.
    pub(crate) star: bool,
    /// Further headers of its registrations.
    pub(crate) extra: Vec<(Name, String)>,
    pub(crate) knows_md5_only: bool,
    pub(crate) max_forwards: Option<u8>,
    /// Its offers are long.
    pub(crate) long_words: bool,
    /// It takes no offer that does not say this: `RTP/SAVP`.
    pub(crate) keying: Option<&'static str>,
    /// The address it believes it has, behind a NAT.
    pub(crate) inside_address: Option<[u8; 4]>,
    /// Its offers are exactly this.
    pub(crate) exact_words: Option<String>,
    /// The domain it calls in.
    pub(crate) domain: String,
    pub(crate) user_agent: Option<String>,
    /// The port it is called at, when it is another than it sends from.
    pub(crate) listens_on: Option<u16>,
    pub(crate) last_response: Option<Message>,
    pub(crate) last_challenge: Option<Message>,
    pub(crate) last_body: Vec<u8>,
    /// What its INVITEs say beside.
    pub(crate) says: Vec<(Name, String)>,
    /// What its answers say beside: to INVITE, re-INVITE and UPDATE.
    pub(crate) answers: Vec<(Name, String)>,
    /// Where it sends its calls, when it refuses with 302.
    pub(crate) moved_to: String,
    /// The shortest session timer it takes, when it is longer than usual.
    pub(crate) insists_on_s: Option<u32>,
    /// It refuses every offer inside a call.
    pub(crate) refuses_offers: Option<u16>,
    /// It leaves reliable responses unconfirmed.
    pub(crate) keeps_prack: bool,
    /// The words of its PRACK.
    pub(crate) prack_words: Option<&'static str>,
    /// Every request but OPTIONS, and every response, as it came.
    pub(crate) requests: Vec<Message>,
    pub(crate) responses: Vec<Message>,
    /// Calls it has put aside.
    pub(crate) parked: Vec<PhoneCall>,
    /// Its lamps.
    pub(crate) watches: Vec<Watch>,
    flow: Flow,
    /// Of its own requests: what tells its answers from those of another set behind the same gateway.
    branches: BTreeSet<String>,
    unplugged: bool,
    layer: Layer<Flow>,
    pub(crate) tokens: Tokens,
    pub(crate) todo: VecDeque<Input<Flow>>,
    out: Vec<PhoneOutput>,
    pub(crate) call: Option<PhoneCall>,
    thinking: Option<(ServerKey, Message)>,
    register_cseq: u32,
    register_expires_s: u32,
    register_call_id: String,
}

impl Phone {
    pub(crate) fn new(number: &str, member: u16, transport: Transport) -> Phone {
        let port: u16 = number.parse().unwrap();
        let flow = Flow {
            transport,
            local: edge_address(member),
            remote: SocketAddr::from(([192, 168, u8::try_from(member).unwrap(), 7], port)),
            connection: u64::from(transport != Transport::Udp),
        };
        let mut seed = [7; 32];
        seed[..4].copy_from_slice(number.as_bytes());
        // A phone that takes the place of one on UDP repeats none of its names.
        seed[31] ^= u8::from(transport == Transport::Tls);
        let mut tokens = Tokens::new(seed);
        Phone {
            number: number.to_owned(),
            name: number.to_owned(),
            member,
            registered: false,
            when_called: WhenCalled::Ring,
            heard: Vec::new(),
            sdp: Vec::new(),
            keeps_ack: false,
            thinks: false,
            instance: None,
            secret: secret_of(number),
            registers: number.to_owned(),
            star: false,
            extra: Vec::new(),
            knows_md5_only: false,
            max_forwards: None,
            long_words: false,
            keying: None,
            inside_address: None,
            exact_words: None,
            domain: "pleiad.test".to_owned(),
            user_agent: Some("story/1".to_owned()),
            listens_on: None,
            last_response: None,
            last_challenge: None,
            last_body: Vec::new(),
            says: Vec::new(),
            answers: Vec::new(),
            moved_to: String::new(),
            insists_on_s: None,
            refuses_offers: None,
            keeps_prack: false,
            prack_words: None,
            requests: Vec::new(),
            responses: Vec::new(),
            parked: Vec::new(),
            watches: Vec::new(),
            flow,
            branches: BTreeSet::new(),
            unplugged: false,
            layer: Layer::new(Limits::default()),
            register_call_id: tokens.call_id("phone"),
            tokens,
            todo: VecDeque::new(),
            out: Vec::new(),
            call: None,
            thinking: None,
            register_cseq: 0,
            register_expires_s: 0,
        }
    }

    /// Makes it another phone of the same subscriber.
    pub(crate) fn take_port(&mut self, port: u16, name: &str) {
        self.flow.remote.set_port(port);
        self.name = name.to_owned();
        self.tokens = Tokens::new([9; 32]);
        self.register_call_id = self.tokens.call_id("twin");
    }

    pub(crate) fn is_at(&self, flow: &Flow) -> bool {
        let mut called_at = self.flow;
        called_at.remote.set_port(self.listens_on.unwrap_or(self.flow.remote.port()));
        self.flow == *flow || called_at == *flow
    }

    /// True when it is at this address, and meant by this message: sets behind one gateway share the address.
    pub(crate) fn is_meant(&self, flow: &Flow, message: &Message) -> bool {
        let meant = match message.request_uri() {
            Some(uri) => uri.user() == self.number,
            None => message.via().branch().is_some_and(|branch| self.branches.contains(branch)),
        };
        meant && self.is_at(flow)
    }

    /// It is a set behind a gateway, which has this address for all its sets.
    pub(crate) fn sit_behind(&mut self, gateway: SocketAddr) {
        self.flow.remote = gateway;
    }

    pub(crate) fn edge_flow(&self) -> Flow {
        self.flow
    }

    pub(crate) fn is_idle(&self) -> bool {
        (self.call.is_none() && self.parked.is_empty()) || self.unplugged
    }

    /// It is called and has not answered.
    pub(crate) fn rings(&self) -> bool {
        self.call.as_ref().is_some_and(|call| call.server.is_some())
    }

    /// It calls and nobody has answered.
    pub(crate) fn calls(&self) -> bool {
        self.call.as_ref().is_some_and(|call| call.client.is_some() && call.dialog.is_none())
    }

    pub(crate) fn talks(&self) -> bool {
        self.call.as_ref().is_some_and(|call| call.dialog.is_some())
    }

    /// Ends whatever it is doing.
    pub(crate) fn give_up(&mut self) {
        if self.talks() {
            self.hang_up();
        } else if self.calls() {
            self.cancel();
        }
    }

    pub(crate) fn next_timeout(&self) -> Option<Duration> {
        self.layer.next_timeout()
    }

    /// The cable is pulled: nothing in, nothing out.
    pub(crate) fn unplug(&mut self) {
        self.unplugged = true;
    }

    /// A new TCP connection from another port.
    pub(crate) fn reconnect(&mut self, now: Duration) -> Flow {
        let old = self.flow;
        self.flow.connection += 1;
        self.flow.remote.set_port(old.remote.port() + 10_000);
        let mut out = Vec::new();
        self.layer.handle(now, Input::Unreachable { hop: old }, &mut out);
        old
    }

    pub(crate) fn via(&mut self) -> Via {
        let branch = self.tokens.branch();
        self.branches.insert(branch.clone());
        let local = self.flow.remote;
        Via::new(self.flow.transport.as_str(), Host::from(local.ip()), Some(local.port()), &branch)
            .with_rport()
    }

    pub(crate) fn contact(&self) -> NameAddr {
        let port = self.listens_on.unwrap_or(self.flow.remote.port());
        let uri = Uri::sip(&self.number, Host::from(self.own_address())).with_port(port);
        let stream = self.flow.transport == Transport::Tcp;
        NameAddr::new(if stream { uri.with_param("transport", Some("tcp")) } else { uri })
    }

    fn signed(&self, request: Request) -> Request {
        match &self.user_agent {
            Some(agent) => request.header(Name::UserAgent, agent),
            None => request,
        }
    }

    pub(crate) fn come_from(&mut self, address: [u8; 4]) {
        self.flow.remote.set_ip(address.into());
    }

    pub(crate) fn turn_back_cseq(&mut self, by: u32) {
        self.register_cseq -= by;
    }

    pub(crate) fn last_invite(&self) -> String {
        let invite = &self.call.as_ref().expect("it calls").invite;
        String::from_utf8(invite.to_bytes()).unwrap()
    }

    fn domain(user: &str) -> Uri {
        Uri::sip(user, Host::Name("pleiad.test".to_owned()))
    }

    /// A request outside any dialog.
    pub(crate) fn draft(
        &mut self,
        method: Method,
        uri: &Uri,
        cseq: u32,
        call_id: &str,
        tag: &str,
    ) -> Request {
        let from = NameAddr::new(Phone::domain(&self.number)).with_tag(tag);
        let to = NameAddr::new(uri.clone());
        let via = self.via();
        let request = Request::new(method, uri).via(&via).from(&from).to(&to).call_id(call_id).cseq(cseq);
        let request = self.signed(request);
        match self.max_forwards {
            Some(hops) => request.max_forwards(hops),
            None => request,
        }
    }

    pub(crate) fn send(&mut self, request: Request) {
        let request = request.message().unwrap();
        self.todo.push_back(Input::Request { to: self.flow, request });
    }

    fn register_request(&mut self, expires_s: u32) -> Request {
        self.register_cseq += 1;
        let (cseq, call_id) = (self.register_cseq, self.register_call_id.clone());
        let own = Phone::domain(&self.registers);
        let mut contact = self.contact();
        if let Some(instance) = &self.instance {
            contact.params = contact.params.quoted("+sip.instance", instance);
        }
        let registrar = Uri::host_only(Host::Name("pleiad.test".to_owned()));
        let from = NameAddr::new(own.clone()).with_tag("register");
        let via = self.via();
        let request = Request::new(Method::Register, &registrar)
            .via(&via)
            .from(&from)
            .to(&NameAddr::new(own))
            .call_id(&call_id)
            .cseq(cseq)
            .header(Name::Expires, expires_s);
        self.register_expires_s = expires_s;
        let request = self.extra.iter().fold(request, |request, (name, value)| request.header(*name, value));
        let request = self.signed(request);
        if self.star { request.header(Name::Contact, "*") } else { request.contact(&contact) }
    }

    pub(crate) fn register(&mut self, expires_s: u32) {
        let request = self.register_request(expires_s);
        self.send(request);
    }

    /// The INVITE of its present call.
    pub(crate) fn invited(&self) -> Message {
        self.call.as_ref().expect("there is a call").invite.clone()
    }

    pub(crate) fn call(&mut self, number: &str) {
        self.begin(number, false);
    }

    /// An INVITE without an offer: the called phone offers, the ACK answers.
    pub(crate) fn call_late_offer(&mut self, number: &str) {
        self.begin(number, true);
    }

    fn begin(&mut self, number: &str, late_offer: bool) {
        let uri = Uri::sip(number, Host::Name(self.domain.clone()));
        let (tag, call_id) = (self.tokens.tag(), self.tokens.call_id("phone"));
        let draft = self.draft(Method::Invite, &uri, 1, &call_id, &tag).contact(&self.contact());
        let draft = self.says.iter().fold(draft, |draft, (name, value)| draft.header(*name, value));
        let draft =
            if late_offer { draft } else { draft.body("application/sdp", self.words("offer").as_bytes()) };
        let invite = draft.message().unwrap();
        let client = Some(ClientKey::of(&invite));
        self.todo.push_back(Input::Request { to: self.flow, request: invite.clone() });
        self.call = Some(PhoneCall::new(invite, None, client, tag, late_offer));
    }

    pub(crate) fn words(&self, what: &str) -> String {
        if let Some(words) = &self.exact_words {
            return words.clone();
        }
        let long = if self.long_words { "long ".repeat(300) } else { String::new() };
        let what = format!("{long}{what}");
        format!("v=0\r\ns={what} of {}\r\n", self.name)
    }

    pub(crate) fn respond(&mut self, key: ServerKey, response: Response) {
        let response = response.message().unwrap();
        self.todo.push_back(Input::Respond { key, response });
    }

    pub(crate) fn respond_to_call(&mut self, status: Status, words: Option<&str>) {
        let contact = self.contact();
        let words = words.map(|words| self.words(words));
        let call = self.call.as_ref().expect("there is a call");
        let key = call.server.clone().expect("it is unanswered");
        let response = Response::to(&call.invite, status).to_tag(&call.tag).contact(&contact);
        let response =
            self.answers.iter().fold(response, |response, (name, value)| response.header(*name, value));
        let response = match words {
            Some(words) => response.body("application/sdp", words.as_bytes()),
            None => response,
        };
        self.respond(key, response);
    }

    pub(crate) fn answer(&mut self) {
        let call = self.call.as_ref().expect("there is a call");
        let words = if call.invite.body().is_empty() { "offer" } else { "answer" };
        self.respond_to_call(Status::OK, Some(words));
        let call = self.call.as_mut().unwrap();
        call.server = None;
        let early = call.early.take();
        call.dialog = early.or_else(|| Dialog::as_callee(&call.invite, &call.tag).ok());
    }

    pub(crate) fn cancel(&mut self) {
        let key = self.call.as_ref().and_then(|call| call.client.clone()).expect("it calls");
        self.todo.push_back(Input::Cancel { key });
    }

    /// A request inside the call.
    pub(crate) fn inside(&mut self, method: Method, words: Option<&str>) {
        let via = self.via();
        let contact = self.contact();
        let words = words.map(|words| self.words(words));
        let dialog = self.call.as_mut().and_then(PhoneCall::any_dialog).expect("it talks");
        let request = dialog.request(method, &via).contact(&contact);
        let request = match words {
            Some(words) => request.body("application/sdp", words.as_bytes()),
            None => request,
        };
        self.send(request);
    }

    pub(crate) fn hang_up(&mut self) {
        self.inside(Method::Bye, None);
        self.call = None;
    }

    pub(crate) fn hold(&mut self) {
        self.inside(Method::Invite, Some("hold"));
    }

    pub(crate) fn resume(&mut self) {
        self.inside(Method::Invite, Some("resume"));
    }

    /// Answers the re-INVITE it has been thinking about.
    pub(crate) fn agree(&mut self) {
        let (key, message) = self.thinking.take().expect("it thinks");
        self.accept_offer(key, &message);
    }

    pub(crate) fn said(&mut self) -> Vec<PhoneOutput> {
        std::mem::take(&mut self.out)
    }

    pub(crate) fn receive(&mut self, now: Duration, flow: Flow, message: Message) {
        if !self.unplugged {
            self.todo.push_back(Input::Received { from: flow, message });
            self.act(now);
        }
    }

    /// Does what it was told and what is due.
    pub(crate) fn act(&mut self, now: Duration) {
        self.todo.push_back(Input::Tick);
        while let Some(input) = self.todo.pop_front() {
            let mut said = Vec::new();
            self.layer.handle(now, input, &mut said);
            for output in said {
                self.hear(output);
            }
        }
    }

    fn hear(&mut self, output: Output<Flow>) {
        match output {
            Output::Send { bytes, .. } if !self.unplugged => {
                self.out.push(PhoneOutput { flow: self.flow, bytes });
            }
            Output::Send { .. } => {}
            Output::Request { key, message, .. } => {
                let aside = self.take_up(&message);
                self.asked(key, message);
                self.put_back(aside);
            }
            Output::Cancelled { key, .. } => {
                self.note("CANCEL", None);
                let (invite, tag) = match self.thinking.take_if(|(thinking, _)| *thinking == key) {
                    Some((_, invite)) => (invite, "re-invite".to_owned()),
                    None => {
                        let call = self.call.take().expect("a cancelled call");
                        (call.invite, call.tag)
                    }
                };
                self.respond(key, Response::to(&invite, Status::REQUEST_TERMINATED).to_tag(&tag));
            }
            Output::Ack { message, .. } => self.note("ACK", Some(&message)),
            Output::Response { key, message, .. } => {
                let aside = self.take_up(&message);
                self.answered(&key, &message);
                self.put_back(aside);
            }
            Output::Failed { key, .. } => {
                self.note("failed", None);
                self.call.take_if(|call| call.client.as_ref() == Some(&key) && call.dialog.is_none());
            }
            Output::Unacknowledged { .. } => self.note("unacknowledged", None),
            Output::Stray { message, .. } => self.last_response = Some(message),
        }
    }

    fn asked(&mut self, key: ServerKey, message: Message) {
        if *message.method() != Method::Options {
            self.note(message.method().as_str(), Some(&message));
        }
        if *message.method() != Method::Options {
            self.requests.push(message.clone());
        }
        if *message.method() == Method::Notify && self.lamp_told(key.clone(), &message).is_some() {
            return;
        }
        let known = self.call.as_mut().and_then(PhoneCall::any_dialog);
        let inside =
            known.filter(|dialog| dialog.matches(&message)).map(|dialog| dialog.accept(&message).is_ok());
        match (message.method(), inside) {
            (Method::Invite, None) if !message.is_in_dialog() => self.called(key, message),
            (_, None) if message.is_in_dialog() => {
                self.respond(key, Response::to(&message, Status::NO_SUCH_CALL));
            }
            (Method::Invite | Method::Update, Some(true)) => {
                if let Some(status) = self.refuses_offers {
                    self.respond(key, Response::to(&message, Status::try_from(status).unwrap()));
                } else if self.thinks {
                    self.thinking = Some((key, message));
                } else {
                    self.accept_offer(key, &message);
                }
            }
            (Method::Bye, Some(_)) => {
                self.respond(key, Response::to(&message, Status::OK));
                self.call = None;
            }
            _ => self.respond(key, Response::to(&message, Status::OK).to_tag("x")),
        }
    }

    fn accept_offer(&mut self, key: ServerKey, message: &Message) {
        let offered = !message.body().is_empty();
        let words = self.words(if offered { "answer" } else { "offer" });
        let response = Response::to(message, Status::OK).contact(&self.contact());
        let response =
            self.answers.iter().fold(response, |response, (name, value)| response.header(*name, value));
        let wordless = *message.method() == Method::Update && !offered;
        let response = if wordless { response } else { response.body("application/sdp", words.as_bytes()) };
        self.respond(key, response);
    }

    fn called(&mut self, key: ServerKey, invite: Message) {
        let tag = self.tokens.tag();
        let refuse = |status| Response::to(&invite, status).to_tag(&tag);
        let busy = self.call.is_some();
        let offered_s = invite.number(Name::SessionExpires).unwrap();
        match self.when_called {
            _ if self.insists_on_s > offered_s => {
                let least = self.insists_on_s.unwrap();
                self.respond(key, refuse(Status::SESSION_INTERVAL_TOO_SMALL).header(Name::MinSe, least));
            }
            _ if self.refuses_keying(&invite) => self.respond(key, refuse(Status::NOT_ACCEPTABLE_HERE)),
            WhenCalled::Busy => self.respond(key, refuse(Status::BUSY_HERE)),
            _ if busy => self.respond(key, refuse(Status::BUSY_HERE)),
            WhenCalled::Decline => self.respond(key, refuse(Status::DECLINE)),
            WhenCalled::Refuse(302) => {
                let contact = format!("<{}>", self.moved_to);
                self.respond(key, refuse(Status::MOVED_TEMPORARILY).header(Name::Contact, contact));
            }
            WhenCalled::Refuse(status) => self.respond(key, refuse(Status::try_from(status).unwrap())),
            WhenCalled::Mute => {}
            WhenCalled::Ring => {
                self.call = Some(PhoneCall::new(invite, Some(key), None, tag, false));
                self.respond_to_call(Status::RINGING, None);
            }
        }
    }

    fn answered(&mut self, key: &ClientKey, message: &Message) {
        let status = message.status().unwrap();
        self.last_response = Some(message.clone());
        self.responses.push(message.clone());
        match (&message.cseq().method, status.code()) {
            (Method::Register | Method::Invite, 401 | 407) if !self.has_proven(key) => self.prove(message),
            (Method::Register, 200) => {
                self.registered = !message.headers(Name::Contact).collect::<Vec<_>>().is_empty()
            }
            (Method::Invite, 100) => {}
            (Method::Invite, code) => {
                self.note(&code.to_string(), Some(message));
                self.invite_answered(key, message, status);
            }
            (Method::Bye, _) => {}
            (Method::Subscribe, _) if self.subscribe_answered(message) => {}
            (method, code) => self.note(&format!("{method} {code}"), Some(message)),
        }
    }

    fn has_proven(&self, _key: &ClientKey) -> bool {
        self.heard.last().is_some_and(|word| word == "proves itself in vain")
    }

    /// Answers the challenge with the next CSeq.
    fn prove(&mut self, challenge: &Message) {
        self.last_challenge = Some(challenge.clone());
        let secret = self.secret.clone();
        let number = self.number.clone();
        let weaker = challenge_without_sha(challenge);
        let challenge = if self.knows_md5_only { &weaker } else { challenge };
        let mut client =
            Client::challenged(challenge, &number, &Password::Plain(secret)).expect("a challenge");
        let cnonce = self.tokens.tag();
        let method = challenge.cseq().method.clone();
        if method == Method::Register {
            let uri = Uri::host_only(Host::Name("pleiad.test".to_owned()));
            let (name, value) = client.authorization(&method, &uri.to_string(), &cnonce);
            let request = self.register_request(self.register_expires_s).header(name, value);
            self.send(request);
            return;
        }
        let Some(call) = &self.call else { return };
        let uri = call.invite.request_uri().unwrap().clone();
        let (tag, call_id) = (call.tag.clone(), call.invite.call_id().to_owned());
        let (cseq, body) = (call.invite.cseq().number + 1, call.invite.clone());
        let (name, value) = client.authorization(&method, &uri.to_string(), &cnonce);
        let draft = self.draft(Method::Invite, &uri, cseq, &call_id, &tag).contact(&self.contact());
        let draft = self.says.iter().fold(draft, |draft, (name, value)| draft.header(*name, value));
        let invite = draft.header(name, value).body_of(&body).message().unwrap();
        self.todo.push_back(Input::Request { to: self.flow, request: invite.clone() });
        let call = self.call.as_mut().unwrap();
        call.client = Some(ClientKey::of(&invite));
        call.invite = invite;
    }

    fn invite_answered(&mut self, key: &ClientKey, message: &Message, status: Status) {
        let initial = self.call.as_ref().is_some_and(|call| call.client.as_ref() == Some(key));
        if status.is_success() {
            let via = self.via();
            let words = self.words("answer");
            let Some(call) = &mut self.call else { return };
            if initial && call.dialog.is_none() {
                let early = call.early.take().filter(|early| early.matches(message));
                call.dialog = early.or_else(|| Dialog::as_caller(&call.invite, message).ok());
            }
            let ack = call.dialog.as_mut().unwrap().ack(message.cseq().number, &via);
            let ack =
                if initial && call.late_offer { ack.body("application/sdp", words.as_bytes()) } else { ack };
            if !self.keeps_ack {
                let ack = ack.message().unwrap();
                self.todo.push_back(Input::Acknowledge { key: key.clone(), to: self.flow, ack });
            }
        } else if status.is_final() && initial {
            self.call = None;
        } else if initial && !status.is_final() {
            self.progressed(message);
        }
    }
}
