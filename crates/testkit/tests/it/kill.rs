//! `kill -9` of the cluster server while a call passes through it: the edges hold the call, the relay holds nothing.

use crate::stage::{Stage, tell};
use anyhow::Context;
use std::time::Duration;
use testkit::live::eventually;
use testkit::live::softphone::{Happening, Mark, Softphone, hold_and_resume};

/// Two phones: who calls, who is called.
type Pair = (Box<dyn Softphone>, Box<dyn Softphone>);

const SOON: Duration = Duration::from_secs(15);
/// A caller or called party is freed this soon after the cluster server is back.
const FREED_WITHIN: Duration = Duration::from_secs(15);

#[test]
fn calls_survive_a_killed_cluster_server() {
    let stage = Stage::new().expect("a network in service");
    tell(
        &stage,
        &[
            ("killed while it rings: answered, held, ended", killed_while_ringing),
            ("killed while they talk: hang-up while it is down", hang_up_while_down),
            ("killed while they talk: hang-up afterwards", hang_up_afterwards),
        ],
    );
}

fn phones(stage: &Stage, auto_answer: bool) -> anyhow::Result<Pair> {
    let called = stage.baresip("2201", auto_answer)?;
    let caller = stage.baresip("2101", false)?;
    Ok((caller, called))
}

fn restart(stage: &Stage) -> anyhow::Result<()> {
    stage.cluster.start_machine("cs")?;
    stage.cluster.wait_node(1, "connected", SOON)?;
    stage.cluster.wait_node(2, "connected", SOON).map(drop)
}

/// Nobody believes in a call any more, neither phone nor edge.
fn all_free(stage: &Stage, (caller, called): &mut Pair, limit: Duration) -> anyhow::Result<()> {
    caller.wait(Mark::default(), Happening::Over, limit).context("the caller is freed")?;
    called.wait(Mark::default(), Happening::Over, limit).context("the called phone is freed")?;
    for host in ["n1", "n2"] {
        eventually(&format!("no call left at {host}"), limit, || {
            let calls = stage.cluster.machine(host, &["calls"])?;
            Ok(calls.as_array().is_some_and(Vec::is_empty).then_some(()))
        })?;
    }
    Ok(())
}

fn held((caller, called): &mut Pair) -> anyhow::Result<()> {
    hold_and_resume(caller.as_mut(), called.as_mut()).context("hold and resume")
}

fn killed_while_ringing(stage: &Stage) -> anyhow::Result<()> {
    let mut pair = phones(stage, false)?;
    pair.0.dial("2201")?;
    pair.0.wait(Mark::default(), Happening::Ringing, SOON)?;
    stage.cluster.kill("cs")?;
    pair.1.accept()?;
    restart(stage)?;
    let up = pair.0.wait(Mark::default(), Happening::Up, SOON);
    up.context("the answer arrives once the server is back")?;
    held(&mut pair)?;
    pair.0.hang_up()?;
    all_free(stage, &mut pair, FREED_WITHIN)
}

fn talk(stage: &Stage) -> anyhow::Result<Pair> {
    let mut pair = phones(stage, true)?;
    pair.0.dial("2201")?;
    pair.0.wait(Mark::default(), Happening::Up, SOON)?;
    stage.cluster.kill("cs")?;
    Ok(pair)
}

fn hang_up_while_down(stage: &Stage) -> anyhow::Result<()> {
    let mut pair = talk(stage)?;
    pair.0.hang_up()?;
    let over = pair.0.wait(Mark::default(), Happening::Over, SOON);
    over.context("the caller is freed although the server is down")?;
    restart(stage)?;
    all_free(stage, &mut pair, FREED_WITHIN).context("the BYE that was owed is delivered")
}

fn hang_up_afterwards(stage: &Stage) -> anyhow::Result<()> {
    let mut pair = talk(stage)?;
    restart(stage)?;
    held(&mut pair)?;
    pair.1.hang_up()?;
    all_free(stage, &mut pair, FREED_WITHIN)
}
