//! The domain: what a cluster is made of, and the decisions that need nothing but values.
//!
//! Everything here is pure: no socket, file, clock, thread or random source. Time comes in as an
//! argument: `now: Duration` is the *steady clock*, the time since the Unix epoch as the process read
//! it once at its start, carried on by the monotonic clock. A deadline frozen by one process
//! therefore still means the same instant in the next one.
//!
//! Configuration is [`object`]s: each has a [`Kind`], a key, a value and a revision, and travels as a
//! [`Record`]. What a process knows is the [`Tables`](tables::Tables) built of them.

pub mod cause;
pub mod deploy;
pub mod hardware;
pub mod ids;
pub mod object;
pub mod record;
pub mod release;
pub mod routing;
pub mod tables;
pub mod topology;
pub mod translator;

pub use cause::Cause;
pub use hardware::HardwareType;
pub use ids::{ClusterId, DongleId, Extension, MemberNumber};
pub use record::{Change, Kind, Position, Record, Scope};
pub use release::Release;
