//! A member's daemon is restarted in the middle of calls, or killed: they go on, and are held, resumed and ended as before.

use crate::stage::{Stage, tell};
use anyhow::Context;
use std::time::Duration;
use testkit::live::softphone::{Happening, Mark, Program, Softphone, hear_each_other, hold_and_resume};
use testkit::phone::Transport;

const SOON: Duration = Duration::from_secs(20);

#[test]
fn calls_survive_a_restart_of_their_members_daemon() {
    let stage = Stage::new().expect("a network in service");
    tell(
        &stage,
        &[
            ("a node restarts: a call of two of its phones over UDP", within_a_node),
            ("a node restarts: a call across", across),
            ("a node restarts: a call over TLS", over_tls),
            ("the cluster server restarts: a call of two of its phones", at_the_cluster_server),
            ("a node is killed: a call of two of its phones over UDP", killed_within_a_node),
            ("a node is killed: a call across", killed_across),
        ],
    );
}

fn within_a_node(stage: &Stage) -> anyhow::Result<()> {
    goes_on(stage, "n1", ("2101", "2102"), Transport::Udp, End::Stop)
}

/// DESIGN § 5.1: dialogs are kill-safe.
fn killed_within_a_node(stage: &Stage) -> anyhow::Result<()> {
    goes_on(stage, "n1", ("2101", "2102"), Transport::Udp, End::Kill)
}

fn killed_across(stage: &Stage) -> anyhow::Result<()> {
    goes_on(stage, "n1", ("2101", "2201"), Transport::Udp, End::Kill)
}

fn across(stage: &Stage) -> anyhow::Result<()> {
    goes_on(stage, "n1", ("2101", "2201"), Transport::Udp, End::Stop)
}

/// The connections end with the process; phones that notice come again by themselves.
fn over_tls(stage: &Stage) -> anyhow::Result<()> {
    goes_on(stage, "n1", ("2101", "2102"), Transport::Tls, End::Stop)
}

fn at_the_cluster_server(stage: &Stage) -> anyhow::Result<()> {
    goes_on(stage, "cs", ("2001", "2002"), Transport::Udp, End::Stop)
}

/// How the process ends.
#[derive(Clone, Copy)]
enum End {
    /// As a service is stopped: it freezes its calls.
    Stop,
    /// By `kill -9`: it can do nothing any more.
    Kill,
}

fn goes_on(
    stage: &Stage,
    host: &str,
    (from, to): (&str, &str),
    transport: Transport,
    end: End,
) -> anyhow::Result<()> {
    let authority = stage.cluster.authority("cs")?;
    let phone = |extension: &str, auto_answer: bool| {
        stage.phone(Program::Linphone, extension, |setup| {
            setup.auto_answer = auto_answer;
            setup.transport = transport;
            if transport == Transport::Tls {
                setup.registrar = stage.cluster.sip_tls_address(&stage.line(extension)?.host)?.to_string();
                setup.authority = Some(authority.clone());
            }
            Ok(())
        })
    };
    stage.one_record(from, "normal-clearing", || {
        let (mut called, mut caller) = (phone(to, true)?, phone(from, false)?);
        caller.dial(called.extension())?;
        caller.wait(Mark::default(), Happening::Up, SOON)?;
        hear_each_other(caller.as_ref(), called.as_ref()).context("before the restart")?;
        restart(stage, host, end, &mut [caller.as_mut(), called.as_mut()])?;
        hear_each_other(caller.as_ref(), called.as_ref()).context("after the restart")?;
        hold_and_resume(caller.as_mut(), called.as_mut()).context("the caller holds after the restart")?;
        hear_each_other(caller.as_ref(), called.as_ref()).context("after the hold")?;
        hold_and_resume(called.as_mut(), caller.as_mut())
            .context("the called phone holds after the restart")?;
        called.hang_up()?;
        caller.wait(Mark::default(), Happening::Over, SOON)
    })
}

/// Restarts a machine and waits until its calls are there again and phones on connections have come back.
fn restart(stage: &Stage, host: &str, end: End, phones: &mut [&mut dyn Softphone]) -> anyhow::Result<()> {
    let since = stage.cluster.logged(host)?;
    match end {
        End::Stop => stage.cluster.stop(host)?,
        End::Kill => stage.cluster.kill(host)?,
    }
    stage.cluster.start_machine(host)?;
    stage.cluster.wait_logged(host, since, "calls of the process before go on", SOON)?;
    for phone in phones {
        phone.wait_registered()?;
    }
    Ok(())
}
