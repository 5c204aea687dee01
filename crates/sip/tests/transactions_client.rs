//! Our own requests: RFC 3261 figures 5 and 6 with RFC 6026, told as they would be seen on the wire.

use crate::support::{Bench, ack_of_success, request, response, sent, tcp, told, udp};
use sip::transaction::{Failure, Input, Output};
use sip::{ClientKey, Edit, Flow, Message, Method, Name, Response, Status};
use std::time::Duration;

fn send(bench: &mut Bench, to: Flow, request: &Message) -> Vec<Output<Flow>> {
    bench.put(Input::Request { to, request: request.clone() })
}

fn hear(bench: &mut Bench, response: &Message) -> Vec<String> {
    told(&bench.put(Input::Received { from: udp(), message: response.clone() }))
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

#[test]
fn rfc_3261_17_1_1_2_an_invite_into_silence_is_repeated_ever_slower_and_given_up_after_32_s() {
    let mut bench = Bench::new();
    assert_eq!(told(&send(&mut bench, udp(), &request(Method::Invite, "z9hG4bK1"))), ["send INVITE"]);
    let seen = bench.passed(seconds(60));
    let at: Vec<u128> = seen.iter().map(|(at, _)| *at).collect();
    assert_eq!(at, [500, 1500, 3500, 7500, 15_500, 31_500, 32_000]);
    assert_eq!(seen.last().unwrap().1, "failed TimedOut");
    assert!(bench.layer.is_empty());
    assert_eq!(bench.layer.next_timeout(), None);
}

#[test]
fn over_a_reliable_hop_nothing_is_repeated() {
    let mut bench = Bench::new();
    send(&mut bench, tcp(), &request(Method::Invite, "z9hG4bK1"));
    assert_eq!(bench.passed(seconds(60)), [(32_000, "failed TimedOut".to_owned())]);
    send(&mut bench, tcp(), &request(Method::Bye, "z9hG4bK2"));
    assert_eq!(bench.passed(seconds(60)), [(32_000, "failed TimedOut".to_owned())]);
}

#[test]
fn rfc_3261_17_1_2_2_any_other_request_is_repeated_at_most_every_4_s() {
    let mut bench = Bench::new();
    send(&mut bench, udp(), &request(Method::Bye, "z9hG4bK1"));
    let at: Vec<u128> = bench.passed(seconds(60)).iter().map(|(at, _)| *at).collect();
    assert_eq!(at, [500, 1500, 3500, 7500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500, 32_000]);
}

#[test]
fn a_ringing_call_waits_for_ever() {
    let mut bench = Bench::new();
    let invite = request(Method::Invite, "z9hG4bK1");
    send(&mut bench, udp(), &invite);
    assert_eq!(hear(&mut bench, &response(&invite, Status::RINGING)), ["response 180"]);
    assert_eq!(bench.passed(seconds(3600)), []);
    assert_eq!(hear(&mut bench, &response(&invite, Status::RINGING)), ["response 180"]);
    assert_eq!(bench.layer.len(), 1);
}

#[test]
fn rfc_3261_17_1_1_3_a_refusal_is_acknowledged_each_time_it_comes_and_told_once() {
    let mut bench = Bench::new();
    let invite =
        Edit::of(&request(Method::Invite, "z9hG4bK1")).add(Name::Route, "<sip:p.test;lr>").message().unwrap();
    send(&mut bench, udp(), &invite);
    let busy = response(&invite, Status::BUSY_HERE);
    let out = bench.put(Input::Received { from: udp(), message: busy.clone() });
    assert_eq!(told(&out), ["response 486", "send ACK"]);
    let ack = sent(&out);
    assert_eq!(ack.via(), invite.via());
    assert_eq!((ack.to().tag(), ack.from(), ack.call_id()), (Some("b1"), invite.from(), invite.call_id()));
    assert_eq!((ack.cseq().number, ack.request_uri()), (1, invite.request_uri()));
    assert_eq!(ack.header(Name::Route), Some("<sip:p.test;lr>"));
    assert_eq!(ack.list(Name::Via).count(), 1);
    assert_eq!(hear(&mut bench, &busy), ["send ACK"]);
    assert_eq!(bench.passed(seconds(33)), []);
    assert!(bench.layer.is_empty());
    assert_eq!(hear(&mut bench, &busy), ["stray 486"]);
}

#[test]
fn rfc_3261_13_2_2_4_an_answer_that_comes_again_gets_the_same_ack_again() {
    let mut bench = Bench::new();
    let invite = request(Method::Invite, "z9hG4bK1");
    send(&mut bench, udp(), &invite);
    let ok = response(&invite, Status::OK);
    assert_eq!(hear(&mut bench, &ok), ["response 200"]);
    assert_eq!(hear(&mut bench, &ok), Vec::<String>::new(), "the user has it and thinks");
    let ack = ack_of_success(&invite, "z9hG4bKack");
    let (key, to) = (ClientKey::of(&invite), udp());
    assert_eq!(told(&bench.put(Input::Acknowledge { key, to, ack: ack.clone() })), ["send ACK"]);
    let again = bench.put(Input::Received { from: udp(), message: ok.clone() });
    assert_eq!(sent(&again).to_bytes(), ack.to_bytes());
    bench.restart();
    assert_eq!(hear(&mut bench, &ok), ["send ACK"]);
    assert_eq!(bench.passed(seconds(40)), []);
    assert!(bench.layer.is_empty());
}

#[test]
fn rfc_6026_each_fork_that_answers_is_told() {
    let mut bench = Bench::new();
    let invite = request(Method::Invite, "z9hG4bK1");
    send(&mut bench, udp(), &invite);
    assert_eq!(hear(&mut bench, &response(&invite, Status::OK)), ["response 200"]);
    let other = Response::to(&invite, Status::OK).to_tag("b2").message().unwrap();
    assert_eq!(hear(&mut bench, &other), ["response 200"]);
}

#[test]
fn rfc_3261_9_1_a_cancel_waits_for_a_provisional_response() {
    let mut bench = Bench::new();
    let invite = request(Method::Invite, "z9hG4bK1");
    send(&mut bench, udp(), &invite);
    assert_eq!(told(&bench.put(Input::Cancel { key: ClientKey::of(&invite) })), Vec::<String>::new());
    let out = bench.put(Input::Received { from: udp(), message: response(&invite, Status::RINGING) });
    assert_eq!(told(&out), ["response 180", "send CANCEL"]);
    let cancel = sent(&out);
    assert_eq!((cancel.via(), cancel.cseq().number), (invite.via(), 1));
    assert_eq!((cancel.to(), cancel.request_uri()), (invite.to(), invite.request_uri()));
    let done = Response::to(&cancel, Status::OK).to_tag("b1").message().unwrap();
    assert_eq!(hear(&mut bench, &done), Vec::<String>::new(), "the layer's own business");
    assert_eq!(
        hear(&mut bench, &response(&invite, Status::REQUEST_TERMINATED)),
        ["response 487", "send ACK"]
    );
}

#[test]
fn a_cancel_that_crosses_the_answer_is_the_users_to_end() {
    let mut bench = Bench::new();
    let invite = request(Method::Invite, "z9hG4bK1");
    send(&mut bench, udp(), &invite);
    hear(&mut bench, &response(&invite, Status::RINGING));
    assert_eq!(told(&bench.put(Input::Cancel { key: ClientKey::of(&invite) })), ["send CANCEL"]);
    assert_eq!(told(&bench.put(Input::Cancel { key: ClientKey::of(&invite) })), Vec::<String>::new());
    assert_eq!(hear(&mut bench, &response(&invite, Status::OK)), ["response 200"]);
}

#[test]
fn rfc_3261_9_1_a_cancelled_call_that_nobody_ends_is_given_up_after_32_s() {
    let mut bench = Bench::new();
    let invite = request(Method::Invite, "z9hG4bK1");
    send(&mut bench, tcp(), &invite);
    hear(&mut bench, &response(&invite, Status::RINGING));
    bench.put(Input::Cancel { key: ClientKey::of(&invite) });
    assert_eq!(bench.passed(seconds(60)), [(32_000, "failed TimedOut".to_owned())]);
    assert!(bench.layer.is_empty());
}

#[test]
fn a_dead_hop_fails_what_waits_on_it_and_nothing_else() {
    let mut bench = Bench::new();
    let (lost, kept) = (request(Method::Invite, "z9hG4bK1"), request(Method::Options, "z9hG4bK2"));
    send(&mut bench, tcp(), &lost);
    send(&mut bench, udp(), &kept);
    let out = bench.put(Input::Unreachable { hop: tcp() });
    assert_eq!(out, [Output::Failed { key: ClientKey::of(&lost), why: Failure::Unreachable }]);
    assert_eq!(hear(&mut bench, &response(&kept, Status::OK)), ["response 200"]);
}

#[test]
fn a_provisional_slows_the_repetition_and_a_repeated_final_is_swallowed() {
    let mut bench = Bench::new();
    let refer = request(Method::Refer, "z9hG4bK1");
    send(&mut bench, udp(), &refer);
    assert_eq!(hear(&mut bench, &response(&refer, Status::TRYING)), ["response 100"]);
    let at: Vec<u128> = bench.passed(seconds(13)).iter().map(|(at, _)| *at).collect();
    assert_eq!(at, [4000, 8000, 12_000]);
    let accepted = response(&refer, Status::ACCEPTED);
    assert_eq!(hear(&mut bench, &accepted), ["response 202"]);
    assert_eq!(hear(&mut bench, &accepted), Vec::<String>::new());
    assert_eq!(bench.passed(seconds(6)), []);
    assert_eq!(hear(&mut bench, &accepted), ["stray 202"]);
}

#[test]
fn rfc_3261_8_1_3_3_a_response_with_two_via_is_not_ours() {
    let mut bench = Bench::new();
    let options = request(Method::Options, "z9hG4bK1");
    send(&mut bench, udp(), &options);
    let response = response(&options, Status::OK);
    let two = Edit::of(&response).add(Name::Via, "SIP/2.0/UDP elsewhere;branch=z9hG4bKx").message().unwrap();
    assert_eq!(hear(&mut bench, &two), ["stray 200"]);
    assert_eq!(hear(&mut bench, &response), ["response 200"]);
}

#[test]
fn a_restart_in_the_middle_loses_no_timer() {
    let mut bench = Bench::new();
    send(&mut bench, udp(), &request(Method::Invite, "z9hG4bK1"));
    bench.passed(seconds(2));
    bench.restart();
    let at: Vec<u128> = bench.passed(seconds(60)).iter().map(|(at, _)| *at).collect();
    assert_eq!(at, [1500, 5500, 13_500, 29_500, 30_000]);
}

#[test]
fn a_full_layer_sends_nothing_and_says_so() {
    let mut bench = Bench::with_room_for(1);
    send(&mut bench, udp(), &request(Method::Options, "z9hG4bK1"));
    let second = request(Method::Options, "z9hG4bK2");
    let out = send(&mut bench, udp(), &second);
    assert_eq!(out, [Output::Failed { key: ClientKey::of(&second), why: Failure::Full }]);
}
