//! Dialogs: both ends of one call make the same dialog, seen from two sides.

use crate::support::{request_with, response, uri};
use sip::dialog::{OutOfOrder, Stage};
use sip::{Dialog, Edit, Fault, Host, Message, Method, Name, NameAddr, Response, Status, Via};

fn via(branch: &str) -> Via {
    Via::new("UDP", Host::Name("host.test".to_owned()), None, branch)
}

fn invite() -> Message {
    request_with(Method::Invite, "z9hG4bKi")
        .header(Name::RecordRoute, "<sip:p2.test;lr>, <sip:p1.test;lr>")
        .message()
        .unwrap()
}

fn both_ends() -> (Dialog, Dialog) {
    let invite = invite();
    let caller = Dialog::as_caller(&invite, &response(&invite, Status::RINGING)).unwrap();
    let callee = Dialog::as_callee(&invite, "b1").unwrap();
    (caller, callee)
}

#[test]
fn rfc_3261_12_1_both_ends_know_each_other() {
    let (caller, callee) = both_ends();
    assert_eq!((caller.local_tag(), caller.remote_tag()), ("a1", "b1"));
    assert_eq!((callee.local_tag(), callee.remote_tag()), ("b1", "a1"));
    assert_eq!(caller.target, uri("sip:2201@192.0.2.9"));
    assert_eq!(callee.target, uri("sip:2101@192.0.2.7:5060"));
    let hosts =
        |dialog: &Dialog| dialog.route_set.iter().map(|hop| hop.uri.host.to_string()).collect::<Vec<_>>();
    assert_eq!(hosts(&caller), ["p1.test", "p2.test"]);
    assert_eq!(hosts(&callee), ["p2.test", "p1.test"]);
    assert_eq!((caller.stage, callee.stage), (Stage::Early, Stage::Early));
}

#[test]
fn rfc_3261_12_2_1_1_a_request_inside_goes_the_way_the_dialog_was_made() {
    let (mut caller, mut callee) = both_ends();
    let hold = caller.request(Method::Invite, &via("z9hG4bK2")).message().unwrap();
    assert_eq!(hold.cseq().number, 2);
    assert_eq!(hold.request_uri(), Some(&caller.target));
    assert_eq!(hold.list(Name::Route).collect::<Vec<_>>(), ["<sip:p1.test;lr>", "<sip:p2.test;lr>"]);
    assert!(callee.matches(&hold) && !caller.matches(&hold));
    assert_eq!(Dialog::id_of(&hold), callee.id());
    assert_eq!(callee.accept(&hold), Ok(()));

    let bye = callee.request(Method::Bye, &via("z9hG4bK3")).message().unwrap();
    assert_eq!(bye.cseq().number, 1);
    assert!(caller.matches(&bye));
    assert!(caller.matches(&response(&hold, Status::OK)));
    assert!(!callee.matches(&response(&hold, Status::OK)));
}

#[test]
fn rfc_3261_12_2_2_a_lower_cseq_is_out_of_order_and_changes_nothing() {
    let (mut caller, mut callee) = both_ends();
    let old = caller.request(Method::Info, &via("z9hG4bK2")).message().unwrap();
    let new = caller.request(Method::Info, &via("z9hG4bK3")).message().unwrap();
    assert_eq!(callee.accept(&new), Ok(()));
    assert_eq!(callee.accept(&old), Err(OutOfOrder { came: 2, last: 3 }));
    assert_eq!(callee.remote_cseq, Some(3));
    let ack = caller.ack(1, &via("z9hG4bK4")).message().unwrap();
    assert_eq!(callee.accept(&ack), Ok(()));
    assert_eq!(callee.remote_cseq, Some(3));
}

#[test]
fn rfc_3261_13_2_2_4_the_2xx_settles_route_and_target_and_the_ack_follows_them() {
    let (mut caller, _) = both_ends();
    let invite = Edit::of(&invite()).remove(Name::RecordRoute).message().unwrap();
    let answer = Response::to(&invite, Status::OK)
        .to_tag("b1")
        .contact(&NameAddr::new(uri("sip:2201@192.0.2.99")))
        .header(Name::RecordRoute, "<sip:p9.test;lr>")
        .message()
        .unwrap();
    caller.confirm(&answer).unwrap();
    assert_eq!(caller.stage, Stage::Confirmed);
    let ack = caller.ack(1, &via("z9hG4bK2")).message().unwrap();
    assert_eq!(ack.request_uri(), Some(&uri("sip:2201@192.0.2.99")));
    assert_eq!(ack.list(Name::Route).collect::<Vec<_>>(), ["<sip:p9.test;lr>"]);
    assert_eq!((ack.cseq().number, ack.method()), (1, &Method::Ack));
    // A later answer in the dialog moves the target, never the route (§12.2).
    let moved =
        Edit::of(&answer).set(Name::Contact, "<sip:2201@192.0.2.100>").set(Name::RecordRoute, "<sip:x;lr>");
    caller.confirm(&moved.message().unwrap()).unwrap();
    assert_eq!(caller.target, uri("sip:2201@192.0.2.100"));
    assert_eq!(caller.next_hop(), &uri("sip:p9.test;lr"));
}

#[test]
fn rfc_3261_12_2_1_1_a_strict_router_stands_in_the_request_line() {
    let (mut caller, _) = both_ends();
    caller.route_set[0] = NameAddr::new(uri("sip:old.test"));
    let info = caller.request(Method::Info, &via("z9hG4bK2")).message().unwrap();
    assert_eq!(info.request_uri(), Some(&uri("sip:old.test")));
    assert_eq!(info.list(Name::Route).collect::<Vec<_>>(), ["<sip:p2.test;lr>", "<sip:2201@192.0.2.9>"]);
}

#[test]
fn an_invite_without_contact_makes_no_dialog() {
    let invite = Edit::of(&invite()).remove(Name::Contact).message().unwrap();
    assert_eq!(Dialog::as_callee(&invite, "b1"), Err(Fault::Absent(Name::Contact)));
}

#[test]
fn a_dialog_lives_through_a_restart() {
    let (caller, _) = both_ends();
    let frozen = serde_json::to_string(&caller).unwrap();
    assert_eq!(serde_json::from_str::<Dialog>(&frozen).unwrap(), caller);
}
