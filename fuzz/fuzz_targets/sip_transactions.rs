//! Any order of events at a transaction layer. What must hold is written beside the crate's tests.

#![no_main]

#[path = "../../crates/sip/tests/transaction_properties.rs"]
mod transactions;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| transactions::life(bytes));
