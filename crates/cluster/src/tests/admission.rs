//! Who is taken and who is refused, and that a refusal leaves everything as it was.

use super::world::*;
use crate::hub;
use crate::link::Refusal;
use crate::uplink::{Fault, StateName};
use model::{Change, Kind, Release};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// A node of this description dials for three seconds; it is refused like this, and nothing else happens.
fn assert_refused(mut world: World, number: u16, refusal: Refusal) {
    world.run(3 * SECOND);
    let standing = world.node(number).uplink.standing();
    assert_eq!(standing.fault, Some(Fault::Refused(refusal)));
    assert_ne!(standing.state, StateName::Connected);
    assert!(world.node(number).records.is_empty());
    assert_eq!(world.hub_saw(|output| *output == hub::Output::Up(member(number))), 0);
    let told = world.node(number).outputs.iter();
    assert_eq!(told.filter(|output| matches!(output, crate::uplink::Output::Fault(_))).count(), 1);
}

#[test]
fn dep_29_a_number_bound_to_another_dongle_is_refused() {
    let mut world = World::new(&[1]);
    world.add(1, crate::uplink::Identity { dongle_id: dongle(9), ..identity(1) });
    assert_refused(world, 1, Refusal::DongleDiffers);
}

#[test]
fn an_unknown_node_is_refused_and_taken_once_it_is_created() {
    let mut world = World::new(&[]);
    world.add(5, identity(5));
    world.run(SECOND);
    assert_eq!(world.node(5).uplink.standing().fault, Some(Fault::Refused(Refusal::UnknownNode)));
    world.commit(|revision| vec![Change::Put(node_record(5, revision))]);
    world.run(2 * SECOND);
    world.assert_converged(5);
    assert_eq!(world.node(5).uplink.standing().fault, None);
}

#[test]
fn a_deleted_node_is_cut_off_at_once_and_refused_for_ever() {
    let mut world = World::new(&[1]);
    world.run(SECOND);
    world.commit(|revision| vec![Change::Delete { kind: Kind::Node, key: "1".into(), revision }]);
    assert_eq!(world.node(1).uplink.standing().fault, Some(Fault::Refused(Refusal::DeletedNode)));
    world.run(3 * SECOND);
    assert!(!world.node(1).uplink.is_up());
    assert!(world.hub.nodes().is_empty());
}

#[test]
fn amb_04_one_minor_release_older_is_taken_and_no_other() {
    let of = |major, minor| {
        let mut world = World::new(&[1]);
        world.add(1, crate::uplink::Identity { release: Release { major, minor }, ..identity(1) });
        world
    };
    let ours = this();
    for (major, minor) in [(ours.major, ours.minor + 1), (ours.major + 1, 0), (ours.major - 1, 9)] {
        assert_refused(of(major, minor), 1, Refusal::ReleaseOutsideWindow);
    }
    let mut same = of(ours.major, ours.minor);
    same.run(SECOND);
    same.assert_converged(1);
}

#[test]
fn another_clusters_machine_is_refused() {
    let mut world = World::new(&[1]);
    world.add(1, crate::uplink::Identity { cluster: "c-2".parse().unwrap(), ..identity(1) });
    world.run(SECOND);
    // Its own certificate check stops it first: our server is a stranger to it.
    assert!(matches!(world.node(1).uplink.standing().fault, Some(Fault::WrongPeer(_))));
    assert_eq!(world.hub_saw(|output| matches!(output, hub::Output::Up(_))), 0);
}

#[test]
fn a_number_that_the_certificate_does_not_prove_is_refused() {
    let mut world = World::new(&[1, 2]);
    world.add(1, identity(2));
    assert_refused(world, 1, Refusal::IdentityDiffers);
}

#[test]
fn a_second_verified_link_of_a_node_replaces_the_first() {
    let mut world = World::new(&[1]);
    world.run(SECOND);
    world.cut(1, true);
    world.node(1).uplink = crate::Uplink::new(identity(1), 2, Default::default(), [], [9; 32], world.now);
    world.cut(1, false);
    world.run(4 * SECOND);
    assert!(world.hub_saw(|output| *output == hub::Output::Fault(hub::Fault::Replaced(member(1)))) >= 1);
    assert!(world.hub.reaches(member(1)));
}
