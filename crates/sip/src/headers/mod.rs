//! Headers of the extensions we speak, as values: read from a message and printed into one.
//!
//! Each is a [`HeaderValue`]: `message.typed::<Replaces>()?` reads it, `request.typed(&replaces)` writes it. What is
//! only an address (Refer-To, P-Asserted-Identity, Path) or a number (RSeq, Min-SE) has no type of its own: see
//! [`crate::Message::address`], [`crate::Message::addresses`] and [`crate::Message::number`].
//!
//! They say what was written, not what is allowed: whether a session timer is too short is the user's judgement.

mod diversion;
mod event;
mod history;
pub mod option_tag;
mod privacy;
mod rack;
mod reason;
pub mod refer;
mod replaces;
mod session_id;
mod session_timer;

pub use diversion::{Diversion, DiversionReason};
pub use event::{Event, SubscriptionState, Substate};
pub use history::HistoryInfo;
pub use privacy::Privacy;
pub use rack::RAck;
pub use reason::Reason;
pub use replaces::Replaces;
pub use session_id::SessionId;
pub use session_timer::{MinSe, Refresher, SESSION_EXPIRES_LEAST_S, SessionExpires};

use crate::{Fault, Message, Name};
use std::fmt::Display;

/// The value of one kind of header: one line, or one element of its comma list.
pub trait HeaderValue: Sized + Display {
    /// The header it stands in.
    const NAME: Name;

    /// Reads one whole value; `None` when it does not follow the header's grammar.
    fn read(text: &str) -> Option<Self>;
}

impl Message {
    /// The one value of a header that may be there once; a second line of it is refused.
    pub fn typed<V: HeaderValue>(&self) -> Result<Option<V>, Fault> {
        let mut lines = self.headers(V::NAME);
        match (lines.next(), lines.next()) {
            (None, _) => Ok(None),
            (Some(value), None) => V::read(value).map(Some).ok_or(Fault::Header(V::NAME)),
            (Some(_), Some(_)) => Err(Fault::Repeated(V::NAME)),
        }
    }

    /// The values of a header that is a comma list, over all its lines, in order.
    pub fn typed_list<V: HeaderValue>(&self) -> Result<Vec<V>, Fault> {
        self.list(V::NAME).map(|element| V::read(element).ok_or(Fault::Header(V::NAME))).collect()
    }
}
