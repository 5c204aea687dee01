//! Requests that come to us: RFC 3261 figures 7 and 8 with RFC 6026, told as they would be seen on the wire.

use crate::support::{
    Bench, ack_of_refusal, ack_of_success, request, request_with, response, sent, tcp, told, udp,
};
use sip::transaction::{Input, Output};
use sip::{Edit, Flow, Message, Method, Name, ServerKey, Status};
use std::time::Duration;

const NOTHING: [&str; 0] = [];

fn hear(bench: &mut Bench, message: &Message) -> Vec<Output<Flow>> {
    bench.put(Input::Received { from: udp(), message: message.clone() })
}

fn answer(bench: &mut Bench, request: &Message, status: Status) -> Vec<String> {
    told(&bench.put(Input::Respond { key: ServerKey::of(request), response: response(request, status) }))
}

fn cancel_of(invite: &Message) -> Message {
    let cancel = request(Method::Cancel, "z9hG4bKx");
    Edit::of(&cancel).set(Name::Via, invite.via()).message().unwrap()
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

#[test]
fn rfc_3261_17_2_1_a_slow_user_is_covered_by_100_after_200_ms() {
    let mut bench = Bench::new();
    let invite = request(Method::Invite, "z9hG4bK1");
    assert_eq!(told(&hear(&mut bench, &invite)), ["request INVITE"]);
    assert_eq!(bench.passed(seconds(10)), [(200, "send 100".to_owned())]);
    assert_eq!(told(&hear(&mut bench, &invite)), ["send 100"]);
}

#[test]
fn an_invite_that_comes_again_gets_what_was_said_last() {
    let mut bench = Bench::new();
    let invite = request(Method::Invite, "z9hG4bK1");
    hear(&mut bench, &invite);
    assert_eq!(told(&hear(&mut bench, &invite)), ["send 100"], "before anything was said");
    assert_eq!(answer(&mut bench, &invite, Status::RINGING), ["send 180"]);
    assert_eq!(told(&hear(&mut bench, &invite)), ["send 180"]);
    assert_eq!(bench.passed(seconds(600)), []);
}

#[test]
fn rfc_3261_17_2_1_a_refusal_is_repeated_until_its_ack() {
    let mut bench = Bench::new();
    let invite = request(Method::Invite, "z9hG4bK1");
    hear(&mut bench, &invite);
    assert_eq!(answer(&mut bench, &invite, Status::BUSY_HERE), ["send 486"]);
    let at: Vec<u128> = bench.passed(seconds(8)).iter().map(|(at, _)| *at).collect();
    assert_eq!(at, [500, 1500, 3500, 7500]);
    assert_eq!(told(&hear(&mut bench, &invite)), ["send 486"]);
    let ack = ack_of_refusal(&invite);
    assert_eq!(told(&hear(&mut bench, &ack)), NOTHING);
    assert_eq!(told(&hear(&mut bench, &ack)), NOTHING);
    assert_eq!(told(&hear(&mut bench, &invite)), NOTHING);
    assert_eq!(bench.passed(seconds(5)), []);
    assert!(bench.layer.is_empty());
}

#[test]
fn a_refusal_that_is_never_acknowledged_is_forgotten_after_32_s() {
    let mut bench = Bench::new();
    let invite = request(Method::Invite, "z9hG4bK1");
    hear(&mut bench, &invite);
    answer(&mut bench, &invite, Status::BUSY_HERE);
    let seen = bench.passed(seconds(60));
    assert!(seen.iter().all(|(_, what)| what == "send 486"));
    assert_eq!(seen.last().unwrap().0, 31_500);
    assert!(bench.layer.is_empty());
}

#[test]
fn rfc_3261_13_3_1_4_an_answer_is_repeated_until_its_ack_on_every_transport() {
    for hop in [udp(), tcp()] {
        let mut bench = Bench::new();
        let invite = request(Method::Invite, "z9hG4bK1");
        bench.put(Input::Received { from: hop, message: invite.clone() });
        assert_eq!(answer(&mut bench, &invite, Status::OK), ["send 200"]);
        let at: Vec<u128> = bench.passed(seconds(4)).iter().map(|(at, _)| *at).collect();
        assert_eq!(at, [500, 1500, 3500]);
        assert_eq!(told(&hear(&mut bench, &invite)), NOTHING, "RFC 6026: absorbed");
        bench.restart();
        let ack = ack_of_success(&invite, "z9hG4bKack");
        assert_eq!(told(&hear(&mut bench, &ack)), ["ack known=true"]);
        assert_eq!(told(&hear(&mut bench, &ack)), NOTHING, "told once");
        assert_eq!(bench.passed(seconds(60)), []);
        assert!(bench.layer.is_empty());
        assert_eq!(told(&hear(&mut bench, &ack)), ["ack known=false"]);
    }
}

#[test]
fn an_answer_that_is_never_acknowledged_is_reported_after_32_s() {
    let mut bench = Bench::new();
    let invite = request(Method::Invite, "z9hG4bK1");
    hear(&mut bench, &invite);
    answer(&mut bench, &invite, Status::OK);
    let seen = bench.passed(seconds(60));
    assert_eq!(seen.last(), Some(&(32_000, "unacknowledged".to_owned())));
    assert!(bench.layer.is_empty());
}

#[test]
fn an_ack_for_another_dialog_confirms_nothing() {
    let mut bench = Bench::new();
    let invite = request(Method::Invite, "z9hG4bK1");
    hear(&mut bench, &invite);
    answer(&mut bench, &invite, Status::OK);
    let ack = ack_of_success(&invite, "z9hG4bKack");
    let foreign = Edit::of(&ack).set(Name::To, "<sip:2201@pleiad.test>;tag=other").message().unwrap();
    assert_eq!(told(&hear(&mut bench, &foreign)), ["ack known=false"]);
    assert_eq!(bench.passed(seconds(1)), [(500, "send 200".to_owned())]);
}

#[test]
fn rfc_3261_9_2_a_cancel_is_answered_and_told() {
    let mut bench = Bench::new();
    let invite = request(Method::Invite, "z9hG4bK1");
    hear(&mut bench, &invite);
    answer(&mut bench, &invite, Status::RINGING);
    let cancel = cancel_of(&invite);
    let out = hear(&mut bench, &cancel);
    assert_eq!(told(&out), ["send 200", "cancelled"]);
    assert_eq!(sent(&out).to().tag(), Some("b1"), "the tag of our 180");
    assert_eq!(told(&hear(&mut bench, &cancel)), ["send 200"]);
    assert_eq!(answer(&mut bench, &invite, Status::REQUEST_TERMINATED), ["send 487"]);
}

#[test]
fn a_cancel_that_comes_after_the_answer_changes_nothing() {
    let mut bench = Bench::new();
    let invite = request(Method::Invite, "z9hG4bK1");
    hear(&mut bench, &invite);
    answer(&mut bench, &invite, Status::OK);
    assert_eq!(told(&hear(&mut bench, &cancel_of(&invite))), ["send 200"]);
}

#[test]
fn a_cancel_for_nothing_is_481() {
    let mut bench = Bench::new();
    let out = hear(&mut bench, &request(Method::Cancel, "z9hG4bKnone"));
    assert_eq!(told(&out), ["send 481"]);
    assert!(sent(&out).to().tag().is_some());
}

#[test]
fn rfc_3261_8_2_2_2_a_request_that_comes_by_two_ways_is_merged() {
    let mut bench = Bench::new();
    let first = request(Method::Invite, "z9hG4bK1");
    hear(&mut bench, &first);
    assert_eq!(told(&hear(&mut bench, &request(Method::Invite, "z9hG4bK2"))), ["send 482"]);
    assert_eq!(told(&hear(&mut bench, &request(Method::Options, "z9hG4bK3"))), ["request OPTIONS"]);
    // Once refused it is over: a caller that tries again with the same number is not punished for it.
    answer(&mut bench, &first, Status::UNAUTHORIZED);
    assert_eq!(told(&hear(&mut bench, &request(Method::Invite, "z9hG4bK4"))), ["request INVITE"]);
}

#[test]
fn a_reinvite_is_never_merged() {
    let mut bench = Bench::new();
    let inside = |branch| request_with(Method::Invite, branch).message().unwrap();
    let tagged = |branch| Edit::of(&inside(branch)).set(Name::To, "<sip:2201@x>;tag=b1").message().unwrap();
    assert_eq!(told(&hear(&mut bench, &tagged("z9hG4bK1"))), ["request INVITE"]);
    assert_eq!(told(&hear(&mut bench, &tagged("z9hG4bK2"))), ["request INVITE"]);
}

#[test]
fn rfc_3261_17_2_2_any_other_request_is_answered_again_for_32_s() {
    let mut bench = Bench::new();
    let bye = request(Method::Bye, "z9hG4bK1");
    assert_eq!(told(&hear(&mut bench, &bye)), ["request BYE"]);
    assert_eq!(told(&hear(&mut bench, &bye)), NOTHING, "unanswered: say nothing");
    assert_eq!(answer(&mut bench, &bye, Status::OK), ["send 200"]);
    bench.restart();
    bench.passed(seconds(31));
    assert_eq!(told(&hear(&mut bench, &bye)), ["send 200"]);
    bench.passed(seconds(2));
    assert!(bench.layer.is_empty());
}

#[test]
fn a_request_that_nobody_answers_is_forgotten() {
    let mut bench = Bench::new();
    hear(&mut bench, &request(Method::Info, "z9hG4bK1"));
    assert_eq!(bench.passed(seconds(33)), []);
    assert!(bench.layer.is_empty());
}

#[test]
fn rfc_3261_17_2_3_a_request_of_rfc_2543_is_matched_by_what_it_says() {
    let mut bench = Bench::new();
    let old = |branch: &str| {
        let via = format!("SIP/2.0/UDP 192.0.2.7:5060{branch}");
        Edit::of(&request(Method::Invite, "z9hG4bK1")).set(Name::Via, via).message().unwrap()
    };
    let (bare, cookie) = (old(""), old(";branch=z9hG4bK"));
    assert_eq!(told(&hear(&mut bench, &bare)), ["request INVITE"]);
    assert_eq!(told(&hear(&mut bench, &bare)), ["send 100"]);
    assert_eq!(told(&hear(&mut bench, &cookie)), ["send 482"], "another way, the same request");
    let ack = Edit::of(&ack_of_refusal(&bare)).message().unwrap();
    answer(&mut bench, &bare, Status::BUSY_HERE);
    assert_eq!(told(&hear(&mut bench, &ack)), NOTHING);
    assert_eq!(bench.passed(seconds(4)), []);
}

#[test]
fn two_hosts_may_choose_the_same_branch() {
    let mut bench = Bench::new();
    let one = request(Method::Options, "z9hG4bK1");
    let other =
        Edit::of(&one).set(Name::Via, "SIP/2.0/UDP 192.0.2.8:5060;branch=z9hG4bK1").set(Name::CallId, "c2");
    assert_eq!(told(&hear(&mut bench, &one)), ["request OPTIONS"]);
    assert_eq!(told(&hear(&mut bench, &other.message().unwrap())), ["request OPTIONS"]);
}

#[test]
fn a_peer_that_reconnects_gets_its_answer_on_the_new_connection() {
    let mut bench = Bench::new();
    let invite = request(Method::Invite, "z9hG4bK1");
    bench.put(Input::Received { from: tcp(), message: invite.clone() });
    let again = Flow { connection: 2, ..tcp() };
    bench.put(Input::Received { from: again, message: invite.clone() });
    let out = bench
        .put(Input::Respond { key: ServerKey::of(&invite), response: response(&invite, Status::RINGING) });
    assert!(matches!(&out[..], [Output::Send { to, .. }] if *to == again));
}

#[test]
fn a_full_layer_asks_to_come_back_later() {
    let mut bench = Bench::with_room_for(1);
    hear(&mut bench, &request(Method::Options, "z9hG4bK1"));
    let late = Edit::of(&request(Method::Options, "z9hG4bK2")).set(Name::CallId, "c2").message().unwrap();
    let out = hear(&mut bench, &late);
    assert_eq!(told(&out), ["send 503"]);
    assert!(sent(&out).header(Name::RetryAfter).is_some());
    assert_eq!(bench.layer.len(), 1);
}

/// The request of a method with a branch and a Call-ID of its own.
fn numbered(method: Method, number: usize) -> Message {
    let request = request(method, &format!("z9hG4bK{number}"));
    Edit::of(&request).set(Name::CallId, format!("c{number}")).message().unwrap()
}

#[test]
fn threat_35_answered_registrations_make_room_oldest_first_and_never_fill_the_layer() {
    let mut bench = Bench::with_room_for(20);
    for number in 0..200 {
        let register = numbered(Method::Register, number);
        assert_eq!(told(&hear(&mut bench, &register)), ["request REGISTER"], "number {number}");
        let response = response(&register, Status::OK);
        bench.put(Input::Respond { key: ServerKey::of(&register), response });
        assert!(bench.layer.len() <= 11, "{}", bench.layer.len());
        if number == 100 {
            bench.restart();
        }
    }
    assert_eq!(
        told(&hear(&mut bench, &numbered(Method::Register, 199))),
        ["send 200"],
        "the last is repeated"
    );
    let first = told(&hear(&mut bench, &numbered(Method::Register, 0)));
    assert_eq!(first, ["request REGISTER"], "the first is a new one");
    assert_eq!(bench.passed(seconds(40)).len(), 0);
    assert!(bench.layer.is_empty());
}

#[test]
fn threat_35_unanswered_requests_fill_the_layer_but_for_the_last_tenth_which_is_for_calls() {
    let mut bench = Bench::with_room_for(20);
    for number in 0..18 {
        assert_eq!(told(&hear(&mut bench, &numbered(Method::Register, number))), ["request REGISTER"]);
    }
    assert_eq!(told(&hear(&mut bench, &numbered(Method::Register, 18))), ["send 503"]);
    for number in 20..22 {
        assert_eq!(told(&hear(&mut bench, &numbered(Method::Invite, number))), ["request INVITE"]);
    }
    assert_eq!(told(&hear(&mut bench, &numbered(Method::Invite, 22))), ["send 503"]);
}

#[test]
fn threat_13_a_dismissed_invite_is_answered_once_and_forgotten() {
    let mut bench = Bench::new();
    let invite = request(Method::Invite, "z9hG4bK1");
    hear(&mut bench, &invite);
    let response = response(&invite, Status::PROXY_AUTHENTICATION_REQUIRED);
    let dismiss = Input::Dismiss { key: ServerKey::of(&invite), response };
    assert_eq!(told(&bench.put(dismiss.clone())), ["send 407"]);
    assert!(bench.layer.is_empty());
    assert_eq!(bench.passed(seconds(600)), [], "no timer G for who may not have asked");
    assert_eq!(told(&hear(&mut bench, &ack_of_refusal(&invite))), ["ack known=false"]);
    assert_eq!(told(&hear(&mut bench, &invite)), ["request INVITE"], "it is a new one when it comes again");
    assert_eq!(told(&bench.put(dismiss.clone())), ["send 407"]);
    assert_eq!(told(&bench.put(dismiss)), NOTHING);
}
