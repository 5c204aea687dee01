//! SRTP and SRTCP, with somebody between sender and receiver. What must hold is written beside the crate's tests.

#![no_main]

#[path = "../../crates/media/tests/corpus/relay_properties.rs"]
#[allow(dead_code, reason = "two targets share it")]
mod properties;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| properties::seal(bytes));
