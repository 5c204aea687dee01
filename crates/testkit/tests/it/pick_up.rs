//! Pick-up by another phone of the called subscriber (RFC 3891): of a call that rings and of one that is talked in, at the
//! same member and at another, and with a fault between its two steps: the phone is answered, and the caller is given to
//! it (TRM-05, DUH-30).
//!
//! The phones that ring and pick up are SIPp, which knows the dialog and sends back what it hears; the caller is linphone, which
//! hears its own tone through them: sound both ways in one.

use crate::stage::{Fault, Stage, Telling, tell_all};
use anyhow::{Context, ensure};
use std::time::{Duration, Instant};
use testkit::live::eventually;
use testkit::live::raw::header;
use testkit::live::scenario::{Body, Scenario};
use testkit::live::sipp::Sipp;
use testkit::live::softphone::{Happening, Mark, Program, Softphone};

const SOON: Duration = Duration::from_secs(20);
const CALL: Duration = Duration::from_secs(60);
/// The picking phone acknowledges its answer so late: a fault has begun and ended by then.
const THINKS_FOR: Duration = Duration::from_secs(14);
/// How long packets vanish.
const CUT_FOR: Duration = Duration::from_secs(5);

/// Whose phones ring and pick up.
const CALLED: &str = "2102";

/// One story.
#[derive(Debug, Clone, Copy)]
struct PickUp {
    caller: &'static str,
    /// The call is answered before it is taken over.
    talked_in: bool,
    /// The member where the second phone is.
    at: &'static str,
    fault: Option<Fault>,
}

const TOLD: [PickUp; 9] = [
    PickUp { caller: "2101", talked_in: false, at: "n1", fault: None },
    PickUp { caller: "2201", talked_in: false, at: "cs", fault: None },
    PickUp { caller: "2101", talked_in: true, at: "n1", fault: None },
    PickUp { caller: "2201", talked_in: false, at: "n1", fault: Some(Fault::Cut("n1")) },
    PickUp { caller: "2201", talked_in: true, at: "n1", fault: Some(Fault::Cut("n1")) },
    PickUp { caller: "2101", talked_in: true, at: "n1", fault: Some(Fault::Kill("n1")) },
    PickUp { caller: "2201", talked_in: true, at: "n1", fault: Some(Fault::Kill("n1")) },
    PickUp { caller: "2201", talked_in: true, at: "n1", fault: Some(Fault::Kill("n2")) },
    PickUp { caller: "2201", talked_in: false, at: "n1", fault: Some(Fault::Kill("cs")) },
];

#[test]
fn rfc_3891_duh_30_a_fault_between_the_steps_of_a_pick_up_costs_nobody_its_call() {
    let stage = Stage::new().expect("a network in service");
    let mut stories: Vec<(String, Box<Telling<'_>>)> = Vec::new();
    for one in TOLD {
        stories.push((one.name(), Box::new(move |stage| one.told(stage))));
    }
    tell_all(&stage, &stories);
}

impl PickUp {
    fn name(&self) -> String {
        let PickUp { caller, talked_in, at, fault } = self;
        let what = if *talked_in { "talked in" } else { "ringing" };
        let fault = fault.map_or_else(String::new, |fault| format!(", {fault} between its steps"));
        format!("a call of {caller} {what} at n1 is picked up at {at}{fault}")
    }

    fn told(&self, stage: &Stage) -> anyhow::Result<()> {
        let first = stage.answerer(CALLED, |part| self.first_phone(part))?;
        let mut caller = stage.phone(Program::Linphone, self.caller, |_| Ok(()))?;
        caller.dial(&stage.number(CALLED))?;
        if self.talked_in {
            caller.wait(Mark::default(), Happening::Up, SOON)?;
            hears_itself(caller.as_ref()).context("before the pick-up")?;
        } else {
            caller.wait(Mark::default(), Happening::Ringing, SOON)?;
        }
        let part = self.second_phone(stage.part(CALLED, CALLED)?, &dialog(&first)?);
        let second = stage.sipp_at(self.at, CALLED, &part)?;
        if let Some(fault) = self.fault {
            strike(stage, fault, &second)?;
        }
        first.finish(CALL).context("the first phone is out")?;
        hears_itself(caller.as_ref()).context("picked up")?;
        // That of the challenge, and that of its answer.
        eventually("the second phone to acknowledge", THINKS_FOR + SOON, || {
            let log = second.messages().unwrap_or_default();
            Ok((log.matches("\nACK sip:").count() >= 2).then_some(()))
        })?;
        caller.hang_up()?;
        second.finish(CALL).context("the second phone")?;
        caller.wait(Mark::default(), Happening::Over, SOON)?;
        drop(caller);
        stage.nothing_left()
    }

    /// Rings, and answers if it is to be talked in.
    fn first_phone(&self, part: Scenario) -> Scenario {
        if self.talked_in {
            return part.ring_and_answer().is_hung_up();
        }
        part.expect("INVITE")
            .reply(180, "Ringing", Body::None)
            .confirm("CANCEL")
            .reply_to_invite(487, "Request Terminated", Body::None)
            .expect("ACK")
    }

    /// Takes the dialog. Of a call that rings it is answered with media that rests, and then given the caller's offer.
    fn second_phone(&self, part: Scenario, dialog: &str) -> Scenario {
        let thinks_ms = u32::try_from(THINKS_FOR.as_millis()).unwrap_or(u32::MAX);
        let part = part.dial_replacing(dialog).receive(200);
        let part = if self.fault.is_some() { part.pause(thinks_ms) } else { part };
        let part = part.ack(Body::None);
        if self.talked_in { part.is_hung_up() } else { part.accept_change().is_hung_up() }
    }
}

/// The fault begins when the second phone has its answer, and is over before it acknowledges that.
fn strike(stage: &Stage, fault: Fault, second: &Sipp) -> anyhow::Result<()> {
    let answered = || Ok(second.messages().is_ok_and(|log| log.contains("SIP/2.0 200")).then_some(()));
    eventually("the second phone to be answered", SOON, answered)?;
    let begin = Instant::now();
    fault.strikes(stage)?;
    if let Fault::Cut(_) = fault {
        std::thread::sleep(CUT_FOR);
    }
    fault.ends(stage)?;
    ensure!(begin.elapsed() < THINKS_FOR, "this machine is too slow: the fault lasted {:?}", begin.elapsed());
    Ok(())
}

/// What a phone says of its own dialog in Replaces: its tag first.
fn dialog(phone: &Sipp) -> anyhow::Result<String> {
    let ringing = eventually("the first phone to ring", SOON, || {
        let log = phone.messages().unwrap_or_default();
        Ok(log.find("SIP/2.0 180").and_then(|at| log.get(at..)).map(str::to_owned))
    })?;
    let of = |name: &str| header(&ringing, name).with_context(|| format!("180 without {name}"));
    let tag = |name: &str| -> anyhow::Result<String> {
        let (_, tag) = of(name)?.split_once(";tag=").with_context(|| format!("no tag in {name}"))?;
        Ok(tag.to_owned())
    };
    Ok(format!("{};to-tag={};from-tag={}", of("Call-ID")?, tag("To")?, tag("From")?))
}

/// The phone hears its own tone, which the other end sends back.
fn hears_itself(phone: &dyn Softphone) -> anyhow::Result<()> {
    let before_s = phone.heard_s(phone.tone_hz())?;
    phone.wait_heard(phone.tone_hz(), before_s)
}
