//! Media without sockets: what the phones say to each other beside SIP.
//!
//! - [`sdp`]: session descriptions (RFC 8866), read and printed, with the offer/answer of a phone (RFC 3264).
//! - [`rtp`]: the packet (RFC 3550). [`g711`]: the two laws every telephone knows.
//! - [`telephone_event`]: digits as packets (RFC 4733).
//! - [`srtp`]: packets that prove themselves and cannot be overheard (RFC 3711). [`relay`]: an anchored stream.
//! - [`tone`] and [`detector`]: a tone to send, and which tones were heard: how a test proves that sound passed.
//!
//! Nothing here opens a socket or reads a clock: packets are byte slices, time is a count of samples.

pub mod datagram;
pub mod detector;
pub mod g711;
pub mod relay;
pub mod rtp;
pub mod sdp;
pub mod srtp;
pub mod telephone_event;
pub mod tone;

/// Samples a second of narrow-band telephony.
pub const SAMPLE_RATE_HZ: u32 = 8_000;
/// Samples in a packet of 20 ms, the only packet time we send.
pub const PACKET_SAMPLES: usize = 160;
