//! The values that go into the two halves of a member and come out of them.

use call::{BindingChange, CallId, CallRecord, DialogChange, Messages, SubscriptionChange, Suspect};
use cluster::{CloseReason, Conn, Lamp, LiveBinding, LiveLine, LogEntry, Peer};
use media::relay::{Order, Report};
use model::{Change, Extension, MemberNumber, Position, Record};
use sip::{Flow, Message};
use std::time::Duration;

/// What the call side is told.
#[derive(Debug, Clone)]
pub enum CallInput {
    /// A message of a phone; a request is stamped with where it came from.
    Phone {
        /// The way it came.
        flow: Flow,
        /// The message.
        message: Message,
    },
    /// A phone's connection is gone.
    FlowClosed(Flow),
    /// A message of another member, over the connections between members.
    Member {
        /// Which one: on a node always the cluster server.
        from: MemberNumber,
        /// The message.
        message: Message,
    },
    /// What the link side has to say.
    Link(LinkNotice),
    /// Records of this member changed (it is their owner).
    Changes(Vec<Change>),
    /// So many messages wait for a subscriber.
    Messages(Extension, Messages),
    /// An operator ends a call.
    HangUp(CallId),
    /// An operator lets somebody off who was braked.
    Lift(Suspect),
    /// The relay of a call's media tells something.
    Media(Report),
    /// No new calls: the process is about to stop.
    Drain,
    /// Time passed.
    Tick,
}

/// What the call side wants done.
#[derive(Debug, Clone, PartialEq)]
pub enum CallOutput {
    /// Send this to a phone now.
    SendPhone(PhoneSend),
    /// Send this to another member now; if there is no connection it is lost.
    SendMember {
        /// Which one.
        to: MemberNumber,
        /// One message.
        bytes: Vec<u8>,
    },
    /// Keep this (kill-safe), and only then send what acknowledges it. The shell also holds a `SendPhone` of
    /// equal bytes until then: a transaction repeats its answer when it is asked again.
    KeepBinding {
        /// The binding.
        change: BindingChange,
        /// The acknowledgement.
        then: Vec<PhoneSend>,
    },
    /// Keep this of a call (kill-safe), and only then send what makes it so. `SendPhone`s of equal bytes are held as well.
    KeepDialog {
        /// What of it.
        change: DialogChange,
        /// To phones.
        then: Vec<PhoneSend>,
        /// To other members.
        then_members: Vec<(MemberNumber, Vec<u8>)>,
    },
    /// Keep this of a subscription (kill-safe), and only then send its answer. `SendPhone`s of equal bytes are held as well.
    KeepSubscription {
        /// What of it.
        change: SubscriptionChange,
        /// To phones.
        then: Vec<PhoneSend>,
    },
    /// Keep the record of a call that ended.
    KeepRecord(CallRecord),
    /// For the link side.
    ToLink(CallNotice),
    /// A call in progress changed, or ended.
    CallChanged(CallId),
    /// The bindings of another member changed.
    BindingsChanged(MemberNumber),
    /// What the relay of a call's media is told.
    Media(Order),
    /// Something an operator should know.
    Fault(call::Fault),
}

/// A message to a phone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PhoneSend {
    /// The way to it.
    pub flow: Flow,
    /// One message.
    pub bytes: Vec<u8>,
}

/// What calls tell the link.
#[derive(Debug, Clone, PartialEq)]
pub enum CallNotice {
    /// A phone registered here, or renewed with other details.
    Bound(LiveBinding),
    /// A registration here ended.
    Unbound(Extension, String),
    /// Lines changed here.
    Lines(Vec<LiveLine>),
    /// A phone here watches this line, or none does any more.
    Watch(Extension, bool),
    /// A record for the cluster server.
    Log(LogEntry),
}

/// What the link tells calls.
#[derive(Debug, Clone, PartialEq)]
pub enum LinkNotice {
    /// On a node: the uplink carries calls from now on.
    Up,
    /// On a node: it carries nothing any more.
    Down,
    /// On a node: these records changed.
    Changes(Vec<Change>),
    /// On a node: these are all records.
    Snapshot(Vec<Record>),
    /// On the cluster server: a node is within reach.
    NodeUp(MemberNumber),
    /// On the cluster server: a node is beyond a cut.
    NodeDown(MemberNumber, Duration),
    /// On the cluster server: these are all bindings of a node.
    LiveReset(MemberNumber, Vec<LiveBinding>),
    /// On the cluster server: a phone registered at a node.
    Bound(MemberNumber, LiveBinding),
    /// On the cluster server: a registration at a node ended.
    Unbound(MemberNumber, Extension, String),
    /// Watched lines are so at the other members; on a node all are unknown again at `Down`.
    Lamps(Vec<Lamp>),
}

/// What the link side is told.
#[derive(Debug, Clone)]
pub enum LinkInput {
    /// A connection stands and its peer's certificate says this.
    Connected(Conn, Peer),
    /// Bytes came.
    Bytes(Conn, Vec<u8>),
    /// So many bytes were handed to the socket.
    Sent(Conn, usize),
    /// A connection, or the attempt at one, ended.
    Closed(Conn),
    /// On a node: the records are on disk up to here.
    Applied(Position),
    /// On the cluster server: a commit was made.
    Committed {
        /// Its revision.
        revision: u64,
        /// What it changed.
        changes: Vec<Change>,
    },
    /// On the cluster server: an entry of a node's log is on disk.
    Recorded(MemberNumber, String),
    /// What the call side has to say.
    Calls(CallNotice),
    /// The member stops.
    Stop,
    /// Time passed.
    Tick,
}

/// What the link side wants done.
#[derive(Debug, Clone, PartialEq)]
pub enum LinkOutput {
    /// Connect to the cluster server.
    Dial(Conn),
    /// Send these bytes.
    Send(Conn, Vec<u8>),
    /// Flush and close.
    Close(Conn, CloseReason),
    /// Keep these changes, which are in force already, then say `Applied`.
    KeepChanges {
        /// Where the member stands after them.
        position: Position,
        /// The changes.
        changes: Vec<Change>,
    },
    /// Keep this in place of all records, then say `Applied`.
    KeepSnapshot {
        /// Where the member stands after it.
        position: Position,
        /// All records.
        records: Vec<Record>,
    },
    /// For the call side.
    ToCalls(LinkNotice),
    /// The cluster server has these log entries.
    LogAcked(Vec<String>),
    /// Give the log entries that were not acknowledged, oldest first.
    WantLogs,
    /// Keep a log entry of a node, then say `Recorded`.
    KeepLog(MemberNumber, LogEntry),
    /// On a node: its own state changed.
    UplinkState(cluster::uplink::StateName),
    /// On the cluster server: the state of a node changed.
    NodeState(MemberNumber, cluster::hub::StateName),
    /// Something an operator should know.
    Fault(LinkFault),
}

/// What went wrong on the link side.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkFault {
    /// On a node.
    #[error(transparent)]
    Uplink(cluster::uplink::Fault),
    /// On the cluster server.
    #[error(transparent)]
    Hub(cluster::hub::Fault),
}
