//! Loss and return: when silence is a loss, and when it is not.

use super::world::*;
use crate::hub;
use crate::link::HEARTBEAT;
use crate::uplink::{Input, Output, StateName};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn downs(world: &mut World) -> usize {
    world.node(1).outputs.iter().filter(|output| **output == Output::Down).count()
}

#[test]
fn duh_01_packets_stop_and_the_node_is_isolated_within_three_seconds() {
    let mut world = World::new(&[1]);
    world.run(10 * SECOND);
    assert_eq!(downs(&mut world), 0, "a quiet line is no loss");
    world.cut(1, true);
    world.run(Duration::from_millis(1_900));
    assert!(world.node(1).uplink.is_up());
    world.run(Duration::from_millis(1_100));
    assert!(!world.node(1).uplink.is_up());
    assert_eq!(downs(&mut world), 1);
    let lost = world.hub_saw(|output| matches!(output, hub::Output::Down { .. }));
    assert_eq!(lost, 1);
}

#[test]
fn duh_03_an_isolated_node_dials_every_second_for_ever() {
    let mut world = World::new(&[1]);
    world.cut(1, true);
    world.run(600 * SECOND);
    let dials = world.node(1).outputs.iter().filter(|output| matches!(output, Output::Dial(_))).count();
    // A dial that nobody answers is given 2.5 s before the next.
    assert!((200..=600).contains(&dials), "{dials} dials in ten minutes");
    assert!(world.node(1).uplink.next_timeout().is_some());
}

#[test]
fn duh_04_packets_flow_and_the_node_is_connected_within_five_seconds_ten_times_in_a_row() {
    let mut world = World::new(&[1]);
    world.run(SECOND);
    for cut in 0..10u32 {
        world.cut(1, true);
        world.run(4 * SECOND + cut * Duration::from_millis(137));
        assert!(!world.node(1).uplink.is_up());
        world.cut(1, false);
        world.run(5 * SECOND);
        world.assert_converged(1);
    }
}

#[test]
fn a_machine_that_was_not_run_does_not_call_that_time_silence() {
    let mut world = World::new(&[1]);
    world.run(SECOND);
    world.now += 30 * SECOND;
    world.tick();
    world.run(SECOND);
    assert_eq!(downs(&mut world), 0);
    assert_eq!(world.hub_saw(|output| matches!(output, hub::Output::Down { .. })), 0);
}

#[test]
fn heartbeats_keep_their_pace() {
    let mut world = World::new(&[1]);
    world.run(SECOND);
    let count =
        |world: &World| world.nodes[&1].outputs.iter().filter(|o| matches!(o, Output::Send(..))).count();
    let before = count(&world);
    world.run(HEARTBEAT * 10);
    assert!((10..=11).contains(&(count(&world) - before)));
}

#[test]
fn a_member_that_stops_says_so_and_is_lost_at_once() {
    let mut world = World::new(&[1]);
    world.run(SECOND);
    world.node_gets(1, Input::Stop);
    assert_eq!(world.hub_saw(|output| matches!(output, hub::Output::Down { .. })), 1);
    assert_eq!(world.node(1).uplink.standing().state, StateName::Isolated);
    world.run(10 * SECOND);
    assert_eq!(world.node(1).uplink.next_timeout(), None, "it does not dial again");

    let mut world = World::new(&[1]);
    world.run(2 * SECOND);
    world.hub_gets(hub::Input::Stop);
    assert!(!world.node(1).uplink.is_up());
}
