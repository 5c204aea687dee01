//! What a thief of the disk finds.

use crate::world::TestMachine;
use serde_json::json;
use std::path::Path;

/// Every file below a folder, with its bytes.
fn files(folder: &Path, found: &mut Vec<(String, Vec<u8>)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if let Ok(bytes) = std::fs::read(&path) {
            found.push((path.display().to_string(), bytes));
        }
    }
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|piece| piece == text.as_bytes())
}

#[tokio::test]
async fn threat_07_no_password_of_a_phone_lies_on_the_disk() {
    let machine = TestMachine::claimed().await;
    let planted = "planted-Secret-7391-of-2001";
    let body = json!({ "name": "Ada", "feature_class": "default", "home": 0, "secret": planted });
    machine.put("subscriber/2001", body).await;
    let generated = json!({ "name": "Bob", "feature_class": "default", "home": 0 });
    let generated = machine.put("subscriber/2002", generated).await["secret"].as_str().unwrap().to_owned();
    let exported: String =
        machine.api.get::<serde_json::Value>("/api/v1/objects/subscriber").await.unwrap().to_string();
    let mut found = Vec::new();
    files(machine.dir.path(), &mut found);
    assert!(found.iter().any(|(_, bytes)| holds(bytes, "Ada")), "the subscriber is on the disk");
    for secret in [planted, &generated] {
        assert!(!exported.contains(secret));
        for (file, bytes) in &found {
            assert!(!holds(bytes, secret), "{file} has a password in it");
        }
    }
    machine.stop().await;
}
