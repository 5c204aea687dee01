//! The management station: topology, deployment, operations log, supervision.
