//! `pleiad wan`: a piece of wide-area network between two members, as a process of its own.
//!
//! It carries opaque TCP bytes and UDP datagrams and holds no key: to both ends it is a cable. Told to `cut`, it
//! forwards nothing and **closes nothing**: bytes stop, no FIN and no RST is seen, datagrams vanish, and connections
//! made meanwhile hang. So neither end is told anything, exactly as when a digger finds the fibre. Told to `heal`,
//! what TCP still holds flows on, as retransmissions would, and lost datagrams stay lost.
//!
//! It is not a proof of behaviour under real packet loss: for that the live tests use network namespaces.

mod control;
mod tcp;
mod udp;

use anyhow::{Context, Result};
use clap::Args;
use std::net::SocketAddr;
use std::path::PathBuf;
use tokio::sync::watch;

pub(crate) use control::ask;

/// The settings of a relay.
#[derive(Debug, Args)]
#[command(after_help = "Example: pleiad wan --listen 127.0.0.1:7611 --to 127.0.0.1:7601 --control wan1.sock")]
pub(crate) struct Options {
    /// Where the one end dials, TCP and UDP
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: SocketAddr,
    /// Where the other end is
    #[arg(long, value_name = "ADDRESS:PORT")]
    to: SocketAddr,
    /// The Unix socket that takes `cut`, `heal` and `status`
    #[arg(long, value_name = "FILE")]
    control: PathBuf,
}

/// Whether the line carries anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    Cut,
    Whole,
}

/// Carries until the process is told to end.
pub(crate) async fn run(options: Options) -> Result<()> {
    let (line, seen) = watch::channel(Line::Whole);
    let tcp = tcp::Relay::bind(options.listen, options.to)
        .await
        .with_context(|| format!("cannot listen on TCP {}", options.listen))?;
    let udp = udp::Relay::bind(options.listen, options.to)
        .await
        .with_context(|| format!("cannot listen on UDP {}", options.listen))?;
    let control = control::Control::bind(&options.control)
        .with_context(|| format!("cannot make the control socket {}", options.control.display()))?;
    println!("wan: {} carries to {}", options.listen, options.to);
    tokio::select! {
        () = tcp.carry(seen.clone()) => Ok(()),
        () = udp.carry(seen) => Ok(()),
        () = control.serve(line) => Ok(()),
        ended = crate::process::told_to_end() => ended,
    }
}

/// Waits until the line carries; false when there is no line any more.
async fn whole(line: &mut watch::Receiver<Line>) -> bool {
    line.wait_for(|state| *state == Line::Whole).await.is_ok()
}
