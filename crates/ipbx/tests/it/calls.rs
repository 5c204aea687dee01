//! Calls through whole machines.

use crate::cluster::pair;
use crate::phone::{Phone, SDP};
use crate::world::{Authority, TestMachine, Validity, code};
use serde_json::{Value, json};
use sip::Message;
use std::time::{Duration, Instant};

pub(crate) async fn subscriber(centre: &TestMachine, number: &str, home: u8) -> String {
    let body = json!({ "name": format!("Phone {number}"), "feature_class": "default", "home": home });
    let written = centre.put(&format!("subscriber/{number}"), body).await;
    written["secret"].as_str().unwrap().to_owned()
}

pub(crate) async fn plan(centre: &TestMachine) {
    let range = json!({ "first": "2000", "last": "2999", "use": "extensions" });
    centre.put("numbering-range/all", range).await;
}

/// Rings and is answered. Returns the INVITE and its 200, by which the caller can hang up.
pub(crate) async fn connect(caller: &mut Phone, called: &Phone, number: &str) -> (String, Message) {
    let answering = async {
        let invite = called.asked("INVITE").await;
        assert_eq!(invite.body(), SDP.as_bytes());
        called.replies(&invite, "180 Ringing", "").await;
        called.replies(&invite, "200 OK", SDP).await;
        called.asked("ACK").await;
    };
    let calling = async {
        let (mut answer, invite) = caller.asks("INVITE", &format!("{number}@pleiad.test"), SDP).await;
        while answer.status().is_some_and(|status| u16::from(status) < 200) {
            answer = caller.answer("INVITE").await;
        }
        assert_eq!(answer.status().map(u16::from), Some(200));
        caller.send(&caller.ack(&invite, &answer)).await;
        (invite, answer)
    };
    tokio::join!(answering, calling).1
}

/// The caller hangs up and the called one hears of it.
pub(crate) async fn hang_up(caller: &Phone, called: &Phone, invite: &str, answer: &Message) {
    caller.send(&caller.bye(invite, answer)).await;
    let bye = called.asked("BYE").await;
    called.replies(&bye, "200 OK", "").await;
    let over = caller.answer("BYE").await;
    assert_eq!(over.status().map(u16::from), Some(200));
}

/// Two subscribers of a machine that has a plan, with their phones: 2001, which calls, and 2002.
async fn two_phones(machine: &TestMachine) -> (Phone, Phone) {
    plan(machine).await;
    let (first, second) = (subscriber(machine, "2001", 0).await, subscriber(machine, "2002", 0).await);
    let mut caller = Phone::new(machine.sip_port(), "2001", &first).await;
    let mut called = Phone::new(machine.sip_port(), "2002", &second).await;
    caller.register().await;
    called.register().await;
    (caller, called)
}

async fn call_through(caller: &mut Phone, called: &Phone, number: &str) {
    let (invite, answer) = connect(caller, called, number).await;
    hang_up(caller, called, &invite, &answer).await;
}

/// The records, as soon as there are so many: they come into the log a moment after their calls.
async fn records(machine: &TestMachine, count: usize) -> Vec<Value> {
    let begun = Instant::now();
    loop {
        let records: Vec<Value> = machine.api.get("/api/v1/records").await.unwrap();
        if records.len() >= count {
            return records;
        }
        assert!(begun.elapsed() < Duration::from_secs(5), "{count} records never came: {records:#?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_call_between_node_and_cluster_server_rings_talks_ends_and_leaves_one_record() {
    let (_authority, centre, node) = pair().await;
    plan(&centre).await;
    let far = subscriber(&centre, "2101", 1).await;
    let near = subscriber(&centre, "2001", 0).await;
    let target = centre.state().await["position"]["revision"].clone();
    node.until("the node has it", |state| state["position"]["revision"] == target).await;
    let mut on_node = Phone::new(node.sip_port(), "2101", &far).await;
    let mut on_centre = Phone::new(centre.sip_port(), "2001", &near).await;
    on_node.register().await;
    on_centre.register().await;
    assert_eq!(node.state().await["bindings"], 1);

    call_through(&mut on_node, &on_centre, "2001").await;
    call_through(&mut on_centre, &on_node, "2101").await;

    centre.until("no call is left", |state| state["calls"] == 0).await;
    for record in records(&centre, 2).await {
        assert_eq!(record["cause"], "normal-clearing", "{record:#}");
    }
    let session = records(&node, 1).await[0]["session"].as_str().unwrap().to_owned();
    let ladder: Value = node.api.get(&format!("/api/v1/calls/{session}/ladder")).await.unwrap();
    assert_eq!(ladder["arrows"][0]["label"], "INVITE");
    let pcap = node.api.get_bytes(&format!("/api/v1/calls/{session}/pcap")).await.unwrap();
    assert!(pcap.len() > 1_000);
    node.stop().await;
    centre.stop().await;
}

#[tokio::test]
async fn a_registration_survives_a_restart_of_the_machine() {
    let mut machine = TestMachine::claimed().await;
    let secret = subscriber(&machine, "2001", 0).await;
    let mut phone = Phone::new(machine.sip_port(), "2001", &secret).await;
    phone.register().await;
    machine.restart().await;
    assert_eq!(machine.state().await["bindings"], 1);
    machine.stop().await;
}

#[tokio::test]
async fn an_unregistered_subscriber_and_an_unknown_number_are_told_apart() {
    let machine = TestMachine::claimed().await;
    plan(&machine).await;
    let secret = subscriber(&machine, "2001", 0).await;
    subscriber(&machine, "2002", 0).await;
    let mut phone = Phone::new(machine.sip_port(), "2001", &secret).await;
    phone.register().await;
    for (number, status) in [("2002", 480), ("2003", 404), ("9", 404)] {
        let (answer, invite) = phone.asks("INVITE", &format!("{number}@pleiad.test"), SDP).await;
        assert_eq!(answer.status().map(u16::from), Some(status), "{number}");
        phone.send(&phone.ack(&invite, &answer)).await;
    }
    machine.stop().await;
}

#[tokio::test]
async fn a_call_in_progress_goes_on_over_a_restart_of_its_machine_and_ends_as_one_record() {
    let mut machine = TestMachine::claimed().await;
    let (mut caller, called) = two_phones(&machine).await;
    let (invite, answer) = connect(&mut caller, &called, "2002").await;
    machine.until("the call is up", |state| state["calls"] == 1).await;
    machine.restart().await;
    assert_eq!(machine.state().await["calls"], 1);
    hang_up(&caller, &called, &invite, &answer).await;
    machine.until("the call is over", |state| state["calls"] == 0).await;
    let records = records(&machine, 1).await;
    assert_eq!(records.len(), 1);
    assert_eq!(records[0]["cause"], "normal-clearing");
    // The new process takes calls again, although the one before was drained.
    call_through(&mut caller, &called, "2002").await;
    machine.stop().await;
}

#[tokio::test]
async fn a_change_of_role_is_refused_while_a_call_is_up_and_done_when_forced() {
    let machine = TestMachine::claimed().await;
    let (mut caller, called) = two_phones(&machine).await;
    connect(&mut caller, &called, "2002").await;
    let role = json!({ "role": "cluster-server" });
    let mut request = machine.role_request(&Authority::make(), role, "n0", Validity::Usual).await;
    assert_eq!(code(machine.take_role(&request).await), "calls-up");
    let state = machine.state().await;
    assert_eq!((state["role"].as_str(), state["calls"].as_u64()), (Some("independent"), Some(1)));
    request["force"] = json!(true);
    machine.take_role(&request).await.unwrap();
    let state = machine.state().await;
    // Another realm: neither calls nor registrations nor subscribers of the old one.
    assert_eq!(state["role"], "cluster-server");
    assert_eq!((state["calls"].as_u64(), state["bindings"].as_u64()), (Some(0), Some(0)));
    assert_eq!(state["general_purpose_only"], true);
    machine.stop().await;
}

#[tokio::test]
async fn an_operator_ends_a_call_and_both_phones_hear_of_it() {
    let machine = TestMachine::claimed().await;
    let (mut caller, called) = two_phones(&machine).await;
    connect(&mut caller, &called, "2002").await;
    let calls: Vec<Value> = machine.api.get("/api/v1/calls").await.unwrap();
    let path = format!("/api/v1/calls/{}/end", calls[0]["id"]);
    let _ending: Value = machine.api.post(&path, &json!({})).await.unwrap();
    for phone in [&caller, &called] {
        let bye = phone.asked("BYE").await;
        phone.replies(&bye, "200 OK", "").await;
    }
    machine.until("the call is over", |state| state["calls"] == 0).await;
    assert_eq!(records(&machine, 1).await[0]["cause"], "ended-by-operator");
    assert_eq!(code(machine.api.post::<_, Value>(&path, &json!({})).await), "not-found");
    machine.stop().await;
}

#[tokio::test]
async fn a_machine_that_listens_on_every_address_names_the_one_a_phone_reaches_it_by() {
    let machine = TestMachine::claimed_with(|config| config.bind = [0, 0, 0, 0].into()).await;
    let (mut caller, called) = two_phones(&machine).await;
    let (invite, answer) = connect(&mut caller, &called, "2002").await;
    let contact = answer.contact().unwrap().unwrap().uri;
    assert_eq!(contact.host.to_string(), "127.0.0.1");
    hang_up(&caller, &called, &invite, &answer).await;
    machine.stop().await;
}
