//! Reliable provisional responses (RFC 3262) and UPDATE before the answer (RFC 3311).

use crate::phone::Phone;
use crate::world::{World, told};
use model::Cause;
use sip::{Method, Name, Status};

const PAIRS: [(&str, &str); 3] = [("2101", "2201"), ("2101", "2102"), ("2001", "2201")];

fn knows_100rel(phone: &mut Phone) {
    phone.says.push((Name::Supported, "100rel".to_owned()));
}

/// `caller` calls, `called` answers with a reliable 183 and early words, which are confirmed.
fn early(world: &mut World, caller: &str, called: &str) {
    knows_100rel(world.phone(caller));
    world.phone(caller).call(called);
    world.wait_ms(200);
    world.phone(called).progress_reliably(Status::SESSION_PROGRESS, Some("early"));
    world.wait_ms(300);
    assert!(world.phone(caller).heard("PRACK 200"), "{:?}", world.phone(caller).heard);
}

fn answered_and_over(world: &mut World, caller: &str, called: &str) {
    world.phone(called).answer();
    world.wait_ms(300);
    assert!(world.phone(caller).heard("200") && world.phone(called).heard("ACK"));
    world.phone(caller).hang_up();
    world.wait_ms(300);
    assert!(world.phone(called).heard("BYE/16"));
    world.one_record(Cause::NormalClearing);
    world.all_idle();
}

#[test]
fn rfc_3262_a_reliable_response_is_confirmed_end_to_end_and_numbered_per_leg() {
    for (caller, called) in PAIRS {
        told(|world| {
            early(world, caller, called);
            let response = world.phone(caller).response(183).clone();
            assert!(response.has_option(Name::Require, "100rel"));
            assert_ne!(response.header(Name::RSeq), Some("700"), "our number, not the phone's");
            assert_eq!(world.phone(caller).sdp, [format!("early of {called}")]);
            let prack = world.phone(called).last(&Method::Prack).clone();
            assert_eq!(prack.header(Name::RAck), Some("700 1 INVITE"));
            answered_and_over(world, caller, called);
        });
    }
}

#[test]
fn rfc_3262_it_is_repeated_until_its_prack_and_never_after() {
    told(|world| {
        knows_100rel(world.phone("2101"));
        world.phone("2101").keeps_prack = true;
        world.phone("2101").call("2102");
        world.wait_ms(200);
        world.phone("2102").progress_reliably(Status::SESSION_PROGRESS, Some("early"));
        world.wait_ms(4_000);
        // At 0, 500, 1500, 3500 ms.
        assert_eq!(world.phone("2101").times("183"), 4, "{:?}", world.phone("2101").heard);
        world.phone("2101").keeps_prack = false;
        world.wait_ms(5_000);
        assert_eq!(world.phone("2101").times("183"), 5);
        world.wait_ms(20_000);
        assert_eq!(world.phone("2101").times("183"), 5);
        answered_and_over(world, "2101", "2102");
    });
}

#[test]
fn rfc_3262_a_caller_that_never_confirms_is_refused_by_5xx_after_64_t1() {
    told(|world| {
        knows_100rel(world.phone("2101"));
        world.phone("2101").keeps_prack = true;
        world.phone("2101").call("2102");
        world.wait_ms(200);
        world.phone("2102").progress_reliably(Status::SESSION_PROGRESS, None);
        world.wait_ms(31_000);
        assert!(!world.phone("2101").heard("503/41"));
        world.wait_ms(2_000);
        assert!(world.phone("2101").heard("503/41"), "{:?}", world.phone("2101").heard);
        assert!(world.phone("2102").heard("CANCEL"));
        world.one_record(Cause::TemporaryFailure);
        world.all_idle();
    });
}

#[test]
fn rfc_3262_a_second_response_waits_for_the_prack_of_the_first() {
    told(|world| {
        early(world, "2101", "2201");
        world.phone("2201").progress_reliably(Status::RINGING, None);
        world.wait_ms(300);
        assert!(world.phone("2101").heard("180"));
        let rseq = |world: &mut World, status: u16| {
            world.phone("2101").response(status).number(Name::RSeq).unwrap().unwrap()
        };
        let (first, second) = (rseq(world, 183), rseq(world, 180));
        assert_eq!(second, first + 1);
        assert_eq!(world.phone("2201").times("PRACK"), 2);
        answered_and_over(world, "2101", "2201");
    });
}

#[test]
fn rfc_3262_an_offer_in_prack_reaches_the_phone() {
    told(|world| {
        world.phone("2101").prack_words = Some("second offer");
        early(world, "2101", "2201");
        assert!(world.phone("2201").sdp.contains(&"second offer of 2101".to_owned()));
        answered_and_over(world, "2101", "2201");
    });
}

#[test]
fn rfc_3262_a_late_offer_in_a_reliable_183_is_answered_by_prack() {
    told(|world| {
        knows_100rel(world.phone("2101"));
        world.phone("2101").prack_words = Some("answer");
        world.phone("2101").call_late_offer("2201");
        world.wait_ms(200);
        world.phone("2201").progress_reliably(Status::SESSION_PROGRESS, Some("offer"));
        world.wait_ms(300);
        assert_eq!(world.phone("2101").sdp, ["offer of 2201"]);
        assert_eq!(world.phone("2201").sdp, ["answer of 2101"]);
        answered_and_over(world, "2101", "2201");
    });
}

#[test]
fn rfc_3262_who_does_not_know_it_is_not_troubled() {
    told(|world| {
        world.phone("2101").call("2102");
        world.wait_ms(200);
        let invite = world.phone("2102").last(&Method::Invite).clone();
        assert!(!invite.has_option(Name::Supported, "100rel") && !invite.has_option(Name::Require, "100rel"));
        assert!(world.phone("2101").response(180).header(Name::RSeq).is_none());
        // A phone that sends one all the same is confirmed by us.
        world.phone("2102").progress_reliably(Status::SESSION_PROGRESS, Some("early"));
        world.wait_ms(300);
        assert_eq!(world.phone("2102").last(&Method::Prack).header(Name::RAck), Some("700 1 INVITE"));
        assert!(world.phone("2101").response(183).header(Name::RSeq).is_none());
        answered_and_over(world, "2101", "2102");
    });
}

#[test]
fn rfc_3262_who_requires_it_gets_ours_where_the_phone_rings_plainly() {
    told(|world| {
        world.phone("2101").says.push((Name::Require, "100rel".to_owned()));
        world.phone("2101").call("2102");
        world.wait_ms(300);
        let ringing = world.phone("2101").response(180).clone();
        assert!(ringing.header(Name::RSeq).is_some() && ringing.body().is_empty());
        assert!(world.phone("2101").heard("PRACK 200"));
        assert!(!world.phone("2102").heard("PRACK"));
        answered_and_over(world, "2101", "2102");
    });
}

#[test]
fn rfc_3262_a_prack_of_nothing_is_481() {
    told(|world| {
        early(world, "2101", "2102");
        world.phone("2101").inside(Method::Prack, None);
        world.wait_ms(300);
        assert!(world.phone("2101").heard("PRACK 481"), "{:?}", world.phone("2101").heard);
        answered_and_over(world, "2101", "2102");
    });
}

#[test]
fn rfc_3262_several_phones_ring_as_one() {
    told(|world| {
        let twin = world.twin_of("2102", "twin");
        world.phone(&twin).register(3600);
        world.wait_ms(300);
        knows_100rel(world.phone("2101"));
        world.phone("2101").call("2102");
        world.wait_ms(300);
        for phone in ["2102", "twin"] {
            let invite = world.phone(phone).last(&Method::Invite).clone();
            assert!(
                !invite.has_option(Name::Supported, "100rel"),
                "early media of one would shut out the other"
            );
        }
        world.phone("2102").early_media();
        world.wait_ms(300);
        assert!(world.phone("2101").sdp.is_empty());
        answered_and_over(world, "2101", "2102");
    });
}

#[test]
fn rfc_3311_update_passes_before_the_answer_both_ways() {
    for (caller, called) in PAIRS {
        told(|world| {
            early(world, caller, called);
            for (one, other) in [(caller, called), (called, caller)] {
                world.phone(one).inside(Method::Update, Some("other codec"));
                world.wait_ms(300);
                assert!(world.phone(other).sdp.contains(&format!("other codec of {one}")));
                assert!(world.phone(one).heard("UPDATE 200"), "{:?}", world.phone(one).heard);
            }
            answered_and_over(world, caller, called);
        });
    }
}

#[test]
fn rfc_3311_crossing_updates_before_the_answer_get_491_and_a_second_one_500_with_retry_after() {
    told(|world| {
        early(world, "2101", "2102");
        world.phone("2102").thinks = true;
        world.phone("2101").inside(Method::Update, Some("first"));
        world.wait_ms(100);
        world.phone("2102").inside(Method::Update, Some("crossing"));
        world.phone("2101").inside(Method::Update, Some("second"));
        world.wait_ms(100);
        assert!(world.phone("2102").heard("UPDATE 491"), "{:?}", world.phone("2102").heard);
        assert!(world.phone("2101").heard("UPDATE 500"), "{:?}", world.phone("2101").heard);
        assert_eq!(world.phone("2101").last_response.as_ref().unwrap().header(Name::RetryAfter), Some("5"));
        world.phone("2102").agree();
        world.wait_ms(100);
        assert!(world.phone("2101").heard("UPDATE 200"));
        world.phone("2102").thinks = false;
        answered_and_over(world, "2101", "2102");
    });
}

#[test]
fn rfc_3311_an_update_on_its_way_survives_the_answer() {
    told(|world| {
        early(world, "2101", "2201");
        world.phone("2201").thinks = true;
        world.phone("2101").inside(Method::Update, Some("new"));
        world.wait_ms(100);
        world.phone("2201").answer();
        world.wait_ms(100);
        world.phone("2201").agree();
        world.wait_ms(300);
        assert!(world.phone("2101").heard("UPDATE 200"), "{:?}", world.phone("2101").heard);
        world.phone("2101").hang_up();
        world.wait_ms(300);
        world.one_record(Cause::NormalClearing);
        world.all_idle();
    });
}

#[test]
fn rfc_3261_13_a_cancel_ends_an_early_dialog_with_a_reliable_response() {
    told(|world| {
        early(world, "2101", "2201");
        world.phone("2101").cancel();
        world.wait_ms(300);
        assert!(world.phone("2101").heard("487/16") && world.phone("2201").heard("CANCEL"));
        world.one_record(Cause::Cancelled);
        world.all_idle();
    });
}

#[test]
fn rfc_3261_16_7_a_dead_phone_delays_busy_by_4_s_and_not_by_32() {
    told(|world| {
        let twin = world.twin_of("2102", "twin");
        world.phone(&twin).register(3600);
        world.wait_ms(300);
        world.phone("twin").unplug();
        world.phone("2102").when_called = crate::phone::WhenCalled::Busy;
        world.phone("2101").call("2102");
        world.wait_ms(3_000);
        assert!(!world.phone("2101").heard("486/17"), "it may still ring");
        world.wait_ms(1_500);
        assert!(world.phone("2101").heard("486/17"), "{:?}", world.phone("2101").heard);
        world.one_record(Cause::Busy);
        world.wait_ms(40_000);
        world.all_idle();
    });
}
