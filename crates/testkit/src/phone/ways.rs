//! The ways to the registrar: which one is in use, and which is tried when it does not answer (RFC 3263 § 4.3).

use super::tls::Trust;
use super::wire::{Way, Wire};
use super::{Options, PhoneError};
use sip::Transport;
use sip::locate::Target;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// How long a server may be silent while there is another one. Timer F would let somebody wait for 32 s (RFC 3261 § 17.1.2.2).
pub(super) const NEXT_AFTER: Duration = Duration::from_secs(3);

/// One way or more; in turn, round after round.
pub(super) struct Ways {
    list: Vec<Way>,
    at: usize,
    /// Ways of this round that are still to be tried.
    left: usize,
}

impl Ways {
    /// As located, or as the system finds the registrar.
    pub(super) async fn of(options: &Options) -> Result<Ways, PhoneError> {
        let fault =
            |error| PhoneError::Registrar { registrar: options.registrar.clone(), source: Arc::new(error) };
        let mut targets = options.targets.clone();
        if targets.is_empty() {
            let found = tokio::net::lookup_host(&options.registrar).await.map_err(fault)?.next();
            let address = found.ok_or_else(|| fault(io::ErrorKind::NotFound.into()))?;
            targets.push(Target { transport: options.transport, address });
        }
        let trust = if targets.iter().any(|target| target.transport == Transport::Tls) {
            // The name that was asked for is what the certificate must have (RFC 5922 § 4), wherever it led.
            Some(Arc::new(Trust::new(options.authority.as_deref(), options.host()).map_err(fault)?))
        } else {
            None
        };
        let way = |target: Target| Way {
            transport: target.transport,
            registrar: target.address,
            trust: trust.clone().filter(|_| target.transport == Transport::Tls),
        };
        let left = targets.len();
        Ok(Ways { list: targets.into_iter().map(way).collect(), at: 0, left })
    }

    /// True when another one is to be tried before this round is over.
    pub(super) fn more(&self) -> bool {
        self.left > 1
    }

    /// The one in use works: should it fail, all others are worth a try.
    pub(super) fn works(&mut self) {
        self.left = self.list.len();
    }

    /// Opens the one in use, or the next that can be opened.
    pub(super) async fn open(&mut self) -> io::Result<Wire> {
        loop {
            let way = self.list.get(self.at).cloned().ok_or(io::ErrorKind::NotFound)?;
            match Wire::open(way).await {
                Ok(wire) => return Ok(wire),
                Err(error) if self.more() => {
                    tracing::info!(%error, "a server of the registrar is not reachable, the next one is tried");
                    self.step();
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Opens the next one; none when this round is over, and the next round begins.
    pub(super) async fn next(&mut self) -> Option<Wire> {
        let more = self.more();
        self.step();
        if !more {
            self.works();
            return None;
        }
        self.open().await.ok()
    }

    fn step(&mut self) {
        self.at = (self.at + 1) % self.list.len().max(1);
        self.left = self.left.saturating_sub(1);
    }
}
