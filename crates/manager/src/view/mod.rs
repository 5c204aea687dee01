//! What the manager's HTTPS API says and hears: its JSON, defined once, for the server, the typed
//! [`client`](crate::client) and the OpenAPI document.
//!
//! These are views, not the stored objects: a view says what an operator may see, so no secret but the
//! ones shown exactly once (a generated password, a token) has a field here.

pub mod operation;
pub mod supervision;
pub mod topology;

pub use operation::{Act, Operation, OperationOutcome, StepReport};
pub use supervision::{
    Check, Doctor, LinkState, LiveState, MachineSight, Map, MapLink, MapMachine, Reach, Verdict,
};
pub use topology::{
    ClaimRequest, ConfigureRequest, Deployment, MachineCreate, MachineEdit, MachineKind, MachineView,
    MultiSiteRequest, MultiSiteView, Progress, RegionRequest, RegionView,
};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Who asks, and for what: an administrator may change, a viewer may look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OperatorRole {
    /// May change everything.
    Administrator,
    /// May look at everything that is not secret.
    Viewer,
}

/// `POST /api/v1/login`
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LoginRequest {
    /// The operator's login name.
    pub user: String,
    /// The password.
    pub password: String,
}

impl std::fmt::Debug for LoginRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoginRequest").field("user", &self.user).finish_non_exhaustive()
    }
}

/// The answer to a login: a bearer token, shown once.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct LoginAnswer {
    /// To be sent as `Authorization: Bearer TOKEN`.
    pub token: String,
    /// When it ends, in milliseconds since the Unix epoch.
    pub expires_ms: u64,
    /// What its bearer may do.
    pub role: OperatorRole,
    /// True while the password is still the first, generated one: it is to be changed.
    pub must_change: bool,
}

impl std::fmt::Debug for LoginAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoginAnswer")
            .field("expires_ms", &self.expires_ms)
            .field("must_change", &self.must_change)
            .finish_non_exhaustive()
    }
}

/// `POST /api/v1/password`: the bearer's own password.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordRequest {
    /// The present password.
    pub old: String,
    /// The one to use from now on, at least 10 characters.
    pub new: String,
}

impl std::fmt::Debug for PasswordRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PasswordRequest(…)")
    }
}

/// Who is at the other end: `GET /api/v1/manager`, open to all.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ManagerView {
    /// The manager's name.
    pub name: String,
    /// Its release.
    pub release: String,
    /// Its wall clock, in milliseconds since the Unix epoch.
    pub unix_ms: u64,
}

/// One object of a cluster, as `GET /api/v1/clusters/{id}/objects/{kind}` lists it. The value is the cluster
/// server's own JSON, passed through.
pub type ObjectValue = serde_json::Value;
