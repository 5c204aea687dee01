//! The `reg` package: the registrations of a subscriber, for its own phones (RFC 3680). It is always the full list.

use super::Scene;
use super::xml::Xml;
use crate::binding::BindingRef;
use std::time::Duration;

/// The document, at `now`.
pub(super) fn document<'a>(
    scene: &Scene<'_>,
    version: u32,
    now: Duration,
    bindings: impl Iterator<Item = BindingRef<'a>>,
) -> Vec<u8> {
    let mut bindings = bindings.peekable();
    let state = if bindings.peek().is_some() { "active" } else { "terminated" };
    let mut xml = Xml::new("reginfo")
        .attribute("xmlns", "urn:ietf:params:xml:ns:reginfo")
        .attribute("version", &version.to_string())
        .attribute("state", "full")
        .open("registration")
        .attribute("aor", &scene.entity())
        .attribute("id", scene.watched.as_str())
        .attribute("state", state);
    for binding in bindings {
        let left = binding.until.saturating_sub(now).as_secs();
        xml = xml
            .open("contact")
            .attribute("id", binding.device)
            .attribute("state", "active")
            .attribute("event", "registered")
            .attribute("expires", &left.to_string())
            .leaf("uri", binding.contact)
            .close();
    }
    xml.finish()
}
