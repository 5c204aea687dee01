//! Bytes on the cluster link, from a peer whose program is not ours. What must hold is written beside the crate's tests.

#![no_main]

#[path = "../../crates/cluster/tests/corpus/link_properties.rs"]
mod link;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| link::hear(bytes));
