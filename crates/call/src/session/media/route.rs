//! The media between the caller and one phone that is called: direct until something stands against it, anchored from
//! then on. Offers and answers (RFC 3264) pass here, in whatever messages they travel.

use super::line::{Both, Line};
use super::policy::{Place, Plan, Refusal, plan};
use super::summary::{CallMedia, MediaPath};
use crate::core::Turn;
use crate::record::CallId;
use crate::session::Side;
use media::sdp::{self, Media, Origin, Placed, Profile, glance};
use serde::{Deserialize, Serialize};
use sip::Flow;
use std::net::IpAddr;

/// Sections of a description that are anchored. A further one is refused with port 0.
const LINES_MAX: usize = 4;

/// See the module.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Route {
    places: Both<Place>,
    /// The side of the phone that is called: of a transfer it may be either.
    pub(super) rung: Side,
    /// The INVITE had no offer: the called phone makes it (RFC 3261 § 13.2.1).
    pub(super) late: bool,
    /// The called phone has refused the keying of the offer, and gets the other one.
    crossed: bool,
    /// The offer as it came, while another keying may still be tried.
    pub(super) offered: Option<String>,
    path: MediaPath,
    /// The path of the offer that is out.
    next: MediaPath,
    encrypted: Both<bool>,
    lines: Vec<Option<Line>>,
    /// Our descriptions' name, and how they go on.
    name: u64,
    told: Both<Told>,
}

/// The last description a side was shown.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Told {
    version: u64,
    text: String,
}

/// Why a description has no rewritten form.
enum Stop {
    /// It passes as it is.
    Untouched,
    /// It does not pass.
    Refused(Refusal),
}

impl Route {
    /// The way between the phone that is called at `rung`, and the other side.
    pub(super) fn between(rung: Side, phone: Place, other: Place, name: u64) -> Route {
        let places = match rung {
            Side::Called => Both { caller: other, called: phone },
            Side::Caller => Both { caller: phone, called: other },
        };
        Route {
            places,
            rung,
            late: false,
            crossed: false,
            offered: None,
            path: MediaPath::None,
            next: MediaPath::None,
            encrypted: Both::default(),
            lines: Vec::new(),
            name,
            told: Both::default(),
        }
    }

    /// The same way, when it is known that the sides speak different keyings.
    pub(super) fn bridging(self) -> Route {
        Route { crossed: true, ..self }
    }

    /// What was agreed with that side is SRTP.
    pub(super) fn is_encrypted(&self, side: Side) -> bool {
        *self.encrypted.of(side)
    }

    /// One of the sides.
    pub(super) fn place(&self, side: Side) -> Place {
        self.places.of(side).clone()
    }

    /// A phone came back on another flow.
    pub(super) fn moved(&mut self, old: Flow, new: Flow) {
        self.places.caller.moved(old, new);
        self.places.called.moved(old, new);
    }

    /// The called phone gets the other keying. False when that was tried, or there is nothing to try it with.
    pub(super) fn cross(&mut self) -> bool {
        if self.crossed || self.late || self.offered.is_none() {
            return false;
        }
        self.crossed = true;
        self.lines.iter_mut().flatten().for_each(|line| line.forget(self.rung));
        true
    }

    /// What people are told.
    pub(super) fn summary(&self) -> CallMedia {
        CallMedia {
            path: self.path,
            caller_encrypted: self.encrypted.caller,
            called_encrypted: self.encrypted.called,
            ..CallMedia::default()
        }
    }

    /// Gives all ports back.
    pub(super) fn close(&mut self, turn: &mut Turn<'_>) {
        for line in self.lines.drain(..).flatten() {
            turn.core.held.media.close(turn.now, line.stream);
        }
    }

    /// An offer of one side, as the other one is to see it: `None` when that is as it came.
    pub(super) fn offer(
        &mut self,
        turn: &mut Turn<'_>,
        call: CallId,
        from: Side,
        body: &[u8],
    ) -> Result<Option<String>, Refusal> {
        let to = from.other();
        let seen = glance(body);
        self.places.of_mut(from).says(seen.address);
        let settings = turn.core.config.media;
        // What was agreed once stays agreed; only a first offer is turned round.
        let wished = self.crossed && self.path == MediaPath::None;
        let ends = (self.places.of(from), self.places.of(to));
        let plan = plan(&settings, &seen, ends, wished)?;
        if !plan.anchored && self.path != MediaPath::Anchored {
            self.next = MediaPath::Direct;
            return Ok(None);
        }
        self.next = MediaPath::Anchored;
        match self.anchored_offer(turn, call, (from, to), body, plan) {
            Ok(text) => Ok(Some(text)),
            // Nobody can say where its media go: it is for the phones to sort out, unless it would tell keys.
            Err(Stop::Untouched) if seen.keys => Err(Refusal::NoSuite),
            Err(Stop::Untouched) => Ok(None),
            Err(Stop::Refused(refusal)) => Err(refusal),
        }
    }

    fn anchored_offer(
        &mut self,
        turn: &mut Turn<'_>,
        call: CallId,
        (from, to): (Side, Side),
        body: &[u8],
        plan: Plan,
    ) -> Result<String, Stop> {
        let mut session = sdp::Session::parse(body).map_err(|_| Stop::Untouched)?;
        let mut placed = Vec::new();
        for (index, media) in session.media.iter().enumerate() {
            let place = self.place_offered(turn, (call, plan), (from, to), index, (&session, media));
            placed.push(place.map_err(Stop::Refused)?);
        }
        self.order(turn);
        self.told(turn, to, &mut session, placed).ok_or(Stop::Untouched)
    }

    /// Where a section of an offer is shown to be.
    fn place_offered(
        &mut self,
        turn: &mut Turn<'_>,
        (call, plan): (CallId, Plan),
        (from, to): (Side, Side),
        index: usize,
        (session, media): (&sdp::Session, &Media),
    ) -> Result<Placed, Refusal> {
        let profile = media.profile();
        if media.port == 0 || profile == Profile::Other {
            if let Some(Some(line)) = self.lines.get_mut(index) {
                line.refused(from);
            }
            return Ok(Placed::Refused);
        }
        let settings = turn.core.config.media;
        let may_seal = self.places.of(to).keeps_secrets(&settings);
        let place = self.places.of(from).clone();
        let Some(line) = self.line(turn, call, index)? else { return Ok(Placed::Refused) };
        line.hear(from, &place, session, media);
        line.expect(from);
        let known = line.profile(to).filter(|known| *known != Profile::Udptl);
        let towards = known.unwrap_or(if plan.crossed { other_keying(profile) } else { profile });
        let port = line.port(to);
        match (profile, towards) {
            (Profile::Rtp, Profile::Srtp) => {
                Ok(Placed::Sealed(port, line.offer_keys(to, &mut turn.core.secrets)))
            }
            (Profile::Srtp, Profile::Rtp) if !line.can_unseal(from) => Err(Refusal::NoSuite),
            (Profile::Srtp, Profile::Rtp) => Ok(Placed::Plain(port)),
            (Profile::Rtp, _) if !may_seal => Ok(Placed::Plain(port)),
            _ => Ok(Placed::Here(port)),
        }
    }

    /// The line of a section, with ports of its own. `None` beyond the limit.
    fn line(
        &mut self,
        turn: &mut Turn<'_>,
        call: CallId,
        index: usize,
    ) -> Result<Option<&mut Line>, Refusal> {
        if index >= LINES_MAX {
            return Ok(None);
        }
        if self.lines.len() <= index {
            self.lines.resize(index + 1, None);
        }
        let Some(place) = self.lines.get_mut(index) else { return Ok(None) };
        let lost = |line: &Line| !turn.core.held.media.knows(line.stream);
        if place.as_ref().is_none_or(lost) {
            let settings = turn.core.config.media;
            let Both { caller, called } = &self.places;
            let addresses = (caller.our_address(&settings, called), called.our_address(&settings, caller));
            let (Some(towards_caller), Some(towards_called)) = addresses else { return Ok(None) };
            let (stream, ports) = turn.core.open_stream(turn.now, call).ok_or(Refusal::Full)?;
            *place = Some(Line::new(stream, ports, [towards_caller, towards_called]));
        }
        Ok(place.as_mut())
    }

    /// The answer of one side, as the other one is to see it: `None` when that is as it came.
    pub(super) fn answer(&mut self, turn: &mut Turn<'_>, from: Side, body: &[u8]) -> Option<String> {
        let offerer = from.other();
        let seen = glance(body);
        self.places.of_mut(from).says(seen.address);
        self.path = self.next;
        if self.path != MediaPath::Anchored {
            self.encrypted = Both { caller: seen.srtp, called: seen.srtp };
            return None;
        }
        let mut session = sdp::Session::parse(body).ok()?;
        let mut placed = Vec::new();
        for (index, media) in session.media.iter().enumerate() {
            placed.push(self.place_answered(turn, (from, offerer), index, (&session, media)));
        }
        let speaks = |side| self.lines.iter().flatten().any(|line| line.profile(side) == Some(Profile::Srtp));
        self.encrypted = Both { caller: speaks(Side::Caller), called: speaks(Side::Called) };
        self.order(turn);
        self.told(turn, offerer, &mut session, placed)
    }

    fn place_answered(
        &mut self,
        turn: &mut Turn<'_>,
        (from, offerer): (Side, Side),
        index: usize,
        (session, media): (&sdp::Session, &Media),
    ) -> Placed {
        let Some(Some(line)) = self.lines.get_mut(index) else { return Placed::Refused };
        if media.port == 0 {
            line.refused(from);
            line.refused(offerer);
            line.agree(offerer, &mut turn.core.secrets);
            return Placed::Refused;
        }
        line.hear(from, self.places.of(from), session, media);
        line.agree(offerer, &mut turn.core.secrets);
        let port = line.port(offerer);
        match (line.profile(offerer), media.profile()) {
            (Some(Profile::Srtp), Profile::Rtp) => Placed::Sealed(port, line.ours(offerer)),
            (Some(Profile::Rtp), Profile::Srtp) => Placed::Plain(port),
            _ => Placed::Here(port),
        }
    }

    /// Tells the relay what has changed.
    fn order(&self, turn: &mut Turn<'_>) {
        for line in self.lines.iter().flatten() {
            turn.core.held.media.order(line.stream, &line.spec);
        }
    }

    /// The description as our own. Its version goes up when it is not what the side was told before (RFC 3264 § 8).
    fn told(
        &mut self,
        turn: &Turn<'_>,
        to: Side,
        session: &mut sdp::Session,
        placed: Vec<Placed>,
    ) -> Option<String> {
        let address: IpAddr =
            self.places.of(to).our_address(&turn.core.config.media, self.places.of(to.other()))?;
        let origin =
            |version| Origin { user: "-".to_owned(), id: self.name, version, host: address.to_string() };
        session.anchor(origin(0), address, placed);
        let text = session.to_string();
        let told = self.told.of_mut(to);
        if told.text != text {
            (told.version, told.text) = (told.version + 1, text);
        }
        session.origin = Origin { version: told.version, ..session.origin.clone() };
        Some(session.to_string())
    }
}

fn other_keying(profile: Profile) -> Profile {
    match profile {
        Profile::Rtp => Profile::Srtp,
        Profile::Srtp => Profile::Rtp,
        Profile::Udptl | Profile::Other => profile,
    }
}
