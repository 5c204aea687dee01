//! baresip and linphone, each as caller and called phone, over each transport, in each place: sound both ways at the
//! ear, hold, resume, sound again (IMP-10, TRM-05).
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

/// Where: the caller, the called phone, and what it is called.
const PLACES: [(&str, &str, &str); 4] = [
    ("2001", "2002", "at the cluster server"),
    ("2101", "2102", "at a node"),
    ("2101", "2002", "from a node to the cluster server"),
    ("2201", "2101", "from node to node"),
];

/// One of the sixteen.
struct Combination {
    way: Way,
    caller: (Program, &'static str),
    called: (Program, &'static str),
    place: &'static str,
    /// The one certificate that phones trust, wherever they live.
    authority: PathBuf,
}

#[test]
fn imp_10_trm_05_foreign_phones_hear_each_other_over_every_transport_in_every_place() {
    let stage = Stage::with_rows(ROWS).expect("a network in service");
    let authority = stage.cluster.authority("cs").expect("the certificate that phones trust");
    let stories: Vec<(String, Box<Telling<'_>>)> = combinations(&authority)
        .into_iter()
        .map(|one| (one.name(), Box::new(move |stage: &Stage| one.told(stage)) as Box<Telling<'_>>))
        .collect();
    tell_all(&stage, &stories);
}

fn combinations(authority: &Path) -> Vec<Combination> {
    let mut all = Vec::new();
    for (shift, way) in WAYS.into_iter().enumerate() {
        for (nth, (caller, called)) in PAIRS.into_iter().enumerate() {
            let (from, to, place) = PLACES[(nth + shift) % PLACES.len()];
            let authority = authority.to_owned();
            all.push(Combination { way, caller: (caller, from), called: (called, to), place, authority });
        }
    }
    all
}

impl Combination {
    fn name(&self) -> String {
        format!("{:?} calls {:?} over {} {}", self.caller.0, self.called.0, self.way.name, self.place)
    }

    fn told(&self, stage: &Stage) -> anyhow::Result<()> {
        let mut called = self.phone(stage, self.called, true)?;
        let mut caller = self.phone(stage, self.caller, false)?;
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

    fn phone(
        &self,
        stage: &Stage,
        (program, extension): (Program, &str),
        auto_answer: bool,
    ) -> anyhow::Result<Box<dyn Softphone>> {
        stage.phone(program, extension, |setup| {
            setup.auto_answer = auto_answer;
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
