//! Live tests: real `pleiad` processes, started by path, and programs that we did not write.
//!
//! Processes are ended by pid when their handle is dropped, namespaces are removed likewise, and every wait has
//! a deadline and names what it waited for. A cut is packets that vanish in the [`star`]'s core, which no
//! process is told of. Nothing here skips: where the machine cannot make a namespace, the test fails and says so.

pub mod abuse;
pub mod baresip;
pub mod capture;
pub mod cluster;
pub mod linphone;
pub mod lone;
pub mod names;
pub mod process;
pub mod raw;
pub mod scenario;
pub mod sipp;
pub mod softphone;
pub mod star;
pub mod wav;

use std::time::{Duration, Instant};

/// Asks `look` until it has an answer, at most for `limit`.
///
/// # Errors
/// Says what was waited for when the time is up.
pub fn eventually<T>(
    what: &str,
    limit: Duration,
    mut look: impl FnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let end = Instant::now() + limit;
    loop {
        if let Some(answer) = look()? {
            return Ok(answer);
        }
        if Instant::now() >= end {
            anyhow::bail!("waited {limit:?} in vain for {what}");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
