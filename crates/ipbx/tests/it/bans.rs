//! Who guesses at passwords is listed, and let off by who may.

use crate::phone::Phone;
use crate::world::{TestMachine, code};
use serde_json::{Value, json};

const SECRET: &str = "a-secret-of-2001-and-more";

async fn machine() -> TestMachine {
    let machine = TestMachine::claimed().await;
    machine.put("numbering-range/all", json!({ "first": "2000", "last": "2999", "use": "extensions" })).await;
    machine.put("feature-class/standard", json!({ "barred": [] })).await;
    let value = json!({ "name": "2001", "feature_class": "standard", "home": 0, "secret": SECRET });
    machine.put("subscriber/2001", value).await;
    machine
}

async fn tries(machine: &TestMachine, secret: &str) -> Option<u16> {
    let mut phone = Phone::new(machine.sip_port(), "2001", secret).await;
    let (answer, _) = phone.asks("REGISTER", "pleiad.test", "").await;
    answer.status().map(u16::from)
}

async fn bans(machine: &TestMachine) -> Value {
    machine.api.get("/api/v1/bans").await.unwrap()
}

#[tokio::test]
async fn threat_04_who_guesses_is_listed_and_let_off_by_an_operator() {
    let machine = machine().await;
    assert_eq!(bans(&machine).await, json!([]));
    for _ in 0..call::settings::WRONG_PASSWORDS_MAX {
        assert_eq!(tries(&machine, "a-wrong-guess-of-it").await, Some(403));
    }
    assert_eq!(tries(&machine, SECRET).await, Some(403), "the right password is not heard either");
    let held = bans(&machine).await;
    assert_eq!(held.as_array().map(Vec::len), Some(1), "{held}");
    assert_eq!(held[0]["source_ip"], "127.0.0.1");
    assert_eq!((&held[0]["user"], &held[0]["why"]), (&json!("2001"), &json!("wrong-passwords")));
    assert_eq!(held[0]["count"], call::settings::WRONG_PASSWORDS_MAX);

    let nobody = machine.api.delete::<Value>("/api/v1/bans/127.0.0.1?user=2999").await;
    assert_eq!(code(nobody), "not-found");
    let stranger = machine.api.clone().with_token("guess");
    assert_eq!(code(stranger.delete::<Value>("/api/v1/bans/127.0.0.1?user=2001").await), "not-logged-in");
    let lifted: Value = machine.api.delete("/api/v1/bans/127.0.0.1?user=2001").await.unwrap();
    assert_eq!(lifted, json!({ "source_ip": "127.0.0.1", "user": "2001" }));
    assert_eq!(bans(&machine).await, json!([]));
    assert_eq!(tries(&machine, SECRET).await, Some(200));
    machine.stop().await;
}
