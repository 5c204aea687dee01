//! One subscription: a dialog of a watching phone, what it was shown last, and when it may be sent to again.
//!
//! ```text
//!   quiet ──news──> due ──NOTIFY──> waiting for its answer ──2xx──> quiet (or due again, 0.2 s after the last)
//!                                        ├── refused ──> over
//!                                        └── its connection is gone ──> lost until the phone registers again
//! ```

use super::line::{Lamp, Look};
use super::package::{Event, Over, Package};
use super::{Scene, Shown, dialog_info, presence, reg, summary};
use crate::core::{Purpose, Turn};
use crate::hop::Hop;
use model::Extension;
use model::object::Sight;
use serde::{Deserialize, Serialize};
use sip::headers::SubscriptionState;
use sip::{Dialog, Message, Method, Name};
use std::time::Duration;

/// One phone is sent to at most this often for one subscription.
const PACE: Duration = Duration::from_millis(200);

/// The name of a subscription within its shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct SubscriptionId(pub(super) u64);

/// The NOTIFY of a subscription that had this number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Notified {
    pub(super) id: SubscriptionId,
    pub(super) cseq: u32,
}

/// See the module.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Subscription {
    pub(super) package: Package,
    pub(super) event_id: Option<String>,
    pub(crate) watcher: Extension,
    pub(crate) watched: Extension,
    pub(super) dialog: Dialog,
    pub(super) hop: Hop,
    pub(crate) until: Duration,
    /// Of its documents.
    version: u32,
    shown: Shown,
    sending: Sending,
    /// What it has yet to be told.
    news: News,
    /// When it may be sent to again.
    free_at: Duration,
}

/// Whether something is on its way to the phone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Sending {
    Nothing,
    /// A NOTIFY is not answered yet.
    Notify,
    /// The phone's connection is gone.
    Lost,
}

/// What a phone has yet to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum News {
    Nothing,
    /// Something may have changed.
    Change,
    /// It does not know anything: everything.
    All,
}

/// What became of a NOTIFY.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answered {
    /// The subscription goes on.
    GoesOn,
    /// The phone does not know it any more.
    Over,
}

impl Subscription {
    pub(super) fn new(
        event: Event,
        (watcher, watched): (Extension, Extension),
        (dialog, hop): (Dialog, Hop),
        until: Duration,
    ) -> Subscription {
        Subscription {
            package: event.package,
            event_id: event.id,
            watcher,
            watched,
            dialog,
            hop,
            until,
            version: 0,
            shown: Shown::default(),
            sending: Sending::Nothing,
            news: News::All,
            free_at: Duration::ZERO,
        }
    }

    /// In another process: its phone is told everything at `told_at`, in documents that are newer by `versions`.
    pub(super) fn begun_again(mut self, versions: u32, told_at: Duration, is_gone: bool) -> Subscription {
        self.version = versions;
        self.free_at = told_at;
        if is_gone {
            self.lost();
        }
        self
    }

    /// True for a SUBSCRIBE of the same phone for the same: it has forgotten this one.
    pub(super) fn is_replaced_by(&self, newer: &Subscription) -> bool {
        self.watcher == newer.watcher
            && self.package == newer.package
            && self.event_id == newer.event_id
            && self.hop == newer.hop
            && self.dialog.target == newer.dialog.target
    }

    pub(super) fn is_for(&self, event: &Event) -> bool {
        self.package == event.package && self.event_id == event.id
    }

    /// What is told may have changed.
    pub(super) fn changed(&mut self) {
        self.news = self.news.max(News::Change);
    }

    /// The phone is to be told everything: it asked.
    pub(super) fn asked(&mut self) {
        self.news = News::All;
        self.free_at = Duration::ZERO;
        if self.sending == Sending::Lost {
            self.sending = Sending::Nothing;
        }
    }

    /// The phone has another flow now.
    pub(super) fn moved(&mut self, to: Hop) {
        self.hop = to;
        self.sending = Sending::Nothing;
        self.asked();
    }

    /// The phone's connection is gone.
    pub(super) fn lost(&mut self) {
        self.sending = Sending::Lost;
    }

    /// When something is to be done.
    pub(super) fn due(&self) -> Duration {
        match (self.sending, self.news) {
            (Sending::Nothing, News::Change | News::All) => self.free_at.min(self.until),
            _ => self.until,
        }
    }

    /// Tells the phone what it does not know yet, if there is anything.
    pub(super) fn tell(&mut self, turn: &mut Turn<'_>, id: SubscriptionId, sees: Sight) {
        let news = std::mem::replace(&mut self.news, News::Nothing);
        let present = self.present(turn);
        if news == News::Change && present.shown == self.shown {
            return;
        }
        let left_s = u32::try_from(self.until.saturating_sub(turn.now).as_secs()).unwrap_or(u32::MAX);
        self.notify(turn, Some(id), &SubscriptionState::active(left_s), news == News::All, (sees, present));
        self.sending = Sending::Notify;
        self.free_at = turn.now + PACE;
    }

    /// The last word.
    pub(super) fn end(mut self, turn: &mut Turn<'_>, why: Over, sees: Sight) {
        let present = self.present(turn);
        self.notify(turn, None, &why.state(), true, (sees, present));
    }

    /// What became of a NOTIFY (RFC 6665 § 4.2.2).
    pub(super) fn answered(&mut self, now: Duration, outcome: Outcome) -> Answered {
        if self.sending == Sending::Notify {
            self.sending = Sending::Nothing;
        }
        match outcome {
            Outcome::Taken => Answered::GoesOn,
            Outcome::Later(wait) => {
                self.news = News::All;
                self.free_at = now + wait;
                Answered::GoesOn
            }
            Outcome::ConnectionGone => {
                self.sending = Sending::Lost;
                Answered::GoesOn
            }
            Outcome::Refused => Answered::Over,
        }
    }

    fn notify(
        &mut self,
        turn: &mut Turn<'_>,
        id: Option<SubscriptionId>,
        state: &SubscriptionState,
        whole: bool,
        (sees, present): (Sight, Present),
    ) {
        let via = turn.via(&self.hop);
        let contact = turn.contact(&self.hop, self.watched.as_str());
        let scene = Scene { domain: turn.core.domain(), watched: &self.watched, sees };
        let (version, shown) = (self.version, &self.shown);
        let body = match self.package {
            Package::Dialog => dialog_info::document(&scene, version, whole, shown, &present.lamp),
            Package::Presence => presence::document(&scene, &present.lamp),
            Package::MessageSummary => summary::document(&scene, present.shown.messages.unwrap_or_default()),
            Package::Reg => {
                let bindings = turn.core.held.owners.phones(&self.watched);
                reg::document(&scene, version, turn.now, bindings)
            }
        };
        let request = self
            .dialog
            .request(Method::Notify, &via)
            .contact(&contact)
            .typed(&Event::header(self.package, self.event_id.as_deref()))
            .typed(state)
            .body(self.package.content_type(), &body);
        let cseq = self.dialog.local_cseq;
        turn.request(&self.hop, request, Purpose::Notify(id.map(|id| Notified { id, cseq })));
        self.version = version.saturating_add(1);
        self.shown = present.shown;
    }

    /// What is so now.
    fn present(&self, turn: &Turn<'_>) -> Present {
        let core = &turn.core;
        let lamp = match self.package.is_of_lines() {
            true => core.lamp(&self.watched),
            false => Lamp::Unknown,
        };
        let mut shown = Shown::default();
        match (self.package, &lamp) {
            (Package::Dialog, Lamp::Known(line)) => shown.calls.clone_from(&line.calls),
            (Package::Dialog, Lamp::Unknown) => shown.look = Some(Look::Unknown),
            (Package::Presence, lamp) => shown.look = Some(lamp.look()),
            (Package::MessageSummary, _) => {
                shown.messages = Some(core.held.board.messages_of(&self.watched));
            }
            (Package::Reg, _) => {
                let bindings = core.held.owners.phones(&self.watched);
                shown.contacts = bindings.map(|binding| binding.contact.to_owned()).collect();
            }
        }
        Present { lamp, shown }
    }
}

/// What is so when a phone is told.
struct Present {
    lamp: Lamp,
    shown: Shown,
}

/// What a phone made of a NOTIFY.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// 2xx.
    Taken,
    /// Not now.
    Later(Duration),
    /// The connection to it is gone; it will come back with another.
    ConnectionGone,
    /// It wants no more of it, or is not there.
    Refused,
}

impl Outcome {
    /// Of a final answer. What a phone refuses it is not asked again, unless it says when (RFC 5057 § 5.1).
    pub(super) fn of(answer: &Message) -> Outcome {
        let status = answer.status().map_or(500, sip::Status::code);
        let wait = answer.number(Name::RetryAfter).ok().flatten();
        match (status, wait) {
            (200..=299, _) => Outcome::Taken,
            (491, _) => Outcome::Later(Duration::from_secs(1)),
            (480 | 500..=599, Some(seconds)) => {
                Outcome::Later(Duration::from_secs(seconds.clamp(1, 600).into()))
            }
            _ => Outcome::Refused,
        }
    }
}
