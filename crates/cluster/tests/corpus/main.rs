//! The corpus of the fuzz target `link_frames`, once more at each run of the tests.
#![cfg(test)]
#![allow(clippy::expect_used, clippy::panic, reason = "a test that is surprised fails")]

mod link_properties;

use std::path::PathBuf;

#[test]
fn fuzzed_links_neither_panic_nor_spin() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/link_frames");
    let files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(!files.is_empty());
    for file in files {
        link_properties::hear(&std::fs::read(file).unwrap());
    }
}
