//! One end of one connection: frames in, a bounded queue out, and when something was last heard.
//!
//! A machine does not push data into a line; it asks [`Line::has_room`] and produces the next message only
//! then. So what waits for a slow peer is a position in the log, not a queue: memory per peer is bounded by
//! [`WINDOW_BYTES`] and one message, whatever the peer does. A heartbeat has a slot of its own in front.

use crate::framer::{FrameError, Framer, frames};
use crate::link::{CloseReason, Conn, HEARTBEAT, SILENCE};
use crate::wire::{Body, Heartbeat};
use std::collections::VecDeque;
use std::time::Duration;

/// Bytes under way to one peer, in the shell's hands or queued here. Small, so that what is sent next is
/// decided late.
pub(crate) const WINDOW_BYTES: usize = 64 * 1024;
/// Bytes given to the shell at once.
const SEND_BYTES_MAX: usize = 16 * 1024;
/// A peer whose socket took nothing for this long while something waited is cut off.
const STALL: Duration = Duration::from_secs(10);

/// See the module.
#[derive(Debug)]
pub(crate) struct Line {
    /// Its connection.
    pub(crate) conn: Conn,
    /// When the last byte came.
    pub(crate) heard: Duration,
    /// When the next heartbeat of ours is due.
    pub(crate) beat_due: Duration,
    framer: Framer,
    beat: Option<Vec<u8>>,
    data: VecDeque<Vec<u8>>,
    data_bytes: usize,
    in_flight: usize,
    progress: Duration,
}

impl Line {
    pub(crate) fn new(conn: Conn, now: Duration) -> Line {
        Line {
            conn,
            heard: now,
            beat_due: now + HEARTBEAT,
            framer: Framer::default(),
            beat: None,
            data: VecDeque::new(),
            data_bytes: 0,
            in_flight: 0,
            progress: now,
        }
    }

    /// Bytes came: any byte is life.
    pub(crate) fn receive(&mut self, now: Duration, bytes: &[u8]) {
        self.heard = now;
        self.framer.push(bytes);
    }

    /// The next message of what came.
    pub(crate) fn message(&mut self) -> Result<Option<Body>, FrameError> {
        self.framer.message()
    }

    /// True when the next message may be produced.
    pub(crate) fn has_room(&self) -> bool {
        self.data_bytes + self.in_flight < WINDOW_BYTES
    }

    /// Queues a message.
    pub(crate) fn send(&mut self, body: &Body) {
        for frame in frames(body) {
            self.data_bytes += frame.len();
            self.data.push_back(frame);
        }
    }

    /// Puts a heartbeat in front; one that still waits there is out of date and goes.
    pub(crate) fn beat(&mut self, now: Duration, heartbeat: Heartbeat) {
        self.beat_due = now + HEARTBEAT;
        self.beat = Some(frames(&Body::Heartbeat(heartbeat)).concat());
    }

    /// What the shell is to send now.
    pub(crate) fn flush(&mut self, now: Duration) -> Option<Vec<u8>> {
        let mut bytes = self.beat.take().unwrap_or_default();
        while bytes.len() < SEND_BYTES_MAX && self.in_flight + bytes.len() < WINDOW_BYTES {
            let Some(frame) = self.data.pop_front() else { break };
            self.data_bytes -= frame.len();
            bytes.extend_from_slice(&frame);
        }
        if bytes.is_empty() {
            return None;
        }
        if self.in_flight == 0 {
            self.progress = now;
        }
        self.in_flight += bytes.len();
        Some(bytes)
    }

    /// The shell's socket took that many bytes.
    pub(crate) fn sent(&mut self, now: Duration, bytes: usize) {
        self.in_flight = self.in_flight.saturating_sub(bytes);
        self.progress = now;
    }

    /// Why the connection is to be given up now, if it is.
    pub(crate) fn overdue(&self, now: Duration) -> Option<CloseReason> {
        if now >= self.heard + SILENCE {
            Some(CloseReason::Silence)
        } else if self.in_flight > 0 && now >= self.progress + STALL {
            Some(CloseReason::TooSlow)
        } else {
            None
        }
    }

    /// This machine itself was held up that long: the silence of that time does not count.
    pub(crate) fn excuse(&mut self, late: Duration) {
        self.heard += late;
        self.progress += late;
    }

    /// When this line wants attention by itself.
    pub(crate) fn next_timeout(&self) -> Duration {
        self.beat_due.min(self.heard + SILENCE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Current, Log, LogEntry};

    const T0: Duration = Duration::from_secs(1_000);

    #[test]
    fn a_heartbeat_goes_in_front_of_data_and_replaces_the_one_that_waits() {
        let mut line = Line::new(Conn(1), T0);
        line.send(&Body::Current(Current { revision: 1 }));
        line.beat(T0, Heartbeat { durable: 1, ..Heartbeat::default() });
        line.beat(T0, Heartbeat { durable: 2, ..Heartbeat::default() });
        let mut framer = Framer::default();
        framer.push(&line.flush(T0).unwrap());
        let beat = Heartbeat { durable: 2, ..Heartbeat::default() };
        assert_eq!(framer.message(), Ok(Some(Body::Heartbeat(beat))));
        assert_eq!(framer.message(), Ok(Some(Body::Current(Current { revision: 1 }))));
        assert_eq!(framer.message(), Ok(None));
    }

    #[test]
    fn what_waits_for_a_slow_peer_is_bounded_and_stalling_for_ten_seconds_is_the_end() {
        let mut line = Line::new(Conn(1), T0);
        let entry = LogEntry { id: "l".into(), body: vec![0; 10_000] };
        let mut produced = 0;
        while line.has_room() {
            line.send(&Body::Log(Log { entries: vec![entry.clone()] }));
            produced += 1;
        }
        assert_eq!(produced, 7);
        let mut sent = 0;
        while let Some(bytes) = line.flush(T0) {
            sent += bytes.len();
        }
        assert!(sent <= WINDOW_BYTES + 16 * 1024);
        let later = T0 + STALL;
        line.receive(later, &[]);
        assert_eq!(line.overdue(later - Duration::from_millis(1)), None);
        assert_eq!(line.overdue(later), Some(CloseReason::TooSlow));
        line.sent(later, sent);
        assert_eq!(line.overdue(later), None);
    }
}
