//! Phones on TCP, well-behaved and not.

use crate::world::TestMachine;
use serde_json::Value;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn connect(machine: &TestMachine) -> TcpStream {
    TcpStream::connect(("127.0.0.1", machine.sip_port())).await.unwrap()
}

async fn hears(stream: &mut TcpStream, wanted: &str) -> String {
    let mut heard = String::new();
    let mut buffer = vec![0_u8; 4_096];
    while !heard.contains(wanted) {
        let read = tokio::time::timeout(Duration::from_secs(5), stream.read(&mut buffer)).await;
        let length = read.unwrap_or_else(|_| panic!("'{wanted}' never came, only: {heard}")).unwrap();
        assert!(length > 0, "closed before '{wanted}' came, after: {heard}");
        heard.push_str(&String::from_utf8_lossy(&buffer[..length]));
    }
    heard
}

fn options(number: u32) -> String {
    format!(
        "OPTIONS sip:pleiad.test SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1:9;rport;branch=z9hG4bK-{number}\r\n\
         Max-Forwards: 70\r\nFrom: <sip:x@pleiad.test>;tag=1\r\nTo: <sip:pleiad.test>\r\n\
         Call-ID: options-{number}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
    )
}

async fn metric(machine: &TestMachine, name: &str) -> f64 {
    let text = machine.api.get_bytes("/metrics").await.unwrap();
    let text = String::from_utf8_lossy(&text).into_owned();
    let line = text.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap();
    line.rsplit_once(' ').unwrap().1.parse().unwrap()
}

#[tokio::test]
async fn a_keep_alive_is_answered_and_a_request_in_two_pieces_too() {
    let machine = TestMachine::claimed().await;
    let mut phone = connect(&machine).await;
    phone.write_all(b"\r\n\r\n").await.unwrap();
    hears(&mut phone, "\r\n").await;
    let request = options(1);
    let (first, second) = request.split_at(70);
    phone.write_all(first.as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    phone.write_all(second.as_bytes()).await.unwrap();
    assert!(hears(&mut phone, "OPTIONS\r\n").await.contains("SIP/2.0 200 OK"));
    machine.stop().await;
}

#[tokio::test]
async fn a_malformed_request_gets_400_and_the_next_one_is_served() {
    let machine = TestMachine::claimed().await;
    let mut phone = connect(&machine).await;
    let malformed = options(2).replace("Max-Forwards: 70", "Max-Forwards: many");
    phone.write_all(malformed.as_bytes()).await.unwrap();
    assert!(hears(&mut phone, "\r\n\r\n").await.starts_with("SIP/2.0 400 "));
    phone.write_all(options(3).as_bytes()).await.unwrap();
    assert!(hears(&mut phone, "\r\n\r\n").await.starts_with("SIP/2.0 200 "));
    machine.stop().await;
}

#[tokio::test]
async fn a_stream_that_is_lost_gets_its_last_answers_and_is_closed() {
    let machine = TestMachine::claimed().await;
    let mut phone = connect(&machine).await;
    let endless = options(4).replace("Content-Length: 0", "Content-Length: -1");
    phone.write_all([options(5), endless].concat().as_bytes()).await.unwrap();
    let heard = tokio::time::timeout(Duration::from_secs(5), async {
        let mut heard = String::new();
        phone.read_to_string(&mut heard).await.unwrap();
        heard
    });
    let heard = heard.await.expect("it is closed");
    assert!(heard.contains("SIP/2.0 200 OK") && heard.contains("SIP/2.0 400 bad Content-Length"), "{heard}");
    machine.stop().await;
}

#[tokio::test]
async fn a_phone_that_does_not_read_is_dropped_and_the_others_are_served() {
    let machine = TestMachine::claimed().await;
    let mut deaf = connect(&machine).await;
    let shouting = async {
        for number in 0..200_000_u32 {
            if deaf.write_all(options(number).as_bytes()).await.is_err() {
                return;
            }
        }
    };
    let dropped = tokio::time::timeout(Duration::from_secs(60), shouting).await;
    assert!(dropped.is_ok(), "a deaf phone was neither dropped nor let speak");
    assert!(metric(&machine, "pleiad_sip_unsent_total").await > 0.0);
    let mut other = connect(&machine).await;
    other.write_all(options(1_000_000).as_bytes()).await.unwrap();
    hears(&mut other, "200 OK").await;
    machine.stop().await;
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_and_nothing_written() {
    let machine = TestMachine::claimed().await;
    let long = serde_json::json!({ "prefixes": [], "more": "x".repeat(300 * 1024) });
    let outcome = machine.api.put::<_, Value>("/api/v1/objects/barred-numbers/long", &long).await;
    assert!(outcome.is_err());
    assert_eq!(
        crate::world::code(machine.api.get::<Value>("/api/v1/objects/barred-numbers/long").await),
        "not-found"
    );
    machine.stop().await;
}

#[tokio::test]
async fn whoever_listens_to_events_hears_that_objects_changed() {
    let machine = TestMachine::claimed().await;
    let mut events = machine.api.events("/api/v1/events?topics=objects").await.unwrap();
    assert_eq!(events.next().await.unwrap().unwrap().topic, "hello");
    machine.put("barred-numbers/abroad", serde_json::json!({ "prefixes": ["00"] })).await;
    let heard = tokio::time::timeout(Duration::from_secs(5), events.next()).await.unwrap();
    assert_eq!(heard.unwrap().unwrap().topic, "objects");
    machine.stop().await;
}
