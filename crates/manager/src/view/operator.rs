//! The people who may log in, as the API shows them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use web::account::Role;

/// `PUT /api/v1/operators/{user}`: makes an account, or gives one another role and a new password.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OperatorRequest {
    /// What it may do.
    pub role: Role,
}

/// An account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OperatorView {
    /// Its login name.
    pub user: String,
    /// What it may do.
    pub role: Role,
    /// True while its password is a generated one.
    pub must_change: bool,
}

/// An account with the password that was made for it, shown here and nowhere again.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct OperatorCreated {
    /// Its login name.
    pub user: String,
    /// What it may do.
    pub role: Role,
    /// To be changed at the first login.
    pub password: String,
}

impl std::fmt::Debug for OperatorCreated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OperatorCreated")
            .field("user", &self.user)
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}
