//! Between the messages and the model's types. What a peer wrote wrongly is a typed fault; what only a later
//! release knows is `None` and skipped.

use super::{
    Binding, Change, Deletion, Lamp as WireLamp, LogEntry, Position, Record, Refuse, RefuseReason, Step,
};
use crate::digest::Digest;
use crate::link::{Lamp, LiveBinding, LogEntry as Entry, Refusal};
use model::{Extension, Kind};

/// A field of a message cannot be what it says. The peer's fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the field '{0}' is missing or has an impossible value")]
pub struct MalformedField(pub &'static str);

impl From<model::Position> for Position {
    fn from(position: model::Position) -> Position {
        Position { history: position.history, epoch: position.epoch, revision: position.revision }
    }
}

impl Position {
    /// The position of an optional field.
    pub(crate) fn required(field: Option<Position>) -> Result<model::Position, MalformedField> {
        let Position { history, epoch, revision } = field.ok_or(MalformedField("position"))?;
        Ok(model::Position { history, epoch, revision })
    }
}

impl From<&model::Record> for Record {
    fn from(record: &model::Record) -> Record {
        Record {
            kind: record.kind.number(),
            key: record.key.clone(),
            revision: record.revision,
            value: record.value.clone(),
        }
    }
}

impl Record {
    /// The model's record; none for a kind of a later release.
    pub(crate) fn known(self) -> Option<model::Record> {
        let kind = Kind::from_number(self.kind)?;
        Some(model::Record { kind, key: self.key, revision: self.revision, value: self.value })
    }
}

impl From<&model::Change> for Change {
    fn from(change: &model::Change) -> Change {
        let step = match change {
            model::Change::Put(record) => Step::Put(record.into()),
            model::Change::Delete { kind, key, revision } => {
                Step::Delete(Deletion { kind: kind.number(), key: key.clone(), revision: *revision })
            }
        };
        Change { step: Some(step) }
    }
}

impl Change {
    /// The model's change; none for a step or kind of a later release.
    pub(crate) fn known(self) -> Option<model::Change> {
        match self.step? {
            Step::Put(record) => record.known().map(model::Change::Put),
            Step::Delete(Deletion { kind, key, revision }) => {
                Kind::from_number(kind).map(|kind| model::Change::Delete { kind, key, revision })
            }
        }
    }
}

impl From<&LiveBinding> for Binding {
    fn from(binding: &LiveBinding) -> Binding {
        Binding {
            extension: binding.extension.as_str().to_owned(),
            device: binding.device.clone(),
            detail: binding.detail.clone(),
        }
    }
}

impl Binding {
    /// The registration it is about.
    pub(crate) fn parsed(self) -> Result<LiveBinding, MalformedField> {
        Ok(LiveBinding { extension: extension(self.extension)?, device: self.device, detail: self.detail })
    }
}

/// The extension of a text field.
pub(crate) fn extension(text: String) -> Result<Extension, MalformedField> {
    Extension::try_from(text).map_err(|_| MalformedField("extension"))
}

impl From<&Lamp> for WireLamp {
    fn from(lamp: &Lamp) -> WireLamp {
        WireLamp {
            extension: lamp.extension.as_str().to_owned(),
            known: lamp.said.is_some(),
            details: lamp.said.clone().unwrap_or_default(),
        }
    }
}

impl WireLamp {
    /// The lamp it is about.
    pub(crate) fn parsed(self) -> Result<Lamp, MalformedField> {
        Ok(Lamp { extension: extension(self.extension)?, said: self.known.then_some(self.details) })
    }
}

impl From<&Entry> for LogEntry {
    fn from(entry: &Entry) -> LogEntry {
        LogEntry { id: entry.id.clone(), body: entry.body.clone() }
    }
}

/// The digest in a bytes field.
pub(crate) fn digest(bytes: &[u8]) -> Result<Digest, MalformedField> {
    <&[u8; 32]>::try_from(bytes).map(Digest::from_bytes).map_err(|_| MalformedField("digest"))
}

/// Refusals and their numbers, both ways.
const REFUSALS: [(Refusal, RefuseReason); 8] = [
    (Refusal::UnknownNode, RefuseReason::UnknownNode),
    (Refusal::DeletedNode, RefuseReason::DeletedNode),
    (Refusal::DongleDiffers, RefuseReason::DongleDiffers),
    (Refusal::WrongCluster, RefuseReason::WrongCluster),
    (Refusal::IdentityDiffers, RefuseReason::IdentityDiffers),
    (Refusal::ReleaseOutsideWindow, RefuseReason::ReleaseOutsideWindow),
    (Refusal::TooManyNodes, RefuseReason::TooManyNodes),
    (Refusal::Superseded, RefuseReason::Superseded),
];

impl From<Refusal> for Refuse {
    fn from(refusal: Refusal) -> Refuse {
        let reason = REFUSALS.iter().find(|(ours, _)| *ours == refusal).map(|(_, wire)| *wire);
        Refuse { reason: reason.unwrap_or(RefuseReason::Unspecified).into() }
    }
}

impl Refuse {
    /// The refusal of that number.
    pub(crate) fn refusal(&self) -> Refusal {
        let said = self.reason();
        REFUSALS.iter().find(|(_, wire)| *wire == said).map_or(Refusal::Other, |(ours, _)| *ours)
    }
}
