//! Diversion: who sent the call on, and why, the last one first (RFC 5806 §4).

use super::HeaderValue;
use crate::{Name, NameAddr, Uri, scan};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Why a call was sent on, in the words of Diversion; [`DiversionReason::cause`] has the number that History-Info
/// uses (RFC 4458 §2, RFC 7544 §3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DiversionReason {
    /// Not said.
    Unknown,
    /// The called talked.
    UserBusy,
    /// Nobody answered.
    NoAnswer,
    /// The called is not registered.
    Unavailable,
    /// At once.
    Unconditional,
    /// By a calendar.
    TimeOfDay,
    /// The called wants no calls.
    DoNotDisturb,
    /// The called sent this one call on.
    Deflection,
    /// The called is elsewhere.
    FollowMe,
    /// The called is out of service.
    OutOfService,
    /// The called is away.
    Away,
}

impl DiversionReason {
    const ALL: [DiversionReason; 11] = [
        DiversionReason::Unknown,
        DiversionReason::UserBusy,
        DiversionReason::NoAnswer,
        DiversionReason::Unavailable,
        DiversionReason::Unconditional,
        DiversionReason::TimeOfDay,
        DiversionReason::DoNotDisturb,
        DiversionReason::Deflection,
        DiversionReason::FollowMe,
        DiversionReason::OutOfService,
        DiversionReason::Away,
    ];

    /// As the header names it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            DiversionReason::Unknown => "unknown",
            DiversionReason::UserBusy => "user-busy",
            DiversionReason::NoAnswer => "no-answer",
            DiversionReason::Unavailable => "unavailable",
            DiversionReason::Unconditional => "unconditional",
            DiversionReason::TimeOfDay => "time-of-day",
            DiversionReason::DoNotDisturb => "do-not-disturb",
            DiversionReason::Deflection => "deflection",
            DiversionReason::FollowMe => "follow-me",
            DiversionReason::OutOfService => "out-of-service",
            DiversionReason::Away => "away",
        }
    }

    /// The cause parameter of a History-Info URI (RFC 4458 §2, RFC 7544 §3.2).
    #[must_use]
    pub fn cause(self) -> u16 {
        match self {
            DiversionReason::UserBusy => 486,
            DiversionReason::NoAnswer => 408,
            DiversionReason::Unconditional => 302,
            DiversionReason::Deflection => 480,
            DiversionReason::Unavailable => 503,
            DiversionReason::Unknown
            | DiversionReason::TimeOfDay
            | DiversionReason::DoNotDisturb
            | DiversionReason::FollowMe
            | DiversionReason::OutOfService
            | DiversionReason::Away => 404,
        }
    }

    /// The reason a cause parameter means (RFC 7544 §3.3).
    #[must_use]
    pub fn of_cause(cause: u16) -> DiversionReason {
        match cause {
            302 => DiversionReason::Unconditional,
            408 => DiversionReason::NoAnswer,
            480 | 487 => DiversionReason::Deflection,
            486 => DiversionReason::UserBusy,
            503 => DiversionReason::Unavailable,
            _ => DiversionReason::Unknown,
        }
    }

    fn named(word: &str) -> DiversionReason {
        let known =
            DiversionReason::ALL.into_iter().find(|reason| reason.as_str().eq_ignore_ascii_case(word));
        known.unwrap_or(DiversionReason::Unknown)
    }
}

/// One diversion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diversion {
    /// Who sent it on; reason, counter, privacy, screen, limit are its parameters.
    pub address: NameAddr,
}

impl Diversion {
    /// By this party, for this reason, once.
    #[must_use]
    pub fn new(by: Uri, reason: DiversionReason) -> Diversion {
        let mut address = NameAddr::new(by);
        address.params.set("reason", Some(reason.as_str()));
        address.params.set("counter", Some("1"));
        Diversion { address }
    }

    /// Why.
    #[must_use]
    pub fn reason(&self) -> DiversionReason {
        self.address
            .params
            .value("reason")
            .map_or(DiversionReason::Unknown, |word| DiversionReason::named(&word))
    }

    /// How many diversions this entry stands for; 1 when it does not say.
    #[must_use]
    pub fn counter(&self) -> u32 {
        self.address.params.raw("counter").and_then(scan::number).unwrap_or(1)
    }

    /// True when the diverting party must not be shown.
    #[must_use]
    pub fn is_private(&self) -> bool {
        self.address.params.value("privacy").is_some_and(|word| !word.eq_ignore_ascii_case("off"))
    }
}

impl HeaderValue for Diversion {
    const NAME: Name = Name::Diversion;

    fn read(text: &str) -> Option<Diversion> {
        NameAddr::parse(text).ok().map(|address| Diversion { address })
    }
}

impl fmt::Display for Diversion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.address)
    }
}
