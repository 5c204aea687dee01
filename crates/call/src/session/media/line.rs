//! One section of an anchored description: its stream, and what each side has said of it.

use super::policy::Place;
use crate::session::Side;
use media::relay::{self, End, Keys, Remote, Spec, StreamId};
use media::sdp::{self, Crypto, Media, Profile};
use media::srtp::{MASTER_BYTES, MasterKey, Suite};
use serde::{Deserialize, Serialize};
use sip::Tokens;
use std::net::{IpAddr, SocketAddr};

/// One thing of each side.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Both<T> {
    pub(super) caller: T,
    pub(super) called: T,
}

impl<T> Both<T> {
    pub(super) fn of(&self, side: Side) -> &T {
        match side {
            Side::Caller => &self.caller,
            Side::Called => &self.called,
        }
    }

    pub(super) fn of_mut(&mut self, side: Side) -> &mut T {
        match side {
            Side::Caller => &mut self.caller,
            Side::Called => &mut self.called,
        }
    }
}

impl From<Side> for relay::Side {
    fn from(side: Side) -> relay::Side {
        match side {
            Side::Caller => relay::Side::Caller,
            Side::Called => relay::Side::Called,
        }
    }
}

/// See the module.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Line {
    pub(super) stream: StreamId,
    pub(super) spec: Spec,
    heard: Both<Option<Heard>>,
    /// The keys we offer to a side, or have agreed upon with it.
    ours: Both<Vec<Crypto>>,
}

/// What a side has said last.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Heard {
    profile: Profile,
    remote: Option<Remote>,
    cryptos: Vec<Crypto>,
}

impl Line {
    /// A new one at these ports.
    pub(super) fn new(stream: StreamId, ports: [u16; 2], addresses: [IpAddr; 2]) -> Line {
        let ([caller, called], [caller_port, called_port]) = (addresses, ports);
        let end = |address, port| End { local: SocketAddr::new(address, port), remote: None, keys: None };
        let spec = Spec { caller: end(caller, caller_port), called: end(called, called_port), opaque: false };
        Line { stream, spec, heard: Both::default(), ours: Both::default() }
    }

    /// Our port towards a side.
    pub(super) fn port(&self, side: Side) -> u16 {
        self.spec.end(side.into()).local.port()
    }

    /// What a side speaks, if it has said so.
    pub(super) fn profile(&self, side: Side) -> Option<Profile> {
        self.heard.of(side).as_ref().map(|heard| heard.profile)
    }

    /// The suites and keys of a side that we can do.
    pub(super) fn can_unseal(&self, side: Side) -> bool {
        self.heard.of(side).as_ref().is_some_and(|heard| !heard.cryptos.is_empty())
    }

    /// Our keys towards a side.
    pub(super) fn ours(&self, side: Side) -> Vec<Crypto> {
        self.ours.of(side).clone()
    }

    /// A side has described the section.
    pub(super) fn hear(&mut self, side: Side, place: &Place, session: &sdp::Session, media: &Media) {
        let learn_from = place.flow.filter(|_| place.natted).map(|flow| flow.remote.ip());
        let addresses = session.addresses_of(media);
        let remote = addresses.map(|(rtp, rtcp)| Remote { rtp, rtcp, learn_from });
        *self.heard.of_mut(side) =
            Some(Heard { profile: media.profile(), remote, cryptos: media.cryptos().collect() });
    }

    /// A side has refused the section.
    pub(super) fn refused(&mut self, side: Side) {
        if let Some(heard) = self.heard.of_mut(side) {
            heard.remote = None;
        }
    }

    /// The other keying is tried: what the called side said of itself is void.
    pub(super) fn forget(&mut self, side: Side) {
        *self.heard.of_mut(side) = None;
    }

    /// Keys for a side that is to speak SRTP with us: those agreed upon, or one of each suite.
    pub(super) fn offer_keys(&mut self, side: Side, secrets: &mut Tokens) -> Vec<Crypto> {
        let ours = self.ours.of_mut(side);
        if ours.is_empty() {
            let fresh = |(tag, suite)| Crypto { tag, suite, key: fresh_key(secrets) };
            *ours = (1..).zip(Suite::ALL).map(fresh).collect();
        }
        ours.clone()
    }

    /// An offer is out: its maker may be heard when the answer is there, and the ports are taken.
    pub(super) fn expect(&mut self, offerer: Side) {
        if self.spec.end(offerer.into()).remote.is_none() {
            self.spec.end_mut(offerer.into()).remote = self.remote(offerer);
        }
    }

    /// Both sides have spoken, `offerer` first: the terms are what they said.
    pub(super) fn agree(&mut self, offerer: Side, secrets: &mut Tokens) {
        let (one, other) = (self.profile(Side::Caller), self.profile(Side::Called));
        let bridged = one != other;
        self.spec.opaque = one == Some(Profile::Udptl) || other == Some(Profile::Udptl);
        for side in [Side::Caller, Side::Called] {
            let sealed = bridged && self.profile(side) == Some(Profile::Srtp);
            let keys = if sealed { self.keys(side, offerer, secrets) } else { None };
            let remote = self.remote(side);
            let end = self.spec.end_mut(side.into());
            (end.keys, end.remote) = (keys, remote);
        }
    }

    fn remote(&self, side: Side) -> Option<Remote> {
        self.heard.of(side).as_ref().and_then(|heard| heard.remote)
    }

    /// The keys of a side with which we bridge (RFC 4568 § 5.1): its offer's first line that we can do, or the one of
    /// ours that it has chosen.
    fn keys(&mut self, side: Side, offerer: Side, secrets: &mut Tokens) -> Option<Keys> {
        let theirs = self.heard.of(side).as_ref()?.cryptos.first()?.clone();
        let ours = self.ours.of_mut(side);
        let mine = if side == offerer {
            let kept = ours.iter().find(|mine| mine.suite == theirs.suite);
            let key = kept.map_or_else(|| fresh_key(secrets), |mine| mine.key.clone());
            Crypto { tag: theirs.tag, suite: theirs.suite, key }
        } else {
            ours.iter().find(|mine| mine.tag == theirs.tag && mine.suite == theirs.suite)?.clone()
        };
        *ours = vec![mine.clone()];
        Some(Keys { suite: mine.suite, ours: mine.key, theirs: Some(theirs.key) })
    }
}

fn fresh_key(secrets: &mut Tokens) -> MasterKey {
    let random = secrets.key32();
    MasterKey::new(*random.first_chunk::<MASTER_BYTES>().unwrap_or(&[0; MASTER_BYTES]))
}
