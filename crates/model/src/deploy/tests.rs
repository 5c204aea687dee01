//! The rules of deployment, one test a row.

use super::*;
use crate::release::THIS;
use crate::topology::{Assignment, Progress};
use std::collections::BTreeMap;

fn dongle(text: &str) -> DongleId {
    text.parse().unwrap()
}

fn good(dongle_id: &str) -> Identified {
    Identified {
        release: THIS,
        hardware_type: HardwareType::Server,
        dongle_id: dongle(dongle_id),
        clock_offset_ms: 0,
    }
}

fn claimed() -> Progress {
    Progress::Claimed { fingerprint: "ab".to_owned() }
}

fn identified(dongle_id: &str) -> Progress {
    Progress::Identified { fingerprint: "ab".to_owned(), identity: good(dongle_id) }
}

fn configured(dongle_id: &str) -> Progress {
    let assignment = Assignment { number: MemberNumber::CLUSTER_SERVER, generation: 1 };
    Progress::Configured { fingerprint: "ab".to_owned(), identity: good(dongle_id), assignment }
}

fn machine(purpose: Purpose, progress: Progress) -> Machine {
    Machine {
        name: "m".to_owned(),
        address: "192.0.2.7:7501".parse().unwrap(),
        purpose,
        link_address: None,
        postal_address: String::new(),
        information: String::new(),
        comment: String::new(),
        progress,
    }
}

fn server(progress: Progress) -> Machine {
    let purpose = Purpose::ClusterServer {
        multi_site: "paris".to_owned(),
        domain: "pleiad.test".to_owned(),
        site_number: 1,
        cluster: None,
    };
    machine(purpose, progress)
}

fn node(progress: Progress) -> Machine {
    machine(Purpose::Node { cluster_server: "cs".to_owned() }, progress)
}

struct World(BTreeMap<&'static str, Machine>);

impl World {
    fn of(machines: impl IntoIterator<Item = (&'static str, Machine)>) -> World {
        World(machines.into_iter().collect())
    }

    fn identify(&self, key: &str, found: &Identified) -> Result<Option<Warning>, Refusal> {
        check_identity(key, &self.0[key], found, self.0.iter().map(|(k, m)| (*k, m)))
    }

    fn role(&self, key: &str, facts: &RoleFacts, force: bool) -> Result<(), Refusal> {
        check_role(&self.0[key], facts, Some("paris-1"), force, self.0.iter().map(|(k, m)| (*k, m)))
    }
}

fn facts(dongle_id: &str) -> RoleFacts {
    RoleFacts {
        dongle_id: dongle(dongle_id),
        role: "independent".to_owned(),
        cluster: None,
        subscribers: 1,
        general_purpose_only: true,
        calls: 0,
    }
}

#[test]
fn dcs_14_a_claimed_server_of_this_release_is_identified() {
    let world = World::of([("cs", server(claimed()))]);
    assert_eq!(world.identify("cs", &good("AAAA-1")), Ok(None));
}

#[test]
fn dcs_16_dep_26_a_release_below_r6_1_is_refused_and_r6_1_is_not() {
    let world = World::of([("cs", server(claimed())), ("n1", node(claimed()))]);
    let low = Identified { release: "R6.0".parse().unwrap(), ..good("AAAA-1") };
    assert_eq!(world.identify("cs", &low), Err(Refusal::ReleaseTooLow { found: low.release }));
    let enough = Identified { release: MINIMUM, ..good("AAAA-1") };
    assert_eq!(world.identify("cs", &enough), Ok(None));

    let world = World::of([("cs", server(identified("AAAA-1"))), ("n1", node(claimed()))]);
    let low = Identified { release: "R5.4".parse().unwrap(), ..good("BBBB-1") };
    let refusal = world.identify("n1", &low).unwrap_err();
    assert_eq!(refusal.to_string(), "release R5.4 is below R6.1, the lowest that is supported");
    assert!(refusal.next().contains("R6.1"), "{}", refusal.next());
}

#[test]
fn dcs_17_only_hardware_of_type_server_becomes_a_cluster_server() {
    for found in [HardwareType::Gateway, HardwareType::Ex, HardwareType::Small] {
        let world = World::of([("cs", server(claimed()))]);
        let identity = Identified { hardware_type: found, ..good("AAAA-1") };
        assert_eq!(world.identify("cs", &identity), Err(Refusal::WrongHardware { found }));
        let world = World::of([("cs", server(identified("AAAA-1"))), ("n1", node(claimed()))]);
        let identity = Identified { hardware_type: found, ..good("BBBB-1") };
        assert_eq!(world.identify("n1", &identity), Ok(None), "{found} may be a node");
    }
}

#[test]
fn dep_27_a_node_is_not_identified_before_its_cluster_server() {
    for progress in [Progress::Created, claimed()] {
        let world = World::of([("cs", server(progress)), ("n1", node(claimed()))]);
        let refusal = world.identify("n1", &good("BBBB-1")).unwrap_err();
        assert_eq!(refusal.code(), "cluster-server-first");
    }
    let world = World::of([("n1", node(claimed()))]);
    assert_eq!(world.identify("n1", &good("BBBB-1")).unwrap_err().code(), "cluster-server-first");
}

#[test]
fn dep_27_a_node_is_not_configured_before_its_cluster_server() {
    let world = World::of([("cs", server(identified("AAAA-1"))), ("n1", node(identified("BBBB-1")))]);
    assert_eq!(world.role("n1", &facts("BBBB-1"), false).unwrap_err().code(), "cluster-server-first");
    let world = World::of([("cs", server(configured("AAAA-1"))), ("n1", node(identified("BBBB-1")))]);
    assert_eq!(world.role("n1", &facts("BBBB-1"), false), Ok(()));
}

#[test]
fn dep_28_a_node_with_subscribers_beside_the_general_purpose_one_is_refused() {
    let world = World::of([("cs", server(configured("AAAA-1"))), ("n1", node(identified("BBBB-1")))]);
    let with = RoleFacts { subscribers: 3, general_purpose_only: false, ..facts("BBBB-1") };
    assert_eq!(world.role("n1", &with, true), Err(Refusal::SubscribersPresent { count: 3 }));
    let none = RoleFacts { subscribers: 0, general_purpose_only: false, ..facts("BBBB-1") };
    assert_eq!(world.role("n1", &none, false), Ok(()));
}

#[test]
fn dep_28_a_node_already_of_this_cluster_may_hold_the_subscribers_it_serves() {
    let world = World::of([("cs", server(configured("AAAA-1"))), ("n1", node(configured("BBBB-1")))]);
    let again = RoleFacts {
        role: "node".to_owned(),
        cluster: Some("paris-1".to_owned()),
        subscribers: 40,
        general_purpose_only: false,
        ..facts("BBBB-1")
    };
    assert_eq!(world.role("n1", &again, false), Ok(()));
}

#[test]
fn dep_29_an_identity_in_use_is_refused_and_its_holder_named() {
    let world = World::of([
        ("cs", server(configured("AAAA-1"))),
        ("n1", node(identified("BBBB-1"))),
        ("n2", node(claimed())),
    ]);
    let refusal = world.identify("n2", &good("BBBB-1")).unwrap_err();
    assert_eq!(refusal, Refusal::IdentityInUse { dongle_id: dongle("BBBB-1"), by: "n1".to_owned() });
    assert_eq!(world.identify("n1", &good("BBBB-1")), Ok(None), "its own identity is no conflict");
}

#[test]
fn dep_29_another_machine_at_the_address_of_an_identified_one_is_refused() {
    let world = World::of([("cs", server(configured("AAAA-1"))), ("n1", node(identified("BBBB-1")))]);
    assert_eq!(world.identify("n1", &good("CCCC-1")).unwrap_err().code(), "other-machine");
    assert_eq!(world.role("n1", &facts("CCCC-1"), true).unwrap_err().code(), "other-machine");
}

#[test]
fn pre_14_clocks_warn_over_two_seconds_and_are_refused_over_sixty() {
    assert_eq!(check_clock(2_000), Ok(None));
    assert_eq!(check_clock(-2_001), Ok(Some(Warning::ClockOffset { offset_ms: -2_001 })));
    assert_eq!(check_clock(60_000), Ok(Some(Warning::ClockOffset { offset_ms: 60_000 })));
    assert_eq!(check_clock(-60_001), Err(Refusal::ClockOff { offset_ms: -60_001 }));
    assert_eq!(check_clock(i64::MIN), Err(Refusal::ClockOff { offset_ms: i64::MIN }));
}

#[test]
fn pre_14_the_round_trip_is_not_held_against_a_clock() {
    assert_eq!(clock_offset_ms(1_000, 1_400, 1_900), 0);
    assert_eq!(clock_offset_ms(1_000, 900, 1_900), -100);
    assert_eq!(clock_offset_ms(1_000, 4_900, 1_900), 3_000);
}

#[test]
fn dep_30_the_lowest_free_number_is_chosen() {
    let number = |n: u16| MemberNumber::try_from(n).unwrap();
    assert_eq!(choose_number([].into_iter()), Ok(number(1)));
    assert_eq!(choose_number([number(1), number(3)].into_iter()), Ok(number(2)));
    assert_eq!(choose_number([MemberNumber::CLUSTER_SERVER].into_iter()), Ok(number(1)));
}

#[test]
fn arc_24_the_231st_node_is_refused_with_a_clear_message() {
    let taken = (1..=230).map(|n| MemberNumber::try_from(n).unwrap());
    let refusal = choose_number(taken.clone()).unwrap_err();
    assert_eq!(refusal.to_string(), "the cluster has 230 nodes; a cluster server accepts no more");
    assert_eq!(choose_number(taken.take(229)).map(MemberNumber::get), Ok(230));
}

#[test]
fn dcs_21_dep_34_a_role_change_with_calls_up_needs_force() {
    let world = World::of([("cs", server(identified("AAAA-1")))]);
    let busy = RoleFacts { calls: 2, ..facts("AAAA-1") };
    assert_eq!(world.role("cs", &busy, false), Err(Refusal::CallsUp { calls: 2 }));
    assert_eq!(world.role("cs", &busy, true), Ok(()));
}

#[test]
fn dcs_19_no_role_without_identification_and_none_over_a_foreign_one() {
    let world = World::of([("cs", server(claimed()))]);
    assert_eq!(world.role("cs", &facts("AAAA-1"), true), Err(Refusal::TooEarly { needed: "identified" }));
    let world = World::of([("cs", server(identified("AAAA-1")))]);
    let foreign = RoleFacts {
        role: "cluster-server".to_owned(),
        cluster: Some("rome-2".to_owned()),
        ..facts("AAAA-1")
    };
    assert_eq!(world.role("cs", &foreign, true).unwrap_err().code(), "role-taken");
}

#[test]
fn dcs_06_two_machines_cannot_have_one_address() {
    let world = World::of([("cs", server(claimed()))]);
    let address: HostPort = "192.0.2.7:7501".parse().unwrap();
    let all = || world.0.iter().map(|(k, m)| (*k, m));
    assert_eq!(check_address(None, &address, all()).unwrap_err().code(), "address-in-use");
    assert_eq!(check_address(Some("cs"), &address, all()), Ok(()));
    assert_eq!(check_address(None, &"192.0.2.7:7502".parse().unwrap(), all()), Ok(()));
}

#[test]
fn a_name_is_given_once_whatever_its_case() {
    let named = || [("north", "North"), ("south", "South")].into_iter();
    let refusal = check_name("north-2", "NORTH", named()).unwrap_err();
    assert_eq!(refusal, Refusal::NameInUse { name: "NORTH".to_owned(), by: "north".to_owned() });
    assert_eq!(check_name("north", "north", named()), Ok(()), "its own name is no conflict");
    assert_eq!(check_name("west", "West", named()), Ok(()));
}

#[test]
fn dep_30_only_a_node_gets_a_number_record_and_is_waited_for() {
    assert!(!plan(&server(claimed())).contains(&Step::NodeRecord));
    assert_eq!(plan(&node(claimed())).last(), Some(&Step::Synchronised));
}

#[test]
fn every_refusal_names_the_next_thing_to_do() {
    let all = [
        Refusal::ClusterFull,
        Refusal::CallsUp { calls: 1 },
        Refusal::ClaimedElsewhere,
        Refusal::TooEarly { needed: "claimed" },
        Refusal::SubscribersPresent { count: 2 },
        Refusal::ClockOff { offset_ms: 70_000 },
        Refusal::HasNodes { cluster_server: "cs".to_owned(), nodes: 2 },
    ];
    for refusal in all {
        assert!(!refusal.next().is_empty() && !refusal.code().contains(' '), "{refusal}");
    }
}
