//! The crate from outside: the IETF's torture messages, round trips, and the machines as stories.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that is surprised fails")]

mod dialogs;
mod digest;
mod framing;
mod messages;
mod support;
mod torture;
mod transactions_client;
mod transactions_server;
