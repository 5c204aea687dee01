//! The `dialog` package: the calls of a line as `application/dialog-info+xml` (RFC 4235). This is what lights a busy
//! lamp (TRM-05).
//!
//! | the line | the document |
//! |---|---|
//! | idle | no dialog |
//! | calls, rings, talks | a dialog `trying`, `early`, `confirmed`; `direction` says who began |
//! | is on hold | `confirmed`, with `+sip.rendering` `no` at the end that does not hear (§ 4.4) |
//! | has hung up | a dialog `terminated`, once |
//! | is beyond a cut | no dialog, and `<line xmlns="urn:pleiad:line">unknown</line>` beside (§ 4.1 allows it) |
//!
//! A document is full as long as it fits a datagram. Of a line with more calls a change is told as a partial one with
//! the calls that changed, numbered by `version`. Full documents carry what has just ended as well: many phones put
//! a lamp out only when they see the end of its dialog.
//!
//! The dialogs named here are not those of the phones, so that who may watch a line cannot act in its calls: `call-id` is
//! the Session-ID, `local-tag` the watched extension, `remote-tag` the member.

use super::line::{Direction, Lamp, LineCall, Phase};
use super::xml::Xml;
use super::{Scene, Shown};
use model::object::Sight;

/// The namespace of RFC 4235.
const DIALOG_INFO: &str = "urn:ietf:params:xml:ns:dialog-info";
/// Our own, for what RFC 4235 has no word for.
const LINE: &str = "urn:pleiad:line";
/// Calls of a document that fits a datagram; more are told by partial documents.
const CALLS_IN_A_DATAGRAM: usize = 3;

/// The document after those calls were shown; and the calls it leaves shown.
pub(super) fn document(scene: &Scene<'_>, version: u32, whole: bool, shown: &Shown, lamp: &Lamp) -> Vec<u8> {
    let none = Vec::new();
    let calls = match lamp {
        Lamp::Known(line) => &line.calls,
        Lamp::Unknown => &none,
    };
    let ended: Vec<&LineCall> =
        shown.calls.iter().filter(|before| calls.iter().all(|call| call.name() != before.name())).collect();
    let full = whole || calls.len() + ended.len() <= CALLS_IN_A_DATAGRAM;
    let state = if full { "full" } else { "partial" };
    let mut xml = Xml::new("dialog-info")
        .attribute("xmlns", DIALOG_INFO)
        .attribute("version", &version.to_string())
        .attribute("state", state)
        .attribute("entity", &scene.entity());
    for call in calls.iter().filter(|call| full || !shown.calls.contains(call)) {
        xml = dialog(xml, scene, call, false);
    }
    for call in ended {
        xml = dialog(xml, scene, call, true);
    }
    if *lamp == Lamp::Unknown {
        xml = xml.open("line").attribute("xmlns", LINE).text("unknown").close();
    }
    xml.finish()
}

fn dialog(xml: Xml, scene: &Scene<'_>, call: &LineCall, ended: bool) -> Xml {
    let direction = match call.direction {
        Direction::Initiator => "initiator",
        Direction::Recipient => "recipient",
    };
    let state = match call.phase {
        _ if ended => "terminated",
        Phase::Trying => "trying",
        Phase::Early => "early",
        Phase::Confirmed => "confirmed",
    };
    let xml = xml
        .open("dialog")
        .attribute("id", &format!("{}-{}-{direction}", call.member, call.call))
        .attribute("call-id", &call.session)
        .attribute("local-tag", scene.watched.as_str())
        .attribute("remote-tag", &call.member.to_string())
        .attribute("direction", direction)
        .leaf("state", state);
    if ended {
        return xml.close();
    }
    let xml = party(xml, "local", "", &scene.entity(), call.holds);
    let remote = call.remote.as_ref().filter(|_| scene.sees == Sight::Parties);
    let xml = match remote {
        Some(remote) => party(xml, "remote", &remote.name, &scene.address(&remote.number), call.held),
        None => xml,
    };
    xml.close()
}

/// One end of a dialog. The end that has put the other on hold renders nothing (RFC 4235 § 4.1.6, RFC 3840).
fn party(xml: Xml, end: &'static str, name: &str, uri: &str, deaf: bool) -> Xml {
    let mut xml = xml.open(end).open("identity");
    if !name.is_empty() {
        xml = xml.attribute("display", name);
    }
    let xml = xml.text(uri).close().open("target").attribute("uri", uri);
    let rendering = if deaf { "no" } else { "yes" };
    xml.open("param")
        .attribute("pname", "+sip.rendering")
        .attribute("pval", rendering)
        .close()
        .close()
        .close()
}

#[cfg(test)]
mod tests {
    use super::super::line::Line;
    use super::super::scene::tests::{call, scene};
    use super::*;

    fn text(whole: bool, shown: &[LineCall], lamp: &Lamp, sees: Sight) -> String {
        let shown = Shown { calls: shown.to_vec(), ..Shown::default() };
        String::from_utf8(document(&Scene { sees, ..scene() }, 7, whole, &shown, lamp)).unwrap()
    }

    fn known(calls: &[LineCall]) -> Lamp {
        Lamp::Known(Line { registered: true, calls: calls.to_vec() })
    }

    #[test]
    fn rfc4235_a_ringing_line_is_an_early_dialog_and_its_caller_shown_to_whom_may_see_it() {
        let lamp = known(&[call(1, Phase::Early)]);
        insta::assert_snapshot!(text(true, &[], &lamp, Sight::Parties));
        let blind = text(true, &[], &lamp, Sight::States);
        assert!(blind.contains("<state>early</state>") && !blind.contains("2001"));
        let private = known(&[LineCall { remote: None, ..call(1, Phase::Early) }]);
        assert!(!text(true, &[], &private, Sight::Parties).contains("<remote>"));
    }

    #[test]
    fn rfc4235_an_idle_line_has_no_dialog_and_one_that_ended_is_told_once() {
        let idle = text(true, &[], &known(&[]), Sight::States);
        assert!(idle.contains(r#"state="full""#) && !idle.contains("<dialog "));
        let ended = text(false, &[call(1, Phase::Confirmed)], &known(&[]), Sight::States);
        assert!(ended.contains("<state>terminated</state>"), "{ended}");
    }

    #[test]
    fn rfc4235_hold_is_an_end_that_renders_nothing() {
        let holds = known(&[LineCall { holds: true, ..call(1, Phase::Confirmed) }]);
        let text = text(true, &[], &holds, Sight::States);
        assert!(text.contains(r#"<local><identity>sip:2201@pleiad.example</identity>"#), "{text}");
        assert!(text.contains(r#"pname="+sip.rendering" pval="no""#), "{text}");
    }

    #[test]
    fn rfc4235_of_a_line_with_many_calls_only_those_that_changed_are_told() {
        let shown: Vec<LineCall> = (1..=5).map(|number| call(number, Phase::Early)).collect();
        let mut now = shown.clone();
        now[1].phase = Phase::Confirmed;
        now.remove(4);
        let text = text(false, &shown, &known(&now), Sight::States);
        assert!(text.contains(r#"version="7" state="partial""#), "{text}");
        assert_eq!(text.matches("<dialog ").count(), 2, "{text}");
        assert!(text.contains("confirmed") && text.contains("terminated"), "{text}");
    }

    #[test]
    fn trm_05_a_line_beyond_a_cut_is_unknown_and_not_idle() {
        let text = text(false, &[], &Lamp::Unknown, Sight::States);
        assert!(text.contains(r#"<line xmlns="urn:pleiad:line">unknown</line>"#), "{text}");
    }
}
