//! Calls that are not answered: each has one cause, told to both ends and in the record.

use crate::phone::WhenCalled;
use crate::world::told;
use call::{EndedBy, Input};
use model::{Cause, Kind};

/// A call across the cluster, within a node, and to the cluster server.
const PAIRS: [(&str, &str); 4] = [("2101", "2201"), ("2101", "2102"), ("2101", "2001"), ("2001", "2201")];

#[test]
fn a_busy_phone_is_heard_as_busy() {
    for (caller, called) in PAIRS {
        told(|world| {
            world.phone(called).when_called = WhenCalled::Busy;
            world.phone(caller).call(called);
            world.wait_ms(300);
            assert!(world.phone(caller).heard("486/17"));
            assert_eq!(world.one_record(Cause::Busy).ended_by, EndedBy::Called);
            world.all_idle();
        });
    }
}

#[test]
fn a_declined_call_is_heard_as_declined() {
    for (caller, called) in PAIRS {
        told(|world| {
            world.phone(called).when_called = WhenCalled::Decline;
            world.phone(caller).call(called);
            world.wait_ms(300);
            assert!(world.phone(caller).heard("603/21"));
            world.one_record(Cause::Declined);
            world.all_idle();
        });
    }
}

#[test]
fn a_redirecting_phone_is_a_failure_for_now() {
    told(|world| {
        world.phone("2102").when_called = WhenCalled::Refuse(302);
        world.phone("2101").call("2102");
        world.wait_ms(300);
        assert!(world.phone("2101").heard("503/41"));
        world.one_record(Cause::TemporaryFailure);
        world.all_idle();
    });
}

#[test]
fn phones_that_share_no_codec_are_told_so() {
    told(|world| {
        world.phone("2201").when_called = WhenCalled::Refuse(488);
        world.phone("2101").call("2201");
        world.wait_ms(300);
        assert!(world.phone("2101").heard("488/88"));
        world.two_records(Cause::IncompatibleMedia);
        world.all_idle();
    });
}

#[test]
fn nobody_answers_and_the_called_phone_stops_ringing() {
    for (caller, called) in PAIRS {
        told(|world| {
            world.phone(caller).call(called);
            world.wait_ms(59_000);
            assert!(world.phone(caller).heard("180"));
            assert!(!world.phone(called).heard("CANCEL"));
            world.wait_ms(1_500);
            assert!(world.phone(caller).heard("480/19"), "{:?}", world.phone(caller).heard);
            assert!(world.phone(called).heard("CANCEL"));
            world.one_record(Cause::NoAnswer);
            world.all_idle();
        });
    }
}

#[test]
fn a_phone_that_does_not_react_at_all() {
    told(|world| {
        world.phone("2201").unplug();
        world.phone("2101").call("2201");
        world.wait_ms(33_000);
        assert!(world.phone("2101").heard("408/18"));
        world.two_records(Cause::NoUserResponding);
        world.all_idle();
    });
}

#[test]
fn the_caller_gives_up_while_it_rings() {
    for (caller, called) in PAIRS {
        told(|world| {
            world.phone(caller).call(called);
            world.wait_ms(300);
            world.phone(caller).cancel();
            world.wait_ms(300);
            assert!(world.phone(caller).heard("487/16"));
            assert!(world.phone(called).heard("CANCEL"));
            assert_eq!(world.one_record(Cause::Cancelled).ended_by, EndedBy::Caller);
            world.all_idle();
        });
    }
}

#[test]
fn cancel_and_answer_cross_and_no_phone_is_left_talking_to_nobody() {
    // The later the answer after the CANCEL, the nearer to the called phone the two meet.
    for (caller, called) in PAIRS.into_iter().chain([("2102", "2101")]) {
        for lead_ms in [0, 1, 2, 5, 11, 15, 20, 22] {
            told(|world| {
                world.phone(caller).call(called);
                world.wait_ms(300);
                world.phone(caller).cancel();
                world.wait_ms(lead_ms);
                let still_rings = !world.phone(called).heard("CANCEL");
                if still_rings {
                    world.phone(called).answer();
                }
                world.wait_ms(300);
                if world.phone(caller).heard("200") {
                    world.phone(caller).hang_up();
                }
                world.wait_ms(300);
                let phone = world.phone(called);
                assert!(phone.heard("CANCEL") || phone.heard("BYE/16"), "{:?}", phone.heard);
                world.all_idle();
                // Answered for one end, cancelled for the other: the same Q.850 cause for both.
                assert!(!world.records.is_empty() && world.records.len() <= 2);
                assert!(world.records.iter().all(|record| record.cause.q850() == 16), "{:#?}", world.records);
            });
        }
    }
}

#[test]
fn syn_06_a_number_outside_the_plan_is_unallocated_and_so_is_an_empty_place_in_it() {
    for (caller, called) in [("2101", "2300"), ("2101", "2250"), ("2001", "2250"), ("2001", "7")] {
        told(|world| {
            world.phone(caller).call(called);
            world.wait_ms(300);
            assert!(world.phone(caller).heard("404/1"), "{:?}", world.phone(caller).heard);
            world.one_record(Cause::UnallocatedNumber);
            world.all_idle();
        });
    }
}

#[test]
fn what_is_no_number_cannot_be_called() {
    told(|world| {
        world.phone("2101").call("bob");
        world.wait_ms(300);
        assert!(world.phone("2101").heard("484/28"));
        world.one_record(Cause::InvalidNumber);
        world.all_idle();
    });
}

#[test]
fn a_subscriber_without_a_phone_is_absent() {
    for (caller, called) in PAIRS {
        told(|world| {
            world.phone(called).register(0);
            world.wait_ms(300);
            assert!(!world.phone(called).registered);
            world.phone(caller).call(called);
            world.wait_ms(300);
            assert!(world.phone(caller).heard("480/20"), "{:?}", world.phone(caller).heard);
            world.one_record(Cause::SubscriberAbsent);
            world.all_idle();
        });
    }
}

#[test]
fn nobody_can_call_its_own_only_phone() {
    told(|world| {
        world.phone("2101").call("2101");
        world.wait_ms(300);
        assert!(world.phone("2101").heard("486/17"));
        world.one_record(Cause::Busy);
    });
}

#[test]
fn imp_10_syn_08_a_barred_caller_is_refused_and_the_called_phone_hears_nothing() {
    told(|world| {
        world.phone("2102").call("2201");
        world.wait_ms(300);
        assert!(world.phone("2102").heard("403/21"));
        assert_eq!(world.phone("2201").heard, Vec::<String>::new());
        let record = world.one_record(Cause::Barred);
        assert!(record.steps.iter().any(|step| step.to_string() == "barred numbers node2: matches 22"));
        world.all_idle();
    });
}

#[test]
fn syn_02_imp_11_another_feature_class_is_in_force_for_the_next_call() {
    told(|world| {
        world.change(Kind::FeatureClass, "free", r#"{"barred":["node2"]}"#);
        world.phone("2101").call("2201");
        world.wait_ms(300);
        assert!(world.phone("2101").heard("403/21"));
        world.change(Kind::FeatureClass, "free", "{}");
        world.phone("2101").call("2201");
        world.wait_ms(300);
        assert!(world.phone("2101").heard("180"));
    });
}

#[test]
fn syn_07_an_emergency_number_passes_barring_and_limits() {
    told(|world| {
        world.tell(1, Input::Drain);
        world.phone("2102").call("2101");
        world.wait_ms(300);
        assert!(world.phone("2102").heard("503/42"), "a member that is about to stop takes no new call");
        world.records.clear();
        world.phone("2102").call("112");
        world.wait_ms(300);
        assert!(world.phone("2102").heard("180"));
        world.phone("2101").answer();
        world.wait_ms(300);
        world.phone("2102").hang_up();
        world.wait_ms(300);
        let record = world.one_record(Cause::NormalClearing);
        assert!(record.emergency);
        assert_eq!((record.dialled.as_str(), record.called.number.as_str()), ("112", "2101"));
        world.all_idle();
    });
}

#[test]
fn a_phone_gone_wild_fills_its_own_share_only() {
    told(|world| {
        world.phone("2102").when_called = WhenCalled::Mute;
        for _ in 0..=call::settings::CALLS_PER_CALLER_MAX {
            world.phone("2101").call("2102");
            world.wait_ms(50);
        }
        assert!(world.phone("2101").heard("503/42"));
        assert!(world.faults.iter().any(|fault| fault.contains("CALLS_PER_CALLER_MAX")));
        world.phone("2102").call("2001");
        world.wait_ms(300);
        assert!(world.phone("2102").heard("180"));
    });
}

#[test]
fn of_two_phones_that_ring_one_answers_and_the_other_stops() {
    told(|world| {
        let twin = world.twin_of("2102", "2102b");
        world.phone(&twin).register(3600);
        world.wait_ms(300);
        world.phone("2101").call("2102");
        world.wait_ms(300);
        world.phone(&twin).early_media();
        world.wait_ms(100);
        assert_eq!(world.phone("2101").sdp, Vec::<String>::new(), "media of one would shut out the other");
        world.phone(&twin).answer();
        world.wait_ms(300);
        assert!(world.phone("2102").heard("CANCEL"));
        assert_eq!(world.phone("2101").sdp, ["answer of 2102b"]);
        world.phone("2101").hang_up();
        world.wait_ms(300);
        let record = world.one_record(Cause::NormalClearing);
        assert_eq!(record.call_ids.len(), 3);
        world.all_idle();
    });
}

#[test]
fn both_phones_answer_at_once_and_one_of_them_is_hung_up() {
    told(|world| {
        let twin = world.twin_of("2102", "2102b");
        world.phone(&twin).register(3600);
        world.wait_ms(300);
        world.phone("2101").call("2102");
        world.wait_ms(300);
        world.phone(&twin).answer();
        world.phone("2102").answer();
        world.wait_ms(500);
        let hung_up =
            ["2102", "2102b"].into_iter().filter(|number| world.phones[*number].heard("BYE/16")).count();
        assert_eq!(hung_up, 1);
        world.phone("2101").hang_up();
        world.wait_ms(300);
        world.one_record(Cause::NormalClearing);
        world.all_idle();
    });
}

#[test]
fn one_of_two_phones_is_busy_and_the_other_rings_on() {
    told(|world| {
        let twin = world.twin_of("2102", "2102b");
        world.phone(&twin).register(3600);
        world.phone(&twin).when_called = WhenCalled::Busy;
        world.wait_ms(300);
        world.phone("2101").call("2102");
        world.wait_ms(300);
        assert!(world.phone("2101").heard("180"));
        world.phone("2102").answer();
        world.wait_ms(300);
        assert!(world.phone("2101").heard("200"));
        world.phone("2101").hang_up();
        world.wait_ms(300);
        world.one_record(Cause::NormalClearing);
        world.all_idle();
    });
}

#[test]
fn an_operator_ends_a_ringing_call() {
    told(|world| {
        world.phone("2101").call("2201");
        world.wait_ms(300);
        let call = world.members[&1].edge.calls()[0].call;
        world.tell(1, Input::HangUp(call));
        world.wait_ms(300);
        assert!(world.phone("2101").heard("480/31"));
        assert!(world.phone("2201").heard("CANCEL"));
        world.all_idle();
        let call = world.records.iter().find(|record| record.role == call::Role::Originating).unwrap();
        assert_eq!(call.cause, Cause::EndedByOperator);
    });
}
