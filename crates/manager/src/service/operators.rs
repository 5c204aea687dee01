//! The people who may log in: made, given a new password, removed. There is always one administrator left.

use super::error::ServiceError;
use super::journal::Told;
use super::{Service, administrator, blocking};
use crate::accounts::Accounts;
use crate::view::{OperatorCreated, OperatorRequest, OperatorView};
use web::account::Role;
use web::{ApiError, Principal};

impl Service {
    /// Every account.
    ///
    /// # Errors
    /// Only administrators may see who may log in.
    pub async fn operators(&self, who: &Principal) -> Result<Vec<OperatorView>, ServiceError> {
        administrator(who)?;
        let accounts = Accounts(self.store().clone());
        let all = blocking(move || accounts.all().map_err(ServiceError::Ours)).await?;
        let view = |(user, account): (String, web::Account)| OperatorView {
            user,
            role: account.role,
            must_change: account.must_change,
        };
        Ok(all.into_iter().map(view).collect())
    }

    /// Makes an account, or gives one another role and a new password; its sessions end.
    ///
    /// # Errors
    /// See [`ServiceError`]; the last administrator cannot become a viewer.
    pub async fn set_operator(
        &self,
        who: &Principal,
        user: &str,
        request: &OperatorRequest,
    ) -> Result<OperatorCreated, ServiceError> {
        administrator(who)?;
        let role = request.role;
        let work = async {
            if role == Role::Viewer {
                self.keep_an_administrator(who, user).await?;
            }
            let password = self.auth().create(user, role).await.map_err(ServiceError::Ours)?;
            let created = OperatorCreated { user: user.to_owned(), role, password };
            Ok(Told::new(created, format!("{role}, with a new password")))
        };
        self.journal().record(&who.user, "set operator", user, work).await.0
    }

    /// Removes an account; its sessions end.
    ///
    /// # Errors
    /// See [`ServiceError`]; the last administrator cannot go.
    pub async fn delete_operator(&self, who: &Principal, user: &str) -> Result<(), ServiceError> {
        administrator(who)?;
        let work = async {
            let known = self.operators(who).await?.into_iter().find(|operator| operator.user == user);
            let known = known.ok_or_else(|| super::state::missing("operator", user))?;
            self.keep_an_administrator(who, user).await?;
            // A password nobody knows ends the sessions; then the account goes.
            self.auth().create(user, known.role).await.map_err(ServiceError::Ours)?;
            let (accounts, user) = (Accounts(self.store().clone()), user.to_owned());
            blocking(move || accounts.remove(&user).map_err(ServiceError::Ours)).await?;
            Ok(Told::new((), "account removed"))
        };
        self.journal().record(&who.user, "delete operator", user, work).await.0
    }

    async fn keep_an_administrator(&self, who: &Principal, user: &str) -> Result<(), ServiceError> {
        let others = self.operators(who).await?;
        let left =
            others.iter().filter(|other| other.user != user && other.role == Role::Administrator).count();
        let existed = others.iter().any(|other| other.user == user);
        if existed && left == 0 {
            let text = format!("'{user}' is the last administrator");
            return Err(ServiceError::Forbidden(
                ApiError::conflict("last-administrator", text).next("make another administrator first"),
            ));
        }
        Ok(())
    }
}
