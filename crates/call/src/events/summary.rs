//! The `message-summary` package: how many messages wait for a subscriber (RFC 3842). It lights the message lamp.
//!
//! The counts are told to the edge (`Input::Messages`) by whoever keeps the messages; it stores none.

use super::Scene;
use super::package::{Event, Over, Package};
use crate::core::{Purpose, Turn};
use crate::hop::Hop;
use model::Extension;
use model::object::Sight;
use serde::{Deserialize, Serialize};
use sip::{Method, NameAddr, Request, Uri};

/// The voice messages of one subscriber.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Messages {
    /// Not listened to.
    pub new: u32,
    /// Listened to and kept.
    #[serde(default)]
    pub old: u32,
    /// Those of `new` that are urgent.
    #[serde(default)]
    pub urgent: u32,
}

/// Tells a phone that did not ask: a NOTIFY outside any dialog, whose answer changes nothing.
pub(crate) fn tell_unasked(
    turn: &mut Turn<'_>,
    extension: &Extension,
    hop: &Hop,
    target: &Uri,
    messages: Messages,
) {
    let core = &mut *turn.core;
    let scene = Scene { domain: core.domain(), watched: extension, sees: Sight::Parties };
    let body = document(&scene, messages);
    let Ok(us) = Uri::parse(&scene.entity()).map(NameAddr::new) else { return };
    let tag = core.tokens.tag();
    let call_id = core.tokens.call_id(&core.config.member_host());
    let via = turn.via(hop);
    let request = Request::new(Method::Notify, target)
        .via(&via)
        .from(&us.clone().with_tag(&tag))
        .to(&us)
        .call_id(&call_id)
        .cseq(1)
        .contact(&turn.contact(hop, extension.as_str()))
        .typed(&Event::header(Package::MessageSummary, None))
        .typed(&Over::NoResource.state())
        .body(Package::MessageSummary.content_type(), &body);
    turn.request(hop, request, Purpose::Notify(None));
}

/// The document (RFC 3842 § 3.5); the lamp is on while there are new messages.
pub(super) fn document(scene: &Scene<'_>, messages: Messages) -> Vec<u8> {
    let Messages { new, old, urgent } = messages;
    let waiting = if new > 0 { "yes" } else { "no" };
    let account = scene.entity();
    format!(
        "Messages-Waiting: {waiting}\r\nMessage-Account: {account}\r\nVoice-Message: {new}/{old} ({urgent}/0)\r\n"
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::super::scene::tests::scene;
    use super::*;

    #[test]
    fn rfc3842_the_lamp_is_on_while_there_are_new_messages() {
        let text = |messages| String::from_utf8(document(&scene(), messages)).unwrap();
        assert_eq!(
            text(Messages { new: 2, old: 8, urgent: 1 }),
            "Messages-Waiting: yes\r\nMessage-Account: sip:2201@pleiad.example\r\nVoice-Message: 2/8 (1/0)\r\n"
        );
        assert!(text(Messages { new: 0, old: 3, urgent: 0 }).starts_with("Messages-Waiting: no\r\n"));
    }
}
