//! Who gets in, what a viewer may not, and what a restart keeps.

use crate::impostor::Impostor;
use crate::world::{World, code, config, login};
use manager::client::Client;
use manager::view::{Progress, RegionRequest};
use manager::{Manager, StartError};
use std::os::unix::fs::PermissionsExt as _;
use web::account::Role;
use web::{ApiError, Principal};

fn region(name: &str) -> RegionRequest {
    RegionRequest { name: name.to_owned(), ..RegionRequest::default() }
}

#[tokio::test]
async fn without_a_token_only_the_managers_name_is_told() {
    let world = World::empty().await;
    let stranger = Client::new(&world.manager.address().to_string(), world.manager.fingerprint()).unwrap();
    assert_eq!(stranger.manager().await.unwrap().name, "manager");
    let refused = stranger.create_region(&region("France")).await.unwrap_err();
    assert_eq!(refused.refusal().unwrap().code, "not-logged-in");
    assert!(stranger.machines().await.is_err() && stranger.doctor().await.is_err());
    assert!(world.client.regions().await.unwrap().is_empty(), "nothing was changed");
    let announcement = serde_json::json!({
        "dongle_id": "X", "release": "R7.0", "role": "node", "node_number": 1, "event": "start",
    });
    let forged = stranger.wire().post::<_, ()>("/api/v1/announce", &announcement).await.unwrap_err();
    assert_eq!(forged.refusal().unwrap().status, 401);
}

#[tokio::test]
async fn the_first_login_is_random_in_a_private_file_and_must_be_changed() {
    let world = World::empty().await;
    let file = world.dir.path().join("manager.txt");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), format!("admin {}\n", world.password));
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let mut client = Client::new(&world.manager.address().to_string(), world.manager.fingerprint()).unwrap();
    assert!(client.login("admin", &world.password).await.unwrap().must_change);
    client.change_password(&world.password, "a better password").await.unwrap();
    assert!(client.login("admin", &world.password).await.is_err());
    assert!(!client.login("admin", "a better password").await.unwrap().must_change);
}

#[tokio::test]
async fn a_viewer_looks_and_changes_nothing() {
    let world = World::empty().await;
    let viewer = Principal { user: "guest".to_owned(), role: Role::Viewer, must_change: false, csrf: None };
    let service = world.manager.service();
    let refused = ApiError::from(service.create_region(&viewer, &region("France")).await.unwrap_err());
    assert_eq!((refused.status.as_u16(), refused.code.as_ref()), (403, "read-only-account"));
    for refused in [
        service.claim(&viewer, "x", "y").await.map(|_| ()),
        service.identify(&viewer, "x").await.map(|_| ()),
        service.configure(&viewer, "x", true).await.map(|_| ()),
        service.delete_machine(&viewer, "x").await,
    ] {
        assert_eq!(ApiError::from(refused.unwrap_err()).code, "read-only-account");
    }
    assert!(service.regions().is_empty());
}

#[tokio::test]
async fn an_administrator_makes_a_viewer_who_looks_and_changes_nothing_by_the_api() {
    let world = World::empty().await;
    let made = world.client.set_operator("guest", Role::Viewer).await.unwrap();
    let mut guest = Client::new(&world.manager.address().to_string(), world.manager.fingerprint()).unwrap();
    guest.login("guest", &made.password).await.unwrap();
    assert!(guest.machines().await.unwrap().is_empty());
    let refused = guest.create_region(&region("France")).await.unwrap_err();
    assert_eq!(refused.refusal().unwrap().code, "read-only-account");
    assert!(
        guest.operators().await.is_err() && guest.set_operator("guest", Role::Administrator).await.is_err()
    );
    assert!(world.client.regions().await.unwrap().is_empty());
    world.client.delete_operator("guest").await.unwrap();
    assert!(guest.machines().await.is_err(), "its session has ended");
    assert!(guest.login("guest", &made.password).await.is_err());
}

#[tokio::test]
async fn the_last_administrator_can_neither_go_nor_become_a_viewer() {
    let world = World::empty().await;
    assert_eq!(code(world.client.delete_operator("admin").await), "last-administrator");
    assert_eq!(code(world.client.set_operator("admin", Role::Viewer).await), "last-administrator");
    assert_eq!(world.client.operators().await.unwrap()[0].role, Role::Administrator);
}

#[tokio::test]
async fn a_body_that_is_no_request_is_refused_and_changes_nothing() {
    let world = World::empty().await;
    for body in [serde_json::json!([]), serde_json::json!({"nam": "x"}), serde_json::json!({"name": 7})] {
        let fault =
            world.client.wire().post::<_, serde_json::Value>("/api/v1/regions", &body).await.unwrap_err();
        let refusal = fault.refusal().unwrap();
        assert!(refusal.status.is_client_error() && refusal.code == "malformed-json", "{refusal:?}");
    }
    assert!(world.client.regions().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_restart_keeps_topology_claims_log_and_certificate_and_makes_no_second_login() {
    let (world, _server) = World::with_cluster().await;
    let before = world.client.machine("cs").await.unwrap();
    let fingerprint = world.manager.fingerprint();
    world.manager.stop().await;
    let manager = Manager::start(&config(world.dir.path())).await.unwrap();
    assert!(manager.first_login().is_none());
    assert_eq!(manager.fingerprint(), fingerprint);
    let client = login(&manager, &world.password).await;
    let after = client.machine("cs").await.unwrap();
    assert_eq!((after.progress, &after.cluster), (Progress::Configured, &before.cluster));
    assert_eq!(client.identify("cs").await.unwrap().machine.progress, Progress::Configured);
    assert!(client.operations(100).await.unwrap().iter().any(|entry| entry.what == "configure: role"));
}

#[tokio::test]
async fn a_port_in_use_is_said_plainly_with_what_to_do() {
    let world = World::empty().await;
    let dir = tempfile::tempdir().unwrap();
    let mut second = config(dir.path());
    second.bind = world.manager.address();
    let fault = Manager::start(&second).await.unwrap_err();
    assert!(matches!(fault, StartError::Listen(_)));
    let text = fault.to_string();
    assert!(text.contains(&world.manager.address().to_string()) && text.contains("in use"), "{text}");
    assert!(text.contains("bind"), "{text}");
}

#[tokio::test]
async fn tokens_are_nowhere_but_in_the_private_folder() {
    let world = World::with_site().await;
    let machine = Impostor::named("AAAA-0001").await;
    world.claimed_server("CS", &machine).await;
    let log = serde_json::to_string(&world.client.operations(100).await.unwrap()).unwrap();
    let view = serde_json::to_string(&world.client.machines().await.unwrap()).unwrap();
    assert!(!log.contains("token-of-") && !view.contains("token-of-"));
    let database = std::fs::read(world.dir.path().join("config.db")).unwrap();
    assert!(!database.windows(9).any(|window| window == b"token-of-"));
    let secrets = std::fs::metadata(world.dir.path().join("secrets")).unwrap();
    assert_eq!(secrets.permissions().mode() & 0o777, 0o700);
}
