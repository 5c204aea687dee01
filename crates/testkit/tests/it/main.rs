//! Live tests: real processes, foreign programs, namespaces. Run by `cargo xtask test`, as root.

#![allow(
    clippy::indexing_slicing,
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    missing_docs,
    unreachable_pub,
    reason = "tests may stop at what they do not expect, and are read by those who write them"
)]

mod abuse;
mod calls;
mod common_data;
mod cut;
mod deploy;
mod foreign;
mod kill;
mod lamps;
mod locate;
mod loss;
mod pick_up;
mod reach;
mod restart;
mod stage;
mod transfer;
