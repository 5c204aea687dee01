//! The corpora of the fuzz targets, once more at each run of the tests.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that is surprised fails"
)]

mod media_properties;
mod relay_properties;

use std::path::PathBuf;

#[test]
fn threat_14_fuzzed_descriptions_and_packets_are_read_or_refused() {
    replay("media", media_properties::hear);
}

#[test]
fn threat_14_fuzzed_streams_hear_and_speak_where_the_signalling_says() {
    replay("relay", relay_properties::relay);
}

#[test]
fn rfc3711_fuzzed_srtp_is_believed_once_and_from_who_has_the_key_alone() {
    replay("srtp", relay_properties::seal);
}

fn replay(target: &str, hear: fn(&[u8])) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(!files.is_empty());
    for file in files {
        hear(&std::fs::read(file).unwrap());
    }
}
