//! A softphone that we did not write, whichever program it is: what it can be told, and what it says happened.
//!
//! Each plays a tone of its own into every call and records what it hears, so that a test can prove at the ear that the
//! sound of one phone reached the other. Ports: a phone takes ten from its own on.
//!
//! | port | what |
//! | --- | --- |
//! | +0 | SIP by UDP and TCP (linphone: by TLS too) |
//! | +1 | SIP by TLS of baresip, which it names in its Contact and where nothing listens |
//! | +4 | control socket of baresip |
//! | +6 … +9 | RTP and RTCP |

use super::baresip::Baresip;
use super::linphone::Linphone;
use super::process::Process;
use super::star::inside;
use super::{eventually, wav};
use anyhow::{Context, ensure};
use sip::Transport;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Ports a phone takes for itself.
pub const PORTS: u16 = 10;
/// How long a phone may take to register.
pub(super) const REGISTERED_WITHIN: Duration = Duration::from_secs(15);
/// How long a phone may take to hear what it should hear for a second.
pub(super) const HEARD_WITHIN: Duration = Duration::from_secs(15);

/// How long a change of a call may take.
const CHANGED_WITHIN: Duration = Duration::from_secs(15);

/// The programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// Debian's baresip.
    Baresip,
    /// Debian's linphonec.
    Linphone,
}

/// How a phone is set up.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Its extension.
    pub extension: String,
    /// Its secret.
    pub password: String,
    /// The SIP domain of its address.
    pub domain: String,
    /// `host:port` of its registrar.
    pub registrar: String,
    /// How it reaches its registrar.
    pub transport: Transport,
    /// The certificate it trusts, for TLS.
    pub authority: Option<PathBuf>,
    /// Speaks SRTP only (SDES, RFC 4568).
    pub srtp: bool,
    /// Asks for its message waiting (RFC 3842); baresip only.
    pub message_waiting: bool,
    /// The numbers whose presence it watches (RFC 3856); baresip only.
    pub watches: Vec<String>,
    /// The tone it plays into calls, in Hz.
    pub tone_hz: u32,
    /// Answers by itself.
    pub auto_answer: bool,
    /// Seconds between two registrations.
    pub expires_s: u32,
    /// The namespace it lives in; none = the machine itself.
    pub namespace: Option<String>,
    /// The address it has there.
    pub address: IpAddr,
    /// The first of its ports.
    pub port: u16,
}

impl Setup {
    pub(super) fn command(&self, program: &str) -> Command {
        inside(self.namespace.as_deref(), program)
    }

    /// Whom a number of its domain is.
    pub(super) fn target(&self, number: &str) -> String {
        format!("sip:{number}@{}", self.domain)
    }

    /// `udp`, `tcp` or `tls`.
    pub(super) fn transport_parameter(&self) -> String {
        self.transport.as_str().to_ascii_lowercase()
    }
}

/// What can happen to a phone's call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Happening {
    /// Somebody calls.
    Incoming,
    /// The called phone rings.
    Ringing,
    /// A call is up.
    Up,
    /// The other end accepts that we hold it.
    Holding,
    /// The other end put us on hold.
    Held,
    /// The other end took us back.
    TakenBack,
    /// A call is over, or came to nothing.
    Over,
}

/// A point in the life of a phone: what happened before it is not looked at.
#[derive(Debug, Clone, Copy, Default)]
pub struct Mark {
    pub(super) events: usize,
    pub(super) output: usize,
}

impl Mark {
    /// How much its program had written by then, in bytes.
    #[must_use]
    pub fn output(self) -> usize {
        self.output
    }
}

/// A running phone.
pub trait Softphone: Send {
    /// How it was set up.
    fn setup(&self) -> &Setup;

    /// Its process.
    fn process(&mut self) -> &mut Process;

    /// Waits until its registrar has accepted it.
    ///
    /// # Errors
    /// With its last words.
    fn wait_registered(&mut self) -> anyhow::Result<()>;

    /// Dials a number of its domain.
    ///
    /// # Errors
    /// When it takes no commands any more.
    fn dial(&mut self, number: &str) -> anyhow::Result<()>;

    /// Answers the call that rings.
    ///
    /// # Errors
    /// When it takes no commands any more.
    fn accept(&mut self) -> anyhow::Result<()>;

    /// Ends or refuses the current call.
    ///
    /// # Errors
    /// When it takes no commands any more.
    fn hang_up(&mut self) -> anyhow::Result<()>;

    /// Puts the current call on hold.
    ///
    /// # Errors
    /// When it takes no commands any more.
    fn hold(&mut self) -> anyhow::Result<()>;

    /// Resumes it.
    ///
    /// # Errors
    /// When it takes no commands any more.
    fn resume(&mut self) -> anyhow::Result<()>;

    /// Sends the other end of the current call to a number, unasked (RFC 5589 § 6).
    ///
    /// # Errors
    /// When it takes no commands any more.
    fn transfer(&mut self, number: &str) -> anyhow::Result<()>;

    /// Joins the other ends of its two calls, the one on hold and the one after it (RFC 5589 § 7), which it began or was
    /// given first and second in its life.
    ///
    /// # Errors
    /// When it cannot do so at all, or takes no commands any more.
    fn join_calls(&mut self) -> anyhow::Result<()>;

    /// Where its life is now.
    fn mark(&self) -> Mark;

    /// True when this happened since `mark`.
    fn saw(&self, since: Mark, what: Happening) -> bool;

    /// The recordings of what it heard, oldest first.
    ///
    /// # Errors
    /// When its folder is gone.
    fn recordings(&self) -> anyhow::Result<Vec<PathBuf>>;

    /// The number it answers to.
    fn extension(&self) -> &str {
        &self.setup().extension
    }

    /// The tone it plays into its calls, in Hz.
    fn tone_hz(&self) -> u32 {
        self.setup().tone_hz
    }

    /// Waits until this happens, from `since` on.
    ///
    /// # Errors
    /// With its last words, when it does not happen or the program ends.
    fn wait(&mut self, since: Mark, what: Happening, limit: Duration) -> anyhow::Result<()> {
        let name = format!("{what:?} at {}", self.process().name());
        let outcome = eventually(&name, limit, || {
            if self.saw(since, what) {
                return Ok(Some(()));
            }
            ensure!(self.process().is_running(), "it has ended");
            Ok(None)
        });
        outcome.with_context(|| format!("{name}; {}", self.process().tail()))
    }

    /// Seconds for which it heard a tone of `hz`, over all its recordings.
    ///
    /// # Errors
    /// When a recording cannot be read.
    fn heard_s(&self, hz: u32) -> anyhow::Result<f64> {
        self.recordings()?.iter().map(|path| wav::heard_s(path, hz)).sum()
    }

    /// Waits until it has heard the tone of `hz` for a second more than `before_s`.
    ///
    /// # Errors
    /// When it does not hear it.
    fn wait_heard(&self, hz: u32, before_s: f64) -> anyhow::Result<()>;

    /// `kill -9`: a phone that vanishes.
    ///
    /// # Errors
    /// When it is gone already.
    fn kill(&mut self) -> anyhow::Result<()> {
        self.process().kill()
    }
}

/// Waits until the recordings of a phone hold a tone for a second more than `before_s`.
pub(super) fn wait_recorded(phone: &dyn Softphone, hz: u32, before_s: f64) -> anyhow::Result<()> {
    let what = format!("{} to hear {hz} Hz for a second more than {before_s} s", phone.extension());
    eventually(&what, HEARD_WITHIN, || Ok((phone.heard_s(hz)? >= before_s + 1.0).then_some(())))
}

/// Each hears the other's tone from now on.
///
/// # Errors
/// When one does not.
pub fn hear_each_other(one: &dyn Softphone, other: &dyn Softphone) -> anyhow::Result<()> {
    let before_s = (one.heard_s(other.tone_hz())?, other.heard_s(one.tone_hz())?);
    one.wait_heard(other.tone_hz(), before_s.0)?;
    other.wait_heard(one.tone_hz(), before_s.1)
}

/// One holds the other and takes it back; both say so.
///
/// # Errors
/// When one does not.
pub fn hold_and_resume(holder: &mut dyn Softphone, held: &mut dyn Softphone) -> anyhow::Result<()> {
    let (before, own) = (held.mark(), holder.mark());
    holder.hold()?;
    held.wait(before, Happening::Held, CHANGED_WITHIN)?;
    holder.wait(own, Happening::Holding, CHANGED_WITHIN)?;
    let before = held.mark();
    holder.resume()?;
    held.wait(before, Happening::TakenBack, CHANGED_WITHIN)
}

/// Starts a phone in `folder`, which is made, and waits for its registration.
///
/// # Errors
/// When the program is not installed, does not start, or is not registered.
pub fn start(program: Program, setup: Setup, folder: &Path) -> anyhow::Result<Box<dyn Softphone>> {
    std::fs::create_dir_all(folder)?;
    wav::write_tone(&folder.join("tone.wav"), setup.tone_hz, 120)?;
    let mut phone: Box<dyn Softphone> = match program {
        Program::Baresip => Box::new(Baresip::start(setup, folder)?),
        Program::Linphone => Box::new(Linphone::start(setup, folder)?),
    };
    let who = phone.process().name().to_owned();
    phone.wait_registered().with_context(|| format!("{who} registers"))?;
    Ok(phone)
}
