//! baresip and linphone, each as caller and called phone, over each transport, in each place: sound both ways at the
//! ear, hold, resume, sound again (IMP-10, TRM-05).
//!
//! Sixteen calls cover everything by a Latin square: each pair of programs over each transport once, each transport in
//! each place once, each pair of programs in each place once.

use crate::stage::{Stage, Telling, tell_all};
use anyhow::Context;
use std::time::Duration;
use testkit::live::softphone::{Happening, Mark, Program, Setup, Softphone, hear_each_other};
use testkit::phone::Transport;

const SOON: Duration = Duration::from_secs(20);
/// Rows of phones: so many calls at a time.
const ROWS: u16 = 4;

/// How the phones speak.
#[derive(Debug, Clone, Copy)]
struct Way {
    name: &'static str,
    transport: Transport,
}

const WAYS: [Way; 2] =
    [Way { name: "UDP", transport: Transport::Udp }, Way { name: "TCP", transport: Transport::Tcp }];

/// Who calls whom.
const PAIRS: [(Program, Program); 4] = [
    (Program::Baresip, Program::Baresip),
    (Program::Baresip, Program::Linphone),
    (Program::Linphone, Program::Baresip),
    (Program::Linphone, Program::Linphone),
];

/// Where: the caller, the called phone, and what it is called.
const PLACES: [(&str, &str, &str); 4] = [
    ("2001", "2002", "at the cluster server"),
    ("2101", "2102", "at a node"),
    ("2101", "2002", "from a node to the cluster server"),
    ("2201", "2101", "from node to node"),
];

#[test]
fn imp_10_trm_05_foreign_phones_hear_each_other_over_every_transport_in_every_place() {
    let stage = Stage::with_rows(ROWS).expect("a network in service");
    let mut stories: Vec<(String, Box<Telling<'_>>)> = Vec::new();
    for (shift, way) in WAYS.into_iter().enumerate() {
        for (nth, pair) in PAIRS.into_iter().enumerate() {
            let place = PLACES[(nth + shift) % PLACES.len()];
            let name = format!("{:?} calls {:?} by {} {}", pair.0, pair.1, way.name, place.2);
            stories.push((name, Box::new(move |stage| call(stage, way, pair, place))));
        }
    }
    tell_all(&stage, &stories);
}

fn call(
    stage: &Stage,
    way: Way,
    pair: (Program, Program),
    (from, to, _): (&str, &str, &str),
) -> anyhow::Result<()> {
    let speaking = |setup: &mut Setup| {
        setup.transport = way.transport;
    };
    let mut called = stage.phone(pair.1, to, |setup| {
        speaking(setup);
        setup.auto_answer = true;
    })?;
    let mut caller = stage.phone(pair.0, from, speaking)?;
    caller.dial(called.extension())?;
    caller.wait(Mark::default(), Happening::Up, SOON)?;
    called.wait(Mark::default(), Happening::Up, SOON)?;
    hear_each_other(caller.as_ref(), called.as_ref()).context("after the answer")?;
    hold_and_resume(caller.as_mut(), called.as_mut()).context("the caller holds")?;
    hear_each_other(caller.as_ref(), called.as_ref()).context("after the resume")?;
    hold_and_resume(called.as_mut(), caller.as_mut()).context("the called phone holds")?;
    hear_each_other(caller.as_ref(), called.as_ref()).context("after the second resume")?;
    caller.hang_up()?;
    called.wait(Mark::default(), Happening::Over, SOON)?;
    caller.wait(Mark::default(), Happening::Over, SOON)
}

fn hold_and_resume(holder: &mut dyn Softphone, held: &mut dyn Softphone) -> anyhow::Result<()> {
    let (before, own) = (held.mark(), holder.mark());
    holder.hold()?;
    held.wait(before, Happening::Held, SOON)?;
    holder.wait(own, Happening::Holding, SOON)?;
    let before = held.mark();
    holder.resume()?;
    held.wait(before, Happening::TakenBack, SOON)
}
