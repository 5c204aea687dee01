//! The event packages we notify of, and why a subscription ends.

use serde::{Deserialize, Serialize};
use sip::headers::{self, SubscriptionState};
use sip::{Message, Name};

/// What Allow-Events says (RFC 6665 § 8.2.2), to those that ask for an event we do not know: an OPTIONS before login gets no
/// more than it needs. `refer` needs no SUBSCRIBE and lives in the dialogs of calls.
pub(super) const ALLOW_EVENTS: &str = "dialog, message-summary, presence, reg, refer";

/// An event package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Package {
    /// The calls of a line (RFC 4235).
    Dialog,
    /// The messages that wait for a subscriber (RFC 3842).
    MessageSummary,
    /// Whether somebody can be reached, from the same line (RFC 3856, 3863, 4480).
    Presence,
    /// The registrations of a subscriber (RFC 3680).
    Reg,
}

impl Package {
    pub(crate) const ALL: [Package; 4] =
        [Package::Dialog, Package::MessageSummary, Package::Presence, Package::Reg];

    /// The package of that name.
    pub(crate) fn named(name: &str) -> Option<Package> {
        Package::ALL.into_iter().find(|package| package.name().eq_ignore_ascii_case(name))
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Package::Dialog => "dialog",
            Package::MessageSummary => "message-summary",
            Package::Presence => "presence",
            Package::Reg => "reg",
        }
    }

    /// The one form we write its state in.
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Package::Dialog => "application/dialog-info+xml",
            Package::MessageSummary => "application/simple-message-summary",
            Package::Presence => "application/pidf+xml",
            Package::Reg => "application/reginfo+xml",
        }
    }

    /// True when the phone takes that form: it names none, or this one, or any.
    pub(crate) fn is_accepted_by(self, request: &Message) -> bool {
        let ours = self.content_type();
        let any = format!("{}/*", ours.split('/').next().unwrap_or_default());
        let mut named = request.list(Name::Accept).peekable();
        let takes = |range: &str| {
            let range = range.split(';').next().unwrap_or_default().trim();
            range == "*/*" || range.eq_ignore_ascii_case(ours) || range.eq_ignore_ascii_case(&any)
        };
        named.peek().is_none() || named.any(takes)
    }

    /// True for what the line of the watched subscriber decides.
    pub(crate) fn is_of_lines(self) -> bool {
        matches!(self, Package::Dialog | Package::Presence)
    }

    /// True for what concerns nobody but the subscriber itself.
    pub(crate) fn is_private(self) -> bool {
        matches!(self, Package::MessageSummary | Package::Reg)
    }
}

/// The Event header of a SUBSCRIBE: the package, and the name the phone gave this subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) package: Package,
    pub(crate) id: Option<String>,
}

impl Event {
    /// None when there is no such header, or it names a package we do not know.
    pub(crate) fn of(request: &Message) -> Option<Event> {
        let event = request.typed::<headers::Event>().ok().flatten()?;
        Some(Event { package: Package::named(&event.package)?, id: event.id().map(str::to_owned) })
    }

    /// As it is written.
    pub(super) fn header(package: Package, id: Option<&str>) -> headers::Event {
        let event = headers::Event::new(package.name());
        match id {
            Some(id) => event.with_id(id),
            None => event,
        }
    }
}

/// Why a subscription is over (RFC 6665 § 4.1.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    /// The phone has no right to it any more.
    Rejected,
    /// It was not refreshed, or the phone has ended it.
    Timeout,
    /// There is nothing to watch any more.
    NoResource,
}

impl Over {
    /// What the last NOTIFY says.
    pub(super) fn state(self) -> SubscriptionState {
        SubscriptionState::terminated(match self {
            Over::Rejected => "rejected",
            Over::Timeout => "timeout",
            Over::NoResource => "noresource",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subscribe(headers: &str) -> Message {
        let text = format!(
            "SUBSCRIBE sip:2201@c-1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\n\
             From: <sip:2101@c-1>;tag=a\r\nTo: <sip:2201@c-1>\r\nCall-ID: c\r\nCSeq: 1 SUBSCRIBE\r\n{headers}\r\n"
        );
        Message::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn rfc6665_an_event_has_a_package_and_perhaps_an_id() {
        let event = Event::of(&subscribe("Event: Dialog;ma;id=7\r\n"));
        assert_eq!(event, Some(Event { package: Package::Dialog, id: Some("7".to_owned()) }));
        let short = Event::of(&subscribe("o: message-summary\r\n")).unwrap();
        assert_eq!((short.package, short.id), (Package::MessageSummary, None));
        assert_eq!(Event::of(&subscribe("Event: conference\r\n")), None);
        assert_eq!(Event::of(&subscribe("")), None);
    }

    #[test]
    fn rfc6665_the_body_is_in_a_form_the_phone_takes() {
        let takes = |headers: &str| Package::Dialog.is_accepted_by(&subscribe(headers));
        assert!(takes(""));
        assert!(takes("Accept: text/plain, application/dialog-info+xml;q=0.5\r\n"));
        assert!(takes("Accept: */*\r\n") && takes("Accept: application/*\r\n"));
        assert!(!takes("Accept: application/pidf+xml\r\n"));
    }
}
