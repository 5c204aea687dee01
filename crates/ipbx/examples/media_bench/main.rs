//! Both ends of the measurement of media (`cargo xtask bench media`), each a process of its own.
//!
//! ```text
//!   media_bench relay CALLS LEGS_FILE [srtp]     our relay threads with that many streams; ends with its input
//!   media_bench load LEGS_FILE LEGS SECONDS [srtp]
//! ```
//! A line of LEGS_FILE is a leg: `LOCAL_PORT RELAY_PORT`, all on 127.0.0.1. Legs 0 and 1, 2 and 3 … are the two ends of a call.
//! With `srtp` the odd legs speak SRTP and the relay bridges.

mod load;
mod relay;

use anyhow::{Context, Result, bail};
use media::srtp::MasterKey;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let number = |text: &str| text.parse::<usize>().with_context(|| format!("'{text}' is no number"));
    match words.as_slice() {
        ["relay", calls, file] => relay::run(number(calls)?, file, false),
        ["relay", calls, file, "srtp"] => relay::run(number(calls)?, file, true),
        ["load", file, legs, seconds] => load::run(file, number(legs)?, number(seconds)?, false),
        ["load", file, legs, seconds, "srtp"] => load::run(file, number(legs)?, number(seconds)?, true),
        _ => bail!("media_bench relay CALLS LEGS_FILE [srtp] | load LEGS_FILE LEGS SECONDS [srtp]"),
    }
}

/// What the relay seals with, and what the phones do.
fn keys() -> (MasterKey, MasterKey) {
    (MasterKey::new([1; 30]), MasterKey::new([2; 30]))
}
