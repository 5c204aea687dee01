//! The relays of the members, as light as can be: which streams are open, and who is at their ends. No packet is
//! invented; a stream that knows both its ends carries sound.

use super::world::{Event, World};
use ipbx::member::{CallInput, Input};
use media::relay::{Order, Report, Spec, StreamId, Traffic};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a relay takes to answer.
const ANSWER: Duration = Duration::from_millis(1);

/// The open streams of all members.
pub(super) type Streams = BTreeMap<(u16, StreamId), Spec>;

impl World {
    /// A member orders its relay.
    pub(super) fn relay_media(&mut self, number: u16, order: Order) {
        match order {
            Order::Open(id, spec, _) | Order::Alter(id, spec) => drop(self.media.insert((number, id), spec)),
            Order::Close(id) => {
                if self.media.remove(&(number, id)).is_none() {
                    self.ledger.broke(self.now, format!("n{number} closed a stream that was not open"));
                }
                self.after(ANSWER, Event::MediaClosed(number, id));
            }
        }
    }

    /// A relay says that it has closed a stream.
    pub(super) fn media_closed(&mut self, number: u16, id: StreamId) {
        let report = Report::Closed(id, Traffic::default(), Traffic::default());
        self.tell(number, Input::Calls(CallInput::Media(report)));
    }

    /// The process of a member is gone, and the ports it had.
    pub(super) fn media_gone(&mut self, number: u16) {
        self.media.retain(|(owner, _), _| *owner != number);
    }
}

/// Media flow exactly where both ends believe in the call (DESIGN § 10): every member has as many streams open as its calls
/// need, and an answered call's stream knows both its ends.
pub(super) fn of_calls_alone(world: &World) -> Vec<String> {
    let mut found = Vec::new();
    for (number, host) in &world.hosts {
        let Some(process) = &host.process else { continue };
        let edge = process.calls.edge();
        let open: Vec<&Spec> =
            world.media.iter().filter(|((owner, _), _)| owner == number).map(|(_, spec)| spec).collect();
        if open.len() != edge.streams() {
            found.push(format!("n{number} has {} streams open for {}", open.len(), edge.streams()));
        }
        if edge.calls().is_empty() && !open.is_empty() {
            found.push(format!("n{number} has {} streams open without a call", open.len()));
        }
        let anchored = edge.calls().into_iter().filter(|view| {
            view.progress == call::Progress::Talking && view.media.path == call::MediaPath::Anchored
        });
        let flowing = open.iter().filter(|spec| spec.caller.remote.is_some() && spec.called.remote.is_some());
        let (anchored, flowing) = (anchored.count(), flowing.count());
        if flowing < anchored {
            found.push(format!(
                "n{number} believes in {anchored} anchored calls, {flowing} of them carry media"
            ));
        }
    }
    found
}
