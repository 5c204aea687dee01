//! The corpus of the fuzz target, once more at each run of the tests.
#![expect(clippy::expect_used, reason = "a test that is surprised fails")]

mod media_properties;

use std::path::PathBuf;

#[test]
fn threat_14_fuzzed_descriptions_and_packets_are_read_or_refused() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/media");
    let files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(!files.is_empty());
    for file in files {
        media_properties::hear(&std::fs::read(file).unwrap());
    }
}
