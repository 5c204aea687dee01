//! One anchored stream: two ends, and what goes from one to the other through us.
//!
//! ```text
//!   caller's phone ──RTP──> [ source? ─ sane? ─ unseal ]──[ seal ]──RTP──> called phone
//!                           caller's end             called end
//! ```
//!
//! What it is: the decision about each packet, in place and without allocation: is it from where the signalling says,
//! can it be what it claims, and where does it go. SRTP ends here where only one end speaks it, and passes untouched
//! where both do. What it is not: it opens no socket, mixes nothing and changes no codec; digits (RFC 4733) pass.
//!
//! The one thing a reader must know: an end hears only **one** source. It is the address its description names; of a
//! phone behind a NAT it is the first sane packet's source, learnt once, from the host its signalling comes from.

mod order;
mod reception;
mod source;
mod standing;

pub use order::{End, Keys, Order, Remote, Report, Side, Spec, StreamId, Traffic};
pub use standing::Standing;

use crate::datagram::Datagram;
use crate::rtp;
use crate::srtp::{self, SrtpError};
use reception::Reception;
use serde::{Deserialize, Serialize};
use source::Source;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

/// Which of an end's two sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Channel {
    /// The even port: RTP, and RTCP too when it is multiplexed (RFC 5761).
    Rtp,
    /// The odd port above it.
    Rtcp,
}

/// What becomes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Send it there, from the other end's socket of the same channel.
    Forward(SocketAddr),
    /// Nothing is sent.
    Drop(Why),
}

/// Why a packet is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// The signalling has not said yet who sends here.
    TooEarly,
    /// It comes from another address than the signalling says.
    Stranger,
    /// Neither RTP nor RTCP.
    Malformed,
    /// A new source or a leap in its numbers, not confirmed by a second packet.
    Unconfirmed,
    /// Its SRTP tag is wrong, or there is no key yet.
    Unauthentic,
    /// It was there before.
    Replayed,
    /// The other end takes nothing now, or is behind a NAT and has not been heard yet.
    NoWay,
    /// It does not fit, or the stream had too many sources.
    Limit,
}

impl From<SrtpError> for Why {
    fn from(fault: SrtpError) -> Why {
        match fault {
            SrtpError::Malformed => Why::Malformed,
            SrtpError::Unauthentic => Why::Unauthentic,
            SrtpError::Replayed => Why::Replayed,
            SrtpError::Sources | SrtpError::TooLong => Why::Limit,
        }
    }
}

/// A stream at work.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Relay {
    spec: Spec,
    caller: Ear,
    called: Ear,
    /// Since when nothing was heard from either end.
    heard: Duration,
    /// Where its key streams stood when that was told last.
    #[serde(default)]
    told: Option<Box<Standing>>,
}

/// What one end is heard with and spoken to.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Ear {
    rtp: Source,
    rtcp: Source,
    // Large, and most streams have none: what each packet touches stays close together.
    unseal: Option<Box<srtp::Context>>,
    seal: Option<Box<srtp::Context>>,
    /// SRTP does not end here now. It may again with the same keys: where those stand is not forgotten.
    #[serde(default)]
    resting: bool,
    reception: Reception,
    packets: u64,
    bytes: u64,
    dropped: BTreeMap<Why, u64>,
}

impl Relay {
    /// A stream that has heard nothing.
    #[must_use]
    pub fn new(now: Duration, spec: Spec) -> Relay {
        let (caller, called) = (Ear::new(&spec.caller), Ear::new(&spec.called));
        Relay { spec, caller, called, heard: now, told: None }
    }

    /// The signalling has new terms. What they do not touch goes on as it was: a learnt source, counters of a key.
    pub fn alter(&mut self, spec: Spec) {
        self.caller.alter(&self.spec.caller, &spec.caller);
        self.called.alter(&self.spec.called, &spec.called);
        self.spec = spec;
    }

    /// The terms.
    #[must_use]
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// One packet that came to `side`'s socket. When it is forwarded it has been sealed for the other end.
    pub fn handle(
        &mut self,
        now: Duration,
        (side, channel): (Side, Channel),
        from: SocketAddr,
        packet: &mut Datagram<'_>,
    ) -> Verdict {
        let (ear, mouth) = match side {
            Side::Caller => (&mut self.caller, &mut self.called),
            Side::Called => (&mut self.called, &mut self.caller),
        };
        let length = packet.bytes().len();
        match ear.hear(now, channel, from, packet, self.spec.opaque) {
            Err(why) => ear.drop(why),
            Ok(kind) => {
                self.heard = now;
                ear.packets += 1;
                ear.bytes += u64::try_from(length).unwrap_or(0);
                match mouth.speak(channel, kind, packet) {
                    Ok(to) => Verdict::Forward(to),
                    Err(why) => ear.drop(why),
                }
            }
        }
    }

    /// How long both ends have been silent.
    #[must_use]
    pub fn silence(&self, now: Duration) -> Duration {
        now.saturating_sub(self.heard)
    }

    /// What each end has sent so far.
    #[must_use]
    pub fn traffic(&self) -> (Traffic, Traffic) {
        (self.caller.traffic(), self.called.traffic())
    }

    /// A thawed stream: the time it was frozen counts for nothing.
    pub fn resumed(&mut self, now: Duration) {
        self.heard = now;
    }
}

/// What a packet is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Rtp,
    Rtcp,
    /// Something else that is carried as it is (T.38 over UDPTL).
    Opaque,
}

impl Ear {
    fn new(end: &End) -> Ear {
        let mut ear = Ear::default();
        ear.begin(end);
        ear
    }

    fn begin(&mut self, end: &End) {
        self.alter(&End { remote: None, keys: None, ..end.clone() }, end);
    }

    fn alter(&mut self, was: &End, is: &End) {
        if was.remote != is.remote {
            let learn = is.remote.as_ref().and_then(|remote| remote.learn_from);
            self.rtp = Source::new(is.remote.as_ref().map(|remote| remote.rtp), learn);
            self.rtcp = Source::new(is.remote.as_ref().map(|remote| remote.rtcp), learn);
            self.reception.restart();
        }
        self.resting = is.keys.is_none();
        if let Some(Keys { suite, ours, theirs }) = &is.keys {
            renew(&mut self.unseal, theirs.as_ref().map(|theirs| (*suite, theirs)));
            renew(&mut self.seal, Some((*suite, ours)));
        }
    }

    fn source(&mut self, channel: Channel) -> &mut Source {
        match channel {
            Channel::Rtp => &mut self.rtp,
            Channel::Rtcp => &mut self.rtcp,
        }
    }

    /// Believes a packet or says why not.
    fn hear(
        &mut self,
        now: Duration,
        channel: Channel,
        from: SocketAddr,
        packet: &mut Datagram<'_>,
        opaque: bool,
    ) -> Result<Kind, Why> {
        self.source(channel).check(from)?;
        let kind = if opaque { Kind::Opaque } else { kind_of(packet.bytes())? };
        if let (Some(context), false) = (&mut self.unseal, opaque || self.resting) {
            match kind {
                Kind::Rtp => context.unprotect_rtp(packet)?,
                Kind::Rtcp => context.unprotect_rtcp(packet)?,
                Kind::Opaque => {}
            }
        } else if self.seal.is_some() && !self.resting {
            // The end speaks SRTP, and its key is not known yet.
            return Err(Why::Unauthentic);
        }
        if kind == Kind::Rtp {
            let (header, _) = rtp::head(packet.bytes()).map_err(|_| Why::Malformed)?;
            self.reception.take(now, header.ssrc, header.sequence)?;
        }
        self.source(channel).learn(from);
        Ok(kind)
    }

    /// Seals a packet for this end and says where it is.
    fn speak(&mut self, channel: Channel, kind: Kind, packet: &mut Datagram<'_>) -> Result<SocketAddr, Why> {
        let to = self.source(channel).address().ok_or(Why::NoWay)?;
        if let (Some(context), false) = (&mut self.seal, self.resting) {
            match kind {
                Kind::Rtp => context.protect_rtp(packet)?,
                Kind::Rtcp => context.protect_rtcp(packet)?,
                Kind::Opaque => {}
            }
        }
        Ok(to)
    }

    fn drop(&mut self, why: Why) -> Verdict {
        *self.dropped.entry(why).or_default() += 1;
        Verdict::Drop(why)
    }

    fn traffic(&self) -> Traffic {
        Traffic {
            packets: self.packets,
            bytes: self.bytes,
            lost: self.reception.lost(),
            dropped: self.dropped.clone(),
        }
    }
}

/// A context for the key of these terms; the same one when the key is the same.
fn renew(context: &mut Option<Box<srtp::Context>>, key: Option<(srtp::Suite, &srtp::MasterKey)>) {
    match key {
        None => *context = None,
        Some((suite, key)) => {
            if !context.as_ref().is_some_and(|context| context.is_of(suite, key)) {
                *context = Some(Box::new(srtp::Context::new(suite, key.clone())));
            }
        }
    }
}

fn kind_of(bytes: &[u8]) -> Result<Kind, Why> {
    if rtp::is_rtcp(bytes) {
        return rtp::rtcp_sender(bytes).map(|_| Kind::Rtcp).ok_or(Why::Malformed);
    }
    rtp::head(bytes).map(|_| Kind::Rtp).map_err(|_| Why::Malformed)
}

#[cfg(test)]
mod tests;
