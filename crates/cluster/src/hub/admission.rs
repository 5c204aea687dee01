//! Who is taken as a node, and why not.

use super::Settings;
use super::catalogue::Catalogue;
use crate::digest::Digest;
use crate::link::{Peer, Refusal};
use crate::wire::convert::{MalformedField, digest};
use crate::wire::{Hello, Position as WirePosition};
use model::{Change, DongleId, Extension, Kind, MemberNumber, Position, Release};
use std::collections::BTreeSet;

/// A node that is taken, as it described itself.
#[derive(Debug)]
pub(super) struct Admitted {
    pub(super) member: MemberNumber,
    pub(super) dongle_id: DongleId,
    pub(super) release: Release,
    pub(super) position: Position,
    pub(super) digest: Digest,
    /// The kinds it knows; it is sent no other (AMB-04).
    pub(super) kinds: BTreeSet<Kind>,
}

/// Why a node is not taken.
#[derive(Debug)]
pub(super) enum Denied {
    /// The cluster's rules.
    Refused(Refusal),
    /// Its Hello is none.
    Malformed(MalformedField),
}

impl From<MalformedField> for Denied {
    fn from(fault: MalformedField) -> Denied {
        Denied::Malformed(fault)
    }
}

impl From<Refusal> for Denied {
    fn from(refusal: Refusal) -> Denied {
        Denied::Refused(refusal)
    }
}

/// Judges a Hello. The certificate comes first: what it does not prove is not asked further.
pub(super) fn admit(
    settings: &Settings,
    catalogue: &Catalogue,
    deleted: &BTreeSet<MemberNumber>,
    peer: &Peer,
    hello: &Hello,
) -> Result<Admitted, Denied> {
    if peer.cluster != settings.cluster || hello.cluster != settings.cluster.as_str() {
        return Err(Refusal::WrongCluster.into());
    }
    let member = member(hello.member)?;
    if member != peer.member || member.is_cluster_server() {
        return Err(Refusal::IdentityDiffers.into());
    }
    let release: Release = hello.release.parse().map_err(|_| MalformedField("release"))?;
    if !in_window(settings.release, release) {
        return Err(Refusal::ReleaseOutsideWindow.into());
    }
    let dongle_id: DongleId = hello.dongle_id.parse().map_err(|_| MalformedField("dongle_id"))?;
    match catalogue.node(member) {
        None if deleted.contains(&member) => return Err(Refusal::DeletedNode.into()),
        None => return Err(Refusal::UnknownNode.into()),
        Some(node) if node.dongle_id != dongle_id => return Err(Refusal::DongleDiffers.into()),
        Some(_) => {}
    }
    let position = WirePosition::required(hello.position)?;
    let ours = catalogue.position();
    if position.history == ours.history && position.epoch > ours.epoch {
        return Err(Refusal::Superseded.into());
    }
    let kinds = hello.kinds.iter().filter_map(|number| Kind::from_number(*number)).collect();
    Ok(Admitted { member, dongle_id, release, position, digest: digest(&hello.digest)?, kinds })
}

fn member(number: u32) -> Result<MemberNumber, Refusal> {
    let number = u16::try_from(number).map_err(|_| Refusal::TooManyNodes)?;
    MemberNumber::try_from(number).map_err(|_| Refusal::TooManyNodes)
}

/// AMB-04: the cluster server's release or one minor older, never newer.
fn in_window(ours: Release, theirs: Release) -> bool {
    theirs.major == ours.major
        && (theirs.minor == ours.minor || theirs.minor.checked_add(1) == Some(ours.minor))
}

/// The node whose record a change touches.
pub(super) fn touched_node(change: &Change) -> Option<MemberNumber> {
    let (kind, key) = change.subject();
    (kind == Kind::Node).then(|| key.parse().ok()).flatten()
}

/// The subscriber whose record a change touches.
pub(super) fn touched_subscriber(change: &Change) -> Option<Extension> {
    let (kind, key) = change.subject();
    (kind == Kind::Subscriber).then(|| key.parse().ok()).flatten()
}

/// The node that a change removes.
pub(super) fn deleted_node(change: &Change) -> Option<MemberNumber> {
    touched_node(change).filter(|_| matches!(change, Change::Delete { .. }))
}
