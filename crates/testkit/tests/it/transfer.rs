//! Blind and attended transfer, within a member and across members, while the network fails between their two steps: a link is
//! cut, or a member is killed. Nobody loses its call at the fault or at the return, sound is proven both ways afterwards,
//! and nothing is left behind (TRM-05, DUH-30; DESIGN § 1, promise 2, and § 7).
//!
//! The two steps are those of the phones: a blind transfer is asked for, and its target answers; a consultation stands, and
//! its two calls are joined.

use crate::stage::Telling;
use crate::stage::{Fault, Stage, tell_all};
use anyhow::{Context, ensure};
use std::time::Duration;
use testkit::live::eventually;
use testkit::live::softphone::{Happening, Mark, Program, Softphone, hear_each_other};

const SOON: Duration = Duration::from_secs(20);
/// How long packets vanish: longer than it takes both sides to know (3 s), and than an INVITE is repeated without pause.
const CUT_FOR: Duration = Duration::from_secs(6);
/// A join that met a cut is done, or given up, this soon after the return.
const SETTLED_WITHIN: Duration = Duration::from_secs(40);

/// A target's ringing that died with its member is not told to the member that waits for it: at the latest it rings out there
/// (60 s, and some for the way).
const RINGS_OUT: Duration = Duration::from_secs(75);

/// How the second phone gives its call to the third.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Blind,
    Attended,
}

/// Who stays, who transfers, and to whom.
#[derive(Debug, Clone, Copy)]
struct Trio {
    stays: &'static str,
    by: &'static str,
    target: &'static str,
    place: &'static str,
}

/// 2111 is a third phone of node 1, of the second row.
const WITHIN: Trio = Trio { stays: "2102", by: "2101", target: "2111", place: "within node 1" };
const ACROSS: Trio = Trio { stays: "2201", by: "2101", target: "2001", place: "across members" };

/// What is tried: each fault once in each place it can tell apart.
const TRIED: [(Trio, Fault); 7] = [
    (WITHIN, Fault::Cut("n1")),
    (WITHIN, Fault::Kill("n1")),
    (ACROSS, Fault::Cut("n1")),
    (ACROSS, Fault::Cut("n2")),
    (ACROSS, Fault::Kill("n1")),
    (ACROSS, Fault::Kill("n2")),
    (ACROSS, Fault::Kill("cs")),
];

#[test]
fn trm_05_duh_30_a_fault_between_the_steps_of_a_transfer_costs_nobody_its_call() {
    let stage = Stage::with_rows(2).expect("a network in service").one_at_a_time();
    let mut stories: Vec<(String, Box<Telling<'_>>)> = Vec::new();
    for way in [Way::Blind, Way::Attended] {
        for (trio, fault) in TRIED {
            let name = format!("{way:?} transfer {}, {fault} between its steps", trio.place);
            stories.push((name, Box::new(move |stage| told(stage, way, trio, fault))));
        }
    }
    tell_all(&stage, &stories);
}

/// The three phones in a call.
struct Phones {
    stays: Box<dyn Softphone>,
    by: Box<dyn Softphone>,
    target: Box<dyn Softphone>,
}

fn told(stage: &Stage, way: Way, trio: Trio, fault: Fault) -> anyhow::Result<()> {
    let mut phones = talking(stage, way, trio)?;
    let targets = phones.target.mark();
    first_step(&mut phones, way)?;
    fault.strikes(stage)?;
    let joining = phones.by.mark();
    match fault {
        // What can be done while packets vanish is done then.
        Fault::Cut(_) => {
            second_step(&mut phones, way)?;
            std::thread::sleep(CUT_FOR);
            fault.ends(stage)?;
        }
        Fault::Kill(_) => {
            fault.ends(stage)?;
            second_step(&mut phones, way)?;
        }
    }
    let joined = settled(&mut phones, joining, targets)?;
    // What is left as it was: a ringing that died with the member of who transfers or of who rings (answered calls are
    // kept, DESIGN § 5.1), and what a cut has overtaken.
    let may_stay = matches!((way, fault), (Way::Blind, Fault::Kill("n1" | "cs")) | (_, Fault::Cut("n2")));
    ensure!(joined || may_stay, "the two were not joined");
    eprintln!("    {}", if joined { "joined" } else { "left as it was" });
    // Who transferred has hung up; whom it left waits for the target until that has rung out.
    let waits = matches!((way, fault), (Way::Blind, Fault::Kill("cs")) if !joined);
    ended(&mut phones, joined, if waits { RINGS_OUT } else { SOON })?;
    drop(phones);
    stage.nothing_left()
}

/// Two talk, and the third is there.
fn talking(stage: &Stage, way: Way, trio: Trio) -> anyhow::Result<Phones> {
    let phone = |number: &str, auto_answer: bool| {
        stage.phone(Program::Linphone, number, |setup| {
            setup.auto_answer = auto_answer;
            Ok(())
        })
    };
    let target = phone(trio.target, way == Way::Attended)?;
    let (mut stays, mut by) = (phone(trio.stays, true)?, phone(trio.by, false)?);
    by.dial(trio.stays)?;
    by.wait(Mark::default(), Happening::Up, SOON)?;
    stays.wait(Mark::default(), Happening::Up, SOON)?;
    hear_each_other(by.as_ref(), stays.as_ref()).context("before the transfer")?;
    Ok(Phones { stays, by, target })
}

fn first_step(Phones { by, target, .. }: &mut Phones, way: Way) -> anyhow::Result<()> {
    let (own, theirs) = (by.mark(), target.mark());
    match way {
        Way::Blind => {
            by.transfer(target.extension())?;
            target.wait(theirs, Happening::Incoming, SOON).context("the target rings")
        }
        Way::Attended => {
            by.hold()?;
            by.wait(own, Happening::Holding, SOON)?;
            by.dial(target.extension())?;
            by.wait(own, Happening::Up, SOON)?;
            target.wait(theirs, Happening::Up, SOON)?;
            hear_each_other(by.as_ref(), target.as_ref()).context("the consultation")
        }
    }
}

fn second_step(Phones { by, target, .. }: &mut Phones, way: Way) -> anyhow::Result<()> {
    match way {
        Way::Blind => target.accept(),
        Way::Attended => by.join_calls(),
    }
}

/// Whether the two are joined in the end: then the transferor is out; else the target of a blind transfer is.
fn settled(phones: &mut Phones, joining: Mark, targets: Mark) -> anyhow::Result<bool> {
    let Phones { by, target, .. } = phones;
    let outcome = eventually("the transfer to be over", SETTLED_WITHIN, || {
        if by.saw(joining, Happening::Over) {
            return Ok(Some(true));
        }
        Ok(target.saw(targets, Happening::Over).then_some(false))
    });
    outcome.with_context(|| format!("{}\n{}", by.process().tail(), target.process().tail()))
}

/// Who is in the call hears each other, and ends it; the other one is told within `patience`.
fn ended(Phones { stays, by, target }: &mut Phones, joined: bool, patience: Duration) -> anyhow::Result<()> {
    let other = if joined { target } else { by };
    hear_each_other(stays.as_ref(), other.as_ref()).context("after the fault")?;
    let mark = stays.mark();
    other.hang_up()?;
    stays.wait(mark, Happening::Over, patience)
}
