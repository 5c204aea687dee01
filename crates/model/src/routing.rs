//! Where a call goes: digits → special number → numbering plan → rights → target. A pure decision whose
//! every step is recorded, so that a call, its trace and "explain this call" are the same code (DESIGN § 7).
//!
//! It is not the location of phones: that is asked of [`Attached::bound`] for this member, and of the
//! cluster (by handing the call on) for all others. The cluster server holds every subscriber; a node only
//! those of its interest, so a number inside the plan that a node does not know is asked of the uplink.

use crate::cause::Cause;
use crate::ids::{Extension, MemberNumber};
use crate::tables::Tables;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Who calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller<'a> {
    /// A subscriber whose phone has proven itself at this member. Its rights are checked.
    Subscriber(&'a Extension),
    /// Another member, which has checked the rights of its own subscriber.
    Member,
}

/// What this member can ask when it cannot finish a call itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Uplink {
    /// Its own location table: it is the cluster server and holds every subscriber.
    OwnLocation,
    /// Its uplink, which is there.
    Connected,
    /// Its uplink, which is lost: the member is isolated.
    Lost,
    /// Nothing: an independent machine, which holds every subscriber there is.
    None,
}

/// Where the decision is taken.
#[derive(Clone, Copy)]
pub struct Attached<'a> {
    /// This member.
    pub member: MemberNumber,
    /// What lies above it.
    pub uplink: Uplink,
    /// True for a subscriber with a phone registered at this member.
    pub bound: &'a dyn Fn(&Extension) -> bool,
}

/// A decided call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// What happens.
    pub outcome: Outcome,
    /// Emergency calls pass what holds others up, on every member they cross.
    pub emergency: bool,
    /// Each rule that was asked, in order.
    pub steps: Vec<Step>,
}

/// What happens to a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The phones that this subscriber registered here ring.
    Local(Extension),
    /// The cluster is asked for this subscriber: the uplink, or the cluster server's own location table.
    Elsewhere(Extension),
    /// The call is refused.
    Refused(Cause),
}

/// One rule that was asked, of what, and what it said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// The rule.
    pub rule: Rule,
    /// What it was asked about: digits, the key of an object.
    pub subject: String,
    /// What it said.
    pub verdict: Verdict,
}

/// The rules, in the order they are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// Can the digits be a number at all?
    Digits,
    /// Is it a special number (SYN-07)?
    SpecialNumber,
    /// Is it inside the numbering plan (SYN-06)?
    NumberingPlan,
    /// Which feature class has the caller (SYN-02, IMP-11)?
    FeatureClass,
    /// Does a list of barred numbers catch it (SYN-08, IMP-10)?
    BarredNumbers,
    /// Who and where is the called subscriber?
    Target,
}

/// What a rule said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It has nothing against the call.
    Passes,
    /// It does not know the number; the next rule is asked.
    NoMatch,
    /// It knows the number, by this entry.
    Matches(String),
    /// It is an emergency number: rights are not asked.
    Emergency,
    /// It names an object that does not exist.
    Missing,
    /// A phone is registered at this member.
    BoundHere,
    /// The cluster server's location table is asked.
    AskLocation,
    /// The uplink is asked.
    AskUplink,
    /// The call ends here.
    Refuses(Cause),
}

/// Decides a call from `caller` to `digits`.
#[must_use]
pub fn decide(tables: &Tables, caller: Caller<'_>, digits: &str, attached: &Attached<'_>) -> Decision {
    let mut decider = Decider { tables, attached, steps: Vec::new(), emergency: false };
    let outcome = decider.decide(caller, digits);
    Decision { outcome, emergency: decider.emergency, steps: decider.steps }
}

struct Decider<'a> {
    tables: &'a Tables,
    attached: &'a Attached<'a>,
    steps: Vec<Step>,
    emergency: bool,
}

impl Decider<'_> {
    fn decide(&mut self, caller: Caller<'_>, digits: &str) -> Outcome {
        let Ok(number) = digits.parse::<Extension>() else {
            return self.refuse(Rule::Digits, digits, Cause::InvalidNumber);
        };
        let candidates = self.special(&number);
        if !self.emergency
            && let Caller::Subscriber(caller) = caller
            && let Some(refused) = self.rights(caller, &number)
        {
            return refused;
        }
        match candidates {
            Some(candidates) => self.first_reachable(&candidates),
            None => self.planned(&number),
        }
    }

    /// Who answers a special number here, the nearest first.
    fn special(&mut self, number: &Extension) -> Option<Vec<Extension>> {
        let Some(special) = self.tables.special(number) else {
            self.step(Rule::SpecialNumber, number.as_str(), Verdict::NoMatch);
            return None;
        };
        self.emergency = special.emergency;
        let target = special.target_at(self.attached.member);
        let verdict =
            if special.emergency { Verdict::Emergency } else { Verdict::Matches(target.to_string()) };
        self.step(Rule::SpecialNumber, number.as_str(), verdict);
        let mut candidates = vec![target.clone()];
        if special.target != *target {
            candidates.push(special.target.clone());
        }
        Some(candidates)
    }

    /// The caller's feature class and its lists of barred numbers.
    fn rights(&mut self, caller: &Extension, number: &Extension) -> Option<Outcome> {
        let Some(subscriber) = self.tables.subscriber(caller) else {
            return Some(self.refuse(Rule::FeatureClass, caller.as_str(), Cause::Barred));
        };
        let key = subscriber.feature_class.as_str();
        // A class that does not exist gives no rights: a slip must not open what it was meant to bar.
        let Some(class) = self.tables.class(key) else {
            self.step(Rule::FeatureClass, key, Verdict::Missing);
            return Some(self.refuse(Rule::FeatureClass, key, Cause::Barred));
        };
        self.step(Rule::FeatureClass, key, Verdict::Passes);
        for list in &class.barred {
            match self.tables.barred(list).map(|prefixes| prefixes.bars(number)) {
                None => self.step(Rule::BarredNumbers, list, Verdict::Missing),
                Some(None) => self.step(Rule::BarredNumbers, list, Verdict::NoMatch),
                Some(Some(prefix)) => {
                    self.step(Rule::BarredNumbers, list, Verdict::Matches(prefix.to_owned()));
                    return Some(self.refuse(Rule::BarredNumbers, list, Cause::Barred));
                }
            }
        }
        None
    }

    fn planned(&mut self, number: &Extension) -> Outcome {
        let Some((key, _)) = self.tables.range_of(number) else {
            return self.refuse(Rule::NumberingPlan, number.as_str(), Cause::UnallocatedNumber);
        };
        self.step(Rule::NumberingPlan, number.as_str(), Verdict::Matches(key.to_owned()));
        self.target(number)
    }

    /// A special number's targets: the first with a phone here, else the first the cluster may know.
    fn first_reachable(&mut self, candidates: &[Extension]) -> Outcome {
        if let Some(here) = candidates.iter().find(|target| (self.attached.bound)(target)) {
            return self.target(here);
        }
        let mut outcome = Outcome::Refused(Cause::UnallocatedNumber);
        for target in candidates {
            outcome = self.target(target);
            if !matches!(outcome, Outcome::Refused(_)) {
                break;
            }
        }
        outcome
    }

    fn target(&mut self, number: &Extension) -> Outcome {
        let digits = number.as_str();
        if (self.attached.bound)(number) {
            self.step(Rule::Target, digits, Verdict::BoundHere);
            return Outcome::Local(number.clone());
        }
        let subscriber = self.tables.subscriber(number);
        let homed_here = subscriber.is_some_and(|subscriber| subscriber.home == self.attached.member);
        match (self.attached.uplink, subscriber) {
            (Uplink::OwnLocation | Uplink::None, None) => {
                self.refuse(Rule::Target, digits, Cause::UnallocatedNumber)
            }
            (Uplink::OwnLocation, Some(_)) => {
                self.step(Rule::Target, digits, Verdict::AskLocation);
                Outcome::Elsewhere(number.clone())
            }
            (Uplink::Connected, _) => {
                self.step(Rule::Target, digits, Verdict::AskUplink);
                Outcome::Elsewhere(number.clone())
            }
            // Its phones live here and none is registered: no cut is to blame for that.
            (Uplink::Lost, Some(_)) if homed_here => {
                self.refuse(Rule::Target, digits, Cause::SubscriberAbsent)
            }
            (Uplink::None, Some(_)) => self.refuse(Rule::Target, digits, Cause::SubscriberAbsent),
            (Uplink::Lost, _) => self.refuse(Rule::Target, digits, Cause::UnreachableByCut),
        }
    }

    fn refuse(&mut self, rule: Rule, subject: &str, cause: Cause) -> Outcome {
        self.step(rule, subject, Verdict::Refuses(cause));
        Outcome::Refused(cause)
    }

    fn step(&mut self, rule: Rule, subject: &str, verdict: Verdict) {
        self.steps.push(Step { rule, subject: subject.to_owned(), verdict });
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Rule::Digits => "digits",
            Rule::SpecialNumber => "special number",
            Rule::NumberingPlan => "numbering plan",
            Rule::FeatureClass => "feature class",
            Rule::BarredNumbers => "barred numbers",
            Rule::Target => "target",
        })
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Passes => f.write_str("passes"),
            Verdict::NoMatch => f.write_str("no match"),
            Verdict::Matches(entry) => write!(f, "matches {entry}"),
            Verdict::Emergency => f.write_str("an emergency number: rights are not asked"),
            Verdict::Missing => f.write_str("does not exist"),
            Verdict::BoundHere => f.write_str("a phone is registered here"),
            Verdict::AskLocation => f.write_str("the location table is asked"),
            Verdict::AskUplink => f.write_str("the uplink is asked"),
            Verdict::Refuses(cause) => {
                write!(f, "refused: {} ({}/{})", cause.text(), cause.status(), cause.q850())
            }
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.rule, self.subject, self.verdict)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Kind, Record};

    /// The plan of the demo: 2000–2299; 2101 may call anything, 2102 not 0 nor 22.
    fn plan() -> Tables {
        let record = |kind, key: &str, value: &str| Record {
            kind,
            key: key.to_owned(),
            revision: 1,
            value: value.as_bytes().to_vec(),
        };
        let subscriber = |class: &str, home: u8| {
            format!(r#"{{"name":"","feature_class":"{class}","home":{home},"credentials":null}}"#)
        };
        Tables::of(&[
            record(Kind::NumberingRange, "all", r#"{"first":"2000","last":"2299","use":"extensions"}"#),
            record(Kind::FeatureClass, "free", r#"{}"#),
            record(Kind::FeatureClass, "inside", r#"{"barred":["outside","forgotten"]}"#),
            record(Kind::BarredNumbers, "outside", r#"{"prefixes":["0","22"]}"#),
            record(Kind::Subscriber, "2101", &subscriber("free", 1)),
            record(Kind::Subscriber, "2102", &subscriber("inside", 1)),
            record(Kind::Subscriber, "2103", &subscriber("no-such-class", 1)),
            record(
                Kind::SpecialNumber,
                "112",
                r#"{"emergency":true,"target":"2001","local_targets":{"1":"2101"}}"#,
            ),
            record(Kind::SpecialNumber, "9", r#"{"target":"2001"}"#),
            record(Kind::SpecialNumber, "0900", r#"{"target":"2001"}"#),
        ])
    }

    fn call(uplink: Uplink, from: &str, to: &str, bound: &[&str]) -> Decision {
        let from: Extension = from.parse().unwrap();
        let bound = |number: &Extension| bound.contains(&number.as_str());
        let member = if uplink == Uplink::OwnLocation { 0 } else { 1 };
        let attached = Attached { member: MemberNumber::try_from(member).unwrap(), uplink, bound: &bound };
        decide(&plan(), Caller::Subscriber(&from), to, &attached)
    }

    fn number(digits: &str) -> Extension {
        digits.parse().unwrap()
    }

    #[test]
    fn a_call_on_one_node_never_asks_the_uplink() {
        for uplink in [Uplink::Connected, Uplink::Lost] {
            assert_eq!(call(uplink, "2101", "2102", &["2102"]).outcome, Outcome::Local(number("2102")));
        }
    }

    #[test]
    fn syn_06_a_number_outside_the_plan_is_unallocated_and_one_inside_is_asked_of_the_uplink() {
        let outside = call(Uplink::Connected, "2101", "2300", &[]);
        assert_eq!(outside.outcome, Outcome::Refused(Cause::UnallocatedNumber));
        let inside = call(Uplink::Connected, "2101", "2201", &[]);
        assert_eq!(inside.outcome, Outcome::Elsewhere(number("2201")));
        assert_eq!(
            call(Uplink::Connected, "2101", "22x1", &[]).outcome,
            Outcome::Refused(Cause::InvalidNumber)
        );
    }

    #[test]
    fn the_cluster_server_knows_every_subscriber() {
        let known = call(Uplink::OwnLocation, "2101", "2102", &[]);
        assert_eq!(known.outcome, Outcome::Elsewhere(number("2102")));
        let unknown = call(Uplink::OwnLocation, "2101", "2250", &[]);
        assert_eq!(unknown.outcome, Outcome::Refused(Cause::UnallocatedNumber));
    }

    #[test]
    fn duh_30_isolated_the_number_and_the_rights_stay_and_what_is_beyond_the_cut_says_so() {
        let beyond = call(Uplink::Lost, "2101", "2201", &[]);
        assert_eq!(beyond.outcome, Outcome::Refused(Cause::UnreachableByCut));
        let barred = call(Uplink::Lost, "2102", "2201", &[]);
        assert_eq!(barred.outcome, Outcome::Refused(Cause::Barred));
        let absent = call(Uplink::Lost, "2101", "2102", &[]);
        assert_eq!(absent.outcome, Outcome::Refused(Cause::SubscriberAbsent));
    }

    #[test]
    fn imp_10_syn_08_a_barred_beginning_is_refused_and_the_step_names_list_and_prefix() {
        let barred = call(Uplink::Connected, "2102", "2201", &["2201"]);
        assert_eq!(barred.outcome, Outcome::Refused(Cause::Barred));
        let step = barred.steps.iter().find(|step| step.rule == Rule::BarredNumbers).unwrap();
        assert_eq!(step.to_string(), "barred numbers outside: matches 22");
        let free = call(Uplink::Connected, "2102", "2101", &["2101"]);
        assert_eq!(free.outcome, Outcome::Local(number("2101")));
    }

    #[test]
    fn syn_02_imp_11_two_callers_of_different_classes_have_different_rights() {
        assert_eq!(call(Uplink::Connected, "2101", "2201", &[]).outcome, Outcome::Elsewhere(number("2201")));
        assert_eq!(call(Uplink::Connected, "2102", "2201", &[]).outcome, Outcome::Refused(Cause::Barred));
        // A class that does not exist, and a caller that does not, have no rights at all.
        assert_eq!(
            call(Uplink::Connected, "2103", "2101", &["2101"]).outcome,
            Outcome::Refused(Cause::Barred)
        );
        assert_eq!(
            call(Uplink::Connected, "2199", "2101", &["2101"]).outcome,
            Outcome::Refused(Cause::Barred)
        );
    }

    #[test]
    fn syn_07_an_emergency_number_passes_barring_and_a_cut() {
        let cut = call(Uplink::Lost, "2103", "112", &["2101"]);
        assert_eq!(cut.outcome, Outcome::Local(number("2101")));
        assert!(cut.emergency);
        // Nobody registered at the local target: the common one is asked while there is an uplink.
        let asked = call(Uplink::Connected, "2102", "112", &["2001"]);
        assert_eq!(asked.outcome, Outcome::Local(number("2001")));
        // A special number that is no emergency number can be barred.
        assert_eq!(
            call(Uplink::Connected, "2102", "0900", &["2001"]).outcome,
            Outcome::Refused(Cause::Barred)
        );
        assert_eq!(call(Uplink::Connected, "2102", "9", &["2001"]).outcome, Outcome::Local(number("2001")));
    }

    #[test]
    fn another_member_has_checked_the_rights_already() {
        let bound = |_: &Extension| true;
        let attached =
            Attached { member: MemberNumber::CLUSTER_SERVER, uplink: Uplink::OwnLocation, bound: &bound };
        let decision = decide(&plan(), Caller::Member, "2201", &attached);
        assert_eq!(decision.outcome, Outcome::Local(number("2201")));
        assert!(decision.steps.iter().all(|step| step.rule != Rule::FeatureClass));
    }

    #[test]
    fn an_independent_machine_finishes_every_call_itself() {
        assert_eq!(
            call(Uplink::None, "2101", "2102", &[]).outcome,
            Outcome::Refused(Cause::SubscriberAbsent)
        );
        assert_eq!(
            call(Uplink::None, "2101", "2250", &[]).outcome,
            Outcome::Refused(Cause::UnallocatedNumber)
        );
    }
}
