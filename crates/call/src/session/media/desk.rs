//! The desk of a shard's anchored streams: who has which ports, what the relay was told, and the records that wait
//! for the relay's last figures.
//!
//! The one thing a reader must know: a stream belongs to a call, and the end of the call closes it, whatever the call's
//! states did or forgot. So no port can leak.

use super::ports::Ports;
use super::summary::MediaTraffic;
use crate::core::Core;
use crate::io::Output;
use crate::record::{CallId, CallRecord};
use media::relay::{Order, Report, Spec, Standing, StreamId, Traffic};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How long a record waits for the last figures of its media.
const FIGURES_WITHIN: Duration = Duration::from_secs(1);
/// Bits of a stream's name that say its shard.
const SHARD_BITS: u32 = 8;

/// See the module.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Desk {
    named: u64,
    streams: BTreeMap<StreamId, Stream>,
    /// Closed, and their relay has not said so.
    closing: BTreeMap<StreamId, Closing>,
    records: BTreeMap<CallId, Waiting>,
    /// Made of the range and of what is in use, when it is needed first.
    #[serde(skip)]
    ports: Option<Ports>,
    #[serde(skip)]
    said: Vec<Output>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Stream {
    call: CallId,
    /// The even ports towards caller and called.
    ports: [u16; 2],
    /// What the relay was told last; nothing yet while the description is being made.
    spec: Option<Spec>,
    /// Where the relay said last that its key streams stand. It is kept with the call.
    #[serde(default)]
    stands: Option<Box<Standing>>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Closing {
    call: CallId,
    ports: [u16; 2],
    until: Duration,
}

#[derive(Debug, Serialize, Deserialize)]
struct Waiting {
    record: CallRecord,
    streams: BTreeSet<StreamId>,
}

impl Core {
    /// Takes ports for a stream of `call`. `None` when none are left.
    pub(super) fn open_stream(&mut self, now: Duration, call: CallId) -> Option<(StreamId, [u16; 2])> {
        let share = (self.id.0, self.sorter.shards());
        let desk = &mut self.held.media;
        let used: BTreeSet<u16> = desk.streams.values().flat_map(|stream| stream.ports).collect();
        let ports = desk.ports.get_or_insert_with(|| Ports::new(self.config.media.ports, share, &used));
        let first = ports.draw(now, &mut self.secrets)?;
        let Some(second) = ports.draw(now, &mut self.secrets) else {
            ports.give_back(now, first);
            return None;
        };
        desk.named += 1;
        let id = StreamId(desk.named << SHARD_BITS | u64::from(self.id.0));
        desk.streams.insert(id, Stream { call, ports: [first, second], spec: None, stands: None });
        Some((id, [first, second]))
    }
}

impl Stream {
    /// What the relay of the process that follows is told: a key stream is never begun anew.
    fn goes_on(&self, id: StreamId) -> Option<Output> {
        let stands = self.stands.clone().unwrap_or_default();
        Some(Output::Media(Order::Open(id, self.spec.clone()?, Some(stands))))
    }
}

impl Desk {
    /// The shard that a stream's name says.
    pub(crate) fn shard_of(stream: StreamId) -> u8 {
        u8::try_from(stream.0 & ((1 << SHARD_BITS) - 1)).unwrap_or_default()
    }

    /// True while the stream has its ports: a call that was moved here from another shard has left them there.
    pub(super) fn knows(&self, stream: StreamId) -> bool {
        self.streams.contains_key(&stream)
    }

    /// These are the terms of a stream from now on.
    pub(super) fn order(&mut self, id: StreamId, spec: &Spec) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let was = stream.spec.replace(spec.clone());
        match was {
            None => self.said.push(Output::Media(Order::Open(id, spec.clone(), None))),
            Some(was) if was != *spec => self.said.push(Output::Media(Order::Alter(id, spec.clone()))),
            Some(_) => {}
        }
    }

    /// A stream is not needed any more.
    pub(super) fn close(&mut self, now: Duration, id: StreamId) {
        let Some(Stream { call, ports, spec, .. }) = self.streams.remove(&id) else { return };
        if spec.is_none() {
            return self.rest(now, ports);
        }
        self.said.push(Output::Media(Order::Close(id)));
        self.closing.insert(id, Closing { call, ports, until: now + FIGURES_WITHIN });
    }

    /// The streams of a call, to be kept with it.
    pub(crate) fn of_call(&self, call: CallId) -> Vec<(StreamId, &Stream)> {
        self.streams
            .iter()
            .filter(|(_, stream)| stream.call == call)
            .map(|(id, stream)| (*id, stream))
            .collect()
    }

    /// The streams of a call that was kept: their relay died with the process before, and is told to go on.
    pub(crate) fn take_back(&mut self, call: CallId, streams: Vec<(StreamId, Stream)>) {
        for (id, stream) in streams {
            self.named = self.named.max(id.0 >> SHARD_BITS);
            self.said.extend(stream.goes_on(id));
            self.streams.insert(id, Stream { call, ..stream });
        }
    }

    /// Closes whatever a call still has.
    pub(crate) fn close_all_of(&mut self, now: Duration, call: CallId) {
        let of_call = self.streams.iter().filter(|(_, stream)| stream.call == call);
        let ids: Vec<StreamId> = of_call.map(|(id, _)| *id).collect();
        for id in ids {
            self.close(now, id);
        }
    }

    /// The call is over. Its record comes back if it is complete, else when the relay has said what was carried.
    pub(crate) fn end(&mut self, now: Duration, call: CallId, record: CallRecord) -> Option<CallRecord> {
        self.close_all_of(now, call);
        let of_call = self.closing.iter().filter(|(_, closing)| closing.call == call);
        let streams: BTreeSet<StreamId> = of_call.map(|(id, _)| *id).collect();
        if streams.is_empty() {
            return Some(record);
        }
        self.records.insert(call, Waiting { record, streams });
        None
    }

    /// The relay tells something. The call it is about, while that lasts.
    pub(crate) fn report(&mut self, now: Duration, report: &Report) -> Option<CallId> {
        match report {
            Report::Closed(id, caller, called) => {
                self.closed(now, *id, caller, called);
                None
            }
            Report::Stands(id, standing) => self.streams.get_mut(id).map(|stream| {
                stream.stands = Some(standing.clone());
                stream.call
            }),
            Report::Failed(id) | Report::Silent(id) | Report::Heard(id) => {
                self.streams.get(id).map(|stream| stream.call)
            }
        }
    }

    /// When a record has waited long enough.
    pub(crate) fn next_timeout(&self) -> Option<Duration> {
        self.closing.values().map(|closing| closing.until).min()
    }

    /// Time has passed.
    pub(crate) fn tick(&mut self, now: Duration) {
        let overdue = self.closing.iter().filter(|(_, closing)| closing.until <= now);
        let ids: Vec<StreamId> = overdue.map(|(id, _)| *id).collect();
        for id in ids {
            self.closed(now, id, &Traffic::default(), &Traffic::default());
        }
    }

    /// What is to be said.
    pub(crate) fn flush(&mut self, out: &mut Vec<Output>) {
        out.append(&mut self.said);
    }

    /// After a thaw the relay begins anew: it is told of every stream.
    pub(crate) fn thawed(&mut self) {
        self.said = self.streams.iter().filter_map(|(id, stream)| stream.goes_on(*id)).collect();
    }

    /// Streams that have ports.
    pub(crate) fn open(&self) -> usize {
        self.streams.len()
    }

    /// Records that are not out yet.
    pub(crate) fn waiting(&self) -> usize {
        self.records.len()
    }

    fn closed(&mut self, now: Duration, id: StreamId, caller: &Traffic, called: &Traffic) {
        let Some(Closing { call, ports, .. }) = self.closing.remove(&id) else { return };
        self.rest(now, ports);
        let Some(waiting) = self.records.get_mut(&call) else { return };
        if waiting.streams.remove(&id) {
            let traffic = waiting.record.media.traffic.get_or_insert_with(MediaTraffic::default);
            traffic.caller.add(caller);
            traffic.called.add(called);
        }
        if waiting.streams.is_empty()
            && let Some(done) = self.records.remove(&call)
        {
            self.said.push(Output::Ended(done.record));
        }
    }

    fn rest(&mut self, now: Duration, ports: [u16; 2]) {
        if let Some(pool) = &mut self.ports {
            ports.into_iter().for_each(|port| pool.give_back(now, port));
        }
    }
}
