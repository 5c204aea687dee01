//! The relay threads of the daemon, with streams and nothing else.

use anyhow::{Result, ensure};
use ipbx::shell::clock::SteadyClock;
use ipbx::shell::media::{Beginning, MediaRelay};
use media::relay::{End, Keys, Order, Remote, Report, Spec, StreamId};
use media::srtp::Suite;
use std::fmt::Write as _;
use std::io::Read as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Where our ports and those of the phones begin.
const RELAY_PORT: usize = 10_000;
const PHONE_PORT: usize = 30_000;

pub(super) fn run(calls: usize, file: &str, srtp: bool) -> Result<()> {
    let failed = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&failed);
    let listener = move |report| {
        if let Report::Failed(_) = report {
            count.fetch_add(1, Ordering::Relaxed);
        }
    };
    let relay = MediaRelay::start(Beginning {
        clock: SteadyClock::start(),
        threads: 1,
        silence: Duration::from_secs(3_600),
        frozen: None,
        listener: Arc::new(listener),
    })?;
    let mut legs = String::new();
    for call in 0..calls {
        let (caller, called) = (end(2 * call)?, end(2 * call + 1)?);
        for (number, end) in [(2 * call, &caller), (2 * call + 1, &called)] {
            writeln!(legs, "{} {}", PHONE_PORT + 2 * number, end.local.port())?;
        }
        let (ours, theirs) = super::keys();
        let keys = Keys { suite: Suite::AesCm128HmacSha1_80, ours, theirs: Some(theirs) };
        let called = End { keys: srtp.then_some(keys), ..called };
        let id = StreamId(u64::try_from(call)? << 8);
        relay.order(Order::Open(id, Spec { caller, called, opaque: false }, None));
    }
    // All ports are open when the threads have heard what came after them.
    std::thread::sleep(Duration::from_millis(500));
    ensure!(failed.load(Ordering::Relaxed) == 0, "some ports are taken");
    std::fs::write(file, legs)?;
    println!("ready");
    let mut rest = Vec::new();
    std::io::stdin().read_to_end(&mut rest)?;
    Ok(())
}

fn end(leg: usize) -> Result<End> {
    let at =
        |port: usize| Ok::<_, anyhow::Error>(SocketAddr::from((Ipv4Addr::LOCALHOST, u16::try_from(port)?)));
    let (rtp, rtcp) = (at(PHONE_PORT + 2 * leg)?, at(PHONE_PORT + 2 * leg + 1)?);
    Ok(End {
        local: at(RELAY_PORT + 2 * leg)?,
        remote: Some(Remote { rtp, rtcp, learn_from: None }),
        keys: None,
    })
}
