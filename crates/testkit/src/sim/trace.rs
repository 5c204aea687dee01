//! What happened, a line an event: printed when asked for, and always hashed, so that two runs of one seed can be
//! shown to be the same.

use std::time::Duration;

/// See the module.
#[derive(Debug)]
pub(super) struct Trace {
    verbose: bool,
    hash: u64,
    lines: u64,
}

impl Trace {
    pub(super) fn new(verbose: bool) -> Trace {
        Trace { verbose, hash: 0xcbf2_9ce4_8422_2325, lines: 0 }
    }

    pub(super) fn note(&mut self, now: Duration, line: impl FnOnce() -> String) {
        let line = line();
        let since = now.saturating_sub(super::world::T0);
        for byte in line.bytes().chain(since.as_micros().to_le_bytes()) {
            // FNV-1a: enough to see a difference.
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        self.lines += 1;
        if self.verbose {
            println!("{:9.3} {line}", since.as_secs_f64());
        }
    }

    /// The hash of all lines so far.
    pub(super) fn hash(&self) -> u64 {
        self.hash
    }

    /// How many there were.
    pub(super) fn lines(&self) -> u64 {
        self.lines
    }
}
