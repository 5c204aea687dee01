//! Lines between the edge, which knows what they mean, and the link, which carries them as they are.

use super::exchange::CallNotice;
use call::{Line, MemberLines};
use cluster::{Lamp, LiveLine};
use model::Extension;

/// Lines of this member, for the others.
pub(super) fn told(lines: impl IntoIterator<Item = (Extension, Line)>) -> CallNotice {
    let live = |(extension, line): (Extension, Line)| {
        let detail = (!line.is_nothing()).then(|| serde_json::to_vec(&line).unwrap_or_default());
        LiveLine { extension, detail }
    };
    CallNotice::Lines(lines.into_iter().map(live).collect())
}

/// What the other members say. Words of a member that this release cannot read count as unsaid.
pub(super) fn heard(lamps: Vec<Lamp>) -> call::Input {
    let read =
        |said: Vec<Vec<u8>>| said.iter().filter_map(|line| serde_json::from_slice(line).ok()).collect();
    let lines = |lamp: Lamp| -> MemberLines { (lamp.extension, lamp.said.map(read)) };
    call::Input::Lamps(lamps.into_iter().map(lines).collect())
}
