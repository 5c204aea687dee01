//! Every timer of RFC 3261 table 4, with L and M of RFC 6026, by the time it takes and by what ends it. A, B, E and F
//! are told in `transactions_client`, G and H in `transactions_server`, with the messages they repeat.

use crate::support::{Bench, ack_of_refusal, ack_of_success, request, response, sent, tcp, told, udp};
use sip::transaction::{Input, Limits, Output};
use sip::{ClientKey, Edit, Flow, Message, Method, Name, ServerKey, Status};
use std::time::Duration;

const BRANCH: &str = "z9hG4bK1";

fn hear(bench: &mut Bench, from: Flow, message: &Message) -> Vec<String> {
    told(&bench.put(Input::Received { from, message: message.clone() }))
}

fn answer(bench: &mut Bench, request: &Message, status: Status) -> Vec<String> {
    told(&bench.put(Input::Respond { key: ServerKey::of(request), response: response(request, status) }))
}

fn ask(bench: &mut Bench, to: Flow, request: &Message) {
    assert_eq!(bench.put(Input::Request { to, request: request.clone() }).len(), 1);
}

/// How long the one transaction is held when nothing more happens, in ms.
fn held_ms(bench: &mut Bench) -> u128 {
    assert_eq!(bench.layer.len(), 1);
    let start = bench.now;
    while let Some(at) = bench.layer.next_timeout() {
        bench.pass(at - bench.now);
    }
    assert!(bench.layer.is_empty(), "what has no timer is forgotten");
    (bench.now - start).as_millis()
}

#[test]
fn rfc3261_timer_d_a_refusal_that_comes_again_is_acknowledged_for_32_s() {
    let invite = request(Method::Invite, BRANCH);
    let busy = response(&invite, Status::BUSY_HERE);
    let mut bench = Bench::new();
    ask(&mut bench, udp(), &invite);
    assert_eq!(hear(&mut bench, udp(), &busy), ["response 486", "send ACK"].map(str::to_owned));
    bench.pass(Duration::from_millis(31_999));
    assert_eq!(hear(&mut bench, udp(), &busy), ["send ACK"]);
    bench.pass(Duration::from_millis(1));
    assert!(bench.layer.is_empty());
    assert_eq!(hear(&mut bench, udp(), &busy), ["stray 486"]);
    ask(&mut bench, tcp(), &invite);
    hear(&mut bench, tcp(), &busy);
    assert!(bench.layer.is_empty(), "0 s on a reliable hop");
}

#[test]
fn rfc3261_timer_i_the_ack_of_a_refusal_may_come_again_for_5_s() {
    let invite = request(Method::Invite, BRANCH);
    let mut bench = Bench::new();
    hear(&mut bench, udp(), &invite);
    answer(&mut bench, &invite, Status::BUSY_HERE);
    assert!(hear(&mut bench, udp(), &ack_of_refusal(&invite)).is_empty());
    assert!(hear(&mut bench, udp(), &invite).is_empty(), "nor is the refusal sent again");
    assert_eq!(held_ms(&mut bench), 5_000);
    hear(&mut bench, tcp(), &invite);
    answer(&mut bench, &invite, Status::BUSY_HERE);
    hear(&mut bench, tcp(), &ack_of_refusal(&invite));
    assert!(bench.layer.is_empty(), "0 s on a reliable hop");
}

#[test]
fn rfc3261_timer_j_an_answer_is_repeated_when_asked_for_32_s() {
    let options = request(Method::Options, BRANCH);
    let mut bench = Bench::new();
    hear(&mut bench, udp(), &options);
    answer(&mut bench, &options, Status::OK);
    assert_eq!(hear(&mut bench, udp(), &options), ["send 200"]);
    assert_eq!(held_ms(&mut bench), 32_000);
    hear(&mut bench, tcp(), &options);
    answer(&mut bench, &options, Status::OK);
    assert!(bench.layer.is_empty(), "0 s on a reliable hop");
}

#[test]
fn rfc3261_timer_k_an_answer_may_come_again_for_5_s() {
    let options = request(Method::Options, BRANCH);
    let ok = response(&options, Status::OK);
    let mut bench = Bench::new();
    ask(&mut bench, udp(), &options);
    assert_eq!(hear(&mut bench, udp(), &ok), ["response 200"]);
    assert!(hear(&mut bench, udp(), &ok).is_empty());
    assert_eq!(held_ms(&mut bench), 5_000);
    ask(&mut bench, tcp(), &options);
    hear(&mut bench, tcp(), &ok);
    assert!(bench.layer.is_empty(), "0 s on a reliable hop");
}

#[test]
fn rfc6026_timer_l_an_answered_invite_may_come_again_for_32_s() {
    for hop in [udp(), tcp()] {
        let invite = request(Method::Invite, BRANCH);
        let mut bench = Bench::new();
        hear(&mut bench, hop, &invite);
        answer(&mut bench, &invite, Status::OK);
        assert_eq!(hear(&mut bench, hop, &ack_of_success(&invite, "z9hG4bK2")), ["ack known=true"]);
        assert!(hear(&mut bench, hop, &invite).is_empty(), "it rings no second time");
        assert_eq!(held_ms(&mut bench), 32_000);
    }
}

#[test]
fn rfc6026_timer_m_further_answers_are_told_for_32_s() {
    for hop in [udp(), tcp()] {
        let invite = request(Method::Invite, BRANCH);
        let fork = |tag: &str| {
            let to = format!("{};tag={tag}", invite.header(Name::To).unwrap());
            Edit::of(&response(&invite, Status::OK)).set(Name::To, to).message().unwrap()
        };
        let mut bench = Bench::new();
        ask(&mut bench, hop, &invite);
        assert_eq!(hear(&mut bench, hop, &fork("one")), ["response 200"]);
        bench.pass(Duration::from_millis(31_999));
        assert_eq!(hear(&mut bench, hop, &fork("two")), ["response 200"]);
        bench.pass(Duration::from_millis(1));
        assert!(bench.layer.is_empty());
        assert_eq!(hear(&mut bench, hop, &fork("three")), ["stray 200"]);
    }
}

#[test]
fn timers_put_off_or_dropped_ring_no_more() {
    let mut bench = Bench::new();
    let bye = request(Method::Bye, BRANCH);
    ask(&mut bench, udp(), &bye);
    assert_eq!(bench.layer.next_timeout(), Some(bench.now + Duration::from_millis(500)));
    hear(&mut bench, udp(), &response(&bye, Status::TRYING));
    assert_eq!(bench.layer.next_timeout(), Some(bench.now + Duration::from_secs(4)), "timer E at T2");
    hear(&mut bench, udp(), &response(&bye, Status::OK));
    assert_eq!(bench.layer.next_timeout(), Some(bench.now + Duration::from_secs(5)), "timer K alone");
}

#[test]
fn threat_03_a_flood_that_is_dismissed_leaves_no_timer_behind() {
    let mut bench = Bench::new();
    for number in 0..3_000 {
        let options = Edit::of(&request(Method::Options, &format!("z9hG4bK{number}")))
            .set(Name::CallId, number)
            .message()
            .unwrap();
        hear(&mut bench, udp(), &options);
        let response = response(&options, Status::UNAUTHORIZED);
        bench.put(Input::Dismiss { key: ServerKey::of(&options), response });
    }
    assert!(bench.layer.is_empty());
    assert_eq!(bench.layer.next_timeout(), None);
}

#[test]
fn threat_35_the_last_places_are_kept_for_calls() {
    let mut bench = Bench::with_room_for(10);
    let with_call_id = |method: Method, number: u32| {
        let request = request(method, &format!("z9hG4bK{number}"));
        Edit::of(&request).set(Name::CallId, number).message().unwrap()
    };
    for number in 0..9 {
        assert_eq!(hear(&mut bench, udp(), &with_call_id(Method::Options, number)), ["request OPTIONS"]);
    }
    assert_eq!(hear(&mut bench, udp(), &with_call_id(Method::Options, 10)), ["send 503"]);
    assert_eq!(hear(&mut bench, udp(), &with_call_id(Method::Invite, 11)), ["request INVITE"]);
    assert_eq!(hear(&mut bench, udp(), &with_call_id(Method::Invite, 12)), ["send 503"]);
}

#[test]
fn a_layer_with_another_key_does_the_same_in_the_same_order() {
    let life = |mut layer: sip::Layer<Flow>| {
        let (now, mut out) = (Duration::from_secs(1), Vec::new());
        for number in 0..200 {
            let bye = request(Method::Bye, &format!("z9hG4bK{number}"));
            layer.handle(now, Input::Request { to: udp(), request: bye }, &mut out);
        }
        layer.handle(now, Input::Unreachable { hop: udp() }, &mut out);
        out
    };
    let one = life(sip::Layer::new(Limits::default()));
    assert_eq!(one, life(sip::Layer::keyed(Limits::default(), [7; 16])));
    let failed = one.iter().filter(|output| matches!(output, Output::Failed { .. })).count();
    assert_eq!(failed, 200);
    let first = one.iter().find_map(|output| match output {
        Output::Failed { key, .. } => Some(key.clone()),
        _ => None,
    });
    assert_eq!(first, Some(ClientKey::of(&request(Method::Bye, "z9hG4bK0"))), "in the order they were sent");
}

#[test]
fn an_answer_is_the_same_bytes_each_time_and_survives_a_restart() {
    let options = request(Method::Options, BRANCH);
    let mut bench = Bench::new();
    hear(&mut bench, udp(), &options);
    let first = sent(
        &bench.put(Input::Respond { key: ServerKey::of(&options), response: response(&options, Status::OK) }),
    );
    bench.restart();
    assert_eq!(sent(&bench.put(Input::Received { from: udp(), message: options })), first);
}
