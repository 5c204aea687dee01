//! The operations log as the API shows it: one entry an act or a step of one.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How an operation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OperationOutcome {
    /// It is still going on.
    Running,
    /// It did what it should.
    Done,
    /// A rule forbids it; nothing was changed.
    Refused,
    /// It was tried and did not succeed.
    Failed,
}

impl OperationOutcome {
    /// The word shown to people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            OperationOutcome::Running => "running",
            OperationOutcome::Done => "done",
            OperationOutcome::Refused => "refused",
            OperationOutcome::Failed => "failed",
        }
    }
}

/// One entry of the operations log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Operation {
    /// Its number, rising by one.
    pub id: u64,
    /// When it began, in milliseconds since the Unix epoch.
    pub when_ms: u64,
    /// Who did it.
    pub who: String,
    /// What was done.
    pub what: String,
    /// Where: the key of a machine, region, multi-site or cluster.
    #[serde(rename = "where")]
    pub place: String,
    /// How it ended.
    pub outcome: OperationOutcome,
    /// How long it took.
    pub duration_ms: u64,
    /// What was found or done, in words.
    pub detail: String,
    /// The next thing to do; empty when there is nothing.
    pub next: String,
}

/// One step of a deployment, as its caller is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StepReport {
    /// The step, for example `certificate`.
    pub step: String,
    /// How it ended.
    pub outcome: OperationOutcome,
    /// How long it took.
    pub duration_ms: u64,
    /// What was found or done, in words.
    pub detail: String,
    /// The next thing to do; empty when there is nothing.
    pub next: String,
}
