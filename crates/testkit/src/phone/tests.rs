//! Two phones on an invented wire: each is the other's "registrar", which shows every part but registration;
//! that one is shown with a challenge of our own and, in the live tests, with the real call server.

use super::machine::{Command, End, Event, Input, Line, Machine, Output};
use media::sdp::{Direction, Negotiated};
use sip::digest::{Challenger, Known, Secrets, UsedNonces, Verdict};
use sip::{Flow, Message, Name, Response, Status, Transport};
use std::time::Duration;

const AT: Duration = Duration::from_secs(1_000_000);

/// Two phones and the bytes between them; time goes only when it is told.
struct Pair {
    now: Duration,
    phones: [Machine; 2],
    events: [Vec<Event>; 2],
    media: [Option<Negotiated>; 2],
    /// Messages wait here while true: for races.
    holding: bool,
    waiting: Vec<(usize, Message)>,
}

impl Pair {
    fn new(transport: Transport) -> Pair {
        let address = |n: u8| format!("192.0.2.{n}:5060").parse().unwrap();
        let phone = |extension: &str, own: u8, other: u8| {
            let line = Line {
                extension: extension.into(),
                password: "secret".into(),
                domain: "pleiad.test".into(),
                expires_s: 300,
                media: format!("192.0.2.{own}:4000").parse().unwrap(),
            };
            let flow = Flow { transport, local: address(own), remote: address(other), connection: 1 };
            Machine::new(line, flow, [own; 32])
        };
        Pair {
            now: AT,
            phones: [phone("2101", 1, 2), phone("2201", 2, 1)],
            events: [vec![], vec![]],
            media: [None, None],
            holding: false,
            waiting: vec![],
        }
    }

    fn tell(&mut self, phone: usize, command: Command) {
        self.input(phone, Input::Command(command));
        self.deliver();
    }

    fn input(&mut self, phone: usize, input: Input) {
        let mut out = vec![];
        self.phones[phone].handle(self.now, input, &mut out);
        for output in out {
            match output {
                Output::Send(bytes) => self.waiting.push((1 - phone, Message::parse(&bytes).unwrap())),
                Output::Media(agreed) => self.media[phone] = agreed,
                Output::Event(event) => self.events[phone].push(event),
            }
        }
    }

    fn deliver(&mut self) {
        while !self.holding && !self.waiting.is_empty() {
            let (phone, message) = self.waiting.remove(0);
            self.input(phone, Input::Received(message));
        }
    }

    fn release(&mut self) {
        self.holding = false;
        self.deliver();
    }

    /// Lets time go by in steps, with the phones' own timers.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.now += Duration::from_millis(100);
            for phone in 0..2 {
                if self.phones[phone].next_timeout().is_some_and(|at| at <= self.now) {
                    self.input(phone, Input::Tick);
                }
            }
            self.deliver();
        }
    }

    fn taken(&mut self) -> [Vec<Event>; 2] {
        std::mem::take(&mut self.events)
    }

    fn talking() -> Pair {
        let mut pair = Pair::new(Transport::Udp);
        pair.tell(0, Command::Call("2201".into()));
        pair.tell(1, Command::Answer);
        pair.taken();
        pair
    }
}

fn end(status: u16, by_us: bool) -> impl Fn(&Event) -> bool {
    move |event| matches!(event, Event::Ended(End { status: s, by_us: by, .. }) if (*s, *by) == (status, by_us))
}

#[test]
fn a_call_rings_is_answered_and_hung_up() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let mut pair = Pair::new(transport);
        pair.tell(0, Command::Call("2201".into()));
        assert_eq!(
            pair.taken(),
            [vec![Event::Progress { status: 180 }], vec![Event::Incoming { from: "2101".into() }]]
        );
        pair.tell(1, Command::Answer);
        assert_eq!(pair.taken(), [vec![Event::Answered], vec![Event::Answered]]);
        let [near, far] = pair.media.map(Option::unwrap);
        assert_eq!(
            (near.remote, far.remote),
            ("192.0.2.2:4000".parse().unwrap(), "192.0.2.1:4000".parse().unwrap())
        );
        pair.tell(1, Command::HangUp);
        let [near, far] = pair.taken();
        assert!(end(200, false)(&near[0]) && end(200, true)(&far[0]), "{near:?} {far:?}");
        assert_eq!(pair.media, [None, None]);
        pair.pass(Duration::from_secs(40));
        assert_eq!(pair.taken(), [vec![], vec![]], "nothing is retransmitted for ever");
    }
}

#[test]
fn a_call_is_held_and_taken_back() {
    let mut pair = Pair::talking();
    pair.tell(0, Command::Hold);
    assert_eq!(pair.taken(), [vec![Event::Changed { held: false }], vec![Event::Changed { held: true }]]);
    assert_eq!(
        pair.media.map(|agreed| agreed.unwrap().direction),
        [Direction::SendOnly, Direction::RecvOnly]
    );
    pair.tell(0, Command::Resume);
    assert_eq!(pair.taken(), [vec![Event::Changed { held: false }], vec![Event::Changed { held: false }]]);
    assert_eq!(pair.media.map(|agreed| agreed.unwrap().direction), [Direction::SendRecv; 2]);
}

#[test]
fn rfc_3261_14_1_two_holds_at_once_meet_491_and_the_call_goes_on() {
    let mut pair = Pair::talking();
    pair.holding = true;
    pair.tell(0, Command::Hold);
    pair.tell(1, Command::Hold);
    pair.release();
    assert_eq!(
        pair.taken(),
        [vec![Event::ChangeRefused { status: 491 }], vec![Event::ChangeRefused { status: 491 }]]
    );
    pair.tell(0, Command::Hold);
    assert_eq!(pair.taken()[1], [Event::Changed { held: true }]);
}

#[test]
fn a_caller_who_gives_up_stops_the_ringing() {
    let mut pair = Pair::new(Transport::Udp);
    pair.tell(0, Command::Call("2201".into()));
    pair.taken();
    pair.tell(0, Command::HangUp);
    let [near, far] = pair.taken();
    assert!(end(487, true)(&near[0]) && end(487, false)(&far[0]), "{near:?} {far:?}");
}

#[test]
fn rfc_3261_9_1_an_answer_that_crosses_the_cancel_is_hung_up() {
    let mut pair = Pair::new(Transport::Udp);
    pair.tell(0, Command::Call("2201".into()));
    pair.taken();
    pair.holding = true;
    pair.tell(1, Command::Answer);
    pair.tell(0, Command::HangUp);
    pair.release();
    let [near, far] = pair.taken();
    assert!(end(200, true)(&near[0]), "{near:?}");
    assert!(far.iter().any(end(200, false)), "{far:?}");
    assert_eq!(pair.media, [None, None]);
}

#[test]
fn a_call_is_declined_or_busy() {
    let mut pair = Pair::new(Transport::Udp);
    pair.tell(0, Command::Call("2201".into()));
    pair.taken();
    pair.tell(1, Command::Reject(486));
    let [near, far] = pair.taken();
    assert!(end(486, false)(&near[0]) && end(486, true)(&far[0]), "{near:?} {far:?}");
}

#[test]
fn two_phones_that_call_each_other_are_both_busy() {
    let mut pair = Pair::new(Transport::Udp);
    pair.holding = true;
    pair.tell(0, Command::Call("2201".into()));
    pair.tell(1, Command::Call("2101".into()));
    pair.release();
    let [near, far] = pair.taken();
    assert!(end(486, false)(&near[0]) && end(486, false)(&far[0]), "{near:?} {far:?}");
}

#[test]
fn a_call_into_silence_ends_with_408() {
    let mut pair = Pair::new(Transport::Udp);
    pair.holding = true;
    pair.tell(0, Command::Call("2201".into()));
    pair.pass(Duration::from_secs(40));
    assert!(end(408, false)(&pair.taken()[0][0]));
}

#[test]
fn a_registrar_that_is_none_refuses_and_is_tried_again() {
    let mut pair = Pair::new(Transport::Udp);
    pair.tell(0, Command::Register);
    assert_eq!(pair.taken()[0], [Event::RegistrationRefused { status: 405 }]);
    pair.pass(Duration::from_secs(5));
    assert_eq!(pair.taken()[0].len(), 2);
}

/// The phone of a [`Pair`] that stands alone, and a registrar of a few lines.
#[test]
fn rfc_3261_22_a_registration_answers_the_challenge_and_is_refreshed_at_half_its_time() {
    let mut pair = Pair::new(Transport::Tcp);
    let mut challenger = Challenger::new("c-1", [7; 32], 0);
    let mut used = UsedNonces::default();
    pair.holding = true;
    pair.tell(0, Command::Register);
    for round in 0..2 {
        for challenged in [true, false] {
            let (_, register) = pair.waiting.remove(0);
            let answer = register_answer(&mut challenger, &mut used, pair.now, &register);
            assert_eq!(answer.status() == Some(Status::UNAUTHORIZED), challenged, "round {round}");
            pair.input(0, Input::Received(answer));
        }
        assert_eq!(pair.taken()[0], [Event::Registered { expires_s: 120 }]);
        pair.pass(Duration::from_secs(59));
        assert!(pair.waiting.is_empty(), "not before half of the granted time");
        pair.pass(Duration::from_secs(2));
    }
    assert_eq!(pair.waiting.len(), 1);
}

fn register_answer(
    challenger: &mut Challenger,
    used: &mut UsedNonces,
    now: Duration,
    register: &Message,
) -> Message {
    let source = "192.0.2.1".parse().unwrap();
    let secrets = Secrets::of("2101", "c-1", "secret");
    let known = Some(Known { secrets: secrets.as_ref(), used });
    let credentials = challenger.read(register, Name::Authorization).unwrap();
    let judged = credentials.map(|given| challenger.judge(now, source, register, &given, known));
    match judged {
        Some(Verdict::Accepted) => {
            let contact = register.contact().unwrap().unwrap();
            let granted = format!("{contact};expires=120");
            Response::to(register, Status::OK).to_tag("r").header(Name::Contact, granted).message().unwrap()
        }
        _ => {
            let refusal = Response::to(register, Status::UNAUTHORIZED).to_tag("r");
            let challenges = challenger.challenges(now, source, false);
            let with = challenges.iter().fold(refusal, |r, c| r.header(Name::WwwAuthenticate, c));
            with.message().unwrap()
        }
    }
}
