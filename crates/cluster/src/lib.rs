//! The cluster link: what a node and its cluster server say to each other, and what each of them makes of it.
//!
//! Two machines, both pure: [`Uplink`] is the node's side, [`Hub`] the cluster server's with a session for
//! each node. They have the one face of all our machines: `handle(now, input, out)` and `next_timeout()`.
//! The shell owns sockets, certificates and the store; here a connection is a [`Conn`] number and bytes.
//!
//! ```text
//!   node                                        cluster server
//!   Dial, Hello(identity, position, digest) ->
//!                                            <- Welcome(authority, epoch) or Refuse(reason)
//!   Live(all bindings of this instance)     ->
//!                                            <- snapshot, or the changes since that position
//!                                            <- Current(revision)           the node is connected
//!   Heartbeat(position, digest)            <->  every 500 ms; silence of 2.5 s is loss
//!                                            <- Changes(revision, what concerns that node)
//!   Live(changes), Log(record)              ->
//!   Lines(all, then changes), Watch(which)  ->
//!                                            <- Lamps(what watched lines of other members do)
//!                                            <- LogAck(ids)
//! ```
//!
//! Not here: SIP between members (it has connections of its own), TLS, storage, and what calls do when the
//! uplink goes. The one thing to know: a node's state is never a reason to restart or reload anything. Losing
//! the link only empties the uplink, and its return only fills it (DESIGN § 2).

pub mod digest;
pub mod framer;
pub mod hub;
mod line;
pub mod link;
pub mod uplink;
pub mod wire;

#[cfg(test)]
mod tests;

pub use digest::{Digest, Inventory};
pub use hub::Hub;
pub use link::{CloseReason, Conn, Lamp, LiveBinding, LiveLine, LogEntry, Peer, Refusal};
pub use uplink::Uplink;
