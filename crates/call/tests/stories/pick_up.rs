//! Pick-up by INVITE with Replaces (RFC 3891): of a call that rings, and of one that is talked in.

use crate::inside::talk;
use crate::phone::Phone;
use crate::world::{World, told};
use model::Cause;
use sip::{Method, Name};

/// The dialog of a phone as a watcher is told of it (RFC 4235): its own tag first.
pub(crate) fn watched(phone: &mut Phone, more: &str) -> String {
    let call = phone.call.as_mut().expect("it is in a call");
    match call.any_dialog() {
        Some(dialog) => {
            format!("{};to-tag={};from-tag={}{more}", dialog.call_id, dialog.local_tag(), dialog.remote_tag())
        }
        None => {
            let from_tag = call.invite.from().tag().unwrap().to_owned();
            format!("{};to-tag={};from-tag={from_tag}{more}", call.invite.call_id(), call.tag)
        }
    }
}

pub(crate) fn picks_up(world: &mut World, who: &str, number: &str, replaces: String) {
    world.phone(who).says.push((Name::Replaces, replaces));
    world.phone(who).says.push((Name::Require, "replaces".to_owned()));
    world.phone(who).call(number);
    world.wait_ms(600);
    world.phone(who).says.clear();
}

fn talks_with(world: &mut World, one: &str, other: &str) {
    world.phone(one).inside(Method::Info, Some("do you hear me"));
    world.wait_ms(300);
    let words = format!("do you hear me of {one}");
    assert!(world.phone(other).sdp.contains(&words), "{other} hears {one}: {:?}", world.phone(other).heard);
}

/// 2102 has another phone, which does not ring with it.
fn with_twin(world: &mut World) {
    world.twin_of("2102", "twin");
}

#[test]
fn rfc_3891_another_phone_of_the_subscriber_takes_the_call_that_rings() {
    for caller in ["2101", "2001"] {
        told(|world| {
            with_twin(world);
            world.phone(caller).call("2102");
            world.wait_ms(300);
            let replaces = watched(world.phone("2102"), ";early-only");
            picks_up(world, "twin", "2102", replaces);
            assert!(world.phone(caller).heard("200"), "{:?}", world.phone(caller).heard);
            assert!(world.phone("2102").heard("CANCEL"));
            assert_eq!(world.phone(caller).sdp.last().map(String::as_str), Some("answer of twin"));
            assert!(world.phone("twin").sdp.contains(&format!("offer of {caller}")));
            talks_with(world, caller, "twin");
            talks_with(world, "twin", caller);
            world.phone("twin").hang_up();
            world.wait_ms(300);
            let record = world.one_record(Cause::NormalClearing);
            assert!(record.answered.is_some());
            assert!(world.records.iter().any(|record| record.transfers.iter().any(|transfer| {
                transfer.how == call::TransferKind::PickUp && transfer.by.number == "2102"
            })));
            world.all_idle();
        });
    }
}

#[test]
fn rfc_3891_a_phone_without_an_offer_of_its_own_is_given_the_callers() {
    told(|world| {
        with_twin(world);
        world.phone("2101").call("2102");
        world.wait_ms(300);
        let replaces = watched(world.phone("2102"), "");
        world.phone("twin").says.push((Name::Replaces, replaces));
        world.phone("twin").call_late_offer("2102");
        world.wait_ms(600);
        assert_eq!(world.phone("twin").sdp, ["offer of 2101"]);
        assert_eq!(world.phone("2101").sdp, ["answer of twin"]);
        talks_with(world, "2101", "twin");
    });
}

#[test]
fn threat_01_who_has_no_right_takes_nothing() {
    told(|world| {
        world.phone("2001").call("2102");
        world.wait_ms(300);
        let replaces = watched(world.phone("2102"), ";early-only");
        picks_up(world, "2101", "2102", replaces);
        assert!(world.phone("2101").heard("403"), "{:?}", world.phone("2101").heard);
        assert!(world.phone("2102").rings() && !world.phone("2001").heard("200"));
        world.phone("2102").answer();
        world.wait_ms(300);
        let replaces = watched(world.phone("2102"), "");
        picks_up(world, "2101", "2102", replaces);
        assert_eq!(world.phone("2101").times("403"), 2);
        talks_with(world, "2001", "2102");
    });
}

#[test]
fn rfc_3891_a_call_that_is_not_there_is_481_and_a_broken_name_400() {
    told(|world| {
        with_twin(world);
        world.phone("2101").call("2102");
        world.wait_ms(300);
        picks_up(world, "twin", "2102", "gone;to-tag=a;from-tag=b".to_owned());
        assert!(world.phone("twin").heard("481"), "{:?}", world.phone("twin").heard);
        picks_up(world, "twin", "2102", "gone".to_owned());
        assert!(world.phone("twin").heard("400"));
        assert!(world.phone("2102").rings(), "and the call rings on");
        world.phone("2102").answer();
        world.wait_ms(300);
        talks_with(world, "2101", "2102");
    });
}

#[test]
fn rfc_3891_a_phone_that_gives_up_the_pick_up_leaves_the_call_ringing() {
    told(|world| {
        with_twin(world);
        world.phone("2101").call("2102");
        world.wait_ms(300);
        world.phone("twin").refuses_offers = Some(488);
        let replaces = watched(world.phone("2102"), "");
        picks_up(world, "twin", "2102", replaces);
        assert!(world.phone("twin").heard("BYE/41"), "{:?}", world.phone("twin").heard);
        assert!(world.phone("2102").rings() && !world.phone("2101").heard("200"));
        world.phone("2102").answer();
        world.wait_ms(300);
        talks_with(world, "2101", "2102");
    });
}

#[test]
fn rfc_3891_the_phone_that_rings_is_quicker() {
    told(|world| {
        with_twin(world);
        world.phone("2101").call("2102");
        world.wait_ms(300);
        world.phone("twin").thinks = true;
        let replaces = watched(world.phone("2102"), "");
        picks_up(world, "twin", "2102", replaces);
        world.phone("2102").answer();
        world.wait_ms(300);
        assert!(world.phone("twin").heard("BYE/16"), "{:?}", world.phone("twin").heard);
        talks_with(world, "2101", "2102");
    });
}

#[test]
fn rfc_3891_a_phone_takes_over_the_call_of_another_one_of_its_subscriber() {
    for caller in ["2101", "2001"] {
        told(|world| {
            with_twin(world);
            talk(world, caller, "2102");
            let early = watched(world.phone("2102"), ";early-only");
            picks_up(world, "twin", "2102", early);
            assert!(world.phone("twin").heard("486"), "{:?}", world.phone("twin").heard);
            let replaces = watched(world.phone("2102"), "");
            picks_up(world, "twin", "2102", replaces);
            assert!(world.phone("twin").heard("200"), "{:?}", world.phone("twin").heard);
            assert!(world.phone("2102").heard("BYE/16"));
            assert_eq!(world.phone("twin").sdp.last().unwrap(), &format!("answer of {caller}"));
            assert_eq!(world.phone(caller).sdp.last().unwrap(), "offer of twin");
            talks_with(world, caller, "twin");
            talks_with(world, "twin", caller);
            world.phone(caller).hang_up();
            world.wait_ms(300);
            world.one_record(Cause::NormalClearing);
            world.all_idle();
        });
    }
}

#[test]
fn rfc_3891_a_call_that_rings_beyond_the_cluster_is_taken_from_here() {
    // A phone of 2102 is at the cluster server today, and takes the call that rings at node 1.
    told(|world| {
        world.visitor("2102", 0, "visitor");
        world.phone("2001").call("2102");
        world.wait_ms(400);
        let replaces = watched(world.phone("2102"), "");
        picks_up(world, "visitor", "2102", replaces);
        assert!(world.phone("2001").heard("200"), "{:?}", world.phone("visitor").heard);
        assert!(world.phone("2102").heard("CANCEL"));
        talks_with(world, "2001", "visitor");
        talks_with(world, "visitor", "2001");
        world.phone("visitor").hang_up();
        world.wait_ms(500);
        assert!(world.phone("2001").heard("BYE/16"));
        world.all_idle();
    });
}
