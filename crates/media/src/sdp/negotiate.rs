//! The offer and answer of a phone (RFC 3264): one audio stream, G.711 and telephone-event.

use super::{Attribute, Direction, Media, Origin, Session};
use crate::g711::Law;
use std::net::SocketAddr;

/// The name of digits as packets (RFC 4733).
const TELEPHONE_EVENT: &str = "telephone-event";
/// The payload type we offer for it.
const EVENT_PAYLOAD_TYPE: u8 = 101;
/// Milliseconds of our packets.
const PTIME_MS: &str = "20";

/// A codec we speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    /// G.711 A-law.
    Pcma,
    /// G.711 µ-law.
    Pcmu,
}

impl Codec {
    /// Its name in `rtpmap`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Codec::Pcma => "PCMA",
            Codec::Pcmu => "PCMU",
        }
    }

    /// Its static payload type (RFC 3551 § 6).
    #[must_use]
    pub fn payload_type(self) -> u8 {
        match self {
            Codec::Pcma => 8,
            Codec::Pcmu => 0,
        }
    }

    /// The law that codes it.
    #[must_use]
    pub fn law(self) -> Law {
        match self {
            Codec::Pcma => Law::A,
            Codec::Pcmu => Law::Mu,
        }
    }
}

/// Our side of a negotiation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Local {
    /// Names the session; the same in all descriptions of a call.
    pub session_id: u64,
    /// Raised with each new description of the call.
    pub version: u64,
    /// Where we receive.
    pub address: SocketAddr,
    /// What we speak, best first.
    pub codecs: Vec<Codec>,
    /// Whether we send and receive.
    pub direction: Direction,
}

/// What both sides agreed upon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Negotiated {
    /// Where to send.
    pub remote: SocketAddr,
    /// How to code.
    pub codec: Codec,
    /// The payload type to send it with.
    pub payload_type: u8,
    /// The payload type of digits, if the other side takes them.
    pub event_payload_type: Option<u8>,
    /// Whether *we* send and receive.
    pub direction: Direction,
}

/// Why there is no agreement: 488 to an offer, BYE after an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NegotiationError {
    /// No audio stream, or it is refused.
    #[error("there is no audio stream")]
    NoAudio,
    /// None of our codecs.
    #[error("there is no common codec")]
    NoCommonCodec,
    /// Not plain RTP.
    #[error("the audio stream is not RTP/AVP")]
    NotPlainRtp,
    /// No address to send to.
    #[error("the audio stream has no address")]
    NoAddress,
}

/// Our offer.
#[must_use]
pub fn offer(local: &Local) -> Session {
    let formats = local.codecs.iter().map(|codec| (codec.payload_type(), codec.name()));
    let events = std::iter::once((EVENT_PAYLOAD_TYPE, TELEPHONE_EVENT));
    let formats: Vec<(u8, &str)> = formats.chain(events).collect();
    session(local, vec![stream(local.address.port(), &formats, local.direction)])
}

/// Our answer to an offer, and what it agrees upon. Streams we do not speak are refused with port 0.
///
/// # Errors
/// [`NegotiationError`]: answer 488.
pub fn answer(offer: &Session, local: &Local) -> Result<(Session, Negotiated), NegotiationError> {
    let chosen = offer.audio().ok_or(NegotiationError::NoAudio)?;
    let agreed = agree(offer, chosen, local)?;
    let mut formats = vec![(agreed.payload_type, agreed.codec.name())];
    formats.extend(agreed.event_payload_type.map(|payload_type| (payload_type, TELEPHONE_EVENT)));
    let ours = stream(local.address.port(), &formats, agreed.direction);
    let answer_one = |media: &Media| if std::ptr::eq(media, chosen) { ours.clone() } else { refused(media) };
    Ok((session(local, offer.media.iter().map(answer_one).collect()), agreed))
}

/// What the answer to our offer agrees upon.
///
/// # Errors
/// [`NegotiationError`]: the call cannot have sound.
pub fn accept_answer(answer: &Session, local: &Local) -> Result<Negotiated, NegotiationError> {
    agree(answer, answer.audio().ok_or(NegotiationError::NoAudio)?, local)
}

fn agree(theirs: &Session, media: &Media, local: &Local) -> Result<Negotiated, NegotiationError> {
    if media.protocol != "RTP/AVP" {
        return Err(NegotiationError::NotPlainRtp);
    }
    let (payload_type, codec) = media
        .payload_types()
        .find_map(|payload_type| Some((payload_type, codec_of(media, payload_type, local)?)))
        .ok_or(NegotiationError::NoCommonCodec)?;
    let events = |payload_type: &u8| {
        media.rtpmap(*payload_type).is_some_and(|map| map.name.eq_ignore_ascii_case(TELEPHONE_EVENT))
    };
    Ok(Negotiated {
        remote: theirs.address_of(media).ok_or(NegotiationError::NoAddress)?,
        codec,
        payload_type,
        event_payload_type: media.payload_types().find(events),
        direction: local.direction.limited_by(theirs.direction_of(media)),
    })
}

fn codec_of(media: &Media, payload_type: u8, local: &Local) -> Option<Codec> {
    let map = media.rtpmap(payload_type)?;
    local
        .codecs
        .iter()
        .copied()
        .find(|codec| codec.name().eq_ignore_ascii_case(&map.name) && map.clock_hz == 8_000)
}

fn session(local: &Local, media: Vec<Media>) -> Session {
    let host = local.address.ip();
    Session {
        origin: Origin {
            user: "-".to_owned(),
            id: local.session_id,
            version: local.version,
            host: host.to_string(),
        },
        name: "-".to_owned(),
        connection: Some(host),
        attributes: Vec::new(),
        media,
        other: Vec::new(),
    }
}

fn stream(port: u16, formats: &[(u8, &str)], direction: Direction) -> Media {
    let map =
        |(payload_type, name): &(u8, &str)| Attribute::with("rtpmap", format!("{payload_type} {name}/8000"));
    let mut attributes: Vec<Attribute> = formats.iter().map(map).collect();
    let events = formats.iter().filter(|(_, name)| *name == TELEPHONE_EVENT);
    attributes
        .extend(events.map(|(payload_type, _)| Attribute::with("fmtp", format!("{payload_type} 0-15"))));
    attributes.push(Attribute::with("ptime", PTIME_MS));
    attributes.push(Attribute::flag(direction.name()));
    Media {
        kind: "audio".to_owned(),
        port,
        protocol: "RTP/AVP".to_owned(),
        formats: formats.iter().map(|(payload_type, _)| payload_type.to_string()).collect(),
        connection: None,
        attributes,
        other: Vec::new(),
    }
}

/// A stream refused keeps its place in the answer (RFC 3264 § 6).
fn refused(media: &Media) -> Media {
    Media { port: 0, connection: None, attributes: Vec::new(), other: Vec::new(), ..media.clone() }
}
