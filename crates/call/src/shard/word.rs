//! What shards say to each other. A word is a value: nothing in it is shared with the one who said it.
//!
//! Each question names the shard that asks, and comes back there with its answer. Between the two the asker keeps
//! nothing but the note that a request is away; the request itself travels.

use super::ShardId;
use super::events::LineNews;
use super::invite::Placing;
use super::moving::{Moving, Round};
use super::prove::{Judgement, Proof};
use super::route::Routing;
use crate::hop::Hop;
use crate::record::CallId;
use model::Extension;
use sip::{Flow, Message};

/// A word from one shard to another; what it says is the shards' own business.
#[derive(Debug)]
pub struct Word(pub(crate) Saying);

/// Words on their way, each with the shard that shall hear it.
pub type Mail = Vec<(ShardId, Word)>;

#[derive(Debug)]
pub(crate) enum Saying {
    /// To the owner of who this request says it is from: is it?
    Prove(Box<Proof>),
    /// And what the owner found.
    Judged(Box<Proof>, Judgement),
    /// To the owner of the subscriber a call wants: which phones has it?
    Find(Box<Placing>),
    /// And they are noted in it.
    Found(Box<Placing>),
    /// To the owner of the subscriber that a call in progress shall go to: which phones has it?
    Seek(Box<Routing>),
    /// And they are noted in it.
    Sought(Box<Routing>),
    /// To where a dialog has moved: what came for it.
    Sip(Hop, Box<Message>),
    /// To each shard in turn: a CANCEL whose INVITE is not where it should be.
    Cancel(Box<Round>),
    /// A call comes to stay.
    Move(Box<Moving>),
    /// Nothing comes for these tags of a call any more; a call that is over everywhere (`None` while it only moved home
    /// again) leaves its media too.
    Gone(Option<CallId>, Vec<String>),
    /// To the owner of a line: a call is so on it.
    Line(Box<LineNews>),
    /// To its owner: a call that this subscriber had begun is over.
    Over(Extension),
    /// To all: a phone came back on another flow, and its calls go with it.
    Moved(Flow, Flow),
    /// To the owner of who it names in To: somebody answers what we do not know to have asked.
    Stray(Hop, Box<Message>),
}
