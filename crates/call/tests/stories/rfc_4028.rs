//! Session timers (RFC 4028): per leg, refreshed by us where the phone does not, OPTIONS where there are none.

use crate::inside::talk;
use crate::phone::Phone;
use crate::world::{World, told};
use model::Cause;
use sip::{Method, Name};

/// The phone knows session timers, and as who is called leaves the refreshing to us.
fn knows_timers(phone: &mut Phone, allow: &str) {
    let lines =
        [(Name::Supported, "timer"), (Name::Allow, allow)].map(|(name, value)| (name, value.to_owned()));
    phone.says.extend(lines.clone());
    phone.answers.extend(lines);
}

const WITH_UPDATE: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE";
const WITHOUT_UPDATE: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS";

fn refreshes(phone: &Phone, method: &Method) -> usize {
    phone.requests.iter().filter(|request| request.method() == method && request.is_in_dialog()).count()
}

#[test]
fn rfc_4028_we_refresh_by_update_where_the_phone_leaves_it_to_us() {
    for (caller, called) in [("2101", "2102"), ("2101", "2201")] {
        told(|world| {
            for phone in [caller, called] {
                knows_timers(world.phone(phone), WITH_UPDATE);
            }
            world.phone(called).answers.push((Name::SessionExpires, "90;refresher=uac".to_owned()));
            world.phone(caller).answers.push((Name::SessionExpires, "90;refresher=uac".to_owned()));
            talk(world, caller, called);
            let granted = world.phone(caller).response(200).clone();
            assert_eq!(granted.header(Name::SessionExpires), Some("90;refresher=uas"));
            let invite = world.phone(called).last(&Method::Invite).clone();
            assert_eq!(invite.header(Name::SessionExpires), Some("90;refresher=uac"));
            assert_eq!(invite.header(Name::MinSe), Some("90"));
            world.wait_ms(300_000);
            for phone in [caller, called] {
                let count = refreshes(world.phone(phone), &Method::Update);
                assert!((5..=7).contains(&count), "{phone}: {count}");
                assert!(world.phone(phone).last(&Method::Update).body().is_empty());
            }
            world.phone(caller).hang_up();
            world.wait_ms(300);
            world.one_record(Cause::NormalClearing);
            world.all_idle();
        });
    }
}

#[test]
fn rfc_4028_a_phone_without_update_is_refreshed_by_a_re_invite_that_says_the_same_again() {
    told(|world| {
        knows_timers(world.phone("2102"), WITHOUT_UPDATE);
        world.phone("2102").answers.push((Name::SessionExpires, "90;refresher=uac".to_owned()));
        talk(world, "2101", "2102");
        world.wait_ms(100_000);
        let refresh = world.phone("2102").last(&Method::Invite).clone();
        assert!(refresh.is_in_dialog());
        assert_eq!(String::from_utf8_lossy(refresh.body()), "v=0\r\ns=offer of 2101\r\n");
        assert_eq!(world.phone("2102").times("ACK"), 2, "{:?}", world.phone("2102").heard);
        assert!(!world.phone("2101").heard("INVITE"), "the other side hears nothing of it");
        world.phone("2101").hang_up();
        world.wait_ms(300);
        world.one_record(Cause::NormalClearing);
    });
}

#[test]
fn rfc_4028_a_phone_that_refreshes_itself_is_answered_at_once_and_never_asked() {
    told(|world| {
        knows_timers(world.phone("2101"), WITH_UPDATE);
        world.phone("2101").says.push((Name::SessionExpires, "1800;refresher=uac".to_owned()));
        talk(world, "2101", "2201");
        let granted = world.phone("2101").response(200).clone();
        assert_eq!(granted.header(Name::SessionExpires), Some("90;refresher=uac"));
        assert!(granted.has_option(Name::Require, "timer"));
        for _ in 0..4 {
            world.wait_ms(45_000);
            world.phone("2101").refresh(Method::Update, "90;refresher=uac", None);
            world.wait_ms(100);
            assert!(world.phone("2101").heard("UPDATE 200"), "{:?}", world.phone("2101").heard);
        }
        assert!(!world.phone("2201").heard("UPDATE"), "a refresh is no business of the other side");
        world.phone("2101").refresh(Method::Invite, "90;refresher=uac", Some("offer"));
        world.wait_ms(100);
        assert_eq!(world.phone("2101").sdp.last().map(String::as_str), Some("answer of 2201"));
        assert!(!world.phone("2201").heard("INVITE"));
        world.phone("2101").hang_up();
        world.wait_ms(300);
        world.one_record(Cause::NormalClearing);
        world.all_idle();
    });
}

#[test]
fn rfc_4028_a_refresh_that_stays_away_ends_the_call_with_its_cause() {
    told(|world| {
        knows_timers(world.phone("2101"), WITH_UPDATE);
        world.phone("2101").says.push((Name::SessionExpires, "90;refresher=uac".to_owned()));
        talk(world, "2101", "2201");
        world.wait_ms(59_000);
        assert!(!world.phone("2201").heard("BYE/27"));
        world.wait_ms(2_000);
        // A third of the interval before its end (§ 10).
        assert!(world.phone("2201").heard("BYE/27"), "{:?}", world.phone("2201").heard);
        assert!(world.phone("2101").heard("BYE/27"));
        world.one_record(Cause::LostPhone);
        world.all_idle();
    });
}

#[test]
fn rfc_4028_a_refreshed_phone_that_vanished_frees_its_call_within_90_s() {
    told(|world| {
        knows_timers(world.phone("2102"), WITH_UPDATE);
        world.phone("2102").answers.push((Name::SessionExpires, "90;refresher=uac".to_owned()));
        talk(world, "2101", "2102");
        world.wait_ms(46_000);
        world.phone("2102").unplug();
        world.wait_ms(90_000);
        assert!(world.phone("2101").heard("BYE/27"), "{:?}", world.phone("2101").heard);
        world.one_record(Cause::LostPhone);
    });
}

#[test]
fn rfc_4028_too_short_a_timer_is_422_with_min_se() {
    told(|world| {
        knows_timers(world.phone("2101"), WITH_UPDATE);
        world.phone("2101").says.push((Name::SessionExpires, "30".to_owned()));
        world.phone("2101").call("2102");
        world.wait_ms(300);
        assert_eq!(world.phone("2101").response(422).header(Name::MinSe), Some("90"));
        assert!(!world.phone("2102").heard("INVITE"));
        world.all_idle();
        // And inside a call, which goes on.
        world.phone("2101").says.retain(|(name, _)| *name != Name::SessionExpires);
        talk(world, "2101", "2102");
        world.phone("2101").refresh(Method::Update, "30", None);
        world.wait_ms(100);
        assert!(world.phone("2101").heard("UPDATE 422"));
        world.phone("2101").hang_up();
        world.wait_ms(300);
        world.one_record(Cause::NormalClearing);
    });
}

#[test]
fn rfc_4028_a_called_phone_that_insists_on_a_longer_timer_gets_it() {
    told(|world| {
        knows_timers(world.phone("2102"), WITH_UPDATE);
        world.phone("2102").insists_on_s = Some(600);
        world.phone("2102").answers.push((Name::SessionExpires, "600;refresher=uac".to_owned()));
        talk(world, "2101", "2102");
        let invite = world.phone("2102").last(&Method::Invite).clone();
        assert_eq!(invite.header(Name::SessionExpires), Some("600;refresher=uac"));
        assert_eq!(invite.header(Name::MinSe), Some("600"));
        world.phone("2101").hang_up();
        world.wait_ms(300);
        world.one_record(Cause::NormalClearing);
        world.all_idle();
    });
}

#[test]
fn rfc_4028_no_refresh_crosses_the_uplink_so_a_cut_of_ten_minutes_ends_no_call() {
    told(|world: &mut World| {
        for phone in ["2101", "2201"] {
            knows_timers(world.phone(phone), WITH_UPDATE);
        }
        world.phone("2101").says.push((Name::SessionExpires, "90;refresher=uac".to_owned()));
        world.phone("2201").answers.push((Name::SessionExpires, "90;refresher=uac".to_owned()));
        talk(world, "2101", "2201");
        world.cut(1);
        for _ in 0..14 {
            world.wait_ms(43_000);
            world.phone("2101").refresh(Method::Invite, "90;refresher=uac", Some("offer"));
            world.wait_ms(300);
        }
        assert_eq!(world.phone("2101").times("200"), 14, "{:?}", world.phone("2101").heard);
        assert!(refreshes(world.phone("2201"), &Method::Update) >= 12);
        world.heal(1);
        world.phone("2101").hang_up();
        world.wait_ms(500);
        assert!(world.phone("2201").heard("BYE/16"), "{:?}", world.phone("2201").heard);
        world.one_record(Cause::NormalClearing);
        world.all_idle();
    });
}
