//! The corpus of the fuzz targets, once more at each run of the tests.

use crate::{parsing_properties, transaction_properties};
use std::path::PathBuf;

fn replay(target: &str, property: fn(&[u8])) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(!files.is_empty());
    for file in files {
        property(&std::fs::read(file).unwrap());
    }
}

#[test]
fn fuzzed_datagrams_are_read_or_refused() {
    replay("sip_message", parsing_properties::datagram);
}

#[test]
fn fuzzed_streams_give_the_same_messages_however_torn() {
    replay("sip_stream", parsing_properties::stream);
}

#[test]
fn fuzzed_lives_of_a_transaction_layer_end_empty() {
    replay("sip_transactions", transaction_properties::life);
}

#[test]
fn fuzzed_values_are_read_or_refused() {
    replay("sip_value", parsing_properties::value);
}

#[test]
fn fuzzed_credentials_let_nobody_in() {
    replay("sip_credentials", parsing_properties::credentials);
}
