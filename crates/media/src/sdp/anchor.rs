//! Rewriting a description so that media come to us: addresses, keys, and the attributes that would lead around us.

use super::{Attribute, Crypto, Media, Origin, Profile, Session};
use std::net::{IpAddr, SocketAddr};

/// Attributes of a section that name other ways than ours: ICE (RFC 8839) and the old place of RTCP (RFC 3605).
const LEADING_AROUND: &[&str] =
    &["candidate", "remote-candidates", "end-of-candidates", "ice-ufrag", "ice-pwd", "ice-options", "rtcp"];
/// The same before the first section; bundled sections (RFC 9143) would share a port.
const LEADING_ALL_AROUND: &[&str] = &["ice-ufrag", "ice-pwd", "ice-options", "ice-lite", "group"];

/// What becomes of one section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Placed {
    /// Offered to nobody, or refused: port 0.
    Refused,
    /// At this port of ours, as it was otherwise.
    Here(u16),
    /// At this port of ours, in clear: keys are taken out.
    Plain(u16),
    /// At this port of ours, as SRTP with these keys of ours.
    Sealed(u16, Vec<Crypto>),
}

impl Session {
    /// Makes the description ours: its media at `address`, section by section. A section without a place is refused.
    /// Its origin becomes `origin`, which hides the writer's address.
    pub fn anchor(&mut self, origin: Origin, address: IpAddr, places: impl IntoIterator<Item = Placed>) {
        self.origin = origin;
        self.connection = Some(address);
        self.attributes.retain(|attribute| !is_one_of(LEADING_ALL_AROUND, attribute));
        let mut places = places.into_iter();
        for media in &mut self.media {
            media.place(places.next().unwrap_or(Placed::Refused));
        }
    }

    /// Where the RTP and RTCP of a section go: `None` when it is refused or its maker takes nothing now.
    #[must_use]
    pub fn addresses_of(&self, media: &Media) -> Option<(SocketAddr, SocketAddr)> {
        let rtp = self.address_of(media).filter(|rtp| rtp.port() != 0 && !rtp.ip().is_unspecified())?;
        let multiplexed = media.attributes.iter().any(|attribute| attribute.name == "rtcp-mux");
        let rtcp = match media.rtcp_port() {
            _ if multiplexed => rtp.port(),
            Some(port) => port,
            None => rtp.port().checked_add(1)?,
        };
        Some((rtp, SocketAddr::new(rtp.ip(), rtcp)))
    }
}

impl Media {
    fn place(&mut self, placed: Placed) {
        self.connection = None;
        self.attributes.retain(|attribute| !is_one_of(LEADING_AROUND, attribute));
        match placed {
            Placed::Refused => {
                self.port = 0;
                self.remove_cryptos();
            }
            Placed::Here(port) => self.port = port,
            Placed::Plain(port) => {
                self.port = port;
                self.remove_cryptos();
                self.speak(Profile::Rtp);
            }
            Placed::Sealed(port, cryptos) => {
                self.port = port;
                self.remove_cryptos();
                self.speak(Profile::Srtp);
                self.attributes.extend(cryptos.iter().map(Crypto::attribute));
            }
        }
    }
}

fn is_one_of(names: &[&str], attribute: &Attribute) -> bool {
    names.iter().any(|name| attribute.name.eq_ignore_ascii_case(name))
}
