//! What must be the same wherever a set is attached: at the cluster server, at a node, behind a gateway.

use crate::inside::talk;
use crate::world::{World, told, told_bare};
use model::{Cause, Kind};
use sip::Transport;
use std::net::SocketAddr;

/// Caller and called party: at the cluster server, at one node, across in each direction, from node to node.
const PLACES: [(&str, &str); 5] =
    [("2001", "2002"), ("2101", "2102"), ("2001", "2201"), ("2201", "2001"), ("2101", "2201")];

/// A call with hold and resume, one that is not answered, one to a busy phone: what both phones heard.
fn a_day(world: &mut World, caller: &str, called: &str) -> Vec<Vec<String>> {
    talk(world, caller, called);
    world.phone(caller).hold();
    world.wait_ms(300);
    world.phone(caller).resume();
    world.wait_ms(300);
    world.phone(called).hang_up();
    world.wait_ms(300);
    world.phone(caller).call(called);
    world.wait_ms(300);
    world.phone(caller).cancel();
    world.wait_ms(300);
    world.all_idle();
    [caller, called].map(|number| world.phone(number).heard.clone()).to_vec()
}

/// ARC-02, ARC-04, TRM-11: subscriptions are held by the cluster server, and a call feels the same on every member.
#[test]
fn arc_02_arc_04_trm_11_a_call_is_the_same_on_every_member() {
    told(|world| {
        let days = PLACES.map(|(caller, called)| a_day(world, caller, called));
        for day in &days {
            assert_eq!(*day, days[0]);
        }
    });
}

/// ARC-04, IMP-10: a right that is taken away at the cluster server is gone on every member at once.
#[test]
fn arc_04_imp_10_a_barred_number_is_barred_on_every_member() {
    told(|world| {
        world.change(Kind::BarredNumbers, "nobody", r#"{"prefixes":["2"]}"#);
        world.change(Kind::FeatureClass, "free", r#"{"barred":["nobody"]}"#);
        for (caller, called) in PLACES {
            world.phone(caller).call(called);
            world.wait_ms(300);
            assert!(world.phone(caller).heard("403/21"), "{caller}: {:?}", world.phone(caller).heard);
            assert!(world.phone(called).heard.iter().all(|word| word != "INVITE"), "{called} rang");
        }
        assert!(world.records.iter().all(|record| record.cause == Cause::Barred));
        world.all_idle();
    });
}

/// ARC-26: analogue and digital sets come over a SIP gateway at a node, which has one address for all of them.
#[test]
fn arc_26_sets_behind_a_gateway_of_a_node_share_its_address_and_are_called_apart() {
    let gateway: SocketAddr = "192.168.1.200:5060".parse().unwrap();
    told_bare(|world| {
        for number in ["2101", "2102", "2201"] {
            world.plug_in(number, Transport::Udp);
        }
        for set in ["2101", "2102"] {
            world.phone(set).sit_behind(gateway);
        }
        for number in ["2101", "2102", "2201"] {
            world.phone(number).register(3600);
            world.wait_ms(300);
            assert!(world.phone(number).registered);
            world.phone(number).heard.clear();
        }
        for (caller, called) in [("2201", "2101"), ("2101", "2201"), ("2101", "2102"), ("2102", "2101")] {
            talk(world, caller, called);
            world.phone(caller).hang_up();
            world.wait_ms(300);
            assert!(world.phone(called).heard("BYE/16"), "{caller} to {called}");
            world.all_idle();
            world.phone(called).heard.clear();
            world.phone(caller).heard.clear();
        }
    });
}
