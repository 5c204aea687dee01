//! The operations log: each act of an operator and each step of a deployment is one entry, written when it
//! begins and settled when it ends, and told to every open page at once.

use super::error::ServiceError;
use crate::machine::unix_ms;
use crate::view::{Operation, OperationOutcome, StepReport};
use std::future::Future;
use std::sync::Arc;
use std::time::Instant;
use store::{ConfigStore, OperationEntry, OperationQuery, Outcome};
use web::Hub;

/// Entries looked through at the start for ones that a dead process left running.
const LEFTOVERS_MAX: u32 = 1_000;

/// What an act yields, and what the log says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told<T> {
    /// For the caller.
    pub value: T,
    /// For the log, a sentence.
    pub detail: String,
}

impl<T> Told<T> {
    /// A value with its sentence.
    pub fn new(value: T, detail: impl Into<String>) -> Told<T> {
        Told { value, detail: detail.into() }
    }
}

/// The log.
#[derive(Debug, Clone)]
pub struct Journal {
    store: Arc<ConfigStore>,
    hub: Hub,
}

impl Journal {
    /// Opens the log, and ends what a process that died left running.
    ///
    /// # Errors
    /// What the disk says.
    pub fn open(store: Arc<ConfigStore>, hub: Hub) -> Result<Journal, ServiceError> {
        let query = OperationQuery { limit: LEFTOVERS_MAX, ..OperationQuery::default() };
        for entry in store.operations(&query)?.into_iter().filter(|entry| entry.outcome == Outcome::Running) {
            store.settle_operation(OperationEntry {
                outcome: Outcome::Failed,
                detail: "the manager stopped before this ended".to_owned(),
                next: "look at the machine's state, then repeat this".to_owned(),
                ..entry
            })?;
        }
        Ok(Journal { store, hub })
    }

    /// Does `work` and writes how it went. The work does not begin when the log cannot be written.
    ///
    /// # Errors
    /// Those of the work, and what the disk says.
    pub async fn record<T>(
        &self,
        who: &str,
        what: &str,
        target: &str,
        work: impl Future<Output = Result<Told<T>, ServiceError>>,
    ) -> (Result<T, ServiceError>, Option<StepReport>) {
        let entry = OperationEntry {
            id: 0,
            at_ms: unix_ms(),
            who: who.to_owned(),
            what: what.to_owned(),
            target: target.to_owned(),
            outcome: Outcome::Running,
            duration_ms: 0,
            next: String::new(),
            detail: String::new(),
        };
        let id = match self.append(entry.clone()).await {
            Ok(id) => id,
            Err(fault) => return (Err(fault), None),
        };
        let began = Instant::now();
        let done = work.await;
        let mut entry = OperationEntry { id, duration_ms: millis(began), ..entry };
        let result = match done {
            Ok(Told { value, detail }) => {
                (entry.outcome, entry.detail) = (Outcome::Done, detail);
                Ok(value)
            }
            Err(fault) => {
                entry.outcome = if fault.is_refusal() { Outcome::Refused } else { Outcome::Failed };
                (entry.detail, entry.next) = (fault.to_string(), fault.next());
                Err(fault)
            }
        };
        let report = report(&entry);
        match (self.settle(entry).await, result) {
            (Err(fault), Ok(_)) => (Err(fault), Some(report)),
            (_, result) => (result, Some(report)),
        }
    }

    /// The last entries, newest first.
    ///
    /// # Errors
    /// What the disk says.
    pub async fn last(&self, query: OperationQuery) -> Result<Vec<Operation>, ServiceError> {
        let store = self.store.clone();
        let entries = super::blocking(move || Ok(store.operations(&query)?)).await?;
        Ok(entries.into_iter().map(view).collect())
    }

    async fn append(&self, entry: OperationEntry) -> Result<u64, ServiceError> {
        let (store, row) = (self.store.clone(), entry.clone());
        let id = super::blocking(move || Ok(store.append_operation(row)?)).await?;
        self.hub.publish("operation", &view(OperationEntry { id, ..entry }));
        Ok(id)
    }

    async fn settle(&self, entry: OperationEntry) -> Result<(), ServiceError> {
        tracing::info!(
            who = %entry.who, what = %entry.what, target = %entry.target, outcome = entry.outcome.word(),
            duration_ms = entry.duration_ms, detail = %entry.detail, next = %entry.next, "operation"
        );
        let (store, row) = (self.store.clone(), entry.clone());
        super::blocking(move || Ok(store.settle_operation(row)?)).await?;
        self.hub.publish("operation", &view(entry));
        Ok(())
    }
}

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

fn outcome(outcome: Outcome) -> OperationOutcome {
    match outcome {
        Outcome::Running => OperationOutcome::Running,
        Outcome::Done => OperationOutcome::Done,
        Outcome::Refused => OperationOutcome::Refused,
        Outcome::Failed => OperationOutcome::Failed,
    }
}

fn report(entry: &OperationEntry) -> StepReport {
    StepReport {
        step: entry.what.clone(),
        outcome: outcome(entry.outcome),
        duration_ms: entry.duration_ms,
        detail: entry.detail.clone(),
        next: entry.next.clone(),
    }
}

fn view(entry: OperationEntry) -> Operation {
    Operation {
        id: entry.id,
        when_ms: entry.at_ms,
        who: entry.who,
        what: entry.what,
        place: entry.target,
        outcome: outcome(entry.outcome),
        duration_ms: entry.duration_ms,
        detail: entry.detail,
        next: entry.next,
    }
}
