//! The crate from outside: the IETF's torture messages, round trips, and the machines as stories.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that is surprised fails"
)]

mod corpus;
mod dialogs;
mod digest;
mod framing;
mod headers;
mod locate;
mod messages;
mod oracle;
mod parsing_properties;
mod support;
mod timers;
mod torture;
mod transaction_properties;
mod transactions_client;
mod transactions_server;
