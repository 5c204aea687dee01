//! What is kept on disk of lamps, so that they go on after `kill -9` without waiting for the phones' next refreshes (DESIGN § 5.1).
//! A subscription is written before the SUBSCRIBE that made or renewed it is answered, and when its phone comes back on
//! another connection; how many messages wait, when that changes. Both are removed at their end.
//!
//! It is not the frozen form: what a phone was shown last is not in it, so after a restore it is told everything.

use super::package::{Event, Package};
use super::subscription::Subscription;
use super::summary::Messages;
use crate::hop::Hop;
use model::Extension;
use serde::{Deserialize, Serialize};
use sip::Dialog;
use std::time::Duration;

/// The version of the kept form that this release writes and reads.
const VERSION: u32 = 1;

/// NOTIFYs that may have been sent since it was kept; at five a second an hour has 18,000.
const NUMBERS_LEFT_OUT: u32 = 100_000;

/// Restored subscriptions are told this late: by then other members have said how their lines are.
const TOLD_AFTER: Duration = Duration::from_secs(2);
/// And one after the other, so that calls are not behind a burst of lamps.
const TOLD_EVERY: Duration = Duration::from_millis(1);

/// A change of what is kept of lamps. It is written before the answer of the same step is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubscriptionChange {
    /// Keep these bytes under this name, in place of what was there.
    Kept {
        /// Unique in the edge, for ever.
        name: String,
        /// For `Edge::restore_subscriptions`.
        bytes: Vec<u8>,
    },
    /// What has that name is over.
    Over {
        /// Its name.
        name: String,
    },
}

#[derive(Serialize, Deserialize)]
struct Kept {
    version: u32,
    what: What,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum What {
    Subscription(Box<Standing>),
    Messages(Extension, Messages),
}

/// A subscription, but for what its phone was shown.
#[derive(Serialize, Deserialize)]
struct Standing {
    package: Package,
    event_id: Option<String>,
    watcher: Extension,
    watched: Extension,
    dialog: Dialog,
    hop: Hop,
    until: Duration,
}

#[derive(Deserialize)]
struct Version {
    version: u32,
}

/// Why a kept subscription is not restored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreadable {
    #[error("kept by version {0}; this release reads version {VERSION}")]
    Version(u32),
    #[error("the kept lamp cannot be read: {0}")]
    Json(#[from] serde_json::Error),
}

/// Something that was kept.
pub(crate) enum Restored {
    Subscription(Box<Subscription>),
    Messages(Extension, Messages),
}

impl Restored {
    /// As it was when it was kept. If it is a subscription, its phone is told everything as the `nth`; one on a connection, when
    /// it comes back with another.
    pub(crate) fn of(now: Duration, bytes: &[u8], nth: u32) -> Result<Restored, Unreadable> {
        let Version { version } = serde_json::from_slice(bytes)?;
        if version != VERSION {
            return Err(Unreadable::Version(version));
        }
        let Kept { what, .. } = serde_json::from_slice(bytes)?;
        Ok(match what {
            What::Subscription(standing) => Restored::Subscription(Box::new(standing.restored(now, nth))),
            What::Messages(extension, messages) => Restored::Messages(extension, messages),
        })
    }
}

impl Standing {
    fn restored(self, now: Duration, nth: u32) -> Subscription {
        let Standing { package, event_id, watcher, watched, mut dialog, hop, until } = self;
        dialog.local_cseq = dialog.local_cseq.saturating_add(NUMBERS_LEFT_OUT);
        let is_gone = matches!(&hop, Hop::Phone(flow) if flow.transport.is_reliable());
        let event = Event { package, id: event_id };
        let subscription = Subscription::new(event, (watcher, watched), (dialog, hop), until);
        subscription.begun_again(NUMBERS_LEFT_OUT, now + TOLD_AFTER + TOLD_EVERY * nth, is_gone)
    }
}

impl SubscriptionChange {
    /// So many messages wait for a subscriber.
    pub(crate) fn of_messages(extension: &Extension, messages: Messages) -> Option<SubscriptionChange> {
        let name = format!("messages of {extension}");
        if messages == Messages::default() {
            return Some(SubscriptionChange::Over { name });
        }
        SubscriptionChange::keeping(name, What::Messages(extension.clone(), messages))
    }

    /// None for a value that is no JSON, which is a bug of ours: the lamp then ends with the process.
    fn keeping(name: String, what: What) -> Option<SubscriptionChange> {
        let bytes = serde_json::to_vec(&Kept { version: VERSION, what }).ok()?;
        Some(SubscriptionChange::Kept { name, bytes })
    }
}

impl Subscription {
    /// The change that keeps it as it is now.
    pub(super) fn kept(&self) -> Option<SubscriptionChange> {
        let standing = Standing {
            package: self.package,
            event_id: self.event_id.clone(),
            watcher: self.watcher.clone(),
            watched: self.watched.clone(),
            dialog: self.dialog.clone(),
            hop: self.hop.clone(),
            until: self.until,
        };
        SubscriptionChange::keeping(self.kept_name(), What::Subscription(Box::new(standing)))
    }

    /// The change that forgets it.
    pub(crate) fn forgotten(&self) -> SubscriptionChange {
        SubscriptionChange::Over { name: self.kept_name() }
    }

    /// Our own tag, which has 64 random bits.
    fn kept_name(&self) -> String {
        self.dialog.local_tag().to_owned()
    }
}
