//! One connection of a node, from its first byte to its end.

use super::admission::Admitted;
use super::board::Board;
use super::catalogue::Catalogue;
use super::known::Known;
use super::{Fault, Output, Settings, StateName};
use crate::digest::Digest;
use crate::line::Line;
use crate::link::{CloseReason, Conn, GREETING, LiveBinding, LogEntry, Peer};
use crate::uplink::milliseconds;
use crate::wire::convert::{MalformedField, digest};
use crate::wire::{
    Authority, Body, Changes, Current, Heartbeat, Live, LogAck, Position as WirePosition, SnapshotBegin,
    SnapshotEnd, SnapshotRecords, Welcome,
};
use model::{DongleId, Extension, Kind, MemberNumber, Position, Record};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// Bytes of records in one message of a snapshot, about.
const SNAPSHOT_BATCH_BYTES: usize = 12 * 1024;
/// Records in one message of a snapshot.
const SNAPSHOT_BATCH_MAX: usize = 100;
/// Acknowledgements in one message.
const ACK_BATCH_MAX: usize = 200;
/// A node whose digest differs is sent a snapshot at most this often.
const REPAIR_EVERY: Duration = Duration::from_secs(5);
/// Bindings a node may publish: twice the subscribers of the largest system.
const BINDINGS_MAX: usize = 120_000;

/// The states of a connection.
#[derive(Debug)]
pub(super) enum Session {
    Greeting(Box<Greeting>),
    Taken(Box<Taken>),
}

/// Connected; who it is, it has yet to say.
#[derive(Debug)]
pub(super) struct Greeting {
    pub(super) line: Line,
    pub(super) peer: Peer,
    until: Duration,
}

/// A node that was taken.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) line: Line,
    pub(super) member: MemberNumber,
    pub(super) dongle_id: DongleId,
    /// Log entries on disk, to be acknowledged.
    pub(super) recorded: Vec<String>,
    kinds: BTreeSet<Kind>,
    /// The revision this node has been sent through.
    sent_through: u64,
    feed: Feed,
    /// Snapshots sent whole on this connection.
    snapshots: u32,
    /// Not before this may a repair begin.
    repair_after: Duration,
    /// The revision at which it is told that it has caught up; none until then.
    current_at: Option<u64>,
    /// A full list of registrations on its way in.
    listing: Option<BTreeMap<(Extension, String), LiveBinding>>,
    listed: bool,
    /// It has said that it holds what it was sent until it was told to be current.
    holds: bool,
    up: bool,
}

/// What is being sent.
#[derive(Debug)]
enum Feed {
    /// Commits as they come.
    Changes,
    /// A snapshot is wanted.
    Wanted,
    /// A snapshot, this much of it left.
    Snapshot { left: VecDeque<Arc<Record>>, digest: Digest },
}

impl Session {
    pub(super) fn line(&mut self) -> &mut Line {
        match self {
            Session::Greeting(greeting) => &mut greeting.line,
            Session::Taken(taken) => &mut taken.line,
        }
    }

    /// The node, once it is taken.
    pub(super) fn member(&self) -> Option<MemberNumber> {
        match self {
            Session::Greeting(_) => None,
            Session::Taken(taken) => Some(taken.member),
        }
    }

    /// The node by its certificate.
    pub(super) fn claimed(&self) -> MemberNumber {
        match self {
            Session::Greeting(greeting) => greeting.peer.member,
            Session::Taken(taken) => taken.member,
        }
    }

    pub(super) fn overdue(&self, now: Duration) -> Option<CloseReason> {
        match self {
            Session::Greeting(greeting) if now >= greeting.until => Some(CloseReason::GreetingTimeout),
            Session::Greeting(greeting) => greeting.line.overdue(now),
            Session::Taken(taken) => taken.line.overdue(now),
        }
    }

    pub(super) fn next_timeout(&self) -> Duration {
        match self {
            Session::Greeting(greeting) => greeting.line.next_timeout().min(greeting.until),
            Session::Taken(taken) => taken.line.next_timeout(),
        }
    }
}

impl Greeting {
    pub(super) fn new(conn: Conn, peer: Peer, now: Duration) -> Greeting {
        Greeting { line: Line::new(conn, now), peer, until: now + GREETING }
    }
}

impl Taken {
    /// Welcomes the node and decides how it catches up.
    pub(super) fn new(
        line: Line,
        admitted: &Admitted,
        settings: &Settings,
        catalogue: &Catalogue,
        now: Duration,
        out: &mut Vec<Output>,
    ) -> Taken {
        let ours = catalogue.position();
        let mut taken = Taken {
            line,
            member: admitted.member,
            dongle_id: admitted.dongle_id.clone(),
            recorded: Vec::new(),
            kinds: admitted.kinds.clone(),
            sent_through: admitted.position.revision,
            feed: feed_for(admitted, catalogue, out),
            snapshots: 0,
            repair_after: now,
            current_at: None,
            listing: None,
            listed: false,
            holds: false,
            up: false,
        };
        taken.line.send(&Body::Welcome(Welcome {
            authority: Authority::Full.into(),
            position: Some(ours.into()),
            unix_ms: milliseconds(now),
            release: settings.release.to_string(),
        }));
        taken
    }

    pub(super) fn is_up(&self) -> bool {
        self.up
    }

    /// Takes a message in; an error is the node's breach of the protocol.
    pub(super) fn message(
        &mut self,
        known: &mut Known,
        catalogue: &Catalogue,
        now: Duration,
        body: Body,
        out: &mut Vec<Output>,
    ) -> Result<(), String> {
        let outcome = match body {
            Body::Heartbeat(heartbeat) => self.heartbeat(known, catalogue, now, &heartbeat, out),
            Body::Live(live) => self.live(known, live, out),
            Body::Log(log) => {
                let entry = |entry: crate::wire::LogEntry| LogEntry { id: entry.id, body: entry.body };
                out.extend(log.entries.into_iter().map(|said| Output::Record(self.member, entry(said))));
                return Ok(());
            }
            _ => return Err("a message that no node sends here".to_owned()),
        };
        outcome.map_err(|fault| fault.to_string())?;
        if known.bindings.len() > BINDINGS_MAX {
            return Err(format!("over {BINDINGS_MAX} registrations"));
        }
        self.rise(known, now, out);
        Ok(())
    }

    /// Sends what there is to send, as long as the line has room.
    pub(super) fn produce(&mut self, catalogue: &Catalogue, board: &mut Board) {
        while self.line.has_room() {
            let member = self.member;
            let lamps = || board.next_message(member, catalogue).map(Body::Lamps);
            match self.next_message(catalogue).or_else(lamps) {
                Some(body) => self.line.send(&body),
                None => return,
            }
        }
    }

    fn next_message(&mut self, catalogue: &Catalogue) -> Option<Body> {
        if !self.recorded.is_empty() {
            let rest = self.recorded.split_off(self.recorded.len().min(ACK_BATCH_MAX));
            let ids = std::mem::replace(&mut self.recorded, rest);
            return Some(Body::LogAck(LogAck { ids }));
        }
        match std::mem::replace(&mut self.feed, Feed::Changes) {
            Feed::Wanted => Some(self.begin_snapshot(catalogue)),
            Feed::Snapshot { left, digest } => Some(self.continue_snapshot(left, digest)),
            Feed::Changes if !catalogue.reaches_back_to(self.sent_through) => {
                Some(self.begin_snapshot(catalogue))
            }
            Feed::Changes => self.next_changes(catalogue),
        }
    }

    fn begin_snapshot(&mut self, catalogue: &Catalogue) -> Body {
        let left = catalogue.snapshot(self.member, &self.kinds);
        let begin = SnapshotBegin {
            position: Some(catalogue.position().into()),
            records: u64::try_from(left.len()).unwrap_or(u64::MAX),
        };
        self.sent_through = catalogue.position().revision;
        self.feed = Feed::Snapshot { left, digest: catalogue.digest_of(self.member, Some(&self.kinds)) };
        Body::SnapshotBegin(begin)
    }

    fn continue_snapshot(&mut self, mut left: VecDeque<Arc<Record>>, digest: Digest) -> Body {
        let mut records: Vec<crate::wire::Record> = Vec::new();
        let mut bytes = 0;
        while bytes < SNAPSHOT_BATCH_BYTES && records.len() < SNAPSHOT_BATCH_MAX {
            let Some(record) = left.pop_front() else { break };
            bytes += record.value.len() + record.key.len();
            records.push(record.as_ref().into());
        }
        if records.is_empty() {
            self.snapshots += 1;
            return Body::SnapshotEnd(SnapshotEnd { digest: digest.to_bytes().to_vec() });
        }
        self.feed = Feed::Snapshot { left, digest };
        Body::SnapshotRecords(SnapshotRecords { records })
    }

    fn next_changes(&mut self, catalogue: &Catalogue) -> Option<Body> {
        if let Some(view) = catalogue.after(self.sent_through, self.member, &self.kinds) {
            let follows = std::mem::replace(&mut self.sent_through, view.revision);
            let changes = view.changes.iter().map(Into::into).collect();
            return Some(Body::Changes(Changes { revision: view.revision, follows, changes }));
        }
        if self.current_at.is_none() {
            self.current_at = Some(self.sent_through);
            return Some(Body::Current(Current { revision: self.sent_through }));
        }
        None
    }

    fn heartbeat(
        &mut self,
        known: &mut Known,
        catalogue: &Catalogue,
        now: Duration,
        heartbeat: &Heartbeat,
        out: &mut Vec<Output>,
    ) -> Result<(), MalformedField> {
        known.position = WirePosition::required(heartbeat.position)?;
        known.durable = heartbeat.durable;
        let said = digest(&heartbeat.digest)?;
        // A digest of data that a snapshot is about to replace says nothing.
        if heartbeat.snapshots != self.snapshots || !matches!(self.feed, Feed::Changes) {
            return Ok(());
        }
        let reached = |revision: u64| {
            known.position.history == catalogue.position().history && known.position.revision >= revision
        };
        self.holds |= self.current_at.is_some_and(reached);
        self.compare(known, catalogue, now, said, out);
        Ok(())
    }

    /// The digest the node has against the one it should have, at the revision it stands at.
    fn compare(
        &mut self,
        known: &mut Known,
        catalogue: &Catalogue,
        now: Duration,
        said: Digest,
        out: &mut Vec<Output>,
    ) {
        let Position { history, revision, .. } = known.position;
        if history != catalogue.position().history {
            return;
        }
        let Some(expected) = catalogue.digest_at(self.member, &self.kinds, revision) else { return };
        known.digest_equal = Some(said == expected);
        if said != expected && now >= self.repair_after {
            self.repair_after = now + REPAIR_EVERY;
            self.feed = Feed::Wanted;
            out.push(Output::Fault(Fault::DigestDiffers { member: self.member, revision }));
        }
    }

    fn live(&mut self, known: &mut Known, live: Live, out: &mut Vec<Output>) -> Result<(), MalformedField> {
        let full = live.first || self.listing.is_some();
        if live.first {
            self.listing = Some(BTreeMap::new());
        }
        for said in live.bound {
            let binding = said.parsed()?;
            let name = (binding.extension.clone(), binding.device.clone());
            match &mut self.listing {
                Some(listing) if listing.len() <= BINDINGS_MAX => drop(listing.insert(name, binding)),
                Some(_) => return Err(MalformedField("bound")),
                None => {
                    if self.up {
                        out.push(Output::Bound(self.member, binding.clone()));
                    }
                    known.bindings.insert(name, binding);
                }
            }
        }
        for said in live.unbound {
            let LiveBinding { extension, device, .. } = said.parsed()?;
            known.bindings.remove(&(extension.clone(), device.clone()));
            if self.up {
                out.push(Output::Unbound(self.member, extension, device));
            }
        }
        if full
            && live.last
            && let Some(listing) = self.listing.take()
        {
            known.bindings = listing;
            self.listed = true;
            if self.up {
                out.push(Output::LiveReset(self.member, known.bindings.values().cloned().collect()));
            }
        }
        Ok(())
    }

    /// The node is up once it holds what it was sent and all its registrations are known here.
    fn rise(&mut self, known: &mut Known, now: Duration, out: &mut Vec<Output>) {
        if self.up || !self.holds || !self.listed {
            return;
        }
        self.up = true;
        out.push(Output::LiveReset(self.member, known.bindings.values().cloned().collect()));
        out.push(Output::Up(self.member));
        known.enter(self.member, StateName::Connected, now, out);
    }
}

/// Changes if they lead from where the node stands to where we stand, else a snapshot.
fn feed_for(admitted: &Admitted, catalogue: &Catalogue, out: &mut Vec<Output>) -> Feed {
    let (theirs, ours) = (admitted.position, catalogue.position());
    if theirs.history != ours.history {
        return Feed::Wanted;
    }
    let member = admitted.member;
    if theirs.revision > ours.revision {
        let (held, ours) = (theirs.revision, ours.revision);
        out.push(Output::Fault(Fault::Behind { member, held, ours }));
        return Feed::Wanted;
    }
    match catalogue.digest_at(member, &admitted.kinds, theirs.revision) {
        Some(expected) if expected != admitted.digest => {
            out.push(Output::Fault(Fault::DigestDiffers { member, revision: theirs.revision }));
            Feed::Wanted
        }
        _ => Feed::Changes,
    }
}
