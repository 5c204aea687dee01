//! Calls between foreign phones, told one by one: baresip for sound and hold, SIPp for every other turn a call
//! can take. Each ends with the right cause at both ends and one call record.

use crate::stage::{Stage, tell};
use anyhow::Context;
use std::time::Duration;
use testkit::live::eventually;
use testkit::live::raw::{header, status};
use testkit::live::scenario::{Body, Scenario};
use testkit::live::softphone::{Happening, Mark, Program, hear_each_other};
use testkit::phone::Transport;

const SOON: Duration = Duration::from_secs(15);
const CALL: Duration = Duration::from_secs(60);
/// Rows of phones: so many stories are told side by side.
const ROWS: u16 = 4;

#[test]
fn calls_between_foreign_phones_take_every_turn_arc_25_syn_02_imp_10_imp_11() {
    let stage = Stage::with_rows(ROWS).expect("a network in service");
    tell(
        &stage,
        &[
            ("a phone killed in a call", killed_phone),
            ("missing ACK", missing_ack),
            ("sound between any two places, both ways", sound_between_any_two_places),
            ("hold and resume", hold_and_resume),
            ("ringing, answer, hang-up by the caller", answered_call),
            ("hang-up by the called phone", called_phone_hangs_up),
            ("early media", early_media),
            ("late offer", late_offer),
            ("a long request", long_request),
            ("busy", busy),
            ("declined", declined),
            ("cancelled while ringing", cancelled),
            ("CANCEL crosses the answer", cancel_crosses_answer),
            ("unallocated number", unallocated),
            ("subscriber absent", absent),
            ("glare", glare),
            ("re-INVITE holds and resumes", reinvite),
            ("a phone that reconnects on TCP", tcp_reconnect),
            ("barred, and an emergency number passes", barred_and_emergency),
            ("what no phone should send", refusals),
        ],
    );
}

/// Answers, and expects the caller to hang up.
fn answers(part: Scenario) -> Scenario {
    part.ring_and_answer().is_hung_up()
}

/// Dials, talks, hangs up.
fn dials(part: Scenario) -> Scenario {
    part.reach().pause(300).hang_up()
}

fn sound_between_any_two_places(stage: &Stage) -> anyhow::Result<()> {
    let pairs = [("2001", "2002"), ("2101", "2102"), ("2101", "2201"), ("2102", "2001"), ("2002", "2202")];
    for (a, b) in pairs {
        for (from, to) in [(a, b), (b, a)] {
            sound(stage, from, to).with_context(|| format!("{from} calls {to}"))?;
        }
    }
    Ok(())
}

fn sound(stage: &Stage, from: &str, to: &str) -> anyhow::Result<()> {
    stage.one_record(from, "normal-clearing", || {
        let mut called = stage.baresip(to, true)?;
        let mut caller = stage.baresip(from, false)?;
        caller.dial(called.extension())?;
        caller.wait(Mark::default(), Happening::Up, SOON)?;
        hear_each_other(caller.as_ref(), called.as_ref())?;
        caller.hang_up()?;
        called.wait(Mark::default(), Happening::Over, SOON)
    })
}

fn hold_and_resume(stage: &Stage) -> anyhow::Result<()> {
    stage.one_record("2102", "normal-clearing", || {
        let mut called = stage.baresip("2202", true)?;
        let mut caller = stage.baresip("2102", false)?;
        caller.dial(called.extension())?;
        caller.wait(Mark::default(), Happening::Up, SOON)?;
        let mark = called.mark();
        caller.hold()?;
        called.wait(mark, Happening::Held, SOON)?;
        caller.resume()?;
        called.wait(mark, Happening::TakenBack, SOON)?;
        caller.hang_up()?;
        called.wait(Mark::default(), Happening::Over, SOON)
    })
}

fn answered_call(stage: &Stage) -> anyhow::Result<()> {
    for (from, to) in
        [("2001", "2002"), ("2101", "2102"), ("2101", "2201"), ("2001", "2101"), ("2201", "2002")]
    {
        stage.call((from, dials), (to, answers), "normal-clearing")?;
    }
    Ok(())
}

fn called_phone_hangs_up(stage: &Stage) -> anyhow::Result<()> {
    let answer = |part: Scenario| part.ring_and_answer().pause(300).hang_up_as_called();
    let call = |part: Scenario| part.reach().is_hung_up();
    stage.call(("2101", call), ("2201", answer), "normal-clearing")
}

fn early_media(stage: &Stage) -> anyhow::Result<()> {
    let answer = |part: Scenario| {
        part.expect("INVITE")
            .reply(183, "Session Progress", Body::Audio)
            .pause(500)
            .reply(200, "OK", Body::Audio)
            .expect("ACK")
            .is_hung_up()
    };
    let call = |part: Scenario| {
        part.dial(Body::Audio)
            .receive_saying(183, "Content-Type", "application/sdp")
            .receive(200)
            .ack(Body::None)
            .hang_up()
    };
    stage.call(("2102", call), ("2202", answer), "normal-clearing")
}

fn late_offer(stage: &Stage) -> anyhow::Result<()> {
    let answer = |part: Scenario| {
        part.expect("INVITE")
            .reply(180, "Ringing", Body::None)
            .reply(200, "OK", Body::Audio)
            .expect_saying("ACK", "Content-Type", "application/sdp")
            .is_hung_up()
    };
    let call = |part: Scenario| {
        part.dial(Body::None)
            .receive(180)
            .receive_saying(200, "Content-Type", "application/sdp")
            .ack(Body::Audio)
            .pause(300)
            .hang_up()
    };
    stage.call(("2101", call), ("2201", answer), "normal-clearing")
}

fn long_request(stage: &Stage) -> anyhow::Result<()> {
    let call = |part: Scenario| part.dial(Body::Long).receive(180).receive(200).ack(Body::None).hang_up();
    stage.call(("2102", call), ("2202", answers), "normal-clearing")
}

fn busy(stage: &Stage) -> anyhow::Result<()> {
    refused_by_phone(stage, 486, "Busy Here", "busy", 17)
}

fn declined(stage: &Stage) -> anyhow::Result<()> {
    refused_by_phone(stage, 603, "Decline", "declined", 21)
}

fn refused_by_phone(stage: &Stage, code: u16, reason: &str, cause: &str, q850: u8) -> anyhow::Result<()> {
    let answer = |part: Scenario| {
        part.expect("INVITE").reply(180, "Ringing", Body::None).reply(code, reason, Body::None).expect("ACK")
    };
    let call = |part: Scenario| {
        let why = format!("Q.850 *; *cause={q850}");
        part.dial(Body::Audio).maybe(180).receive_saying(code, "Reason", &why).ack_failure()
    };
    for (from, to) in [("2101", "2201"), ("2101", "2102"), ("2001", "2202")] {
        stage.call((from, call), (to, answer), cause)?;
    }
    Ok(())
}

/// Rings, and is told that the caller gave up.
fn gives_up(part: Scenario) -> Scenario {
    part.dial(Body::Audio).receive(180).pause(300).cancel().receive(487).ack_failure()
}

fn cancelled(stage: &Stage) -> anyhow::Result<()> {
    let answer = |part: Scenario| {
        part.expect("INVITE")
            .reply(180, "Ringing", Body::None)
            .confirm("CANCEL")
            .reply_to_invite(487, "Request Terminated", Body::None)
            .expect("ACK")
    };
    for (from, to) in [("2101", "2102"), ("2101", "2202"), ("2002", "2101")] {
        stage.call((from, gives_up), (to, answer), "cancelled")?;
    }
    Ok(())
}

/// The phone answers in the same instant as the caller gives up: whoever wins, both are free and one record tells.
fn cancel_crosses_answer(stage: &Stage) -> anyhow::Result<()> {
    let known = stage.records("n1")?.len();
    let called = stage.answerer("2201", |part| {
        // It answers 200 although the CANCEL is on its way, as a phone does whose user was quicker.
        part.expect("INVITE")
            .reply(180, "Ringing", Body::None)
            .confirm("CANCEL")
            .reply_to_invite(200, "OK", Body::Audio)
            .expect("ACK")
            .is_hung_up()
    })?;
    stage.caller("2101", "2201", gives_up)?.finish(CALL)?;
    called.finish(CALL)?;
    eventually("the record", SOON, || Ok((stage.records("n1")?.len() > known).then_some(())))
}

fn unallocated(stage: &Stage) -> anyhow::Result<()> {
    refused_by_us(stage, "2101", "2999", 404, 1, "unallocated-number")?;
    refused_by_us(stage, "2101", "9999", 404, 1, "unallocated-number")?;
    refused_by_us(stage, "2001", "2999", 404, 1, "unallocated-number")
}

fn absent(stage: &Stage) -> anyhow::Result<()> {
    refused_by_us(stage, "2101", "2002", 480, 20, "subscriber-absent")?;
    refused_by_us(stage, "2101", "2102", 480, 20, "subscriber-absent")?;
    refused_by_us(stage, "2002", "2202", 480, 20, "subscriber-absent")
}

fn refused_by_us(
    stage: &Stage,
    from: &str,
    to: &str,
    code: u16,
    q850: u8,
    cause: &str,
) -> anyhow::Result<()> {
    for extension in [from, to] {
        if stage.line(extension).is_ok() {
            stage.unregister(extension)?;
        }
    }
    let call = |part: Scenario| {
        part.dial(Body::Audio)
            .receive_saying(code, "Reason", &format!("Q.850 *; *cause={q850}"))
            .ack_failure()
    };
    stage
        .one_record(from, cause, || stage.caller(from, to, call)?.finish(CALL))
        .with_context(|| format!("{from} calls {to}"))
}

/// Both ends re-INVITE at once: each is told 491 (RFC 3261 § 14.1) and the call lives on.
fn glare(stage: &Stage) -> anyhow::Result<()> {
    let answer = |part: Scenario| {
        part.ring_and_answer()
            .expect("INVITE")
            .reply_in_dialog(491, "Request Pending", Body::None)
            .expect("ACK")
            .is_hung_up()
    };
    let call = |part: Scenario| {
        part.reach()
            .pause(300)
            .ask("INVITE", "", Body::Held)
            .maybe(100)
            .receive(491)
            .ack_failure()
            .pause(200)
            .hang_up()
    };
    stage.call(("2101", call), ("2201", answer), "normal-clearing")
}

/// The caller never acknowledges: after 64·T1 (32 s) both ends are freed (RFC 3261 § 13.3.1.4). The called phone waits
/// for the ACK just as long as we do, and may be the first to give up.
fn missing_ack(stage: &Stage) -> anyhow::Result<()> {
    let record = stage.record_of("2102", || {
        stage.unregister("2202")?;
        let mut called = stage.baresip("2202", true)?;
        let call = |part: Scenario| part.dial(Body::Audio).maybe(180).receive(200).is_hung_up();
        stage.caller("2102", "2202", call)?.finish(CALL)?;
        called.wait(Mark::default(), Happening::Over, SOON)
    })?;
    let (cause, by) = (&record["cause"], &record["ended_by"]);
    anyhow::ensure!(cause == "lost-phone" || by == "called", "ended for {cause} by {by}");
    Ok(())
}

fn reinvite(stage: &Stage) -> anyhow::Result<()> {
    let answer = |part: Scenario| part.ring_and_answer().accept_change().accept_change().is_hung_up();
    let call = |part: Scenario| {
        let held = part.reach().pause(200).change(Body::Held);
        held.pause(200).change(Body::Audio).pause(200).hang_up()
    };
    for (from, to) in [("2101", "2102"), ("2101", "2201")] {
        stage.call((from, call), (to, answer), "normal-clearing")?;
    }
    Ok(())
}

/// A phone on TCP is called over the connection it registered on; when it comes again, over the new one.
fn tcp_reconnect(stage: &Stage) -> anyhow::Result<()> {
    for _ in 0..2 {
        let mut called = stage.phone(Program::Baresip, "2202", |setup| {
            setup.transport = Transport::Tcp;
            setup.auto_answer = true;
            Ok(())
        })?;
        let call = |part: Scenario| {
            part.dial(Body::Audio).maybe(180).receive(200).ack(Body::None).pause(300).hang_up()
        };
        stage.caller("2102", "2202", call)?.finish(CALL)?;
        called.wait(Mark::default(), Happening::Over, SOON)?;
    }
    Ok(())
}

fn barred_and_emergency(stage: &Stage) -> anyhow::Result<()> {
    let put = |prefixes: &[&str]| {
        stage.cluster.put("barred-numbers", "forbidden", &serde_json::json!({"prefixes": prefixes}))
    };
    put(&[&stage.number("2201"), "112"])?;
    let refused = refused_by_us(stage, "2101", "2201", 403, 21, "barred");
    let emergency = serde_json::json!({"description": "emergency", "emergency": true, "target": stage.number("2001"), "local_targets": {"1": stage.number("2102")}});
    stage.cluster.put("special-number", "112", &emergency)?;
    let passed = stage.one_record("2101", "normal-clearing", || {
        let called = stage.answerer("2102", answers)?;
        stage.caller("2101", "112", dials)?.finish(CALL)?;
        called.finish(CALL)
    });
    put(&[])?;
    refused?;
    passed
}

/// What no well-behaved phone sends gets the answer of RFC 3261, and changes nothing.
fn refusals(stage: &Stage) -> anyhow::Result<()> {
    let raw = stage.raw("n1")?;
    let at = raw.address()?;
    let message = |method: &str, serial: u32, extra: &str| {
        format!(
            "{method} sip:2102@pleiad.test SIP/2.0\nVia: SIP/2.0/UDP {at};rport;branch=z9hG4bK-raw-{serial}\n\
             Max-Forwards: 70\nFrom: <sip:2101@pleiad.test>;tag=raw{serial}\nTo: <sip:2102@pleiad.test>\n\
             Call-ID: raw-{serial}@{at}\nCSeq: {serial} {method}\nContact: <sip:2101@{at}>\n{extra}Content-Length: 0\n\n"
        )
    };
    let expect = |text: &str, code: u16| -> anyhow::Result<String> {
        let answer = raw.ask(text)?;
        anyhow::ensure!(status(&answer) == Some(code), "expected {code} to\n{text}got\n{answer}");
        Ok(answer)
    };
    let options = expect(&message("OPTIONS", 1, ""), 200)?;
    anyhow::ensure!(header(&options, "Allow").is_some_and(|allow| allow.contains("INVITE")), "{options}");
    let unknown = expect(&message("FROBNICATE", 2, ""), 405)?;
    anyhow::ensure!(header(&unknown, "Allow").is_some(), "405 names what is allowed: {unknown}");
    let required = expect(&message("INVITE", 3, "Require: precondition\n"), 420)?;
    anyhow::ensure!(header(&required, "Unsupported") == Some("precondition"), "{required}");
    expect(
        &message("BYE", 4, "").replace("To: <sip:2102@pleiad.test>", "To: <sip:2102@pleiad.test>;tag=nobody"),
        481,
    )?;
    let typed = "Content-Type: application/x-unknown\n";
    expect(&message("INVITE", 5, typed).replace("Content-Length: 0\n\n", "Content-Length: 4\n\nabc\n"), 415)?;
    expect(
        &message("INVITE", 6, "").replace("sip:2102@pleiad.test SIP", "mailto:2102@pleiad.test SIP"),
        416,
    )?;
    expect(&message("OPTIONS", 7, "").replace("SIP/2.0\nVia", "SIP/3.0\nVia"), 505)?;
    expect(&message("INVITE", 8, "").replace("CSeq: 8 INVITE", "CSeq: 8 BYE"), 400)?;
    let before = own_bindings(stage, "n1")?;
    raw.send("this is no SIP at all\n\n")?;
    raw.send("INVITE sip:2102@pleiad.test SIP/2.0\nContent-Length: 18446744073709551615\n\n")?;
    expect(&message("OPTIONS", 9, ""), 200)?;
    anyhow::ensure!(before == own_bindings(stage, "n1")?, "garbage changed the bindings");
    let short = stage.part("2101", "2101")?.register_for(5).receive_saying(423, "Min-Expires", "[0-9]+");
    stage.sipp("2101", stage.port(), &short)?.finish(SOON)?;
    let worn = stage.part("2101", "2102")?.dial_with_hops(0).receive(483).ack_failure();
    stage.sipp("2101", stage.port(), &worn)?.finish(SOON)
}

/// The bindings of this row at a member.
fn own_bindings(stage: &Stage, host: &str) -> anyhow::Result<Vec<serde_json::Value>> {
    let all = stage.cluster.machine(host, &["bindings"])?.as_array().cloned().unwrap_or_default();
    let ours = |binding: &serde_json::Value| {
        binding["extension"].as_str().is_some_and(|extension| stage.has(extension))
    };
    Ok(all.into_iter().filter(ours).collect())
}

/// A phone that vanishes frees its call and record within 90 s.
fn killed_phone(stage: &Stage) -> anyhow::Result<()> {
    stage.one_record("2101", "lost-phone", || {
        let mut called = stage.baresip("2201", true)?;
        let mut caller = stage.baresip("2101", false)?;
        caller.dial(called.extension())?;
        caller.wait(Mark::default(), Happening::Up, SOON)?;
        caller.kill()?;
        called.wait(Mark::default(), Happening::Over, Duration::from_secs(90))
    })
}
