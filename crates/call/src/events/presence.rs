//! The `presence` package: whether somebody can be reached, drawn from its line (RFC 3856), as a PIDF document
//! (RFC 3863) with the activity of RFC 4480 while it talks. Nobody publishes anything: PUBLISH is refused.

use super::Scene;
use super::line::{Lamp, Look};
use super::xml::Xml;

const PIDF: &str = "urn:ietf:params:xml:ns:pidf";
const DATA_MODEL: &str = "urn:ietf:params:xml:ns:pidf:data-model";
const RPID: &str = "urn:ietf:params:xml:ns:pidf:rpid";

/// The document.
pub(super) fn document(scene: &Scene<'_>, lamp: &Lamp) -> Vec<u8> {
    let look = lamp.look();
    let basic = match look {
        Look::Unknown | Look::Absent => "closed",
        Look::Idle | Look::Calling | Look::Ringing | Look::Held | Look::Talking => "open",
    };
    let xml = Xml::new("presence")
        .attribute("xmlns", PIDF)
        .attribute("xmlns:dm", DATA_MODEL)
        .attribute("xmlns:rpid", RPID)
        .attribute("entity", &scene.entity())
        .open("tuple")
        .attribute("id", "line")
        .open("status")
        .leaf("basic", basic)
        .close()
        .leaf("contact", &scene.entity())
        .leaf("note", look.word())
        .close();
    let xml = xml.open("dm:person").attribute("id", "person").open("rpid:activities");
    let xml = match look {
        Look::Calling | Look::Ringing | Look::Held | Look::Talking => xml.open("rpid:on-the-phone").close(),
        Look::Unknown => xml.open("rpid:unknown").close(),
        Look::Absent | Look::Idle => xml,
    };
    xml.finish()
}

#[cfg(test)]
mod tests {
    use super::super::line::{Line, Phase};
    use super::super::scene::tests::{call, scene};
    use super::*;

    fn text(lamp: &Lamp) -> String {
        String::from_utf8(document(&scene(), lamp)).unwrap()
    }

    #[test]
    fn rfc3863_a_line_is_open_on_the_phone_or_closed() {
        let idle = text(&Lamp::Known(Line { registered: true, calls: vec![] }));
        assert!(idle.contains("<basic>open</basic>") && !idle.contains("on-the-phone"));
        insta::assert_snapshot!(text(&Lamp::Known(Line {
            registered: true,
            calls: vec![call(1, Phase::Confirmed)],
        })));
        assert!(text(&Lamp::Known(Line::default())).contains("<basic>closed</basic>"));
        let unknown = text(&Lamp::Unknown);
        assert!(unknown.contains("<basic>closed</basic>") && unknown.contains("rpid:unknown"));
    }
}
