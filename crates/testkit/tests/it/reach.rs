//! Phones in places that are hard to reach: behind a NAT, and on IPv6 only.

use crate::stage::{Stage, tell};
use anyhow::Context;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use testkit::live::cluster::{SIP_PORT, Terms};
use testkit::live::softphone::{Happening, Mark, Program, Setup, Softphone, hear_each_other};
use testkit::live::star::HOME;
use testkit::phone::Transport;

const SOON: Duration = Duration::from_secs(20);

#[test]
fn imp_29_phones_are_reached_wherever_they_live() {
    let stage = Stage::on(Terms { rows: 2, every_address: true }).expect("a network in service");
    tell(
        &stage,
        &[
            ("two phones on IPv6", both_on_ipv6),
            ("a phone on TCP is called over its connection", over_its_connection),
            ("a phone behind a NAT calls", home_calls),
            ("a phone behind a NAT is called", home_is_called),
        ],
    );
}

/// One calls the other, they hear each other, the called phone hangs up.
fn talk(stage: &Stage, (caller, called): (Box<dyn Softphone>, Box<dyn Softphone>)) -> anyhow::Result<()> {
    let (mut caller, mut called) = (caller, called);
    let from = caller.extension().to_owned();
    stage.one_record(&from, "normal-clearing", || {
        caller.dial(called.extension())?;
        caller.wait(Mark::default(), Happening::Up, SOON)?;
        hear_each_other(caller.as_ref(), called.as_ref())?;
        called.hang_up()?;
        caller.wait(Mark::default(), Happening::Over, SOON)
    })
}

fn phone(
    stage: &Stage,
    extension: &str,
    choose: impl FnOnce(&mut Setup) -> anyhow::Result<()>,
) -> anyhow::Result<Box<dyn Softphone>> {
    stage.phone(Program::Baresip, extension, |setup| {
        setup.auto_answer = true;
        choose(setup)
    })
}

fn both_on_ipv6(stage: &Stage) -> anyhow::Result<()> {
    let on_ipv6 = |setup: &mut Setup| {
        let host = &stage.cluster.line(&setup.extension)?.host;
        setup.address = IpAddr::V6(stage.cluster.star.address_v6(host)?);
        setup.registrar = SocketAddr::new(setup.address, SIP_PORT).to_string();
        Ok(())
    };
    for (from, to) in [("2101", "2102"), ("2101", "2202")] {
        let pair = (phone(stage, from, on_ipv6)?, phone(stage, to, on_ipv6)?);
        talk(stage, pair).with_context(|| format!("{from} calls {to}"))?;
    }
    Ok(())
}

/// The Contact of a baresip on TCP names a port where nobody listens.
fn over_its_connection(stage: &Stage) -> anyhow::Result<()> {
    let called = phone(stage, "2102", |setup| {
        setup.transport = Transport::Tcp;
        Ok(())
    })?;
    talk(stage, (phone(stage, "2101", |_| Ok(()))?, called))
}

fn at_home(stage: &Stage) -> impl Fn(&mut Setup) -> anyhow::Result<()> {
    |setup: &mut Setup| {
        setup.namespace = Some(stage.cluster.star.namespace("home"));
        setup.address = IpAddr::V4(HOME);
        Ok(())
    }
}

fn home_calls(stage: &Stage) -> anyhow::Result<()> {
    for to in ["2102", "2201"] {
        let pair = (phone(stage, "2101", at_home(stage))?, phone(stage, to, |_| Ok(()))?);
        talk(stage, pair).with_context(|| format!("2101 at home calls {to}"))?;
    }
    Ok(())
}

fn home_is_called(stage: &Stage) -> anyhow::Result<()> {
    for from in ["2102", "2001"] {
        let pair = (phone(stage, from, |_| Ok(()))?, phone(stage, "2101", at_home(stage))?);
        talk(stage, pair).with_context(|| format!("{from} calls 2101 at home"))?;
    }
    Ok(())
}
