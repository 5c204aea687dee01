//! Tests of the binary as it is installed: its help, its samples, its refusals. Calls and cuts are testkit's.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on should stop")]

mod demo;
mod packaging;
mod wrong_settings;
