//! What the manager's HTTPS API says and hears: its JSON, defined once, for the server, the typed
//! [`client`](crate::client) and the OpenAPI document.
//!
//! These are views, not the stored objects: a view says what an operator may see, so no secret but the
//! ones shown exactly once (a generated password, a token) has a field here.

pub mod operation;
pub mod operator;
pub mod supervision;
pub mod topology;

pub use operation::{Operation, OperationOutcome, StepReport};
pub use operator::{OperatorCreated, OperatorRequest, OperatorView};
pub use supervision::{
    Check, Doctor, LinkState, LiveState, MachineSight, Map, MapLink, MapMachine, Reach, Verdict,
};
pub use topology::{
    ClaimRequest, ConfigureRequest, Deployment, MachineCreate, MachineEdit, MachineKind, MachineView,
    MultiSiteRequest, MultiSiteView, Progress, RegionRequest, RegionView,
};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

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
