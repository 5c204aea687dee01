//! What every document needs to know beside its state.

use super::line::{LineCall, Look};
use super::summary::Messages;
use model::Extension;
use model::object::Sight;
use serde::{Deserialize, Serialize};

/// Whose state is told, to whom.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scene<'a> {
    /// The SIP domain of all addresses.
    pub(super) domain: &'a str,
    /// The subscriber that is watched.
    pub(super) watched: &'a Extension,
    /// What the watching one may see.
    pub(super) sees: Sight,
}

impl Scene<'_> {
    /// The address of the watched subscriber.
    pub(super) fn entity(&self) -> String {
        self.address(self.watched.as_str())
    }

    /// The address of a number.
    pub(super) fn address(&self, number: &str) -> String {
        format!("sip:{number}@{}", self.domain)
    }
}

/// What a subscription was told last.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Shown {
    /// The calls of the line.
    pub(super) calls: Vec<LineCall>,
    /// How it looked, where that is all that is told of it.
    pub(super) look: Option<Look>,
    /// The messages that wait.
    pub(super) messages: Option<Messages>,
    /// The addresses of its phones.
    pub(super) contacts: Vec<String>,
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::line::{Direction, Phase};
    use super::*;
    use crate::record::{CallId, Party};
    use model::MemberNumber;
    use std::sync::LazyLock;
    use std::time::Duration;

    static WATCHED: LazyLock<Extension> = LazyLock::new(|| "2201".parse().unwrap());

    pub(in super::super) fn scene() -> Scene<'static> {
        Scene { domain: "pleiad.example", watched: &WATCHED, sees: Sight::Parties }
    }

    pub(in super::super) fn call(number: u64, phase: Phase) -> LineCall {
        LineCall {
            member: MemberNumber::try_from(2).unwrap(),
            call: CallId(number),
            session: format!("{number:032x}"),
            direction: Direction::Recipient,
            phase,
            holds: false,
            held: false,
            remote: Some(Party { number: "2001".to_owned(), name: "A & B <\"x\">".to_owned() }),
            since: Duration::from_secs(number),
        }
    }
}
