//! Where a number leads when a call that goes on already asks: a phone diverts it, or a person transfers it. The rights
//! of everybody who sends it there are checked, and the first who may not decides.

use super::invite::Found;
use super::word::Saying;
use super::{Shard, ShardId, Step};
use crate::hop::Hop;
use crate::record::{CallId, Party};
use crate::session::{Event, Routed, Target};
use model::routing::{Caller, Decision, Outcome};
use model::{Cause, Extension};

/// A question of a session on its way.
#[derive(Debug)]
pub(crate) struct Routing {
    pub(crate) home: ShardId,
    pub(crate) call: CallId,
    pub(crate) ticket: String,
    /// The subscribers whose rights are checked.
    rights: Vec<Extension>,
    digits: String,
    /// A phone that does not count among those of the called subscriber.
    without: Hop,
    /// Whose phones are asked for.
    pub(crate) wanted: Option<Extension>,
    found: Found,
}

impl Shard {
    /// Begins to find out where `digits` lead, for those of `rights` that are subscribers.
    pub(super) fn ask_route(
        &mut self,
        step: &mut Step<'_>,
        (call, ticket): (CallId, String),
        rights: &[String],
        digits: String,
        without: Option<Hop>,
    ) {
        let rights = rights
            .iter()
            .filter_map(|number| number.parse().ok())
            .filter(|number| self.core.tables.subscriber(number).is_some())
            .collect();
        let home = self.core.id;
        let without = without.unwrap_or(Hop::Cluster);
        let found = Found::default();
        self.route(
            step,
            Box::new(Routing { home, call, ticket, rights, digits, without, wanted: None, found }),
        );
    }

    /// Decides, or asks what it needs to know for that.
    pub(super) fn route(&mut self, step: &mut Step<'_>, mut routing: Box<Routing>) {
        match self.decide_route(&routing) {
            Ok(decision) => {
                let Routing { call, ticket, without, found, .. } = *routing;
                let outcome = self.led(decision.outcome, &found, &without);
                self.tell(step, call, Event::Routed(Routed { ticket, outcome, steps: decision.steps }));
            }
            Err(wanted) => {
                let owner = self.core.sorter.owner_of(wanted.as_str());
                routing.wanted = Some(wanted);
                step.say(owner, Saying::Seek(routing));
            }
        }
    }

    /// The owner's part: notes the phones that are asked for.
    pub(super) fn seek(&self, routing: &mut Routing) {
        if let Some(wanted) = routing.wanted.take() {
            let phones = self.phones(&wanted);
            routing.found.note(wanted, phones);
        }
    }

    fn decide_route(&self, routing: &Routing) -> Result<Decision, Extension> {
        let Routing { rights, digits, found, .. } = routing;
        let Some((last, others)) = rights.split_last() else {
            // Nobody of ours sends it there; who does has none of our rights.
            let steps = Vec::new();
            return Ok(Decision { outcome: Outcome::Refused(Cause::Barred), emergency: false, steps });
        };
        for sender in others {
            let decision = self.decide_knowing(Caller::Subscriber(sender), digits, found)?;
            if decision.outcome == Outcome::Refused(Cause::Barred) {
                return Ok(decision);
            }
        }
        self.decide_knowing(Caller::Subscriber(last), digits, found)
    }

    fn led(&self, outcome: Outcome, found: &Found, without: &Hop) -> Result<(Party, Vec<Target>), Cause> {
        match outcome {
            Outcome::Local(called) => {
                let targets = self.phones_found(&called, found, Some(without));
                if targets.is_empty() { Err(Cause::Busy) } else { Ok((self.party(&called), targets)) }
            }
            Outcome::Elsewhere(called) => {
                let target = Target::cluster(&called, &self.core.config.realm);
                Ok((self.party(&called), vec![target]))
            }
            Outcome::Refused(cause) => Err(cause),
        }
    }
}
