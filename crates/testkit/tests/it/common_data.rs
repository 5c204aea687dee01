//! Common data: written once at the cluster server, in force on every node, caught up after an absence
//! (SYN-01, 06, 08, 14, 15, 17, 18).

use crate::stage::{Stage, tell};
use std::time::Duration;
use testkit::live::eventually;
use testkit::live::scenario::Body;
use testkit::live::sipp::{self, Answered};

const SOON: Duration = Duration::from_secs(15);
/// How long after the API's 200 a change may take to be in force on a node (DESIGN § 1, promise 1).
const IN_FORCE_WITHIN: Duration = Duration::from_millis(50);

#[test]
fn common_data_are_in_force_everywhere_syn_01_syn_08_syn_15_syn_17_syn_18() {
    let stage = Stage::new().expect("a network in service");
    tell(
        &stage,
        &[
            ("a barred number is refused on a node 50 ms after the change", in_force_at_once),
            ("a node that was away catches up without a restart", caught_up),
            ("bad input changes nothing", bad_input),
        ],
    );
}

fn bar(stage: &Stage, prefixes: &[&str]) -> anyhow::Result<()> {
    let value = serde_json::json!({"prefixes": prefixes});
    stage.cluster.put("barred-numbers", "forbidden", &value).map(drop)
}

/// A foreign phone on node 1 dials 2002 fifty times a second; each INVITE that it sends later than the limit after the
/// change must be refused as barred.
fn in_force_at_once(stage: &Stage) -> anyhow::Result<()> {
    bar(stage, &[])?;
    let calls = stage.part("2101", "2002")?.dial(Body::Audio).either(480, 403).ack_failure();
    let sipp = stage.sipp_many("2101", &calls, 300, 50)?;
    let folder = sipp.folder().to_owned();
    eventually("SIPp to be dialling", SOON, || {
        Ok(sipp::answers(&folder).is_ok_and(|all| all.len() > 20).then_some(()))
    })?;
    bar(stage, &["2002"])?;
    let changed = time_of_day_s();
    sipp.finish(Duration::from_secs(60))?;
    bar(stage, &[])?;
    let answers = sipp::answers(&folder)?;
    let count = |status: u16| answers.iter().filter(|answer| answer.status == status).count();
    anyhow::ensure!(count(480) > 5 && count(403) > 5, "{} before, {} after", count(480), count(403));
    let late = |answer: &&Answered| {
        answer.status == 480 && answer.invited_s > changed + IN_FORCE_WITHIN.as_secs_f64()
    };
    let late: Vec<_> = answers.iter().filter(late).collect();
    anyhow::ensure!(
        late.is_empty(),
        "the change was acknowledged at {changed}, and not in force for {late:?}"
    );
    Ok(())
}

/// The time of day as SIPp writes it (local time), in seconds.
fn time_of_day_s() -> f64 {
    let output = std::process::Command::new("date").arg("+%F %T.%6N").output().expect("date");
    sipp::seconds_of_day(&String::from_utf8_lossy(&output.stdout)).expect("a time")
}

fn caught_up(stage: &Stage) -> anyhow::Result<()> {
    let before = stage.cluster.pid("n1")?;
    stage.cluster.star.cut("n1")?;
    stage.cluster.wait_node(1, "isolated", SOON)?;
    bar(stage, &["2102"])?;
    stage.cluster.star.heal("n1")?;
    stage.cluster.wait_node(1, "connected", SOON)?;
    let call =
        stage.part("2101", "2102")?.dial(Body::Audio).receive_saying(403, "Reason", "cause=21").ack_failure();
    stage.sipp("2101", stage.port(), &call)?.finish(SOON)?;
    bar(stage, &[])?;
    anyhow::ensure!(before == stage.cluster.pid("n1")?, "the node was restarted");
    Ok(())
}

fn bad_input(stage: &Stage) -> anyhow::Result<()> {
    let before = stage.cluster.ctl(&["object", "list", "numbering-range"])?;
    for value in
        ["{", "{\"first\":\"3000\",\"last\":\"2000\",\"use\":\"extensions\"}", "{\"first\":\"30x0\"}"]
    {
        let outcome = stage.cluster.ctl(&["object", "put", "numbering-range", "bad", "--value", value]);
        let fault = outcome.err().map(|fault| fault.to_string()).unwrap_or_default();
        anyhow::ensure!(fault.contains("error"), "{value} should be refused with an error, got: {fault}");
    }
    let after = stage.cluster.ctl(&["object", "list", "numbering-range"])?;
    anyhow::ensure!(before == after, "a refused write changed {before} to {after}");
    Ok(())
}
