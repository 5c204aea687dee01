//! Lamps through whole machines: sockets, the link between members, restarts (TRM-05).

use crate::calls::{connect, hang_up, plan, subscriber};
use crate::cluster::pair;
use crate::phone::Phone;
use crate::world::TestMachine;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Lights a lamp for a number.
async fn watch(phone: &mut Phone, package: &str, number: &str) {
    let event = format!("Event: {package}\r\nExpires: 600\r\n");
    let (answer, _) = phone.asks_saying("SUBSCRIBE", &format!("{number}@pleiad.test"), &event, "").await;
    assert_eq!(answer.status().map(u16::from), Some(200));
}

/// Takes NOTIFYs until one says this.
async fn is_told(phone: &Phone, what: &str) -> String {
    let begun = Instant::now();
    loop {
        assert!(begun.elapsed() < Duration::from_secs(8), "never told {what}");
        let notify = phone.asked("NOTIFY").await;
        phone.replies(&notify, "200 OK", "").await;
        let body = String::from_utf8(notify.body().to_vec()).unwrap();
        if body.contains(what) {
            return body;
        }
    }
}

async fn line(machine: &TestMachine, number: &str) -> String {
    let lines: Vec<Value> = machine.api.get("/api/v1/lines").await.unwrap();
    let line = lines.iter().find(|line| line["extension"] == number);
    line.map_or("nothing".to_owned(), |line| line["line"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn trm_05_a_lamp_at_a_node_shows_a_line_of_the_cluster_server_through_restarts_of_both() {
    let (_authority, mut centre, mut node) = pair().await;
    plan(&centre).await;
    let watching = subscriber(&centre, "2101", 1).await;
    let (first, second) = (subscriber(&centre, "2001", 0).await, subscriber(&centre, "2002", 0).await);
    let target = centre.state().await["position"]["revision"].clone();
    node.until("the node has them", |state| state["position"]["revision"] == target).await;
    let mut lamp = Phone::new(node.sip_port(), "2101", &watching).await;
    let mut caller = Phone::new(centre.sip_port(), "2001", &first).await;
    let mut called = Phone::new(centre.sip_port(), "2002", &second).await;
    for phone in [&mut lamp, &mut caller, &mut called] {
        phone.register().await;
    }
    watch(&mut lamp, "dialog", "2002").await;
    is_told(&lamp, r#"state="full""#).await;
    let (invite, answer) = connect(&mut caller, &called, "2002").await;
    is_told(&lamp, "<state>confirmed</state>").await;
    assert_eq!(line(&centre, "2002").await, "talking");
    assert_eq!(line(&node, "2002").await, "talking");
    hang_up(&caller, &called, &invite, &answer).await;
    is_told(&lamp, "<state>terminated</state>").await;
    assert_eq!(node.state().await["subscriptions"], 1);

    // A restart of the watching member loses no lamp; while the link is away it knows nothing of the line.
    node.restart().await;
    node.until("the node is back", |state| state["state"] == "connected").await;
    assert_eq!(node.state().await["subscriptions"], 1);
    let (invite, answer) = connect(&mut caller, &called, "2002").await;
    is_told(&lamp, "<state>confirmed</state>").await;
    // Nor does one of the watched member, whose call goes on.
    centre.restart().await;
    is_told(&lamp, "unknown</line>").await;
    is_told(&lamp, "<state>confirmed</state>").await;
    hang_up(&caller, &called, &invite, &answer).await;
    is_told(&lamp, "<state>terminated</state>").await;
    node.stop().await;
    centre.stop().await;
}

#[tokio::test]
async fn trm_05_messages_that_wait_are_told_by_the_api_and_counted() {
    let machine = TestMachine::claimed().await;
    plan(&machine).await;
    let secret = subscriber(&machine, "2001", 0).await;
    let mut phone = Phone::new(machine.sip_port(), "2001", &secret).await;
    phone.register().await;
    watch(&mut phone, "message-summary", "2001").await;
    is_told(&phone, "Messages-Waiting: no").await;
    let waiting = json!({ "new": 3, "old": 1 });
    machine.api.put::<_, Value>("/api/v1/lines/2001/messages", &waiting).await.unwrap();
    is_told(&phone, "Voice-Message: 3/1 (0/0)").await;
    let nobody = machine.api.put::<_, Value>("/api/v1/lines/2999/messages", &waiting).await;
    assert_eq!(crate::world::code(nobody), "not-found");
    let metrics = machine.api.get_bytes("/metrics").await.unwrap();
    assert!(String::from_utf8(metrics.to_vec()).unwrap().contains("\npleiad_subscriptions 1\n"));
    machine.stop().await;
}
