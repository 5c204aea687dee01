//! SIP without sockets: parse, print, transactions, dialogs, digest.
//!
//! What it is: the grammar and the machines of RFC 3261 (with 3263, 3581, 6026, 8760)
//! as values. Bytes and addresses come in, bytes and values go out.
//!
//! What it is not: it opens no socket, reads no clock and draws no random number. It decides no policy: who may
//! register or call is the business of `call`.
//!
//! The one thing a reader must know: a [`Message`] is checked when it is made. Its Via, From, To, Call-ID and CSeq
//! are parsed then, so they are plain getters; everything else is read on demand and may still be found malformed.

mod address;
pub mod build;
mod cseq;
pub mod dialog;
pub mod digest;
mod draft;
mod edit;
mod error;
mod flow;
mod framer;
mod frozen;
mod head;
pub mod headers;
mod host;
pub mod locate;
mod message;
mod method;
mod name;
pub mod negotiation;
mod params;
mod parts;
mod scan;
mod status;
pub mod token;
pub mod transaction;
mod uri;
mod via;

pub use address::{Contacts, NameAddr, NameAddrRef};
pub use build::{Request, Response};
pub use cseq::CSeq;
pub use dialog::Dialog;
pub use edit::Edit;
pub use error::{Fault, ParseError};
pub use flow::{Flow, Hop, Transport};
pub use framer::{Frame, Framer, FramingError};
pub use headers::HeaderValue;
pub use host::{Host, HostRef};
pub use message::{Message, StartLine};
pub use method::Method;
pub use name::Name;
pub use negotiation::Negotiation;
pub use params::{Params, ParamsRef};
pub use scan::Quoted;
pub use status::Status;
pub use token::Tokens;
pub use transaction::{ClientKey, Layer, ServerKey};
pub use uri::{Scheme, SchemeRef, Uri, UriRef};
pub use via::{Via, ViaRef};

/// Bytes of the largest message we take, head and body together. A larger one is refused with 513, or its stream closed.
pub const MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// Bytes of the largest head we take, start line and empty line included. No phone comes near it.
pub const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Header lines a message may have (a folded header is one line).
pub const HEADER_LINES_MAX: usize = 128;

/// Where a request starts its life (RFC 3261 §8.1.1.6).
pub const MAX_FORWARDS: u8 = 70;
