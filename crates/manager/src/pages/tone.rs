//! How states of machines, links and operations look: one table, used by map, lists and pages alike.

use crate::view::{LinkState, LiveState, MachineView, OperationOutcome, Progress, Reach, Verdict};
use web::view::Tone;

/// A machine's state in one word, and how it looks.
pub(super) fn machine(progress: Progress, live: &LiveState) -> (Tone, String) {
    match progress {
        Progress::Created => return (Tone::Idle, "not claimed".to_owned()),
        Progress::Claimed => return (Tone::Busy, "claimed".to_owned()),
        Progress::Identified => return (Tone::Busy, "identified".to_owned()),
        Progress::Configuring => return (Tone::Warn, "configuration unfinished".to_owned()),
        Progress::Configured => {}
    }
    let state = live.sight.as_ref().map(|sight| sight.state.as_str()).unwrap_or_default();
    match (live.reach, state) {
        (Reach::Unknown, _) => (Tone::Idle, "not asked yet".to_owned()),
        (Reach::Lost, _) => (Tone::Bad, "no answer".to_owned()),
        (Reach::Up, "isolated") => (Tone::Warn, "isolated".to_owned()),
        (Reach::Up, "connecting" | "synchronising") => (Tone::Busy, state.to_owned()),
        (Reach::Up, "") => (Tone::Good, "up".to_owned()),
        (Reach::Up, state) => (Tone::Good, state.replace('-', " ")),
    }
}

/// The same of a machine's own view.
pub(super) fn machine_view(view: &MachineView) -> (Tone, String) {
    let unknown =
        LiveState { reach: Reach::Unknown, age_ms: 0, since_ms: 0, sight: None, fault: String::new() };
    machine(view.progress, view.live.as_ref().unwrap_or(&unknown))
}

/// A link.
pub(super) fn link(state: LinkState) -> Tone {
    match state {
        LinkState::Up => Tone::Good,
        LinkState::Degraded => Tone::Warn,
        LinkState::Isolated | LinkState::Lost => Tone::Bad,
        LinkState::Unknown => Tone::Idle,
    }
}

/// How an operation ended.
pub(super) fn outcome(outcome: OperationOutcome) -> Tone {
    match outcome {
        OperationOutcome::Running => Tone::Busy,
        OperationOutcome::Done => Tone::Good,
        OperationOutcome::Refused => Tone::Warn,
        OperationOutcome::Failed => Tone::Bad,
    }
}

/// What the doctor found.
pub(super) fn verdict(verdict: Verdict) -> Tone {
    match verdict {
        Verdict::Ok => Tone::Good,
        Verdict::Warning => Tone::Warn,
        Verdict::Fault => Tone::Bad,
    }
}
