//! What stands in a header, from anybody. What must hold is written beside the crate's tests.

#![no_main]

#[allow(dead_code, reason = "the other targets use the other parts")]
#[path = "../../crates/sip/tests/parsing_properties.rs"]
mod parsing;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| parsing::value(bytes));
