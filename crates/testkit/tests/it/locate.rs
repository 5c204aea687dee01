//! RFC 3263 with a real resolver, a name server whose answers are written by hand, and real processes.

use ipbx::shell::resolve::{
    Fault, LOCATED_WITHIN, LocateError, Location, RECORDS_MAX, Resolver, SPOKEN, Uri,
};
use sip::{Message, Response, Status};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::Output;
use std::time::{Duration, Instant};
use testkit::live::lone::{Lone, Subscriber};
use testkit::live::names::{Manner, NameServer, Zone};
use testkit::live::process::pleiad_binary;
use tokio::net::UdpSocket;

/// Where the call server of these tests lives, and where nobody does.
const SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 5, 0, 1));
const NOBODY: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 5, 0, 9));

async fn ask(zone: Zone, uri: &str) -> Result<Location, LocateError> {
    let server = NameServer::start(zone).await.unwrap();
    let resolver = Resolver::asking(server.address).unwrap();
    resolver.locate(&Uri::parse(uri).unwrap(), &SPOKEN).await
}

/// `UDP 192.0.2.1:5060` of each, in order.
fn told(location: &Location) -> Vec<String> {
    let tell = |choice: &ipbx::shell::resolve::Choice| {
        format!("{} {}", choice.target.transport.as_str(), choice.target.address)
    };
    location.choices.iter().map(tell).collect()
}

async fn finds(zone: &Zone, uri: &str) -> Vec<String> {
    told(&ask(zone.clone(), uri).await.unwrap())
}

fn v4(last: u8) -> IpAddr {
    Ipv4Addr::new(192, 0, 2, last).into()
}

fn usual() -> Zone {
    Zone::default()
        .naptr("sip.test", (50, 1), "SIPS+D2T", "_sips._tcp.sip.test")
        .naptr("sip.test", (90, 1), "SIP+D2U", "_sip._udp.sip.test")
        .srv("_sips._tcp.sip.test", (1, 0, 5061), "one.sip.test")
        .srv("_sip._udp.sip.test", (2, 0, 5060), "two.sip.test")
        .srv("_sip._udp.sip.test", (1, 0, 5080), "one.sip.test")
        .address("one.sip.test", 300, v4(1))
        .address("one.sip.test", 300, "2001:db8::1".parse().unwrap())
        .address("two.sip.test", 300, v4(2))
}

#[tokio::test]
async fn rfc3263_4_1_naptr_leads_to_srv_and_srv_to_addresses() {
    let found = ask(usual(), "sip:SIP.test").await.unwrap();
    let all = [
        "TLS 192.0.2.1:5061",
        "TLS [2001:db8::1]:5061",
        "UDP 192.0.2.1:5080",
        "UDP [2001:db8::1]:5080",
        "UDP 192.0.2.2:5060",
    ];
    assert_eq!(told(&found), all);
    let last = found.choices.last().unwrap();
    let service = last.service.as_ref().unwrap();
    assert_eq!((service.priority, service.naptr, last.host.as_str()), (2, Some((90, 1)), "two.sip.test"));
    assert_eq!(finds(&usual(), "sips:a@sip.test").await, ["TLS 192.0.2.1:5061", "TLS [2001:db8::1]:5061"]);
}

#[tokio::test]
async fn rfc3263_4_2_without_naptr_and_without_srv() {
    let no_naptr = Zone::default()
        .srv("_sip._tcp.sip.test", (1, 0, 5070), "one.sip.test")
        .address("one.sip.test", 300, v4(1))
        .address("sip.test", 300, v4(99));
    assert_eq!(finds(&no_naptr, "sip:sip.test").await, ["TCP 192.0.2.1:5070"]);
    let bare = Zone::default().address("sip.test", 300, v4(99));
    assert_eq!(finds(&bare, "sip:sip.test").await, ["UDP 192.0.2.99:5060"]);
    assert_eq!(finds(&bare, "sips:sip.test").await, ["TLS 192.0.2.99:5061"]);
    assert_eq!(finds(&bare, "sip:sip.test:5090;transport=tcp").await, ["TCP 192.0.2.99:5090"]);
    let aliased = bare.alias("pbx.test", "sip.test");
    assert_eq!(finds(&aliased, "sip:pbx.test:5060").await, ["UDP 192.0.2.99:5060"]);
}

#[tokio::test]
async fn rfc3263_4_1_an_address_asks_nobody() {
    let server = NameServer::start(Zone::default()).await.unwrap();
    let resolver = Resolver::asking(server.address).unwrap();
    let found = resolver.locate(&Uri::parse("sip:[2001:db8::7]:5070").unwrap(), &SPOKEN).await.unwrap();
    assert_eq!(told(&found), ["UDP [2001:db8::7]:5070"]);
    assert!(found.asked.is_empty());
}

#[tokio::test]
async fn rfc2782_weights_share_the_first_place() {
    let zone = (1..=3).fold(Zone::default(), |zone, last| {
        let weight = [0, 90, 10][usize::from(last) - 1];
        let host = format!("h{last}.test");
        zone.srv("_sip._udp.sip.test", (1, weight, 5060), &host).address(&host, 300, v4(last))
    });
    let server = NameServer::start(zone).await.unwrap();
    let resolver = Resolver::asking(server.address).unwrap();
    let uri = Uri::parse("sip:sip.test;transport=udp").unwrap();
    let mut firsts = 0;
    for _ in 0..200 {
        let found = told(&resolver.locate(&uri, &SPOKEN).await.unwrap());
        assert_eq!(found.len(), 3, "all of them, for failover");
        firsts += usize::from(found[0] == "UDP 192.0.2.2:5060");
    }
    // 90 of 101 by rights: 178, with a deviation of 4.4.
    assert!((145..=199).contains(&firsts), "{firsts} of 200");
    assert_eq!(server.times("_sip._udp.sip.test"), 1, "the rest came from memory");
}

#[tokio::test]
async fn an_answer_is_believed_as_long_as_it_lives() {
    let zone = Zone::default().address("long.test", 300, v4(1)).address("short.test", 1, v4(2));
    let server = NameServer::start(zone).await.unwrap();
    let resolver = Resolver::asking(server.address).unwrap();
    let locate = async |uri: &str| resolver.locate(&Uri::parse(uri).unwrap(), &SPOKEN).await.unwrap();
    assert!(!locate("sip:long.test:5060").await.asked[0].remembered);
    assert_eq!(locate("sip:short.test:5060").await.asked[0].lives, Duration::from_secs(1));
    let asked = server.times("short.test");
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert!(locate("sip:long.test:5060").await.asked[0].remembered);
    assert!(!locate("sip:short.test:5060").await.asked[0].remembered);
    assert!(server.times("short.test") > asked, "it is asked again");
    assert_eq!(resolver.remembers(), 2);
}

#[tokio::test]
async fn a_name_server_that_is_silent_is_blamed_in_time_and_asked_again() {
    let names = ["sip.test", "_sips._tcp.sip.test", "_sip._tcp.sip.test", "_sip._udp.sip.test"];
    let silent = names.iter().fold(usual(), |zone, name| zone.behaving(name, Manner::Silent));
    let begun = Instant::now();
    let error = ask(silent, "sip:sip.test").await.unwrap_err();
    assert!(begun.elapsed() < LOCATED_WITHIN + Duration::from_secs(1), "{:?}", begun.elapsed());
    assert!(matches!(error, LocateError::Unanswered { fault: Fault::Silent, .. }), "{error}");
    assert!(error.to_string().contains("next: "), "{error}");
}

#[tokio::test]
async fn rfc3263_4_1_a_naptr_nobody_answers_does_no_harm_but_a_failing_srv_does() {
    let harmless = usual().behaving("sip.test", Manner::Failing);
    assert_eq!(finds(&harmless, "sip:sip.test").await.len(), 5);
    // The domain's own address may be its web server's.
    let harmful =
        Zone::default().address("sip.test", 300, v4(80)).behaving("_sip._udp.sip.test", Manner::Failing);
    let error = ask(harmful, "sip:sip.test;transport=udp").await.unwrap_err();
    assert!(matches!(error, LocateError::Unanswered { fault: Fault::Refused(_), .. }), "{error}");
}

#[tokio::test]
async fn a_name_without_records_and_a_domain_without_sip_are_told_apart() {
    let error = ask(Zone::default(), "sip:nobody.test").await.unwrap_err();
    assert!(matches!(error, LocateError::NoSuchName { .. }), "{error}");
    let declined = Zone::default().srv("_sip._udp.sip.test", (0, 0, 0), "").address("sip.test", 9, v4(1));
    let error = ask(declined, "sip:sip.test;transport=udp").await.unwrap_err();
    assert!(matches!(error, LocateError::NoService { .. }), "{error}");
    let error = ask(Zone::default(), "sips:sip.test;transport=udp").await.unwrap_err();
    assert!(matches!(error, LocateError::Unspoken { .. }), "{error}");
}

#[tokio::test]
async fn what_is_too_much_or_makes_no_sense_is_bounded() {
    let many = (1..=60).fold(Zone::default(), |zone, last| zone.address("many.test", 300, v4(last)));
    assert_eq!(finds(&many, "sip:many.test:5060").await.len(), RECORDS_MAX);
    let mut wide = Zone::default();
    for (host, service) in [("a", "_sips._tcp.s.test"), ("b", "_sip._tcp.s.test"), ("c", "_sip._udp.s.test")]
    {
        wide = (0..32).fold(wide, |zone, n| zone.srv(service, (1, 1, 5060), &format!("{host}{n}.t")));
    }
    let error = ask(wide, "sip:s.test").await.unwrap_err();
    assert!(matches!(error, LocateError::TooMuch { .. }), "{error}");
    let nonsense = Zone::default().behaving("noise.test", Manner::Nonsense);
    let error = ask(nonsense, "sip:noise.test:5060").await.unwrap_err();
    assert!(matches!(error, LocateError::Unanswered { .. }), "{error}");
}

/// A server that answers everything with 503.
async fn overloaded() -> SocketAddr {
    let socket = UdpSocket::bind(("127.0.0.1", 0)).await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 4096];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            let request = Message::parse(&buffer[..length]).unwrap();
            let answer = Response::to(&request, Status::SERVICE_UNAVAILABLE).message().unwrap();
            let _ = socket.send_to(&answer.to_bytes(), from).await;
        }
    });
    address
}

async fn pleiad(arguments: &[&str]) -> Output {
    let mut command = tokio::process::Command::new(pleiad_binary().unwrap());
    command.args(arguments).env("PLEIAD_PHONE_PASSWORD", Subscriber::new("2001").secret).kill_on_drop(true);
    tokio::time::timeout(Duration::from_secs(60), command.output()).await.unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn rfc3263_4_3_a_phone_finds_its_registrar_by_name_past_servers_that_are_dead_silent_and_overloaded() {
    let lone = Lone::start(SERVER, "", &[Subscriber::new("2001")]).await.unwrap();
    let silent = UdpSocket::bind(("127.0.0.1", 0)).await.unwrap();
    let overloaded = overloaded().await;
    let loopback: IpAddr = Ipv4Addr::LOCALHOST.into();
    let zone = Zone::default()
        .srv("_sip._udp.sip.test", (1, 0, 5060), "dead.sip.test")
        .srv("_sip._udp.sip.test", (2, 0, silent.local_addr().unwrap().port()), "here.sip.test")
        .srv("_sip._udp.sip.test", (3, 0, overloaded.port()), "here.sip.test")
        .srv("_sip._udp.sip.test", (4, 0, lone.sip.port()), "alive.sip.test")
        .address("dead.sip.test", 300, NOBODY)
        .address("here.sip.test", 300, loopback)
        .address("alive.sip.test", 300, SERVER);
    let names = NameServer::start(zone).await.unwrap();
    let dns = names.address.to_string();

    let shown = pleiad(&["locate", "sip.test", "--dns", &dns, "--json"]).await;
    let shown: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!(shown["targets"].as_array().unwrap().len(), 4, "{shown}");
    assert_eq!(shown["targets"][3]["host"], "alive.sip.test");
    assert_eq!(shown["targets"][3]["priority"], 4);

    let begun = Instant::now();
    let domain = SERVER.to_string();
    let one =
        ["phone", "--registrar", "sip.test", "--dns", &dns, "--domain", &domain, "--talk", "0", "--json"];
    let out = pleiad(&[&one[..], &["--extension", "2001"]].concat()).await;
    let report: serde_json::Value = serde_json::from_slice(&out.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&out.stderr)));
    assert_eq!(report["server"], format!("UDP {}", lone.sip), "{report}");
    // 20 ms for the dead one, 3 s for the silent one, nothing for the overloaded one; Timer F alone would be 32 s.
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn rfc3263_a_name_that_leads_nowhere_is_told_with_what_to_do() {
    let names = NameServer::start(Zone::default()).await.unwrap();
    let out = pleiad(&["locate", "sip:nobody.test", "--dns", &names.address.to_string()]).await;
    let text = String::from_utf8_lossy(&out.stderr);
    assert!(!out.status.success() && text.contains("'nobody.test' has no records\n  next: "), "{text}");
}
