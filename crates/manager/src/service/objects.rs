//! The objects of a cluster, at its cluster server: passed through with the manager's token. What the cluster
//! server finds wrong with a value comes back in its own words; the log says who changed what, never the value.

use super::error::ServiceError;
use super::journal::Told;
use super::{Service, administrator};
use crate::client::escaped;
use crate::machine::Machine;
use axum::body::Bytes;
use axum::http::Method;
use model::Kind;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::net::IpAddr;
use web::Principal;

/// What may be read of a machine's own API by way of the manager: the first segments of its paths. `calls` has
/// `calls/{session}/ladder` and `/pcap` below it, `objects` every object.
const READABLE: &[&str] = &[
    "authority",
    "bans",
    "bindings",
    "calls",
    "explain",
    "identity",
    "lines",
    "objects",
    "records",
    "state",
];

impl Service {
    /// The objects of a kind in a cluster (the cluster's identity, or the key of its cluster server).
    ///
    /// # Errors
    /// See [`ServiceError`].
    pub async fn objects(&self, cluster: &str, kind: &str) -> Result<Value, ServiceError> {
        let path = format!("/api/v1/objects/{}", kind_named(kind)?);
        Ok(self.centre(cluster)?.1.client().get(&path).await?)
    }

    /// One object.
    ///
    /// # Errors
    /// See [`ServiceError`].
    pub async fn object(&self, cluster: &str, kind: &str, key: &str) -> Result<Value, ServiceError> {
        Ok(self.centre(cluster)?.1.client().get(&path(kind, key)?).await?)
    }

    /// Writes an object; it is in force at every connected member at once.
    ///
    /// # Errors
    /// See [`ServiceError`]; nothing is changed then.
    pub async fn put_object(
        &self,
        who: &Principal,
        cluster: &str,
        kind: &str,
        key: &str,
        value: &Value,
    ) -> Result<Value, ServiceError> {
        administrator(who)?;
        let (centre, machine) = self.centre(cluster)?;
        let path = path(kind, key)?;
        let work = async {
            let answer: Value = machine.client().put(&path, value).await?;
            let detail = format!("{kind} '{key}' in force at revision {}", revision(&answer));
            Ok(Told::new(answer, detail))
        };
        self.journal().record(&who.user, &format!("put {kind}"), &centre, work).await.0
    }

    /// Deletes an object.
    ///
    /// # Errors
    /// See [`ServiceError`].
    pub async fn delete_object(
        &self,
        who: &Principal,
        cluster: &str,
        kind: &str,
        key: &str,
    ) -> Result<Value, ServiceError> {
        administrator(who)?;
        let (centre, machine) = self.centre(cluster)?;
        let path = path(kind, key)?;
        let work = async {
            let answer: Value = machine.client().delete(&path).await?;
            let detail = format!("{kind} '{key}' gone at revision {}", revision(&answer));
            Ok(Told::new(answer, detail))
        };
        self.journal().record(&who.user, &format!("delete {kind}"), &centre, work).await.0
    }

    /// What a machine's own API answers to a GET of `path` (below `/api/v1/`); `query` is passed on as it is.
    ///
    /// # Errors
    /// See [`ServiceError`].
    pub async fn read_machine(
        &self,
        key: &str,
        path: &str,
        query: Option<&str>,
    ) -> Result<Bytes, ServiceError> {
        let first = path.split('/').next().unwrap_or_default();
        if !READABLE.contains(&first) || path.split('/').any(|segment| segment == "..") {
            let reason = format!("what can be read of a machine: {}", READABLE.join(", "));
            return Err(ServiceError::Field { field: "path", reason });
        }
        let path: Vec<String> = path.split('/').map(escaped).collect();
        let path = match query {
            Some(query) => format!("/api/v1/{}?{query}", path.join("/")),
            None => format!("/api/v1/{}", path.join("/")),
        };
        Ok(self.machine(key)?.client().send(Method::GET, &path, Bytes::new()).await?.1)
    }

    /// The same as JSON; an answer that is none is a JSON text.
    ///
    /// # Errors
    /// See [`ServiceError`].
    pub async fn ask(&self, key: &str, path: &str, query: Option<&str>) -> Result<Value, ServiceError> {
        let body = self.read_machine(key, path, query).await?;
        Ok(serde_json::from_slice(&body)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&body).into_owned())))
    }

    /// Ends a call at a machine.
    ///
    /// # Errors
    /// See [`ServiceError`].
    pub async fn end_call(&self, who: &Principal, key: &str, call: &str) -> Result<(), ServiceError> {
        administrator(who)?;
        let machine = self.machine(key)?;
        let path = format!("/api/v1/calls/{}/end", escaped(call));
        let work = async {
            let _ended = machine.client().send(Method::POST, &path, Bytes::new()).await?;
            Ok(Told::new((), format!("call {call} ended")))
        };
        self.journal().record(&who.user, "end call", key, work).await.0
    }

    /// Says how many messages wait for a subscriber whose phones are registered at a machine.
    ///
    /// # Errors
    /// See [`ServiceError`].
    pub async fn put_messages(
        &self,
        who: &Principal,
        key: &str,
        extension: &str,
        messages: &Value,
    ) -> Result<Value, ServiceError> {
        administrator(who)?;
        let machine = self.machine(key)?;
        let path = format!("/api/v1/lines/{}/messages", escaped(extension));
        let work = async {
            let answer: Value = machine.client().put(&path, messages).await?;
            Ok(Told::new(answer, format!("messages of {extension} are {messages}")))
        };
        self.journal().record(&who.user, "put messages", key, work).await.0
    }

    /// Lets somebody off whom a machine braked for wrong passwords: a source as one user, or a whole source.
    ///
    /// # Errors
    /// See [`ServiceError`].
    pub async fn lift_ban(
        &self,
        who: &Principal,
        key: &str,
        source_ip: IpAddr,
        user: Option<&str>,
    ) -> Result<(), ServiceError> {
        administrator(who)?;
        let machine = self.machine(key)?;
        let user = user.map(|user| format!("?user={}", escaped(user))).unwrap_or_default();
        let path = format!("/api/v1/bans/{}{user}", escaped(&source_ip.to_string()));
        let work = async {
            let _lifted: Value = machine.client().delete(&path).await?;
            Ok(Told::new((), format!("ban of {source_ip} lifted")))
        };
        self.journal().record(&who.user, "lift ban", key, work).await.0
    }

    fn centre(&self, cluster: &str) -> Result<(String, Machine), ServiceError> {
        let topology = self.snapshot();
        let (key, machine) = topology.cluster(cluster)?;
        Ok((key.to_owned(), self.connect(key, machine)?))
    }
}

/// The objects of a list answer: an array of `{key, value}` or of `{key, …value}`, or a map of key to value.
pub(crate) fn listed<T: DeserializeOwned>(answer: &Value) -> impl Iterator<Item = (String, T)> {
    let rows: Vec<(String, Value)> = match answer {
        Value::Array(rows) => rows.iter().filter_map(row).collect(),
        Value::Object(map) => match map.get("objects").and_then(Value::as_array) {
            Some(rows) => rows.iter().filter_map(row).collect(),
            None => map.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
        },
        _ => Vec::new(),
    };
    rows.into_iter().filter_map(|(key, value)| Some((key, serde_json::from_value(value).ok()?)))
}

fn row(row: &Value) -> Option<(String, Value)> {
    let key = row.get("key")?.as_str()?.to_owned();
    Some((key, row.get("value").unwrap_or(row).clone()))
}

fn revision(answer: &Value) -> u64 {
    answer.get("revision").and_then(Value::as_u64).unwrap_or_default()
}

fn kind_named(kind: &str) -> Result<Kind, ServiceError> {
    Kind::from_name(kind).ok_or_else(|| {
        let known: Vec<&str> = Kind::ALL.iter().map(|kind| kind.name()).collect();
        ServiceError::Field { field: "kind", reason: format!("'{kind}' is none of: {}", known.join(", ")) }
    })
}

fn path(kind: &str, key: &str) -> Result<String, ServiceError> {
    Ok(format!("/api/v1/objects/{}/{}", kind_named(kind)?, escaped(key)))
}
