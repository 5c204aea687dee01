//! Where a context stands, for a process that must go on after `kill -9`.
//!
//! What it is: [`Standing`], told from time to time and kept on disk. What it is not: the frozen form of a context, which
//! says each packet that was there.
//!
//! The one thing a reader must know: a standing is old when it is used. RTP indices follow the sequence numbers of the
//! source, so an old one is enough to know their roll-over counter as long as fewer than 2^15 packets have passed
//! (RFC 3711 § 3.3.1); SRTCP indices are counted by us, so the count leaps over all that may have been sent since.

use super::window::Window;
use super::{Context, MasterKey, Source, Suite};
use serde::{Deserialize, Serialize};

/// RTP packets of a source after which its place is told again: half of what the guess of RFC 3711 § 3.3.1 bears.
const RTP_INTERVAL: u64 = 1 << 14;
/// SRTCP packets of a source after which its place is told again.
const RTCP_INTERVAL: u64 = 1 << 10;
/// What the SRTCP count leaps by: 64 times the interval, so that even a flood of reports beside a slow disk does not
/// reach it. 32,767 leaps use a key up.
const RTCP_LEAP: u64 = 1 << 16;

/// See the module. It names its key, and is of no use to a context with another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    suite: Suite,
    master: MasterKey,
    /// SRTCP indices up to here may be used up, whoever the source.
    rtcp_floor: u64,
    sources: Vec<Mark>,
}

/// The highest indices of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Mark {
    ssrc: u32,
    /// Roll-over counter and sequence number.
    rtp: Option<u64>,
    rtcp: Option<u64>,
}

impl Context {
    /// Where it stands.
    #[must_use]
    pub fn standing(&self) -> Standing {
        let (suite, master, rtcp_floor) = (self.suite, self.master.clone(), self.rtcp_floor);
        Standing { suite, master, rtcp_floor, sources: self.sources.iter().map(Mark::of).collect() }
    }

    /// True when it has gone so far since `told`, or is so new, that its standing must be told again.
    #[must_use]
    pub fn is_past(&self, told: Option<&Standing>) -> bool {
        let Some(told) = told.filter(|told| self.is_of(told.suite, &told.master)) else {
            return !self.sources.is_empty() || self.rtcp_floor > 0;
        };
        self.rtcp_floor > told.rtcp_floor
            || self.sources.iter().map(Mark::of).any(|mark| {
                let before = told.sources.iter().find(|before| before.ssrc == mark.ssrc);
                before.is_none_or(|before| mark.is_past(before))
            })
    }

    /// A context that goes on where another process stood at least. Nothing that the standing knows of is taken or sent
    /// again. A sender must [`Context::leap`].
    #[must_use]
    pub fn resumed(standing: &Standing) -> Context {
        let context = Context::new(standing.suite, standing.master.clone());
        let sources = standing.sources.iter().map(Mark::source).collect();
        Context { sources, rtcp_floor: standing.rtcp_floor, ..context }
    }

    /// A sender's SRTCP count leaps over every index that a process before may have used without telling.
    pub fn leap(&mut self) {
        let highest = self.sources.iter().filter_map(|source| source.rtcp.highest()).max();
        self.rtcp_floor = highest.unwrap_or_default().max(self.rtcp_floor) + RTCP_LEAP;
        for source in &mut self.sources {
            source.rtcp = Window::resumed(Some(self.rtcp_floor));
        }
    }
}

impl Mark {
    fn of(source: &Source) -> Mark {
        Mark { ssrc: source.ssrc, rtp: source.rtp.highest(), rtcp: source.rtcp.highest() }
    }

    fn source(&self) -> Source {
        Source { ssrc: self.ssrc, rtp: Window::resumed(self.rtp), rtcp: Window::resumed(self.rtcp) }
    }

    fn is_past(&self, before: &Mark) -> bool {
        has_gone(before.rtp, self.rtp, RTP_INTERVAL) || has_gone(before.rtcp, self.rtcp, RTCP_INTERVAL)
    }
}

fn has_gone(before: Option<u64>, now: Option<u64>, interval: u64) -> bool {
    match (before, now) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(before), Some(now)) => now.saturating_sub(before) >= interval,
    }
}
