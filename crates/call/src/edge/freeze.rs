//! An edge as bytes and back (DESIGN § 3): for a restart without losing calls, for takeover, and for the simulator,
//! which does it at random points. The records are not in it: they have a home of their own and are given back
//! as `Input::Snapshot`. The seed is never frozen, so that two thawed copies draw different names.

use super::Edge;
use crate::core::{Held, Keys};
use crate::record::CallId;
use crate::session::Session;
use crate::settings::EdgeConfig;
use crate::shard::Shard;
use serde::{Deserialize, Serialize};
use sip::Tokens;
use std::collections::BTreeMap;

/// The version of the frozen form that this release writes and reads.
const VERSION: u32 = 3;

/// Why frozen bytes do not become an edge.
#[derive(Debug, thiserror::Error)]
pub enum ThawError {
    /// They are of another version.
    #[error("frozen by version {0}; this release reads version {VERSION}")]
    Version(u32),
    /// They are not as many shards as they say.
    #[error("the frozen edge lacks a shard")]
    Shards,
    /// They are damaged.
    #[error("the frozen edge cannot be read")]
    Unreadable(#[from] serde_json::Error),
}

#[derive(Serialize)]
struct Frozen<'a> {
    version: u32,
    config: &'a EdgeConfig,
    keys: &'a Keys,
    shards: Vec<FrozenShard<'a>>,
}

#[derive(Serialize)]
struct FrozenShard<'a> {
    held: &'a Held,
    sessions: &'a BTreeMap<CallId, Session>,
}

impl FrozenShard<'_> {
    fn of(shard: &Shard) -> FrozenShard<'_> {
        FrozenShard { held: &shard.core.held, sessions: &shard.sessions }
    }
}

#[derive(Deserialize)]
struct Thawed {
    config: EdgeConfig,
    keys: Keys,
    shards: Vec<ThawedShard>,
}

#[derive(Deserialize)]
struct ThawedShard {
    held: Held,
    sessions: BTreeMap<CallId, Session>,
}

#[derive(Deserialize)]
struct Version {
    version: u32,
}

impl Edge {
    /// Everything but the records, as versioned bytes.
    ///
    /// # Errors
    /// Our own bug: a part of the state that cannot be written as JSON.
    pub fn freeze(&self) -> Result<Vec<u8>, ThawError> {
        let shards = self.shards.iter().map(FrozenShard::of).collect();
        let frozen = Frozen { version: VERSION, config: self.config(), keys: &self.keys, shards };
        Ok(serde_json::to_vec(&frozen)?)
    }

    /// The edge those bytes were, with as many shards: its calls and owners stay where their names lead. Its deadlines still mean the same instants; the next `handle` catches up.
    /// Connections that died with the old process have to be told as `Input::FlowClosed`.
    ///
    /// # Errors
    /// See [`ThawError`].
    pub fn thaw(bytes: &[u8], seed: [u8; 32]) -> Result<Edge, ThawError> {
        let Version { version } = serde_json::from_slice(bytes)?;
        if version != VERSION {
            return Err(ThawError::Version(version));
        }
        let Thawed { config, keys, shards } = serde_json::from_slice(bytes)?;
        if shards.len() != usize::from(config.shards) {
            return Err(ThawError::Shards);
        }
        let shards = shards.into_iter().map(|ThawedShard { mut held, sessions }| {
            // It was drained because its process stopped; this one begins.
            held.draining = false;
            (held, sessions)
        });
        Ok(Edge::of(config, keys, shards.collect(), &mut Tokens::new(seed)))
    }
}
