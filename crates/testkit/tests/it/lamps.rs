//! Lamps at phones that we did not write (TRM-05): baresip for waiting messages and presence, SIPp for dialogs. Within a
//! node and across members, beyond a cut and after it, and through `kill -9` of the member that tells them.

use crate::stage::{Fault, Stage, tell};
use anyhow::{Context, ensure};
use std::time::{Duration, Instant};
use testkit::live::eventually;
use testkit::live::sipp::Sipp;
use testkit::live::softphone::{Happening, Mark, Program, Softphone};

const SOON: Duration = Duration::from_secs(15);
/// A change of a line is at the lamps this soon.
const SHOWN_WITHIN: Duration = Duration::from_secs(2);
/// A lamp says that it does not know this soon after the cut: the link notices within 3 s.
const UNKNOWN_WITHIN: Duration = Duration::from_secs(4);
/// And shows what is so again this soon after packets flow.
const RIGHT_WITHIN: Duration = Duration::from_secs(6);
/// After its member was killed a phone is told everything this soon after the start.
const TOLD_WITHIN: Duration = Duration::from_secs(6);

#[test]
fn trm_05_foreign_phones_see_lines_and_messages_through_cuts_and_kills() {
    let stage = Stage::new().expect("a network in service");
    tell(
        &stage,
        &[
            ("baresip sees its waiting messages, and sees them again after a kill", messages),
            ("baresip sees who is on the phone", presence),
            ("a lamp beyond a cut is unknown, and right again by itself", beyond_a_cut),
            ("lamps go on after their members were killed", after_kills),
        ],
    );
}

/// Baresips tried until one is sane.
const BARESIPS_MAX: usize = 6;

/// A SIPp phone that watches the dialogs of a line.
struct Lamp {
    sipp: Sipp,
    name: String,
}

impl Lamp {
    fn lit(stage: &Stage, watcher: &str, watched: &str) -> anyhow::Result<Lamp> {
        let sipp = stage.caller(watcher, watched, |part| part.watch("dialog"))?;
        Ok(Lamp { sipp, name: format!("the lamp of {watched} at {watcher}") })
    }

    /// What the last NOTIFY says: `unknown`, `idle`, or the state of the dialog.
    fn shows(&self) -> String {
        let log = self.sipp.messages().unwrap_or_default();
        let Some(body) = log.rsplit("\nNOTIFY ").next().filter(|_| log.contains("\nNOTIFY ")) else {
            return "nothing".to_owned();
        };
        if body.contains(">unknown</line>") {
            return "unknown".to_owned();
        }
        let states = body.split("<state>").skip(1).filter_map(|rest| rest.split('<').next());
        let state = states.filter(|state| *state != "terminated").last();
        state.unwrap_or("idle").to_owned()
    }

    fn notifies(&self) -> usize {
        self.sipp.messages().unwrap_or_default().matches("\nNOTIFY ").count()
    }

    /// Waits until it shows this; returns how long that took.
    fn wait(&self, what: &str, limit: Duration) -> anyhow::Result<Duration> {
        let begin = Instant::now();
        let outcome = eventually(&format!("{} to show '{what}'", self.name), limit, || {
            Ok((self.shows() == what).then_some(()))
        });
        outcome.with_context(|| format!("it shows '{}'", self.shows()))?;
        Ok(begin.elapsed())
    }
}

/// A call of two phones that are there for it.
fn call(stage: &Stage, from: &str, to: &str) -> anyhow::Result<(Box<dyn Softphone>, Box<dyn Softphone>)> {
    let called = stage.baresip(to, true)?;
    let mut caller = stage.baresip(from, false)?;
    caller.dial(to)?;
    caller.wait(Mark::default(), Happening::Up, SOON)?;
    Ok((caller, called))
}

fn end((mut caller, mut called): (Box<dyn Softphone>, Box<dyn Softphone>)) -> anyhow::Result<()> {
    caller.hang_up()?;
    called.wait(Mark::default(), Happening::Over, SOON)
}

fn put_messages(stage: &Stage, host: &str, number: &str, new: u32) -> anyhow::Result<()> {
    stage.cluster.machine(host, &["messages", number, "--new", &new.to_string()]).map(drop)
}

/// The phone prints what it is told.
fn is_told(phone: &mut dyn Softphone, words: &str, since: Mark) -> anyhow::Result<()> {
    eventually(&format!("{} is told '{words}'", phone.extension()), SOON, || {
        Ok(phone.process().said(since.output(), &[words]).then_some(()))
    })
    .with_context(|| phone.process().tail())
}

/// A baresip that has subscribed. Now and then the module of baresip 1.0 runs in circles from its first registration on: it sends
/// thousands of SUBSCRIBEs a second and reads nothing any more; such a one is thrown away.
fn subscribed(stage: &Stage, number: &str) -> anyhow::Result<Box<dyn Softphone>> {
    for _ in 0..BARESIPS_MAX {
        let mut phone = stage.phone(Program::Baresip, number, |setup| {
            setup.message_waiting = true;
            Ok(())
        })?;
        let begin = phone.process().wait_output(&["Messages-Waiting: no"], 0, SOON / 5);
        if begin.is_ok() {
            return Ok(phone);
        }
        phone.kill()?;
    }
    anyhow::bail!("no baresip of {BARESIPS_MAX} has subscribed")
}

fn messages(stage: &Stage) -> anyhow::Result<()> {
    let mut phone = subscribed(stage, "2101")?;
    is_told(phone.as_mut(), "Messages-Waiting: no", Mark::default()).context("at first")?;
    put_messages(stage, "n1", "2101", 2)?;
    is_told(phone.as_mut(), "Voice-Message: 2/0", Mark::default()).context("the lamp goes on")?;
    let since = phone.mark();
    let fault = Fault::Kill("n1");
    fault.strikes(stage)?;
    fault.ends(stage)?;
    let again = is_told(phone.as_mut(), "Voice-Message: 2/0", since);
    again.context("after the kill it is told again, without asking")?;
    put_messages(stage, "n1", "2101", 0)?;
    is_told(phone.as_mut(), "Messages-Waiting: no", since).context("the lamp goes off")
}

fn presence(stage: &Stage) -> anyhow::Result<()> {
    let mut watching = stage.phone(Program::Baresip, "2001", |setup| {
        setup.watches = vec!["2102".to_owned(), "2201".to_owned()];
        Ok(())
    })?;
    for (from, to) in [("2101", "2102"), ("2202", "2201")] {
        let since = watching.mark();
        let phones = call(stage, from, to)?;
        is_told(watching.as_mut(), "to \u{1b}[31mBusy", since).with_context(|| format!("{to} talks"))?;
        end(phones)?;
        is_told(watching.as_mut(), "from \u{1b}[31mBusy", since).with_context(|| format!("{to} is free"))?;
    }
    Ok(())
}

/// Node 2 is cut off: lamps of its lines at node 1 and at the cluster server, and lamps at node 2 itself.
fn beyond_a_cut(stage: &Stage) -> anyhow::Result<()> {
    let phones = call(stage, "2202", "2201")?;
    let far = [Lamp::lit(stage, "2101", "2201")?, Lamp::lit(stage, "2001", "2201")?];
    let near = Lamp::lit(stage, "2101", "2102")?;
    let inside = Lamp::lit(stage, "2202", "2201")?;
    let outward = Lamp::lit(stage, "2201", "2001")?;
    for lamp in far.iter().chain([&inside]) {
        lamp.wait("confirmed", SHOWN_WITHIN)?;
    }
    for lamp in [&near, &outward] {
        lamp.wait("idle", SHOWN_WITHIN)?;
    }
    let cut = Instant::now();
    stage.cluster.star.cut("n2")?;
    for lamp in far.iter().chain([&outward]) {
        lamp.wait("unknown", UNKNOWN_WITHIN)?;
    }
    eprintln!("    unknown {:.1?} after the cut", cut.elapsed());
    ensure!(near.shows() == "idle" && inside.shows() == "confirmed", "what is on this side stays known");
    end(phones)?;
    inside.wait("idle", SHOWN_WITHIN)?;
    let healed = Instant::now();
    stage.cluster.star.heal("n2")?;
    for lamp in far.iter().chain([&outward]) {
        lamp.wait("idle", RIGHT_WITHIN)?;
    }
    eprintln!("    right again {:.1?} after the return", healed.elapsed());
    let phones = call(stage, "2202", "2201")?;
    for lamp in far.iter().chain([&inside]) {
        lamp.wait("confirmed", SHOWN_WITHIN)?;
    }
    end(phones)
}

/// The member of the watching phone is killed, then that of the watched one: no phone lights its lamp anew.
fn after_kills(stage: &Stage) -> anyhow::Result<()> {
    let lamps = [Lamp::lit(stage, "2101", "2102")?, Lamp::lit(stage, "2101", "2201")?];
    lamps.iter().try_for_each(|lamp| lamp.wait("idle", SHOWN_WITHIN).map(drop))?;
    for host in ["n1", "n2", "cs"] {
        let told = lamps.each_ref().map(Lamp::notifies);
        let fault = Fault::Kill(host);
        fault.strikes(stage)?;
        fault.ends(stage)?;
        if host == "n1" {
            for (lamp, before) in lamps.iter().zip(told) {
                eventually(&format!("{} is told again", lamp.name), TOLD_WITHIN, || {
                    Ok((lamp.notifies() > before).then_some(()))
                })?;
            }
        }
        let phones = [call(stage, "2101", "2102")?, call(stage, "2202", "2201")?];
        for lamp in &lamps {
            lamp.wait("confirmed", TOLD_WITHIN).with_context(|| format!("after the kill of {host}"))?;
        }
        phones.into_iter().try_for_each(end)?;
        lamps.iter().try_for_each(|lamp| lamp.wait("idle", SHOWN_WITHIN).map(drop))?;
    }
    Ok(())
}
