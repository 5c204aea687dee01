//! Requests that are refused before they become anything, each as its RFC has it, and nothing is changed by them.

use crate::world::{World, told};
use sip::{Message, Method, Name, Uri};

/// What 2101 is answered to an INVITE-like request with these lines changed.
fn answer_to(world: &mut World, change: impl Fn(String) -> String) -> Message {
    let uri = Uri::parse("sip:2102@pleiad.test").unwrap();
    let phone = world.phone("2101");
    let draft = phone.draft(Method::Invite, &uri, 1, "odd-request", "t").contact(&phone.contact());
    let text = String::from_utf8(draft.body("application/sdp", b"v=0\r\n").bytes()).unwrap();
    world.phone("2101").last_response = None;
    world.datagram("2101", change(text).into_bytes());
    world.wait_ms(400);
    let answer = world.phone("2101").last_response.clone().expect("an answer");
    assert!(world.members[&1].edge.calls().is_empty() && world.records.is_empty(), "nothing came of it");
    assert_eq!(world.phone("2102").heard, Vec::<String>::new());
    answer
}

fn status(answer: &Message) -> u16 {
    answer.status().unwrap().code()
}

#[test]
fn an_invite_without_proof_is_challenged_with_sha_256_first() {
    told(|world| {
        let answer = answer_to(world, |text| text);
        assert_eq!(status(&answer), 407);
        let challenges: Vec<&str> = answer.headers(Name::ProxyAuthenticate).collect();
        assert!(challenges[0].contains("SHA-256") && challenges[1].contains("MD5"), "{challenges:?}");
    });
}

#[test]
fn options_are_answered_with_what_we_understand() {
    told(|world| {
        let answer = answer_to(world, |text| text.replace("INVITE", "OPTIONS"));
        assert_eq!(status(&answer), 200);
        let allow = answer.header(Name::Allow).unwrap();
        assert!(["INVITE", "PRACK", "UPDATE"].iter().all(|method| allow.contains(method)), "{allow}");
        assert!(answer.has_option(Name::Supported, "100rel") && answer.has_option(Name::Supported, "timer"));
        assert_eq!(answer.header(Name::Accept), Some("application/sdp"));
    });
}

#[test]
fn an_unknown_method_is_405_with_allow() {
    told(|world| {
        for method in ["PUBLISH", "DANCE"] {
            let answer = answer_to(world, |text| text.replace("INVITE", method));
            assert_eq!(status(&answer), 405, "{method}");
            assert!(answer.header(Name::Allow).is_some());
        }
    });
}

#[test]
fn a_body_that_is_no_sdp_is_415_with_accept() {
    told(|world| {
        let answer = answer_to(world, |text| text.replace("application/sdp", "text/plain"));
        assert_eq!(status(&answer), 415);
        assert_eq!(answer.header(Name::Accept), Some("application/sdp"));
    });
}

#[test]
fn a_foreign_uri_scheme_is_416() {
    told(|world| {
        let answer = answer_to(world, |text| text.replacen("sip:2102@pleiad.test", "http://pleiad.test", 1));
        assert_eq!(status(&answer), 416);
    });
}

#[test]
fn an_extension_that_is_required_and_unknown_is_420_and_names_it_alone() {
    told(|world| {
        let answer =
            answer_to(world, |text| text.replace("\r\nCSeq", "\r\nRequire: 100rel, dancing\r\nCSeq"));
        assert_eq!(status(&answer), 420);
        assert_eq!(answer.header(Name::Unsupported), Some("dancing"));
    });
}

#[test]
fn a_request_of_a_dialog_that_is_not_there_is_481() {
    told(|world| {
        let answer = answer_to(world, |text| {
            let text = text.replace("INVITE", "BYE");
            text.replace("To: <sip:2102@pleiad.test>", "To: <sip:2102@pleiad.test>;tag=gone")
        });
        assert_eq!(status(&answer), 481);
    });
}

#[test]
fn a_cancel_of_nothing_is_481() {
    told(|world| {
        let answer = answer_to(world, |text| text.replace("INVITE", "CANCEL"));
        assert_eq!(status(&answer), 481);
    });
}

#[test]
fn a_body_over_the_limit_is_513() {
    told(|world| {
        let answer = answer_to(world, |text| {
            let body = "v=0\r\n".to_owned() + &"a=x\r\n".repeat(4_000);
            let (head, _) = text.split_once("\r\n\r\n").unwrap();
            let head = head.replace("Content-Length: 5", &format!("Content-Length: {}", body.len()));
            format!("{head}\r\n\r\n{body}")
        });
        assert_eq!(status(&answer), 513);
    });
}

#[test]
fn an_invite_without_a_contact_is_400() {
    told(|world| {
        let answer = answer_to(world, |text| {
            let lines: Vec<&str> = text.split("\r\n").filter(|line| !line.starts_with("Contact")).collect();
            lines.join("\r\n")
        });
        assert_eq!(status(&answer), 400);
    });
}

#[test]
fn a_copy_of_a_request_that_came_another_way_is_482() {
    told(|world| {
        world.phone("2101").call("2102");
        world.wait_ms(300);
        let invite = world.phone("2101").last_invite();
        let copy = invite.replacen("branch=z9hG4bK", "branch=z9hG4bKcopy", 1);
        world.phone("2101").last_response = None;
        world.datagram("2101", copy.into_bytes());
        world.wait_ms(300);
        assert_eq!(status(&world.phone("2101").last_response.clone().unwrap()), 482);
        assert_eq!(world.phone("2102").times("INVITE"), 1);
    });
}

#[test]
fn hops_are_counted_through_the_b2bua_and_end_in_483() {
    told(|world| {
        world.phone("2101").max_forwards = Some(0);
        world.phone("2101").call("2102");
        world.wait_ms(300);
        assert!(world.phone("2101").heard("483/25"), "{:?}", world.phone("2101").heard);
        // One hop reaches the edge's own phones, and is used up before the next member.
        world.records.clear();
        world.phone("2101").max_forwards = Some(1);
        world.phone("2101").call("2201");
        world.wait_ms(300);
        assert_eq!(world.phone("2101").times("483/25"), 2, "{:?}", world.phone("2101").heard);
        world.all_idle();
    });
}

#[test]
fn a_request_over_1300_bytes_reaches_a_udp_phone() {
    told(|world| {
        world.phone("2101").long_words = true;
        world.phone("2101").call("2201");
        world.wait_ms(300);
        assert!(world.phone("2101").heard("180"));
        assert!(world.phone("2201").sdp[0].len() > 1_300);
    });
}

#[test]
fn what_the_caller_offers_arrives_as_it_was_telephone_event_and_all() {
    let sdp = "v=0\r\no=- 1 1 IN IP4 192.168.1.7\r\ns=-\r\nc=IN IP4 192.168.1.7\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8 101\r\n\
               a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\n";
    told(|world| {
        world.phone("2101").exact_words = Some(sdp.to_owned());
        world.phone("2101").call("2201");
        world.wait_ms(300);
        assert_eq!(world.phone("2201").last_body, sdp.as_bytes());
    });
}

#[test]
fn another_domain_is_not_ours() {
    told(|world| {
        world.phone("2101").domain = "elsewhere.example".to_owned();
        world.phone("2101").call("2102");
        world.wait_ms(300);
        assert!(world.phone("2101").heard("404/1"), "{:?}", world.phone("2101").heard);
        assert_eq!(world.phone("2102").heard, Vec::<String>::new());
    });
}

#[test]
fn a_stranger_inside_a_dialog_is_481() {
    told(|world| {
        crate::inside::talk(world, "2101", "2102");
        // 2002 knows nothing of the tags and says BYE with guessed ones.
        let uri = Uri::parse("sip:2101@pleiad.test").unwrap();
        let request = world.phone("2002").draft(Method::Bye, &uri, 9, "guessed", "t");
        world.phone("2002").send(request);
        world.wait_ms(300);
        assert!(world.records.is_empty());
        world.phone("2101").hang_up();
        world.wait_ms(300);
        assert!(world.phone("2102").heard("BYE/16"));
    });
}

#[test]
fn a_forged_200_is_not_worth_a_packet() {
    told(|world| {
        let invite = {
            world.phone("2101").call("2102");
            world.wait_ms(300);
            world.phone("2101").last_invite()
        };
        let (_, head) = invite.split_once("\r\n").unwrap();
        let forged = format!("SIP/2.0 200 OK\r\n{}", head.replace("branch=z9hG4bK", "branch=z9hG4bKforged"));
        world.phone("2101").cancel();
        world.wait_ms(40_000);
        world.plug_in("2199", sip::Transport::Udp);
        world.wire.clear();
        world.datagram("2199", forged.into_bytes());
        world.wait_ms(5_000);
        assert!(world.wire.iter().all(|(number, _)| number != "2199"), "{:?}", world.wire);
    });
}
