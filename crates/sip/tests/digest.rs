//! Digest: what a phone proves, and what an attacker does not.

use crate::support::{request, request_with, uri};
use sip::digest::{
    Algorithm, Challenger, Client, Known, Malformed, Password, Secrets, UsedNonces, Verdict, ha1,
};
use sip::{Edit, Message, Method, Name, Response, Status};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

const REALM: &str = "ab12cd";
const NOW: Duration = Duration::from_secs(1_700_000_000);
const URI: &str = "sip:2201@pleiad.test";

fn home() -> IpAddr {
    "192.0.2.7".parse().unwrap()
}

/// A challenger with the users 2101 and 2102 and what they have used.
struct Server {
    challenger: Challenger,
    users: BTreeMap<String, (Secrets, UsedNonces)>,
}

/// What a request proved, in the words of the test.
#[derive(Debug, PartialEq)]
enum Said {
    Accepted,
    Missing,
    Malformed,
    Stale,
    Wrong,
}

use Said::{Accepted, Missing, Stale, Wrong};

impl Server {
    fn new(key: [u8; 32]) -> Server {
        let user = |name: &str, password: &str| {
            (name.to_owned(), (Secrets::of(name, REALM, password), UsedNonces::default()))
        };
        let users = [user("2101", "correct horse"), user("2102", "battery staple")];
        Server { challenger: Challenger::new(REALM, key, 0), users: users.into() }
    }

    fn hears(&mut self, now: Duration, source: IpAddr, request: &Message) -> Said {
        let credentials = match self.challenger.read(request, Name::Authorization) {
            Ok(Some(credentials)) => credentials,
            Ok(None) => return Said::Missing,
            Err(Malformed) => return Said::Malformed,
        };
        let known = self
            .users
            .get_mut(credentials.user())
            .map(|(secrets, used)| Known { secrets: secrets.as_ref(), used });
        match self.challenger.judge(now, source, request, &credentials, known) {
            Verdict::Accepted => Said::Accepted,
            Verdict::Stale => Said::Stale,
            Verdict::Wrong => Said::Wrong,
        }
    }

    fn challenges(&mut self, now: Duration) -> [String; 2] {
        self.challenger.challenges(now, home(), false)
    }
}

fn server() -> Server {
    Server::new([9; 32])
}

fn challenge(server: &mut Server, only: Option<Algorithm>) -> Message {
    let mut response = Response::to(&request(Method::Register, "z9hG4bK1"), Status::UNAUTHORIZED).to_tag("x");
    for value in server.challenges(NOW) {
        if only.is_none_or(|algorithm| value.contains(&format!("algorithm={},", algorithm.as_str()))) {
            response = response.header(Name::WwwAuthenticate, value);
        }
    }
    response.message().unwrap()
}

fn phone(server: &mut Server, user: &str, password: &str) -> Client {
    Client::challenged(&challenge(server, None), user, &Password::Plain(password.to_owned())).unwrap()
}

fn signed(client: &mut Client) -> Message {
    let (name, value) = client.authorization(&Method::Register, URI, "cnonce");
    request_with(Method::Register, "z9hG4bK2").header(name, value).message().unwrap()
}

fn verdict(server: &mut Server, request: &Message) -> Said {
    server.hears(NOW, home(), request)
}

/// A client that answers a challenge given at `now`.
fn phone_at(server: &mut Server, now: Duration) -> Client {
    let fresh = server.challenges(now);
    let refusal = Response::to(&request(Method::Register, "z9hG4bK1"), Status::UNAUTHORIZED)
        .header(Name::WwwAuthenticate, &fresh[0])
        .message()
        .unwrap();
    Client::challenged(&refusal, "2101", &Password::Plain("correct horse".to_owned())).unwrap()
}

/// A request to `target` with credentials over `signed`.
fn moved(server: &mut Server, method: Method, signed: &str, target: &str) -> Message {
    let mut client = phone(server, "2101", "correct horse");
    let (name, value) = client.authorization(&method, signed, "cnonce");
    let signed = request_with(method, "z9hG4bK3").header(name, value).message().unwrap();
    Edit::of(&signed).request_uri(&uri(target)).message().unwrap()
}

#[test]
fn rfc_7616_3_9_1_the_example_of_the_rfc() {
    // User Mufasa: the RFC prints these responses.
    let refusal = |algorithm: &str| {
        let value = format!(
            "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm={algorithm}, \
             nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""
        );
        let refusal = Response::to(&request(Method::Options, "z9hG4bK1"), Status::UNAUTHORIZED);
        refusal.header(Name::WwwAuthenticate, value).message().unwrap()
    };
    let expected = [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ];
    for (algorithm, response) in expected {
        let password = Password::Plain("Circle of Life".to_owned());
        let mut client = Client::challenged(&refusal(algorithm), "Mufasa", &password).unwrap();
        let get = Method::Other("GET".to_owned());
        let cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
        let (name, value) = client.authorization(&get, "/dir/index.html", cnonce);
        assert_eq!(name, Name::Authorization);
        assert!(value.contains(&format!("response=\"{response}\"")), "{value}");
        assert!(value.contains("nc=00000001") && value.contains("opaque=\"FQhe"), "{value}");
    }
}

#[test]
fn rfc_8760_sha_256_is_offered_first_and_a_phone_takes_it() {
    let mut server = server();
    let challenges = server.challenges(NOW);
    assert!(challenges[0].contains("algorithm=SHA-256") && challenges[1].contains("algorithm=MD5"));
    assert!(challenges.iter().all(|value| value.contains("qop=\"auth\"") && !value.contains("stale")));
    let request = signed(&mut phone(&mut server, "2101", "correct horse"));
    assert!(request.header(Name::Authorization).unwrap().contains("algorithm=SHA-256"));
    assert_eq!(verdict(&mut server, &request), Accepted);
}

#[test]
fn a_phone_that_knows_only_md5_is_let_in() {
    let mut server = server();
    let refusal = challenge(&mut server, Some(Algorithm::Md5));
    let password = Password::Stored(Secrets::of("2101", REALM, "correct horse"));
    let mut client = Client::challenged(&refusal, "2101", &password).unwrap();
    assert_eq!(verdict(&mut server, &signed(&mut client)), Accepted);
    assert_eq!(ha1(Algorithm::Md5, "a", "b", "c"), "02cc8f08398a4f3113b554e8105ebe4c");
}

#[test]
fn threat_05_unknown_user_and_wrong_password_look_the_same() {
    let mut server = server();
    let forged = signed(&mut phone(&mut server, "2101", "guess"));
    assert_eq!(verdict(&mut server, &forged), Wrong);
    let stranger = signed(&mut phone(&mut server, "9999", "guess"));
    assert_eq!(verdict(&mut server, &stranger), Wrong);
}

#[test]
fn threat_06_a_captured_request_is_not_played_twice() {
    let mut server = server();
    let mut client = phone(&mut server, "2101", "correct horse");
    let (first, second) = (signed(&mut client), signed(&mut client));
    assert_eq!(verdict(&mut server, &second), Accepted);
    assert_eq!(verdict(&mut server, &second), Stale);
    assert_eq!(verdict(&mut server, &first), Stale, "a lower count");
    assert_eq!(verdict(&mut server, &signed(&mut client)), Accepted);
}

#[test]
fn threat_06_a_nonce_is_for_its_peer_its_time_and_its_server() {
    let mut server = server();
    let request = signed(&mut phone(&mut server, "2101", "correct horse"));
    let elsewhere: IpAddr = "198.51.100.1".parse().unwrap();
    let from = |server: &mut Server, now, source| server.hears(now, source, &request);
    assert_eq!(from(&mut server, NOW, elsewhere), Stale);
    assert_eq!(from(&mut server, NOW + Duration::from_secs(3600), home()), Stale);
    assert_eq!(from(&mut Server::new([8; 32]), NOW, home()), Stale, "another key");
    assert_eq!(from(&mut server, NOW, home()), Accepted, "none of this used it up");
}

#[test]
fn threat_06_what_is_forgotten_is_stale_and_never_valid_again() {
    let mut server = server();
    let request = signed(&mut phone(&mut server, "2101", "correct horse"));
    assert_eq!(verdict(&mut server, &request), Accepted);
    // Time goes on, the first nonce is forgotten; then the clock is set back.
    let later = NOW + Duration::from_secs(1200);
    let fresh = signed(&mut phone_at(&mut server, later));
    assert_eq!(server.hears(later, home(), &fresh), Accepted);
    assert_eq!(verdict(&mut server, &request), Stale);
}

#[test]
fn threat_06_a_user_of_many_nonces_forgets_the_oldest_and_nobody_elses() {
    let mut server = server();
    let (first, other) = (
        signed(&mut phone(&mut server, "2101", "correct horse")),
        signed(&mut phone(&mut server, "2102", "battery staple")),
    );
    assert_eq!((verdict(&mut server, &first), verdict(&mut server, &other)), (Accepted, Accepted));
    for _ in 0..100 {
        let next = signed(&mut phone(&mut server, "2101", "correct horse"));
        assert_eq!(verdict(&mut server, &next), Accepted);
    }
    assert_eq!((verdict(&mut server, &first), verdict(&mut server, &other)), (Stale, Stale));
    let used = serde_json::to_string(&server.users["2101"].1).unwrap();
    assert!(used.len() < 1_000, "bounded: {used}");
    // Frozen and thawed it still knows: a restart lets nothing in.
    server.users.get_mut("2101").unwrap().1 = serde_json::from_str(&used).unwrap();
    assert_eq!(verdict(&mut server, &first), Stale);
    assert!(!server.users["2101"].1.is_empty(NOW) && server.users["2101"].1.is_empty(NOW * 2));
}

#[test]
fn threat_06_a_count_may_leave_gaps_and_no_chasms() {
    let mut server = server();
    let mut client = phone(&mut server, "2101", "correct horse");
    for _ in 0..9 {
        signed(&mut client);
    }
    assert_eq!(verdict(&mut server, &signed(&mut client)), Accepted, "nine requests were lost");
    for _ in 0..1_000 {
        signed(&mut client);
    }
    assert_eq!(verdict(&mut server, &signed(&mut client)), Stale, "a thousand were not");
}

#[test]
fn threat_06_the_request_uri_and_the_method_are_bound() {
    let mut server = server();
    let request = signed(&mut phone(&mut server, "2101", "correct horse"));
    let other = Edit::of(&request).request_uri(&uri("sip:+900123@pleiad.test")).message().unwrap();
    assert_eq!(verdict(&mut server, &other), Said::Malformed);
    let invite = String::from_utf8(request.to_bytes()).unwrap().replace("REGISTER", "INVITE");
    assert_eq!(verdict(&mut server, &Message::parse(invite.as_bytes()).unwrap()), Wrong);
    assert_eq!(verdict(&mut server, &request), Accepted);
}

#[test]
fn rfc_7616_3_4_6_the_digest_uri_is_the_request_uri_and_no_other_resource() {
    let mut server = server();
    let mut said = |signed: &str, target: &str| {
        let request = moved(&mut server, Method::Invite, signed, target);
        verdict(&mut server, &request)
    };
    for (signed, target) in [
        ("sip:2201@pleiad.test", "sip:2201@PLEIAD.test:5060"),
        ("sip:2201@pleiad.test;transport=tcp", "sip:2201@pleiad.test"),
        ("sip:%32201@pleiad.test", "sip:2201@pleiad.test;user=phone"),
        ("sip:pleiad.test", "sip:pleiad.test;transport=udp"),
        ("sip:192.0.2.1:5060", "sip:2201@192.0.2.1"),
    ] {
        assert_eq!(said(signed, target), Accepted, "{signed} for {target}");
    }
    for (signed, target) in [
        ("sip:pleiad.test", "sip:2201@pleiad.test"),
        ("sip:2201@pleiad.test", "sip:2202@pleiad.test"),
        ("sip:2201@pleiad.test", "sip:2201@elsewhere.test"),
        ("sip:2201@pleiad.test", "sip:2201@pleiad.test:5070"),
        ("sip:2201@pleiad.test", "sips:2201@pleiad.test"),
        ("sip:2201@pleiad.test;transport=tcp", "sip:2201@pleiad.test;transport=udp"),
        ("sip:2201@pleiad.test?Route=x", "sip:2201@pleiad.test"),
        ("sip:192.0.2.1", "sip:2201@192.0.2.2"),
        ("tel:2201", "sip:2201@pleiad.test"),
        ("*", "sip:2201@pleiad.test"),
    ] {
        assert_eq!(said(signed, target), Said::Malformed, "{signed} for {target}");
    }
}

#[test]
fn header_bombs_in_credentials_are_refused() {
    let mut server = server();
    let request = signed(&mut phone(&mut server, "2101", "correct horse"));
    let value = request.header(Name::Authorization).unwrap().to_owned();
    let with = |value: &str| Edit::of(&request).set(Name::Authorization, value).message().unwrap();
    let params: String = (0..40).map(|number| format!(", p{number}=x")).collect();
    let bombs = [
        format!("{value}{params}"),
        format!("{value}, p=\"{}\"", "x".repeat(4_000)),
        value.replace("2101", &"2".repeat(300)),
        value.replace("cnonce=\"cnonce\"", &format!("cnonce=\"{}\"", "c".repeat(300))),
        format!("{value}, {value}"),
        value.replace(", nonce", ",,,,, nonce"),
    ];
    for bomb in &bombs {
        assert_eq!(verdict(&mut server, &with(bomb)), Said::Malformed, "{bomb}");
    }
    let lines = (0..9).fold(Edit::of(&request), |edit, _| edit.add(Name::Authorization, &value));
    assert_eq!(verdict(&mut server, &lines.message().unwrap()), Said::Malformed);
    assert_eq!(verdict(&mut server, &request), Accepted, "none of this used the nonce up");
}

#[test]
fn rfc_7616_3_4_4_a_hashed_user_name_was_never_asked_for() {
    let mut server = server();
    let request = signed(&mut phone(&mut server, "2101", "correct horse"));
    let value = format!("{}, userhash=true", request.header(Name::Authorization).unwrap());
    let hashed = Edit::of(&request).set(Name::Authorization, value).message().unwrap();
    assert_eq!(verdict(&mut server, &hashed), Missing);
}

#[test]
fn threat_05_an_unknown_user_costs_the_same_time_as_a_wrong_password() {
    let mut server = server();
    let wrong = signed(&mut phone(&mut server, "2101", "a wrong guess"));
    let unknown = signed(&mut phone(&mut server, "9999", "a wrong guess"));
    let mut spent = [Vec::new(), Vec::new()];
    for _ in 0..4_000 {
        for (request, spent) in [&wrong, &unknown].into_iter().zip(&mut spent) {
            let begun = Instant::now();
            assert_eq!(verdict(&mut server, request), Wrong);
            spent.push(begun.elapsed());
        }
    }
    let [wrong, unknown] = spent.map(|mut spent| {
        spent.sort();
        spent[spent.len() / 2].as_secs_f64()
    });
    assert!((0.8..1.25).contains(&(wrong / unknown)), "{wrong} s and {unknown} s");
}

#[test]
fn threat_06_without_qop_for_another_realm_or_scheme_there_are_no_credentials() {
    let mut server = server();
    let request = signed(&mut phone(&mut server, "2101", "correct horse"));
    let value = request.header(Name::Authorization).unwrap().to_owned();
    let with = |value: String| Edit::of(&request).set(Name::Authorization, value).message().unwrap();
    let missing = [
        value.replace(", qop=auth", ""),
        value.replace("qop=auth,", "qop=auth-int,"),
        value.replace(REALM, "elsewhere"),
        value.replace("SHA-256", "SHA-512-256"),
        value.replace("Digest", "Basic"),
    ];
    for value in missing {
        assert_eq!(verdict(&mut server, &with(value.clone())), Missing, "{value}");
    }
    let malformed = [
        value.replace("nc=00000001", "nc=1"),
        value.replace("nc=00000001", "nc=00000001, nc=00000002"),
        value.replace("cnonce=", "conce="),
        value.replace("username=\"2101\"", "username=\"2101"),
    ];
    for value in malformed {
        assert_eq!(verdict(&mut server, &with(value.clone())), Said::Malformed, "{value}");
    }
    assert_eq!(
        verdict(&mut server, &Edit::of(&request).remove(Name::Authorization).message().unwrap()),
        Missing
    );
}

#[test]
fn credentials_for_a_foreign_realm_do_not_hide_ours() {
    let mut server = server();
    let request = signed(&mut phone(&mut server, "2101", "correct horse"));
    let ours = request.header(Name::Authorization).unwrap().to_owned();
    let foreign = ours.replace(REALM, "elsewhere");
    let both = Edit::of(&request)
        .set(Name::Authorization, foreign)
        .add(Name::Authorization, ours)
        .message()
        .unwrap();
    assert_eq!(verdict(&mut server, &both), Accepted);
}

#[test]
fn no_secret_is_printed() {
    let client = phone(&mut server(), "2101", "correct horse");
    let texts = [
        format!("{:?}", server().users),
        format!("{:?}", Password::Plain("p4ss".to_owned())),
        format!("{:?}", server().challenger),
    ];
    assert!(texts.iter().all(|text| !text.contains("p4ss") && !text.contains("090909")));
    assert!(!format!("{client:?}").contains(&ha1(Algorithm::Sha256, "2101", REALM, "correct horse")));
}
