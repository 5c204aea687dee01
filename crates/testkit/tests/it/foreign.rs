//! baresip and linphone, each as caller and called phone, over each transport, in each place: sound both ways at the
//! ear, hold, resume, sound again; then a transfer to a third phone, and one after a consultation (IMP-10, TRM-05).
//!
//! Sixteen calls cover everything by a Latin square: each pair of programs over each transport once, each transport in
//! each place once, each pair of programs in each place once.

use crate::stage::{Stage, Telling, tell_all};
use anyhow::Context;
use std::path::{Path, PathBuf};
use std::time::Duration;
use testkit::live::softphone::{
    Happening, Mark, Program, Setup, Softphone, hear_each_other, hold_and_resume,
};
use testkit::phone::Transport;

const SOON: Duration = Duration::from_secs(20);
/// Rows of phones: so many calls at a time.
const ROWS: u16 = 4;

/// How the phones speak.
#[derive(Debug, Clone, Copy)]
struct Way {
    name: &'static str,
    transport: Transport,
    srtp: bool,
}

const WAYS: [Way; 4] = [
    Way { name: "UDP", transport: Transport::Udp, srtp: false },
    Way { name: "TCP", transport: Transport::Tcp, srtp: false },
    Way { name: "TLS", transport: Transport::Tls, srtp: false },
    Way { name: "TLS with SRTP", transport: Transport::Tls, srtp: true },
];

/// Who calls whom.
const PAIRS: [(Program, Program); 4] = [
    (Program::Baresip, Program::Baresip),
    (Program::Baresip, Program::Linphone),
    (Program::Linphone, Program::Baresip),
    (Program::Linphone, Program::Linphone),
];

/// Where: the caller, the called phone, the phone that the call is transferred to, and what it is called.
const PLACES: [(&str, &str, &str, &str); 4] = [
    ("2001", "2002", "2101", "at the cluster server"),
    ("2101", "2102", "2201", "at a node"),
    ("2101", "2002", "2102", "from a node to the cluster server"),
    ("2201", "2101", "2002", "from node to node"),
];

/// One of the sixteen.
struct Combination {
    way: Way,
    caller: (Program, &'static str),
    called: (Program, &'static str),
    third: &'static str,
    place: &'static str,
    /// The one certificate that phones trust, wherever they live.
    authority: PathBuf,
}

#[test]
fn imp_10_trm_05_foreign_phones_hear_each_other_over_every_transport_in_every_place() {
    let stage = Stage::with_rows(ROWS).expect("a network in service");
    let authority = stage.cluster.authority("cs").expect("the certificate that phones trust");
    let mut stories: Vec<(String, Box<Telling<'_>>)> = Vec::new();
    for one in combinations(&authority) {
        stories.push((one.name(), Box::new(move |stage| one.told(stage))));
    }
    for (caller, called) in PAIRS {
        let (name, authority) =
            (format!("SRTP: {caller:?} with it calls {called:?} without, and back"), &authority);
        stories.push((name, Box::new(move |stage| bridged(stage, authority, caller, called))));
    }
    tell_all(&stage, &stories);
}

fn combinations(authority: &Path) -> Vec<Combination> {
    let mut all = Vec::new();
    for (shift, way) in WAYS.into_iter().enumerate() {
        for (nth, (caller, called)) in PAIRS.into_iter().enumerate() {
            let (from, to, third, place) = PLACES[(nth + shift) % PLACES.len()];
            let (caller, called, authority) = ((caller, from), (called, to), authority.to_owned());
            all.push(Combination { way, caller, called, third, place, authority });
        }
    }
    all
}

impl Combination {
    fn name(&self) -> String {
        format!("{:?} calls {:?} over {} {}", self.caller.0, self.called.0, self.way.name, self.place)
    }

    fn told(&self, stage: &Stage) -> anyhow::Result<()> {
        let mut called = self.phone(stage, self.called)?;
        let mut caller = self.phone(stage, self.caller)?;
        caller.dial(called.extension())?;
        caller.wait(Mark::default(), Happening::Up, SOON)?;
        called.wait(Mark::default(), Happening::Up, SOON)?;
        hear_each_other(caller.as_ref(), called.as_ref()).context("after the answer")?;
        hold_and_resume(caller.as_mut(), called.as_mut()).context("the caller holds")?;
        hear_each_other(caller.as_ref(), called.as_ref()).context("after the resume")?;
        hold_and_resume(called.as_mut(), caller.as_mut()).context("the called phone holds")?;
        hear_each_other(caller.as_ref(), called.as_ref()).context("after the second resume")?;
        let mut third = self.phone(stage, (Program::Linphone, self.third))?;
        transfer([caller.as_mut(), called.as_mut(), third.as_mut()]).context("the caller transfers")?;
        consult_and_join([third.as_mut(), called.as_mut(), caller.as_mut()])
            .context("the third phone transfers after a consultation")?;
        let mark = caller.mark();
        called.hang_up()?;
        caller.wait(mark, Happening::Over, SOON)
    }

    fn phone(
        &self,
        stage: &Stage,
        (program, extension): (Program, &str),
    ) -> anyhow::Result<Box<dyn Softphone>> {
        stage.phone(program, extension, |setup| {
            setup.auto_answer = true;
            self.way.choose(stage, &self.authority, setup)
        })
    }
}

impl Way {
    /// Sets a phone up to speak so; over TLS it trusts the authority of the cluster and nobody else.
    fn choose(self, stage: &Stage, authority: &Path, setup: &mut Setup) -> anyhow::Result<()> {
        setup.transport = self.transport;
        setup.srtp = self.srtp;
        if self.transport == Transport::Tls {
            let host = &stage.cluster.line(&setup.extension)?.host;
            setup.registrar = stage.cluster.sip_tls_address(host)?.to_string();
            setup.authority = Some(authority.to_owned());
        }
        Ok(())
    }
}

/// A phone that speaks SRTP only and one that knows none call each other across the cluster.
fn bridged(stage: &Stage, authority: &Path, secret: Program, plain: Program) -> anyhow::Result<()> {
    let phone = |program: Program, extension: &str, way: Way| {
        stage.phone(program, extension, |setup| {
            setup.auto_answer = true;
            way.choose(stage, authority, setup)
        })
    };
    for turned in [false, true] {
        let (mut caller, mut called) = (phone(secret, "2101", WAYS[3])?, phone(plain, "2201", WAYS[0])?);
        if turned {
            std::mem::swap(&mut caller, &mut called);
        }
        caller.dial(called.extension())?;
        caller.wait(Mark::default(), Happening::Up, SOON)?;
        called.wait(Mark::default(), Happening::Up, SOON)?;
        let told = || format!("{} calls {}", caller.extension(), called.extension());
        hear_each_other(caller.as_ref(), called.as_ref()).with_context(told)?;
        caller.hang_up()?;
        called.wait(Mark::default(), Happening::Over, SOON)?;
    }
    Ok(())
}

/// The first sends the second, with whom it talks, to the third.
fn transfer([transferor, transferee, target]: [&mut dyn Softphone; 3]) -> anyhow::Result<()> {
    let before = transferor.mark();
    transferor.transfer(target.extension())?;
    transferor.wait(before, Happening::Over, SOON).context("the transferor is free")?;
    target.wait(Mark::default(), Happening::Up, SOON).context("the target answers")?;
    hear_each_other(transferee, target)
}

/// The first holds the second, asks the third, and joins them.
fn consult_and_join([transferor, transferee, target]: [&mut dyn Softphone; 3]) -> anyhow::Result<()> {
    let (own, theirs) = (transferor.mark(), target.mark());
    transferor.hold()?;
    transferor.wait(own, Happening::Holding, SOON)?;
    transferor.dial(target.extension())?;
    transferor.wait(own, Happening::Up, SOON)?;
    target.wait(theirs, Happening::Up, SOON)?;
    hear_each_other(transferor, target).context("the consultation")?;
    let own = transferor.mark();
    transferor.join_calls()?;
    transferor.wait(own, Happening::Over, SOON).context("the transferor is free")?;
    hear_each_other(transferee, target)
}
