//! What goes into an edge and what comes out of it.

use crate::binding::BindingChange;
use crate::events::{Line, Messages, SubscriptionChange};
use crate::hop::Hop;
use crate::owner::Suspect;
use crate::record::{CallId, CallRecord};
use crate::session::DialogChange;
use media::relay::{Order, Report};
use model::{Change, Extension, Record};
use serde::{Deserialize, Serialize};
use sip::{Flow, Message};

/// The way to the other members, as the link sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClusterSide {
    /// Messages to the cluster are carried.
    Up,
    /// Messages to the cluster are lost.
    Down,
}

/// A line with what each other member says of it; none when that is not known.
pub type MemberLines = (Extension, Option<Vec<Line>>);

/// What an edge is told.
#[derive(Debug, Clone)]
pub enum Input {
    /// A message came. A request from a phone bears `received`/`rport` already (`Message::stamp`).
    Sip {
        /// Where from.
        from: Hop,
        /// The message.
        message: Message,
    },
    /// A phone's connection is gone.
    FlowClosed(Flow),
    /// Records changed; they are in force for the next decision.
    Changes(Vec<Change>),
    /// All records, in place of those known so far.
    Snapshot(Vec<Record>),
    /// The cluster side came or went. A cluster server's is always up; nobody needs to say so.
    Cluster(ClusterSide),
    /// Watched lines are so at the other members; nothing for a line of which nothing is known.
    Lamps(Vec<MemberLines>),
    /// So many messages wait for a subscriber.
    Messages(Extension, Messages),
    /// An operator ends a call.
    HangUp(CallId),
    /// An operator lets somebody off who was braked.
    Lift(Suspect),
    /// The relay of a call's media tells something.
    Media(Report),
    /// No new calls but emergency calls: the process is about to stop.
    Drain,
    /// Time has passed.
    Tick,
}

/// What an edge wants done.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Send these bytes.
    Send {
        /// Where to.
        to: Hop,
        /// One SIP message.
        bytes: Vec<u8>,
    },
    /// Keep this (kill-safe) and publish it to the cluster server.
    Binding(BindingChange),
    /// Keep this of a call (kill-safe), and only then send what this step sends.
    Dialog(DialogChange),
    /// Keep this of a lamp (kill-safe), and only then send what this step sends.
    Subscription(SubscriptionChange),
    /// These lines are so here now: tell the other members.
    Lines(Vec<(Extension, Line)>),
    /// A phone here watches the line of that subscriber, or none does any more: what other members say of it is wanted
    /// as `Input::Lamps`.
    Watch(Extension, bool),
    /// A call in progress has changed, or ended: `Edge::calls` shows it as it is.
    CallChanged(CallId),
    /// A call has ended: its one record at this edge. Of an anchored call it comes when the relay has said what was
    /// carried, a second later at most.
    Ended(CallRecord),
    /// What the relay of a call's media is told. A stream that is opened is closed, always.
    Media(Order),
    /// Something went wrong that an operator should know.
    Fault(Fault),
}

/// What can go wrong at an edge without being a call's end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A record that this release cannot read.
    #[error("a record cannot be read and is left aside: {0}")]
    UnreadableRecord(#[from] model::object::ObjectError),
    /// Wrong passwords from one source.
    #[error(
        "{count} wrong passwords from {source_ip}: it is refused unheard for a while (the list of bans says as whom and until when)"
    )]
    Braked {
        /// Whose.
        user: String,
        /// Where from.
        source_ip: std::net::IpAddr,
        /// How many.
        count: u32,
    },
    /// A limit is reached, by its name in `settings`.
    #[error("limit reached: {0}")]
    Limit(&'static str),
    /// Another program has a port of the range of media: one call carries nothing.
    #[error("a media port cannot be opened: is another program using the range?")]
    MediaPort,
    /// A call that was kept cannot be restored.
    #[error("a call is not restored: {0}")]
    NotRestored(String),
    /// A subscription that was kept cannot be restored.
    #[error("a lamp is not restored: {0}")]
    LampNotRestored(String),
    /// Our own bug: a message that could not be built.
    #[error("a message could not be built: {0}")]
    Unbuildable(String),
}
