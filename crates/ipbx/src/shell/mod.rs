//! The shell around a member: sockets, threads, clock, disk. It decides nothing; see [`crate::member`].
//!
//! | runs on | what | may wait for |
//! | --- | --- | --- |
//! | thread `engine` | the call side; the only one that touches calls | nothing |
//! | thread `link` | the link side; heartbeats | nothing |
//! | runtime `link-io` | TLS connections between members | its peers |
//! | main runtime | phones' sockets, HTTPS, announcements | its peers, the disk |
//! | the store's writers | commits, then what they acknowledge | the disk |

pub mod clock;
pub mod engine;
pub mod inbox;
pub mod link;
pub mod members;
pub mod phones;
