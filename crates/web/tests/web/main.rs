//! The crate from outside: real TLS on loopback, the client against the server, a browser's cookies by hand.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod browser;
mod https;
mod world;
