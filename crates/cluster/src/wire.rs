//! Every message of the link, once. Protobuf, derived by hand: no generator, no `.proto` file.
//!
//! Rules that keep release N talking to N-1 (AMB-04): a tag is never reused; a new field is optional and its
//! absence means what the older release did; an unknown field, message or record kind is skipped. The golden
//! bytes in the tests are the check that nobody changed what is on the wire by accident.
//!
//! Not here: framing ([`framer`](crate::framer)) and what the messages mean ([`uplink`](crate::uplink),
//! [`hub`](crate::hub)). Types of this module stay at the edge of the machines; inside they use the model's.

pub(crate) mod convert;

pub use convert::MalformedField;

/// What one frame holds. A frame without a body this release knows is skipped.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Frame {
    /// The message.
    #[prost(oneof = "Body", tags = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17")]
    pub body: Option<Body>,
}

/// The messages.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Body {
    /// Node: who I am and where I stand. The first message.
    #[prost(message, tag = "1")]
    Hello(Hello),
    /// Cluster server: you are taken.
    #[prost(message, tag = "2")]
    Welcome(Welcome),
    /// Cluster server: you are not taken; it closes.
    #[prost(message, tag = "3")]
    Refuse(Refuse),
    /// Both: I live, and this is where I stand.
    #[prost(message, tag = "4")]
    Heartbeat(Heartbeat),
    /// Cluster server: all of your data follow.
    #[prost(message, tag = "5")]
    SnapshotBegin(SnapshotBegin),
    /// Cluster server: some of them.
    #[prost(message, tag = "6")]
    SnapshotRecords(SnapshotRecords),
    /// Cluster server: that was all; apply them as one.
    #[prost(message, tag = "7")]
    SnapshotEnd(SnapshotEnd),
    /// Cluster server: one commit, as far as it concerns you.
    #[prost(message, tag = "8")]
    Changes(Changes),
    /// Cluster server: you have caught up.
    #[prost(message, tag = "9")]
    Current(Current),
    /// Node: registrations here.
    #[prost(message, tag = "10")]
    Live(Live),
    /// Node: records for the log.
    #[prost(message, tag = "11")]
    Log(Log),
    /// Cluster server: these are kept.
    #[prost(message, tag = "12")]
    LogAck(LogAck),
    /// Both: I stop now, on purpose.
    #[prost(message, tag = "13")]
    Goodbye(Goodbye),
    /// Node: what the lines of its phones do.
    #[prost(message, tag = "14")]
    Lines(Lines),
    /// Both: a piece of a message that is longer than a frame.
    #[prost(message, tag = "15")]
    Part(Part),
    /// Node: the lines of other members that its phones watch.
    #[prost(message, tag = "16")]
    Watch(Watch),
    /// Cluster server: what watched lines of other members do.
    #[prost(message, tag = "17")]
    Lamps(Lamps),
}

/// See [`Body::Hello`].
#[derive(Clone, PartialEq, prost::Message)]
pub struct Hello {
    /// The cluster it belongs to.
    #[prost(string, tag = "1")]
    pub cluster: String,
    /// Its number.
    #[prost(uint32, tag = "2")]
    pub member: u32,
    /// Its machine.
    #[prost(string, tag = "3")]
    pub dongle_id: String,
    /// Its release, as it is written.
    #[prost(string, tag = "4")]
    pub release: String,
    /// Its hardware type, by name.
    #[prost(string, tag = "5")]
    pub hardware_type: String,
    /// Where its data stand.
    #[prost(message, optional, tag = "6")]
    pub position: Option<Position>,
    /// The root digest of its data at that position.
    #[prost(bytes = "vec", tag = "7")]
    pub digest: Vec<u8>,
    /// The record kinds it knows: it is sent no other.
    #[prost(uint32, repeated, tag = "8")]
    pub kinds: Vec<u32>,
    /// Its clock, milliseconds since 1970.
    #[prost(uint64, tag = "9")]
    pub unix_ms: u64,
    /// The number of this start of its edge: bindings of a lower one are history.
    #[prost(uint64, tag = "10")]
    pub instance: u64,
}

/// What the far end of an uplink may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum Authority {
    /// A later release's word.
    Unspecified = 0,
    /// The cluster server: common data, revisions, epochs.
    Full = 1,
    /// A survival node: live state, routing, directory; never common data.
    Calls = 2,
}

/// See [`Body::Welcome`].
#[derive(Clone, PartialEq, prost::Message)]
pub struct Welcome {
    /// What this end may do for the node.
    #[prost(enumeration = "Authority", tag = "1")]
    pub authority: i32,
    /// Where the cluster's data stand, with the epoch of this activation.
    #[prost(message, optional, tag = "2")]
    pub position: Option<Position>,
    /// Its clock, milliseconds since 1970.
    #[prost(uint64, tag = "3")]
    pub unix_ms: u64,
    /// Its release, as it is written.
    #[prost(string, tag = "4")]
    pub release: String,
}

/// The reasons of a [`Refuse`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum RefuseReason {
    /// A later release's reason.
    Unspecified = 0,
    /// No such node number.
    UnknownNode = 1,
    /// The node was deleted.
    DeletedNode = 2,
    /// The number is bound to another machine.
    DongleDiffers = 3,
    /// Another cluster's machine.
    WrongCluster = 4,
    /// Not the certificate of that number.
    IdentityDiffers = 5,
    /// Release too new or too old.
    ReleaseOutsideWindow = 6,
    /// Over 230.
    TooManyNodes = 7,
    /// The node knows a higher epoch.
    Superseded = 8,
}

/// See [`Body::Refuse`].
#[derive(Clone, PartialEq, prost::Message)]
pub struct Refuse {
    /// Why.
    #[prost(enumeration = "RefuseReason", tag = "1")]
    pub reason: i32,
}

/// See [`Body::Heartbeat`].
#[derive(Clone, PartialEq, prost::Message)]
pub struct Heartbeat {
    /// Where the sender's data stand, in force.
    #[prost(message, optional, tag = "1")]
    pub position: Option<Position>,
    /// A node's root digest at that position.
    #[prost(bytes = "vec", tag = "2")]
    pub digest: Vec<u8>,
    /// Snapshots a node applied in this connection: says which of them the digest is about.
    #[prost(uint32, tag = "3")]
    pub snapshots: u32,
    /// The revision a node has on disk.
    #[prost(uint64, tag = "4")]
    pub durable: u64,
    /// The sender's clock, milliseconds since 1970.
    #[prost(uint64, tag = "5")]
    pub unix_ms: u64,
}

/// A position in the cluster server's order of changes.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Position {
    /// The life of the data.
    #[prost(fixed64, tag = "1")]
    pub history: u64,
    /// The activation.
    #[prost(uint64, tag = "2")]
    pub epoch: u64,
    /// The last revision held.
    #[prost(uint64, tag = "3")]
    pub revision: u64,
}

/// A record.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Record {
    /// The number of its kind.
    #[prost(uint32, tag = "1")]
    pub kind: u32,
    /// Its name.
    #[prost(string, tag = "2")]
    pub key: String,
    /// The commit that wrote it.
    #[prost(uint64, tag = "3")]
    pub revision: u64,
    /// Its value, JSON.
    #[prost(bytes = "vec", tag = "4")]
    pub value: Vec<u8>,
}

/// A record that is no more.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Deletion {
    /// The number of its kind.
    #[prost(uint32, tag = "1")]
    pub kind: u32,
    /// Its name.
    #[prost(string, tag = "2")]
    pub key: String,
    /// The commit that removed it.
    #[prost(uint64, tag = "3")]
    pub revision: u64,
}

/// One change. One without a step this release knows is skipped.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Change {
    /// What to do.
    #[prost(oneof = "Step", tags = "1, 2")]
    pub step: Option<Step>,
}

/// What a [`Change`] does.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Step {
    /// The record is now this.
    #[prost(message, tag = "1")]
    Put(Record),
    /// It is no more.
    #[prost(message, tag = "2")]
    Delete(Deletion),
}

/// See [`Body::SnapshotBegin`].
#[derive(Clone, PartialEq, prost::Message)]
pub struct SnapshotBegin {
    /// Where the node stands once it has all of it.
    #[prost(message, optional, tag = "1")]
    pub position: Option<Position>,
    /// Records that will follow.
    #[prost(uint64, tag = "2")]
    pub records: u64,
}

/// See [`Body::SnapshotRecords`].
#[derive(Clone, PartialEq, prost::Message)]
pub struct SnapshotRecords {
    /// Some of the records.
    #[prost(message, repeated, tag = "1")]
    pub records: Vec<Record>,
}

/// See [`Body::SnapshotEnd`].
#[derive(Clone, PartialEq, prost::Message)]
pub struct SnapshotEnd {
    /// The root digest of all records of the snapshot.
    #[prost(bytes = "vec", tag = "1")]
    pub digest: Vec<u8>,
}

/// See [`Body::Changes`].
#[derive(Clone, PartialEq, prost::Message)]
pub struct Changes {
    /// The commit; the node stands here afterwards.
    #[prost(uint64, tag = "1")]
    pub revision: u64,
    /// The commit before it, where the node must stand.
    #[prost(uint64, tag = "2")]
    pub follows: u64,
    /// What concerns the node; may be nothing.
    #[prost(message, repeated, tag = "3")]
    pub changes: Vec<Change>,
}

/// See [`Body::Current`].
#[derive(Clone, PartialEq, prost::Message)]
pub struct Current {
    /// Where the node stands.
    #[prost(uint64, tag = "1")]
    pub revision: u64,
}

/// A registration at the node.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Binding {
    /// Whose.
    #[prost(string, tag = "1")]
    pub extension: String,
    /// Which device.
    #[prost(string, tag = "2")]
    pub device: String,
    /// For people, JSON; empty when it ended.
    #[prost(bytes = "vec", tag = "3")]
    pub detail: Vec<u8>,
}

/// See [`Body::Live`].
#[derive(Clone, PartialEq, prost::Message)]
pub struct Live {
    /// A new full list begins: what was said before is void once the list is complete.
    #[prost(bool, tag = "1")]
    pub first: bool,
    /// The full list is complete with this.
    #[prost(bool, tag = "2")]
    pub last: bool,
    /// New or renewed.
    #[prost(message, repeated, tag = "3")]
    pub bound: Vec<Binding>,
    /// Ended.
    #[prost(message, repeated, tag = "4")]
    pub unbound: Vec<Binding>,
}

/// What the line of a subscriber does at the node.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Line {
    /// Whose.
    #[prost(string, tag = "1")]
    pub extension: String,
    /// What it does, JSON, in the edges' own form.
    #[prost(bytes = "vec", tag = "2")]
    pub detail: Vec<u8>,
}

/// See [`Body::Lines`].
#[derive(Clone, PartialEq, prost::Message)]
pub struct Lines {
    /// A new full list begins: what was said before is void once the list is complete.
    #[prost(bool, tag = "1")]
    pub first: bool,
    /// The full list is complete with this.
    #[prost(bool, tag = "2")]
    pub last: bool,
    /// New or changed.
    #[prost(message, repeated, tag = "3")]
    pub lines: Vec<Line>,
    /// Extensions without a phone or a call here any more.
    #[prost(string, repeated, tag = "4")]
    pub gone: Vec<String>,
}

/// See [`Body::Watch`].
#[derive(Clone, PartialEq, prost::Message)]
pub struct Watch {
    /// A new full list begins: what was watched before is watched no more unless it is in it.
    #[prost(bool, tag = "1")]
    pub first: bool,
    /// The full list is complete with this.
    #[prost(bool, tag = "2")]
    pub last: bool,
    /// Extensions watched from now on.
    #[prost(string, repeated, tag = "3")]
    pub begun: Vec<String>,
    /// Extensions watched no more.
    #[prost(string, repeated, tag = "4")]
    pub ended: Vec<String>,
}

/// A watched line, as the other members know it.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Lamp {
    /// Whose.
    #[prost(string, tag = "1")]
    pub extension: String,
    /// False when the member that would know is beyond a cut.
    #[prost(bool, tag = "2")]
    pub known: bool,
    /// What each other member says of it; empty when it has no phone at any of them.
    #[prost(bytes = "vec", repeated, tag = "3")]
    pub details: Vec<Vec<u8>>,
}

/// See [`Body::Lamps`].
#[derive(Clone, PartialEq, prost::Message)]
pub struct Lamps {
    /// Those that changed, or were asked for anew.
    #[prost(message, repeated, tag = "1")]
    pub lamps: Vec<Lamp>,
}

/// A record of the log.
#[derive(Clone, PartialEq, prost::Message)]
pub struct LogEntry {
    /// Its name, unique for ever.
    #[prost(string, tag = "1")]
    pub id: String,
    /// What it says, JSON.
    #[prost(bytes = "vec", tag = "2")]
    pub body: Vec<u8>,
}

/// See [`Body::Log`].
#[derive(Clone, PartialEq, prost::Message)]
pub struct Log {
    /// Some entries.
    #[prost(message, repeated, tag = "1")]
    pub entries: Vec<LogEntry>,
}

/// See [`Body::LogAck`].
#[derive(Clone, PartialEq, prost::Message)]
pub struct LogAck {
    /// Names of the entries that are on the cluster server's disk.
    #[prost(string, repeated, tag = "1")]
    pub ids: Vec<String>,
}

/// See [`Body::Goodbye`].
#[derive(Clone, PartialEq, prost::Message)]
pub struct Goodbye {}

/// See [`Body::Part`].
#[derive(Clone, PartialEq, prost::Message)]
pub struct Part {
    /// The next piece of an encoded [`Frame`].
    #[prost(bytes = "vec", tag = "1")]
    pub bytes: Vec<u8>,
    /// The message is complete with this.
    #[prost(bool, tag = "2")]
    pub last: bool,
}

#[cfg(test)]
mod golden;
