//! Why a call ended or was refused: one closed list, mapped here and nowhere else to the SIP status, the
//! Q.850 cause and the word of the call record (DESIGN § 7).

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! causes {
    ($($(#[$doc:meta])* $variant:ident = $word:literal, $status:literal, $q850:literal, $text:literal;)*) => {
        /// The one reason a call has for its end.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Cause { $($(#[$doc])* $variant,)* }

        impl Cause {
            /// Every cause.
            pub const ALL: &'static [Cause] = &[$(Cause::$variant,)*];

            /// The word in call records, tables and metrics.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self { $(Cause::$variant => $word,)* }
            }

            /// The SIP status that tells a caller (RFC 3261 § 21).
            #[must_use]
            pub fn status(self) -> u16 {
                match self { $(Cause::$variant => $status,)* }
            }

            /// The Q.850 cause for the Reason header (RFC 3326).
            #[must_use]
            pub fn q850(self) -> u8 {
                match self { $(Cause::$variant => $q850,)* }
            }

            /// What a person is told.
            #[must_use]
            pub fn text(self) -> &'static str {
                match self { $(Cause::$variant => $text,)* }
            }
        }
    };
}

causes! {
    /// One of the two hung up after the answer.
    NormalClearing = "normal-clearing", 200, 16, "Normal call clearing";
    /// The caller gave up before the answer.
    Cancelled = "cancelled", 487, 16, "Caller hung up before the answer";
    /// The called party is busy.
    Busy = "busy", 486, 17, "User busy";
    /// Nobody answered in time.
    NoAnswer = "no-answer", 480, 19, "No answer";
    /// The subscriber exists but no phone is registered.
    SubscriberAbsent = "subscriber-absent", 480, 20, "Subscriber absent";
    /// The called party refused the call.
    Declined = "declined", 603, 21, "Call rejected";
    /// The caller's feature class bars the number (IMP-10).
    Barred = "barred", 403, 21, "Number barred for this subscriber";
    /// The number leads nowhere.
    UnallocatedNumber = "unallocated-number", 404, 1, "Unallocated number";
    /// The number cannot be a number.
    InvalidNumber = "invalid-number", 484, 28, "Invalid number format";
    /// The called member is beyond a cut.
    UnreachableByCut = "unreachable-by-cut", 503, 38, "Destination unreachable: link to the cluster is cut";
    /// Something on the way failed for the moment.
    TemporaryFailure = "temporary-failure", 503, 41, "Temporary failure";
    /// The called phone did not react at all.
    NoUserResponding = "no-user-responding", 408, 18, "No user responding";
    /// A phone vanished in the middle of a call.
    LostPhone = "lost-phone", 480, 27, "Phone lost during the call";
    /// The two ends share no codec or body type.
    IncompatibleMedia = "incompatible-media", 488, 88, "Incompatible destination";
    /// The call came round in a circle, or made too many hops.
    Loop = "loop", 482, 25, "Forwarding loop";
    /// Max-Forwards ran out.
    TooManyHops = "too-many-hops", 483, 25, "Too many hops";
    /// A limit of this member is reached.
    Congestion = "congestion", 503, 42, "Congestion";
    /// A phone or member broke the protocol.
    ProtocolError = "protocol-error", 400, 111, "Protocol error";
    /// An operator or a shutdown ended the call.
    EndedByOperator = "ended-by-operator", 480, 31, "Ended by the operator";
}

impl Cause {
    /// The cause that a final SIP status of the far side means, for a call that was never answered.
    #[must_use]
    pub fn from_status(status: u16) -> Cause {
        match status {
            200..=299 => Cause::NormalClearing,
            400 | 416 | 420 | 421 | 481 | 493 | 505 | 513 => Cause::ProtocolError,
            401 | 403 | 407 => Cause::Barred,
            404 | 410 | 604 => Cause::UnallocatedNumber,
            408 => Cause::NoUserResponding,
            415 | 488 | 606 => Cause::IncompatibleMedia,
            480 => Cause::SubscriberAbsent,
            482 => Cause::Loop,
            483 => Cause::TooManyHops,
            484 => Cause::InvalidNumber,
            486 | 600 => Cause::Busy,
            487 => Cause::Cancelled,
            603 | 607 | 608 => Cause::Declined,
            _ => Cause::TemporaryFailure,
        }
    }

    /// True when the called person, rather than a machine, ended the call before its answer.
    #[must_use]
    pub fn is_by_the_called(self) -> bool {
        matches!(self, Cause::Busy | Cause::Declined)
    }

    /// The cause that a failure response means: of those with its status the one with its Q.850 number, else
    /// what the Q.850 number alone or the status alone says.
    #[must_use]
    pub fn of_response(status: u16, q850: Option<u8>) -> Cause {
        let exact = |number| {
            Cause::ALL.iter().copied().find(|cause| cause.status() == status && cause.q850() == number)
        };
        q850.and_then(|number| exact(number).or_else(|| Cause::from_q850(number)))
            .unwrap_or_else(|| Cause::from_status(status))
    }

    /// The cause that a Reason header's Q.850 number means, when it says more than the status.
    #[must_use]
    pub fn from_q850(number: u8) -> Option<Cause> {
        match number {
            16 => Some(Cause::NormalClearing),
            21 => Some(Cause::Declined),
            25 => Some(Cause::Loop),
            _ => Cause::ALL.iter().copied().find(|cause| cause.q850() == number),
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_that_refuses_survives_the_way_as_status_and_reason() {
        for cause in Cause::ALL.iter().copied().filter(|cause| cause.status() >= 300) {
            assert_eq!(Cause::of_response(cause.status(), Some(cause.q850())), cause);
        }
        assert_eq!(Cause::of_response(486, None), Cause::Busy);
        assert_eq!(Cause::of_response(480, Some(34)), Cause::SubscriberAbsent);
    }
}
