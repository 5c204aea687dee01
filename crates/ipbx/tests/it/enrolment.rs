//! Identity, claim, role.

use crate::world::{Authority, TestMachine, Validity, code};
use serde_json::{Value, json};

#[tokio::test]
async fn dcs_15_an_unclaimed_machine_says_who_it_is_and_nothing_else() {
    let machine = TestMachine::unclaimed().await;
    let identity: Value = machine.api.get("/api/v1/identity").await.unwrap();
    assert_eq!(identity["release"], "R7.0");
    assert_eq!(identity["hardware_type"], "server");
    assert_eq!(identity["claimed"], false);
    assert_eq!(identity["role"], "independent");
    assert_eq!(code(machine.api.get::<Value>("/api/v1/state").await), "not-logged-in");
    machine.stop().await;
}

#[tokio::test]
async fn a_wrong_claim_code_is_refused_and_nothing_changed() {
    let machine = TestMachine::unclaimed().await;
    assert_eq!(code(machine.claim("AAAA-AAAA-AAAA-AAAA").await), "wrong-proof");
    let identity: Value = machine.api.get("/api/v1/identity").await.unwrap();
    assert_eq!(identity["claimed"], false);
    let right = machine.machine().claim_code().unwrap();
    assert!(machine.claim(&right).await.is_ok());
    assert_eq!(code(machine.claim(&right).await), "already-claimed");
    machine.stop().await;
}

#[tokio::test]
async fn a_guessed_token_opens_nothing() {
    let machine = TestMachine::claimed().await;
    let guess = machine.api.clone().with_token("guess");
    assert_eq!(code(guess.get::<Value>("/api/v1/state").await), "not-logged-in");
    assert_eq!(machine.state().await["state"], "independent");
    machine.stop().await;
}

#[tokio::test]
async fn a_body_that_is_no_json_or_has_a_foreign_field_is_refused_and_changes_nothing() {
    let machine = TestMachine::claimed().await;
    let (status, _) = machine
        .api
        .send(axum::http::Method::POST, "/api/v1/role", "{\"role\":".into())
        .await
        .map(|(status, body)| (status.as_u16(), body))
        .unwrap_or((400, Default::default()));
    assert_eq!(status, 400);
    let foreign = json!({ "role": "independent", "surprise": 1 });
    assert_eq!(code(machine.api.post::<_, Value>("/api/v1/role", &foreign).await), "malformed-json");
    assert_eq!(machine.state().await["role"], "independent");
    machine.stop().await;
}

#[tokio::test]
async fn dcs_21_a_machine_becomes_cluster_server_with_its_general_purpose_subscriber_only() {
    let machine = TestMachine::claimed().await;
    machine.lead(&Authority::make()).await;
    let state = machine.state().await;
    assert_eq!(
        (state["role"].as_str(), state["state"].as_str()),
        (Some("cluster-server"), Some("in-service"))
    );
    assert_eq!(state["general_purpose_only"], true);
    assert_eq!(state["cluster"]["id"], crate::world::CLUSTER);
    machine.stop().await;
}

#[tokio::test]
async fn a_role_with_the_certificate_of_another_member_is_refused_and_the_old_role_stays() {
    let machine = TestMachine::claimed().await;
    let authority = Authority::make();
    let csr: Value = machine.api.post("/api/v1/csr", &json!({ "common_name": "n3.c-test" })).await.unwrap();
    let role = json!({
        "role": "cluster-server",
        "cluster": { "id": "c-test", "name": "x", "domain": "pleiad.test", "site_number": 1 },
        "certificate_pem": authority.sign(csr["csr_pem"].as_str().unwrap(), Validity::Usual),
        "authority_pem": "x",
    });
    assert_eq!(code(machine.api.post::<_, Value>("/api/v1/role", &role).await), "bad-certificate");
    assert_eq!(machine.state().await["role"], "independent");
    machine.stop().await;
}

#[tokio::test]
async fn a_port_in_use_is_said_plainly_with_the_setting_to_change() {
    let machine = TestMachine::unclaimed().await;
    let dir = tempfile::tempdir().unwrap();
    let config = ipbx::Config { sip_port: machine.sip_port(), ..crate::world::config(&dir) };
    let fault = match ipbx::Machine::start(config).await {
        Err(fault) => fault.to_string(),
        Ok(_) => panic!("two machines on one port"),
    };
    assert!(fault.contains("already in use") && fault.contains("'sip_port'"), "{fault}");
    machine.stop().await;
}
