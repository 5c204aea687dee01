//! The call server daemon in all its roles, and its web administration.

pub mod claim;
pub mod config;
pub mod files;
pub mod identity;
pub mod role;

pub use config::Config;
