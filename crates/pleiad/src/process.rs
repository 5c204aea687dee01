//! Beginnings and ends of processes: the signals that end one, and children that never outlive their parent.
//!
//! A child of the demo is started with `--parent-pipe` and its standard input as a pipe from the parent. When the
//! parent ends, however it ends, the kernel closes the pipe, and the child ends itself as if it had got SIGTERM. No
//! unsafe call and no process group trick is needed, and it works with `kill -9` too.

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, getpid, kill_process};
use std::io::Read as _;
use tokio::signal::unix::{SignalKind, signal};

/// Waits for SIGTERM or SIGINT.
pub(crate) async fn told_to_end() -> Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    }
}

/// From now on, the end of standard input is as good as SIGTERM.
pub(crate) fn end_with_parent() -> Result<()> {
    let watch = || {
        let mut rest = [0; 64];
        let mut input = std::io::stdin().lock();
        while matches!(input.read(&mut rest), Ok(1..)) {}
        // Our own process always takes a signal from itself.
        let _ = kill_process(getpid(), Signal::TERM);
    };
    std::thread::Builder::new()
        .name("parent-pipe".to_owned())
        .spawn(watch)
        .context("cannot start the thread that watches the parent")?;
    Ok(())
}

/// Asks a process to end in its own way.
pub(crate) fn ask_to_end(id: u32) -> Result<()> {
    let pid = i32::try_from(id).ok().and_then(Pid::from_raw).context("not a process id")?;
    kill_process(pid, Signal::TERM).with_context(|| format!("cannot send SIGTERM to process {id}"))
}
