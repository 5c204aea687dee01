//! Event and Subscription-State: what is watched, and how the watching stands (RFC 6665 §8.2).

use super::HeaderValue;
use crate::Name;
use crate::params::Params;
use crate::scan::{self, Cursor};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;

/// An event package, and which of several subscriptions to it in one dialog.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Event {
    /// `dialog`, `message-summary`, `refer`, with its templates: `presence.winfo`.
    pub package: String,
    /// id and the package's own parameters (`sla`, `call-id`, …).
    pub params: Params,
}

impl Event {
    /// A package without parameters.
    #[must_use]
    pub fn new(package: &str) -> Event {
        Event { package: package.to_owned(), params: Params::new() }
    }

    /// The same with an id.
    #[must_use]
    pub fn with_id(mut self, id: &str) -> Event {
        self.params.set("id", Some(id));
        self
    }

    /// The id.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.params.raw("id")
    }

    /// True when both name one subscription of a dialog: package and id, byte by byte (RFC 6665 §8.2.1).
    #[must_use]
    pub fn same_as(&self, other: &Event) -> bool {
        self.package == other.package && self.id() == other.id()
    }
}

impl HeaderValue for Event {
    const NAME: Name = Name::Event;

    fn read(text: &str) -> Option<Event> {
        let (package, params) = word_and_params(text)?;
        Some(Event { package: package.to_owned(), params })
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.package, self.params)
    }
}

/// How a subscription stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Substate {
    /// It was accepted.
    Active,
    /// Somebody must still allow it.
    Pending,
    /// It is over.
    Terminated,
    /// A word of an extension: to be taken as active (RFC 6665 §4.1.3).
    Other(String),
}

impl Substate {
    /// As the header names it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Substate::Active => "active",
            Substate::Pending => "pending",
            Substate::Terminated => "terminated",
            Substate::Other(word) => word,
        }
    }
}

/// `Subscription-State: active;expires=600`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubscriptionState {
    /// How it stands.
    pub state: Substate,
    /// expires, reason, retry-after.
    pub params: Params,
}

impl SubscriptionState {
    /// It lives, for so many seconds yet.
    #[must_use]
    pub fn active(expires_s: u32) -> SubscriptionState {
        let params = Params::new().with("expires", &expires_s.to_string());
        SubscriptionState { state: Substate::Active, params }
    }

    /// It is over: `deactivated`, `timeout`, `noresource`, `rejected`, `probation`, `giveup`, `invariant`
    /// (RFC 6665 §4.1.3).
    #[must_use]
    pub fn terminated(reason: &str) -> SubscriptionState {
        SubscriptionState { state: Substate::Terminated, params: Params::new().with("reason", reason) }
    }

    /// How long it lives yet, in seconds.
    #[must_use]
    pub fn expires_s(&self) -> Option<u32> {
        scan::number(self.params.raw("expires")?)
    }

    /// Why it ended.
    #[must_use]
    pub fn reason(&self) -> Option<Cow<'_, str>> {
        self.params.value("reason")
    }

    /// When the watcher may come back, in seconds.
    #[must_use]
    pub fn retry_after_s(&self) -> Option<u32> {
        scan::number(self.params.raw("retry-after")?)
    }
}

impl HeaderValue for SubscriptionState {
    const NAME: Name = Name::SubscriptionState;

    fn read(text: &str) -> Option<SubscriptionState> {
        let (word, params) = word_and_params(text)?;
        let state = match word.to_ascii_lowercase().as_str() {
            "active" => Substate::Active,
            "pending" => Substate::Pending,
            "terminated" => Substate::Terminated,
            _ => Substate::Other(word.to_owned()),
        };
        Some(SubscriptionState { state, params })
    }
}

impl fmt::Display for SubscriptionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.state.as_str(), self.params)
    }
}

fn word_and_params(text: &str) -> Option<(&str, Params)> {
    let mut cursor = Cursor::new(scan::trim(text));
    let word = cursor.token()?;
    let params = Params::of_header(&mut cursor).filter(|_| cursor.is_done())?;
    Some((word, params))
}
