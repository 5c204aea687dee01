//! The objects of the configuration: read everywhere, written where they are owned.
//!
//! An acknowledged write is on disk, in force in this machine's calls and handed to every link, in that order,
//! before the caller hears of it: the store's writer tells engine and links as it commits.

use super::references;
use crate::machine::Machine;
use crate::member::{CallInput, LinkInput};
use crate::running::Running;
use model::object::subscriber::SECRET_CHARACTERS_MIN;
use model::object::{Credentials, Object, Subscriber, canonical};
use model::{Kind, Record, Scope};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sip::digest::{Algorithm, ha1};
use std::sync::Arc;
use store::{Commit, Committed};
use web::ApiError;
use web::auth::Principal;

/// An object as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ObjectView {
    /// Its name among its kind.
    pub key: String,
    /// The revision that last wrote it.
    pub revision: u64,
    /// Its value; credentials are never shown.
    pub value: Value,
}

/// What a write did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Written {
    /// The revision it is in force from.
    pub revision: u64,
    /// A secret that was generated for it, shown this once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

/// All objects of a kind, by key.
///
/// # Errors
/// 404 for a kind that is not a cluster's.
pub async fn list(machine: &Machine, kind: &str) -> Result<Vec<ObjectView>, ApiError> {
    let kind = cluster_kind(kind)?;
    let store = machine.store().clone();
    let records = super::on_disk(move || store.list(kind)).await?;
    Ok(records.iter().map(view).collect())
}

/// One object.
///
/// # Errors
/// 404 when there is none.
pub async fn get(machine: &Machine, kind: &str, key: &str) -> Result<ObjectView, ApiError> {
    let kind = cluster_kind(kind)?;
    match stored(machine, kind, key).await? {
        Some(record) => Ok(view(&record)),
        None => Err(ApiError::not_found(format!("{kind} '{key}'"))),
    }
}

/// Writes an object, new or not.
///
/// # Errors
/// 400 when it cannot be, 409 `not-owner` on a node. Nothing is changed then.
pub async fn put(
    machine: &Machine,
    principal: &Principal,
    kind: &str,
    key: &str,
    body: Value,
) -> Result<Written, ApiError> {
    principal.administrator()?;
    let kind = cluster_kind(kind)?;
    let running = super::running(machine)?;
    check_owner(&running)?;
    let (bytes, secret) = match kind {
        Kind::Subscriber => {
            let before = stored(machine, kind, key).await?;
            subscriber(&running, key, body, before.as_ref())?
        }
        Kind::Cluster => (unchanged_identity(&running, body)?, None),
        _ => (serialised(kind, &body)?, None),
    };
    let value = canonical(kind, key, &bytes)?;
    references::check_named(&running, kind, key, &value).await?;
    let commit = Commit::new().put(kind, key, value);
    let committed = commit_and_tell(machine, &running, commit).await?;
    tracing::info!(%kind, key = %shown(machine, kind, key), by = %principal.user, revision = committed.revision, "object written");
    Ok(Written { revision: committed.revision, secret })
}

/// Removes an object.
///
/// # Errors
/// 404 when there is none, 409 `not-owner` on a node or when the system needs it.
pub async fn delete(
    machine: &Machine,
    principal: &Principal,
    kind: &str,
    key: &str,
) -> Result<Written, ApiError> {
    principal.administrator()?;
    let kind = cluster_kind(kind)?;
    let running = super::running(machine)?;
    check_owner(&running)?;
    let record = stored(machine, kind, key).await?;
    let record = record.ok_or_else(|| ApiError::not_found(format!("{kind} '{key}'")))?;
    check_not_needed(&record)?;
    references::check_unnamed(&running, kind, key).await?;
    let committed = commit_and_tell(machine, &running, Commit::new().delete(kind, key)).await?;
    tracing::info!(%kind, key = %shown(machine, kind, key), by = %principal.user, revision = committed.revision, "object deleted");
    Ok(Written { revision: committed.revision, secret: None })
}

/// Commits, and tells engine and links from the writer's thread, in the order of the revisions.
async fn commit_and_tell(
    machine: &Machine,
    running: &Arc<Running>,
    commit: Commit,
) -> Result<Committed, ApiError> {
    let (sender, answer) = tokio::sync::oneshot::channel();
    let teller = Arc::clone(running);
    let hub = machine.hub().clone();
    machine.store().commit_then(commit, move |committed| {
        if let Ok(committed) = &committed {
            let Committed { revision, changes, .. } = committed.clone();
            teller.engine.tell(CallInput::Changes(changes.clone()));
            teller.link.tell(LinkInput::Committed { revision, changes });
            hub.changed("objects");
        }
        let _gone = sender.send(committed);
    });
    match answer.await {
        Ok(committed) => committed.map_err(super::store_refusal),
        Err(_) => Err(ApiError::internal("the store has stopped")),
    }
}

fn cluster_kind(name: &str) -> Result<Kind, ApiError> {
    Kind::from_name(name)
        .filter(|kind| matches!(kind.scope(), Scope::Common | Scope::Subscriber))
        .ok_or_else(|| ApiError::not_found(format!("kind '{name}' among a cluster's objects")))
}

fn check_owner(running: &Running) -> Result<(), ApiError> {
    match running.role.owner_elsewhere() {
        None => Ok(()),
        Some(address) => {
            let text = format!("this is managed by the cluster server at {address}");
            Err(ApiError::conflict("not-owner", text)
                .next("change it at the cluster server; it is in force here a moment later"))
        }
    }
}

/// The cluster record and the last general-purpose subscriber are part of every system (DEP-21).
fn check_not_needed(record: &Record) -> Result<(), ApiError> {
    let general = record.kind == Kind::Subscriber
        && Subscriber::from_json(&record.key, &record.value)
            .is_ok_and(|subscriber| subscriber.general_purpose);
    if general || record.kind == Kind::Cluster {
        let text = format!("{} '{}' exists on every system and cannot be deleted", record.kind, record.key);
        return Err(ApiError::conflict("needed", text));
    }
    Ok(())
}

/// The identity of a cluster is fixed when it is made: realm and addresses hang on it.
fn unchanged_identity(running: &Running, body: Value) -> Result<Vec<u8>, ApiError> {
    let id = &running.role.cluster().id;
    if body.get("id").and_then(Value::as_str) != Some(id.as_str()) {
        let text = format!("the identity of a cluster is fixed when it is made: id must stay '{id}'");
        return Err(ApiError::bad_request("invalid-object", text));
    }
    serialised(Kind::Cluster, &body)
}

/// Turns `secret` into HA1s; without one the old credentials stay, and a new subscriber gets a generated one.
fn subscriber(
    running: &Running,
    key: &str,
    mut body: Value,
    before: Option<&Record>,
) -> Result<(Vec<u8>, Option<String>), ApiError> {
    let Some(fields) = body.as_object_mut() else {
        return Err(ApiError::bad_request("malformed-object", "a subscriber is a JSON object"));
    };
    let before = before.and_then(|record| Subscriber::from_json(key, &record.value).ok());
    let given = fields.remove("secret");
    let has_credentials = fields.get("credentials").is_some_and(|credentials| !credentials.is_null());
    let general = fields.get("general_purpose") == Some(&Value::Bool(true));
    let (credentials, generated) = match (given, has_credentials, before) {
        (Some(Value::String(secret)), false, _) => {
            check_secret(&secret)?;
            (Some(credentials(running, key, &secret)), None)
        }
        (Some(Value::Null) | None, true, _) => (None, None),
        (Some(Value::Null) | None, false, Some(before)) => (before.credentials, None),
        (Some(Value::Null) | None, false, None) if general => (None, None),
        (Some(Value::Null) | None, false, None) => {
            let secret = web::secret::password()?;
            (Some(credentials(running, key, &secret)), Some(secret))
        }
        (Some(_), _, _) => {
            let text = "give 'secret' as a text, or 'credentials', or neither; not both";
            return Err(ApiError::bad_request("invalid-object", text));
        }
    };
    if !has_credentials {
        let value = serde_json::to_value(credentials)
            .map_err(|fault| ApiError::internal(format!("credentials: {fault}")))?;
        fields.insert("credentials".to_owned(), value);
    }
    Ok((serialised(Kind::Subscriber, &body)?, generated))
}

fn check_secret(secret: &str) -> Result<(), ApiError> {
    if secret.chars().count() < SECRET_CHARACTERS_MIN {
        let text = format!("a secret has at least {SECRET_CHARACTERS_MIN} characters");
        return Err(ApiError::bad_request("weak-secret", text)
            .next("leave 'secret' out of a new subscriber, and a strong one is generated"));
    }
    Ok(())
}

/// RFC 8760: both HA1s, of the user as the extension and the realm as the cluster's id.
fn credentials(running: &Running, user: &str, secret: &str) -> Credentials {
    let realm = running.role.cluster().id.as_str();
    Credentials {
        ha1_md5: ha1(Algorithm::Md5, user, realm, secret),
        ha1_sha256: ha1(Algorithm::Sha256, user, realm, secret),
    }
}

fn serialised(kind: Kind, body: &Value) -> Result<Vec<u8>, ApiError> {
    serde_json::to_vec(body)
        .map_err(|fault| ApiError::bad_request("malformed-object", format!("{kind}: {fault}")))
}

async fn stored(machine: &Machine, kind: Kind, key: &str) -> Result<Option<Record>, ApiError> {
    let (store, key) = (machine.store().clone(), key.to_owned());
    super::on_disk(move || store.get(kind, &key)).await
}

fn view(record: &Record) -> ObjectView {
    let mut value: Value = serde_json::from_slice(&record.value).unwrap_or(Value::Null);
    if let Some(fields) = value.as_object_mut()
        && let Some(credentials) = fields.remove("credentials")
    {
        fields.insert("has_credentials".to_owned(), Value::Bool(!credentials.is_null()));
    }
    ObjectView { key: record.key.clone(), revision: record.revision, value }
}

/// A subscriber's number is personal: shown in the log only where the settings allow it.
fn shown(machine: &Machine, kind: Kind, key: &str) -> String {
    if kind == Kind::Subscriber && !machine.config().log_numbers { "…".to_owned() } else { key.to_owned() }
}
