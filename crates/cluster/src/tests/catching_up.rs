//! Snapshots, changes, interest, digests, registrations and logs.

use super::world::*;
use crate::hub;
use crate::link::{LiveBinding, LogEntry};
use crate::uplink::{Input, Output};
use model::{Change, Kind};
use proptest::prelude::*;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn binding(extension: &str, device: &str) -> LiveBinding {
    LiveBinding { extension: extension.parse().unwrap(), device: device.into(), detail: b"{}".to_vec() }
}

fn snapshots(world: &mut World, number: u16) -> usize {
    let outputs = &world.node(number).outputs;
    outputs.iter().filter(|output| matches!(output, Output::ApplySnapshot { .. })).count()
}

#[test]
fn syn_15_a_change_is_in_force_on_every_connected_node_at_once() {
    let mut world = World::new(&[1, 2]);
    world.run(SECOND);
    world.commit(|revision| vec![Change::Put(class("guest", "no calls out", revision))]);
    for number in [1, 2] {
        let node = world.node(number);
        assert!(node.records.contains_key(&(Kind::FeatureClass, "guest".into())));
        world.assert_converged(number);
    }
}

#[test]
fn syn_17_a_node_that_was_away_catches_up_by_changes_without_a_restart() {
    let mut world = World::new(&[1, 2]);
    world.run(SECOND);
    let before = snapshots(&mut world, 1);
    world.cut(1, true);
    world.run(4 * SECOND);
    for _ in 0..5 {
        world.commit(|revision| vec![Change::Put(class("guest", &revision.to_string(), revision))]);
    }
    world.cut(1, false);
    world.run(4 * SECOND);
    world.assert_converged(1);
    assert_eq!(snapshots(&mut world, 1), before, "changes were enough");
}

#[test]
fn a_large_commit_and_a_large_snapshot_go_through_small_frames() {
    let mut world = World::new(&[1]);
    let filling = "x".repeat(200_000);
    for key in ["a", "b", "c"] {
        world.commit(|revision| vec![Change::Put(class(key, &filling, revision))]);
    }
    world.run(SECOND);
    world.assert_converged(1);
    world.commit(|revision| ["d", "e"].map(|key| Change::Put(class(key, &filling, revision))).into());
    world.run(SECOND);
    world.assert_converged(1);
}

#[test]
fn a_subscriber_that_moves_enters_one_node_and_leaves_the_other() {
    let mut world = World::new(&[1, 2]);
    world.run(SECOND);
    world.commit(|revision| vec![Change::Put(subscriber("2101", 1, revision))]);
    let name = (Kind::Subscriber, "2101".to_owned());
    assert!(world.node(1).records.contains_key(&name) && !world.node(2).records.contains_key(&name));
    world.commit(|revision| vec![Change::Put(subscriber("2101", 2, revision))]);
    assert!(!world.node(1).records.contains_key(&name) && world.node(2).records.contains_key(&name));
    world.assert_converged(1);
    world.assert_converged(2);
}

#[test]
fn syn_01_data_that_differ_are_found_by_the_digest_told_and_repaired() {
    let mut world = World::new(&[1]);
    world.run(SECOND);
    // A byte changes behind everybody's back: the node is rebuilt from a record that is not what was sent.
    let key = (Kind::Node, "1".to_owned());
    world.node(1).records.get_mut(&key).unwrap().value = br#"{"name":"X","dongle_id":"DONGLE-1"}"#.to_vec();
    world.restart_node(1);
    world.run(SECOND);
    let told = world.hub_saw(|output| matches!(output, hub::Output::Fault(hub::Fault::DigestDiffers { .. })));
    assert_eq!(told, 1);
    world.assert_converged(1);
}

#[test]
fn a_node_ahead_of_its_cluster_server_is_told_as_a_fault_and_takes_a_snapshot() {
    let mut world = World::new(&[1]);
    world.run(SECOND);
    world.node(1).position.revision += 10;
    world.restart_node(1);
    world.run(SECOND);
    let behind = world.hub_saw(|output| matches!(output, hub::Output::Fault(hub::Fault::Behind { .. })));
    assert_eq!(behind, 1);
    world.assert_converged(1);
}

#[test]
fn a_restarted_cluster_server_with_its_log_needs_no_snapshot() {
    let mut world = World::new(&[1]);
    world.run(SECOND);
    world.cut(1, true);
    world.commit(|revision| vec![Change::Put(class("guest", "new", revision))]);
    let before = snapshots(&mut world, 1);
    world.restart_hub(vec![Change::Put(class("guest", "new", 2))]);
    world.cut(1, false);
    world.run(4 * SECOND);
    world.assert_converged(1);
    assert_eq!(snapshots(&mut world, 1), before);
}

#[test]
fn a_last_commit_without_changes_is_caught_up_with_after_a_restart() {
    let mut world = World::new(&[1]);
    world.run(SECOND);
    world.cut(1, true);
    world.commit(|revision| vec![Change::Put(class("guest", "new", revision))]);
    world.commit(|_| Vec::new());
    world.restart_hub(vec![Change::Put(class("guest", "new", 2))]);
    world.cut(1, false);
    world.run(4 * SECOND);
    world.assert_converged(1);
}

#[test]
fn a_cluster_server_with_a_lower_epoch_than_seen_is_refused() {
    let mut world = World::new(&[1]);
    world.run(SECOND);
    world.node(1).position.epoch = 9;
    world.restart_node(1);
    world.run(2 * SECOND);
    assert!(!world.node(1).uplink.is_up());
    let fault = world.node(1).uplink.standing().fault;
    assert_eq!(fault, Some(crate::uplink::Fault::Refused(crate::Refusal::Superseded)));
}

#[test]
fn registrations_are_known_before_a_node_is_up_and_stay_known_when_it_is_lost() {
    let mut world = World::new(&[1]);
    world.cut(1, true);
    for number in 0..120 {
        world.node_gets(1, Input::Bound(binding("2101", &format!("phone-{number:03}"))));
    }
    world.cut(1, false);
    world.run(4 * SECOND);
    world.run(SECOND);
    let order: Vec<&hub::Output> = world
        .hub_outputs
        .iter()
        .filter(|output| matches!(output, hub::Output::LiveReset(..) | hub::Output::Up(_)))
        .collect();
    assert!(
        matches!(order.as_slice(), [hub::Output::LiveReset(_, all), hub::Output::Up(_)] if all.len() == 120)
    );
    world.node_gets(1, Input::Unbound("2101".parse().unwrap(), "phone-007".into()));
    assert_eq!(world.hub.bindings(member(1)).count(), 119);
    world.cut(1, true);
    world.run(4 * SECOND);
    assert!(!world.hub.reaches(member(1)));
    assert_eq!(world.hub.bindings(member(1)).count(), 119);
}

#[test]
fn a_log_entry_is_acknowledged_only_when_it_is_kept_and_is_sent_until_then() {
    let mut world = World::new(&[1]);
    world.cut(1, true);
    world.node_gets(1, Input::Log(LogEntry { id: "leg-1".into(), body: b"{}".to_vec() }));
    world.run(3 * SECOND);
    assert!(world.recorded.is_empty());
    world.cut(1, false);
    world.run(3 * SECOND);
    assert!(world.recorded.contains("leg-1"));
    assert!(world.node(1).outputs.contains(&Output::LogAcked(vec!["leg-1".into()])));
}

/// What happens to the world in one step of a random life.
#[derive(Debug, Clone)]
enum Happening {
    Commit(u8, u8),
    Delete(u8),
    Cut(u16, bool),
    RestartNode(u16),
    RestartHub,
    Register(u16, u8, bool),
    Time(u16),
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        4 => (0u8..12, 0u8..3).prop_map(|(key, home)| Happening::Commit(key, home)),
        1 => (0u8..12).prop_map(Happening::Delete),
        2 => (1u16..3, any::<bool>()).prop_map(|(node, cut)| Happening::Cut(node, cut)),
        1 => (1u16..3).prop_map(Happening::RestartNode),
        1 => Just(Happening::RestartHub),
        2 => (1u16..3, 0u8..6, any::<bool>()).prop_map(|(node, key, on)| Happening::Register(node, key, on)),
        4 => (1u16..4_000).prop_map(Happening::Time),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]
    #[test]
    fn syn_01_whatever_happens_all_converge_after_healing(
        happenings in prop::collection::vec(happening(), 1..50)
    ) {
        let mut world = World::new(&[1, 2]);
        let mut held = std::collections::BTreeMap::new();
        for happening in happenings {
            match happening {
                Happening::Commit(key, home) => world.commit(|revision| {
                    vec![Change::Put(subscriber(&format!("21{key:02}"), home.into(), revision))]
                }),
                Happening::Delete(key) => world.commit(|revision| {
                    vec![Change::Delete { kind: Kind::Subscriber, key: format!("21{key:02}"), revision }]
                }),
                Happening::Cut(node, cut) => world.cut(node, cut),
                Happening::RestartNode(node) => {
                    world.restart_node(node);
                    held.retain(|(owner, _), _| *owner != node);
                }
                Happening::RestartHub => world.restart_hub(Vec::new()),
                Happening::Register(node, key, on) => {
                    let binding = binding("2101", &key.to_string());
                    if on {
                        held.insert((node, binding.device.clone()), binding.clone());
                        world.node_gets(node, Input::Bound(binding));
                    } else {
                        held.remove(&(node, binding.device.clone()));
                        world.node_gets(node, Input::Unbound(binding.extension, binding.device));
                    }
                }
                Happening::Time(ms) => world.run(Duration::from_millis(ms.into())),
            }
        }
        world.cut(1, false);
        world.cut(2, false);
        world.run(10 * SECOND);
        for number in [1, 2] {
            world.assert_converged(number);
            let known: Vec<LiveBinding> = world.hub.bindings(member(number)).cloned().collect();
            let there: Vec<LiveBinding> = held
                .iter()
                .filter(|((owner, _), _)| *owner == number)
                .map(|(_, binding)| binding.clone())
                .collect();
            prop_assert_eq!(known, there);
        }
        let faults = world.hub_saw(|output| {
            matches!(output, hub::Output::Fault(hub::Fault::DigestDiffers { .. } | hub::Fault::Protocol { .. }))
        });
        prop_assert_eq!(faults, 0);
    }
}
