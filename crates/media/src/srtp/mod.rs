//! SRTP and SRTCP (RFC 3711) with the suites that telephones speak through SDES (RFC 4568):
//! `AES_CM_128_HMAC_SHA1_80` and `AES_CM_128_HMAC_SHA1_32`.
//!
//! What it is: [`Context`], one direction of one stream under one master key. It works in place in the receive buffer
//! and allocates only when a new source appears. What it is not: no MKI, no key derivation rate, no re-keying
//! by lifetime: a description that wants one of those is not accepted (`sdp::Crypto`).
//!
//! The one thing a reader must know: nothing is remembered of a packet that does not prove itself, and no index is
//! ever encrypted twice, since a key stream used twice gives both texts away.

mod key;
mod standing;
mod window;

pub use key::{MASTER_BYTES, MasterKey, Suite};
pub use standing::Standing;

use crate::datagram::{Datagram, NoRoom};
use crate::rtp::{self, RtpError};
use aes::Aes128;
use aes::cipher::{InnerIvInit, StreamCipher, StreamCipherCoreWrapper};
use ctr::CtrCore;
use ctr::flavors::Ctr128BE;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha1::Sha1;
use subtle::ConstantTimeEq;
use window::Window;

/// Synchronisation sources one context knows. A receiver forgets the one heard least lately for a new one; a sender
/// refuses a further one, since forgetting where it stood would repeat its key stream.
pub const SOURCES_MAX: usize = 16;
/// Bytes a packet grows by at most: the SRTCP index and a tag of 80 bits.
pub const GROWTH_BYTES_MAX: usize = 14;

/// Bytes of the authentication tag of SRTCP, in both suites (RFC 4568 § 6.2).
const RTCP_TAG_BYTES: usize = 10;
/// Bytes of an RTCP header that stay readable (RFC 3711 § 3.4).
const RTCP_CLEAR_BYTES: usize = 8;
/// The bit of the SRTCP index that says "encrypted".
const ENCRYPTED: u32 = 1 << 31;

/// Why a packet is not carried. It is the sender's fault, an attack, or loss; the packet is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SrtpError {
    /// No RTP header, or no room for a tag.
    #[error("the packet is no SRTP packet")]
    Malformed,
    /// Its tag is wrong: forged, damaged, or made with another key.
    #[error("the packet does not prove itself")]
    Unauthentic,
    /// It was there before, or is older than the window.
    #[error("the packet was there before")]
    Replayed,
    /// [`SOURCES_MAX`] sources have been sent already.
    #[error("too many sources")]
    Sources,
    /// The buffer has no room for the tag.
    #[error("the packet is too long")]
    TooLong,
}

impl From<RtpError> for SrtpError {
    fn from(_: RtpError) -> SrtpError {
        SrtpError::Malformed
    }
}

impl From<NoRoom> for SrtpError {
    fn from(_: NoRoom) -> SrtpError {
        SrtpError::TooLong
    }
}

/// One direction of a stream under one master key.
#[derive(Clone, Serialize, Deserialize)]
#[serde(from = "Kept", into = "Kept")]
pub struct Context {
    suite: Suite,
    master: MasterKey,
    rtp: SessionKeys,
    rtcp: SessionKeys,
    /// Heard or sent least lately first.
    sources: Vec<Source>,
    /// SRTCP indices up to here may have been sent by a process before, whoever the source.
    rtcp_floor: u64,
}

/// What is kept of a context over a restart: the session keys are derived anew.
#[derive(Serialize, Deserialize)]
struct Kept {
    suite: Suite,
    master: MasterKey,
    sources: Vec<Source>,
    #[serde(default)]
    rtcp_floor: u64,
}

/// Where one synchronisation source stands.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Source {
    ssrc: u32,
    /// Roll-over counter and sequence number, 48 bits (RFC 3711 § 3.3.1).
    rtp: Window,
    /// The SRTCP index, 31 bits.
    rtcp: Window,
}

#[derive(Clone)]
struct SessionKeys {
    cipher: Aes128,
    salt: [u8; 14],
    mac: Hmac<Sha1>,
}

/// The three labels of RFC 3711 § 4.3.1.
struct Labels {
    cipher: u8,
    mac: u8,
    salt: u8,
}

const RTP_LABELS: Labels = Labels { cipher: 0, mac: 1, salt: 2 };
const RTCP_LABELS: Labels = Labels { cipher: 3, mac: 4, salt: 5 };

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").field("suite", &self.suite).field("sources", &self.sources).finish()
    }
}

impl Context {
    /// A context that has seen nothing.
    #[must_use]
    pub fn new(suite: Suite, master: MasterKey) -> Context {
        let rtp = SessionKeys::derive(&master, &RTP_LABELS);
        let rtcp = SessionKeys::derive(&master, &RTCP_LABELS);
        Context { suite, master, rtp, rtcp, sources: Vec::new(), rtcp_floor: 0 }
    }

    /// True when it works with this suite and key: its counters stay good then.
    #[must_use]
    pub fn is_of(&self, suite: Suite, master: &MasterKey) -> bool {
        self.suite == suite && self.master == *master
    }

    /// Turns an RTP packet into an SRTP packet (RFC 3711 § 3.3).
    ///
    /// # Errors
    /// [`SrtpError`]; the packet must not be sent then.
    pub fn protect_rtp(&mut self, packet: &mut Datagram<'_>) -> Result<(), SrtpError> {
        let (header, length) = rtp::head(packet.bytes())?;
        let source = self.sender(header.ssrc)?;
        let index = source.rtp.estimate(header.sequence).ok_or(SrtpError::Replayed)?;
        source.rtp.admit(index).ok_or(SrtpError::Replayed)?;
        self.rtp.apply(header.ssrc, index, packet.from_mut(length));
        let tag = self.rtp.tag(packet.bytes(), roll_over(index));
        packet.extend(tag.get(..self.suite.rtp_tag_bytes()).unwrap_or_default())?;
        Ok(())
    }

    /// Turns an SRTP packet into an RTP packet, if it proves itself and was not there before.
    ///
    /// # Errors
    /// [`SrtpError`]; the context has learnt nothing then.
    pub fn unprotect_rtp(&mut self, packet: &mut Datagram<'_>) -> Result<(), SrtpError> {
        let (header, length) = rtp::head(packet.bytes())?;
        let (covered, tag) = split_tag(packet.bytes(), self.suite.rtp_tag_bytes())?;
        if covered.len() < length {
            return Err(SrtpError::Malformed);
        }
        let keep = covered.len();
        let known = self.sources.iter().position(|source| source.ssrc == header.ssrc);
        let mut source =
            known.and_then(|at| self.sources.get(at)).copied().unwrap_or(Source::new(header.ssrc));
        let index = source.rtp.estimate(header.sequence).ok_or(SrtpError::Replayed)?;
        let expected = self.rtp.tag(covered, roll_over(index));
        authentic(&expected, tag)?;
        source.rtp.admit(index).ok_or(SrtpError::Replayed)?;
        self.learn(known, source);
        packet.truncate(keep);
        self.rtp.apply(header.ssrc, index, packet.from_mut(length));
        Ok(())
    }

    /// Turns an RTCP packet into an SRTCP packet (RFC 3711 § 3.4).
    ///
    /// # Errors
    /// [`SrtpError`]; the packet must not be sent then.
    pub fn protect_rtcp(&mut self, packet: &mut Datagram<'_>) -> Result<(), SrtpError> {
        let ssrc = rtp::rtcp_sender(packet.bytes()).ok_or(SrtpError::Malformed)?;
        let source = self.sender(ssrc)?;
        let index = source.rtcp.next();
        let trailer = u32::try_from(index).ok().filter(|index| index & ENCRYPTED == 0);
        let trailer = trailer.ok_or(SrtpError::Replayed)? | ENCRYPTED;
        source.rtcp.admit(index).ok_or(SrtpError::Replayed)?;
        self.rtcp.apply(ssrc, index, packet.from_mut(RTCP_CLEAR_BYTES));
        let tag = self.rtcp.tag(packet.bytes(), trailer);
        packet.extend(&trailer.to_be_bytes())?;
        packet.extend(tag.get(..RTCP_TAG_BYTES).unwrap_or_default())?;
        Ok(())
    }

    /// Turns an SRTCP packet into an RTCP packet, if it proves itself and was not there before.
    ///
    /// # Errors
    /// [`SrtpError`]; the context has learnt nothing then.
    pub fn unprotect_rtcp(&mut self, packet: &mut Datagram<'_>) -> Result<(), SrtpError> {
        let ssrc = rtp::rtcp_sender(packet.bytes()).ok_or(SrtpError::Malformed)?;
        let (covered, tag) = split_tag(packet.bytes(), RTCP_TAG_BYTES)?;
        let (covered, trailer) = covered.split_last_chunk::<4>().ok_or(SrtpError::Malformed)?;
        if covered.len() < RTCP_CLEAR_BYTES {
            return Err(SrtpError::Malformed);
        }
        let (keep, trailer) = (covered.len(), u32::from_be_bytes(*trailer));
        authentic(&self.rtcp.tag(covered, trailer), tag)?;
        let known = self.sources.iter().position(|source| source.ssrc == ssrc);
        let mut source = known.and_then(|at| self.sources.get(at)).copied().unwrap_or(Source::new(ssrc));
        let index = u64::from(trailer & !ENCRYPTED);
        source.rtcp.admit(index).ok_or(SrtpError::Replayed)?;
        self.learn(known, source);
        packet.truncate(keep);
        if trailer & ENCRYPTED != 0 {
            self.rtcp.apply(ssrc, index, packet.from_mut(RTCP_CLEAR_BYTES));
        }
        Ok(())
    }

    fn sender(&mut self, ssrc: u32) -> Result<&mut Source, SrtpError> {
        let at = match self.sources.iter().position(|source| source.ssrc == ssrc) {
            Some(at) => at,
            None if self.sources.len() >= SOURCES_MAX => return Err(SrtpError::Sources),
            None => {
                let floor = Some(self.rtcp_floor).filter(|floor| *floor > 0);
                let rtcp = floor.map_or_else(Window::default, |floor| Window::resumed(Some(floor)));
                self.sources.push(Source { rtcp, ..Source::new(ssrc) });
                self.sources.len() - 1
            }
        };
        self.sources.get_mut(at).ok_or(SrtpError::Sources)
    }

    /// Keeps what a packet that proved itself has taught.
    fn learn(&mut self, known: Option<usize>, source: Source) {
        match known.and_then(|at| self.sources.get_mut(at)) {
            Some(place) => *place = source,
            None => {
                if self.sources.len() >= SOURCES_MAX {
                    self.sources.remove(0);
                }
                self.sources.push(source);
            }
        }
    }
}

impl Source {
    fn new(ssrc: u32) -> Source {
        Source { ssrc, rtp: Window::default(), rtcp: Window::default() }
    }
}

fn split_tag(bytes: &[u8], tag_bytes: usize) -> Result<(&[u8], &[u8]), SrtpError> {
    let at = bytes.len().checked_sub(tag_bytes).ok_or(SrtpError::Malformed)?;
    bytes.split_at_checked(at).ok_or(SrtpError::Malformed)
}

fn authentic(expected: &[u8; 20], tag: &[u8]) -> Result<(), SrtpError> {
    let expected = expected.get(..tag.len()).unwrap_or_default();
    if bool::from(expected.ct_eq(tag)) { Ok(()) } else { Err(SrtpError::Unauthentic) }
}

/// The upper 32 bits of a 48-bit index.
fn roll_over(index: u64) -> u32 {
    u32::try_from(index >> 16).unwrap_or(u32::MAX)
}

impl SessionKeys {
    /// RFC 3711 § 4.3 with a derivation rate of 0.
    fn derive(master: &MasterKey, labels: &Labels) -> SessionKeys {
        let (mut key, mut salt, mut mac) = ([0; 16], [0; 14], [0; 20]);
        derived(master, labels.cipher, &mut key);
        derived(master, labels.salt, &mut salt);
        derived(master, labels.mac, &mut mac);
        // HMAC takes keys of every length.
        let mac = Hmac::<Sha1>::new_from_slice(&mac).unwrap_or_else(|_| Hmac::<Sha1>::new(&[0; 64].into()));
        SessionKeys { cipher: Aes128::new(&key.into()), salt, mac }
    }

    /// Encrypts or decrypts in place (RFC 3711 § 4.1.1).
    fn apply(&self, ssrc: u32, index: u64, bytes: &mut [u8]) {
        let mut iv = [0u8; 16];
        let (ssrc, index) = (ssrc.to_be_bytes(), index.to_be_bytes());
        let mask = [0; 4].into_iter().chain(ssrc).chain(index.into_iter().skip(2));
        for (byte, (salt, mask)) in iv.iter_mut().zip(self.salt.into_iter().zip(mask)) {
            *byte = salt ^ mask;
        }
        key_stream(&self.cipher, iv, bytes);
    }

    /// The whole tag over the packet and the 32 bits that go with it (RFC 3711 § 4.2).
    fn tag(&self, bytes: &[u8], trailer: u32) -> [u8; 20] {
        let mut mac = self.mac.clone();
        mac.update(bytes);
        mac.update(&trailer.to_be_bytes());
        mac.finalize().into_bytes().into()
    }
}

fn derived(master: &MasterKey, label: u8, bytes: &mut [u8]) {
    let mut iv = [0u8; 16];
    for (byte, salt) in iv.iter_mut().zip(master.salt()) {
        *byte = *salt;
    }
    if let Some(byte) = iv.get_mut(7) {
        *byte ^= label;
    }
    key_stream(&Aes128::new(master.key().into()), iv, bytes);
}

fn key_stream(cipher: &Aes128, iv: [u8; 16], bytes: &mut [u8]) {
    let core = CtrCore::<&Aes128, Ctr128BE>::inner_iv_init(cipher, &iv.into());
    StreamCipherCoreWrapper::from_core(core).apply_keystream(bytes);
}

impl From<Kept> for Context {
    fn from(kept: Kept) -> Context {
        let (sources, rtcp_floor) = (kept.sources, kept.rtcp_floor);
        Context { sources, rtcp_floor, ..Context::new(kept.suite, kept.master) }
    }
}

impl From<Context> for Kept {
    fn from(context: Context) -> Kept {
        let Context { suite, master, sources, rtcp_floor, .. } = context;
        Kept { suite, master, sources, rtcp_floor }
    }
}

#[cfg(test)]
mod tests;
