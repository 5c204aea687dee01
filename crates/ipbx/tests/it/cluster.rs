//! A cluster server and a node: the link, common data, ownership.

use crate::world::{Authority, TestMachine, Validity, code};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

pub(crate) async fn pair() -> (Authority, TestMachine, TestMachine) {
    let authority = Authority::make();
    let centre = TestMachine::claimed().await;
    centre.lead(&authority).await;
    let node = TestMachine::claimed().await;
    node.join(&authority, &centre, 1).await;
    node.until("the node is connected", |state| state["state"] == "connected").await;
    (authority, centre, node)
}

#[tokio::test]
async fn arc_06_a_node_gets_the_whole_configuration_over_its_one_link() {
    let (_authority, centre, node) = pair().await;
    centre.put("barred-numbers/abroad", json!({ "prefixes": ["00"] })).await;
    centre.put("subscriber/2101", json!({ "feature_class": "default", "home": 1 })).await;
    let target = centre.state().await["position"]["revision"].clone();
    let state = node.until("the node keeps it", |state| state["uplink"]["durable_revision"] == target).await;
    // 2101 and, aligned with the cluster server's, the general-purpose subscriber (DEP-41).
    assert_eq!(state["subscribers"], 2);
    let barred: Value = node.api.get("/api/v1/objects/barred-numbers/abroad").await.unwrap();
    assert_eq!(barred["value"]["prefixes"], json!(["00"]));
    let centre_state =
        centre.until("both are proven equal", |state| state["nodes"][0]["digest_equal"] == true).await;
    assert_eq!(centre_state["nodes"][0]["state"], "connected");
    node.stop().await;
    centre.stop().await;
}

#[tokio::test]
async fn syn_01_a_change_is_in_force_on_the_node_within_50_ms_of_its_200() {
    let (_authority, centre, node) = pair().await;
    let mut worst = Duration::ZERO;
    for round in 0..20 {
        let path = format!("barred-numbers/list-{round}");
        centre.put(&path, json!({ "prefixes": ["0"] })).await;
        let acknowledged = Instant::now();
        let key = format!("list-{round}");
        loop {
            let wanted = key.clone();
            let running = node.machine().running().unwrap();
            let known =
                running.engine.ask(move |engine| engine.lane().shard().tables().barred(&wanted).is_some());
            if known.await.unwrap() {
                break;
            }
            assert!(acknowledged.elapsed() < Duration::from_secs(2), "{key} never came");
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
        worst = worst.max(acknowledged.elapsed());
    }
    assert!(worst < Duration::from_millis(50), "the slowest change took {worst:?}");
    node.stop().await;
    centre.stop().await;
}

#[tokio::test]
async fn syn_14_a_node_refuses_to_write_what_its_cluster_server_owns_and_names_it() {
    let (_authority, centre, node) = pair().await;
    let before = node.state().await["position"].clone();
    let outcome =
        node.api.put::<_, Value>("/api/v1/objects/barred-numbers/x", &json!({ "prefixes": [] })).await;
    let text = format!("{outcome:?}");
    assert_eq!(code(outcome), "not-owner");
    let link = centre.machine().running().unwrap().link_address.unwrap();
    assert!(text.contains(&link.to_string()), "{text}");
    assert_eq!(node.state().await["position"], before);
    node.stop().await;
    centre.stop().await;
}

#[tokio::test]
async fn a_node_whose_cluster_server_restarts_is_isolated_then_connected_without_restart() {
    let (_authority, mut centre, node) = pair().await;
    centre.put("feature-class/free", json!({ "description": "x" })).await;
    let started = node.state().await["uptime_ms"].as_u64().unwrap();
    centre.restart().await;
    centre.put("feature-class/after", json!({ "description": "y" })).await;
    let target = centre.state().await["position"].clone();
    let state = node.until("caught up", |state| state["position"] == target).await;
    assert_eq!(state["state"], "connected");
    assert!(state["uptime_ms"].as_u64().unwrap() >= started);
    node.stop().await;
    centre.stop().await;
}

#[tokio::test]
async fn dep_29_a_machine_with_another_dongle_is_not_taken_as_that_node() {
    let (authority, centre, node) = pair().await;
    centre.put("node/1", json!({ "name": "other", "dongle_id": "PLD-0000" })).await;
    node.until("the node is out", |state| state["state"] == "isolated").await;
    let fault = node.until("the reason is shown", |state| !state["uplink"]["fault"].is_null()).await;
    assert!(fault["uplink"]["fault"].as_str().unwrap().contains("dongle"), "{fault:#}");
    drop(authority);
    node.stop().await;
    centre.stop().await;
}

async fn fault_of(node: &TestMachine) -> String {
    let state = node.until("a reason is shown", |state| !state["uplink"]["fault"].is_null()).await;
    assert_eq!(state["state"], "isolated");
    state["uplink"]["fault"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_certificate_that_is_not_valid_now_is_named_as_a_clock_fault() {
    let authority = Authority::make();
    let centre = TestMachine::claimed().await;
    centre.lead_with(&authority, Validity::Over).await;
    let node = TestMachine::claimed().await;
    node.join(&authority, &centre, 1).await;
    assert!(fault_of(&node).await.starts_with("clock fault"));
    node.stop().await;
    centre.stop().await;
}

#[tokio::test]
async fn a_machine_of_another_authority_gets_no_link_though_all_names_are_right() {
    let centre = TestMachine::claimed().await;
    centre.lead(&Authority::make()).await;
    let stranger = TestMachine::claimed().await;
    stranger.join(&Authority::make(), &centre, 1).await;
    let fault = fault_of(&stranger).await;
    assert!(fault.contains("not of this cluster's authority"), "{fault}");
    assert_eq!(centre.state().await["nodes"][0]["state"], "isolated");
    assert_eq!(stranger.state().await["subscribers"], 0);
    stranger.stop().await;
    centre.stop().await;
}
