//! Golden HTML of the parts that are drawn from views, and what must never be on them.

use super::{doctor, machine, map_svg, overview, topology};
use crate::view::{
    Check, Deployment, Doctor, LinkState, LiveState, MachineKind, MachineSight, MachineView, Map, MapLink,
    MapMachine, MultiSiteView, Progress, Reach, RegionView, Verdict,
};

fn sight(state: &str) -> MachineSight {
    MachineSight {
        release: "R7.0".into(),
        role: "node".into(),
        state: state.into(),
        node_number: Some(1),
        revision: 42,
        digest: "ab".repeat(32),
        subscribers: 6,
        bindings: 2,
        calls: 1,
        clock_offset_ms: 12,
    }
}

fn live(reach: Reach, state: &str) -> LiveState {
    LiveState {
        reach,
        age_ms: 300,
        since_ms: 1_795_348_800_000,
        sight: Some(sight(state)),
        fault: String::new(),
    }
}

fn map_machine(id: &str, cs: Option<&str>, number: u8, live: LiveState) -> MapMachine {
    MapMachine {
        id: id.into(),
        name: format!("{id} <b>"),
        kind: if cs.is_some() { MachineKind::Node } else { MachineKind::ClusterServer },
        multi_site: "main".into(),
        cs: cs.map(str::to_owned),
        progress: Progress::Configured,
        node_number: Some(number),
        live,
    }
}

fn link(node: &str, state: LinkState, lag: Option<u64>) -> MapLink {
    MapLink {
        node: node.into(),
        cs: "cs".into(),
        state,
        since_ms: 1_795_348_800_000,
        lag,
        digest_equal: Some(true),
        detail: String::new(),
    }
}

fn map() -> Map {
    Map {
        at_ms: 1_795_348_800_000,
        machines: vec![
            map_machine("cs", None, 0, live(Reach::Up, "cluster-server")),
            map_machine("lyon", Some("cs"), 1, live(Reach::Up, "connected")),
            map_machine("nice", Some("cs"), 2, live(Reach::Up, "isolated")),
        ],
        links: vec![link("lyon", LinkState::Up, Some(0)), link("nice", LinkState::Isolated, Some(3))],
    }
}

#[test]
fn dep_45_the_map_draws_each_machine_as_a_link_with_shape_glyph_and_word() {
    insta::assert_snapshot!("map", map_svg::draw(&map()));
}

#[test]
fn the_map_of_a_full_cluster_is_small_machines_in_rows() {
    let mut map = map();
    map.machines.truncate(1);
    map.links.clear();
    for number in 1..=230 {
        map.machines.push(map_machine(
            &format!("n{number}"),
            Some("cs"),
            number,
            live(Reach::Up, "connected"),
        ));
    }
    let svg = map_svg::draw(&map);
    assert_eq!(svg.matches("<a id=\"map-n").count(), 230);
    assert!(svg.contains("viewBox=\"0 0 960 "));
}

#[test]
fn the_overview_says_in_words_what_the_map_shows() {
    let html = overview::render(&map(), &[], true, "");
    assert!(html.contains("data-say=\"1 of 2 links up: nice &lt;b&gt; isolated\""), "{html}");
    assert!(html.contains("isolated, 3 behind"), "{html}");
    assert!(!html.contains("<b>\""), "names are escaped");
    assert!(html.contains("data-topic=\"map\"") && html.contains("data-topic=\"operation\""));
}

#[test]
fn an_empty_network_says_the_first_step_and_only_to_whom_may_take_it() {
    let nothing = Map { at_ms: 0, machines: vec![], links: vec![] };
    assert!(overview::render(&nothing, &[], true, "").contains("/topology/regions/new"));
    assert!(!overview::render(&nothing, &[], false, "").contains("/topology/regions/new"));
}

fn machine_view(id: &str, cs: Option<&str>) -> MachineView {
    MachineView {
        id: id.into(),
        name: id.into(),
        address: "127.0.0.1:7501".into(),
        kind: if cs.is_some() { MachineKind::Node } else { MachineKind::ClusterServer },
        region: "north".into(),
        multi_site: "main".into(),
        cs: cs.map(str::to_owned),
        cluster: None,
        link_address: None,
        domain: None,
        site_number: 1,
        postal_address: String::new(),
        information: String::new(),
        comment: String::new(),
        progress: Progress::Created,
        next: "claim it".into(),
        fingerprint: None,
        release: None,
        hardware_type: None,
        dongle_id: None,
        clock_offset_ms: None,
        node_number: None,
        generation: 0,
        live: None,
    }
}

#[test]
fn dcs_05_a_new_multi_site_leads_to_its_cluster_server_unless_the_answer_is_no() {
    let (next, text) = topology::after_multi_site("yes", "main", "Main");
    assert_eq!(next, "/topology/machines/new?multi_site=main");
    assert!(text.contains("Now its cluster server"));
    assert_eq!(topology::after_multi_site("no", "main", "Main").0, "/topology");
}

#[test]
fn dcs_20_the_final_screen_reports_success_and_finish_returns_to_the_topology() {
    let done = Deployment {
        machine: machine_view("cs", None),
        steps: vec![],
        warnings: vec!["its clock is 3 s <fast>".into()],
        admin_password: Some("once-and-never-again".into()),
    };
    let html = machine::final_screen(&done);
    assert!(html.contains("Every step was done."), "{html}");
    assert!(html.contains("href=\"/topology\">Finish</a>"), "{html}");
    assert_eq!(html.matches("once-and-never-again").count(), 1);
    assert!(html.contains("&lt;fast&gt;"), "what a machine says is escaped: {html}");
}

#[test]
fn dcs_03_the_tree_nests_region_multi_site_cluster_server_and_nodes() {
    let text = |text: &str| text.to_owned();
    let tree = topology::Tree {
        regions: vec![RegionView { id: text("north"), name: text("North"), comment: text("") }],
        multi_sites: vec![MultiSiteView {
            id: text("main"),
            name: text("Main"),
            region: text("north"),
            comment: text(""),
        }],
        machines: vec![machine_view("cs", None), machine_view("lyon", Some("cs"))],
    };
    let html = topology::render(&tree, true);
    assert_eq!(html.matches("<ul").count(), html.matches("</ul>").count());
    assert_eq!(html.matches("<li").count(), html.matches("</li>").count());
    let at = |text: &str| html.find(text).unwrap();
    assert!(
        at("North") < at("Main")
            && at("Main") < at("/machines/cs")
            && at("/machines/cs") < at("/machines/lyon")
    );
    assert!(!topology::render(&tree, false).contains("New node"));
}

#[test]
fn the_doctor_puts_what_is_wrong_first() {
    let check = |subject: &str, verdict, next: &str| Check {
        subject: subject.into(),
        check: "clock".into(),
        verdict,
        detail: "found".into(),
        next: next.into(),
    };
    let checks = vec![check("manager", Verdict::Ok, ""), check("lyon", Verdict::Fault, "set the clock")];
    let html = doctor::render(&Doctor { verdict: Verdict::Fault, checks }, "");
    assert!(html.find("set the clock").unwrap() < html.find("manager").unwrap());
}
