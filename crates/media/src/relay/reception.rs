//! Whether a packet can be the next of its source, and how many never came (RFC 3550 appendix A.1, A.3).

use super::Why;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A leap ahead beyond this needs a second packet to be believed.
const DROPOUT_MAX: u16 = 3_000;
/// A packet this late is still of the same flow.
const MISORDER_MAX: u16 = 100;
/// After this silence of the present source another one is believed at once: a phone that resumes, music on hold.
const SILENCE: Duration = Duration::from_millis(200);

/// The sources of one end. A phone has one at a time; two are known, for those that send digits as another source.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Reception {
    present: Option<Track>,
    other: Option<Track>,
    /// A source or number that one packet claimed: the next one that must come.
    candidate: Option<(u32, u16)>,
    /// Lost packets of sources that are over.
    lost_before: u64,
}

/// One source.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Track {
    ssrc: u32,
    highest: u16,
    /// Packets from the first to the highest.
    expected: u64,
    received: u64,
    heard: Duration,
}

impl Reception {
    /// Takes a packet, or says that it must be confirmed first.
    pub(super) fn take(&mut self, now: Duration, ssrc: u32, sequence: u16) -> Result<(), Why> {
        if self.other.is_some_and(|track| track.ssrc == ssrc) {
            std::mem::swap(&mut self.present, &mut self.other);
        }
        let confirmed = self.candidate.take_if(|candidate| *candidate == (ssrc, sequence)).is_some();
        match &mut self.present {
            Some(track) if track.ssrc == ssrc => {
                if track.follows(sequence) || confirmed {
                    self.lost_before += track.go_on(now, sequence);
                    return Ok(());
                }
            }
            Some(track) if !confirmed && now.saturating_sub(track.heard) < SILENCE => {}
            _ => {
                self.begin(Track { ssrc, highest: sequence, expected: 1, received: 1, heard: now });
                return Ok(());
            }
        }
        self.candidate = Some((ssrc, sequence.wrapping_add(1)));
        Err(Why::Unconfirmed)
    }

    /// The signalling has moved the stream: whatever comes next is believed, and gaps are nobody's loss.
    pub(super) fn restart(&mut self) {
        self.lost_before = self.lost();
        (self.present, self.other, self.candidate) = (None, None, None);
    }

    /// Packets that never came.
    pub(super) fn lost(&self) -> u64 {
        let tracks = [self.present, self.other];
        self.lost_before + tracks.iter().flatten().map(Track::lost).sum::<u64>()
    }

    fn begin(&mut self, track: Track) {
        if let Some(over) = self.other.take() {
            self.lost_before += over.lost();
        }
        self.other = self.present.replace(track);
    }
}

impl Track {
    fn follows(&self, sequence: u16) -> bool {
        let ahead = sequence.wrapping_sub(self.highest);
        ahead < DROPOUT_MAX || self.highest.wrapping_sub(sequence) < MISORDER_MAX
    }

    /// Counts a packet. After a leap the count begins again, and what was lost before it is given back.
    fn go_on(&mut self, now: Duration, sequence: u16) -> u64 {
        self.heard = now;
        if !self.follows(sequence) {
            let lost = self.lost();
            (self.highest, self.expected, self.received) = (sequence, 1, 1);
            return lost;
        }
        self.received += 1;
        let ahead = sequence.wrapping_sub(self.highest);
        if ahead < DROPOUT_MAX {
            self.expected += u64::from(ahead);
            self.highest = sequence;
        }
        0
    }

    fn lost(&self) -> u64 {
        self.expected.saturating_sub(self.received)
    }
}
