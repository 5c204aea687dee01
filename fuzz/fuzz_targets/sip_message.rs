//! A datagram from anybody. What must hold is written beside the crate's tests.

#![no_main]

#[allow(dead_code, reason = "the other target uses the other half")]
#[path = "../../crates/sip/tests/parsing_properties.rs"]
mod parsing;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| parsing::datagram(bytes));
