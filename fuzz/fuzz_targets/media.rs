//! Session descriptions, and packets of media, from anybody. What must hold is written beside the crate's tests.

#![no_main]

#[path = "../../crates/media/tests/corpus/media_properties.rs"]
mod media_in;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| media_in::hear(bytes));
