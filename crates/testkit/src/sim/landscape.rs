//! The configuration of every simulated life: that of the demo, and the commits an administrator makes in it.

use super::chance::Chance;
use super::host::{CLUSTER, dongle};
use super::people::{PHONES, secret};
use model::{Change, Kind, Record};
use serde_json::json;
use sip::digest::Secrets;

/// The SIP domain.
pub(super) const DOMAIN: &str = "pleiad.test";

/// What the cluster server holds at the beginning, at revision 1.
pub(super) fn records() -> Vec<Record> {
    let record = |kind: Kind, key: &str, value: serde_json::Value| Record {
        kind,
        key: key.to_owned(),
        revision: 1,
        value: value.to_string().into_bytes(),
    };
    let cluster = json!({"id": CLUSTER, "name": "sim", "domain": DOMAIN, "site_number": 1});
    let mut all = vec![
        record(Kind::Cluster, "cluster", cluster),
        record(Kind::NumberingRange, "all", json!({"first": "2000", "last": "2999", "use": "extensions"})),
        record(Kind::FeatureClass, "staff", json!({"description": "", "barred": ["abroad"]})),
        record(Kind::BarredNumbers, "abroad", json!({"prefixes": ["00"]})),
        record(
            Kind::SpecialNumber,
            "112",
            json!({"emergency": true, "target": "2001", "local_targets": {"1": "2101", "2": "2201"}}),
        ),
    ];
    for number in [1, 2] {
        let node = json!({"name": format!("node {number}"), "dongle_id": dongle(number)});
        all.push(record(Kind::Node, &number.to_string(), node));
    }
    for (extension, home) in PHONES {
        all.push(record(Kind::Subscriber, extension, subscriber(extension, home, "first")));
    }
    all
}

/// One commit of an administrator who never breaks the landscape.
pub(super) fn commit(revision: u64, chance: &mut Chance) -> Vec<Change> {
    let put = |kind, key: String, value: serde_json::Value| {
        Change::Put(Record { kind, key, revision, value: value.to_string().into_bytes() })
    };
    let (extension, home) = chance.one_of(&PHONES).copied().unwrap_or(("2001", 0));
    let spare = format!("25{:02}", chance.below(8));
    match chance.below(5) {
        0 => vec![put(
            Kind::Subscriber,
            extension.to_owned(),
            subscriber(extension, home, &revision.to_string()),
        )],
        1 => {
            let home = u16::try_from(chance.below(3)).unwrap_or(0);
            vec![put(Kind::Subscriber, spare.clone(), subscriber(&spare, home, "spare"))]
        }
        2 => vec![Change::Delete { kind: Kind::Subscriber, key: spare, revision }],
        3 => vec![put(Kind::BarredNumbers, "abroad".to_owned(), json!({"prefixes": ["00", "09"]}))],
        _ => (0..chance.below(20))
            .map(|index| {
                let text = "x".repeat(usize::try_from(chance.below(2_000)).unwrap_or(0));
                put(Kind::FeatureClass, format!("class-{index}"), json!({"description": text}))
            })
            .collect(),
    }
}

fn subscriber(extension: &str, home: u16, name: &str) -> serde_json::Value {
    let Secrets { sha256, md5 } = Secrets::of(extension, CLUSTER, &secret(extension));
    json!({
        "name": name, "feature_class": "staff", "home": home,
        "credentials": {"ha1_md5": md5, "ha1_sha256": sha256}
    })
}
