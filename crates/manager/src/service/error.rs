//! Why an act of an operator was not done, each with its code, its sentence and the next thing to do.

use crate::authority::AuthorityError;
use crate::machine::MachineError;
use crate::vault::VaultError;
use axum::http::StatusCode;
use model::deploy::Refusal;
use model::object::ObjectError;
use store::StoreError;
use web::{ApiError, ClientError};

/// Why an act was not done.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// A rule forbids it; nothing was changed.
    #[error("{0}")]
    Refused(#[from] Refusal),
    /// What was asked for cannot be.
    #[error("{0}")]
    Invalid(#[from] ObjectError),
    /// A field of the request has a value that cannot be.
    #[error("{field}: {reason}")]
    Field {
        /// Which.
        field: &'static str,
        /// What is wrong and what would be right.
        reason: String,
    },
    /// There is no such thing.
    #[error("there is no {kind} '{key}'")]
    NotFound {
        /// What sort of thing.
        kind: &'static str,
        /// Its key.
        key: String,
    },
    /// Other things depend on it.
    #[error("{kind} '{key}' still has {count} {what}")]
    InUse {
        /// What sort of thing.
        kind: &'static str,
        /// Its key.
        key: String,
        /// How many depend on it.
        count: usize,
        /// Of which sort.
        what: &'static str,
    },
    /// Somebody deploys the same machine now.
    #[error("another operation is under way on '{key}'")]
    Busy {
        /// The machine.
        key: String,
    },
    /// The machine was configured again meanwhile, or deleted.
    #[error("'{key}' was changed by another operation; this one is out of date")]
    OutOfDate {
        /// The machine.
        key: String,
    },
    /// The machine does not answer, or refuses.
    #[error("{0}")]
    Machine(#[from] MachineError),
    /// Something that should have happened by now has not.
    #[error("{what} did not happen within {seconds} s; {seen}")]
    Deadline {
        /// What was waited for.
        what: &'static str,
        /// How long.
        seconds: u64,
        /// What was seen instead.
        seen: String,
    },
    /// The act may only be done by an administrator.
    #[error("{0}")]
    Forbidden(ApiError),
    /// The store.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// The folder of secrets.
    #[error("{0}")]
    Vault(#[from] VaultError),
    /// The authority.
    #[error("{0}")]
    Authority(#[from] AuthorityError),
    /// The operating system gives no random bytes, or a task ended early.
    #[error("{0}")]
    Ours(ApiError),
    /// A step of a deployment failed; the next thing to do is that of the step when the cause names none.
    #[error("{step}: {source}")]
    Step {
        /// Which.
        step: &'static str,
        /// What to do when the cause does not say.
        next: &'static str,
        /// The cause.
        source: Box<ServiceError>,
    },
}

impl From<ClientError> for ServiceError {
    fn from(fault: ClientError) -> ServiceError {
        ServiceError::Machine(MachineError::Client(fault))
    }
}

impl ServiceError {
    /// True when a rule forbade the act and nothing was changed.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        match self {
            ServiceError::Machine(fault) => fault.refusal().is_some(),
            ServiceError::Step { source, .. } => source.is_refusal(),
            ServiceError::Refused(_)
            | ServiceError::Invalid(_)
            | ServiceError::Field { .. }
            | ServiceError::NotFound { .. }
            | ServiceError::InUse { .. }
            | ServiceError::Busy { .. }
            | ServiceError::Forbidden(_) => true,
            ServiceError::OutOfDate { .. }
            | ServiceError::Deadline { .. }
            | ServiceError::Store(_)
            | ServiceError::Vault(_)
            | ServiceError::Authority(_)
            | ServiceError::Ours(_) => false,
        }
    }

    /// The next thing to do; empty when we know none.
    #[must_use]
    pub fn next(&self) -> String {
        match self {
            ServiceError::Refused(refusal) => refusal.next(),
            ServiceError::Invalid(_) | ServiceError::Field { .. } => {
                "correct the field and send it again".to_owned()
            }
            ServiceError::NotFound { .. } => "list what there is and check the key".to_owned(),
            ServiceError::InUse { what, .. } => format!("delete its {what} first"),
            ServiceError::Busy { .. } => "wait until it has ended; the operations log shows it".to_owned(),
            ServiceError::OutOfDate { .. } => {
                "look at the machine's state, then repeat this if needed".to_owned()
            }
            ServiceError::Machine(fault) => next_of_machine(fault),
            ServiceError::Forbidden(fault) | ServiceError::Ours(fault) => {
                fault.next.clone().unwrap_or_default()
            }
            ServiceError::Deadline { .. } => String::new(),
            ServiceError::Store(_) | ServiceError::Vault(_) => {
                "see to the manager's disk (pleiad ctl doctor), then repeat this".to_owned()
            }
            ServiceError::Authority(_) => "check the manager's clock and its folder of secrets".to_owned(),
            ServiceError::Step { next, source, .. } => match source.next() {
                text if text.is_empty() => (*next).to_owned(),
                text => text,
            },
        }
    }

    /// The code and status of the API.
    fn face(&self) -> (StatusCode, String) {
        let (status, code) = match self {
            ServiceError::Refused(refusal) => (StatusCode::CONFLICT, refusal.code()),
            ServiceError::Invalid(_) => (StatusCode::BAD_REQUEST, "invalid-object"),
            ServiceError::Field { .. } => (StatusCode::BAD_REQUEST, "invalid-field"),
            ServiceError::NotFound { .. } => (StatusCode::NOT_FOUND, "not-found"),
            ServiceError::InUse { .. } => (StatusCode::CONFLICT, "in-use"),
            ServiceError::Busy { .. } => (StatusCode::CONFLICT, "busy"),
            ServiceError::OutOfDate { .. } => (StatusCode::CONFLICT, "out-of-date"),
            ServiceError::Machine(MachineError::NoProof { .. }) => (StatusCode::BAD_GATEWAY, "no-proof"),
            ServiceError::Machine(MachineError::Client(fault)) => return face_of_client(fault),
            ServiceError::Deadline { .. } => (StatusCode::GATEWAY_TIMEOUT, "deadline"),
            ServiceError::Forbidden(fault) | ServiceError::Ours(fault) => {
                return (fault.status, fault.code.to_string());
            }
            ServiceError::Store(fault) if fault.is_transient() => {
                (StatusCode::SERVICE_UNAVAILABLE, "store-busy")
            }
            ServiceError::Store(_) => (StatusCode::INTERNAL_SERVER_ERROR, "store"),
            ServiceError::Vault(_) => (StatusCode::INTERNAL_SERVER_ERROR, "secrets"),
            ServiceError::Authority(_) => (StatusCode::INTERNAL_SERVER_ERROR, "authority"),
            ServiceError::Step { source, .. } => return source.face(),
        };
        (status, code.to_owned())
    }
}

fn next_of_machine(fault: &MachineError) -> String {
    let text = match fault {
        MachineError::NoProof { .. } => {
            "compare the fingerprint on the machine's console with the one at this address"
        }
        MachineError::Client(ClientError::Refused(refusal)) => {
            return refusal.next.clone().unwrap_or_default();
        }
        MachineError::Client(ClientError::WrongCertificate { .. }) => {
            "check the address; if the machine was reset or replaced, delete it here and add it anew"
        }
        MachineError::Client(ClientError::Address(_)) => "correct the machine's address",
        MachineError::Client(ClientError::Unreachable { .. } | ClientError::Deadline { .. }) => {
            "check that the machine is running and that its address and the network between are right"
        }
        MachineError::Client(ClientError::Tls { .. } | ClientError::Malformed { .. }) => {
            "check that the address is that of a machine's web port"
        }
        MachineError::Client(ClientError::Broken { .. }) => {
            "repeat this; if it breaks again, see the machine's log"
        }
    };
    text.to_owned()
}

fn face_of_client(fault: &ClientError) -> (StatusCode, String) {
    let (status, code) = match fault {
        ClientError::Refused(refusal) => {
            // The machine's 401 is about our token there, not about the operator's login here.
            let status = match refusal.status {
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => StatusCode::BAD_GATEWAY,
                status => status,
            };
            return (status, refusal.code.to_string());
        }
        ClientError::Address(_) => (StatusCode::BAD_REQUEST, "invalid-address"),
        ClientError::WrongCertificate { .. } => (StatusCode::BAD_GATEWAY, "wrong-certificate"),
        ClientError::Deadline { .. } => (StatusCode::GATEWAY_TIMEOUT, "no-answer"),
        ClientError::Unreachable { .. } => (StatusCode::BAD_GATEWAY, "unreachable"),
        ClientError::Tls { .. } | ClientError::Broken { .. } | ClientError::Malformed { .. } => {
            (StatusCode::BAD_GATEWAY, "machine-fault")
        }
    };
    (status, code.to_owned())
}

impl From<ServiceError> for ApiError {
    fn from(fault: ServiceError) -> ApiError {
        let (status, code) = fault.face();
        let next = Some(fault.next()).filter(|next| !next.is_empty());
        ApiError { next, ..ApiError::new(status, code, fault.to_string()) }
    }
}
