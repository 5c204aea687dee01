//! A machine of its own with subscribers, written as its own service would.

use crate::{FIRST, password};
use anyhow::{Context, Result};
use ipbx::{Config, Machine};
use model::Kind;
use serde_json::{Value, json};
use sip::digest::{Algorithm, ha1};
use std::path::Path;
use std::time::Duration;
use store::Commit;

/// Subscribers of one commit.
const COMMIT: usize = 90;

/// Makes the folder, its first account and `count` subscribers.
pub(crate) fn furnish(dir: &Path, count: usize) -> Result<Value> {
    let runtime = tokio::runtime::Runtime::new().context("no runtime")?;
    runtime.block_on(async {
        let ports = Config {
            sip_port: 0,
            sip_tls_port: 0,
            web_port: 0,
            link_port: 0,
            ..Config::with_dir(dir.to_owned())
        };
        let started = Machine::start(ports).await?;
        let machine = started.machine.clone();
        let running = machine.running().context("it does not run")?;
        let realm = running.role.cluster().id.clone();
        let text = |value: Value| value.to_string().into_bytes();
        let range = json!({ "first": "100000", "last": "999999", "use": "extensions" });
        let first = Commit::new().put(Kind::NumberingRange, "load", text(range)).put(
            Kind::FeatureClass,
            "load",
            text(json!({ "barred": [] })),
        );
        machine.store().commit(first)?;
        let numbers: Vec<usize> = (FIRST..FIRST + count).collect();
        for some in numbers.chunks(COMMIT) {
            let mut commit = Commit::new();
            for number in some {
                let (user, secret) = (number.to_string(), password(*number));
                let of = |algorithm| ha1(algorithm, &user, realm.as_str(), &secret);
                let credentials =
                    json!({ "ha1_md5": of(Algorithm::Md5), "ha1_sha256": of(Algorithm::Sha256) });
                let value =
                    json!({ "name": "", "feature_class": "load", "home": 0, "credentials": credentials });
                commit = commit.put(Kind::Subscriber, user, text(value));
            }
            machine.store().commit(commit)?;
        }
        started.stop(Duration::ZERO).await;
        Ok(json!({ "furnished": count, "realm": realm }))
    })
}
