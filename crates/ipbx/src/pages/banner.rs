//! The strip above every page: what this machine is, and how it is.

use crate::machine::Machine;
use crate::role::RoleName;
use crate::service::state::{self, StateView};
use web::view::{Cell, Tone, badge, escape, instant, live};

/// The banner, which follows the state by itself.
pub(super) async fn of(machine: &Machine) -> String {
    let inner = match state::state(machine).await {
        Ok(state) => render(&state),
        Err(refusal) => format!("<p class=\"banner busy\" role=\"status\">{}</p>", escape(&refusal.message)),
    };
    live("banner", "state", "/", &inner)
}

/// How a state looks.
pub(super) fn tone(state: &str) -> Tone {
    match state {
        "connected" | "in-service" => Tone::Good,
        "synchronising" | "connecting" => Tone::Busy,
        "isolated" => Tone::Warn,
        _ => Tone::Idle,
    }
}

/// The role in words.
pub(super) fn role(state: &StateView) -> String {
    match (state.role, state.node_number) {
        (RoleName::Node, Some(number)) => format!("node {number}"),
        (role, _) => role.word().replace('-', " "),
    }
}

pub(super) fn render(state: &StateView) -> String {
    let tone = tone(&state.state);
    let words = state.state.replace('-', " ");
    let mut parts = vec![
        badge(tone, &words),
        format!("<span><b>Role</b>{}</span>", escape(&role(state))),
        format!("<span><b>Cluster</b>{}</span>", escape(&state.cluster.name)),
        format!("<span><b>Release</b>{}</span>", escape(&state.release.to_string())),
        format!("<span><b>Revision</b>{}</span>", Cell::Number(state.position.revision)),
        format!("<span><b>Clock</b>{}</span>", instant(state.unix_ms)),
    ];
    if let Some(uplink) = &state.uplink {
        parts.push(format!("<span><b>Since</b>{}</span>", instant(uplink.since_ms)));
    }
    if let Some(sentence) = advice(state) {
        parts.push(format!("<span class=\"reason\">{}</span>", escape(&sentence)));
    }
    format!(
        "<section class=\"banner {}\" aria-label=\"State of this machine\" data-say=\"{} is {}\">{}</section>",
        tone.name(),
        escape(&state.name),
        escape(&words),
        parts.concat()
    )
}

/// What a state means for who looks at it.
fn advice(state: &StateView) -> Option<String> {
    if let Some(fault) = state.uplink.as_ref().and_then(|uplink| uplink.fault.as_ref()) {
        return Some(fault.clone());
    }
    match state.state.as_str() {
        "isolated" => Some(
            "The link to the cluster server is cut. Phones of this node call each other as before."
                .to_owned(),
        ),
        "synchronising" => Some("The data of the cluster are on their way.".to_owned()),
        _ => None,
    }
}
