//! The call server daemon in all its roles, and its web administration.
//!
//! | to know | read |
//! | --- | --- |
//! | what it is told to be | [`config`] (the file), [`role`] (the manager), [`claim`] (who may say so) |
//! | what it computes | [`member`]: pure, shared with the simulator |
//! | what touches the world | [`shell`]: sockets, threads, clock, disk |
//! | what can be asked of it | [`service`]; [`api`] and [`pages`] only show it |
//! | how it starts and ends | [`machine`], [`running`], and [`run`] below |
//!
//! It decides nothing about calls (`call`) or the link (`cluster`) and opens no database (`store`).

pub mod announce;
pub mod api;
pub mod claim;
pub mod config;
pub mod data;
pub mod files;
pub mod identity;
pub mod machine;
pub mod member;
pub mod pages;
pub mod rescue;
pub mod role;
pub mod running;
pub mod service;
pub mod shell;
pub mod trace;

pub use config::Config;
pub use machine::{Machine, MachineError, Started};

use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// Runs a call server until SIGTERM or SIGINT, then drains it: no new calls, and those in progress have
/// `drain_seconds` to end by themselves. A second signal ends it at once.
///
/// # Errors
/// When it cannot start; each error says what to do.
pub async fn run(config: Config) -> Result<(), MachineError> {
    let patience = Duration::from_secs(u64::from(config.drain_seconds));
    let started = Machine::start(config).await?;
    say_hello(&started);
    wait_for_signal().await;
    tracing::info!(patience_s = patience.as_secs(), "stopping: no new calls are taken");
    tokio::select! {
        () = started.stop(patience) => {}
        () = wait_for_signal() => tracing::warn!("stopped at once by a second signal"),
    }
    Ok(())
}

/// Tells whoever started it where it is and, while nobody owns it, how to claim it.
fn say_hello(started: &Started) {
    let machine = &started.machine;
    let identity = machine.identity();
    tracing::info!(
        name = %machine.config().name,
        dongle_id = %identity.dongle_id,
        fingerprint = %identity.fingerprint,
        web = %started.web_address(),
        sip = ?machine.running().map(|running| running.phones.address()),
        "call server started"
    );
    if let Some(code) = machine.claim_code() {
        // On the console, not in the log: whoever reads logs later must not own the machine.
        println!("nobody owns this machine yet; its claim code is  {code}");
    }
}

async fn wait_for_signal() {
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        tracing::error!("signals cannot be received: end this process with SIGKILL");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
