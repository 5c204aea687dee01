//! The shell around a member: sockets, threads, clock, disk. It decides nothing; see [`crate::member`].
//!
//! | runs on | what | may wait for |
//! | --- | --- | --- |
//! | threads `engine-N` | the shards of the call side, one each, and phones' datagrams; the only ones that touch calls | nothing |
//! | threads `media` | relays of anchored media | nothing |
//! | thread `link` | the link side; heartbeats | nothing |
//! | runtime `link-io` | TLS connections between members | its peers |
//! | main runtime | phones' connections, HTTPS, announcements | its peers, the disk |
//! | the store's writers | commits, then what they acknowledge | the disk |

pub mod clock;
pub mod engine;
pub mod inbox;
pub mod link;
pub mod media;
pub mod members;
pub mod phones;
pub mod records;
pub mod resolve;
