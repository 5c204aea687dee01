//! Digest: what a phone proves, and what an attacker does not.

use crate::support::{request, request_with, uri};
use sip::digest::{Algorithm, Challenger, Client, Password, Secrets, Verdict, ha1};
use sip::{Edit, Message, Method, Name, Response, Status};
use std::net::IpAddr;
use std::time::Duration;

const REALM: &str = "ab12cd";
const NOW: Duration = Duration::from_secs(1_700_000_000);
const URI: &str = "sip:2201@pleiad.test";

fn home() -> IpAddr {
    "192.0.2.7".parse().unwrap()
}

fn server() -> Challenger {
    Challenger::new(REALM, [9; 32])
}

fn stored(user: &str) -> Option<Secrets> {
    (user == "2101").then(|| Secrets::of("2101", REALM, "correct horse"))
}

fn challenge(server: &mut Challenger, only: Option<Algorithm>) -> Message {
    let mut response = Response::to(&request(Method::Register, "z9hG4bK1"), Status::UNAUTHORIZED).to_tag("x");
    for value in server.challenges(NOW, home(), false) {
        if only.is_none_or(|algorithm| value.contains(&format!("algorithm={},", algorithm.as_str()))) {
            response = response.header(Name::WwwAuthenticate, value);
        }
    }
    response.message().unwrap()
}

fn phone(server: &mut Challenger, user: &str, password: &str) -> Client {
    Client::challenged(&challenge(server, None), user, &Password::Plain(password.to_owned())).unwrap()
}

fn signed(client: &mut Client) -> Message {
    let (name, value) = client.authorization(&Method::Register, URI, "cnonce");
    request_with(Method::Register, "z9hG4bK2").header(name, value).message().unwrap()
}

fn verdict(server: &mut Challenger, request: &Message) -> Verdict {
    server.verify(NOW, home(), request, Name::Authorization, stored)
}

fn accepted() -> Verdict {
    Verdict::Accepted { user: "2101".to_owned() }
}

fn wrong(user: &str) -> Verdict {
    Verdict::Wrong { user: user.to_owned() }
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
    let challenges = server.challenges(NOW, home(), false);
    assert!(challenges[0].contains("algorithm=SHA-256") && challenges[1].contains("algorithm=MD5"));
    assert!(challenges.iter().all(|value| value.contains("qop=\"auth\"") && !value.contains("stale")));
    let request = signed(&mut phone(&mut server, "2101", "correct horse"));
    assert!(request.header(Name::Authorization).unwrap().contains("algorithm=SHA-256"));
    assert_eq!(verdict(&mut server, &request), accepted());
}

#[test]
fn a_phone_that_knows_only_md5_is_let_in() {
    let mut server = server();
    let refusal = challenge(&mut server, Some(Algorithm::Md5));
    let password = Password::Stored(Secrets::of("2101", REALM, "correct horse"));
    let mut client = Client::challenged(&refusal, "2101", &password).unwrap();
    assert_eq!(verdict(&mut server, &signed(&mut client)), accepted());
    assert_eq!(ha1(Algorithm::Md5, "a", "b", "c"), "02cc8f08398a4f3113b554e8105ebe4c");
}

#[test]
fn unknown_user_and_wrong_password_look_the_same() {
    let mut server = server();
    let forged = signed(&mut phone(&mut server, "2101", "guess"));
    assert_eq!(verdict(&mut server, &forged), wrong("2101"));
    let stranger = signed(&mut phone(&mut server, "9999", "guess"));
    assert_eq!(verdict(&mut server, &stranger), wrong("9999"));
}

#[test]
fn a_captured_request_is_not_played_twice() {
    let mut server = server();
    let mut client = phone(&mut server, "2101", "correct horse");
    let (first, second) = (signed(&mut client), signed(&mut client));
    assert_eq!(verdict(&mut server, &second), accepted());
    assert_eq!(verdict(&mut server, &second), Verdict::Stale);
    assert_eq!(verdict(&mut server, &first), Verdict::Stale, "a lower count");
    assert_eq!(verdict(&mut server, &signed(&mut client)), accepted());
}

#[test]
fn a_nonce_is_for_its_peer_its_time_and_its_server() {
    let mut server = server();
    let request = signed(&mut phone(&mut server, "2101", "correct horse"));
    let elsewhere: IpAddr = "198.51.100.1".parse().unwrap();
    let from = |server: &mut Challenger, now, source| {
        server.verify(now, source, &request, Name::Authorization, stored)
    };
    assert_eq!(from(&mut server, NOW, elsewhere), Verdict::Stale);
    assert_eq!(from(&mut server, NOW + Duration::from_secs(3600), home()), Verdict::Stale);
    assert_eq!(from(&mut Challenger::new(REALM, [8; 32]), NOW, home()), Verdict::Stale, "another key");
    assert_eq!(from(&mut server, NOW, home()), accepted(), "none of this used it up");
}

#[test]
fn what_is_forgotten_is_stale_and_never_valid_again() {
    let mut server = server();
    let request = signed(&mut phone(&mut server, "2101", "correct horse"));
    assert_eq!(verdict(&mut server, &request), accepted());
    let later = NOW + Duration::from_secs(599);
    let mut last = phone(&mut server, "2101", "correct horse");
    assert_eq!(server.verify(later, home(), &signed(&mut last), Name::Authorization, stored), accepted());
    // Time goes on, the first nonce is forgotten; then the clock is set back.
    let much_later = NOW + Duration::from_secs(1200);
    let fresh = server.challenges(much_later, home(), false);
    let refusal = Response::to(&request, Status::UNAUTHORIZED)
        .header(Name::WwwAuthenticate, &fresh[0])
        .message()
        .unwrap();
    let mut fresh =
        Client::challenged(&refusal, "2101", &Password::Plain("correct horse".to_owned())).unwrap();
    assert_eq!(
        server.verify(much_later, home(), &signed(&mut fresh), Name::Authorization, stored),
        accepted()
    );
    assert_eq!(verdict(&mut server, &request), Verdict::Stale);
}

#[test]
fn the_request_uri_and_the_method_are_bound() {
    let mut server = server();
    let request = signed(&mut phone(&mut server, "2101", "correct horse"));
    let other = Edit::of(&request).request_uri(&uri("sip:+900123@pleiad.test")).message().unwrap();
    assert_eq!(verdict(&mut server, &other), wrong("2101"));
    let invite = String::from_utf8(request.to_bytes()).unwrap().replace("REGISTER", "INVITE");
    assert_eq!(verdict(&mut server, &Message::parse(invite.as_bytes()).unwrap()), wrong("2101"));
    assert_eq!(verdict(&mut server, &request), accepted());
}

#[test]
fn without_qop_for_another_realm_or_scheme_there_are_no_credentials() {
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
        assert_eq!(verdict(&mut server, &with(value.clone())), Verdict::Missing, "{value}");
    }
    let malformed = [
        value.replace("nc=00000001", "nc=1"),
        value.replace("nc=00000001", "nc=00000001, nc=00000002"),
        value.replace("cnonce=", "conce="),
        value.replace("username=\"2101\"", "username=\"2101"),
    ];
    for value in malformed {
        assert_eq!(verdict(&mut server, &with(value.clone())), Verdict::Malformed, "{value}");
    }
    assert_eq!(
        verdict(&mut server, &Edit::of(&request).remove(Name::Authorization).message().unwrap()),
        Verdict::Missing
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
    assert_eq!(verdict(&mut server, &both), accepted());
}

#[test]
fn no_secret_is_printed() {
    let client = phone(&mut server(), "2101", "correct horse");
    let texts = [
        format!("{:?}", stored("2101")),
        format!("{:?}", Password::Plain("p4ss".to_owned())),
        format!("{:?}", server()),
    ];
    assert!(texts.iter().all(|text| !text.contains("p4ss") && !text.contains("090909")));
    assert!(!format!("{client:?}").contains(&ha1(Algorithm::Sha256, "2101", REALM, "correct horse")));
}
