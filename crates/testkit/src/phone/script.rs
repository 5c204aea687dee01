//! What `pleiad phone` and `pleiad demo call` do: whole lives of phones.

use super::machine::{Command, Event};
use super::ways::NEXT_AFTER;
use super::{Options, Phone, PhoneError, Report, Rung, Script, draw};
use call::Look;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How long a registration may take.
const REGISTERING: Duration = Duration::from_secs(10);
/// How long the end of a call may take.
const ENDING: Duration = Duration::from_secs(10);

/// Plays a script to its end.
///
/// # Errors
/// [`PhoneError`] says what did not happen.
pub async fn run(options: &Options) -> Result<Report, PhoneError> {
    let mut phone = Phone::start(options).await?;
    // Each server in turn has its time to answer.
    let others = u32::try_from(options.targets.len().saturating_sub(1)).unwrap_or(u32::MAX);
    phone.register(REGISTERING.saturating_add(NEXT_AFTER.saturating_mul(others))).await?;
    match &options.script {
        Script::Register => tokio::time::sleep(options.talk).await,
        Script::Watch => {
            phone.watch(&options.watches, options.talk, options.lamps).await?;
        }
        Script::Call { number } => {
            phone.dial(number, options.patience).await?;
            phone.talk(options).await?;
            phone.hang_up().await?;
        }
        Script::Answer { ring } => {
            phone.pick_up(*ring, options.patience).await?;
            phone.press(&options.digits).await?;
            phone.let_go(options.talk * 2).await?;
        }
    }
    phone.close().await
}

/// Two phones that talked.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Conversation {
    /// Who called.
    pub caller: Report,
    /// Who was called.
    pub called: Report,
    /// How long they talked.
    pub seconds: f64,
}

impl Conversation {
    /// True when each heard the other's own tone for most of the time.
    #[must_use]
    pub fn heard_each_other(&self) -> bool {
        let heard = |ear: &Report, mouth: &Report| ear.heard_seconds(mouth.tone_hz) >= 0.6 * self.seconds;
        heard(&self.caller, &self.called) && heard(&self.called, &self.caller)
    }

    /// Both ladders in one.
    #[must_use]
    pub fn ladder(&self) -> String {
        let side = |report: &Report| (report.extension.clone(), report.ladder.clone());
        let sides: Vec<(String, Vec<Rung>)> = vec![side(&self.caller), side(&self.called)];
        let named: Vec<(&str, &[Rung])> =
            sides.iter().map(|(name, rungs)| (name.as_str(), rungs.as_slice())).collect();
        draw(&named)
    }
}

/// One phone calls the other; they talk for the caller's time. `called` rings for a moment.
///
/// # Errors
/// [`PhoneError`] says which phone waited for what. That they heard each other is for the reader to ask.
pub async fn converse(caller: &Options, called: &Options) -> Result<Conversation, PhoneError> {
    let caller = &distinct(caller.clone(), called);
    let mut far = Phone::start(called).await?;
    let mut near = Phone::start(caller).await?;
    let talked = talk(caller, called, &mut near, &mut far).await;
    // Whatever happened: no phone is left registered.
    let (near, far) = (near.close().await, far.close().await);
    talked?;
    Ok(Conversation { caller: near?, called: far?, seconds: caller.talk.as_secs_f64() })
}

async fn talk(
    caller: &Options,
    called: &Options,
    near: &mut Phone,
    far: &mut Phone,
) -> Result<(), PhoneError> {
    far.register(REGISTERING).await?;
    near.register(REGISTERING).await?;
    near.command(Command::Call(called.extension.clone())).await?;
    // Whoever learns first that nothing comes of it says so.
    tokio::try_join!(
        far.pick_up(Duration::from_millis(500), called.patience),
        near.answered(caller.patience),
    )?;
    near.talk(caller).await?;
    near.hang_up().await?;
    far.let_go(ENDING).await
}

/// Two random tones must not be the same by chance: the caller's lies above all the called phone's.
fn distinct(mut caller: Options, called: &Options) -> Options {
    if caller.tone_hz.is_none() && called.tone_hz.is_none() {
        let mut byte = [0];
        // Without random bytes the phone's own start will say so.
        let _ = getrandom::fill(&mut byte);
        let [byte] = byte;
        caller.tone_hz = Some(2_200 + 20 * (u16::from(byte) % 50));
    }
    caller
}

impl Phone {
    /// Calls a number and waits for the answer.
    ///
    /// # Errors
    /// [`PhoneError::Ended`] with the refusal, or [`PhoneError::TimedOut`].
    pub async fn dial(&mut self, number: &str, patience: Duration) -> Result<(), PhoneError> {
        self.command(Command::Call(number.to_owned())).await?;
        self.answered(patience).await
    }

    /// Waits until the call is up.
    ///
    /// # Errors
    /// As [`Phone::dial`].
    pub async fn answered(&mut self, patience: Duration) -> Result<(), PhoneError> {
        self.wait_for("an answer", patience, |event| *event == Event::Answered).await.map(drop)
    }

    /// Waits for a call, lets it ring, answers it.
    ///
    /// # Errors
    /// As [`Phone::dial`].
    pub async fn pick_up(&mut self, ring: Duration, patience: Duration) -> Result<(), PhoneError> {
        self.wait_for("a call", patience, |event| matches!(event, Event::Incoming { .. })).await?;
        tokio::time::sleep(ring).await;
        self.command(Command::Answer).await?;
        self.answered(patience).await
    }

    /// Lights lamps and tells what they show, for a time.
    ///
    /// # Errors
    /// [`PhoneError::Off`].
    pub async fn watch(
        &mut self,
        numbers: &[String],
        time: Duration,
        mut show: impl FnMut(&str, Look),
    ) -> Result<(), PhoneError> {
        for number in numbers {
            self.command(Command::Watch(number.clone())).await?;
        }
        let end = tokio::time::Instant::now() + time;
        loop {
            let left = end.saturating_duration_since(tokio::time::Instant::now());
            let lamp = |event: &Event| matches!(event, Event::Lamp { .. });
            match self.wait_for("a lamp", left, lamp).await {
                Ok(Event::Lamp { number, shows }) => show(&number, shows),
                Ok(_) | Err(PhoneError::Ended { .. }) => {}
                Err(PhoneError::TimedOut { .. }) => return Ok(()),
                Err(fault) => return Err(fault),
            }
        }
    }

    /// Hangs up and waits for the end.
    ///
    /// # Errors
    /// [`PhoneError::TimedOut`].
    pub async fn hang_up(&mut self) -> Result<(), PhoneError> {
        self.command(Command::HangUp).await?;
        self.ended(ENDING).await
    }

    /// Waits until the other side hangs up.
    ///
    /// # Errors
    /// [`PhoneError::TimedOut`].
    pub async fn ended(&mut self, patience: Duration) -> Result<(), PhoneError> {
        self.wait_for("the end of the call", patience, |event| matches!(event, Event::Ended(_)))
            .await
            .map(drop)
    }

    /// Puts the call on hold, or takes it back.
    ///
    /// # Errors
    /// [`PhoneError::TimedOut`]; a refusal is an event that is passed over.
    pub async fn hold(&mut self, held: bool) -> Result<(), PhoneError> {
        self.command(if held { Command::Hold } else { Command::Resume }).await?;
        self.wait_for("a change", ENDING, |event| matches!(event, Event::Changed { .. })).await.map(drop)
    }

    async fn talk(&mut self, options: &Options) -> Result<(), PhoneError> {
        self.press(&options.digits).await?;
        if !options.hold {
            return self.talk_for(options.talk).await;
        }
        let third = options.talk / 3;
        self.talk_for(third).await?;
        self.hold(true).await?;
        self.talk_for(third).await?;
        self.hold(false).await?;
        self.talk_for(third).await
    }

    /// Stays in the call for a while.
    ///
    /// # Errors
    /// [`PhoneError::Ended`] when the call ends before.
    pub async fn talk_for(&mut self, time: Duration) -> Result<(), PhoneError> {
        match self.wait_for("the talk's time", time, |_| false).await {
            Err(PhoneError::TimedOut { .. }) => Ok(()),
            Ok(_) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Waits for the other side to hang up, and does it itself when that does not come.
    async fn let_go(&mut self, patience: Duration) -> Result<(), PhoneError> {
        match self.ended(patience).await {
            Err(PhoneError::TimedOut { .. }) => self.hang_up().await,
            end => end,
        }
    }
}
