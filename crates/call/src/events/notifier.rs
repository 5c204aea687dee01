//! All subscriptions of one shard: who watches what, whose turn it is, and the limits.
//!
//! Its methods take the shard's [`Turn`]; the table itself is lifted out of the shard for that long, so that a
//! subscription can ask the board and send.

use super::Board;
use super::package::{ALLOW_EVENTS, Event, Over, Package};
use super::subscription::{Answered, Notified, Outcome, Subscription, SubscriptionId};
use crate::core::Turn;
use crate::hop::Hop;
use crate::io::{Fault, Output};
use crate::settings::{SUBSCRIPTION_MAX, SUBSCRIPTION_MIN, SUBSCRIPTIONS_MAX, SUBSCRIPTIONS_PER_WATCHER_MAX};
use model::Extension;
use serde::{Deserialize, Serialize};
use sip::transaction::Failure;
use sip::{Dialog, Flow, Message, Name, Response, ServerKey, Status};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// An expiry below which a SUBSCRIBE can be refused as too brief is itself below this (RFC 6665 § 4.2.1.1).
const BRIEF: Duration = Duration::from_secs(3600);

/// See the module.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Notifier {
    begun: u64,
    subscriptions: BTreeMap<SubscriptionId, Subscription>,
    /// By our own tag, which nobody can guess.
    tags: BTreeMap<String, SubscriptionId>,
    of_watched: BTreeMap<Extension, BTreeSet<SubscriptionId>>,
    of_watcher: BTreeMap<Extension, usize>,
    /// By the way to their phones.
    hops: BTreeSet<(Hop, SubscriptionId)>,
    /// When each one wants attention.
    due: BTreeSet<(Duration, SubscriptionId)>,
}

/// A SUBSCRIBE that may be: its sender has proven itself and has the right.
#[derive(Debug)]
pub(crate) struct Wish {
    pub(crate) key: ServerKey,
    pub(crate) flow: Flow,
    pub(crate) message: Message,
    pub(crate) watcher: Extension,
    pub(crate) watched: Extension,
    pub(crate) event: Event,
}

/// Why a SUBSCRIBE is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// No event package, or one we do not know.
    BadEvent,
    /// No form of its state that the phone takes.
    NotAcceptable,
    /// Shorter than the minimum.
    TooBrief,
    /// Contact, Expires or the number cannot be read.
    Malformed,
    /// There is nobody of that number.
    NobodyThere,
    /// The sender may not watch it.
    NotAllowed,
    /// A limit is reached.
    Full(&'static str),
}

impl Refused {
    /// Says so.
    pub(crate) fn answer(self, turn: &mut Turn<'_>, key: &ServerKey, request: &Message) {
        let status = match self {
            Refused::BadEvent => Status::BAD_EVENT,
            Refused::NotAcceptable => Status::NOT_ACCEPTABLE,
            Refused::TooBrief => Status::INTERVAL_TOO_BRIEF,
            Refused::Malformed => Status::BAD_REQUEST,
            Refused::NobodyThere => Status::NOT_FOUND,
            Refused::NotAllowed => Status::FORBIDDEN,
            Refused::Full(_) => Status::SERVICE_UNAVAILABLE,
        };
        let response: Response = turn.answer_to(request, status);
        let response = match self {
            Refused::BadEvent => response.header(Name::AllowEvents, ALLOW_EVENTS),
            Refused::TooBrief => response.header(Name::MinExpires, SUBSCRIPTION_MIN.as_secs()),
            Refused::Full(limit) => {
                turn.fault(Fault::Limit(limit));
                response.header(Name::RetryAfter, SUBSCRIPTION_MIN.as_secs())
            }
            _ => response,
        };
        turn.respond(key, response);
    }
}

/// For how long a SUBSCRIBE wants to be told; zero to be told once, or no more.
fn wanted(message: &Message) -> Result<Duration, Refused> {
    let wanted = message.expires_s().map_err(|_| Refused::Malformed)?;
    let wanted = wanted.map_or(SUBSCRIPTION_MAX, |seconds| Duration::from_secs(seconds.into()));
    if !wanted.is_zero() && wanted < SUBSCRIPTION_MIN.min(BRIEF) {
        return Err(Refused::TooBrief);
    }
    Ok(wanted.min(SUBSCRIPTION_MAX))
}

impl Notifier {
    /// How many subscriptions there are.
    pub(crate) fn len(&self) -> usize {
        self.subscriptions.len()
    }

    /// The subscription that our tag names.
    pub(crate) fn named(&self, tag: &str) -> Option<SubscriptionId> {
        self.tags.get(tag).copied()
    }

    /// True when a phone at `hop` has subscribed to the messages of `extension`.
    pub(crate) fn tells_messages(&self, extension: &Extension, hop: &Hop) -> bool {
        let ids = self.of_watched.get(extension).into_iter().flatten();
        ids.filter_map(|id| self.subscriptions.get(id))
            .any(|known| known.package == Package::MessageSummary && known.hop == *hop)
    }

    /// When it wants a tick.
    pub(crate) fn next_timeout(&self) -> Option<Duration> {
        self.due.first().map(|(due, _)| *due)
    }

    /// A new subscription: answered, and told at once what is so (RFC 6665 § 4.2.1.4).
    pub(crate) fn begin(&mut self, turn: &mut Turn<'_>, wish: Wish) {
        let (key, message) = (wish.key.clone(), wish.message.clone());
        if let Err(refused) = self.begun(turn, wish) {
            refused.answer(turn, &key, &message);
        }
    }

    fn begun(&mut self, turn: &mut Turn<'_>, wish: Wish) -> Result<(), Refused> {
        let Wish { key, flow, message, watcher, watched, event } = wish;
        if !event.package.is_accepted_by(&message) {
            return Err(Refused::NotAcceptable);
        }
        let expires = wanted(&message)?;
        let tag = turn.core.tokens.tag();
        let mut dialog = Dialog::as_callee(&message, &tag).map_err(|_| Refused::Malformed)?;
        dialog.confirmed();
        let hop = Hop::Phone(flow).towards(&dialog.target);
        let who = (watcher, watched);
        let subscription = Subscription::new(event, who, (dialog, hop), turn.now + expires);
        self.replace(turn, &subscription);
        if self.subscriptions.len() >= turn.core.share(SUBSCRIPTIONS_MAX) {
            return Err(Refused::Full("SUBSCRIPTIONS_MAX"));
        }
        let of_watcher = self.of_watcher.get(&subscription.watcher).copied().unwrap_or_default();
        if of_watcher >= SUBSCRIPTIONS_PER_WATCHER_MAX {
            return Err(Refused::Full("SUBSCRIPTIONS_PER_WATCHER_MAX"));
        }
        accept(turn, &key, &message, &subscription, &tag, expires);
        if expires.is_zero() {
            let sees = turn.core.sight(&subscription.watcher);
            subscription.end(turn, Over::Timeout, sees);
            return Ok(());
        }
        self.begun += 1;
        let id = SubscriptionId(self.begun);
        keep(turn.out, &subscription);
        self.insert(turn, id, tag, subscription);
        self.attend(turn, id);
        Ok(())
    }

    /// The same phone for the same again: it has forgotten its former subscription, and so do we.
    fn replace(&mut self, turn: &mut Turn<'_>, newer: &Subscription) {
        let ids = self.of_watched.get(&newer.watched).into_iter().flatten();
        let former = |id: &&SubscriptionId| {
            self.subscriptions.get(id).is_some_and(|known| known.is_replaced_by(newer))
        };
        if let Some(id) = ids.copied().find(|id| former(&id)) {
            self.remove(turn, id);
        }
    }

    /// A SUBSCRIBE inside a subscription: refreshed, or ended.
    pub(crate) fn renew(
        &mut self,
        turn: &mut Turn<'_>,
        id: SubscriptionId,
        key: &ServerKey,
        (from, message): (&Hop, &Message),
    ) {
        let Some(mut subscription) = self.take(id) else { return };
        let renewed = renewed(turn, &mut subscription, (from, message));
        let tag = subscription.dialog.local_tag().to_owned();
        match renewed {
            Err(Denied::Status(status)) => {
                turn.answer(key, message, status);
                self.put_back(id, subscription);
            }
            Err(Denied::Refused(refused)) => {
                refused.answer(turn, key, message);
                self.put_back(id, subscription);
            }
            Ok(expires) if expires.is_zero() => {
                accept(turn, key, message, &subscription, &tag, expires);
                self.over(turn, id, subscription, Over::Timeout);
            }
            Ok(expires) => {
                accept(turn, key, message, &subscription, &tag, expires);
                subscription.until = turn.now + expires;
                subscription.asked();
                keep(turn.out, &subscription);
                self.put_back(id, subscription);
                self.attend(turn, id);
            }
        }
    }

    /// What became of a NOTIFY.
    pub(crate) fn answered(
        &mut self,
        turn: &mut Turn<'_>,
        Notified { id, cseq }: Notified,
        outcome: &Result<Message, Failure>,
    ) {
        let Some(mut subscription) = self.take(id) else { return };
        // One that was on its way to a former connection says nothing any more.
        if subscription.dialog.local_cseq != cseq {
            return self.put_back(id, subscription);
        }
        let reliable = matches!(&subscription.hop, Hop::Phone(flow) if flow.transport.is_reliable());
        let outcome = match outcome {
            Ok(answer) => Outcome::of(answer),
            Err(Failure::Unreachable) if reliable => Outcome::ConnectionGone,
            Err(Failure::Full) => Outcome::Later(Duration::from_secs(1)),
            Err(Failure::TimedOut | Failure::Unreachable) => Outcome::Refused,
        };
        match subscription.answered(turn.now, outcome) {
            Answered::GoesOn => self.put_back(id, subscription),
            Answered::Over => {
                self.put_back(id, subscription);
                self.remove(turn, id);
            }
        }
    }

    /// What is told of a subscriber may have changed.
    pub(crate) fn changed(&mut self, extension: &Extension, packages: &[Package]) {
        let Some(ids) = self.of_watched.get(extension).cloned() else { return };
        for id in ids {
            if let Some(mut subscription) = self.take(id) {
                if packages.contains(&subscription.package) {
                    subscription.changed();
                }
                self.put_back(id, subscription);
            }
        }
    }

    /// A phone came back on another flow: its subscriptions go with it.
    pub(crate) fn moved(&mut self, out: &mut Vec<Output>, old: Flow, new: Flow) {
        for id in self.at(old) {
            if let Some(mut subscription) = self.take(id) {
                subscription.moved(Hop::Phone(new));
                keep(out, &subscription);
                self.put_back(id, subscription);
            }
        }
    }

    /// A phone's connection is gone: its subscriptions wait for it to come back with another.
    pub(crate) fn lost(&mut self, flow: Flow) {
        for id in self.at(flow) {
            if let Some(mut subscription) = self.take(id) {
                subscription.lost();
                self.put_back(id, subscription);
            }
        }
    }

    fn at(&self, flow: Flow) -> Vec<SubscriptionId> {
        let hop = Hop::Phone(flow);
        let all = (hop.clone(), SubscriptionId(0))..=(hop, SubscriptionId(u64::MAX));
        self.hops.range(all).map(|(_, id)| *id).collect()
    }

    /// Tells what is due to be told, and ends what was not refreshed.
    pub(crate) fn tick(&mut self, turn: &mut Turn<'_>) {
        while let Some((due, id)) = self.due.first().copied()
            && due <= turn.now
        {
            self.attend(turn, id);
        }
    }

    fn attend(&mut self, turn: &mut Turn<'_>, id: SubscriptionId) {
        let Some(mut subscription) = self.take(id) else { return };
        if subscription.until <= turn.now {
            return self.over(turn, id, subscription, Over::Timeout);
        }
        // A right that was taken away ends it before anything more is told.
        match turn.core.may_watch(&subscription.watcher, &subscription.watched, subscription.package) {
            Ok(sees) => {
                subscription.tell(turn, id, sees);
                self.put_back(id, subscription);
            }
            Err(Refused::NobodyThere) => self.over(turn, id, subscription, Over::NoResource),
            Err(_) => self.over(turn, id, subscription, Over::Rejected),
        }
    }

    /// Ends a subscription with a last NOTIFY.
    fn over(&mut self, turn: &mut Turn<'_>, id: SubscriptionId, subscription: Subscription, why: Over) {
        let last = subscription.clone();
        self.put_back(id, subscription);
        self.remove(turn, id);
        // Whoever lost its right is told no state with the news.
        let sees = match why {
            Over::Timeout => turn.core.sight(&last.watcher),
            Over::Rejected | Over::NoResource => model::object::Sight::Nothing,
        };
        last.end(turn, why, sees);
    }

    fn insert(&mut self, turn: &mut Turn<'_>, id: SubscriptionId, tag: String, subscription: Subscription) {
        if subscription.package.is_of_lines() && turn.core.held.board.watch(&subscription.watched) {
            turn.out.push(Output::Watch(subscription.watched.clone(), true));
        }
        self.enter(id, tag, subscription);
    }

    fn enter(&mut self, id: SubscriptionId, tag: String, subscription: Subscription) {
        self.tags.insert(tag, id);
        self.of_watched.entry(subscription.watched.clone()).or_default().insert(id);
        *self.of_watcher.entry(subscription.watcher.clone()).or_default() += 1;
        self.put_back(id, subscription);
    }

    /// A subscription that was kept on disk goes on. The lines that are watched so are for the edge to name.
    pub(crate) fn restore(&mut self, board: &mut Board, subscription: Subscription) {
        self.begun += 1;
        let tag = subscription.dialog.local_tag().to_owned();
        if subscription.package.is_of_lines() {
            board.watch(&subscription.watched);
        }
        self.enter(SubscriptionId(self.begun), tag, subscription);
    }

    fn remove(&mut self, turn: &mut Turn<'_>, id: SubscriptionId) {
        let Some(subscription) = self.take(id) else { return };
        turn.out.push(Output::Subscription(subscription.forgotten()));
        self.tags.remove(subscription.dialog.local_tag());
        if let Some(ids) = self.of_watched.get_mut(&subscription.watched) {
            ids.remove(&id);
            if ids.is_empty() {
                self.of_watched.remove(&subscription.watched);
            }
        }
        if let Some(count) = self.of_watcher.get_mut(&subscription.watcher) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.of_watcher.remove(&subscription.watcher);
            }
        }
        if subscription.package.is_of_lines() && turn.core.held.board.unwatch(&subscription.watched) {
            turn.out.push(Output::Watch(subscription.watched, false));
        }
    }

    /// Out of the table while something is done with it.
    fn take(&mut self, id: SubscriptionId) -> Option<Subscription> {
        let subscription = self.subscriptions.remove(&id)?;
        self.due.remove(&(subscription.due(), id));
        self.hops.remove(&(subscription.hop.clone(), id));
        Some(subscription)
    }

    fn put_back(&mut self, id: SubscriptionId, subscription: Subscription) {
        self.due.insert((subscription.due(), id));
        self.hops.insert((subscription.hop.clone(), id));
        self.subscriptions.insert(id, subscription);
    }
}

/// Has a subscription written as it is now.
fn keep(out: &mut Vec<Output>, subscription: &Subscription) {
    out.extend(subscription.kept().map(Output::Subscription));
}

/// Why a SUBSCRIBE inside a subscription changes nothing.
enum Denied {
    Status(Status),
    Refused(Refused),
}

/// For how long a subscription is renewed.
fn renewed(
    turn: &Turn<'_>,
    subscription: &mut Subscription,
    (from, message): (&Hop, &Message),
) -> Result<Duration, Denied> {
    if from.is_cluster() || !subscription.dialog.matches(message) {
        return Err(Denied::Status(Status::NO_SUCH_CALL));
    }
    if !Event::of(message).is_some_and(|event| subscription.is_for(&event)) {
        return Err(Denied::Refused(Refused::BadEvent));
    }
    let expires = wanted(message).map_err(Denied::Refused)?;
    if subscription.dialog.accept(message).is_err() {
        return Err(Denied::Status(Status::SERVER_INTERNAL_ERROR));
    }
    let Subscription { watcher, watched, package, .. } = &*subscription;
    turn.core.may_watch(watcher, watched, *package).map_err(Denied::Refused)?;
    subscription.dialog.refresh_target(message).map_err(|_| Denied::Refused(Refused::Malformed))?;
    subscription.hop = from.clone().towards(&subscription.dialog.target);
    Ok(expires)
}

/// 200 with what was granted (RFC 6665 § 4.2.1.1).
fn accept(
    turn: &mut Turn<'_>,
    key: &ServerKey,
    request: &Message,
    subscription: &Subscription,
    tag: &str,
    expires: Duration,
) {
    let contact = turn.contact(&subscription.hop, subscription.watched.as_str());
    let response = Response::to(request, Status::OK)
        .to_tag(tag)
        .contact(&contact)
        .header(Name::Expires, expires.as_secs());
    turn.respond(key, response);
}
