//! Log entries on their way to the cluster server: kept until it says that it has them, sent again on each new
//! connection. Sending one twice is harmless, its name makes it one (DESIGN § 5.3).

use crate::link::LogEntry;
use crate::wire::Log;
use std::collections::{BTreeMap, VecDeque};

/// Entries kept here. The store keeps all of them; what does not fit is asked for again with `WantLogs`.
pub(super) const ENTRIES_MAX: usize = 2_000;
/// Entries in one message.
const BATCH_MAX: usize = 50;
/// Bytes of one message, about; a single entry may be longer.
const BATCH_BYTES: usize = 32 * 1024;
/// Bytes of one entry: it must fit into a message.
const ENTRY_BYTES_MAX: usize = 1024 * 1024;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Journal {
    entries: BTreeMap<String, LogEntry>,
    unsent: VecDeque<String>,
    left_out: bool,
}

impl Journal {
    pub(super) fn add(&mut self, entry: LogEntry) {
        if entry.body.len() > ENTRY_BYTES_MAX || self.entries.contains_key(&entry.id) {
            return;
        }
        if self.entries.len() >= ENTRIES_MAX {
            self.left_out = true;
            return;
        }
        self.unsent.push_back(entry.id.clone());
        self.entries.insert(entry.id.clone(), entry);
    }

    /// A new connection: what was sent on the old one may not have arrived.
    pub(super) fn restart(&mut self) {
        self.unsent = self.entries.keys().cloned().collect();
    }

    /// The next message, if there is anything to send.
    pub(super) fn next_message(&mut self) -> Option<Log> {
        let mut log = Log::default();
        let mut bytes = 0;
        while log.entries.len() < BATCH_MAX && bytes < BATCH_BYTES {
            let Some(id) = self.unsent.pop_front() else { break };
            if let Some(entry) = self.entries.get(&id) {
                bytes += entry.body.len();
                log.entries.push(entry.into());
            }
        }
        (!log.entries.is_empty()).then_some(log)
    }

    /// The cluster server has these. True when entries that were left out can be asked for.
    pub(super) fn acknowledged(&mut self, ids: &[String]) -> bool {
        for id in ids {
            self.entries.remove(id);
        }
        let room = self.left_out && self.entries.len() <= ENTRIES_MAX / 2;
        self.left_out &= !room;
        room
    }
}
