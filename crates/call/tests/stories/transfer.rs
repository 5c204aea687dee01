//! Transfers (RFC 3515, 3891, 5589): within a member and across, blind and after a consultation, and what a failure or
//! a cut on the way leaves behind.

use crate::inside::talk;
use crate::phone::WhenCalled;
use crate::world::{Make, World, told};
use model::{Cause, Kind};
use sip::{Method, Name};

/// Who stays, who transfers, and to whom; the transferor is called by who stays, or calls.
const TRIPLES: [(&str, &str, &str); 4] =
    [("2101", "2002", "2001"), ("2101", "2201", "2202"), ("2201", "2101", "2001"), ("2001", "2101", "2201")];

/// The two talk: what one of them says is answered by the other.
fn talks_with(world: &mut World, one: &str, other: &str) {
    world.phone(one).inside(Method::Info, Some("do you hear me"));
    world.wait_ms(300);
    let words = format!("do you hear me of {one}");
    assert!(world.phone(other).sdp.contains(&words), "{other} hears {one}: {:?}", world.phone(other).heard);
}

fn hangs_up(world: &mut World, one: &str, other: &str) {
    world.phone(one).hang_up();
    world.wait_ms(500);
    assert!(world.phone(other).heard("BYE/16"), "{:?}", world.phone(other).heard);
    world.all_idle();
}

fn forget(world: &mut World) {
    for phone in world.phones.values_mut() {
        phone.heard.clear();
        phone.sdp.clear();
    }
}

/// `by` calls `target` while its call is put aside, and is answered.
pub(crate) fn consults(world: &mut World, by: &str, target: &str) {
    world.phone(by).park();
    world.phone(by).call(target);
    world.wait_ms(300);
    world.phone(target).answer();
    world.wait_ms(300);
    assert!(world.phone(target).heard("ACK"), "{:?}", world.phone(by).heard);
    // The first call is at hand again, the consultation call put aside.
    world.phone(by).swap();
    forget(world);
}

#[test]
fn rfc_3515_a_blind_transfer_joins_the_two_and_the_transferor_is_told_how_it_goes() {
    for (stays, by, target) in TRIPLES {
        told(|world| {
            talk(world, stays, by);
            world.phone(by).transfer(target);
            world.wait_ms(300);
            assert!(world.phone(by).heard("REFER 202"), "{:?}", world.phone(by).heard);
            let invite = world.phone(target).last(&Method::Invite).clone();
            assert_eq!(invite.from().uri.user(), stays, "the target is shown who it will speak to");
            assert!(invite.body().is_empty(), "and is asked for an offer");
            assert!(world.phone(by).talks() && world.phone(stays).talks(), "nothing is given up before");
            world.phone(target).answer();
            world.wait_ms(500);
            assert_eq!(
                world.phone(by).notified(),
                ["SIP/2.0 100 Trying", "SIP/2.0 180 Ringing", "SIP/2.0 200 OK"]
            );
            assert_eq!(world.phone(stays).sdp.last(), Some(&format!("offer of {target}")));
            assert_eq!(world.phone(target).sdp.last(), Some(&format!("answer of {stays}")));
            let asserted = world.phone(stays).last(&Method::Invite).address(Name::PAssertedIdentity).unwrap();
            assert_eq!(asserted.unwrap().uri.user(), target, "who stays is shown whom it speaks to now");
            world.phone(by).hang_up();
            world.wait_ms(300);
            assert!(world.phone(by).responses.iter().all(|said| said.status().unwrap().code() != 481));
            talks_with(world, stays, target);
            talks_with(world, target, stays);
            hangs_up(world, target, stays);
            let record = world.records.iter().find(|record| !record.transfers.is_empty()).unwrap();
            assert_eq!(record.transfers[0].by.number, by);
            assert_eq!(record.transfers[0].to.number, target);
            assert_eq!(record.transfers[0].how, call::TransferKind::Blind);
            assert!(world.records.iter().all(|record| record.cause == Cause::NormalClearing));
        });
    }
}

#[test]
fn rfc_3515_the_caller_may_transfer_as_well_and_stays_the_caller_of_the_record() {
    told(|world| {
        talk(world, "2101", "2201");
        world.phone("2101").transfer("2001");
        world.wait_ms(300);
        world.phone("2001").answer();
        world.wait_ms(500);
        // It does not hang up: its leg is ended for it.
        world.wait_ms(5_000);
        assert!(world.phone("2101").heard("BYE/16"), "{:?}", world.phone("2101").heard);
        talks_with(world, "2201", "2001");
        hangs_up(world, "2001", "2201");
        let record = world.one_record_of("2101");
        assert_eq!((record.caller.number.as_str(), record.called.number.as_str()), ("2101", "2201"));
        assert_eq!(record.transfers[0].to.number, "2001");
    });
}

#[test]
fn rfc_3515_the_transferor_may_hang_up_at_once() {
    for (stays, by, target) in TRIPLES {
        told(|world| {
            talk(world, stays, by);
            world.phone(by).transfer(target);
            world.wait_ms(100);
            world.phone(by).hang_up();
            world.wait_ms(1_000);
            assert!(world.phone(stays).talks(), "{:?}", world.phone(stays).heard);
            world.phone(target).answer();
            world.wait_ms(500);
            talks_with(world, target, stays);
            hangs_up(world, stays, target);
        });
    }
}

#[test]
fn rfc_3515_a_target_that_is_busy_leaves_the_call_as_it_was() {
    for (stays, by, target) in TRIPLES {
        told(|world| {
            world.phone(target).when_called = WhenCalled::Busy;
            talk(world, stays, by);
            world.phone(by).transfer(target);
            world.wait_ms(500);
            assert_eq!(world.phone(by).notified().last().unwrap(), "SIP/2.0 486 Busy Here");
            let last = world.phone(by).last(&Method::Notify).clone();
            assert!(last.header(Name::SubscriptionState).unwrap().starts_with("terminated"));
            assert!(!world.phone(stays).heard("INVITE"), "who stays was not troubled");
            talks_with(world, stays, by);
            // And once more, to somebody who answers.
            world.phone(target).when_called = WhenCalled::Ring;
            world.phone(by).transfer(target);
            world.wait_ms(300);
            world.phone(target).answer();
            world.wait_ms(300);
            assert_eq!(world.phone(by).notified().last().unwrap(), "SIP/2.0 200 OK");
            world.phone(by).hang_up();
            world.wait_ms(100);
            hangs_up(world, stays, target);
        });
    }
}

#[test]
fn rfc_3515_a_target_that_does_not_answer_leaves_the_call_as_it_was_or_ends_it_when_nobody_is_left() {
    told(|world| {
        talk(world, "2101", "2002");
        world.phone("2002").transfer("2001");
        world.wait_ms(70_000);
        assert_eq!(world.phone("2002").notified().last().unwrap(), "SIP/2.0 480 Temporarily Unavailable");
        assert!(world.phone("2001").heard("CANCEL"));
        talks_with(world, "2101", "2002");
        world.phone("2002").transfer("2001");
        world.wait_ms(300);
        world.phone("2002").hang_up();
        world.wait_ms(70_000);
        assert!(world.phone("2101").heard("BYE/19"), "{:?}", world.phone("2101").heard);
        world.one_record(Cause::NoAnswer);
        world.all_idle();
    });
}

#[test]
fn threat_03_a_transfer_has_the_rights_of_who_transfers_and_of_who_is_transferred() {
    // 2102 may not call node 2: neither as the one who transfers, nor as the one who would speak there.
    for (stays, by) in [("2101", "2102"), ("2102", "2101")] {
        told(|world| {
            talk(world, stays, by);
            world.phone(by).transfer("2201");
            world.wait_ms(500);
            assert_eq!(world.phone(by).notified().last().unwrap(), "SIP/2.0 403 Forbidden");
            assert!(!world.phone("2201").heard("INVITE"));
            talks_with(world, stays, by);
            hangs_up(world, stays, by);
        });
    }
}

#[test]
fn threat_03_a_consultation_does_not_lend_rights() {
    told(|world| {
        talk(world, "2102", "2101");
        consults(world, "2101", "2201");
        world.phone("2101").transfer_to_parked();
        world.wait_ms(500);
        assert_eq!(world.phone("2101").notified().last().unwrap(), "SIP/2.0 403 Forbidden");
        talks_with(world, "2102", "2101");
        world.phone("2101").swap();
        talks_with(world, "2101", "2201");
    });
}

#[test]
fn threat_02_a_transfer_leads_to_our_numbers_only() {
    told(|world| {
        talk(world, "2101", "2002");
        for target in ["<sip:2001@evil.example>", "<tel:+4930123456>", "<sip:2001@pleiad.test;method=BYE>"] {
            world.phone("2002").refer(target, &[]);
            world.wait_ms(100);
            assert!(world.phone("2002").heard("REFER 403"), "{target}: {:?}", world.phone("2002").heard);
            world.phone("2002").heard.clear();
        }
        for (target, status) in
            [("<sip:1234@pleiad.test>", "404 Not Found"), ("<sip:2102@pleiad.test>", "603")]
        {
            world.phone("2102").when_called = WhenCalled::Decline;
            world.phone("2002").refer(target, &[]);
            world.wait_ms(300);
            assert!(world.phone("2002").notified().last().unwrap().contains(status), "{target}");
        }
        world.phone("2002").refer("not a uri", &[]);
        world.wait_ms(100);
        assert!(world.phone("2002").heard("REFER 400"));
        talks_with(world, "2101", "2002");
        hangs_up(world, "2101", "2002");
    });
}

#[test]
fn rfc_4488_who_wants_no_notify_gets_none() {
    told(|world| {
        talk(world, "2101", "2002");
        world
            .phone("2002")
            .refer("<sip:2001@pleiad.test>", &[("Refer-Sub", "false"), ("Supported", "norefersub")]);
        world.wait_ms(300);
        let accepted = world.phone("2002").responses.iter().rfind(|said| said.cseq().method == Method::Refer);
        assert_eq!(accepted.unwrap().header_named("Refer-Sub"), Some("false"));
        world.phone("2001").answer();
        world.wait_ms(500);
        assert!(world.phone("2002").notified().is_empty());
        talks_with(world, "2101", "2001");
    });
}

#[test]
fn rfc_3515_nobody_is_transferred_to_who_he_is() {
    told(|world| {
        talk(world, "2101", "2002");
        world.phone("2002").transfer("2101");
        world.wait_ms(500);
        let notified = world.phone("2002").notified();
        assert!(notified.last().unwrap().contains("48"), "{notified:?}");
        talks_with(world, "2101", "2002");
        hangs_up(world, "2101", "2002");
    });
}

#[test]
fn rfc_3515_a_second_transfer_before_the_first_is_over_is_put_off() {
    told(|world| {
        talk(world, "2101", "2002");
        world.phone("2002").transfer("2001");
        world.wait_ms(200);
        world.phone("2002").transfer("2201");
        world.wait_ms(200);
        assert!(world.phone("2002").heard("REFER 500"), "{:?}", world.phone("2002").heard);
        world.phone("2001").answer();
        world.wait_ms(300);
        talks_with(world, "2101", "2001");
    });
}

#[test]
fn rfc_3515_who_stays_hangs_up_while_the_target_rings() {
    for (stays, by, target) in TRIPLES {
        told(|world| {
            talk(world, stays, by);
            world.phone(by).transfer(target);
            world.wait_ms(300);
            world.phone(stays).hang_up();
            world.wait_ms(300);
            assert!(world.phone(target).heard("CANCEL"), "{:?}", world.phone(target).heard);
            assert!(world.phone(by).heard("BYE/16"));
            world.all_idle();
        });
    }
}

#[test]
fn rfc_3725_who_stays_is_asked_again_when_it_has_an_offer_of_its_own_on_its_way() {
    told(|world| {
        talk(world, "2101", "2002");
        world.phone("2002").transfer("2001");
        world.wait_ms(200);
        world.phone("2002").thinks = true;
        world.phone("2101").hold();
        world.wait_ms(200);
        world.phone("2001").answer();
        world.wait_ms(500);
        assert!(!world.phone("2101").heard("INVITE"), "not while its own is on its way");
        world.phone("2002").agree();
        world.wait_ms(500);
        talks_with(world, "2101", "2001");
        talks_with(world, "2001", "2101");
    });
}

#[test]
fn rfc_3891_an_attended_transfer_joins_the_two_far_legs() {
    for (stays, by, target) in TRIPLES {
        told(|world| {
            talk(world, stays, by);
            consults(world, by, target);
            world.phone(by).transfer_to_parked();
            world.wait_ms(500);
            assert_eq!(
                world.phone(by).notified().last().unwrap(),
                "SIP/2.0 200 OK",
                "{:?}",
                world.phone(by).heard
            );
            assert!(
                !world.phone(target).heard("BYE/16"),
                "the target does not ring twice, nor is it hung up"
            );
            talks_with(world, stays, target);
            talks_with(world, target, stays);
            world.wait_ms(5_000);
            assert_eq!(world.phone(by).times("BYE/16"), 2, "both its legs are ended for it");
            hangs_up(world, target, stays);
            let originating = world.records.iter().filter(|record| record.role == call::Role::Originating);
            assert_eq!(originating.count(), 2, "two calls were begun, two records");
            assert!(world.records.iter().any(|record| {
                record.transfers.iter().any(|transfer| transfer.how == call::TransferKind::Attended)
            }));
            assert!(world.records.iter().all(|record| record.cause == Cause::NormalClearing));
        });
    }
}

#[test]
fn rfc_3891_the_transferor_hangs_up_both_at_once() {
    for (stays, by, target) in TRIPLES {
        told(|world| {
            talk(world, stays, by);
            consults(world, by, target);
            world.phone(by).transfer_to_parked();
            world.phone(by).hang_up();
            world.phone(by).swap();
            world.phone(by).hang_up();
            world.wait_ms(1_000);
            talks_with(world, stays, target);
            talks_with(world, target, stays);
            hangs_up(world, stays, target);
        });
    }
}

#[test]
fn rfc_3891_a_consultation_that_the_target_called() {
    told(|world| {
        talk(world, "2101", "2002");
        world.phone("2002").park();
        talk(world, "2001", "2002");
        world.phone("2002").swap();
        world.phone("2002").transfer_to_parked();
        world.wait_ms(500);
        assert_eq!(world.phone("2002").notified().last().unwrap(), "SIP/2.0 200 OK");
        talks_with(world, "2101", "2001");
        talks_with(world, "2001", "2101");
        world.wait_ms(5_000);
        hangs_up(world, "2101", "2001");
    });
}

#[test]
fn rfc_5589_a_transfer_to_a_target_that_still_rings() {
    for (stays, by, target) in TRIPLES {
        told(|world| {
            talk(world, stays, by);
            world.phone(by).park();
            world.phone(by).call(target);
            world.wait_ms(300);
            world.phone(by).remember_early();
            world.phone(by).swap();
            forget(world);
            world.phone(by).transfer_to_parked();
            world.wait_ms(300);
            assert!(world.phone(by).heard("487/16"), "its own call is over: {:?}", world.phone(by).heard);
            assert!(world.phone(target).rings(), "and the target rings on");
            world.phone(target).answer();
            world.wait_ms(700);
            assert_eq!(world.phone(by).notified().last().unwrap(), "SIP/2.0 200 OK");
            talks_with(world, stays, target);
            talks_with(world, target, stays);
            world.wait_ms(5_000);
            hangs_up(world, stays, target);
        });
    }
}

#[test]
fn rfc_3891_a_target_that_refuses_the_offer_leaves_both_calls() {
    told(|world| {
        talk(world, "2101", "2002");
        consults(world, "2002", "2001");
        world.phone("2101").refuses_offers = Some(488);
        world.phone("2002").transfer_to_parked();
        world.wait_ms(1_000);
        assert_eq!(world.phone("2002").notified().last().unwrap(), "SIP/2.0 488 Not Acceptable Here");
        assert_eq!(world.phone("2001").sdp.last().unwrap(), "offer of 2002", "what it was told before");
        talks_with(world, "2101", "2002");
        world.phone("2002").swap();
        talks_with(world, "2001", "2002");
        talks_with(world, "2002", "2001");
        world.phone("2101").hang_up();
        hangs_up(world, "2001", "2002");
    });
}

#[test]
fn rfc_3891_a_dialog_that_is_not_the_transferors_is_not_replaced() {
    told(|world| {
        talk(world, "2201", "2202");
        talk(world, "2101", "2102");
        talk(world, "2002", "2001");
        // 2002 names the call of others, and a call there is not.
        let foreign = world.phone("2101").own_dialog_as_target();
        for replaces in [foreign, "gone%3Bto-tag%3Da%3Bfrom-tag%3Db".to_owned()] {
            world.phone("2002").refer(&format!("<sip:2101@pleiad.test?Replaces={replaces}>"), &[]);
            world.wait_ms(500);
            let notified = world.phone("2002").notified();
            assert!(notified.last().unwrap().contains("481"), "{notified:?}");
        }
        talks_with(world, "2002", "2001");
        talks_with(world, "2101", "2102");
        talks_with(world, "2102", "2101");
    });
}

#[test]
fn duh_30_a_cut_while_the_target_rings_loses_nothing() {
    // The transferor and the target are beyond the cut from who stays.
    told(|world| {
        talk(world, "2101", "2002");
        world.phone("2002").transfer("2001");
        world.wait_ms(200);
        world.cut(1);
        world.phone("2001").answer();
        world.wait_ms(3_000);
        assert!(world.phone("2101").talks());
        world.heal(1);
        world.wait_ms(5_000);
        assert_eq!(
            world.phone("2002").notified().last().unwrap(),
            "SIP/2.0 200 OK",
            "joined when the link is back"
        );
        talks_with(world, "2101", "2001");
        talks_with(world, "2001", "2101");
    });
}

#[test]
fn duh_30_a_cut_between_the_joined_parties_ends_neither_leg() {
    for (stays, by, target) in [("2101", "2002", "2201"), ("2101", "2201", "2202")] {
        told(|world| {
            talk(world, stays, by);
            world.phone(by).transfer(target);
            world.wait_ms(300);
            world.phone(target).answer();
            world.wait_ms(500);
            world.phone(by).hang_up();
            world.wait_ms(300);
            world.cut(1);
            world.wait_ms(60_000);
            world.heal(1);
            talks_with(world, stays, target);
            talks_with(world, target, stays);
            hangs_up(world, stays, target);
        });
    }
}

#[test]
fn duh_30_a_cut_at_any_point_of_a_join_loses_nothing() {
    // At each point of the way, the link of one or the other goes down, and comes back.
    for ms in (0..120).step_by(10) {
        for node in [1, 2] {
            let mut world = World::new(Make::PLAIN);
            let world = &mut world;
            talk(world, "2101", "2002");
            world.phone("2002").transfer("2201");
            world.wait_ms(300);
            world.phone("2201").answer();
            world.wait_ms(ms);
            world.cut(node);
            world.wait_ms(10_000);
            world.heal(node);
            world.wait_ms(60_000);
            let heard = ["2101", "2002", "2201"].map(|number| world.phone(number).heard.clone());
            assert!(world.phone("2101").talks(), "{ms} ms, node {node}: {heard:?}");
            // A join that the cut has overtaken leaves the call with who wanted to transfer it.
            let joined = world.phone("2201").talks();
            let other = if joined { "2201" } else { "2002" };
            talks_with(world, "2101", other);
            talks_with(world, other, "2101");
            hangs_up_all(world);
        }
    }
}

/// Everybody who is in a call ends it, and nothing is left.
fn hangs_up_all(world: &mut World) {
    for number in ["2101", "2002", "2201"] {
        if world.phone(number).talks() {
            world.phone(number).hang_up();
            world.wait_ms(500);
        }
    }
    world.all_idle();
}

#[test]
fn duh_30_a_consultation_that_its_member_was_killed_in_ends_in_a_transfer_all_the_same() {
    for (stays, by, target) in TRIPLES {
        told(|world| {
            talk(world, stays, by);
            consults(world, by, target);
            match world.phone(by).member {
                0 => {
                    world.kill_cluster_server();
                    world.start_cluster_server();
                }
                node => world.restart_node(node),
            }
            world.phone(by).transfer_to_parked();
            world.wait_ms(1_000);
            assert_eq!(world.phone(by).notified().last().unwrap(), "SIP/2.0 200 OK");
            talks_with(world, stays, target);
            talks_with(world, target, stays);
            world.wait_ms(5_000);
            hangs_up(world, target, stays);
        });
    }
}

#[test]
fn a_transferred_call_can_be_transferred_again() {
    told(|world| {
        talk(world, "2101", "2002");
        world.phone("2002").transfer("2001");
        world.wait_ms(300);
        world.phone("2001").answer();
        world.wait_ms(500);
        world.phone("2002").hang_up();
        world.wait_ms(300);
        world.phone("2001").transfer("2201");
        world.wait_ms(300);
        world.phone("2201").answer();
        world.wait_ms(500);
        world.phone("2001").hang_up();
        world.wait_ms(300);
        talks_with(world, "2101", "2201");
        talks_with(world, "2201", "2101");
        hangs_up(world, "2201", "2101");
        assert!(world.records.iter().any(|record| record.transfers.len() == 2));
    });
}

#[test]
fn the_view_shows_who_talks_to_whom() {
    told(|world| {
        talk(world, "2002", "2102");
        world.change(Kind::FeatureClass, "inside", "{}");
        world.phone("2002").transfer("2001");
        world.wait_ms(300);
        world.phone("2001").answer();
        world.wait_ms(300);
        let views = world.members[&0].edge.calls();
        let view = views.iter().find(|view| !view.transfers.is_empty()).unwrap();
        assert_eq!((view.caller.number.as_str(), view.called.number.as_str()), ("2001", "2102"));
    });
}
