//! What a call is on the lines of our own subscribers: for each side whose other end is a phone here, one call in the
//! states of RFC 4235. The far side of a call across members is told by its own edge.

use super::leg::{Leg, Words};
use super::offering::{Offering, Reached};
use super::talking::Talking;
use super::{Facts, Session, Side, State};
use crate::events::{Direction, LineCall, Phase};
use crate::hop::Hop;
use crate::record::Party;
use model::{Extension, MemberNumber};
use std::hash::{DefaultHasher, Hash, Hasher};

/// A call as one line has it.
#[derive(Debug, Clone, Copy, Hash)]
struct Part<'a> {
    number: &'a str,
    direction: Direction,
    phase: Phase,
    holds: bool,
    held: bool,
    /// None for a party that hides.
    remote: Option<(&'a str, &'a str)>,
}

impl Session {
    /// A number that is another one when the call's part in lines is.
    pub(crate) fn line_mark(&self) -> u64 {
        // Its keys are fixed, so that it is the same in every process.
        let mut hasher = DefaultHasher::new();
        self.visit(|part| part.hash(&mut hasher));
        hasher.finish()
    }

    /// The call on the lines it is on, as told by `member`.
    pub(crate) fn on_lines(&self, member: MemberNumber) -> Vec<(Extension, LineCall)> {
        let mut lines: Vec<(Extension, LineCall)> = Vec::new();
        self.visit(|part| {
            let Ok(extension) = part.number.parse::<Extension>() else { return };
            let call = self.facts.on_line(&part, member);
            let known = |(line, told): &&mut (Extension, LineCall)| {
                *line == extension && told.direction == part.direction
            };
            // Several phones of one subscriber ring: the one that is furthest speaks for the line.
            match lines.iter_mut().find(known) {
                Some((_, told)) if told.phase < call.phase => *told = call,
                Some(_) => {}
                None => lines.push((extension, call)),
            }
        });
        lines
    }

    fn visit<'a>(&'a self, mut take: impl FnMut(Part<'a>)) {
        let Session { facts, state } = self;
        match state {
            State::Offering(offering) => facts.offered_parts(offering, &mut take),
            State::PickingUp(picking_up) => facts.offered_parts(&picking_up.offering, &mut take),
            State::Talking(talking) => facts.answered_parts(talking, &mut take),
            State::Transferring(transferring) => facts.answered_parts(&transferring.talking, &mut take),
            State::Taking(taking) => facts.answered_parts(&taking.talking, &mut take),
            State::Closing(_) | State::Parting(_) => {}
        }
    }
}

impl Facts {
    fn part<'a>(&'a self, side: Side, number: &'a str, phase: Phase) -> Part<'a> {
        let direction = match side {
            Side::Caller => Direction::Initiator,
            Side::Called => Direction::Recipient,
        };
        let Party { number: far, name } = self.party(side.other());
        let remote = self.hides(side.other()).is_none().then_some((far.as_str(), name.as_str()));
        Part { number, direction, phase, holds: false, held: false, remote }
    }

    fn offered_parts<'a>(&'a self, offering: &'a Offering, take: &mut impl FnMut(Part<'a>)) {
        let ringing = offering.branches.iter().any(|branch| branch.reached == Reached::Somebody);
        let phase = if ringing { Phase::Early } else { Phase::Trying };
        if let Hop::Phone(_) = &offering.caller.leg.hop {
            take(self.part(Side::Caller, &self.party(Side::Caller).number, phase));
        }
        for branch in &offering.branches {
            let phase = match branch.reached {
                Reached::Nothing => Phase::Trying,
                Reached::Somebody => Phase::Early,
                Reached::Diverted | Reached::End(_) => continue,
            };
            if let Hop::Phone(_) = &branch.hop {
                take(self.part(Side::Called, &branch.party.number, phase));
            }
        }
    }

    fn answered_parts<'a>(&'a self, talking: &Talking, take: &mut impl FnMut(Part<'a>)) {
        for (leg, other) in [(&talking.caller, &talking.called), (&talking.called, &talking.caller)] {
            if let Hop::Phone(_) = &leg.hop {
                let part = self.part(leg.side, &self.party(leg.side).number, Phase::Confirmed);
                take(Part { holds: has_on_hold(leg), held: has_on_hold(other), ..part });
            }
        }
    }

    fn on_line(&self, part: &Part<'_>, member: MemberNumber) -> LineCall {
        let party = |(number, name): (&str, &str)| Party { number: number.to_owned(), name: name.to_owned() };
        LineCall {
            member,
            call: self.call,
            session: self.session.clone(),
            direction: part.direction,
            phase: part.phase,
            holds: part.holds,
            held: part.held,
            remote: part.remote.map(party),
            since: self.created,
        }
    }
}

fn has_on_hold(leg: &Leg) -> bool {
    leg.said.as_ref().is_some_and(Words::rest)
}
