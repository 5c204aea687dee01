//! Whole machines in this process, on loopback with ports of the system's choice, spoken to as the manager and as
//! phones do.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]
#![expect(clippy::indexing_slicing, reason = "tests look into JSON")]

mod bans;
mod calls;
mod cluster;
mod enrolment;
mod lamps;
mod objects;
mod phone;
mod secrets;
mod streams;
mod tls;
mod world;
