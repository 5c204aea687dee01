//! PBX_INFOS: a machine that has started, or has a new role, says so to its manager (DEP-35), again and again
//! until the manager has heard it.

use crate::claim::Owner;
use crate::config::Config;
use crate::identity::Identity;
use crate::role::Role;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use web::{Client, ClientError, Fingerprint};

/// The first pause between attempts; it doubles.
const PAUSE_FIRST: Duration = Duration::from_millis(500);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// How long the manager may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Why a machine announces itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// It has started.
    Start,
    /// It has a new role.
    Role,
}

/// What it says.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Announcement {
    /// Who it is.
    pub dongle_id: String,
    /// What it runs.
    pub release: String,
    /// In which role.
    pub role: String,
    /// With which number.
    pub node_number: Option<u8>,
    /// Why now.
    pub event: Event,
}

impl Announcement {
    /// What this machine has to say.
    #[must_use]
    pub fn of(identity: &Identity, config: &Config, role: &Role, event: Event) -> Announcement {
        Announcement {
            dongle_id: identity.dongle_id.to_string(),
            release: config.release.to_string(),
            role: role.name().word().to_owned(),
            node_number: role.node_number().map(model::MemberNumber::get),
            event,
        }
    }
}

/// Something to announce, and to whom.
pub type Job = (Owner, Announcement);

/// Announces what comes until `stop`; a newer announcement replaces one that was not delivered yet.
pub async fn run(mut jobs: mpsc::UnboundedReceiver<Job>, stop: CancellationToken) {
    let mut next = None;
    loop {
        let job = match next.take() {
            Some(job) => job,
            None => tokio::select! {
                () = stop.cancelled() => return,
                job = jobs.recv() => match job {
                    Some(job) => job,
                    None => return,
                },
            },
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = deliver(&job) => {}
            newer = jobs.recv() => next = newer,
        }
    }
}

async fn deliver((owner, announcement): &Job) {
    let mut pause = PAUSE_FIRST;
    loop {
        match announce(owner, announcement).await {
            Ok(()) => {
                tracing::info!(manager = %owner.manager.name, event = ?announcement.event, "announced to the manager");
                return;
            }
            Err(fault) => tracing::info!(%fault, "the manager has not heard us yet: trying again"),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

async fn announce(owner: &Owner, announcement: &Announcement) -> Result<(), AnnounceError> {
    let url = &owner.manager.announce_url;
    let rest = url.strip_prefix("https://").ok_or_else(|| AnnounceError::Url(url.clone()))?;
    let (address, path) = rest.split_once('/').ok_or_else(|| AnnounceError::Url(url.clone()))?;
    let fingerprint: Fingerprint = owner.manager.announce_fingerprint.parse()?;
    let client =
        Client::pinned(address, fingerprint)?.with_token(&owner.announce_token).with_deadline(ANSWER_WITHIN);
    let _heard: serde_json::Value = client.post(&format!("/{path}"), announcement).await?;
    Ok(())
}

/// Why the manager was not reached.
#[derive(Debug, thiserror::Error)]
enum AnnounceError {
    #[error("'{0}' is no https URL with a path")]
    Url(String),
    #[error(transparent)]
    Fingerprint(#[from] web::fingerprint::NotAFingerprint),
    #[error(transparent)]
    Client(#[from] ClientError),
}
