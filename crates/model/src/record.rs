//! How an object travels and rests: kind, key, revision and a value as JSON bytes.
//!
//! The bytes are kept as they were written, so that a member of another release keeps what it does
//! not understand, and the digest of a record is the same everywhere.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Bytes of one record's value (DESIGN § 5.4).
pub const RECORD_BYTES_MAX: usize = 256 * 1024;
/// Operations in one commit (DESIGN § 5.4).
pub const COMMIT_OPERATIONS_MAX: usize = 100;
/// Bytes of one commit (DESIGN § 5.4).
pub const COMMIT_BYTES_MAX: usize = 1024 * 1024;

/// Where objects of a kind are written, and who holds them (DESIGN § 5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// Written at the cluster server only, held by every member.
    Common,
    /// Written at the cluster server only, held there and by each node with an interest in it.
    Subscriber,
    /// Written by the member itself and held there.
    Local,
    /// Written and held by the manager alone.
    Manager,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $number:literal, $name:literal, $scope:ident;)*) => {
        /// What sort of object a record is. The number is the wire's and is never reused.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Kind { $($(#[$doc])* $variant = $number,)* }

        impl Kind {
            /// Every kind, in the order of its number.
            pub const ALL: &'static [Kind] = &[$(Kind::$variant,)*];

            /// The word for it in paths, tables and files.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Kind::$variant => $name,)* }
            }

            /// The number for it on the wire.
            #[must_use]
            pub fn number(self) -> u32 {
                match self { $(Kind::$variant => $number,)* }
            }

            /// Where it is written and who holds it.
            #[must_use]
            pub fn scope(self) -> Scope {
                match self { $(Kind::$variant => Scope::$scope,)* }
            }
        }
    };
}

kinds! {
    /// The cluster itself: domain, site number, country.
    Cluster = 1, "cluster", Common;
    /// A node of the cluster: its number bound to its dongle id (DEP-29).
    Node = 2, "node", Common;
    /// A range of the extension numbering plan (SYN-06).
    NumberingRange = 3, "numbering-range", Common;
    /// A feature class given to subscribers (SYN-02, IMP-11).
    FeatureClass = 4, "feature-class", Common;
    /// A list of barred numbers (SYN-08, IMP-10).
    BarredNumbers = 5, "barred-numbers", Common;
    /// A special number, such as an emergency number, by location.
    SpecialNumber = 6, "special-number", Common;
    /// A subscription with its credentials.
    Subscriber = 7, "subscriber", Subscriber;
    /// A web account of this member.
    Account = 20, "account", Local;
    /// A region of the manager's topology (DCS-03).
    Region = 40, "region", Manager;
    /// A multi-site of the topology (DCS-04).
    MultiSite = 41, "multi-site", Manager;
    /// A machine of the topology: cluster server, site or node (DCS-06, DEP-23).
    Machine = 42, "machine", Manager;
}

impl Kind {
    /// The kind of this wire number, if this release knows it.
    #[must_use]
    pub fn from_number(number: u32) -> Option<Kind> {
        Kind::ALL.iter().copied().find(|kind| kind.number() == number)
    }

    /// The kind of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Kind> {
        Kind::ALL.iter().copied().find(|kind| kind.name() == name)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One object as it is stored and sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// What sort of object.
    pub kind: Kind,
    /// Its name among its kind.
    pub key: String,
    /// The revision of the commit that last wrote it.
    pub revision: u64,
    /// The value as JSON text.
    pub value: Vec<u8>,
}

/// One step from one state of the records to the next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// The record is now this.
    Put(Record),
    /// There is no such record any more, since `revision`.
    Delete {
        /// What sort of object it was.
        kind: Kind,
        /// Its name.
        key: String,
        /// The revision of the commit that removed it.
        revision: u64,
    },
}

impl Change {
    /// The revision of the commit that made this change.
    #[must_use]
    pub fn revision(&self) -> u64 {
        match self {
            Change::Put(record) => record.revision,
            Change::Delete { revision, .. } => *revision,
        }
    }

    /// The kind and key it touches.
    #[must_use]
    pub fn subject(&self) -> (Kind, &str) {
        match self {
            Change::Put(record) => (record.kind, &record.key),
            Change::Delete { kind, key, .. } => (*kind, key),
        }
    }
}

/// Where a member stands in the cluster server's order of changes (DESIGN § 5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Position {
    /// Random name of the life of the data; a restore or rebuild begins a new one. 0 = none yet.
    pub history: u64,
    /// Raised with each activation of a cluster server in that history.
    pub epoch: u64,
    /// The last revision held.
    pub revision: u64,
}
