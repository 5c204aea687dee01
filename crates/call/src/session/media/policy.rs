//! Direct or anchored, with keys or without: decided for each offer.
//!
//! | the offer | towards the other side it is |
//! |---|---|
//! | both sides reach each other, the same keying | passed on untouched: media go from phone to phone |
//! | a phone is behind a NAT, or the sides have no IP version in common | anchored |
//! | SRTP, and the other side's signalling is not protected | anchored, in clear: keys never travel readable |
//! | the other side has refused this keying (488) | anchored, with the other one |
//! | keys over unprotected signalling | refused |
//! | the setting `anchor = always` | anchored |

use super::ports::PortRange;
use crate::hop::Hop;
use media::sdp::Glance;
use model::Cause;
use serde::{Deserialize, Serialize};
use sip::{Flow, Transport, Uri};
use std::net::IpAddr;
use std::time::Duration;

/// When media go through this member.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AnchorWhen {
    /// When they cannot go from phone to phone.
    #[default]
    Needed,
    /// Always.
    Always,
}

/// The settings of media.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MediaSettings {
    /// When media go through this member. Default: when they must.
    pub anchor: AnchorWhen,
    /// Our ports. Default 20000 to 29999.
    pub ports: PortRange,
    /// Our address towards the other members, and the one told to phones that reach us through a NAT of ours. Default:
    /// the one the phone talks to.
    pub address: Option<IpAddr>,
    /// Take and give SRTP keys (SDES) over signalling without TLS as well. Whoever reads the signalling can listen then.
    pub keys_without_tls: bool,
    /// Silence of both sides of anchored media after which the call shows it. Default 30 s.
    pub silence: Duration,
}

impl Default for MediaSettings {
    fn default() -> MediaSettings {
        MediaSettings {
            anchor: AnchorWhen::Needed,
            ports: PortRange::default(),
            address: None,
            keys_without_tls: false,
            silence: Duration::from_secs(30),
        }
    }
}

/// One side, as far as its media depend on it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Place {
    /// Its flow, unless it is beyond the cluster.
    pub(super) flow: Option<Flow>,
    /// It sends from elsewhere than it says.
    pub(super) natted: bool,
}

impl Place {
    /// From the way to it and the Contact it gave.
    pub(super) fn new(hop: &Hop, contact: Option<&Uri>) -> Place {
        let flow = match hop {
            Hop::Phone(flow) => Some(*flow),
            Hop::Cluster => None,
        };
        let mut place = Place { flow, natted: false };
        place.says(contact.and_then(|contact| contact.host.address()));
        place
    }

    /// It has told an address of its own. A private one that is not where it is heard from lies behind a NAT.
    pub(super) fn says(&mut self, address: Option<IpAddr>) {
        if let (Some(flow), Some(address)) = (&self.flow, address) {
            self.natted = address != flow.remote.ip() && is_private(address);
        }
    }

    pub(super) fn moved(&mut self, old: Flow, new: Flow) {
        if self.flow == Some(old) {
            self.flow = Some(new);
        }
    }

    /// Keys may travel to it and from it. Members are connected by TLS, always.
    pub(super) fn keeps_secrets(&self, settings: &MediaSettings) -> bool {
        settings.keys_without_tls || self.flow.is_none_or(|flow| flow.transport == Transport::Tls)
    }

    /// Our address towards it, when the other side is at `other`.
    pub(super) fn our_address(&self, settings: &MediaSettings, other: &Place) -> Option<IpAddr> {
        let own = |place: &Place| place.flow.map(|flow| flow.local.ip());
        match own(self) {
            Some(address) => Some(if self.natted { settings.address.unwrap_or(address) } else { address }),
            None => settings.address.or_else(|| own(other)),
        }
    }

    /// True when it can send to this address.
    fn reaches(&self, address: Option<IpAddr>) -> bool {
        let (Some(flow), Some(address)) = (&self.flow, address) else { return true };
        flow.local.ip().is_ipv4() == address.is_ipv4()
    }
}

/// Addresses that mean something only near their owner (RFC 1918, 3927, 4193, 6598).
fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            v4.is_private() || v4.is_link_local() || v4.is_loopback() || (a == 100 && b & 0xc0 == 64)
        }
        IpAddr::V6(v6) => v6.is_unique_local() || v6.is_unicast_link_local() || v6.is_loopback(),
    }
}

/// What becomes of an offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Plan {
    /// Media come to us.
    pub(super) anchored: bool,
    /// SRTP goes on as SRTP, RTP as RTP; else the other way round.
    pub(super) crossed: bool,
}

/// Why an offer is not passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::session) enum Refusal {
    /// SRTP keys over signalling that anybody can read.
    KeysInClear,
    /// It offers SRTP in no way we could bridge.
    NoSuite,
    /// No ports are left.
    Full,
}

impl Refusal {
    pub(super) fn cause(self) -> Cause {
        match self {
            Refusal::KeysInClear | Refusal::NoSuite => Cause::IncompatibleMedia,
            Refusal::Full => Cause::Congestion,
        }
    }

    /// For a Warning header (RFC 3261 § 20.43).
    pub(super) fn warning(self) -> &'static str {
        match self {
            Refusal::KeysInClear => "SRTP keys are taken and given over TLS only",
            Refusal::NoSuite => "no SRTP suite in common",
            Refusal::Full => "no media ports are left",
        }
    }
}

/// Decides what becomes of an offer `from` one side `to` the other. `wished` crosses the keying: the other side has
/// refused it as it was.
pub(super) fn plan(
    settings: &MediaSettings,
    offer: &Glance,
    (from, to): (&Place, &Place),
    wished: bool,
) -> Result<Plan, Refusal> {
    if offer.keys && offer.srtp && !from.keeps_secrets(settings) {
        return Err(Refusal::KeysInClear);
    }
    let may_seal = to.keeps_secrets(settings);
    let crossed = wished || (offer.srtp && !may_seal);
    if crossed && !offer.srtp && !may_seal {
        return Err(Refusal::KeysInClear);
    }
    let leaks = offer.keys && !may_seal;
    let needed = crossed || leaks || from.natted || to.natted || !to.reaches(offer.address);
    Ok(Plan { anchored: needed || settings.anchor == AnchorWhen::Always, crossed })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(transport: Transport, remote: &str, contact: &str) -> Place {
        let address = |text: &str| std::net::SocketAddr::new(text.parse().unwrap(), 5060);
        let local = if remote.contains(':') { "2001:db8::9" } else { "198.51.100.9" };
        let flow = Flow { transport, local: address(local), remote: address(remote), connection: 0 };
        Place::new(&Hop::Phone(flow), Uri::parse(&format!("sip:1@{contact}")).ok().as_ref())
    }

    fn udp(host: &str) -> Place {
        place(Transport::Udp, host, host)
    }

    fn offer(address: &str, srtp: bool) -> Glance {
        Glance { address: address.parse().ok(), srtp, keys: srtp }
    }

    #[test]
    fn imp_29_media_are_direct_unless_they_cannot_be() {
        let settings = MediaSettings::default();
        let decide = |offer: &Glance, from: &Place, to: &Place| plan(&settings, offer, (from, to), false);
        let direct = Ok(Plan { anchored: false, crossed: false });
        let anchored = Ok(Plan { anchored: true, crossed: false });
        let (lan, other) = (udp("10.0.0.5"), udp("10.0.0.6"));
        assert_eq!(decide(&offer("10.0.0.5", false), &lan, &other), direct);
        let natted = place(Transport::Udp, "203.0.113.7", "10.0.0.6");
        assert_eq!(decide(&offer("10.0.0.5", false), &lan, &natted), anchored);
        let v6 = udp("2001:db8::1");
        assert_eq!(decide(&offer("10.0.0.5", false), &lan, &v6), anchored);
        let always = MediaSettings { anchor: AnchorWhen::Always, ..settings };
        assert_eq!(plan(&always, &offer("10.0.0.5", false), (&lan, &other), false), anchored);
        let mut gateway = udp("198.51.100.20");
        gateway.says("198.51.100.21".parse().ok());
        assert!(!gateway.natted, "a public address that is not the signalling's is a media gateway");
    }

    #[test]
    fn rfc4568_keys_never_travel_readable() {
        let settings = MediaSettings::default();
        let (plain, tls) = (udp("10.0.0.5"), place(Transport::Tls, "10.0.0.6", "10.0.0.6"));
        let decide = |srtp, from: &Place, to: &Place, wished| {
            plan(&settings, &offer("10.0.0.5", srtp), (from, to), wished)
        };
        assert_eq!(decide(true, &plain, &tls, false), Err(Refusal::KeysInClear));
        assert_eq!(decide(true, &tls, &plain, false), Ok(Plan { anchored: true, crossed: true }));
        assert_eq!(decide(false, &tls, &plain, true), Err(Refusal::KeysInClear));
        assert_eq!(decide(false, &plain, &tls, true), Ok(Plan { anchored: true, crossed: true }));
        let relaxed = MediaSettings { keys_without_tls: true, ..settings };
        let passed = plan(&relaxed, &offer("10.0.0.5", true), (&plain, &plain), false);
        assert_eq!(passed, Ok(Plan { anchored: false, crossed: false }));
        // Keys in an offer of plain RTP (best effort) are taken out on the way to whoever must not see them.
        let best_effort = Glance { keys: true, ..offer("10.0.0.5", false) };
        let passed = plan(&settings, &best_effort, (&tls, &plain), false);
        assert_eq!(passed, Ok(Plan { anchored: true, crossed: false }));
    }
}
