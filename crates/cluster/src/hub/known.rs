//! A node as the cluster server knows it, with or without a link.

use super::io::{NodeStatus, Output, StateName};
use crate::link::{Conn, LiveBinding};
use model::{Extension, MemberNumber, Position, Release};
use std::collections::BTreeMap;
use std::time::Duration;

/// What is known of a node beyond its session.
#[derive(Debug, Clone)]
pub(super) struct Known {
    /// The connection of its session, if it has one.
    pub(super) conn: Option<Conn>,
    pub(super) state: StateName,
    pub(super) since: Duration,
    pub(super) position: Position,
    pub(super) durable: u64,
    pub(super) digest_equal: Option<bool>,
    pub(super) release: Option<Release>,
    pub(super) clock_offset_ms: i64,
    pub(super) bindings: BTreeMap<(Extension, String), LiveBinding>,
}

impl Known {
    pub(super) fn new(now: Duration) -> Known {
        Known {
            conn: None,
            state: StateName::Unreachable,
            since: now,
            position: Position::default(),
            durable: 0,
            digest_equal: None,
            release: None,
            clock_offset_ms: 0,
            bindings: BTreeMap::new(),
        }
    }

    pub(super) fn enter(
        &mut self,
        member: MemberNumber,
        state: StateName,
        now: Duration,
        out: &mut Vec<Output>,
    ) {
        if self.state != state {
            self.state = state;
            self.since = now;
            out.push(Output::StateChanged(member, state));
        }
    }

    /// As people are shown it; `ours` is where the cluster server stands.
    pub(super) fn status(&self, member: MemberNumber, ours: Position) -> NodeStatus {
        let held = if self.position.history == ours.history { self.position.revision } else { 0 };
        NodeStatus {
            member,
            state: self.state,
            since: self.since,
            position: self.position,
            digest_equal: self.digest_equal,
            release: self.release,
            lag: ours.revision.saturating_sub(held),
            bindings: self.bindings.len(),
            durable: self.durable,
            clock_offset_ms: self.clock_offset_ms,
        }
    }
}
