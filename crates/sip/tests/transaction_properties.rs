//! What must hold for any order of events at a transaction layer. The fuzz target of `fuzz/` uses this file, and the
//! tests here replay its corpus.

use sip::transaction::{Input, Limits, Output};
use sip::{
    ClientKey, Flow, Host, Layer, Message, Method, NameAddr, Request, Response, ServerKey, Status, Transport,
    Uri, Via,
};
use std::time::Duration;

/// Steps of one life; each is three bytes of the input.
const STEPS_MAX: usize = 64;

#[derive(Debug)]
enum Step {
    Receive { method: u8, branch: u8, tcp: bool, in_dialog: bool },
    ReceiveResponse { method: u8, branch: u8, status: u8 },
    Send { method: u8, branch: u8, tcp: bool },
    Cancel { branch: u8 },
    Acknowledge { branch: u8 },
    Respond { nth: u8, status: u8 },
    Unreachable,
    Wait { ms: u16 },
    Restart,
}

impl Step {
    fn read([what, one, two]: [u8; 3]) -> Step {
        let (low, high) = (one & 0x0f, one >> 4);
        let (odd, second) = (two & 1 == 1, two & 2 == 2);
        match what % 9 {
            0 => Step::Receive { method: low, branch: high, tcp: odd, in_dialog: second },
            1 => Step::ReceiveResponse { method: low, branch: high, status: two },
            2 => Step::Send { method: low, branch: high, tcp: odd },
            3 => Step::Cancel { branch: high },
            4 => Step::Acknowledge { branch: high },
            5 => Step::Respond { nth: low, status: two },
            6 => Step::Unreachable,
            7 => Step::Wait { ms: u16::from_be_bytes([one, two]) },
            _ => Step::Restart,
        }
    }
}

const METHODS: [Method; 5] = [Method::Invite, Method::Ack, Method::Cancel, Method::Bye, Method::Register];
const STATUSES: [Status; 5] =
    [Status::TRYING, Status::RINGING, Status::OK, Status::BUSY_HERE, Status::UNAUTHORIZED];

/// Any order of messages, answers, silence and restarts: the layer never panics, never spins, wakes when it said, and
/// is empty when everybody has gone home.
pub(crate) fn life(bytes: &[u8]) {
    let mut world = World {
        layer: Layer::new(Limits { transactions_max: 16, ..Limits::default() }),
        now: Duration::from_secs(1000),
        asked: Vec::new(),
    };
    for step in bytes.as_chunks::<3>().0.iter().take(STEPS_MAX) {
        world.take(&Step::read(*step));
        assert!(world.layer.len() <= 16);
    }
    world.close();
}

struct World {
    layer: Layer<Flow>,
    now: Duration,
    /// Requests that wait for our answer.
    asked: Vec<Message>,
}

impl World {
    fn take(&mut self, step: &Step) {
        match step {
            Step::Receive { method, branch, tcp, in_dialog } => {
                let message = request(pick(&METHODS, *method), *branch, *in_dialog);
                self.put(Input::Received { from: flow(*tcp), message });
            }
            Step::ReceiveResponse { method, branch, status } => {
                let request = request(pick(&METHODS, *method), *branch, false);
                let message = response(&request, *pick(&STATUSES, *status));
                self.put(Input::Received { from: flow(false), message });
            }
            Step::Send { method, branch, tcp } => {
                let method = pick(&METHODS, *method);
                if *method != Method::Ack {
                    self.put(Input::Request { to: flow(*tcp), request: request(method, *branch, false) });
                }
            }
            Step::Cancel { branch } => {
                self.put(Input::Cancel { key: ClientKey::of(&request(&Method::Invite, *branch, false)) });
            }
            Step::Acknowledge { branch } => {
                let key = ClientKey::of(&request(&Method::Invite, *branch, false));
                self.put(Input::Acknowledge { key, to: flow(false), ack: request(&Method::Ack, 99, true) });
            }
            Step::Respond { nth, status } => {
                if let Some(request) = self.asked.get(usize::from(*nth)).cloned() {
                    let (key, status) = (ServerKey::of(&request), pick(&STATUSES, *status));
                    let response = response(&request, *status);
                    // Some of the refusals are given once and forgotten.
                    if status.code() >= 300 && nth % 2 == 1 {
                        self.put(Input::Dismiss { key, response });
                    } else {
                        self.put(Input::Respond { key, response });
                    }
                }
            }
            Step::Unreachable => self.put(Input::Unreachable { hop: flow(true) }),
            Step::Wait { ms } => self.wait(Duration::from_millis(u64::from(*ms))),
            Step::Restart => {
                let frozen = serde_json::to_vec(&self.layer).expect("a layer can be frozen");
                self.layer = serde_json::from_slice(&frozen).expect("and thawed");
            }
        }
    }

    fn put(&mut self, input: Input<Flow>) {
        let mut out = Vec::new();
        self.layer.handle(self.now, input, &mut out);
        for output in out {
            match output {
                Output::Send { bytes, .. } => drop(Message::parse(&bytes).expect("what is sent can be read")),
                Output::Request { message, .. } => self.asked.push(message),
                _ => {}
            }
        }
    }

    /// Wakes the layer when it asked for it; each waking must move its next timer on.
    fn wait(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some(at) = self.layer.next_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.put(Input::Tick);
            assert!(
                self.layer.next_timeout().is_none_or(|next| next > self.now),
                "a timer that was due is done"
            );
        }
        self.now = end;
    }

    /// Everybody is refused and two minutes pass: nothing may be left but our own INVITEs that still ring.
    fn close(&mut self) {
        for request in std::mem::take(&mut self.asked) {
            let response = response(&request, Status::BUSY_HERE);
            self.put(Input::Respond { key: ServerKey::of(&request), response });
        }
        self.put(Input::Unreachable { hop: flow(true) });
        self.put(Input::Unreachable { hop: flow(false) });
        self.wait(Duration::from_secs(120));
        assert!(self.layer.is_empty());
    }
}

fn pick<T>(from: &[T], index: u8) -> &T {
    from.get(usize::from(index) % from.len()).expect("inside")
}

fn flow(tcp: bool) -> Flow {
    Flow {
        transport: if tcp { Transport::Tcp } else { Transport::Udp },
        local: ([192, 0, 2, 1], 5060).into(),
        remote: ([192, 0, 2, 7], 5060).into(),
        connection: u64::from(tcp),
    }
}

fn request(method: &Method, branch: u8, in_dialog: bool) -> Message {
    let host = || Host::Address([192, 0, 2, 7].into());
    let address = |user: &str| NameAddr::new(Uri::sip(user, host()));
    let to = if in_dialog { address("b").with_tag("b1") } else { address("b") };
    // Few branches, so that events meet; a call of its own for each two of them, so that some are merged.
    let branch = branch % 8;
    Request::new(method.clone(), &Uri::sip("b", host()))
        .via(&Via::new("UDP", host(), None, &format!("z9hG4bK{branch}")))
        .from(&address("a").with_tag("a1"))
        .to(&to)
        .call_id(&format!("c{}", branch / 2))
        .cseq(1)
        .message()
        .expect("our request is a message")
}

fn response(request: &Message, status: Status) -> Message {
    Response::to(request, status).to_tag("b1").message().expect("our response is a message")
}
