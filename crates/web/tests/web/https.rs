//! Server and client.

use crate::world::{TOKEN, World, certificate};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use web::serve::{Limits, ServeError, serve};
use web::{Client, ClientError};

#[tokio::test]
async fn a_pinned_client_talks_and_any_other_certificate_is_refused() {
    let world = World::start(Limits::default()).await;
    let client = world.client().with_token(TOKEN);
    assert_eq!(client.get::<Vec<u32>>("/api/v1/things").await.unwrap(), [1, 2, 3]);
    assert_eq!(client.post::<_, u32>("/api/v1/things", &41).await.unwrap(), 42);

    let pem = web::cert::self_signed("other", &["127.0.0.1".to_owned()], jiff::Timestamp::now()).unwrap();
    world.certificate.replace(&pem).unwrap();
    assert_eq!(client.post::<_, u32>("/api/v1/things", &1).await.unwrap(), 2, "the kept connection stays");
    let stranger = Client::pinned(&world.address, certificate().fingerprint()).unwrap();
    let fault = stranger.get::<u32>("/api/v1/open").await.unwrap_err();
    assert!(
        matches!(fault, ClientError::WrongCertificate { seen, .. } if seen == world.certificate.fingerprint())
    );
}

#[tokio::test]
async fn a_learning_client_finds_the_fingerprint_and_keeps_its_token_to_itself() {
    let world = World::start(Limits::default()).await;
    let client = Client::learning(&format!("https://{}", world.address)).unwrap().with_token(TOKEN);
    assert_eq!(client.get::<String>("/api/v1/open").await.unwrap(), "open");
    assert_eq!(client.fingerprint_seen(), Some(world.certificate.fingerprint()));
    let refusal = client.get::<Vec<u32>>("/api/v1/things").await.unwrap_err();
    assert_eq!(refusal.refusal().unwrap().code, "not-logged-in");
}

#[tokio::test]
async fn what_the_server_refuses_keeps_its_code_and_next_step() {
    let world = World::start(Limits::default()).await;
    let client = world.client().with_token(TOKEN);
    let code = |fault: ClientError| fault.refusal().unwrap().code.to_string();
    assert_eq!(
        code(client.post::<_, u32>("/api/v1/things", &"no number").await.unwrap_err()),
        "malformed-json"
    );
    assert_eq!(code(client.get::<u32>("/api/v1/nothing").await.unwrap_err()), "not-found");
    let login =
        world.auth.login([192, 0, 2, 7].into(), "viewer", "just looking", web::session::Carrier::Bearer);
    let viewer = world.client().with_token(&login.await.unwrap().token);
    assert_eq!(viewer.get::<Vec<u32>>("/api/v1/things").await.unwrap(), [1, 2, 3]);
    let fault = viewer.post::<_, u32>("/api/v1/things", &1).await.unwrap_err();
    assert_eq!(fault.refusal().unwrap().next.as_deref(), Some("log in as an administrator"));
}

#[tokio::test]
async fn a_port_in_use_is_said_so_and_nobody_there_is_said_so() {
    let world = World::start(Limits::default()).await;
    let bind = world.server.address();
    let limits = Limits::default();
    let fault =
        serve(bind, axum::Router::new(), certificate(), limits, world.stop.clone()).await.unwrap_err();
    assert!(matches!(fault, ServeError::AddressInUse { address } if address == bind));
    let client = world.client();
    world.stop.cancel();
    world.server.stopped().await;
    assert!(matches!(client.get::<String>("/api/v1/open").await, Err(ClientError::Unreachable { .. })));
}

#[tokio::test]
async fn events_arrive_and_the_stream_ends_with_the_server() {
    let world = World::start(Limits::default()).await;
    let client = world.client().with_token(TOKEN);
    let mut events = client.events("/api/v1/events?topics=map").await.unwrap();
    assert_eq!(events.next().await.unwrap().unwrap().topic, "hello");
    world.hub.changed("calls");
    world.hub.publish("map", &7);
    let event = events.next().await.unwrap().unwrap();
    assert_eq!((event.topic.as_str(), event.data.as_str()), ("map", "7"), "calls was not asked for");
    world.stop.cancel();
    assert_eq!(events.next().await.unwrap(), None);
}

#[tokio::test]
async fn a_reader_that_does_not_read_is_dropped_and_others_are_not() {
    let world = World::start(Limits::default()).await;
    let client = world.client().with_token(TOKEN);
    let mut reader = client.events("/api/v1/events").await.unwrap();
    reader.next().await.unwrap();
    // Far more than sockets and queue hold, while nobody reads.
    let line = "x".repeat(60_000);
    for _ in 0..web::events::QUEUE_MAX * 4 {
        world.hub.publish("map", &line);
        tokio::task::yield_now().await;
    }
    let mut seen = 0;
    while let Ok(Some(_)) = reader.next().await {
        seen += 1;
    }
    assert!(seen < web::events::QUEUE_MAX * 4, "the slow reader was cut off after {seen}");
    assert_eq!(client.get::<Vec<u32>>("/api/v1/things").await.unwrap(), [1, 2, 3]);
}

#[tokio::test]
async fn a_connection_that_never_speaks_is_closed_and_a_full_source_is_turned_away() {
    let limits =
        Limits { handshake: Duration::from_millis(200), connections_per_source: 2, ..Limits::default() };
    let world = World::start(limits).await;
    let mut silent = TcpStream::connect(&world.address).await.unwrap();
    let mut second = TcpStream::connect(&world.address).await.unwrap();
    second.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut bytes = Vec::new();
    tokio::time::timeout(Duration::from_secs(5), silent.read_to_end(&mut bytes)).await.unwrap().unwrap();
    assert!(bytes.is_empty());
}
