//! What can go wrong with `ctl`, as an exit code and a next step.

use manager::client::ClientError;
use std::process::ExitCode;

/// Why a command did not do what it should.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// The manager refused, or could not be asked.
    #[error(transparent)]
    Manager(#[from] ClientError),
    /// There is no such thing in the topology.
    #[error("there is no {what} '{name}'")]
    Unknown {
        /// What sort of thing.
        what: &'static str,
        /// The name that leads nowhere.
        name: String,
        /// Where to look.
        next: &'static str,
    },
    /// The command can mean several things.
    #[error("{message}")]
    Unclear {
        /// What is not clear.
        message: String,
        /// How to make it so.
        next: &'static str,
    },
    /// Nobody is logged in.
    #[error("not logged in to a manager")]
    NoLogin,
    /// The doctor found a fault.
    #[error("the doctor found a fault")]
    Sick,
    /// Something on this machine.
    #[error("{0:#}")]
    Here(#[from] anyhow::Error),
    /// JSON that cannot be written or read.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
}

impl Fault {
    /// A word programs can compare.
    pub(super) fn code(&self) -> String {
        match self {
            Fault::Manager(fault) => match fault.refusal() {
                Some(refusal) => refusal.code.to_string(),
                None => "manager-unreachable".to_owned(),
            },
            Fault::Unknown { .. } => "not-found".to_owned(),
            Fault::Unclear { .. } => "unclear".to_owned(),
            Fault::NoLogin => "not-logged-in".to_owned(),
            Fault::Sick => "faults-found".to_owned(),
            Fault::Here(_) => "local".to_owned(),
            Fault::Json(_) => "malformed-json".to_owned(),
        }
    }

    /// What is wrong, without the next step.
    pub(super) fn message(&self) -> String {
        match self {
            Fault::Manager(fault) => {
                fault.refusal().map_or_else(|| fault.to_string(), |refusal| refusal.message.clone())
            }
            other => other.to_string(),
        }
    }

    /// What to do next.
    pub(super) fn next(&self) -> Option<String> {
        const LOGIN: &str = "pleiad ctl login --manager HOST:7443 --user admin";
        match self {
            Fault::Manager(fault) => match fault.refusal() {
                Some(refusal) if refusal.status.as_u16() == 401 => Some(LOGIN.to_owned()),
                Some(refusal) => refusal.next.clone(),
                None => Some(
                    "check that the manager runs and that the address is right: --manager HOST:PORT"
                        .to_owned(),
                ),
            },
            Fault::Unknown { next, .. } | Fault::Unclear { next, .. } => Some((*next).to_owned()),
            Fault::NoLogin => Some(LOGIN.to_owned()),
            Fault::Sick => Some("see the next step of each fault above".to_owned()),
            Fault::Json(_) => Some("--value takes one JSON object, in quotes".to_owned()),
            Fault::Here(_) => None,
        }
    }

    /// See the table in [`super`].
    pub(super) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Fault::Manager(fault) => match fault.refusal().map(|refusal| refusal.status.as_u16()) {
                Some(401) => 4,
                Some(400..500) => 3,
                _ => 1,
            },
            Fault::NoLogin => 4,
            Fault::Unknown { .. } | Fault::Unclear { .. } | Fault::Json(_) => 3,
            Fault::Sick | Fault::Here(_) => 1,
        })
    }
}
