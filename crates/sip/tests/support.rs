//! Messages and a wire for the tests.

use sip::transaction::{Input, Limits, Output};
use sip::{Flow, Layer, Message, Method, Name, NameAddr, Request, Response, Status, Transport, Uri, Via};
use std::time::Duration;

pub(crate) fn uri(text: &str) -> Uri {
    Uri::parse(text).unwrap()
}

pub(crate) fn udp() -> Flow {
    flow(Transport::Udp, "192.0.2.7:5060", 0)
}

pub(crate) fn tcp() -> Flow {
    flow(Transport::Tcp, "192.0.2.7:40001", 1)
}

pub(crate) fn flow(transport: Transport, remote: &str, connection: u64) -> Flow {
    Flow { transport, local: "192.0.2.1:5060".parse().unwrap(), remote: remote.parse().unwrap(), connection }
}

pub(crate) fn request_with(method: Method, branch: &str) -> Request {
    let host = sip::Host::parse("192.0.2.7").unwrap();
    Request::new(method, &uri("sip:2201@pleiad.test"))
        .via(&Via::new("UDP", host, Some(5060), branch).with_rport())
        .from(&NameAddr::new(uri("sip:2101@pleiad.test")).with_display("Ann \"A.\" Smith").with_tag("a1"))
        .to(&NameAddr::new(uri("sip:2201@pleiad.test")))
        .call_id("c1@192.0.2.7")
        .cseq(1)
        .contact(&NameAddr::new(uri("sip:2101@192.0.2.7:5060")))
}

pub(crate) fn request(method: Method, branch: &str) -> Message {
    request_with(method, branch).message().unwrap()
}

pub(crate) fn response(request: &Message, status: Status) -> Message {
    let contact = NameAddr::new(uri("sip:2201@192.0.2.9"));
    Response::to(request, status).to_tag("b1").contact(&contact).message().unwrap()
}

/// The ACK that a caller makes for a 2xx: a transaction of its own.
pub(crate) fn ack_of_success(invite: &Message, branch: &str) -> Message {
    let host = sip::Host::parse("192.0.2.7").unwrap();
    Request::new(Method::Ack, &uri("sip:2201@192.0.2.9"))
        .via(&Via::new("UDP", host, Some(5060), branch))
        .from(invite.from())
        .to(&invite.to().clone().with_tag("b1"))
        .call_id(invite.call_id())
        .cseq(invite.cseq().number)
        .message()
        .unwrap()
}

/// The ACK of a refusal: the branch of its INVITE.
pub(crate) fn ack_of_refusal(invite: &Message) -> Message {
    Request::new(Method::Ack, invite.request_uri().unwrap())
        .via(invite.via())
        .from(invite.from())
        .to(&invite.to().clone().with_tag("b1"))
        .call_id(invite.call_id())
        .cseq(invite.cseq().number)
        .message()
        .unwrap()
}

/// A layer, its clock, and what it put out, told in short words.
pub(crate) struct Bench {
    pub layer: Layer<Flow>,
    pub now: Duration,
}

impl Bench {
    pub(crate) fn new() -> Bench {
        Bench { layer: Layer::new(Limits::default()), now: Duration::from_secs(1_000_000) }
    }

    pub(crate) fn with_room_for(transactions_max: usize) -> Bench {
        Bench { layer: Layer::new(Limits { transactions_max, ..Limits::default() }), ..Bench::new() }
    }

    pub(crate) fn put(&mut self, input: Input<Flow>) -> Vec<Output<Flow>> {
        let mut out = Vec::new();
        self.layer.handle(self.now, input, &mut out);
        out
    }

    /// Lets time pass, waking the layer exactly when it asked to be woken; what came out, each with its time in ms.
    pub(crate) fn pass(&mut self, span: Duration) -> Vec<(u128, Output<Flow>)> {
        let (start, end) = (self.now, self.now + span);
        let mut told = Vec::new();
        while let Some(at) = self.layer.next_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            let out = self.put(Input::Tick);
            told.extend(out.into_iter().map(|output| ((self.now - start).as_millis(), output)));
        }
        self.now = end;
        told
    }

    /// As [`Bench::pass`], but only when each first line went out, and what else happened.
    pub(crate) fn passed(&mut self, span: Duration) -> Vec<(u128, String)> {
        self.pass(span).into_iter().map(|(at, output)| (at, tell(&output))).collect()
    }

    /// What a process restart does: frozen to bytes, thawed in another process.
    pub(crate) fn restart(&mut self) {
        let frozen = serde_json::to_vec(&self.layer).unwrap();
        self.layer = serde_json::from_slice(&frozen).unwrap();
    }
}

pub(crate) fn tell(output: &Output<Flow>) -> String {
    match output {
        Output::Ack { key, .. } => format!("ack known={}", key.is_some()),
        Output::Cancelled { .. } => "cancelled".to_owned(),
        Output::Failed { why, .. } => format!("failed {why:?}"),
        Output::Request { message, .. } => format!("request {}", message.method()),
        Output::Response { message, .. } => format!("response {}", message.status().unwrap()),
        Output::Send { bytes, .. } => format!("send {}", first_words(bytes)),
        Output::Stray { message, .. } => format!("stray {}", message.status().unwrap()),
        Output::Unacknowledged { .. } => "unacknowledged".to_owned(),
    }
}

pub(crate) fn told(outputs: &[Output<Flow>]) -> Vec<String> {
    outputs.iter().map(tell).collect()
}

/// The one message that was sent.
pub(crate) fn sent(outputs: &[Output<Flow>]) -> Message {
    let mut sent = outputs.iter().filter_map(|output| match output {
        Output::Send { bytes, .. } => Some(Message::parse(bytes).unwrap()),
        _ => None,
    });
    let first = sent.next().expect("something was sent");
    assert!(sent.next().is_none(), "only one message was sent");
    first
}

/// `INVITE` of a request, `180` of a response.
fn first_words(bytes: &[u8]) -> String {
    let message = Message::parse(bytes).expect("what is sent can be read");
    assert!(message.header(Name::ContentLength).is_some());
    message.status().map_or(message.method().to_string(), |status| status.to_string())
}
