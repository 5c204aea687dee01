//! Reading a description: one pass, line by line, the first media section splits it in two.

use super::{Attribute, LINES_MAX, MEDIA_MAX, Media, Origin, SDP_BYTES_MAX, SdpError, Session};
use std::net::IpAddr;

pub(super) fn session(bytes: &[u8]) -> Result<Session, SdpError> {
    if bytes.len() > SDP_BYTES_MAX {
        return Err(SdpError::TooLarge);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| SdpError::NotText)?;
    let mut reading = Reading::default();
    for (line, text) in (1..).zip(text.lines()) {
        if line > LINES_MAX {
            return Err(SdpError::TooLarge);
        }
        if !text.is_empty() {
            reading.line(text).map_err(|fault| fault.unwrap_or(SdpError::Line { line }))?;
        }
    }
    reading.end()
}

/// What has been read so far.
#[derive(Default)]
struct Reading {
    version: bool,
    origin: Option<Origin>,
    name: Option<String>,
    connection: Option<IpAddr>,
    attributes: Vec<Attribute>,
    other: Vec<(char, String)>,
    media: Vec<Media>,
}

/// None = this line is malformed; the caller knows its number.
type Fault = Option<SdpError>;

impl Reading {
    fn line(&mut self, text: &str) -> Result<(), Fault> {
        let mut letters = text.chars();
        let (Some(letter), Some('=')) = (letters.next(), letters.next()) else { return Err(None) };
        let value = letters.as_str();
        if !letter.is_ascii_lowercase() || value.contains('\0') {
            return Err(None);
        }
        match letter {
            'v' if self.media.is_empty() => self.version = value.trim() == "0",
            'o' if self.media.is_empty() => self.origin = Some(origin(value).ok_or(None)?),
            's' if self.media.is_empty() => self.name = Some(value.to_owned()),
            'm' => self.begin_media(value)?,
            'c' => self.connection(value)?,
            'a' => self.attributes().push(attribute(value).ok_or(None)?),
            'v' | 'o' | 's' => return Err(None),
            _ => self.other().push((letter, value.to_owned())),
        }
        Ok(())
    }

    fn begin_media(&mut self, value: &str) -> Result<(), Fault> {
        if self.media.len() >= MEDIA_MAX {
            return Err(Some(SdpError::TooLarge));
        }
        self.media.push(media(value).ok_or(None)?);
        Ok(())
    }

    fn connection(&mut self, value: &str) -> Result<(), Fault> {
        let address = Some(address(value).ok_or(None)?);
        match self.media.last_mut() {
            Some(media) => media.connection = address,
            None => self.connection = address,
        }
        Ok(())
    }

    fn attributes(&mut self) -> &mut Vec<Attribute> {
        self.media.last_mut().map_or(&mut self.attributes, |media| &mut media.attributes)
    }

    fn other(&mut self) -> &mut Vec<(char, String)> {
        self.media.last_mut().map_or(&mut self.other, |media| &mut media.other)
    }

    fn end(self) -> Result<Session, SdpError> {
        if !self.version {
            return Err(SdpError::Missing('v'));
        }
        Ok(Session {
            origin: self.origin.ok_or(SdpError::Missing('o'))?,
            name: self.name.ok_or(SdpError::Missing('s'))?,
            connection: self.connection,
            attributes: self.attributes,
            media: self.media,
            other: self.other,
        })
    }
}

/// `- 1 2 IN IP4 host`. Some phones send ids beyond 64 bits; they are only compared, so they are folded.
fn origin(value: &str) -> Option<Origin> {
    let mut words = value.split_ascii_whitespace();
    let (user, id, version) = (words.next()?, words.next()?, words.next()?);
    let (_net, _family, host) = (words.next()?, words.next()?, words.next()?);
    Some(Origin { user: user.to_owned(), id: folded(id)?, version: folded(version)?, host: host.to_owned() })
}

fn folded(digits: &str) -> Option<u64> {
    let digit = |byte: u8| byte.is_ascii_digit().then(|| u64::from(byte - b'0'));
    digits.bytes().try_fold(0u64, |sum, byte| Some(sum.wrapping_mul(10).wrapping_add(digit(byte)?)))
}

/// `IN IP4 192.0.2.1`, perhaps with `/ttl`. Host names are refused: a phone that resolves names for media is rare.
fn address(value: &str) -> Option<IpAddr> {
    let mut words = value.split_ascii_whitespace();
    let (_net, _family, host) = (words.next()?, words.next()?, words.next()?);
    let host = host.split('/').next()?;
    host.parse().ok()
}

fn attribute(value: &str) -> Option<Attribute> {
    let (name, value) = match value.split_once(':') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (value, None),
    };
    (!name.is_empty()).then(|| Attribute { name: name.to_owned(), value })
}

/// `audio 4000 RTP/AVP 8 0 101`; a count of ports (`4000/2`) is read over.
fn media(value: &str) -> Option<Media> {
    let mut words = value.split_ascii_whitespace();
    let (kind, port, protocol) = (words.next()?, words.next()?, words.next()?);
    let port = port.split('/').next()?.parse().ok()?;
    let formats: Vec<String> = words.map(str::to_owned).collect();
    (!formats.is_empty()).then(|| Media {
        kind: kind.to_owned(),
        port,
        protocol: protocol.to_owned(),
        formats,
        connection: None,
        attributes: Vec::new(),
        other: Vec::new(),
    })
}
