//! The front of an edge: what is done once for all its shards. It sorts what comes from outside, and owns the records.

use crate::core::Keys;
use crate::io::{Fault, Input, Output};
use crate::session::Desk;
use crate::settings::EdgeConfig;
use crate::shard::{ShardId, ShardInput, Sorter};
use media::relay::Report;
use model::tables::Tables;
use std::sync::Arc;

/// Which shards an input is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whom {
    /// This one.
    One(ShardId),
    /// Every one, each a copy (`ShardInput::again`).
    All,
}

/// See the module.
#[derive(Debug)]
pub struct Front {
    config: Arc<EdgeConfig>,
    keys: Keys,
    sorter: Sorter,
    tables: Arc<Tables>,
}

impl Front {
    pub(crate) fn new(config: Arc<EdgeConfig>, keys: &Keys) -> Front {
        let sorter = Sorter::new(keys.spread, keys.seal, config.shards);
        Front { config, keys: *keys, sorter, tables: Arc::default() }
    }

    /// Sorts messages and subscribers among the shards; a copy of it may be wherever messages come in.
    #[must_use]
    pub fn sorter(&self) -> Sorter {
        self.sorter
    }

    /// Who the edge is.
    #[must_use]
    pub fn config(&self) -> &EdgeConfig {
        &self.config
    }

    /// The records in force.
    #[must_use]
    pub fn tables(&self) -> &Tables {
        &self.tables
    }

    pub(crate) fn keys(&self) -> &Keys {
        &self.keys
    }

    /// What an input means to shards, and to which.
    pub fn sort(&mut self, input: Input, out: &mut Vec<Output>) -> (Whom, ShardInput) {
        match input {
            Input::Sip { from, message } => {
                (Whom::One(self.sorter.shard_of(&message)), ShardInput::Sip { from, message })
            }
            Input::FlowClosed(flow) => (Whom::All, ShardInput::FlowClosed(flow)),
            Input::Changes(changes) => {
                let tables = Arc::make_mut(&mut self.tables);
                let faults = changes.iter().filter_map(|change| tables.apply(change).err());
                out.extend(faults.map(|fault| Output::Fault(Fault::UnreadableRecord(fault))));
                (Whom::All, ShardInput::Tables(Arc::clone(&self.tables)))
            }
            Input::Snapshot(records) => {
                self.tables = Arc::new(Tables::of(&records));
                let unreadable = self.tables.unreadable();
                out.extend(unreadable.map(|(_, _, fault)| Output::Fault(fault.clone().into())));
                (Whom::All, ShardInput::Tables(Arc::clone(&self.tables)))
            }
            Input::Cluster(side) => (Whom::All, ShardInput::Cluster(side)),
            Input::Lamps(lamps) => (Whom::All, ShardInput::Lamps(Arc::new(lamps))),
            Input::Messages(extension, messages) => {
                let owner = self.sorter.owner_of(extension.as_str());
                (Whom::One(owner), ShardInput::Messages(extension, messages))
            }
            Input::HangUp(call) => (Whom::All, ShardInput::HangUp(call)),
            Input::Lift(suspect) => (Whom::All, ShardInput::Lift(suspect)),
            Input::Media(report) => (Whom::One(shard_of(&report)), ShardInput::Media(report)),
            Input::Drain => (Whom::All, ShardInput::Drain),
            Input::Tick => (Whom::All, ShardInput::Tick),
        }
    }
}

/// The shard that has opened the stream.
fn shard_of(report: &Report) -> ShardId {
    let (Report::Failed(id)
    | Report::Silent(id)
    | Report::Heard(id)
    | Report::Stands(id, _)
    | Report::Closed(id, ..)) = report;
    ShardId(Desk::shard_of(*id))
}

impl ShardInput {
    /// The same for another shard. None for what only one of them may hear.
    #[must_use]
    pub fn again(&self) -> Option<ShardInput> {
        match self {
            ShardInput::Sip { .. }
            | ShardInput::Word(_)
            | ShardInput::Media(_)
            | ShardInput::Messages(..) => None,
            ShardInput::Lamps(lamps) => Some(ShardInput::Lamps(Arc::clone(lamps))),
            ShardInput::FlowClosed(flow) => Some(ShardInput::FlowClosed(*flow)),
            ShardInput::Tables(tables) => Some(ShardInput::Tables(Arc::clone(tables))),
            ShardInput::Cluster(side) => Some(ShardInput::Cluster(*side)),
            ShardInput::HangUp(call) => Some(ShardInput::HangUp(*call)),
            ShardInput::Lift(suspect) => Some(ShardInput::Lift(suspect.clone())),
            ShardInput::Drain => Some(ShardInput::Drain),
            ShardInput::Tick => Some(ShardInput::Tick),
        }
    }
}
