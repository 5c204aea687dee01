//! Phones on TLS, IPv4 and IPv6: whom they trust, over which connection they are called, what they may not do.

use crate::phone::{Phone, SDP};
use crate::world::{Authority, TestMachine};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use serde_json::json;
use sip::digest::{Client, Password};
use sip::{Frame, Framer, Message, Method};
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A phone on TLS of a few lines.
struct TlsPhone {
    stream: TlsStream<TcpStream>,
    own: SocketAddr,
    framer: Framer,
    heard: VecDeque<Frame>,
}

fn trusting(pem: &[u8], versions: &[&'static SupportedProtocolVersion]) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(pem).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

async fn authority(machine: &TestMachine) -> Vec<u8> {
    machine.api.get_bytes("/api/v1/authority").await.unwrap().to_vec()
}

impl TlsPhone {
    async fn connect(machine: &TestMachine, name: &str) -> std::io::Result<TlsPhone> {
        let pem = authority(machine).await;
        TlsPhone::connect_with(machine, name, trusting(&pem, &[&rustls::version::TLS13])).await
    }

    async fn connect_with(
        machine: &TestMachine,
        name: &str,
        connector: TlsConnector,
    ) -> std::io::Result<TlsPhone> {
        let host = if name.contains(':') { "::1" } else { "127.0.0.1" };
        let address = SocketAddr::new(host.parse().unwrap(), machine.tls_port());
        let tcp = TcpStream::connect(address).await?;
        let own = tcp.local_addr()?;
        let stream = connector.connect(ServerName::try_from(name.to_owned()).unwrap(), tcp).await?;
        Ok(TlsPhone { stream, own, framer: Framer::new(), heard: VecDeque::new() })
    }

    async fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
    }

    async fn next(&mut self) -> Option<Frame> {
        let mut buffer = vec![0_u8; 16 * 1024];
        while self.heard.is_empty() {
            let read = tokio::time::timeout(Duration::from_secs(6), self.stream.read(&mut buffer)).await;
            let length = read.expect("nothing was heard").unwrap_or(0);
            if length == 0 {
                return None;
            }
            let mut frames = Vec::new();
            self.framer.push(&buffer[..length], &mut frames).unwrap();
            self.heard.extend(frames);
        }
        self.heard.pop_front()
    }

    async fn message(&mut self, wanted: impl Fn(&Message) -> bool) -> Message {
        loop {
            match self.next().await.expect("closed") {
                Frame::Message(message) if wanted(&message) => return message,
                _ => {}
            }
        }
    }

    /// Registers with a Contact that names a port where nothing listens, as phones do over TLS.
    async fn register(&mut self, user: &str, secret: &str) {
        let first = self.registration(user, 1, "");
        self.send(&first).await;
        let challenge = self.message(|message| !message.is_request()).await;
        let mut client = Client::challenged(&challenge, user, &Password::Plain(secret.to_owned())).unwrap();
        let (name, value) = client.authorization(&Method::Register, "sip:pleiad.test", "c0ffee");
        let second = self.registration(user, 2, &format!("{}: {value}\r\n", name.as_str()));
        self.send(&second).await;
        let answer = self.message(|message| !message.is_request()).await;
        assert_eq!(answer.status().map(u16::from), Some(200));
    }

    fn registration(&self, user: &str, cseq: u32, extra: &str) -> String {
        let (own, host) = (self.own, self.own.ip());
        let host = if host.is_ipv6() { format!("[{host}]") } else { host.to_string() };
        format!(
            "REGISTER sip:pleiad.test SIP/2.0\r\nVia: SIP/2.0/TLS {own};rport;branch=z9hG4bK-{user}-{cseq}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:{user}@pleiad.test>;tag=f\r\nTo: <sip:{user}@pleiad.test>\r\n\
             Call-ID: r-{user}-{}\r\nCSeq: {cseq} REGISTER\r\nContact: <sip:{user}@{host}:9;transport=tls>\r\n\
             {extra}Content-Length: 0\r\n\r\n",
            own.port()
        )
    }

    async fn answer(&mut self, request: &Message, status: &str) {
        let vias: String = request.headers(sip::Name::Via).map(|via| format!("Via: {via}\r\n")).collect();
        let text = format!(
            "SIP/2.0 {status}\r\n{vias}From: {}\r\nTo: {};tag=t\r\nCall-ID: {}\r\nCSeq: {}\r\n\
             Contact: <sip:x@{};transport=tls>\r\nContent-Length: 0\r\n\r\n",
            request.from(),
            request.to(),
            request.call_id(),
            request.header(sip::Name::CSeq).unwrap(),
            self.own,
        );
        self.send(&text).await;
    }
}

async fn subscriber(machine: &TestMachine, extension: &str) -> String {
    machine.put("numbering-range/all", json!({ "first": "2000", "last": "2999", "use": "extensions" })).await;
    machine.put("feature-class/standard", json!({ "barred": [] })).await;
    let secret = format!("a-secret-of-{extension}-and-more");
    let value = json!({ "name": extension, "feature_class": "standard", "home": 0, "secret": secret });
    machine.put(&format!("subscriber/{extension}"), value).await;
    secret
}

#[tokio::test]
async fn trm_11_a_phone_trusts_the_cluster_s_authority_for_domain_and_address_with_tls_1_2_and_1_3() {
    let machine = TestMachine::claimed().await;
    machine.lead(&Authority::make()).await;
    let pem = authority(&machine).await;
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        for name in ["pleiad.test", "127.0.0.1"] {
            let mut phone = TlsPhone::connect_with(&machine, name, trusting(&pem, &[version])).await.unwrap();
            phone.send("\r\n\r\n").await;
            assert_eq!(phone.next().await, Some(Frame::Pong), "{version:?} {name}");
        }
    }
    assert!(
        TlsPhone::connect(&machine, "elsewhere.test").await.is_err(),
        "its certificate names nobody else"
    );
    machine.stop().await;
}

#[tokio::test]
async fn trm_11_a_new_certificate_is_shown_to_the_next_phone_and_an_open_connection_goes_on() {
    let machine = TestMachine::claimed().await;
    let mut early = TlsPhone::connect(&machine, "pleiad.test").await.expect("self-signed while independent");
    machine.lead(&Authority::make()).await;
    let before = authority(&machine).await;
    machine.lead(&Authority::make()).await;
    let stale = TlsPhone::connect_with(&machine, "127.0.0.1", trusting(&before, &[&rustls::version::TLS13]));
    assert!(stale.await.is_err(), "the certificate of the authority before is not shown any more");
    assert!(TlsPhone::connect(&machine, "127.0.0.1").await.is_ok());
    assert_eq!(early.next().await, None, "a change of role ends connections");
    machine.stop().await;
}

#[tokio::test]
async fn rfc5626_a_phone_on_tls_is_called_over_its_connection_and_not_when_that_is_gone() {
    let machine = TestMachine::claimed().await;
    let (far, near) = (subscriber(&machine, "2001").await, subscriber(&machine, "2002").await);
    let mut called = TlsPhone::connect(&machine, "pleiad.test").await.unwrap();
    called.register("2001", &far).await;
    let mut caller = Phone::new(machine.sip_port(), "2002", &near).await;
    caller.register().await;

    let calling = tokio::spawn(async move {
        let (answer, _) = caller.asks("INVITE", "2001@pleiad.test", SDP).await;
        (caller, answer.status().map(u16::from))
    });
    let invite = called.message(|message| *message.method() == Method::Invite).await;
    assert_eq!(invite.via().transport, "TLS");
    let contact = invite.contact().unwrap().unwrap().uri.to_string();
    let ours = format!("127.0.0.1:{}", machine.tls_port());
    assert!(contact.contains(&ours) && contact.ends_with(";transport=tls"), "{contact}");
    called.answer(&invite, "486 Busy Here").await;
    let (mut caller, status) = calling.await.unwrap();
    assert_eq!(status, Some(486));

    drop(called);
    machine.until("no connection", |_| machine.machine().running().unwrap().phones.connections() == 0).await;
    let (answer, _) = caller.asks("INVITE", "2001@pleiad.test", SDP).await;
    assert_eq!(answer.status().map(u16::from), Some(480));
    machine.stop().await;
}

#[tokio::test]
async fn a_machine_on_every_address_serves_phones_of_both_families_and_writes_brackets() {
    let any: IpAddr = "::".parse().unwrap();
    let machine = TestMachine::claimed_on(any).await;
    let secret = subscriber(&machine, "2001").await;
    let mut six = TlsPhone::connect(&machine, "::1").await.expect("the certificate names ::1");
    six.register("2001", &secret).await;
    let other = subscriber(&machine, "2002").await;
    let mut four = Phone::new(machine.sip_port(), "2002", &other).await;
    four.register().await;
    let bindings: serde_json::Value = machine.api.get("/api/v1/bindings").await.unwrap();
    let sources: Vec<&str> =
        bindings.as_array().unwrap().iter().map(|b| b["source"].as_str().unwrap()).collect();
    assert!(sources.iter().any(|source| source.contains("[::1]:")), "{sources:?}");
    assert!(sources.iter().any(|source| source.contains("127.0.0.1:")), "{sources:?}");

    let calling = tokio::spawn(async move { four.asks("INVITE", "2001@pleiad.test", SDP).await.0.status() });
    let invite = six.message(|message| *message.method() == Method::Invite).await;
    let via = invite.header(sip::Name::Via).unwrap().to_owned();
    assert!(via.starts_with(&format!("SIP/2.0/TLS [::1]:{}", machine.tls_port())), "{via}");
    six.answer(&invite, "603 Decline").await;
    assert_eq!(calling.await.unwrap().map(u16::from), Some(603));
    machine.stop().await;
}

#[tokio::test]
async fn threat_10_a_peer_that_speaks_no_tls_is_closed_and_phones_are_served() {
    let machine = TestMachine::claimed().await;
    let mut rude = TcpStream::connect(("127.0.0.1", machine.tls_port())).await.unwrap();
    rude.write_all(b"OPTIONS sip:pleiad.test SIP/2.0\r\n\r\n").await.unwrap();
    let mut rest = Vec::new();
    let closed = tokio::time::timeout(Duration::from_secs(5), rude.read_to_end(&mut rest)).await;
    assert!(closed.is_ok(), "it is closed at once");
    assert!(!rest.starts_with(b"SIP/2.0"));
    assert!(TlsPhone::connect(&machine, "pleiad.test").await.is_ok());
    machine.stop().await;
}
