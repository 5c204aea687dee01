//! Events of this shard's owners: who may watch whom, what lines say, and whose lamp is to be told (`events`).

use super::word::Saying;
use super::{Shard, Step};
use crate::core::{Core, Turn};
use crate::events::{
    Direction, Event, Lamp, Line, LineCall, LinesTold, Messages, Notified, Notifier, Package, Refused,
    SubscriptionChange, SubscriptionId, Wish, tell_unasked,
};
use crate::hop::Hop;
use crate::io::Output;
use crate::record::CallId;
use crate::session::Session;
use crate::settings::Place;
use model::object::Sight;
use model::routing::{self, Attached, Caller, Outcome};
use model::{Cause, Extension};
use sip::transaction::Failure;
use sip::{Flow, Message, ServerKey};

/// What a call is on a line of one of its parties, to that line's owner.
#[derive(Debug)]
pub(crate) struct LineNews {
    pub(crate) extension: Extension,
    /// The call among those of the line.
    pub(crate) name: (CallId, Direction),
    /// None when it is over, or somebody else's.
    pub(crate) now_so: Option<LineCall>,
}

impl Core {
    /// What a subscriber may see of lines; nothing for one we do not know, or without a class.
    pub(crate) fn sight(&self, watcher: &Extension) -> Sight {
        let class = self.tables.subscriber(watcher).map(|subscriber| subscriber.feature_class.as_str());
        class.and_then(|class| self.tables.class(class)).map_or(Sight::Nothing, |class| class.sees)
    }

    /// What `watcher` may see of `watched`: whom it may call it may watch, as far as its class says; messages and
    /// registrations are nobody's business but one's own.
    pub(crate) fn may_watch(
        &self,
        watcher: &Extension,
        watched: &Extension,
        package: Package,
    ) -> Result<Sight, Refused> {
        if package.is_private() {
            return if watcher == watched { Ok(Sight::Parties) } else { Err(Refused::NotAllowed) };
        }
        // Whether a phone is there changes nothing about the right.
        let bound = |extension: &Extension| self.held.owners.has(extension);
        let attached = Attached { member: self.config.member, uplink: self.uplink(), bound: &bound };
        let caller = Caller::Subscriber(watcher);
        match routing::decide(&self.tables, caller, watched.as_str(), &attached).outcome {
            Outcome::Local(found) | Outcome::Elsewhere(found) if found != *watched => {
                Err(Refused::NobodyThere)
            }
            Outcome::Refused(Cause::UnallocatedNumber | Cause::InvalidNumber) => Err(Refused::NobodyThere),
            Outcome::Refused(Cause::Barred) => Err(Refused::NotAllowed),
            Outcome::Local(_) | Outcome::Elsewhere(_) | Outcome::Refused(_) => match self.sight(watcher) {
                Sight::Nothing => Err(Refused::NotAllowed),
                sees => Ok(sees),
            },
        }
    }

    /// The line of a subscriber of this shard, as far as it is known.
    pub(crate) fn lamp(&self, extension: &Extension) -> Lamp {
        let registered = self.held.owners.has(extension);
        let home = self.tables.subscriber(extension).map(|subscriber| subscriber.home);
        let at_home = self.config.place == Place::Independent || home == Some(self.config.member);
        self.held.board.lamp(extension, registered, at_home)
    }
}

impl Shard {
    /// A SUBSCRIBE of `user`, proven to be its own.
    pub(super) fn subscribe(
        &mut self,
        step: &mut Step<'_>,
        key: ServerKey,
        flow: Flow,
        watcher: Extension,
        message: Message,
    ) {
        match self.wish(&watcher, &message) {
            Ok((watched, event)) => {
                let wish = Wish { key, flow, message, watcher, watched, event };
                self.notifying(step, |notifier, turn| notifier.begin(turn, wish));
            }
            Err(refused) => refused.answer(&mut self.turn(step), &key, &message),
        }
    }

    /// What it wants, if it may have it. The number in To has brought it to this shard; another one in the
    /// Request-URI would be another's.
    fn wish(&self, watcher: &Extension, message: &Message) -> Result<(Extension, Event), Refused> {
        let uri = message.request_uri().ok_or(Refused::Malformed)?;
        let (asked, to) = (uri.user(), message.to().uri.user());
        let named = asked.is_empty() || asked == to;
        let watched = to.parse::<Extension>().ok().filter(|_| named && self.core.is_ours(&uri.host));
        let event = Event::of(message).ok_or(Refused::BadEvent)?;
        let watched = watched.ok_or(Refused::NobodyThere)?;
        self.core.may_watch(watcher, &watched, event.package)?;
        Ok((watched, event))
    }

    /// A SUBSCRIBE inside a subscription.
    pub(super) fn resubscribe(
        &mut self,
        step: &mut Step<'_>,
        id: SubscriptionId,
        key: &ServerKey,
        (from, message): (&Hop, &Message),
    ) {
        self.notifying(step, |notifier, turn| notifier.renew(turn, id, key, (from, message)));
    }

    /// What became of a NOTIFY.
    pub(super) fn notified(
        &mut self,
        step: &mut Step<'_>,
        notified: Notified,
        outcome: &Result<Message, Failure>,
    ) {
        self.notifying(step, |notifier, turn| notifier.answered(turn, notified, outcome));
    }

    /// Tells the owners of lines what that call is on them now, if that is not what they were told. To be called
    /// after every step of a session, also of one that has left.
    pub(super) fn tell_lines(&mut self, step: &mut Step<'_>, call: CallId) {
        let session = self.sessions.get(&call);
        let mark = session.map(Session::line_mark);
        let told = &mut self.core.held.lines_told;
        if told.get(&call).map(|told| told.mark) == mark {
            return;
        }
        let before = told.remove(&call).map(|told| told.lines).unwrap_or_default();
        let now_so = session.map(|session| session.on_lines(self.core.config.member)).unwrap_or_default();
        if let Some(mark) = mark {
            let lines = now_so.iter().map(|(line, call)| (line.clone(), call.direction)).collect();
            told.insert(call, LinesTold { mark, lines });
        }
        let is_left = |(line, direction): &(Extension, Direction)| {
            now_so.iter().all(|(now, call)| now != line || call.direction != *direction)
        };
        let left: Vec<LineNews> = before
            .into_iter()
            .filter(is_left)
            .map(|(extension, direction)| LineNews { extension, name: (call, direction), now_so: None })
            .collect();
        let now_so = now_so.into_iter().map(|(extension, so)| LineNews {
            extension,
            name: (call, so.direction),
            now_so: Some(so),
        });
        for news in left.into_iter().chain(now_so.collect::<Vec<_>>()) {
            let owner = self.core.sorter.owner_of(news.extension.as_str());
            if owner == self.core.id {
                self.hear_line(news);
            } else {
                step.say(owner, Saying::Line(Box::new(news)));
            }
        }
    }

    /// The owner's part.
    pub(super) fn hear_line(&mut self, news: LineNews) {
        let LineNews { extension, name, now_so } = news;
        self.core.held.board.note(&extension, name, now_so);
        self.core.held.notifier.changed(&extension, &[Package::Dialog, Package::Presence]);
    }

    /// A subscriber has other phones than before.
    pub(super) fn phones_changed(&mut self, extension: &Extension) {
        self.core.held.board.touch(extension);
        let concerned = [Package::Dialog, Package::Presence, Package::Reg];
        self.core.held.notifier.changed(extension, &concerned);
    }

    /// What other members say of lines that are watched here.
    pub(super) fn hear_lamps(&mut self, lamps: &[(Extension, Option<Vec<Line>>)]) {
        for (extension, said) in lamps {
            if self.core.owns(extension) {
                self.core.held.board.hear(extension, said.clone());
                self.core.held.notifier.changed(extension, &[Package::Dialog, Package::Presence]);
            }
        }
    }

    /// The uplink is lost, and with it what other members say.
    pub(super) fn lamps_lost(&mut self) {
        for extension in self.core.held.board.forget_elsewhere() {
            self.core.held.notifier.changed(&extension, &[Package::Dialog, Package::Presence]);
        }
    }

    /// So many messages wait for a subscriber of this shard: its phones are told, those that have not asked too.
    pub(super) fn messages(&mut self, step: &mut Step<'_>, extension: &Extension, messages: Messages) {
        if !self.core.held.board.put_messages(extension, messages) {
            return;
        }
        let now_so = self.core.held.board.messages_of(extension);
        step.out.extend(SubscriptionChange::of_messages(extension, now_so).map(Output::Subscription));
        self.core.held.notifier.changed(extension, &[Package::MessageSummary]);
        if self.core.config.settings.unasked_messages {
            let phones = self.phones(extension);
            let unasked =
                phones.iter().filter(|phone| !self.core.held.notifier.tells_messages(extension, &phone.hop));
            let unasked: Vec<_> = unasked.cloned().collect();
            for phone in unasked {
                tell_unasked(&mut self.turn(step), extension, &phone.hop, &phone.uri, messages);
            }
        }
    }

    /// Owners are told of calls that came back from disk.
    fn tell_restored_lines(&mut self, step: &mut Step<'_>) {
        if self.sessions.len() == self.core.held.lines_told.len() {
            return;
        }
        let told = &self.core.held.lines_told;
        let untold = self.sessions.keys().filter(|call| !told.contains_key(call));
        for call in untold.copied().collect::<Vec<CallId>>() {
            self.tell_lines(step, call);
        }
    }

    /// What this step has left to be told: NOTIFYs that may go now, and lines to the other members.
    pub(super) fn tell_events(&mut self, step: &mut Step<'_>) {
        self.tell_restored_lines(step);
        if self.core.held.notifier.next_timeout().is_some_and(|due| due <= step.now) {
            self.notifying(step, Notifier::tick);
            self.listen(step);
        }
        if self.core.config.place == Place::Independent {
            self.core.held.board.tell_nobody();
        } else if self.core.held.board.publish_due().is_some_and(|due| due <= step.now) {
            let lines = self.core.held.board.publish(step.now);
            step.out.push(Output::Lines(lines.into_iter().map(|line| self.own_line(line)).collect()));
        }
    }

    fn own_line(&self, extension: Extension) -> (Extension, Line) {
        let line = self.core.held.board.own(&extension, self.core.held.owners.has(&extension));
        (extension, line)
    }

    /// The lines of this shard's subscribers at this member: all with a phone or a call.
    pub fn lines(&self) -> impl Iterator<Item = (Extension, Line)> {
        let registered = self.core.held.owners.subscribers();
        let busy = self.core.held.board.busy();
        let busy = busy.filter(|extension| !self.core.held.owners.has(extension));
        registered.chain(busy).cloned().map(|extension| self.own_line(extension))
    }

    /// The lines that are watched in this shard, and what is known of them.
    pub fn lamps(&self) -> impl Iterator<Item = (Extension, Lamp)> {
        let watched = self.core.held.board.watched();
        watched.map(|extension| (extension.clone(), self.core.lamp(extension)))
    }

    /// How many subscriptions there are.
    #[must_use]
    pub fn subscriptions(&self) -> usize {
        self.core.held.notifier.len()
    }

    /// Lifts the table of subscriptions out of the shard, so that they can ask and send.
    fn notifying(&mut self, step: &mut Step<'_>, act: impl FnOnce(&mut Notifier, &mut Turn<'_>)) {
        let mut notifier = std::mem::take(&mut self.core.held.notifier);
        act(&mut notifier, &mut self.turn(step));
        self.core.held.notifier = notifier;
    }
}
