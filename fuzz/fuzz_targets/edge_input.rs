//! A whole edge, with what anybody may send to it, in any order. What must hold is written beside the crate's tests.

#![no_main]

#[path = "../../crates/call/tests/stories/edge_properties.rs"]
mod edge;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| edge::life(bytes));
