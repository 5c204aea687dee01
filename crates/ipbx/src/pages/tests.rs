//! What the pages draw of given states.

use super::{banner, bans, calls, ladder, overview, phones};
use crate::service::bans::BanView;
use crate::service::calls::EndedCall;
use crate::service::state::StateView;
use crate::trace::ladder::{Arrow, Ladder};
use serde_json::json;
use web::table::Query;

fn state(role: &str, state: &str, uplink: serde_json::Value) -> StateView {
    serde_json::from_value(json!({
        "release": "R7.0", "hardware_type": "server", "dongle_id": "PLD-0001", "name": "Lyon <b>",
        "unix_ms": 1_795_348_800_000_u64, "uptime_ms": 61_000, "role": role,
        "node_number": if role == "node" { json!(1) } else { json!(null) }, "state": state,
        "cluster": {"id": "alpha", "name": "Alpha", "domain": "pleiad.test", "site_number": 1},
        "position": {"history": 7, "epoch": 1, "revision": 42}, "digest": "ab".repeat(32),
        "subscribers": 6, "general_purpose_only": false, "bindings": 2, "calls": 1, "owed": 0,
        "sip_port": 5160, "sip_tls_port": 5161, "link_port": null, "uplink": uplink, "nodes": [], "unreadable": []
    }))
    .unwrap()
}

fn cut() -> StateView {
    let uplink = json!({
        "address": "127.0.0.1:7601", "state": "isolated", "since_ms": 1_795_348_700_000_u64,
        "cluster_revision": 42, "durable_revision": 42, "carries_sip": false, "fault": null
    });
    state("node", "isolated", uplink)
}

#[test]
fn the_banner_of_an_isolated_node_says_role_number_state_release_and_what_it_means() {
    let html = banner::render(&cut());
    for words in
        ["isolated", "node 1", "R7.0", "Phones of this node call each other as before", "banner warn"]
    {
        assert!(html.contains(words), "{words}: {html}");
    }
    assert!(!html.contains("<b>\""), "names are escaped");
}

#[test]
fn the_overview_of_a_node_shows_its_link_and_not_a_table_of_nodes() {
    let html = overview::render(&cut(), "");
    assert!(html.contains("127.0.0.1:7601") && html.contains("carries no calls"));
    assert!(!html.contains("<h2>Nodes</h2>"));
}

#[test]
fn the_ladder_links_each_arrow_to_its_message_and_escapes_what_phones_say() {
    let arrow = |from, to, label: &str, message: &str| Arrow {
        at_ms: 1_795_348_800_000,
        offset_ms: 1_234,
        from,
        to,
        label: label.into(),
        cseq: "1 INVITE".into(),
        has_sdp: label == "INVITE",
        message: message.into(),
    };
    let ladder = Ladder {
        parties: vec!["127.0.0.1:40000".into(), "node 1".into(), "127.0.0.1:40002".into()],
        own_column: 1,
        arrows: vec![
            arrow(0, 1, "INVITE", "INVITE sip:2102@pleiad.test SIP/2.0\r\nFrom: <script>\r\n"),
            arrow(1, 2, "INVITE", "INVITE"),
            arrow(2, 1, "180 Ringing", "SIP/2.0 180"),
            arrow(2, 1, "200 OK", "SIP/2.0 200"),
            arrow(1, 0, "486 Busy Here", "SIP/2.0 486"),
        ],
    };
    insta::assert_snapshot!("ladder", ladder::draw(&ladder));
}

#[test]
fn an_ended_call_is_listed_with_its_cause_and_leads_to_its_page() {
    let ended: EndedCall = serde_json::from_value(json!({
        "seq": 3, "created_ms": 1_795_348_800_000_u64, "answered_ms": null, "ended_ms": 1_795_348_801_000_u64,
        "session": "0123abcd", "member": 1, "role": "originating",
        "caller": {"number": "2101", "name": "Anna"}, "dialled": "2201", "called": {"number": "2201", "name": ""},
        "emergency": false, "created": {"secs": 1, "nanos": 0}, "ringing": null, "answered": null,
        "ended": {"secs": 2, "nanos": 0}, "cause": "unreachable-by-cut", "ended_by": "system",
        "call_ids": ["a"], "steps": []
    }))
    .unwrap();
    let html = calls::over(&[ended]).render(&Query::default());
    assert!(html.contains("/calls/0123abcd") && html.contains("link to the cluster is cut"), "{html}");
    assert!(html.contains("2101 · Anna"));
}

#[test]
fn threat_04_a_ban_is_listed_escaped_and_lifted_by_who_may_change() {
    let guesser: BanView = serde_json::from_value(json!({
        "source_ip": "192.0.2.66", "user": "21<01", "why": "wrong-passwords", "count": 5, "until_ms": 1_795_348_860_000_u64
    }))
    .unwrap();
    let flood: BanView = serde_json::from_value(json!({
        "source_ip": "2001:db8::", "user": null, "why": "flood", "count": 40_000, "until_ms": 1_795_348_860_000_u64
    }))
    .unwrap();
    let held = [guesser, flood];
    let seen = bans::table(&held, None).render(&Query::default());
    for words in ["192.0.2.66", "21&lt;01", "wrong passwords", "2001:db8::", "flood of datagrams"] {
        assert!(seen.contains(words), "{words}: {seen}");
    }
    assert!(!seen.contains("<form method=\"post\""), "who only looks has no button");
    let may = bans::table(&held, Some("token")).render(&Query::default());
    assert_eq!(may.matches("action=\"/bans/lift\"").count(), 1, "a flood is not lifted: {may}");
    assert!(may.contains("value=\"192.0.2.66\"") && may.contains("value=\"token\""));
}

#[test]
fn empty_lists_say_the_next_step() {
    assert!(phones::table(&[], &[]).render(&Query::default()).contains("/data/subscriber"));
    assert!(bans::table(&[], None).render(&Query::default()).contains("Everybody is heard"));
    assert!(calls::in_progress(&[], None).render_short().contains("No call is in progress"));
}
