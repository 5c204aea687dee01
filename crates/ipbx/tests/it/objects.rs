//! The configuration through the API.

use crate::world::{TestMachine, code};
use serde_json::{Value, json};

#[tokio::test]
async fn a_subscriber_gets_a_generated_secret_once_and_shows_no_credentials() {
    let machine = TestMachine::claimed().await;
    let body = json!({ "name": "Ada", "feature_class": "default", "home": 0 });
    let written = machine.put("subscriber/2001", body.clone()).await;
    assert!(written["secret"].as_str().unwrap().len() >= 16);
    let shown: Value = machine.api.get("/api/v1/objects/subscriber/2001").await.unwrap();
    assert_eq!(shown["value"]["has_credentials"], true);
    assert!(!shown.to_string().contains("ha1"));
    // Written again without a secret, it keeps the one it has.
    let again = machine.put("subscriber/2001", body).await;
    assert!(again.get("secret").is_none());
    assert!(again["revision"].as_u64() > written["revision"].as_u64());
    assert_eq!(machine.state().await["general_purpose_only"], false);
    machine.stop().await;
}

#[tokio::test]
async fn a_weak_secret_is_refused_and_no_subscriber_made() {
    let machine = TestMachine::claimed().await;
    let body = json!({ "feature_class": "default", "home": 0, "secret": "1234" });
    let outcome = machine.api.put::<_, Value>("/api/v1/objects/subscriber/2001", &body).await;
    assert_eq!(code(outcome), "weak-secret");
    assert_eq!(code(machine.api.get::<Value>("/api/v1/objects/subscriber/2001").await), "not-found");
    machine.stop().await;
}

#[tokio::test]
async fn an_object_that_cannot_be_is_refused_by_field_and_nothing_changes() {
    let machine = TestMachine::claimed().await;
    let before = machine.state().await["position"].clone();
    let body = json!({ "first": "2000", "last": "19", "use": "extensions" });
    let outcome = machine.api.put::<_, Value>("/api/v1/objects/numbering-range/x", &body).await;
    assert_eq!(code(outcome), "invalid-object");
    let nonsense = machine.api.put::<_, Value>("/api/v1/objects/region/x", &json!({})).await;
    assert_eq!(code(nonsense), "not-found");
    assert_eq!(machine.state().await["position"], before);
    machine.stop().await;
}

#[tokio::test]
async fn dep_21_the_general_purpose_subscriber_cannot_be_deleted() {
    let machine = TestMachine::claimed().await;
    let outcome = machine.api.delete::<Value>("/api/v1/objects/subscriber/0000").await;
    assert_eq!(code(outcome), "needed");
    assert_eq!(machine.state().await["subscribers"], 1);
    machine.stop().await;
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_restart() {
    let mut machine = TestMachine::claimed().await;
    machine.put("barred-numbers/abroad", json!({ "prefixes": ["00"] })).await;
    machine.restart().await;
    let shown: Value = machine.api.get("/api/v1/objects/barred-numbers/abroad").await.unwrap();
    assert_eq!(shown["value"]["prefixes"], json!(["00"]));
    machine.stop().await;
}

#[tokio::test]
async fn a_call_is_explained_and_metrics_are_told() {
    let machine = TestMachine::claimed().await;
    let explained: Value = machine.api.get("/api/v1/explain?from=0000&to=7777").await.unwrap();
    assert!(!explained["steps"].as_array().unwrap().is_empty());
    let metrics = machine.api.get_bytes("/metrics").await.unwrap();
    assert!(String::from_utf8_lossy(&metrics).contains("pleiad_calls 0"));
    machine.stop().await;
}

#[tokio::test]
async fn a_subscriber_of_an_unknown_class_or_home_is_refused_with_what_there_is() {
    let machine = TestMachine::claimed().await;
    for (class, home, field) in [("nope", 0, "feature_class"), ("default", 9, "home")] {
        let body = json!({ "feature_class": class, "home": home });
        let outcome = machine.api.put::<_, Value>("/api/v1/objects/subscriber/2001", &body).await;
        let text = format!("{outcome:?}");
        assert_eq!(code(outcome), "unknown-reference");
        assert!(text.contains(field) && text.contains("there are:"), "{text}");
    }
    assert_eq!(machine.state().await["subscribers"], 1);
    machine.stop().await;
}

#[tokio::test]
async fn a_class_or_list_that_is_named_cannot_be_deleted() {
    let machine = TestMachine::claimed().await;
    let unknown =
        machine.api.put::<_, Value>("/api/v1/objects/feature-class/x", &json!({ "barred": ["no"] })).await;
    assert_eq!(code(unknown), "unknown-reference");
    machine.put("barred-numbers/abroad", json!({ "prefixes": ["00"] })).await;
    machine.put("feature-class/x", json!({ "barred": ["abroad"] })).await;
    assert_eq!(code(machine.api.delete::<Value>("/api/v1/objects/barred-numbers/abroad").await), "in-use");
    assert_eq!(code(machine.api.delete::<Value>("/api/v1/objects/feature-class/default").await), "in-use");
    let _freed: Value = machine.api.delete("/api/v1/objects/feature-class/x").await.unwrap();
    let _gone: Value = machine.api.delete("/api/v1/objects/barred-numbers/abroad").await.unwrap();
    machine.stop().await;
}
