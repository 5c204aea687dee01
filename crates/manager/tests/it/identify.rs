//! Identification and its refusals; after each the machine is what it was.

use crate::impostor::{Impostor, Told};
use crate::world::{World, code};
use manager::view::Progress;

async fn refused_server(told: Told) -> (World, String) {
    let world = World::with_site().await;
    let machine = Impostor::start(told).await;
    world.claimed_server("CS", &machine).await;
    let refusal = code(world.client.identify("cs").await);
    let view = world.client.machine("cs").await.unwrap();
    assert_eq!((view.progress, view.release, view.dongle_id), (Progress::Claimed, None, None), "unchanged");
    assert_eq!(machine.acts().last().map(String::as_str), Some("GET /api/v1/identity"), "only looked at");
    assert_eq!(code(world.client.configure("cs", true).await), "too-early");
    assert!(machine.told().roles.is_empty());
    (world, refusal)
}

#[tokio::test]
async fn dcs_14_dcs_15_identification_shows_release_and_hardware_type() {
    let world = World::with_site().await;
    let machine = Impostor::named("AAAA-0001").await;
    world.claimed_server("CS", &machine).await;
    let found = world.client.identify("cs").await.unwrap();
    assert_eq!(found.machine.progress, Progress::Identified);
    assert_eq!(found.machine.release.as_deref(), Some("R7.0"));
    assert_eq!(found.machine.hardware_type.as_deref(), Some("server"));
    assert_eq!(found.machine.dongle_id.as_deref(), Some("AAAA-0001"));
    assert!(found.warnings.is_empty());
}

#[tokio::test]
async fn dcs_16_a_release_below_r6_1_is_refused_with_the_reason_and_nothing_changes() {
    let (world, refusal) = refused_server(Told { release: "R5.4", ..Told::default() }).await;
    assert_eq!(refusal, "release-too-low");
    let entry = world.logged("identify").await;
    assert_eq!((entry.outcome.name(), entry.place.as_str(), entry.who.as_str()), ("refused", "cs", "admin"));
    assert_eq!(entry.detail, "release R5.4 is below R6.1, the lowest that is supported");
    assert!(entry.next.contains("upgrade"));
}

#[tokio::test]
async fn dcs_17_a_gateway_is_refused_as_cluster_server_and_nothing_changes() {
    let (_, refusal) = refused_server(Told { hardware_type: "gateway", ..Told::default() }).await;
    assert_eq!(refusal, "wrong-hardware-type");
}

#[tokio::test]
async fn pre_14_a_clock_minutes_off_is_refused_and_seconds_off_are_a_warning() {
    let (_, refusal) = refused_server(Told { clock_ahead_ms: 120_000, ..Told::default() }).await;
    assert_eq!(refusal, "clock-off");
    let world = World::with_site().await;
    let machine = Impostor::start(Told { clock_ahead_ms: 30_000, ..Told::default() }).await;
    world.claimed_server("CS", &machine).await;
    let found = world.client.identify("cs").await.unwrap();
    assert!(found.warnings[0].contains("clocks are"), "{:?}", found.warnings);
    assert!(found.machine.clock_offset_ms.unwrap() > 20_000);
}

#[tokio::test]
async fn dep_27_a_node_is_not_even_asked_before_its_cluster_server_is_identified() {
    let world = World::with_site().await;
    let server = Impostor::named("AAAA-0001").await;
    world.claimed_server("CS", &server).await;
    let (key, node) =
        world.claimed_node("N", Told { dongle_id: "BBBB-1".to_owned(), ..Told::default() }).await;
    let asked = node.acts().len();
    assert_eq!(code(world.client.identify(&key).await), "cluster-server-first");
    assert_eq!(node.acts().len(), asked);
    assert_eq!(world.client.machine(&key).await.unwrap().progress, Progress::Claimed);
    world.client.identify("cs").await.unwrap();
    assert_eq!(world.client.identify(&key).await.unwrap().machine.progress, Progress::Identified);
}

#[tokio::test]
async fn dep_25_dep_26_a_gateway_may_be_a_node_but_not_below_r6_1() {
    let (world, _server) = World::with_cluster().await;
    let gateway =
        Told { hardware_type: "gateway", dongle_id: "BBBB-1".to_owned(), release: "R6.1", ..Told::default() };
    let (key, _node) = world.claimed_node("N", gateway.clone()).await;
    let found = world.client.identify(&key).await.unwrap().machine;
    assert_eq!(found.hardware_type.as_deref(), Some("gateway"));
    let old = Told { release: "R6.0", dongle_id: "CCCC-1".to_owned(), ..gateway };
    let (key, _node) = world.claimed_node("M", old).await;
    assert_eq!(code(world.client.identify(&key).await), "release-too-low");
    assert_eq!(world.client.machine(&key).await.unwrap().progress, Progress::Claimed);
}

#[tokio::test]
async fn dep_29_an_identity_that_is_in_use_is_refused_and_its_holder_named() {
    let (world, _server) = World::with_cluster().await;
    let (key, _node) =
        world.claimed_node("Twin", Told { dongle_id: "AAAA-0001".to_owned(), ..Told::default() }).await;
    let refused = world.client.identify(&key).await.unwrap_err();
    assert!(refused.to_string().contains("already in use by 'cs'"), "{refused}");
    assert_eq!(world.client.machine(&key).await.unwrap().progress, Progress::Claimed);
}
