//! The management station: topology, deployment, operations log, supervision.
//!
//! It is not a telephone: it carries no call and no common data. It knows which machines there are, claims
//! them, gives them their roles with certificates of a cluster-internal authority, and watches them. What it
//! knows of telephony it reads from, and writes to, the cluster server of each cluster.
//!
//! | to … | see |
//! | --- | --- |
//! | run one | [`run`], [`Manager::start`], [`Config`] |
//! | use one | [`client::Client`], [`view`] |
//! | add a page or an API call | [`service::Service`] first: it decides who may do what |

pub mod api;
pub mod authority;
pub mod client;
pub mod config;
pub mod doctor;
pub mod machine;
pub mod pages;
pub mod service;
pub mod supervision;
pub mod vault;
pub mod view;

mod accounts;
mod start;

pub use config::{Config, ConfigError};
pub use start::{FirstLogin, Manager, StartError, run};
