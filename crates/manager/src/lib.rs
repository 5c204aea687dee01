//! The management station: topology, deployment, operations log, supervision.
//!
//! It is not a telephone: it carries no call and no common data. It knows which machines there are, claims
//! them, gives them their roles with certificates of a cluster-internal authority, and watches them. What it
//! knows of telephony it reads from, and writes to, the cluster server of each cluster.

pub mod view;
