//! What happens inside a call, and how it ends.

use crate::world::{Make, World, told, told_bare};
use call::{EndedBy, Input};
use model::Cause;
use sip::{Method, Transport};

const PAIRS: [(&str, &str); 3] = [("2101", "2201"), ("2101", "2102"), ("2001", "2201")];

/// `caller` and `called` talk, and what they heard so far is forgotten.
pub(crate) fn talk(world: &mut World, caller: &str, called: &str) {
    world.phone(caller).call(called);
    world.wait_ms(300);
    world.phone(called).answer();
    world.wait_ms(300);
    assert!(world.phone(caller).heard("200"), "{:?}", world.phone(caller).heard);
    assert!(world.phone(called).heard("ACK"));
    for number in [caller, called] {
        world.phone(number).heard.clear();
        world.phone(number).sdp.clear();
    }
}

/// The call still stands: the caller hangs up, the called party hears it.
fn still_talks(world: &mut World, caller: &str, called: &str) {
    world.phone(caller).hang_up();
    world.wait_ms(300);
    assert!(world.phone(called).heard("BYE/16"), "{:?}", world.phone(called).heard);
    world.one_record(Cause::NormalClearing);
    world.all_idle();
}

#[test]
fn early_media_reaches_the_caller_before_the_answer() {
    for (caller, called) in PAIRS {
        told(|world| {
            world.phone(caller).call(called);
            world.wait_ms(200);
            world.phone(called).early_media();
            world.wait_ms(200);
            assert!(world.phone(caller).heard("183"));
            assert_eq!(world.phone(caller).sdp, [format!("early media of {called}")]);
            world.phone(called).answer();
            world.wait_ms(200);
            still_talks(world, caller, called);
        });
    }
}

#[test]
fn a_late_offer_is_answered_by_the_callers_ack() {
    for (caller, called) in PAIRS {
        told(|world| {
            world.phone(caller).call_late_offer(called);
            world.wait_ms(200);
            world.phone(called).answer();
            world.wait_ms(200);
            assert_eq!(world.phone(caller).sdp, [format!("offer of {called}")]);
            assert_eq!(world.phone(called).sdp, [format!("answer of {caller}")]);
            still_talks(world, caller, called);
        });
    }
}

#[test]
fn the_called_party_hangs_up() {
    for (caller, called) in PAIRS {
        told(|world| {
            talk(world, caller, called);
            world.phone(called).hang_up();
            world.wait_ms(300);
            assert!(world.phone(caller).heard("BYE/16"));
            assert_eq!(world.one_record(Cause::NormalClearing).ended_by, EndedBy::Called);
            world.all_idle();
        });
    }
}

#[test]
fn hold_and_resume_from_both_sides() {
    for (caller, called) in PAIRS {
        told(|world| {
            talk(world, caller, called);
            for (one, other) in [(caller, called), (called, caller)] {
                world.phone(one).hold();
                world.wait_ms(300);
                world.phone(one).resume();
                world.wait_ms(300);
                let words = [format!("hold of {one}"), format!("resume of {one}")];
                assert!(words.iter().all(|word| world.phone(other).sdp.contains(word)));
                assert_eq!(world.phone(one).times("200"), 2);
                assert_eq!(world.phone(other).times("ACK"), 2, "{:?}", world.phone(other).heard);
            }
            still_talks(world, caller, called);
        });
    }
}

#[test]
fn update_info_and_message_pass_through_both_ways() {
    for (caller, called) in PAIRS {
        told(|world| {
            talk(world, caller, called);
            for (one, other) in [(caller, called), (called, caller)] {
                world.phone(one).inside(Method::Update, Some("update"));
                world.wait_ms(200);
                world.phone(one).inside(Method::Info, Some("digit 5"));
                world.wait_ms(200);
                world.phone(one).inside(Method::Message, Some("hello"));
                world.wait_ms(200);
                for method in ["UPDATE", "INFO", "MESSAGE"] {
                    assert!(world.phone(other).heard(method), "{method}");
                    assert!(world.phone(one).heard(&format!("{method} 200")), "{:?}", world.phone(one).heard);
                }
                assert!(world.phone(other).sdp.contains(&format!("digit 5 of {one}")));
            }
            still_talks(world, caller, called);
        });
    }
}

#[test]
fn two_offers_cross_and_both_get_491() {
    told(|world| {
        talk(world, "2101", "2201");
        world.phone("2101").hold();
        world.phone("2201").hold();
        world.wait_ms(500);
        assert!(
            world.phone("2101").heard("491") && world.phone("2201").heard("491"),
            "{:?}",
            world.phone("2101").heard
        );
        // Both try again at different times, as RFC 3261 § 14.1 has them do.
        world.phone("2101").hold();
        world.wait_ms(300);
        assert!(world.phone("2101").heard("200"));
        still_talks(world, "2101", "2201");
    });
}

#[test]
fn a_second_offer_before_the_answer_to_the_first_is_put_off() {
    told(|world| {
        talk(world, "2101", "2102");
        world.phone("2102").thinks = true;
        world.phone("2101").hold();
        world.wait_ms(100);
        world.phone("2102").hold();
        world.wait_ms(100);
        assert!(world.phone("2102").heard("491"), "the other side's offer is glare");
        world.phone("2101").inside(Method::Update, Some("second"));
        world.wait_ms(100);
        assert!(world.phone("2101").heard("UPDATE 500"), "{:?}", world.phone("2101").heard);
        world.phone("2102").agree();
        world.wait_ms(100);
        assert!(world.phone("2101").heard("200"));
        still_talks(world, "2101", "2102");
    });
}

#[test]
fn a_hang_up_overtakes_an_offer() {
    told(|world| {
        talk(world, "2101", "2201");
        world.phone("2201").thinks = true;
        world.phone("2101").hold();
        world.wait_ms(100);
        world.phone("2201").hang_up();
        world.wait_ms(300);
        assert!(world.phone("2101").heard("487"), "{:?}", world.phone("2101").heard);
        assert!(world.phone("2101").heard("BYE/16"));
        world.two_records(Cause::NormalClearing);
        world.all_idle();
    });
}

#[test]
fn an_answer_that_is_never_acknowledged_ends_after_64_t1() {
    for (caller, called) in PAIRS {
        told(|world| {
            world.phone(caller).keeps_ack = true;
            world.phone(caller).call(called);
            world.wait_ms(300);
            world.phone(called).answer();
            world.wait_ms(31_000);
            assert!(!world.phone(called).heard.iter().any(|heard| heard.starts_with("BYE")));
            world.wait_ms(3_000);
            assert!(world.phone(called).heard("BYE/27"), "{:?}", world.phone(called).heard);
            assert!(world.phone(caller).heard("BYE/27"), "{:?}", world.phone(caller).heard);
            world.one_record(Cause::LostPhone);
            world.all_idle();
        });
    }
}

#[test]
fn the_called_party_hangs_up_before_the_callers_ack() {
    told(|world| {
        world.phone("2101").keeps_ack = true;
        world.phone("2101").call("2102");
        world.wait_ms(300);
        world.phone("2102").answer();
        world.wait_ms(100);
        world.phone("2102").hang_up();
        world.wait_ms(1_000);
        assert!(!world.phone("2101").heard("BYE/16"), "a BYE must not overtake the 200");
        world.wait_ms(33_000);
        assert!(world.phone("2101").heard("BYE/16"));
        world.one_record(Cause::NormalClearing);
        world.all_idle();
    });
}

#[test]
fn a_phone_killed_in_a_call_frees_it_within_90_s() {
    for (caller, called, killed) in [
        ("2101", "2102", "2101"),
        ("2101", "2201", "2201"),
        ("2101", "2201", "2101"),
        ("2001", "2002", "2002"),
    ] {
        told(|world| {
            talk(world, caller, called);
            world.wait_ms(7_000);
            world.phone(killed).unplug();
            world.wait_ms(90_000);
            let other = if killed == caller { called } else { caller };
            assert!(world.phone(other).heard("BYE/27"), "{:?}", world.phone(other).heard);
            world.one_record(Cause::LostPhone);
            world.all_idle();
        });
    }
}

#[test]
fn a_quiet_call_of_three_hours_stays() {
    let mut world = World::new(Make::PLAIN);
    for number in ["2101", "2201"] {
        world.phone(number).register(3600);
    }
    talk(&mut world, "2101", "2201");
    for _ in 0..6 {
        world.wait_ms(30 * 60 * 1000);
        for number in ["2101", "2201"] {
            world.phone(number).register(3600);
        }
    }
    still_talks(&mut world, "2101", "2201");
}

#[test]
fn a_phone_reconnects_on_tcp_in_a_call_and_is_reached_over_the_new_connection() {
    told_bare(|world| {
        world.plug_in("2101", Transport::Udp);
        world.phone("2101").register(3600);
        world.plug_in("2102", Transport::Tcp);
        world.phone("2102").instance = Some("urn:uuid:00000000-0000-1000-8000-000000002102".to_owned());
        world.phone("2102").register(3600);
        world.wait_ms(300);
        talk(world, "2101", "2102");
        let now = world.now;
        let old = world.phone("2102").reconnect(now);
        world.tell(1, Input::FlowClosed(old));
        world.phone("2102").register(3600);
        world.wait_ms(300);
        world.phone("2101").hold();
        world.wait_ms(300);
        assert!(world.phone("2102").sdp.contains(&"hold of 2101".to_owned()));
        still_talks(world, "2101", "2102");
        // And a new call goes there too.
        world.records.clear();
        talk(world, "2101", "2102");
        still_talks(world, "2101", "2102");
    });
}

#[test]
fn a_phone_whose_connection_is_gone_is_absent_until_it_registers_again() {
    told_bare(|world| {
        world.plug_in("2101", Transport::Udp);
        world.phone("2101").register(3600);
        world.plug_in("2102", Transport::Tcp);
        world.phone("2102").register(3600);
        world.wait_ms(300);
        let now = world.now;
        let old = world.phone("2102").reconnect(now);
        world.tell(1, Input::FlowClosed(old));
        world.phone("2101").call("2102");
        world.wait_ms(300);
        assert!(world.phone("2101").heard("480/20"), "{:?}", world.phone("2101").heard);
        world.one_record(Cause::SubscriberAbsent);
    });
}

#[test]
fn an_operator_ends_a_call_and_both_ends_are_told_why() {
    told(|world| {
        talk(world, "2101", "2201");
        let call = world.members[&2].edge.calls()[0].call;
        world.tell(2, Input::HangUp(call));
        world.wait_ms(300);
        assert!(world.phone("2101").heard("BYE/31") && world.phone("2201").heard("BYE/31"));
        world.two_records(Cause::EndedByOperator);
        world.all_idle();
    });
}
