//! The headers of the extensions: read as they come, printed as they must go.

use crate::support::{request, request_with, response, uri};
use sip::headers::{
    Diversion, DiversionReason, Event, HistoryInfo, MinSe, Privacy, RAck, Reason, Refresher, Replaces,
    SessionExpires, SessionId, SubscriptionState, Substate, option_tag, refer,
};
use sip::{CSeq, Dialog, Fault, HeaderValue, Message, Method, Name, NameAddr, Response, Status};

const BRANCH: &str = "z9hG4bKh1";

fn with(name: Name, value: &str) -> Message {
    request_with(Method::Invite, BRANCH).header(name, value).message().unwrap()
}

fn reads<V: HeaderValue>(value: &str) -> Option<V> {
    with(V::NAME, value).typed().ok().flatten()
}

#[test]
fn rfc3262_a_rack_names_the_response_it_confirms() {
    let invite = request(Method::Invite, BRANCH);
    let ringing = Response::to(&invite, Status::RINGING)
        .to_tag("b1")
        .header(Name::Require, option_tag::REL100)
        .header(Name::RSeq, 7_719)
        .message()
        .unwrap();
    let rack = RAck::of(&ringing).unwrap();
    assert_eq!(rack.to_string(), "7719 1 INVITE");
    assert_eq!(reads::<RAck>("7719  1 INVITE"), Some(rack));
    assert_eq!(RAck::of(&response(&invite, Status::RINGING)), None);
    for bad in ["0 1 INVITE", "7719 INVITE", "7719 1", "x 1 INVITE", "4294967296 1 INVITE", "1 1 INVITE x"] {
        assert_eq!(with(Name::RAck, bad).typed::<RAck>(), Err(Fault::Header(Name::RAck)), "{bad}");
    }
    let cseq = CSeq { number: 1, method: Method::Invite };
    assert_eq!(RAck { rseq: 1, cseq }.to_string(), "1 1 INVITE");
}

#[test]
fn rfc3891_replaces_names_a_dialog_from_the_side_of_its_receiver() {
    let invite = request(Method::Invite, BRANCH);
    let caller = Dialog::as_caller(&invite, &response(&invite, Status::OK)).unwrap();
    let called = Dialog::as_callee(&invite, "b1").unwrap();
    let replaces = Replaces::peer_of(&caller);
    assert_eq!(replaces.to_string(), "c1@192.0.2.7;to-tag=b1;from-tag=a1");
    assert!(replaces.names(&called));
    assert!(!replaces.names(&caller));
    let read: Replaces = reads("c1@192.0.2.7 ; from-tag=a1;to-tag=b1 ;early-only").unwrap();
    assert!(read.early_only && read.names(&called));
    assert!(read.to_string().ends_with(";early-only"));
    for bad in
        ["c1;to-tag=b1", "c1;to-tag=b1;to-tag=b2;from-tag=a1", ";to-tag=b;from-tag=a", "c;to-tag;from-tag=a"]
    {
        assert_eq!(reads::<Replaces>(bad), None, "{bad}");
    }
}

#[test]
fn rfc3891_two_replaces_headers_are_refused() {
    let line = "c1;to-tag=b1;from-tag=a1";
    let twice =
        request_with(Method::Invite, BRANCH).header(Name::Replaces, line).header(Name::Replaces, line);
    assert_eq!(twice.message().unwrap().typed::<Replaces>(), Err(Fault::Repeated(Name::Replaces)));
}

#[test]
fn rfc3515_a_refer_to_carries_a_replaces_in_its_uri() {
    let replaces = Replaces {
        call_id: "98732@sip.example.com".to_owned(),
        to_tag: "r33".to_owned(),
        from_tag: "a%1".to_owned(),
        early_only: false,
    };
    let target = uri("sip:2201@pleiad.test").with_header("Replaces", &replaces.to_string());
    let refer = request_with(Method::Refer, BRANCH).header(Name::ReferTo, NameAddr::new(target));
    let refer = refer.message().unwrap();
    let read = refer.address(Name::ReferTo).unwrap().unwrap();
    assert_eq!(Replaces::of_uri(&read.uri), Ok(Some(replaces)));
    assert_eq!(Replaces::of_uri(&uri("sip:2201@pleiad.test")), Ok(None));
    let broken = uri("sip:2201@pleiad.test?Replaces=c1%3Bto-tag%3Da");
    assert_eq!(Replaces::of_uri(&broken), Err(Fault::Header(Name::Replaces)));
    assert!(read.uri.for_request_line().headers.is_none());
}

#[test]
fn rfc3515_the_progress_of_a_refer_is_a_fragment_of_a_response() {
    let body = refer::sipfrag(Status::RINGING);
    assert_eq!(body, b"SIP/2.0 180 Ringing\r\n");
    assert_eq!(refer::read_sipfrag(&body), Some(Status::RINGING));
    assert_eq!(refer::read_sipfrag(b"SIP/2.0 200"), Some(Status::OK));
    for bad in [&b""[..], b"SIP/2.0 99 No", b"INVITE sip:a SIP/2.0", b"\xff"] {
        assert_eq!(refer::read_sipfrag(bad), None);
    }
    assert!(refer::wants_no_subscription(&with(Name::ReferSub, "False ;x=y")));
    assert!(!refer::wants_no_subscription(&request(Method::Refer, BRANCH)));
}

#[test]
fn rfc4028_a_session_interval_says_who_refreshes() {
    let read: SessionExpires = reads("1800 ;refresher=UAC;x=1").unwrap();
    assert_eq!(read, SessionExpires { interval_s: 1800, refresher: Some(Refresher::Uac) });
    assert_eq!(read.to_string(), "1800;refresher=uac");
    assert_eq!(reads::<SessionExpires>("90").map(|it| it.refresher), Some(None));
    assert_eq!(SessionExpires { interval_s: 90, refresher: None }.to_string(), "90");
    for bad in ["", "-1", "4294967296", "90;refresher", "90;refresher=me", "90 91"] {
        assert_eq!(reads::<SessionExpires>(bad), None, "{bad}");
    }
    assert_eq!(reads::<MinSe>("120;x=1"), Some(MinSe(120)));
    assert_eq!(MinSe(90).to_string(), "90");
}

#[test]
fn rfc6665_an_event_is_a_package_and_an_id() {
    let read: Event = reads("dialog ;id=7;sla").unwrap();
    assert_eq!((read.package.as_str(), read.id()), ("dialog", Some("7")));
    assert!(read.same_as(&Event::new("dialog").with_id("7")));
    assert!(!read.same_as(&Event::new("dialog")));
    assert!(!Event::new("Dialog").same_as(&Event::new("dialog")));
    assert_eq!(read.to_string(), "dialog;id=7;sla");
    let compact = "SUBSCRIBE sip:2201@pleiad.test SIP/2.0\r\nv: SIP/2.0/UDP 192.0.2.7;branch=z9hG4bK1\r\n\
                   f: <sip:a@b>;tag=1\r\nt: <sip:2201@pleiad.test>\r\ni: 1\r\nCSeq: 1 SUBSCRIBE\r\n\
                   o: message-summary\r\nu: dialog, refer\r\nl: 0\r\n\r\n";
    let subscribe = Message::parse(compact.as_bytes()).unwrap();
    assert_eq!(subscribe.typed::<Event>(), Ok(Some(Event::new("message-summary"))));
    assert!(subscribe.has_option(Name::AllowEvents, "refer"));
}

#[test]
fn rfc6665_a_subscription_lives_or_has_ended_for_a_reason() {
    let live: SubscriptionState = reads("Active; expires=3599").unwrap();
    assert_eq!((&live.state, live.expires_s()), (&Substate::Active, Some(3599)));
    assert_eq!(SubscriptionState::active(600).to_string(), "active;expires=600");
    let over: SubscriptionState = reads("terminated;reason=probation;retry-after=30").unwrap();
    assert_eq!((over.state.clone(), over.retry_after_s()), (Substate::Terminated, Some(30)));
    assert_eq!(over.reason().as_deref(), Some("probation"));
    assert_eq!(SubscriptionState::terminated("timeout").to_string(), "terminated;reason=timeout");
    assert!(matches!(reads("waiting"), Some(SubscriptionState { state: Substate::Other(_), .. })));
    assert_eq!(reads::<SubscriptionState>("active;expires=1;expires=2"), None);
}

#[test]
fn rfc3323_privacy_is_a_list_of_wishes() {
    let read: Privacy = reads("user; id ;critical").unwrap();
    assert_eq!(read, Privacy { user: true, id: true, critical: true, ..Privacy::default() });
    assert!(read.hides_the_caller());
    assert_eq!(read.to_string(), "user;id;critical");
    assert_eq!(Privacy::ID.to_string(), "id");
    assert!(!reads::<Privacy>("none").unwrap().hides_the_caller());
    assert!(!reads::<Privacy>("session").unwrap().hides_the_caller());
    assert_eq!(reads::<Privacy>("id, history"), Some(Privacy { history: true, ..Privacy::ID }));
    assert_eq!(reads::<Privacy>("id;;user"), None);
}

#[test]
fn rfc3326_a_reason_has_a_protocol_and_a_number() {
    let list = "SIP ;cause=200 ;text=\"Call completed elsewhere\", Q.850;cause=17;text=\"User, busy\"";
    let read: Vec<Reason> = with(Name::Reason, list).typed_list().unwrap();
    assert_eq!(read.iter().map(Reason::cause).collect::<Vec<_>>(), [Some(200), Some(17)]);
    assert!(read[0].is("sip") && read[1].is("q.850"));
    assert_eq!(Reason::q850(17, "User busy").to_string(), "Q.850;cause=17;text=\"User busy\"");
    assert_eq!(Reason::sip(Status::OK, "").to_string(), "SIP;cause=200");
    assert_eq!(
        with(Name::Reason, "SIP;cause=1;cause=2").typed_list::<Reason>(),
        Err(Fault::Header(Name::Reason))
    );
}

#[test]
fn rfc7989_a_session_id_has_two_halves() {
    let one = "ab30317f1a784dc48ff824d0d3715d86";
    let read: SessionId = reads(&format!("{};remote={}", one.to_uppercase(), SessionId::NIL)).unwrap();
    assert_eq!(read, SessionId::new(one, SessionId::NIL));
    assert_eq!(read.to_string(), format!("{one};remote={}", SessionId::NIL));
    assert_eq!(reads::<SessionId>(one).map(|id| id.to_string()), Some(one.to_owned()));
    for bad in ["", "ab30", &format!("{one};remote=1"), &format!("{one}0")] {
        assert_eq!(reads::<SessionId>(bad), None, "{bad}");
    }
}

#[test]
fn rfc5806_a_diversion_says_who_why_and_how_often() {
    let list = "<sip:2301@pleiad.test>;reason=user-busy;counter=2;privacy=full, \
                \"Bob\" <tel:+431234>;reason=\"No-Answer\"";
    let read: Vec<Diversion> = with(Name::Diversion, list).typed_list().unwrap();
    assert_eq!(read[0].reason(), DiversionReason::UserBusy);
    assert_eq!(read.iter().map(Diversion::counter).sum::<u32>(), 3);
    assert_eq!(read[1].reason(), DiversionReason::NoAnswer);
    assert!(read[0].is_private() && !read[1].is_private());
    let ours = Diversion::new(uri("sip:2201@pleiad.test"), DiversionReason::Unconditional);
    assert_eq!(ours.to_string(), "<sip:2201@pleiad.test>;reason=unconditional;counter=1");
}

#[test]
fn rfc7044_a_history_says_where_the_call_has_been() {
    let list = "<sip:2201@pleiad.test?Reason=SIP%3Bcause%3D302&Privacy=history>;index=1;foo, \
                <sip:2301@pleiad.test;cause=486>;index=1.1;mp=1";
    let read: Vec<HistoryInfo> = with(Name::HistoryInfo, list).typed_list().unwrap();
    assert_eq!(read[0].index, [1]);
    assert_eq!((read[0].cause(), read[0].is_private()), (Some(302), true));
    assert_eq!(read[1].index, [1, 1]);
    assert_eq!(read[1].cause().map(DiversionReason::of_cause), Some(DiversionReason::UserBusy));
    assert!(!read[1].is_private());
    let ours = HistoryInfo::new(uri("sip:2401@pleiad.test"), &[1, 1, 1]);
    let ours = ours.diverted_from(&[1, 1], DiversionReason::NoAnswer);
    assert_eq!(ours.to_string(), "<sip:2401@pleiad.test;cause=408>;index=1.1.1;mp=1.1");
    for bad in ["<sip:a@b>", "<sip:a@b>;index=", "<sip:a@b>;index=1..2", "<sip:a@b>;index=a"] {
        assert!(with(Name::HistoryInfo, bad).typed_list::<HistoryInfo>().is_err(), "{bad}");
    }
}

#[test]
fn rfc5626_a_contact_says_which_device_and_which_connection() {
    let text = "<sip:2101@192.0.2.7;ob>;reg-id=2;+sip.instance=\"<urn:uuid:0a>\"";
    let contact = NameAddr::parse(text).unwrap();
    assert!(contact.uri.is_outbound());
    assert_eq!(contact.reg_id(), Some(2));
    assert_eq!(contact.instance().as_deref(), Some("<urn:uuid:0a>"));
    assert_eq!(NameAddr::parse("<sip:a@b>;reg-id=0").unwrap().reg_id(), None);
}

#[test]
fn what_is_printed_is_read_back() {
    let typed = request_with(Method::Invite, BRANCH)
        .typed(&SessionExpires { interval_s: 1800, refresher: Some(Refresher::Uas) })
        .typed(&Privacy::ID)
        .typed(&Event::new("refer").with_id("93809824"))
        .message()
        .unwrap();
    let interval = typed.typed::<SessionExpires>().unwrap().unwrap();
    assert_eq!((interval.interval_s, interval.refresher), (1800, Some(Refresher::Uas)));
    assert_eq!(typed.typed::<Privacy>(), Ok(Some(Privacy::ID)));
    assert_eq!(typed.typed::<Event>().unwrap().unwrap().id(), Some("93809824"));
}
