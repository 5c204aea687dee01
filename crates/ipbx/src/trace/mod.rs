//! What was said, call by call: a bounded memory of SIP messages, for the call-flow diagram and for Wireshark.
//!
//! It is lossy by intent (DESIGN § 5.1): the oldest messages are forgotten first, by bytes. Nothing in it is ever
//! written to the log. Keeping costs next to nothing; whoever asks pays for the search, and gets credentials blanked.

pub mod ladder;
pub mod pcap;

use serde::{Deserialize, Serialize};
use sip::Message;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

/// Bytes kept in all.
pub const TRACE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Messages of one answer.
pub const MESSAGES_PER_ANSWER_MAX: usize = 1_000;

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

/// A message as it is kept: as it was at hand, so that nothing is copied for a trace nobody may ask for.
#[derive(Debug, Clone)]
pub enum Kept {
    /// As it was read.
    Read(Message),
    /// As it was sent.
    Sent(Vec<u8>),
}

/// What is known of a kept message.
#[derive(Debug, Clone, Copy)]
pub struct Circumstances {
    /// When, on the steady clock.
    pub at: Duration,
    /// The other end.
    pub party: Party,
    /// Our own address, where there is one.
    pub local: SocketAddr,
    /// Over UDP, for the export.
    pub udp: bool,
}

/// The memory: the latest messages in the order they passed. Which call one belongs to is found out when somebody asks.
#[derive(Debug, Default)]
pub struct Trace {
    messages: VecDeque<(Circumstances, Kept)>,
    bytes: usize,
}

impl Trace {
    /// Keeps a message.
    pub fn keep(&mut self, circumstances: Circumstances, message: Kept) {
        self.bytes += size(&message);
        self.messages.push_back((circumstances, message));
        while self.bytes > TRACE_BYTES_MAX
            && let Some((_, oldest)) = self.messages.pop_front()
        {
            self.bytes -= size(&oldest);
        }
    }

    /// The messages of these calls, in the order of time.
    #[must_use]
    pub fn of(&self, call_ids: &[String]) -> Vec<Traced> {
        let mut found = Vec::new();
        for (known, message) in &self.messages {
            let (call_id, sent, bytes) = match message {
                Kept::Read(message) => (Some(message.call_id()), false, None),
                Kept::Sent(bytes) => (call_id_of(bytes), true, Some(bytes)),
            };
            if !call_id.is_some_and(|id| call_ids.iter().any(|wanted| wanted == id)) {
                continue;
            }
            let mut bytes = match (message, bytes) {
                (Kept::Read(message), _) => message.to_bytes(),
                (Kept::Sent(_), bytes) => bytes.cloned().unwrap_or_default(),
            };
            blank_credentials(&mut bytes);
            let Circumstances { at, party, local, udp } = *known;
            found.push(Traced { at, sent, party, local, udp, bytes });
        }
        found.truncate(MESSAGES_PER_ANSWER_MAX);
        found
    }
}

/// What a message takes: the text, and for one that was read what was found in it.
fn size(message: &Kept) -> usize {
    const READ: usize = 1_024;
    size_of::<(Circumstances, Kept)>()
        + match message {
            Kept::Read(message) => READ + message.body().len(),
            Kept::Sent(bytes) => bytes.len(),
        }
}

/// The Call-ID of a message we wrote: it is in UTF-8, and no line is folded.
pub(crate) fn call_id_of(bytes: &[u8]) -> Option<&str> {
    let may_be = |line: &&[u8]| line.first().is_some_and(|byte| byte.eq_ignore_ascii_case(&b'c'));
    let lines = bytes.split(|byte| *byte == b'\n').skip(1).take_while(|line| line.len() > 1);
    lines.filter(may_be).find_map(|line| {
        let (name, value) = std::str::from_utf8(line).ok()?.split_once(':')?;
        name.eq_ignore_ascii_case("call-id").then(|| value.trim())
    })
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

    fn known(ms: u64) -> Circumstances {
        let Traced { at, party, local, udp, .. } = traced(ms, true, "");
        Circumstances { at, party, local, udp }
    }

    fn invite(call_id: &str, extra: &str) -> String {
        format!(
            "INVITE sip:2102@c-1 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.9;branch=z9hG4bK1\r\nMax-Forwards: 70\r\n\
             From: <sip:2101@c-1>;tag=f\r\nTo: <sip:2102@c-1>\r\nCall-ID: {call_id}\r\n\
             CSeq: 1 INVITE\r\n{extra}Content-Length: 0\r\n\r\n"
        )
    }

    #[test]
    fn the_messages_of_the_legs_of_a_call_come_in_the_order_of_time() {
        let mut trace = Trace::default();
        trace.keep(known(1), Kept::Read(Message::parse(invite("a", "").as_bytes()).unwrap()));
        trace.keep(known(2), Kept::Sent(invite("b", "").into_bytes()));
        trace.keep(known(3), Kept::Sent(invite("c", "").into_bytes()));
        let of = trace.of(&["a".to_owned(), "b".to_owned()]);
        let told: Vec<(u128, bool)> = of.iter().map(|m| (m.at.as_millis(), m.sent)).collect();
        assert_eq!(told, [(1, false), (2, true)]);
    }

    #[test]
    fn the_memory_is_bounded_and_forgets_the_oldest_first() {
        let mut trace = Trace::default();
        let long = format!("{}{}", invite("x", ""), "x".repeat(64 * 1024));
        for call in 0..200_u32 {
            let text = long.replacen("Call-ID: x", &format!("Call-ID: call-{call}"), 1);
            trace.keep(known(u64::from(call)), Kept::Sent(text.into_bytes()));
        }
        assert!(trace.bytes <= TRACE_BYTES_MAX);
        assert!(trace.of(&["call-0".to_owned()]).is_empty());
        assert_eq!(trace.of(&["call-199".to_owned()]).len(), 1);
    }

    #[test]
    fn a_digest_answer_is_not_shown() {
        let mut trace = Trace::default();
        let proof = "Authorization: Digest username=\"2101\", response=\"0011aa\", uri=\"x\"\r\n";
        trace.keep(known(1), Kept::Sent(invite("a", proof).into_bytes()));
        let shown = String::from_utf8(trace.of(&["a".to_owned()])[0].bytes.clone()).unwrap();
        assert!(shown.contains("response=\"******\", uri=\"x\""), "{shown}");
    }
}
