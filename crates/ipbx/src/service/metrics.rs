//! The machine's numbers in Prometheus' text form. Written by hand: a dozen values read at the moment of asking
//! need no recorder, and one process may hold several machines in tests.

use super::state::{self, StateView};
use crate::machine::Machine;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use web::ApiError;

/// One metric: name, type, what it means, value.
type Metric = (&'static str, &'static str, &'static str, f64);

/// All of them.
///
/// # Errors
/// 503 while the role is being changed.
pub async fn text(machine: &Machine) -> Result<String, ApiError> {
    let state = state::state(machine).await?;
    let running = super::running(machine)?;
    let counted = |counter: &AtomicU64| as_number(counter.load(Ordering::Relaxed));
    let counters = running.engine.counters();
    let mut metrics = gauges(&state);
    metrics.extend([
        ("pleiad_sip_received_total", "counter", "SIP messages taken", counted(&counters.received)),
        ("pleiad_sip_sent_total", "counter", "SIP messages sent", counted(&counters.sent)),
        (
            "pleiad_sip_overrun_total",
            "counter",
            "Datagrams lost for want of room",
            counted(&counters.overrun),
        ),
        (
            "pleiad_sip_deferred_total",
            "counter",
            "Registrations told to come back later",
            counted(&counters.deferred),
        ),
        (
            "pleiad_sip_flooded_total",
            "counter",
            "Datagrams of floods dropped unread",
            counted(&counters.flooded),
        ),
        (
            "pleiad_sip_evicted_total",
            "counter",
            "Connections that made room for others",
            as_number(running.phones.evicted()),
        ),
        (
            "pleiad_sip_unsent_total",
            "counter",
            "Messages to phones not sent",
            as_number(running.phones.dropped()),
        ),
        (
            "pleiad_member_unsent_total",
            "counter",
            "Messages to members not sent",
            as_number(running.members.dropped()),
        ),
        (
            "pleiad_calls_ended_total",
            "counter",
            "Calls that ended, refused ones too",
            counted(&counters.ended),
        ),
        ("pleiad_faults_total", "counter", "Faults the call side reported", counted(&counters.faults)),
    ]);
    let mut text = String::new();
    for (name, kind, help, value) in metrics {
        let _infallible = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n");
    }
    nodes(&state, &mut text);
    Ok(text)
}

fn gauges(state: &StateView) -> Vec<Metric> {
    let connected = state
        .uplink
        .as_ref()
        .map_or(state.role != crate::role::RoleName::Node, |uplink| uplink.state == "connected");
    vec![
        ("pleiad_up", "gauge", "1 while the machine serves", 1.0),
        ("pleiad_uptime_seconds", "gauge", "Time since the start", as_number(state.uptime_ms) / 1000.0),
        ("pleiad_calls", "gauge", "Calls in progress", of_count(state.calls)),
        ("pleiad_bindings", "gauge", "Phones registered here", of_count(state.bindings)),
        ("pleiad_subscribers", "gauge", "Subscribers held", of_count(state.subscribers)),
        ("pleiad_subscriptions", "gauge", "Lamps that phones watch here", of_count(state.subscriptions)),
        ("pleiad_streams", "gauge", "Streams of media that pass through here", of_count(state.streams)),
        ("pleiad_owed_byes", "gauge", "Hang-ups owed beyond a cut", of_count(state.owed)),
        ("pleiad_revision", "gauge", "Revision of the common data", as_number(state.position.revision)),
        ("pleiad_uplink_connected", "gauge", "0 while a node is isolated", f64::from(u8::from(connected))),
    ]
}

fn nodes(state: &StateView, text: &mut String) {
    if state.nodes.is_empty() {
        return;
    }
    text.push_str(
        "# HELP pleiad_node_connected 1 while the node carries calls\n# TYPE pleiad_node_connected gauge\n",
    );
    for node in &state.nodes {
        let up = u8::from(node.state == "connected");
        let _infallible = writeln!(text, "pleiad_node_connected{{node=\"{}\"}} {up}", node.number);
    }
    text.push_str("# HELP pleiad_node_lag Revisions the node is behind\n# TYPE pleiad_node_lag gauge\n");
    for node in &state.nodes {
        let _infallible = writeln!(text, "pleiad_node_lag{{node=\"{}\"}} {}", node.number, node.lag);
    }
}

fn of_count(count: usize) -> f64 {
    as_number(u64::try_from(count).unwrap_or(u64::MAX))
}

/// Prometheus knows only floating point; counts beyond 2^53 lose their last digits, as everywhere there.
#[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "see above")]
fn as_number(count: u64) -> f64 {
    count as f64
}
