//! How many durable commits a second this disk gives: `cargo run --release -p store --example commits -- DIR`.
//!
//! One line a setting: callers, commits/s, the latency of one caller. The raw numbers of `cargo xtask bench`.

use model::Kind;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use store::{Commit, ConfigStore};

const RUN: Duration = Duration::from_secs(3);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = std::env::args_os().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    for callers in [1, 8, 64] {
        let path = dir.join(format!("commits-{}-{callers}.db", std::process::id()));
        let store = ConfigStore::open(&path)?;
        let total = measure(&store, callers);
        drop(store);
        store::remove(&path)?;
        let seconds = RUN.as_secs();
        let each_us = u64::try_from(RUN.as_micros())? * callers / total.max(1);
        println!("callers={callers} commits_per_s={} mean_us={each_us}", total / seconds);
    }
    Ok(())
}

/// Commits that were acknowledged in [`RUN`].
fn measure(store: &ConfigStore, callers: u64) -> u64 {
    let total = AtomicU64::new(0);
    let end = Instant::now() + RUN;
    std::thread::scope(|scope| {
        for caller in 0..callers {
            let (store, total) = (store.clone(), &total);
            scope.spawn(move || {
                let mut n = 0u64;
                while Instant::now() < end {
                    let key = format!("{caller}-{}", n % 1000);
                    let commit = Commit::new().put(Kind::FeatureClass, key, vec![b'x'; 300]);
                    match store.commit(commit) {
                        Ok(_) => n += 1,
                        Err(error) => return eprintln!("{error}"),
                    }
                }
                total.fetch_add(n, Ordering::Relaxed);
            });
        }
    });
    total.into_inner()
}
