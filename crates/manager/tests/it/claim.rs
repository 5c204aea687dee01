//! Claiming a machine: who may, and what a wrong code or a man in the middle gets.

use crate::impostor::{CODE, Impostor, Told};
use crate::world::{World, code};
use manager::view::{MachineCreate, MachineEdit, Progress};

#[tokio::test]
async fn the_code_claims_a_machine_and_pins_its_certificate() {
    let world = World::with_site().await;
    let machine = Impostor::named("AAAA-0001").await;
    let view = world.claimed_server("CS", &machine).await;
    assert_eq!(view.progress, Progress::Claimed);
    assert_eq!(view.fingerprint.unwrap().len(), 95);
    let owner = machine.told().owner.clone().unwrap();
    assert_eq!(
        owner["manager"]["announce_url"],
        format!("https://{}/api/v1/announce", world.manager.address())
    );
    assert_eq!(
        world.client.claim("cs", CODE).await.unwrap().steps[0].detail,
        "already claimed by this manager"
    );
}

#[tokio::test]
async fn a_wrong_code_is_refused_and_both_sides_stay_as_they_were() {
    let world = World::with_site().await;
    let machine = Impostor::named("AAAA-0001").await;
    world.add(MachineCreate::cluster_server("CS", &machine.address, "paris")).await.unwrap();
    assert_eq!(code(world.client.claim("cs", "WRONG").await), "wrong-proof");
    assert!(machine.told().owner.is_none());
    assert_eq!(world.client.machine("cs").await.unwrap().progress, Progress::Created);
}

#[tokio::test]
async fn a_machine_that_does_not_know_the_code_is_not_believed() {
    let world = World::with_site().await;
    let machine = Impostor::start(Told { knows_code: "guess", ..Told::default() }).await;
    world.add(MachineCreate::cluster_server("CS", &machine.address, "paris")).await.unwrap();
    assert_eq!(code(world.client.claim("cs", CODE).await), "no-proof");
    assert_eq!(world.client.machine("cs").await.unwrap().progress, Progress::Created);
    assert_eq!(code(world.client.identify("cs").await), "too-early");
}

#[tokio::test]
async fn a_machine_of_another_manager_is_refused_without_trying_the_code() {
    let world = World::with_site().await;
    let other = serde_json::json!({"token": "x"});
    let machine = Impostor::start(Told { owner: Some(other), ..Told::default() }).await;
    world.add(MachineCreate::cluster_server("CS", &machine.address, "paris")).await.unwrap();
    assert_eq!(code(world.client.claim("cs", CODE).await), "claimed-elsewhere");
    assert_eq!(machine.acts(), ["GET /api/v1/identity"]);
}

#[tokio::test]
async fn another_certificate_at_the_address_is_refused_and_gets_no_token() {
    let world = World::with_site().await;
    let machine = Impostor::named("AAAA-0001").await;
    world.claimed_server("CS", &machine).await;
    let stranger = Impostor::named("AAAA-0001").await;
    let edit = MachineEdit { address: Some(stranger.address.clone()), ..MachineEdit::default() };
    world.client.edit_machine("cs", &edit).await.unwrap();
    assert_eq!(code(world.client.identify("cs").await), "wrong-certificate");
    assert!(stranger.told().heard.is_empty());
    assert_eq!(world.client.machine("cs").await.unwrap().progress, Progress::Claimed);
}

#[tokio::test]
async fn nobody_at_the_address_is_said_with_what_to_do() {
    let world = World::with_site().await;
    world.add(MachineCreate::cluster_server("CS", "127.0.0.1:9", "paris")).await.unwrap();
    assert_eq!(code(world.client.claim("cs", CODE).await), "unreachable");
    let entry = world.logged("claim").await;
    assert_eq!(entry.outcome.name(), "failed");
    assert!(entry.next.contains("running"), "{}", entry.next);
}
