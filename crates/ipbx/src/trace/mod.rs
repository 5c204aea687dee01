//! What was said, call by call: a bounded memory of SIP messages, for the call-flow diagram and for Wireshark.
//!
//! It is lossy by intent (DESIGN § 5.1): the oldest calls are forgotten first, by bytes. Nothing in it is ever
//! written to the log. Credentials in a message are blanked before it is kept.

pub mod ladder;
pub mod pcap;

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

/// Bytes kept in all.
pub const TRACE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Messages kept of one call; a call that goes on for hours keeps its beginning and forgets the middle.
pub const MESSAGES_PER_CALL_MAX: usize = 200;

/// Who was at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Party {
    /// A phone at this address.
    Phone(SocketAddr),
    /// Another member of the cluster, by number.
    Member(u8),
}

impl std::fmt::Display for Party {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Party::Phone(address) => write!(f, "{address}"),
            Party::Member(0) => f.write_str("cluster server"),
            Party::Member(number) => write!(f, "node {number}"),
        }
    }
}

/// One message that came or went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traced {
    /// When, on the steady clock.
    pub at: Duration,
    /// True when we sent it.
    pub sent: bool,
    /// The other end.
    pub party: Party,
    /// Our own address, where there is one.
    pub local: SocketAddr,
    /// Over UDP, for the export.
    pub udp: bool,
    /// The message.
    pub bytes: Vec<u8>,
}

/// The memory.
#[derive(Debug, Default)]
pub struct Trace {
    calls: BTreeMap<String, Vec<Traced>>,
    /// Call-IDs in the order of their first message.
    order: VecDeque<String>,
    bytes: usize,
}

impl Trace {
    /// Keeps a message under its Call-ID.
    pub fn keep(&mut self, call_id: &str, mut message: Traced) {
        blank_credentials(&mut message.bytes);
        let size = message.bytes.len() + call_id.len() + size_of::<Traced>();
        let messages = match self.calls.get_mut(call_id) {
            Some(messages) => messages,
            None => {
                self.order.push_back(call_id.to_owned());
                self.calls.entry(call_id.to_owned()).or_default()
            }
        };
        if messages.len() >= MESSAGES_PER_CALL_MAX {
            return;
        }
        messages.push(message);
        self.bytes += size;
        while self.bytes > TRACE_BYTES_MAX && self.order.len() > 1 {
            self.forget_oldest();
        }
    }

    /// The messages of these calls, in the order of time.
    #[must_use]
    pub fn of(&self, call_ids: &[String]) -> Vec<Traced> {
        let mut messages: Vec<Traced> =
            call_ids.iter().filter_map(|id| self.calls.get(id)).flatten().cloned().collect();
        messages.sort_by_key(|message| message.at);
        messages
    }

    fn forget_oldest(&mut self) {
        let Some(id) = self.order.pop_front() else { return };
        let messages = self.calls.remove(&id).unwrap_or_default();
        let freed: usize =
            messages.iter().map(|message| message.bytes.len() + id.len() + size_of::<Traced>()).sum();
        self.bytes = self.bytes.saturating_sub(freed);
    }
}

/// Overwrites the answer of a digest: with it and a dictionary a weak password could be guessed.
fn blank_credentials(bytes: &mut [u8]) {
    const MARK: &[u8] = b"response=\"";
    let mut from = 0;
    while let Some(found) =
        bytes.get(from..).and_then(|rest| rest.windows(MARK.len()).position(|window| window == MARK))
    {
        let start = from + found + MARK.len();
        for byte in bytes.iter_mut().skip(start).take_while(|byte| **byte != b'"') {
            *byte = b'*';
        }
        from = start;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn traced(ms: u64, sent: bool, text: &str) -> Traced {
        Traced {
            at: Duration::from_millis(ms),
            sent,
            party: Party::Phone("127.0.0.1:40000".parse().unwrap()),
            local: "127.0.0.1:5060".parse().unwrap(),
            udp: true,
            bytes: text.as_bytes().to_vec(),
        }
    }

    #[test]
    fn the_messages_of_the_legs_of_a_call_come_in_the_order_of_time() {
        let mut trace = Trace::default();
        trace.keep("b", traced(2, true, "INVITE"));
        trace.keep("a", traced(1, false, "INVITE"));
        trace.keep("c", traced(1, false, "OPTIONS"));
        let of = trace.of(&["a".to_owned(), "b".to_owned()]);
        assert_eq!(of.iter().map(|m| m.at.as_millis()).collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn the_memory_is_bounded_and_forgets_the_oldest_call_first() {
        let mut trace = Trace::default();
        let long = "x".repeat(64 * 1024);
        for call in 0..200_u32 {
            trace.keep(&format!("call-{call}"), traced(u64::from(call), true, &long));
        }
        assert!(trace.bytes <= TRACE_BYTES_MAX);
        assert!(trace.of(&["call-0".to_owned()]).is_empty());
        assert_eq!(trace.of(&["call-199".to_owned()]).len(), 1);
    }

    #[test]
    fn a_digest_answer_is_not_kept() {
        let mut trace = Trace::default();
        trace.keep(
            "a",
            traced(1, false, "Authorization: Digest username=\"2101\", response=\"0011aa\", uri=\"x\""),
        );
        let kept = String::from_utf8(trace.of(&["a".to_owned()])[0].bytes.clone()).unwrap();
        assert!(kept.contains("response=\"******\", uri=\"x\""), "{kept}");
    }
}
