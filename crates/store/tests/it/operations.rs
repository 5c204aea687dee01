//! The operations log: appended, settled once, read by pages.

use crate::fresh;
use store::{OperationEntry, OperationQuery, Outcome};

fn step(what: &str, target: &str, outcome: Outcome) -> OperationEntry {
    OperationEntry {
        id: 0,
        at_ms: 1_000,
        who: "admin".into(),
        what: what.into(),
        target: target.into(),
        outcome,
        duration_ms: 0,
        next: String::new(),
        detail: String::new(),
    }
}

#[test]
fn pages_go_from_the_newest_to_the_oldest_without_gap_or_repeat() {
    let (_dir, store) = fresh();
    for n in 0..25 {
        let target = if n % 5 == 0 { "cs" } else { "n1" };
        store.append_operation(step("identify", target, Outcome::Done)).unwrap();
    }
    let mut seen = Vec::new();
    let mut query = OperationQuery { limit: 10, ..OperationQuery::default() };
    loop {
        let page = store.operations(&query).unwrap();
        let Some(last) = page.last() else { break };
        query.before = Some(last.id);
        seen.extend(page.iter().map(|entry| entry.id));
    }
    assert_eq!(seen, (1..=25).rev().collect::<Vec<u64>>());
    let cs = OperationQuery { target: Some("cs".into()), limit: 100, before: None };
    assert_eq!(store.operations(&cs).unwrap().len(), 5);
}

#[test]
fn a_step_is_settled_once_and_what_a_restart_interrupted_is_said_so() {
    let (_dir, store) = fresh();
    let id = store.append_operation(step("configure", "n1", Outcome::Running)).unwrap();
    let mut end = step("configure", "n1", Outcome::Refused);
    (end.id, end.duration_ms, end.next) = (id, 40, "deploy the cluster server first".into());
    store.settle_operation(end.clone()).unwrap();
    store.settle_operation(OperationEntry { outcome: Outcome::Done, ..end.clone() }).unwrap();
    let all = OperationQuery { limit: 10, ..OperationQuery::default() };
    assert_eq!(store.operations(&all).unwrap(), [end]);
    store.append_operation(step("identify", "n2", Outcome::Running)).unwrap();
    assert_eq!(store.settle_interrupted().unwrap(), 1);
    let newest = store.operations(&all).unwrap().remove(0);
    assert_eq!(newest.outcome, Outcome::Failed);
    assert!(newest.detail.contains("restart") && !newest.next.is_empty());
}
