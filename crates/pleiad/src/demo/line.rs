//! The line between a node and the cluster server: a relay process on one machine, a rule of the core with `--netns`.

use super::netns;
use super::plan::{Ground, NODES, Plan, wan_socket};
use crate::wan::ask;
use anyhow::{Result, ensure};
use std::path::Path;

/// From now on nothing passes, and nobody is told.
pub(super) async fn cut(plan: &Plan, dir: &Path, node: u8) -> Result<()> {
    known(node)?;
    match plan.ground {
        Ground::Loopback(_) => ask(&dir.join(wan_socket(node)), "cut").await.map(drop),
        Ground::Namespaces => netns::cut(node),
    }
}

/// The line is whole again.
pub(super) async fn heal(plan: &Plan, dir: &Path, node: u8) -> Result<()> {
    known(node)?;
    match plan.ground {
        Ground::Loopback(_) => ask(&dir.join(wan_socket(node)), "heal").await.map(drop),
        Ground::Namespaces => netns::heal(node),
    }
}

/// `cut`, `whole`, or `gone` when there is no line any more; a dash for the cluster server.
pub(super) async fn state(plan: &Plan, dir: &Path, number: u8) -> String {
    if known(number).is_err() {
        return "–".to_owned();
    }
    match plan.ground {
        Ground::Loopback(_) => {
            ask(&dir.join(wan_socket(number)), "status").await.unwrap_or_else(|_| "gone".to_owned())
        }
        Ground::Namespaces => if netns::is_cut(number) { "cut" } else { "whole" }.to_owned(),
    }
}

fn known(node: u8) -> Result<()> {
    ensure!(NODES.contains(&node), "the demo's nodes are 1 and 2");
    Ok(())
}
