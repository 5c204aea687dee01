//! A node's cable is cut and mended: packets vanish, no process is told (DUH-01..04, DUH-30; DESIGN § 1, promise 2).

use crate::stage::{Stage, tell};
use anyhow::Context;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use testkit::live::capture::{self, Capture};
use testkit::live::eventually;
use testkit::live::scenario::Body;
use testkit::live::softphone::{Happening, Mark, Softphone, hold_and_resume};

const SOON: Duration = Duration::from_secs(15);
/// How soon a node must know that it is alone.
const ISOLATED_WITHIN: Duration = Duration::from_secs(3);
/// How soon a call beyond the cut is refused, once it knows.
const REFUSED_WITHIN: Duration = Duration::from_millis(500);
/// How soon calls across work when packets flow again.
const BACK_WITHIN: Duration = Duration::from_secs(5);
/// The longest silence a cut may leave in a call within the node.
const GAP_MAX: Duration = Duration::from_millis(100);
/// Cuts in a row.
const CUTS: usize = 10;

#[test]
fn a_cut_is_not_an_outage_duh_01_duh_02_duh_03_duh_04_duh_30() {
    let stage = Stage::new().expect("a network in service");
    tell(
        &stage,
        &[
            ("a call within the node does not notice the cut", local_call_is_untouched),
            ("what a call across asks for during a cut is asked for again later", asked_again_later),
            ("ten cuts in a row, calls across are back each time", ten_cuts),
        ],
    );
}

fn now() -> anyhow::Result<Duration> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?)
}

/// Cuts node 1 off and waits until it knows; returns how long that took.
fn cut(stage: &Stage) -> anyhow::Result<Duration> {
    let since = stage.cluster.logged("n1")?;
    stage.cluster.star.cut("n1")?;
    let begin = Instant::now();
    stage.cluster.wait_logged("n1", since, "state=Isolated", SOON)?;
    let took = begin.elapsed();
    anyhow::ensure!(took <= ISOLATED_WITHIN, "isolated only after {took:?}");
    Ok(took)
}

fn local_call(stage: &Stage) -> anyhow::Result<(Box<dyn Softphone>, Box<dyn Softphone>)> {
    let called = stage.baresip("2102", true)?;
    let mut caller = stage.baresip("2101", false)?;
    caller.dial("2102")?;
    caller.wait(Mark::default(), Happening::Up, SOON)?;
    Ok((caller, called))
}

/// Both streams of the only call in the capture, and no gap over the limit in either.
fn no_gap(packets: &[capture::Packet], from: Duration, until: Duration) -> anyhow::Result<()> {
    let gaps = capture::longest_gaps(packets, from, until);
    anyhow::ensure!(gaps.len() == 2, "two RTP streams expected: {gaps:?}");
    for (stream, gap) in gaps {
        eprintln!("    longest silence {} -> {}: {gap:.0?}", stream.0, stream.1);
        anyhow::ensure!(gap <= GAP_MAX, "silence of {gap:?} from {} to {}", stream.0, stream.1);
    }
    Ok(())
}

fn local_call_is_untouched(stage: &Stage) -> anyhow::Result<()> {
    let namespace = stage.cluster.star.namespace("n1");
    let (mut caller, mut called) = local_call(stage)?;
    let file = stage.cluster.folder.path().join("cut.pcap");
    let capture = Capture::start(Some(&namespace), "lo", "udp", &file)?;
    std::thread::sleep(Duration::from_secs(5));
    let cut_at = now()?;
    let took = cut(stage)?;
    eprintln!("    isolated after {took:.1?}");
    std::thread::sleep((cut_at + Duration::from_secs(11)).saturating_sub(now()?));
    let packets = capture.stop()?;
    no_gap(&packets, cut_at - Duration::from_secs(4), cut_at + Duration::from_secs(10))?;
    let registers = packets.iter().filter(|packet| packet.payload.starts_with(b"REGISTER")).count();
    anyhow::ensure!(registers == 0, "{registers} REGISTER on the wire, and no phone's refresh was due");
    hold_resume_end(caller.as_mut(), called.as_mut())?;
    new_local_call(stage)?;
    refused_beyond_the_cut(stage)?;
    let since = stage.cluster.logged("n1")?;
    stage.cluster.star.heal("n1")?;
    stage.cluster.wait_logged("n1", since, "state=Connected", BACK_WITHIN)
}

fn hold_resume_end(caller: &mut dyn Softphone, called: &mut dyn Softphone) -> anyhow::Result<()> {
    hold_and_resume(caller, called).context("hold and resume while cut")?;
    caller.hang_up()?;
    called.wait(Mark::default(), Happening::Over, SOON).context("hang-up while cut")
}

fn new_local_call(stage: &Stage) -> anyhow::Result<()> {
    let (mut caller, mut called) = local_call(stage).context("a new call while cut")?;
    caller.hang_up()?;
    called.wait(Mark::default(), Happening::Over, SOON)
}

/// The caller hears at once, and hears why: 503 with Q.850 cause 38.
fn refused_beyond_the_cut(stage: &Stage) -> anyhow::Result<()> {
    let call =
        stage.part("2101", "2201")?.dial(Body::Audio).receive_saying(503, "Reason", "cause=38").ack_failure();
    let sipp = stage.sipp("2101", stage.port(), &call)?;
    let folder = sipp.folder().to_owned();
    sipp.finish(SOON)?;
    let took = testkit::live::sipp::time_between(&folder, "CSeq: 2 INVITE", "SIP/2.0 503")?;
    eprintln!("    refused after {took:.0?}");
    anyhow::ensure!(took <= REFUSED_WITHIN, "refused only after {took:?}");
    Ok(())
}

/// A re-INVITE across the cut is told to come again, and neither it nor the return ends the call.
fn asked_again_later(stage: &Stage) -> anyhow::Result<()> {
    // Time enough for the node to be cut, to know it, and to be back.
    let (cut_ms, healed_ms) = (6_000, 8_000);
    let called = stage.answerer("2201", |part| part.ring_and_answer().accept_change().is_hung_up())?;
    let caller = stage.caller("2101", "2201", |part| {
        part.reach()
            .pause(cut_ms)
            .ask("INVITE", "", Body::Held)
            .maybe(100)
            .receive_saying(500, "Retry-After", "[0-9]")
            .ack_failure()
            .pause(healed_ms)
            .change(Body::Held)
            .hang_up()
    })?;
    eventually("the call to be up", SOON, || {
        Ok(caller.messages().is_ok_and(|log| log.contains("SIP/2.0 200")).then_some(()))
    })?;
    cut(stage)?;
    eventually("the re-INVITE to be refused", SOON, || {
        Ok(caller.messages().is_ok_and(|log| log.contains("SIP/2.0 500")).then_some(()))
    })?;
    let since = stage.cluster.logged("n1")?;
    stage.cluster.star.heal("n1")?;
    stage.cluster.wait_logged("n1", since, "state=Connected", BACK_WITHIN)?;
    caller.finish(Duration::from_secs(30))?;
    called.finish(SOON)
}

fn ten_cuts(stage: &Stage) -> anyhow::Result<()> {
    let namespace = stage.cluster.star.namespace("n1");
    let (mut caller, mut called) = local_call(stage)?;
    let mut far = stage.baresip("2201", true)?;
    let mut near = stage.baresip("2102", false)?;
    let file = stage.cluster.folder.path().join("ten.pcap");
    let ports = format!("udp and not port {}", testkit::live::cluster::SIP_PORT);
    let capture = Capture::start(Some(&namespace), "lo", &ports, &file)?;
    let begin = now()?;
    for round in 1..=CUTS {
        let cut = cut(stage).with_context(|| format!("round {round}"))?;
        stage.cluster.star.heal("n1")?;
        let back = call_across(near.as_mut(), "2201").with_context(|| format!("round {round}"))?;
        eprintln!("    round {round}: isolated after {cut:.1?}, call across {back:.1?} after the return");
        anyhow::ensure!(back <= BACK_WITHIN, "round {round}: calls across only {back:?} after the return");
        let mark = far.mark();
        near.hang_up()?;
        far.wait(mark, Happening::Over, SOON)?;
    }
    no_gap(&capture.stop()?, begin, now()? - Duration::from_secs(1))?;
    caller.hang_up()?;
    let over = called.wait(Mark::default(), Happening::Over, SOON);
    over.context("the call that saw ten cuts ends as any other")
}

/// Dials until somebody answers; returns how long that took.
fn call_across(phone: &mut dyn Softphone, number: &str) -> anyhow::Result<Duration> {
    let begin = Instant::now();
    loop {
        let mark = phone.mark();
        phone.dial(number)?;
        let outcome = eventually("an answer or a refusal", SOON, || {
            let up = phone.saw(mark, Happening::Up);
            let over = phone.saw(mark, Happening::Over);
            Ok((up || over).then_some(up))
        })?;
        if outcome {
            return Ok(begin.elapsed());
        }
        anyhow::ensure!(begin.elapsed() < SOON, "no call across within {SOON:?}");
    }
}
