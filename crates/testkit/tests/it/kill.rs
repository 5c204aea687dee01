//! `kill -9` of the cluster server while a call passes through it: the edges hold the call, the relay holds nothing.

use crate::stage::{Stage, tell};
use anyhow::Context;
use std::time::Duration;
use testkit::live::baresip::Baresip;
use testkit::live::eventually;

const SOON: Duration = Duration::from_secs(15);
/// A caller or called party is freed this soon after the cluster server is back.
const FREED_WITHIN: Duration = Duration::from_secs(15);

#[test]
fn calls_survive_a_killed_cluster_server() {
    let mut stage = Stage::new().expect("a network in service");
    tell(
        &mut stage,
        &[
            ("killed while it rings: answered, held, ended", killed_while_ringing),
            ("killed while they talk: hang-up while it is down", hang_up_while_down),
            ("killed while they talk: hang-up afterwards", hang_up_afterwards),
        ],
    );
}

fn phones(stage: &Stage, auto_answer: bool) -> anyhow::Result<(Baresip, Baresip)> {
    let called = stage.baresip("2201", auto_answer)?;
    let caller = stage.baresip("2101", false)?;
    Ok((caller, called))
}

fn restart(stage: &mut Stage) -> anyhow::Result<()> {
    stage.cluster.start_machine("cs")?;
    stage.cluster.wait_node(1, "connected", SOON)?;
    stage.cluster.wait_node(2, "connected", SOON).map(drop)
}

/// Nobody believes in a call any more, neither phone nor edge.
fn all_free(stage: &Stage, phones: (&Baresip, &Baresip), limit: Duration) -> anyhow::Result<()> {
    for phone in [phones.0, phones.1] {
        phone
            .wait_event(0, "CALL_CLOSED", limit)
            .with_context(|| format!("{} is freed", phone.extension()))?;
    }
    for host in ["n1", "n2"] {
        eventually(&format!("no call left at {host}"), limit, || {
            let calls = stage.cluster.machine(host, &["calls"])?;
            Ok(calls.as_array().is_some_and(Vec::is_empty).then_some(()))
        })?;
    }
    Ok(())
}

fn held(caller: &mut Baresip, called: &mut Baresip) -> anyhow::Result<()> {
    let before = called.output().len();
    caller.hold()?;
    called.wait_output_since(before, "sendonly", SOON).context("hold")?;
    caller.resume()?;
    called.wait_output_since(before, "sendrecv", SOON).context("resume")
}

fn killed_while_ringing(stage: &mut Stage) -> anyhow::Result<()> {
    let (mut caller, mut called) = phones(stage, false)?;
    caller.dial("2201")?;
    caller.wait_event(0, "CALL_RINGING", SOON)?;
    stage.cluster.kill("cs")?;
    called.accept()?;
    restart(stage)?;
    caller.wait_event(0, "CALL_ESTABLISHED", SOON).context("the answer arrives once the server is back")?;
    held(&mut caller, &mut called)?;
    caller.hang_up()?;
    all_free(stage, (&caller, &called), FREED_WITHIN)
}

fn talk(stage: &mut Stage) -> anyhow::Result<(Baresip, Baresip)> {
    let (mut caller, called) = phones(stage, true)?;
    caller.dial("2201")?;
    caller.wait_event(0, "CALL_ESTABLISHED", SOON)?;
    stage.cluster.kill("cs")?;
    Ok((caller, called))
}

fn hang_up_while_down(stage: &mut Stage) -> anyhow::Result<()> {
    let (mut caller, called) = talk(stage)?;
    caller.hang_up()?;
    caller.wait_event(0, "CALL_CLOSED", SOON).context("the caller is freed although the server is down")?;
    restart(stage)?;
    all_free(stage, (&caller, &called), FREED_WITHIN).context("the BYE that was owed is delivered")
}

fn hang_up_afterwards(stage: &mut Stage) -> anyhow::Result<()> {
    let (mut caller, mut called) = talk(stage)?;
    restart(stage)?;
    held(&mut caller, &mut called)?;
    called.hang_up()?;
    all_free(stage, (&caller, &called), FREED_WITHIN)
}
