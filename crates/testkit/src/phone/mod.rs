//! The soft phone: `pleiad phone`, the demo's calls, and the phones of live tests.
//!
//! [`Machine`](machine::Machine) is the phone without sockets (registration, one call, hold, digits by command);
//! [`sound`] is its voice and ear; [`shell`] puts both on a real socket. A test drives a [`Phone`] step by step, the
//! command line gives [`run`] a [`Script`].
//!
//! It is a phone, not a test double: it knows nothing of our call server but SIP. That our own two sides
//! agree proves little, so the foreign phones of `live` say the same again.

mod call;
pub mod ladder;
pub mod machine;
pub mod options;
mod registration;
pub mod report;
mod script;
mod shell;
pub mod sound;
pub mod tls;
mod watching;
mod ways;
mod wire;

pub use ladder::{Rung, draw};
pub use machine::{Command, End, Event};
pub use options::{Options, Script};
pub use report::{HeardTone, Report};
pub use script::{Conversation, converse, run};
pub use shell::Phone;
pub use sip::Transport;
pub use sip::locate::Target;

use std::sync::Arc;

/// Why a phone could not do what it was told.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PhoneError {
    /// The registrar's name leads nowhere.
    #[error("'{registrar}' is no host:port that can be reached: {source}")]
    Registrar {
        /// As given.
        registrar: String,
        /// What the system says.
        source: Arc<std::io::Error>,
    },
    /// A socket could not be made or used.
    #[error("the phone has no socket: {0}")]
    Socket(Arc<std::io::Error>),
    /// There are no random bytes to be had.
    #[error("the system gives no random bytes")]
    Random,
    /// The registrar refused the registration.
    #[error("{extension} was not registered: status {status} ({})", hint(*status))]
    NotRegistered {
        /// The number.
        extension: String,
        /// The status; 408 when there was no answer.
        status: u16,
    },
    /// The call ended before it came to what was waited for.
    #[error("the call of {extension} ended with {} {} while waiting for {waiting}", end.status, end.text)]
    Ended {
        /// The number.
        extension: String,
        /// What was waited for.
        waiting: &'static str,
        /// How it ended.
        end: End,
    },
    /// It did not happen in time.
    #[error("{extension} waited in vain for {waiting}")]
    TimedOut {
        /// The number.
        extension: String,
        /// For what.
        waiting: &'static str,
    },
    /// The phone's task has ended.
    #[error("the phone is switched off")]
    Off,
}

impl From<std::io::Error> for PhoneError {
    fn from(error: std::io::Error) -> PhoneError {
        PhoneError::Socket(Arc::new(error))
    }
}

fn hint(status: u16) -> &'static str {
    match status {
        401 | 403 | 407 => "check extension and password",
        404 => "there is no such extension here",
        408 => "no answer: is the call server running, and is the port right?",
        503 => "the call server cannot serve this extension now",
        _ => "refused",
    }
}

#[cfg(test)]
mod tests;
