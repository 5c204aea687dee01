//! Where the key streams of an anchored stream stand, for a relay that begins anew after `kill -9`.

use super::{Ear, End, Relay, Spec};
use crate::srtp::{self, Context};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// See the module. Empty for a stream at which no SRTP ends.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    caller: EndStanding,
    called: EndStanding,
}

/// Of one end.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct EndStanding {
    /// What we send it.
    seal: Option<srtp::Standing>,
    /// What it sends.
    unseal: Option<srtp::Standing>,
}

impl Relay {
    /// A stream that a process before had, which died without a word after it told `standing` (none: before it told
    /// any). No index is sealed twice (RFC 3711 § 9.1), and sound goes on in its round.
    #[must_use]
    pub fn going_on(now: Duration, spec: Spec, standing: &Standing) -> Relay {
        let caller = Ear::going_on(&spec.caller, &standing.caller);
        let called = Ear::going_on(&spec.called, &standing.called);
        Relay { spec, caller, called, heard: now, told: None }
    }

    /// Where it stands, when that is to be kept: at first, and whenever a key stream has gone far since. To be asked once
    /// a second.
    pub fn stands(&mut self) -> Option<Standing> {
        let told = self.told.as_deref();
        let due = self.caller.is_past(told.map(|told| &told.caller))
            || self.called.is_past(told.map(|told| &told.called));
        if !due {
            return None;
        }
        let standing = Standing { caller: self.caller.standing(), called: self.called.standing() };
        self.told = Some(Box::new(standing.clone()));
        Some(standing)
    }
}

impl Ear {
    fn going_on(end: &End, standing: &EndStanding) -> Ear {
        let resumed = |standing: &Option<srtp::Standing>| {
            standing.as_ref().map(|standing| Box::new(Context::resumed(standing)))
        };
        let (seal, unseal) = (resumed(&standing.seal), resumed(&standing.unseal));
        let mut ear = Ear { seal, unseal, ..Ear::default() };
        ear.begin(end);
        if let Some(seal) = &mut ear.seal {
            seal.leap();
        }
        ear
    }

    fn standing(&self) -> EndStanding {
        let of = |context: &Option<Box<Context>>| context.as_ref().map(|context| context.standing());
        EndStanding { seal: of(&self.seal), unseal: of(&self.unseal) }
    }

    fn is_past(&self, told: Option<&EndStanding>) -> bool {
        let past = |context: &Option<Box<Context>>, told: Option<&srtp::Standing>| {
            context.as_ref().is_some_and(|context| context.is_past(told))
        };
        past(&self.seal, told.and_then(|told| told.seal.as_ref()))
            || past(&self.unseal, told.and_then(|told| told.unseal.as_ref()))
    }
}
