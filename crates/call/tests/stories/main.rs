//! Calls, told as they happen: who calls, what happens, what is heard, and what the records say.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a story that goes wrong stops"
)]

mod board;
mod calls;
mod cluster;
mod ears;
mod edge_properties;
mod everywhere;
mod hostile;
mod inside;
mod lamps;
mod media;
mod phone;
mod pick_up;
mod refusals;
mod registration;
mod requests;
mod rfc_3262;
mod rfc_3325;
mod rfc_4028;
mod skills;
mod table;
mod threats;
mod torture;
mod transfer;
mod walks;
mod watcher;
mod world;
