//! Configuration: the whole way, the steps that fail, and the way back.

use crate::impostor::{Impostor, Told};
use crate::world::{World, code};
use manager::view::{LinkState, OperationOutcome, Progress};
use std::time::Duration;

fn told(dongle_id: &str) -> Told {
    Told { dongle_id: dongle_id.to_owned(), subscribers: 1, ..Told::default() }
}

#[tokio::test]
async fn dcs_18_to_21_a_cluster_server_gets_cluster_certificate_and_role_and_announces_itself() {
    let world = World::with_site().await;
    let machine = Impostor::start(told("AAAA-0001")).await;
    world.claimed_server("CS", &machine).await;
    world.client.identify("cs").await.unwrap();
    let done = world.client.configure("cs", false).await.unwrap();

    assert_eq!((done.machine.progress, done.machine.node_number), (Progress::Configured, Some(0)));
    let steps: Vec<&str> = done.steps.iter().map(|step| step.step.as_str()).collect();
    let expected = ["check", "number", "authority", "certificate", "role", "announcement"];
    assert_eq!(steps, expected.map(|step| format!("configure: {step}")));
    assert!(done.steps.iter().all(|step| step.outcome == OperationOutcome::Done));
    let role = machine.told().roles[0].clone();
    assert_eq!(
        (role["role"].as_str(), role["cluster"]["domain"].as_str()),
        (Some("cluster-server"), Some("pleiad.test"))
    );
    assert_eq!(role["cluster"]["id"].as_str(), done.machine.cluster.as_deref());
    assert_eq!(role["admin_password"].as_str(), done.admin_password.as_deref());
    assert!(done.admin_password.is_some() && role.get("node_number").is_none());
    assert!(role["certificate_pem"].as_str().unwrap().starts_with("-----BEGIN CERTIFICATE"));
    assert!(world.logged("announce").await.detail.starts_with("PBX_INFOS role: cluster-server"));
}

#[tokio::test]
async fn dep_28_to_36_a_node_gets_the_lowest_number_bound_to_its_dongle_and_the_address_of_its_server() {
    let (world, server) = World::with_cluster().await;
    let (key, node) = world.claimed_node("North", told("BBBB-1")).await;
    world.client.identify(&key).await.unwrap();
    let done = world.client.configure(&key, false).await.unwrap();

    assert_eq!((done.machine.progress, done.machine.node_number), (Progress::Configured, Some(1)));
    assert_eq!(server.told().objects["node/1"]["dongle_id"], "BBBB-1");
    let role = node.told().roles[0].clone();
    assert_eq!((role["role"].as_str(), role["node_number"].as_u64()), (Some("node"), Some(1)));
    assert_eq!(role["cs_address"], "127.0.0.1:7601");
    assert_eq!(role["authority_pem"], server.told().roles[0]["authority_pem"]);
    let written = server.told().heard.iter().position(|line| line == "PUT /api/v1/objects/node/1");
    assert!(written.is_some(), "the number is bound at the cluster server");

    let (key, _second) = world.claimed_node("South", told("CCCC-1")).await;
    world.client.identify(&key).await.unwrap();
    assert_eq!(world.client.configure(&key, false).await.unwrap().machine.node_number, Some(2));
}

#[tokio::test]
async fn dep_28_a_node_with_subscribers_is_refused_and_neither_it_nor_its_server_is_touched() {
    let (world, server) = World::with_cluster().await;
    let (key, node) = world.claimed_node("N", Told { subscribers: 3, ..told("BBBB-1") }).await;
    world.client.identify(&key).await.unwrap();
    assert_eq!(code(world.client.configure(&key, true).await), "subscribers-present");

    assert_eq!(world.client.machine(&key).await.unwrap().progress, Progress::Identified);
    assert!(node.told().roles.is_empty() && !node.acts().contains(&"POST /api/v1/csr".to_owned()));
    assert!(server.told().objects.is_empty());
    let entry = world.logged("configure: check").await;
    assert_eq!(entry.outcome, OperationOutcome::Refused);
    assert!(entry.next.contains("subscribers"), "{}", entry.next);
}

#[tokio::test]
async fn arc_24_the_231st_node_is_refused_and_touched_no_more() {
    let (world, server) = World::with_cluster().await;
    for number in 1..=230 {
        let record = serde_json::json!({"name": "n", "dongle_id": format!("FULL-{number}")});
        server.told().objects.insert(format!("node/{number}"), record);
    }
    let (key, node) = world.claimed_node("N", told("BBBB-1")).await;
    world.client.identify(&key).await.unwrap();
    let refused = world.client.configure(&key, false).await.unwrap_err();
    let refusal = refused.refusal().unwrap();
    assert_eq!(refusal.code, "cluster-full");
    assert_eq!(refusal.message, "number: the cluster has 230 nodes; a cluster server accepts no more");
    assert!(node.told().roles.is_empty());
    assert_eq!(server.told().objects.len(), 230);
    assert_eq!(world.client.machine(&key).await.unwrap().progress, Progress::Identified);
}

#[tokio::test]
async fn dcs_21_dep_34_calls_that_are_up_stop_a_configuration_unless_it_is_forced() {
    let world = World::with_site().await;
    let machine = Impostor::start(Told { calls: 2, ..told("AAAA-0001") }).await;
    world.claimed_server("CS", &machine).await;
    world.client.identify("cs").await.unwrap();
    assert_eq!(code(world.client.configure("cs", false).await), "calls-up");
    assert!(machine.told().roles.is_empty());
    assert_eq!(world.client.machine("cs").await.unwrap().progress, Progress::Identified);
    world.client.configure("cs", true).await.unwrap();
    assert_eq!(machine.told().roles.len(), 1);
}

#[tokio::test]
async fn a_step_that_fails_stops_the_run_and_the_next_run_goes_on_with_the_same_number() {
    let (world, server) = World::with_cluster().await;
    let (key, node) = world.claimed_node("N", Told { csr_failures: 1, ..told("BBBB-1") }).await;
    world.client.identify(&key).await.unwrap();
    world.client.configure(&key, false).await.unwrap_err();
    assert!(node.told().roles.is_empty(), "the role was not written");
    let halfway = world.client.machine(&key).await.unwrap();
    assert_eq!(
        (halfway.progress, halfway.node_number, halfway.generation),
        (Progress::Configuring, Some(1), 1)
    );
    assert_eq!(halfway.next, "configure it again: the last run did not end");

    let done = world.client.configure(&key, false).await.unwrap().machine;
    assert_eq!((done.progress, done.node_number, done.generation), (Progress::Configured, Some(1), 2));
    assert_eq!(server.told().objects.keys().collect::<Vec<_>>(), ["node/1"]);
}

#[tokio::test]
async fn a_second_configuration_at_the_same_time_is_refused() {
    let (world, _server) = World::with_cluster().await;
    let (key, _node) = world.claimed_node("N", told("BBBB-1")).await;
    world.client.identify(&key).await.unwrap();
    let (one, other) = tokio::join!(world.client.configure(&key, false), world.client.configure(&key, false));
    let refused = if one.is_err() { one } else { other };
    assert_eq!(code(refused), "busy");
    assert_eq!(world.client.machine(&key).await.unwrap().generation, 1);
}

#[tokio::test]
async fn a_deleted_node_loses_its_number_at_the_server_and_is_reset() {
    let (world, server) = World::with_cluster().await;
    let (key, node) = world.claimed_node("N", told("BBBB-1")).await;
    world.client.identify(&key).await.unwrap();
    world.client.configure(&key, false).await.unwrap();
    assert_eq!(code(world.client.delete_machine("cs").await), "has-nodes");
    world.client.delete_machine(&key).await.unwrap();
    assert!(server.told().objects.is_empty(), "the identity is refused from now on");
    let told = node.told().clone();
    assert_eq!((told.role.as_str(), told.owner), ("independent", None));
    assert_eq!(code(world.client.machine(&key).await), "not-found");
    assert!(!world.dir.path().join(format!("secrets/machine-{key}.json")).exists());
}

#[tokio::test]
async fn dep_45_dep_31_the_map_shows_machines_number_and_link() {
    let (world, _server) = World::with_cluster().await;
    let (key, _node) = world.claimed_node("N", told("BBBB-1")).await;
    world.client.identify(&key).await.unwrap();
    world.client.configure(&key, false).await.unwrap();
    let seen = async {
        loop {
            let map = world.client.map().await.unwrap();
            if map.links.iter().any(|link| link.state == LinkState::Up) {
                break map;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let map = tokio::time::timeout(Duration::from_secs(10), seen).await.expect("the link is never up");
    assert_eq!((map.machines.len(), map.links.len()), (2, 1));
    assert_eq!((map.links[0].node.as_str(), map.links[0].cs.as_str()), (key.as_str(), "cs"));
    let node = map.machines.iter().find(|machine| machine.id == key).unwrap();
    assert_eq!(node.node_number, Some(1));
    let doctor = world.client.doctor().await.unwrap();
    assert!(doctor.checks.iter().any(|check| check.subject == key && check.check == "link"));
}

#[tokio::test]
async fn objects_go_to_the_cluster_server_and_its_refusals_come_back() {
    let (world, server) = World::with_cluster().await;
    let cluster = world.client.machine("cs").await.unwrap().cluster.unwrap();
    let list = serde_json::json!({"prefixes": ["00"]});
    let written = world.client.put_object(&cluster, "barred-numbers", "abroad", &list).await.unwrap();
    assert_eq!(written.revision, 6);
    assert_eq!(server.told().objects["barred-numbers/abroad"], list);
    let wrong = serde_json::json!({"first": "x"});
    let refused = world.client.put_object("cs", "numbering-range", "x", &wrong).await.unwrap_err();
    assert_eq!(refused.refusal().unwrap().code, "invalid-object");
    assert_eq!(code(world.client.put_object("cs", "nonsense", "x", &wrong).await), "invalid-field");
    world.client.delete_object(&cluster, "barred-numbers", "abroad").await.unwrap();
    assert!(server.told().objects.is_empty());
    assert!(!world.logged("put barred-numbers").await.detail.contains("prefixes"), "values are not logged");
}
