//! Lamps: the lines of other members that a member's phones watch.

use super::world::{World, member, subscriber};
use crate::hub;
use crate::link::{Lamp, LiveLine};
use crate::uplink::{Input, Output};
use model::{Change, Extension, MemberNumber};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn extension(text: &str) -> Extension {
    text.parse().unwrap()
}

fn line(text: &str, detail: Option<&str>) -> LiveLine {
    LiveLine { extension: extension(text), detail: detail.map(|detail| detail.as_bytes().to_vec()) }
}

/// What a member knows of the lines it watches, as its edge would: everything is unknown at the end of an uplink.
fn shown(world: &World, node: u16) -> BTreeMap<Extension, Option<Vec<String>>> {
    let mut shown = BTreeMap::new();
    if node == 0 {
        for output in &world.hub_outputs {
            if let hub::Output::Lamps(lamps) = output {
                shown.extend(lamps.iter().map(read));
            }
        }
        return shown;
    }
    for output in &world.nodes[&node].outputs {
        match output {
            Output::Lamps(lamps) => shown.extend(lamps.iter().map(read)),
            Output::Down => shown.clear(),
            _ => {}
        }
    }
    shown
}

fn read(lamp: &Lamp) -> (Extension, Option<Vec<String>>) {
    let text = |said: &Vec<u8>| String::from_utf8_lossy(said).into_owned();
    (lamp.extension.clone(), lamp.said.as_ref().map(|all| all.iter().map(text).collect()))
}

fn lamp(world: &World, node: u16, text: &str) -> Option<Vec<String>> {
    shown(world, node).get(&extension(text)).cloned().flatten()
}

fn says(texts: &[&str]) -> Option<Vec<String>> {
    Some(texts.iter().map(|text| (*text).to_owned()).collect())
}

fn two_nodes() -> World {
    let mut world = World::new(&[1, 2]);
    world.commit(|revision| vec![Change::Put(subscriber("2201", 2, revision))]);
    world.run(SECOND);
    world
}

#[test]
fn trm_05_a_watched_line_is_told_to_the_watching_node_alone() {
    let mut world = two_nodes();
    world.node_gets(1, Input::Watch(extension("2201"), true));
    assert_eq!(lamp(&world, 1, "2201"), says(&[]));
    world.node_gets(2, Input::Lines(vec![line("2201", Some("rings")), line("2202", Some("talks"))]));
    assert_eq!(lamp(&world, 1, "2201"), says(&["rings"]));
    assert_eq!(shown(&world, 1).len(), 1);
    assert!(shown(&world, 2).is_empty());
    world.node_gets(2, Input::Lines(vec![line("2201", None)]));
    assert_eq!(lamp(&world, 1, "2201"), says(&[]));
    world.node_gets(1, Input::Watch(extension("2201"), false));
    let told = world.node(1).outputs.len();
    world.node_gets(2, Input::Lines(vec![line("2201", Some("rings"))]));
    assert_eq!(world.node(1).outputs.len(), told);
}

#[test]
fn trm_05_the_cluster_server_watches_and_is_watched_like_any_member() {
    let mut world = two_nodes();
    world.hub_gets(hub::Input::Watch(extension("2201"), true));
    world.node_gets(2, Input::Lines(vec![line("2201", Some("idle"))]));
    assert_eq!(lamp(&world, 0, "2201"), says(&["idle"]));
    world.node_gets(1, Input::Watch(extension("2001"), true));
    world.hub_gets(hub::Input::Lines(vec![line("2001", Some("talks"))]));
    assert_eq!(lamp(&world, 1, "2001"), says(&["talks"]));
    // A subscriber with phones at two members: both say what they know, and nobody is told its own part.
    world.hub_gets(hub::Input::Lines(vec![line("2201", Some("visits"))]));
    world.node_gets(1, Input::Watch(extension("2201"), true));
    assert_eq!(lamp(&world, 1, "2201"), says(&["visits", "idle"]));
    assert_eq!(lamp(&world, 0, "2201"), says(&["idle"]));
}

#[test]
fn trm_05_beyond_a_cut_a_line_is_unknown_and_comes_back_by_itself_within_five_seconds() {
    let mut world = two_nodes();
    world.node_gets(1, Input::Watch(extension("2201"), true));
    world.node_gets(1, Input::Watch(extension("2299"), true));
    world.node_gets(2, Input::Lines(vec![line("2201", Some("rings"))]));
    world.cut(2, true);
    world.run(4 * SECOND);
    assert_eq!(lamp(&world, 1, "2201"), None);
    // Nobody is at home there: it is as idle as before.
    assert_eq!(lamp(&world, 1, "2299"), says(&[]));
    world.node_gets(2, Input::Lines(vec![line("2201", Some("talks"))]));
    world.cut(2, false);
    world.run(5 * SECOND);
    assert_eq!(lamp(&world, 1, "2201"), says(&["talks"]));
    // The cut is on the watching side.
    world.cut(1, true);
    world.run(4 * SECOND);
    assert!(shown(&world, 1).is_empty());
    world.node_gets(2, Input::Lines(vec![line("2201", Some("idle"))]));
    world.cut(1, false);
    world.run(5 * SECOND);
    assert_eq!(lamp(&world, 1, "2201"), says(&["idle"]));
    assert_eq!(lamp(&world, 1, "2299"), says(&[]));
}

#[test]
fn a_subscriber_without_a_phone_whose_home_is_cut_off_is_unknown_and_follows_its_record() {
    let mut world = two_nodes();
    world.node_gets(1, Input::Watch(extension("2201"), true));
    assert_eq!(lamp(&world, 1, "2201"), says(&[]));
    world.cut(2, true);
    world.run(4 * SECOND);
    assert_eq!(lamp(&world, 1, "2201"), None);
    world.commit(|revision| vec![Change::Put(subscriber("2201", 0, revision))]);
    assert_eq!(lamp(&world, 1, "2201"), says(&[]));
}

#[test]
fn a_line_that_changes_while_the_watching_node_takes_nothing_is_shown_once_as_it_is_then() {
    let mut world = two_nodes();
    world.node_gets(1, Input::Watch(extension("2201"), true));
    world.run(SECOND);
    world.cut(1, true);
    for turn in 0..2_000 {
        let detail = format!("{turn:0>200}");
        world.node_gets(2, Input::Lines(vec![line("2201", Some(&detail))]));
    }
    let before = world.node(1).outputs.len();
    world.cut(1, false);
    let told = world.node(1).outputs.iter().skip(before);
    let lamps = told.filter(|output| matches!(output, Output::Lamps(_))).count();
    assert!(lamps < 500, "a full connection holds 64 KiB of lamps, not all of {lamps}");
    assert_eq!(lamp(&world, 1, "2201"), says(&[format!("{:0>200}", 1_999).as_str()]));
}

#[test]
fn more_lines_than_a_cluster_has_break_the_protocol() {
    let mut world = two_nodes();
    for block in 0..420u32 {
        let many = (0..100).map(|step| line(&format!("9{:05}", block * 100 + step), Some("idle"))).collect();
        world.node_gets(1, Input::Lines(many));
        world.run(Duration::from_millis(1));
    }
    assert_ne!(world.hub_saw(|output| matches!(output, hub::Output::Fault(hub::Fault::Protocol { .. }))), 0);
}

/// What happens in one step of a random life.
#[derive(Debug, Clone)]
enum Happening {
    Line(u16, u8, Option<u8>),
    Watch(u16, u8, bool),
    Cut(u16, bool),
    RestartNode(u16),
    RestartHub,
    Time(u16),
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        4 => (0u16..3, 0u8..5, prop::option::of(0u8..4)).prop_map(|(at, key, what)| Happening::Line(at, key, what)),
        3 => (0u16..3, 0u8..5, any::<bool>()).prop_map(|(at, key, begins)| Happening::Watch(at, key, begins)),
        2 => (1u16..3, any::<bool>()).prop_map(|(node, cut)| Happening::Cut(node, cut)),
        1 => (1u16..3).prop_map(Happening::RestartNode),
        1 => Just(Happening::RestartHub),
        4 => (1u16..4_000).prop_map(Happening::Time),
    ]
}

/// What every member says, and watches, as a member would know it of itself.
#[derive(Default)]
struct Truth {
    lines: BTreeMap<(u16, Extension), String>,
    watched: BTreeSet<(u16, Extension)>,
}

impl Truth {
    /// What `watcher` should be shown.
    fn lamp(&self, watcher: u16, extension: &Extension) -> Vec<String> {
        let others = self.lines.iter().filter(|((at, line), _)| *at != watcher && line == extension);
        others.map(|(_, detail)| detail.clone()).collect()
    }

    /// All of a member again, as its call side says at the start of the link side.
    fn tell_hub(&self, world: &mut World) {
        for (_, extension) in self.watched.iter().filter(|(at, _)| *at == 0) {
            world.hub_gets(hub::Input::Watch(extension.clone(), true));
        }
        for ((_, extension), detail) in self.lines.iter().filter(|((at, _), _)| *at == 0) {
            world.hub_gets(hub::Input::Lines(vec![line(extension.as_str(), Some(detail))]));
        }
    }
}

fn live(world: &mut World, truth: &mut Truth, happening: Happening) {
    match happening {
        Happening::Line(at, key, what) => {
            let name = format!("22{key:02}");
            let detail = what.map(|what| format!("{at}-{what}"));
            let said = line(&name, detail.as_deref());
            match detail {
                Some(detail) => drop(truth.lines.insert((at, extension(&name)), detail)),
                None => drop(truth.lines.remove(&(at, extension(&name)))),
            }
            match at {
                0 => world.hub_gets(hub::Input::Lines(vec![said])),
                node => world.node_gets(node, Input::Lines(vec![said])),
            }
        }
        Happening::Watch(at, key, begins) => {
            let name = extension(&format!("22{key:02}"));
            let new = match begins {
                true => truth.watched.insert((at, name.clone())),
                false => truth.watched.remove(&(at, name.clone())),
            };
            match at {
                _ if !new => {}
                0 => world.hub_gets(hub::Input::Watch(name, begins)),
                node => world.node_gets(node, Input::Watch(name, begins)),
            }
        }
        Happening::Cut(node, cut) => world.cut(node, cut),
        Happening::RestartNode(node) => {
            world.restart_node(node);
            truth.lines.retain(|(at, _), _| *at != node);
            truth.watched.retain(|(at, _)| *at != node);
            world.node(node).outputs.clear();
        }
        Happening::RestartHub => {
            world.restart_hub(Vec::new());
            world.hub_outputs.clear();
            truth.tell_hub(world);
        }
        Happening::Time(ms) => world.run(Duration::from_millis(ms.into())),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]
    #[test]
    fn trm_05_whatever_happens_every_lamp_shows_the_line_after_healing(
        happenings in prop::collection::vec(happening(), 1..60)
    ) {
        let mut world = two_nodes();
        let mut truth = Truth::default();
        for happening in happenings {
            live(&mut world, &mut truth, happening);
        }
        world.cut(1, false);
        world.cut(2, false);
        world.run(10 * SECOND);
        for (at, name) in &truth.watched {
            prop_assert_eq!(lamp(&world, *at, name.as_str()), Some(truth.lamp(*at, name)), "{} at {}", name, at);
        }
        prop_assert!(world.hub.reaches(member(1)) && world.hub.reaches(MemberNumber::try_from(2).unwrap()));
    }
}
