//! RFC 3263: which server a request goes to, over a small world of names.

use sip::locate::{Cache, Choice, Located, Naptr, Question, Records, Srv, locate};
use sip::{Tokens, Transport, Uri};
use std::collections::BTreeMap;
use std::time::Duration;

const ALL: [Transport; 3] = [Transport::Tls, Transport::Tcp, Transport::Udp];
const NOW: Duration = Duration::from_secs(1_000);
const TTL: Duration = Duration::from_secs(300);

/// The names of the world, and a resolver that knows them.
struct World(BTreeMap<Question, Records>);

impl World {
    fn new(records: impl IntoIterator<Item = (Question, Records)>) -> World {
        World(records.into_iter().collect())
    }

    /// Asks until there is an answer; every question once.
    fn locate(&self, cache: &mut Cache, uri: &str, seed: u8) -> (Vec<String>, usize) {
        let (uri, mut tokens) = (Uri::parse(uri).unwrap(), Tokens::new([seed; 32]));
        let mut asked = Vec::new();
        for _ in 0..8 {
            match locate(NOW, cache, uri.as_ref(), &ALL, &mut tokens) {
                Located::At(targets) => return (targets.iter().map(tell).collect(), asked.len()),
                Located::Ask(questions) => {
                    for question in questions {
                        assert!(!asked.contains(&question), "asked twice: {question:?}");
                        asked.push(question.clone());
                        let nothing = Records::Addresses(Vec::new());
                        let records = self.0.get(&question).cloned().unwrap_or(nothing);
                        cache.learn(NOW, question, records, TTL);
                    }
                }
            }
        }
        panic!("it asks for ever");
    }

    fn finds(&self, uri: &str) -> Vec<String> {
        self.locate(&mut Cache::default(), uri, 1).0
    }
}

fn tell(choice: &Choice) -> String {
    format!("{} {}", choice.target.transport.as_str(), choice.target.address)
}

fn addresses(name: &str, list: &[&str]) -> (Question, Records) {
    let list = list.iter().map(|text| text.parse().unwrap()).collect();
    (Question::Addresses(name.to_owned()), Records::Addresses(list))
}

fn srv(name: &str, list: &[(u16, u16, u16, &str)]) -> (Question, Records) {
    let list = list.iter().map(|&(priority, weight, port, host)| {
        let host = host.to_owned();
        Srv { priority, weight, port, host }
    });
    (Question::Srv(name.to_owned()), Records::Srv(list.collect()))
}

fn naptr(name: &str, list: &[(u16, u16, &str, &str)]) -> (Question, Records) {
    let list = list.iter().map(|&(order, preference, service, replacement)| {
        let (service, replacement) = (service.to_owned(), replacement.to_owned());
        Naptr { order, preference, service, replacement }
    });
    (Question::Naptr(name.to_owned()), Records::Naptr(list.collect()))
}

#[test]
fn rfc3263_4_1_an_address_needs_no_names() {
    let world = World::new([]);
    assert_eq!(world.finds("sip:a@192.0.2.1"), ["UDP 192.0.2.1:5060"]);
    assert_eq!(world.finds("sips:a@192.0.2.1"), ["TLS 192.0.2.1:5061"]);
    assert_eq!(world.finds("sip:a@[2001:db8::1]:5070;transport=tcp"), ["TCP [2001:db8::1]:5070"]);
    assert_eq!(world.finds("sip:a@ignored.example;maddr=192.0.2.9"), ["UDP 192.0.2.9:5060"]);
    assert_eq!(world.locate(&mut Cache::default(), "sip:a@192.0.2.1", 1).1, 0);
}

#[test]
fn rfc3263_4_2_a_name_with_a_port_is_a_host() {
    let world = World::new([addresses("pbx.example", &["2001:db8::1", "192.0.2.1"])]);
    assert_eq!(world.finds("sip:a@PBX.example:5070"), ["UDP [2001:db8::1]:5070", "UDP 192.0.2.1:5070"]);
    assert_eq!(
        world.finds("sip:a@pbx.example:5070;transport=TLS"),
        ["TLS [2001:db8::1]:5070", "TLS 192.0.2.1:5070"]
    );
}

#[test]
fn rfc3263_4_1_naptr_chooses_the_transport_and_srv_the_server() {
    let world = World::new([
        naptr(
            "example.com",
            &[
                (100, 50, "SIP+D2U", "_sip._udp.example.com."),
                (50, 50, "SIPS+D2T", "_sips._tcp.example.com"),
                (90, 50, "sip+d2t", "_sip._tcp.example.com"),
                (10, 1, "SIP+D2S", "_sip._sctp.example.com"),
                (10, 2, "E2U+sip", "elsewhere.example.com"),
            ],
        ),
        srv("_sips._tcp.example.com", &[(1, 0, 5061, "one.example.com")]),
        srv("_sip._tcp.example.com", &[(1, 0, 5060, "one.example.com")]),
        srv("_sip._udp.example.com", &[(2, 0, 5060, "two.example.com"), (1, 0, 5080, "one.example.com")]),
        addresses("one.example.com", &["192.0.2.1"]),
        addresses("two.example.com", &["192.0.2.2"]),
    ]);
    assert_eq!(
        world.finds("sip:a@example.com"),
        ["TLS 192.0.2.1:5061", "TCP 192.0.2.1:5060", "UDP 192.0.2.1:5080", "UDP 192.0.2.2:5060"]
    );
    assert_eq!(world.finds("sips:a@example.com"), ["TLS 192.0.2.1:5061"]);
    assert_eq!(world.finds("sip:a@example.com;transport=udp"), ["UDP 192.0.2.1:5080", "UDP 192.0.2.2:5060"]);
}

#[test]
fn rfc3263_4_1_a_choice_says_which_records_led_to_it() {
    let world = World::new([
        naptr("example.com", &[(50, 60, "SIP+D2T", "_sip._tcp.example.com")]),
        srv("_sip._tcp.example.com", &[(7, 8, 5080, "One.example.com.")]),
        addresses("one.example.com", &["192.0.2.1"]),
    ]);
    let mut cache = Cache::default();
    world.locate(&mut cache, "sip:example.com", 1);
    let (uri, mut tokens) = (Uri::parse("sip:example.com").unwrap(), Tokens::new([1; 32]));
    let Located::At(choices) = locate(NOW, &cache, uri.as_ref(), &ALL, &mut tokens) else {
        panic!("nothing is missing")
    };
    assert_eq!(choices.len(), 1);
    assert_eq!(choices[0].host, "one.example.com");
    let service = choices[0].service.as_ref().unwrap();
    assert_eq!((service.name.as_str(), service.priority, service.weight), ("_sip._tcp.example.com", 7, 8));
    assert_eq!(service.naptr, Some((50, 60)));
}

#[test]
fn rfc3263_4_1_without_naptr_the_services_are_asked_for() {
    let world = World::new([
        srv("_sip._udp.example.com", &[(1, 0, 5062, "one.example.com")]),
        addresses("one.example.com", &["192.0.2.1"]),
        addresses("example.com", &["192.0.2.99"]),
    ]);
    assert_eq!(world.finds("sip:a@example.com"), ["UDP 192.0.2.1:5062"]);
    let bare = World::new([addresses("example.com", &["192.0.2.99"])]);
    assert_eq!(bare.finds("sip:a@example.com"), ["UDP 192.0.2.99:5060"]);
    assert_eq!(bare.finds("sips:a@example.com"), ["TLS 192.0.2.99:5061"]);
    assert_eq!(bare.finds("sip:a@example.com;transport=tcp"), ["TCP 192.0.2.99:5060"]);
}

#[test]
fn rfc2782_a_service_that_is_declined_is_not_looked_for_elsewhere() {
    let world = World::new([
        srv("_sip._udp.example.com", &[(0, 0, 0, ".")]),
        addresses("example.com", &["192.0.2.99"]),
    ]);
    assert!(world.finds("sip:a@example.com;transport=udp").is_empty());
}

#[test]
fn rfc3263_what_cannot_be_secure_or_spoken_goes_nowhere() {
    let world = World::new([addresses("example.com", &["192.0.2.99"])]);
    assert!(world.finds("sips:a@example.com;transport=udp").is_empty());
    assert!(world.finds("sip:a@example.com;transport=sctp").is_empty());
    assert!(world.finds("tel:+4312345").is_empty());
    let (uri, mut tokens) = (Uri::parse("sip:a@192.0.2.1").unwrap(), Tokens::new([1; 32]));
    let udp_only = locate(NOW, &Cache::default(), uri.as_ref(), &[Transport::Tls], &mut tokens);
    assert_eq!(udp_only, Located::At(Vec::new()));
}

#[test]
fn rfc2782_servers_of_one_priority_share_by_weight() {
    let world = World::new([srv(
        "_sip._udp.example.com",
        &[(1, 30, 1, "192.0.2.1"), (1, 70, 2, "192.0.2.2"), (1, 0, 3, "192.0.2.3"), (2, 100, 4, "192.0.2.4")],
    )]);
    let mut cache = Cache::default();
    let mut firsts: BTreeMap<String, u32> = BTreeMap::new();
    for seed in 0..=255 {
        let (targets, _) = world.locate(&mut cache, "sip:a@example.com;transport=udp", seed);
        assert_eq!(targets.len(), 4, "all of them, for failover");
        assert_eq!(targets[3], "UDP 192.0.2.4:4", "a later priority is a later choice");
        *firsts.entry(targets[0].clone()).or_default() += 1;
    }
    let share = |name: &str| firsts.get(name).copied().unwrap_or(0);
    assert!((50..=105).contains(&share("UDP 192.0.2.1:1")), "{firsts:?}");
    assert!((145..=210).contains(&share("UDP 192.0.2.2:2")), "{firsts:?}");
    assert!(share("UDP 192.0.2.3:3") < 16, "{firsts:?}");
}

#[test]
fn an_answer_is_believed_as_long_as_it_lives_and_the_cache_is_bounded() {
    let (uri, mut tokens) = (Uri::parse("sip:a@example.com:5060").unwrap(), Tokens::new([1; 32]));
    let mut cache = Cache::default();
    let (question, records) = addresses("example.com", &["192.0.2.1"]);
    cache.learn(NOW, question.clone(), records, TTL);
    let mut at = |cache: &Cache, now| locate(now, cache, uri.as_ref(), &ALL, &mut tokens);
    assert!(
        matches!(at(&cache, NOW + TTL - Duration::from_secs(1)), Located::At(targets) if targets.len() == 1)
    );
    assert_eq!(at(&cache, NOW + TTL), Located::Ask(vec![question]));
    for number in 0..10_000 {
        let (question, records) = addresses(&format!("h{number}.example"), &["192.0.2.1"]);
        cache.learn(NOW, question, records, TTL);
    }
    assert_eq!(cache.len(), 4_096);
}
