//! Registrations: who may, for how long, and what one device is.

use crate::phone::Phone;
use crate::world::{Make, World, told, told_bare};
use call::settings::{DEVICES_PER_SUBSCRIBER_MAX, WRONG_PASSWORDS_MAX};
use sip::{Message, Name, Transport};
use std::time::Duration;

fn bound(world: &World, member: u16, number: &str) -> usize {
    world.members[&member].edge.bindings().filter(|binding| binding.read().extension == number).count()
}

#[test]
fn a_phone_with_the_wrong_password_is_forbidden_and_looks_like_an_unknown_user() {
    told_bare(|world| {
        world.plug_in("2101", Transport::Udp);
        world.phone("2101").secret = "a-wrong-secret-of-2101".to_owned();
        world.phone("2101").register(3600);
        world.plug_in("2199", Transport::Udp);
        world.phone("2199").register(3600);
        world.wait_ms(300);
        for number in ["2101", "2199"] {
            assert!(!world.phone(number).registered);
            assert_eq!(world.phone(number).heard, ["REGISTER 403"]);
        }
        assert_eq!(bound(world, 1, "2101"), 0);
    });
}

#[test]
fn a_cut_off_node_that_cannot_know_a_phone_says_later_and_not_no() {
    told_bare(|world| {
        world.plug_in("2199", Transport::Udp);
        world.cut(1);
        for _ in 0..WRONG_PASSWORDS_MAX {
            world.phone("2199").register(3600);
            world.wait_ms(300);
        }
        assert!(world.phone("2199").heard.iter().all(|heard| heard == "REGISTER 503"));
        assert!(world.faults.is_empty(), "nobody is braked for it");
        world.heal(1);
        world.phone("2199").heard.clear();
        world.phone("2199").register(3600);
        world.wait_ms(300);
        assert_eq!(world.phone("2199").heard, ["REGISTER 403"]);
    });
}

#[test]
fn a_guesser_is_braked_while_the_true_phone_is_served() {
    let mut world = World::bare(Make::PLAIN);
    world.plug_in("2101", Transport::Udp);
    world.phone("2101").secret = "a-wrong-secret-of-2101".to_owned();
    for _ in 0..WRONG_PASSWORDS_MAX {
        world.phone("2101").register(3600);
        world.wait_ms(100);
    }
    assert!(world.faults.iter().any(|fault| fault.contains("wrong passwords from")));
    // Even the right password does not help from there for a while.
    world.phone("2101").secret = crate::world::secret_of("2101");
    world.phone("2101").register(3600);
    world.wait_ms(100);
    assert!(!world.phone("2101").registered);
    let elsewhere = world.twin_of("2101", "true");
    world.phone(&elsewhere).come_from([192, 168, 1, 8]);
    world.phone(&elsewhere).register(3600);
    world.wait_ms(100);
    assert!(world.phone(&elsewhere).registered);
    world.wait_ms(61_000);
    world.phone("2101").register(3600);
    world.wait_ms(100);
    assert!(world.phone("2101").registered);
}

#[test]
fn a_subscriber_registers_its_own_number_and_no_other() {
    told_bare(|world| {
        world.plug_in("2101", Transport::Udp);
        world.phone("2101").registers = "2102".to_owned();
        world.phone("2101").register(3600);
        world.wait_ms(300);
        assert!(world.phone("2101").heard("REGISTER 403"));
        assert_eq!(bound(world, 1, "2102") + bound(world, 1, "2101"), 0);
    });
}

#[test]
fn a_registration_that_is_too_brief_is_told_the_minimum_and_one_too_long_is_cut() {
    told_bare(|world| {
        world.plug_in("2101", Transport::Udp);
        world.phone("2101").register(30);
        world.wait_ms(300);
        assert!(world.phone("2101").heard("REGISTER 423"));
        let refusal = world.phone("2101").last_response.clone().unwrap();
        assert_eq!(refusal.header(Name::MinExpires), Some("60"));
        world.phone("2101").register(100_000);
        world.wait_ms(300);
        let until = world.members[&1].edge.bindings().next().unwrap().read().until;
        assert!(until <= world.now + Duration::from_secs(3600));
    });
}

#[test]
fn a_registration_ends_when_it_is_not_refreshed() {
    told_bare(|world| {
        world.plug_in("2101", Transport::Udp);
        world.phone("2101").register(60);
        world.wait_ms(59_000);
        assert_eq!(bound(world, 1, "2101"), 1);
        world.phone("2101").register(60);
        world.wait_ms(59_000);
        assert_eq!(bound(world, 1, "2101"), 1);
        world.wait_ms(2_000);
        assert_eq!(bound(world, 1, "2101"), 0);
    });
}

#[test]
fn one_device_is_one_binding_wherever_it_comes_from() {
    told_bare(|world| {
        world.plug_in("2101", Transport::Tcp);
        world.phone("2101").instance = Some("urn:uuid:1".to_owned());
        for _ in 0..3 {
            world.phone("2101").register(3600);
            world.wait_ms(300);
            let now = world.now;
            world.phone("2101").reconnect(now);
        }
        assert_eq!(bound(world, 1, "2101"), 1);
    });
}

#[test]
fn a_further_device_over_the_limit_takes_the_place_of_the_oldest() {
    told_bare(|world| {
        world.plug_in("2101", Transport::Udp);
        for round in 0..DEVICES_PER_SUBSCRIBER_MAX + 2 {
            world.phone("2101").instance = Some(format!("urn:uuid:{round}"));
            world.phone("2101").register(3600);
            world.wait_ms(1_000);
        }
        assert_eq!(bound(world, 1, "2101"), DEVICES_PER_SUBSCRIBER_MAX);
        let devices: Vec<String> =
            world.members[&1].edge.bindings().map(|binding| binding.read().device.to_owned()).collect();
        assert!(!devices.contains(&"urn:uuid:0".to_owned()) && devices.contains(&"urn:uuid:6".to_owned()));
    });
}

#[test]
fn a_star_unbinds_all_devices_and_only_with_expires_0() {
    told_bare(|world| {
        world.plug_in("2101", Transport::Udp);
        for instance in ["urn:uuid:1", "urn:uuid:2"] {
            world.phone("2101").instance = Some(instance.to_owned());
            world.phone("2101").register(3600);
            world.wait_ms(300);
        }
        assert_eq!(bound(world, 1, "2101"), 2);
        world.phone("2101").star = true;
        world.phone("2101").register(3600);
        world.wait_ms(300);
        assert!(world.phone("2101").heard("REGISTER 400"));
        assert_eq!(bound(world, 1, "2101"), 2);
        world.phone("2101").register(0);
        world.wait_ms(300);
        assert_eq!(bound(world, 1, "2101"), 0);
    });
}

#[test]
fn an_old_register_that_comes_late_changes_nothing() {
    told_bare(|world| {
        world.plug_in("2101", Transport::Udp);
        world.phone("2101").register(3600);
        world.wait_ms(300);
        world.phone("2101").register(3600);
        world.wait_ms(300);
        let before = world.members[&1].edge.bindings().next().cloned();
        world.wait_ms(40_000);
        // The proven request of the first registration again, as a new transaction.
        world.phone("2101").turn_back_cseq(2);
        world.phone("2101").register(0);
        world.wait_ms(300);
        assert!(world.phone("2101").heard("REGISTER 500"), "{:?}", world.phone("2101").heard);
        assert_eq!(world.members[&1].edge.bindings().next().cloned(), before);
    });
}

#[test]
fn the_answer_names_every_device_and_how_long_it_stays() {
    told(|world| {
        world.phone("2101").register(600);
        world.wait_ms(300);
        let ok: Message = world.phone("2101").last_response.clone().unwrap();
        let contacts: Vec<&str> = ok.list(Name::Contact).collect();
        assert_eq!(contacts, ["<sip:2101@192.168.1.7:2101>;expires=600"]);
    });
}

#[test]
fn bindings_given_back_at_the_start_are_called_at_once() {
    let mut world = World::new(Make::PLAIN);
    world.kill_cluster_server();
    world.start_cluster_server();
    world.phone("2001").call("2002");
    world.wait_ms(300);
    assert!(world.phone("2001").heard("180"));
}

#[test]
fn a_phone_that_knows_md5_only_registers_too() {
    told_bare(|world| {
        let mut phone = Phone::new("2101", 1, Transport::Udp);
        phone.knows_md5_only = true;
        world.phones.insert("2101".to_owned(), phone);
        world.phone("2101").register(3600);
        world.wait_ms(300);
        assert!(world.phone("2101").registered);
    });
}

#[test]
fn a_product_that_chokes_on_sha_256_is_challenged_with_md5_only() {
    for (agent, challenges) in [
        (Some("baresip v1.0.0 (x86_64/linux)"), 1),
        (Some("SIPp/3.6"), 1),
        (None, 1),
        (Some("Linphone/5"), 2),
    ] {
        told_bare(|world| {
            world.plug_in("2101", Transport::Udp);
            world.phone("2101").user_agent = agent.map(str::to_owned);
            world.phone("2101").register(3600);
            world.wait_ms(300);
            assert!(world.phone("2101").registered);
            let challenge = world.phone("2101").last_challenge.clone().unwrap();
            let offered: Vec<&str> = challenge.headers(Name::WwwAuthenticate).collect();
            assert_eq!(offered.len(), challenges);
            assert!(
                offered.last().unwrap().contains("MD5")
                    && offered[0].contains("SHA-256") == (challenges == 2)
            );
        });
    }
}

#[test]
fn a_phone_that_listens_on_another_port_than_it_sends_from_is_called_there() {
    told_bare(|world| {
        for number in ["2101", "2102"] {
            world.plug_in(number, Transport::Udp);
            world.phone(number).listens_on = Some(40_000 + number.parse::<u16>().unwrap());
            world.phone(number).register(3600);
        }
        world.wait_ms(300);
        let port = world.members[&1].edge.bindings().next().unwrap().read().flow.remote.port();
        assert_eq!(port, 42_101);
        crate::inside::talk(world, "2101", "2102");
        world.phone("2102").hold();
        world.wait_ms(300);
        assert!(world.phone("2101").sdp.contains(&"hold of 2102".to_owned()));
        world.phone("2101").hang_up();
        world.wait_ms(300);
        world.one_record(model::Cause::NormalClearing);
        world.all_idle();
    });
}

#[test]
fn rfc_3327_a_phone_behind_a_proxy_is_called_by_the_path_it_registered() {
    told_bare(|world| {
        for number in ["2101", "2102"] {
            world.plug_in(number, Transport::Udp);
            world.phone(number).extra = vec![
                (Name::Supported, "path".to_owned()),
                (Name::Path, "<sip:p1.test;lr>".to_owned()),
                (Name::Path, "<sip:p2.test;lr>".to_owned()),
            ];
            world.phone(number).register(3600);
        }
        world.wait_ms(300);
        let ok = world.phone("2101").last_response.clone().unwrap();
        assert_eq!(ok.list(Name::Path).collect::<Vec<_>>(), ["<sip:p1.test;lr>", "<sip:p2.test;lr>"]);
        world.phone("2101").call("2102");
        world.wait_ms(300);
        let routes: Vec<String> =
            world.phone("2102").invited().list(Name::Route).map(str::to_owned).collect();
        assert_eq!(routes, ["<sip:p1.test;lr>", "<sip:p2.test;lr>"]);
    });
}

#[test]
fn nonsense_in_a_registration_is_told_and_changes_nothing() {
    told_bare(|world| {
        world.plug_in("2101", Transport::Udp);
        world.phone("2101").register(3600);
        world.wait_ms(300);
        let before = world.members[&1].edge.bindings().next().cloned();
        for (name, value, status) in [
            (Name::Contact, "<sip:x@192.168.1.7>;expires=4294967296", "REGISTER 400"),
            (Name::Contact, "<sip:x@192.168.1.7>;expires=1", "REGISTER 423"),
            (Name::Contact, "<sip:x@192.168.1.7>;q=7", "REGISTER 400"),
            (Name::Contact, "*", "REGISTER 400"),
            (Name::Path, "nonsense", "REGISTER 400"),
            (Name::Require, "gruu", "REGISTER 420"),
        ] {
            world.phone("2101").extra = vec![(name, value.to_owned())];
            world.phone("2101").heard.clear();
            world.phone("2101").register(3600);
            world.wait_ms(300);
            assert!(world.phone("2101").heard(status), "{value}: {:?}", world.phone("2101").heard);
            assert_eq!(world.members[&1].edge.bindings().next().cloned(), before, "{value}");
        }
    });
}
