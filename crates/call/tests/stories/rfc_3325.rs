//! Who is shown to whom: identity and privacy (RFC 3323, 3325), Session-ID (RFC 7989), diversion (RFC 5806, 7044).

use crate::inside::talk;
use crate::phone::WhenCalled;
use crate::world::told;
use model::Cause;
use sip::{Message, Method, Name};

fn invite_of(message: &Message) -> (String, Option<String>) {
    let asserted = message.header(Name::PAssertedIdentity).map(str::to_owned);
    (message.header(Name::From).unwrap().split(";tag").next().unwrap().to_owned(), asserted)
}

#[test]
fn threat_08_what_a_phone_says_it_is_reaches_nobody() {
    for called in ["2102", "2201"] {
        told(|world| {
            for (name, value) in [
                (Name::PAssertedIdentity, "<sip:2001@pleiad.test>"),
                (Name::PPreferredIdentity, "\"Boss\" <sip:2001@pleiad.test>"),
                (Name::Diversion, "<sip:2002@pleiad.test>;reason=unconditional"),
            ] {
                world.phone("2101").says.push((name, value.to_owned()));
            }
            world.phone("2101").call(called);
            world.wait_ms(300);
            let invite = world.phone(called).last(&Method::Invite).clone();
            let (from, asserted) = invite_of(&invite);
            assert_eq!(from, "\"N 2101\" <sip:2101@pleiad.test>");
            assert_eq!(asserted.as_deref(), Some("\"N 2101\" <sip:2101@pleiad.test>"));
            assert_eq!(invite.header(Name::PPreferredIdentity), None);
            assert_eq!(invite.header(Name::Diversion), None);
        });
    }
}

#[test]
fn rfc_3323_a_caller_that_hides_is_anonymous_to_phones_and_known_to_members() {
    for called in ["2102", "2201"] {
        told(|world| {
            world.phone("2101").says.push((Name::Privacy, "id".to_owned()));
            world.phone("2101").call(called);
            world.wait_ms(300);
            let invite = world.phone(called).last(&Method::Invite).clone();
            let text = String::from_utf8(invite.to_bytes()).unwrap();
            assert!(!text.contains("2101@") && !text.contains("N 2101"), "{text}");
            assert_eq!(invite_of(&invite).0, "\"Anonymous\" <sip:anonymous@anonymous.invalid>");
            world.phone(called).answer();
            world.wait_ms(300);
            world.phone(called).hang_up();
            world.wait_ms(300);
            let record = world.one_record(Cause::NormalClearing);
            assert_eq!(record.caller.number, "2101", "the record knows");
            assert!(world.records.iter().all(|record| record.caller.number == "2101"), "at both edges");
            world.all_idle();
        });
    }
}

#[test]
fn rfc_3325_the_caller_is_shown_who_answers() {
    for called in ["2102", "2201"] {
        told(|world| {
            talk(world, "2101", called);
            let asserted =
                world.phone("2101").response(200).address(Name::PAssertedIdentity).unwrap().unwrap();
            assert_eq!(asserted.uri.user(), called);
            assert_eq!(
                asserted.display.as_deref(),
                Some(format!("N {called}").as_str()),
                "its name, across members too"
            );
        });
    }
}

#[test]
fn rfc_3325_who_answers_and_hides_is_not_shown() {
    told(|world| {
        world.phone("2201").answers.push((Name::Privacy, "id".to_owned()));
        talk(world, "2101", "2201");
        assert_eq!(world.phone("2101").response(200).header(Name::PAssertedIdentity), None);
    });
}

#[test]
fn rfc_7989_both_halves_pass_end_to_end_and_records_have_a_name_of_our_own() {
    let (caller_half, called_half) = ("a".repeat(32), "b".repeat(32));
    for called in ["2102", "2201"] {
        told(|world| {
            let nil = "0".repeat(32);
            world.phone("2101").says.push((Name::SessionId, format!("{caller_half};remote={nil}")));
            world
                .phone(called)
                .answers
                .push((Name::SessionId, format!("{called_half};remote={caller_half}")));
            talk(world, "2101", called);
            let answer = world.phone("2101").response(200).header(Name::SessionId).unwrap().to_owned();
            assert_eq!(answer, format!("{called_half};remote={caller_half}"));
            let invite =
                world.phone(called).last(&Method::Invite).header(Name::SessionId).unwrap().to_owned();
            assert!(invite.starts_with(&format!("{caller_half};remote=")), "{invite}");
            world.phone("2101").hang_up();
            world.wait_ms(300);
            let bye = world.phone(called).last(&Method::Bye).header(Name::SessionId).unwrap().to_owned();
            assert_eq!(bye, format!("{caller_half};remote={called_half}"));
            let record = world.one_record(Cause::NormalClearing);
            assert_ne!(record.session, caller_half, "a phone does not choose what a record is filed under");
        });
    }
}

#[test]
fn rfc_7989_phones_without_it_are_given_a_half_each() {
    told(|world| {
        talk(world, "2101", "2201");
        let answer = world.phone("2101").response(200).header(Name::SessionId).unwrap().to_owned();
        let (called, caller) = answer.split_once(";remote=").unwrap();
        assert!(called != caller && called.len() == 32 && caller.len() == 32, "{answer}");
        world.phone("2201").hang_up();
        world.wait_ms(300);
        let bye = world.phone("2101").last(&Method::Bye).header(Name::SessionId).unwrap().to_owned();
        assert_eq!(bye, answer);
        assert_eq!(world.one_record(Cause::NormalClearing).session, caller);
    });
}

#[test]
fn rfc_5806_a_phone_sends_its_calls_on_and_the_next_one_is_told() {
    for (diverted, target) in [("2101", "2201"), ("2101", "2001"), ("2201", "2101")] {
        told(|world| {
            world.phone(diverted).when_called = WhenCalled::Refuse(302);
            world.phone(diverted).moved_to = format!("sip:{target}@pleiad.test");
            world.phone("2002").call(diverted);
            world.wait_ms(500);
            let invite = world.phone(target).last(&Method::Invite).clone();
            assert_eq!(
                invite.header(Name::Diversion),
                Some(format!("<sip:{diverted}@pleiad.test>;reason=deflection").as_str())
            );
            let history: Vec<&str> = invite.list(Name::HistoryInfo).collect();
            assert_eq!(
                history,
                [
                    format!("<sip:{diverted}@pleiad.test>;index=1").as_str(),
                    format!("<sip:{target}@pleiad.test>;index=1.1;mp=1").as_str()
                ]
            );
            assert!(world.phone("2002").heard("180"));
            world.phone(target).answer();
            world.wait_ms(300);
            world.phone("2002").hang_up();
            world.wait_ms(300);
            world.phone(diverted).when_called = WhenCalled::Ring;
            assert_eq!(world.one_record_of("2002").dialled, diverted);
            world.all_idle();
        });
    }
}

#[test]
fn threat_03_a_diversion_has_the_rights_of_who_diverts() {
    told(|world| {
        // 2102 may not call node 2; 2101, who calls, may.
        world.phone("2102").when_called = WhenCalled::Refuse(302);
        world.phone("2102").moved_to = "sip:2201@pleiad.test".to_owned();
        world.phone("2101").call("2102");
        world.wait_ms(500);
        assert!(world.phone("2101").heard("403/21"), "{:?}", world.phone("2101").heard);
        assert!(!world.phone("2201").heard("INVITE"));
        world.one_record(Cause::Barred);
        world.all_idle();
    });
}

#[test]
fn threat_02_a_diversion_to_the_world_outside_is_not_followed() {
    told(|world| {
        world.phone("2102").when_called = WhenCalled::Refuse(302);
        world.phone("2102").moved_to = "sip:2201@evil.example".to_owned();
        world.phone("2101").call("2102");
        world.wait_ms(500);
        assert!(world.phone("2101").heard("503/41"), "{:?}", world.phone("2101").heard);
        world.all_idle();
    });
}

#[test]
fn rfc_7044_a_circle_of_diversions_ends_as_a_loop() {
    told(|world| {
        let circle = ["2101", "2201", "2001", "2202", "2002"];
        for (place, number) in circle.iter().enumerate() {
            world.phone(number).when_called = WhenCalled::Refuse(302);
            world.phone(number).moved_to = format!("sip:{}@pleiad.test", circle[(place + 1) % circle.len()]);
        }
        world.phone("2102").call("2101");
        world.wait_ms(2_000);
        assert!(world.phone("2102").heard("482/25"), "{:?}", world.phone("2102").heard);
        assert_eq!(world.phone("2201").times("INVITE"), 1);
        assert_eq!(world.one_record_of("2102").cause, Cause::Loop);
        world.all_idle();
    });
}
