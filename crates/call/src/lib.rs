//! Registrar, location, legs, B2BUA and call records, as pure machines.
//!
//! What it is: [`Edge`], everything a member does for the phones attached to it, and [`Relay`] with [`Location`],
//! the cluster server's way between edges. Both are told things and say what they want done; see [`Input`] and
//! [`Output`].
//!
//! What it is not: it opens no socket and no store, knows no link protocol, and touches no media: offers and
//! answers pass through as they are, and sound goes directly between the phones.
//!
//! The one thing a reader must know: a call that crosses the cluster is two sessions, one at each edge, joined by
//! its Session-ID only. Each is complete by itself, which is why a cut between them cannot end either.

mod binding;
mod core;
mod edge;
mod events;
mod headers;
mod hop;
mod io;
mod keyed;
mod location;
mod names;
mod owed;
mod owner;
mod record;
mod relay;
mod session;
pub mod settings;
mod shard;

pub use binding::{Binding, BindingChange, BindingRef, Device, PackedBinding};
pub use edge::{Edge, Front, ThawError, Whom};
pub use events::{Direction, Lamp, Line, LineCall, Look, Messages, Phase, SubscriptionChange};
pub use hop::Hop;
pub use io::{ClusterSide, Fault, Input, MemberLines, Output};
pub use location::{Location, Whereabouts};
pub use owner::{Ban, Suspect};
pub use record::{CallId, CallRecord, CallView, EndedBy, Party, Progress, Role, Transfer, TransferKind};
pub use relay::{Relay, RelayOutput};
pub use session::{AnchorWhen, CallMedia, DialogChange, MediaPath, MediaSettings, MediaTraffic, PortRange};
pub use settings::{EdgeConfig, EdgeSettings, Place};
pub use shard::{Mail, Shard, ShardId, ShardInput, Sorter, Word};
