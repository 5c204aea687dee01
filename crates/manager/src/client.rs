//! The typed client of the manager's API: what `pleiad ctl` and `pleiad demo` are written with, and nothing else.
//!
//! It can do what an operator can do, no more. The certificate of the manager is pinned; the fingerprint is
//! printed by the manager at its start and kept in `<dir>/fingerprint`.

use crate::view::{
    ClaimRequest, ConfigureRequest, Deployment, Doctor, MachineCreate, MachineEdit, MachineView, ManagerView,
    Map, MultiSiteRequest, MultiSiteView, ObjectValue, Operation, OperatorCreated, OperatorRequest,
    OperatorView, RegionRequest, RegionView,
};
use serde::{Deserialize, Serialize};
use std::time::Duration;
pub use web::auth::Login;
pub use web::client::{Event, EventStream};
pub use web::{ApiError, Client as Wire, ClientError, Fingerprint, account::Role};

/// A configuration waits for a machine to restart and synchronise; the answer may take as long.
const CONFIGURE_DEADLINE: Duration = Duration::from_secs(180);

/// What the cluster server answers to a written object.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Written {
    /// The revision at which it is in force.
    pub revision: u64,
    /// A generated secret, shown once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

/// A session with one manager.
#[derive(Debug, Clone)]
pub struct Client {
    wire: Wire,
}

impl Client {
    /// A client that has not logged in yet. `address` is `host:port`.
    ///
    /// # Errors
    /// [`ClientError::Address`].
    pub fn new(address: &str, fingerprint: Fingerprint) -> Result<Client, ClientError> {
        Ok(Client { wire: Wire::pinned(address, fingerprint)? })
    }

    /// A client with a token from an earlier login.
    ///
    /// # Errors
    /// [`ClientError::Address`].
    pub fn with_token(address: &str, fingerprint: Fingerprint, token: &str) -> Result<Client, ClientError> {
        Ok(Client { wire: Wire::pinned(address, fingerprint)?.with_token(token) })
    }

    /// Logs in; the answer's token is used from now on.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn login(&mut self, user: &str, password: &str) -> Result<Login, ClientError> {
        let credentials = serde_json::json!({ "user": user, "password": password });
        let answer: Login = self.wire.post("/api/v1/login", &credentials).await?;
        self.wire = self.wire.clone().with_token(&answer.token);
        Ok(answer)
    }

    /// The connection itself, for paths that have no method here (`/api/v1/openapi.json`, a new release's).
    #[must_use]
    pub fn wire(&self) -> &Wire {
        &self.wire
    }

    /// Who the manager is; open to all, so it also says whether the manager is there.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn manager(&self) -> Result<ManagerView, ClientError> {
        self.wire.get("/api/v1/manager").await
    }

    /// Changes the own password.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn change_password(&self, old: &str, new: &str) -> Result<(), ClientError> {
        let change = serde_json::json!({ "old": old, "new": new });
        let _done: serde_json::Value = self.wire.post("/api/v1/password", &change).await?;
        Ok(())
    }

    /// The regions.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn regions(&self) -> Result<Vec<RegionView>, ClientError> {
        self.wire.get("/api/v1/regions").await
    }

    /// Makes a region (DCS-03).
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn create_region(&self, request: &RegionRequest) -> Result<RegionView, ClientError> {
        self.wire.post("/api/v1/regions", request).await
    }

    /// Deletes a region that has no multi-site.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn delete_region(&self, id: &str) -> Result<(), ClientError> {
        self.wire.delete(&format!("/api/v1/regions/{id}")).await
    }

    /// The multi-sites.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn multi_sites(&self) -> Result<Vec<MultiSiteView>, ClientError> {
        self.wire.get("/api/v1/multi-sites").await
    }

    /// Makes a multi-site in a region (DCS-04).
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn create_multi_site(&self, request: &MultiSiteRequest) -> Result<MultiSiteView, ClientError> {
        self.wire.post("/api/v1/multi-sites", request).await
    }

    /// Deletes a multi-site that has no cluster server.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn delete_multi_site(&self, id: &str) -> Result<(), ClientError> {
        self.wire.delete(&format!("/api/v1/multi-sites/{id}")).await
    }

    /// The machines.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn machines(&self) -> Result<Vec<MachineView>, ClientError> {
        self.wire.get("/api/v1/machines").await
    }

    /// One machine.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn machine(&self, id: &str) -> Result<MachineView, ClientError> {
        self.wire.get(&format!("/api/v1/machines/{id}")).await
    }

    /// Puts a machine into the topology (DCS-06, DEP-23).
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn create_machine(&self, request: &MachineCreate) -> Result<MachineView, ClientError> {
        self.wire.post("/api/v1/machines", request).await
    }

    /// Changes what the operator said of a machine.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn edit_machine(&self, id: &str, edit: &MachineEdit) -> Result<MachineView, ClientError> {
        self.wire.put(&format!("/api/v1/machines/{id}"), edit).await
    }

    /// Takes a machine out of the topology: its identity is refused by the cluster from then on, and it is reset
    /// when it can be reached.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn delete_machine(&self, id: &str) -> Result<(), ClientError> {
        self.wire.clone().with_deadline(CONFIGURE_DEADLINE).delete(&format!("/api/v1/machines/{id}")).await
    }

    /// Claims a machine with the code it shows.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn claim(&self, id: &str, code: &str) -> Result<Deployment, ClientError> {
        let request = ClaimRequest { code: code.to_owned() };
        self.wire.post(&format!("/api/v1/machines/{id}/claim"), &request).await
    }

    /// Reads and checks a machine's identity (DCS-14, DEP-25).
    ///
    /// # Errors
    /// See [`ClientError`]; a refusal carries the reason and the next thing to do.
    pub async fn identify(&self, id: &str) -> Result<Deployment, ClientError> {
        self.wire.post(&format!("/api/v1/machines/{id}/identify"), &()).await
    }

    /// Gives a machine its role and waits until it is in service (DCS-18..21, DEP-28..36).
    ///
    /// # Errors
    /// See [`ClientError`]; a refusal carries the reason and the next thing to do.
    pub async fn configure(&self, id: &str, force: bool) -> Result<Deployment, ClientError> {
        let wire = self.wire.clone().with_deadline(CONFIGURE_DEADLINE);
        wire.post(&format!("/api/v1/machines/{id}/configure"), &ConfigureRequest { force }).await
    }

    /// What a machine's own API answers to `GET /api/v1/{path}`: `state`, `bans`, `bindings`, `lines`, `calls`, `records`,
    /// `calls/{session}/ladder`, `explain?from=…&to=…`, `objects/{kind}`. An answer that is not JSON is a JSON text.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn ask(&self, id: &str, path: &str) -> Result<serde_json::Value, ClientError> {
        let body = self.ask_bytes(id, path).await?;
        Ok(serde_json::from_slice(&body)
            .unwrap_or_else(|_| serde_json::Value::String(String::from_utf8_lossy(&body).into_owned())))
    }

    /// The same as bytes, for `calls/{session}/pcap`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn ask_bytes(&self, id: &str, path: &str) -> Result<Vec<u8>, ClientError> {
        let body = self.wire.get_bytes(&format!("/api/v1/machines/{id}/machine-api/{path}")).await?;
        Ok(body.to_vec())
    }

    /// Says how many messages wait for a subscriber at a machine.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn put_messages(
        &self,
        id: &str,
        extension: &str,
        messages: &serde_json::Value,
    ) -> Result<serde_json::Value, ClientError> {
        let path = format!("/api/v1/machines/{id}/lines/{}/messages", escaped(extension));
        self.wire.put(&path, messages).await
    }

    /// Ends a call at a machine; `call` is its id in the machine's list of calls.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn end_call(&self, id: &str, call: &str) -> Result<(), ClientError> {
        let _ended: serde_json::Value =
            self.wire.post(&format!("/api/v1/machines/{id}/calls/{}/end", escaped(call)), &()).await?;
        Ok(())
    }

    /// Lets somebody off whom a machine braked for wrong passwords: a source as one user, or, without user, all of it.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn lift_ban(&self, id: &str, source_ip: &str, user: Option<&str>) -> Result<(), ClientError> {
        let user = user.map(|user| format!("?user={}", escaped(user))).unwrap_or_default();
        self.wire.delete(&format!("/api/v1/machines/{id}/bans/{}{user}", escaped(source_ip))).await
    }

    /// The objects of a kind in a cluster, as its cluster server lists them.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn objects(&self, cluster: &str, kind: &str) -> Result<ObjectValue, ClientError> {
        self.wire.get(&format!("/api/v1/clusters/{cluster}/objects/{kind}")).await
    }

    /// One object.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn object(&self, cluster: &str, kind: &str, key: &str) -> Result<ObjectValue, ClientError> {
        self.wire.get(&object_path(cluster, kind, key)).await
    }

    /// Writes an object at the cluster server; it is in force at every connected member at once.
    ///
    /// # Errors
    /// See [`ClientError`]; what the cluster server finds wrong is passed through.
    pub async fn put_object(
        &self,
        cluster: &str,
        kind: &str,
        key: &str,
        value: &ObjectValue,
    ) -> Result<Written, ClientError> {
        self.wire.put(&object_path(cluster, kind, key), value).await
    }

    /// Deletes an object.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn delete_object(&self, cluster: &str, kind: &str, key: &str) -> Result<Written, ClientError> {
        self.wire.delete(&object_path(cluster, kind, key)).await
    }

    /// The last entries of the operations log, newest first.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn operations(&self, limit: usize) -> Result<Vec<Operation>, ClientError> {
        self.wire.get(&format!("/api/v1/operations?limit={limit}")).await
    }

    /// Who may log in.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn operators(&self) -> Result<Vec<OperatorView>, ClientError> {
        self.wire.get("/api/v1/operators").await
    }

    /// Makes an account, or gives one another role and a new password; the answer shows the password once.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn set_operator(&self, user: &str, role: Role) -> Result<OperatorCreated, ClientError> {
        self.wire.put(&format!("/api/v1/operators/{}", escaped(user)), &OperatorRequest { role }).await
    }

    /// Removes an account.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn delete_operator(&self, user: &str) -> Result<(), ClientError> {
        self.wire.delete(&format!("/api/v1/operators/{}", escaped(user))).await
    }

    /// The supervision map (DEP-45).
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn map(&self) -> Result<Map, ClientError> {
        self.wire.get("/api/v1/map").await
    }

    /// What is wrong with the installation, and what to do about it.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn doctor(&self) -> Result<Doctor, ClientError> {
        self.wire.clone().with_deadline(Duration::from_secs(30)).get("/api/v1/doctor").await
    }

    /// Follows what happens: topic `operation` (its data an [`Operation`]), and `map` and `topology`, which only say
    /// that something changed.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn events(&self) -> Result<EventStream, ClientError> {
        self.wire.events("/api/v1/events").await
    }
}

/// Keys may hold characters that have a meaning in a path (`*`, `#`, a blank).
fn object_path(cluster: &str, kind: &str, key: &str) -> String {
    format!("/api/v1/clusters/{cluster}/objects/{kind}/{}", escaped(key))
}

/// Percent-encodes everything but RFC 3986's unreserved characters (§2.3).
pub(crate) fn escaped(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_stays_one_path_segment() {
        assert_eq!(
            object_path("c-1", "special-number", "*11#/a b"),
            "/api/v1/clusters/c-1/objects/special-number/%2A11%23%2Fa%20b"
        );
    }
}
