//! The asker of RFC 3263: finds where a request to a URI goes, with the help of name servers.
//!
//! What is to be asked and what follows from the answers is decided by [`sip::locate`]; here the questions are put, each
//! within its time, and answers are remembered as long as they live. Failures are not remembered: who asks again, asks
//! again. That one of the choices is dead is for who tries them to find out (§ 4.3).
//!
//! Nothing here is called by a thread that carries calls.

mod ask;
mod error;

use super::clock::SteadyClock;
use ask::Names;
use futures_util::future::join_all;
use sip::Tokens;
use sip::locate::{Cache, Located, TTL_OF_NOTHING};
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;

pub use error::{Fault, LocateError, written};
pub use sip::locate::{Choice, Naptr, Question, Records, Service, Srv, Target};
pub use sip::{Transport, Uri};

/// The longest a URI takes to locate.
pub const LOCATED_WITHIN: Duration = Duration::from_secs(10);
/// The longest one question takes, with all its tries.
pub const ANSWERED_WITHIN: Duration = Duration::from_secs(3);
/// Questions for one URI: NAPTR, the services it names, their hosts. Who needs more means no good.
pub const QUESTIONS_MAX: usize = 64;
/// Records of one answer that are kept, the best first.
pub const RECORDS_MAX: usize = 32;
/// URIs being located at the same time; more of them wait, within their time.
pub const AT_ONCE_MAX: usize = 64;

/// Every transport we speak, the dearest first: the order where a domain has no NAPTR.
pub const SPOKEN: [Transport; 3] = [Transport::Tls, Transport::Tcp, Transport::Udp];

/// Finds where requests go.
pub struct Resolver {
    names: Names,
    clock: SteadyClock,
    /// Answers that live.
    known: Mutex<Cache>,
    /// Chooses among servers of one priority.
    draw: Mutex<Tokens>,
    turns: Semaphore,
}

/// Where a URI leads, and how that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// To be tried in this order; never empty.
    pub choices: Vec<Choice>,
    /// What was asked, in the order it was asked.
    pub asked: Vec<Asked>,
}

/// A question and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The question.
    pub question: Question,
    /// Empty records say that there is none.
    pub outcome: Result<Records, Fault>,
    /// For how long the answer may be believed.
    pub lives: Duration,
    /// It was not asked, but known.
    pub remembered: bool,
}

impl Resolver {
    /// Asks whom this machine asks: its hosts file and the name servers of `/etc/resolv.conf`.
    ///
    /// # Errors
    /// [`LocateError::System`].
    pub fn of_system() -> Result<Resolver, LocateError> {
        Resolver::new(Names::of_system()?)
    }

    /// Asks this name server and nobody else.
    ///
    /// # Errors
    /// [`LocateError::System`].
    pub fn asking(server: SocketAddr) -> Result<Resolver, LocateError> {
        Resolver::new(Names::of_server(server)?)
    }

    fn new(names: Names) -> Result<Resolver, LocateError> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|fault| LocateError::System(fault.to_string()))?;
        Ok(Resolver {
            names,
            clock: SteadyClock::start(),
            known: Mutex::default(),
            draw: Mutex::new(Tokens::new(seed)),
            turns: Semaphore::new(AT_ONCE_MAX),
        })
    }

    /// Where a request to `uri` goes (the Request-URI or the first Route). `spoken` are the transports the asker speaks, the
    /// dearest first.
    ///
    /// # Errors
    /// [`LocateError`] says whose fault it is and what to do next.
    pub async fn locate(&self, uri: &Uri, spoken: &[Transport]) -> Result<Location, LocateError> {
        let mut asked = Vec::new();
        let found = tokio::time::timeout(LOCATED_WITHIN, self.search(uri, spoken, &mut asked)).await;
        let choices = found.unwrap_or_else(|_| Err(LocateError::Late { uri: uri.to_string() }))?;
        error::blame(uri, &choices, &asked, self.names.server())?;
        Ok(Location { choices, asked })
    }

    /// Answers remembered.
    #[must_use]
    pub fn remembers(&self) -> usize {
        lock(&self.known).len()
    }

    /// Asks round after round until nothing is missing. What failed counts as nothing for this URI only.
    async fn search(
        &self,
        uri: &Uri,
        spoken: &[Transport],
        asked: &mut Vec<Asked>,
    ) -> Result<Vec<Choice>, LocateError> {
        let mut found = Cache::default();
        // The turns are never closed.
        let _turn = self.turns.acquire().await;
        let begun = self.clock.now();
        loop {
            let step = sip::locate::locate(begun, &found, uri.as_ref(), spoken, &mut lock(&self.draw));
            let questions = match step {
                Located::At(choices) => return Ok(choices),
                Located::Ask(questions) => questions,
            };
            if asked.len() + questions.len() > QUESTIONS_MAX {
                return Err(LocateError::TooMuch { uri: uri.to_string() });
            }
            for answer in join_all(questions.into_iter().map(|question| self.answer(question))).await {
                let records = answer.outcome.clone().unwrap_or_else(|_| nothing(&answer.question));
                // Known until the end of this search, whatever its life.
                found.learn(begun, answer.question.clone(), records, LOCATED_WITHIN);
                asked.push(answer);
            }
        }
    }

    /// From memory, else from a name server.
    async fn answer(&self, question: Question) -> Asked {
        let now = self.clock.now();
        let known = lock(&self.known).recall(now, &question).map(|(records, lives)| (records.clone(), lives));
        if let Some((records, lives)) = known {
            return Asked { question, outcome: Ok(records), lives, remembered: true };
        }
        let told = tokio::time::timeout(ANSWERED_WITHIN, self.names.ask(&question)).await;
        let (outcome, lives) = match told.unwrap_or(Err(Fault::Silent)) {
            Ok((records, lives)) => {
                let lives = if records.is_empty() { TTL_OF_NOTHING } else { lives };
                lock(&self.known).learn(self.clock.now(), question.clone(), records.clone(), lives);
                (Ok(records), lives)
            }
            Err(fault) => {
                tracing::debug!(?question, %fault, "a name server did not help");
                (Err(fault), Duration::ZERO)
            }
        };
        Asked { question, outcome, lives, remembered: false }
    }
}

fn nothing(question: &Question) -> Records {
    match question {
        Question::Addresses(_) => Records::Addresses(Vec::new()),
        Question::Naptr(_) => Records::Naptr(Vec::new()),
        Question::Srv(_) => Records::Srv(Vec::new()),
    }
}

/// What is behind these locks is whole after every line, so a thread that died there left nothing half done.
fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
