//! The half of a member that keeps the cluster link.

use super::exchange::{CallNotice, LinkFault, LinkInput, LinkNotice, LinkOutput};
use cluster::{Hub, Uplink, hub, uplink};
use model::Position;
use std::time::Duration;

/// The link side of one member: it never waits for calls, so that heartbeats do not either.
#[derive(Debug)]
pub enum LinkSide {
    /// An independent machine has no link.
    None,
    /// A node dials its cluster server.
    Node(Box<Uplink>),
    /// A cluster server is dialled by its nodes.
    Server(Box<Hub>),
}

impl LinkSide {
    /// Takes one input.
    pub fn handle(&mut self, now: Duration, input: LinkInput, out: &mut Vec<LinkOutput>) {
        match self {
            LinkSide::None => {}
            LinkSide::Node(machine) => {
                let Some(input) = for_uplink(input) else { return };
                let mut said = Vec::new();
                machine.handle(now, input, &mut said);
                said.into_iter().for_each(|output| from_uplink(output, out));
            }
            LinkSide::Server(machine) => {
                let Some(input) = for_hub(input) else { return };
                let mut said = Vec::new();
                machine.handle(now, input, &mut said);
                out.extend(said.into_iter().map(from_hub));
            }
        }
    }

    /// The next instant at which `Tick` is wanted.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Duration> {
        match self {
            LinkSide::None => None,
            LinkSide::Node(machine) => machine.next_timeout(),
            LinkSide::Server(machine) => machine.next_timeout(),
        }
    }

    /// Where the common data of this member stand, as the link knows.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        match self {
            LinkSide::None => None,
            LinkSide::Node(machine) => Some(machine.position()),
            LinkSide::Server(machine) => Some(machine.position()),
        }
    }
}

fn for_uplink(input: LinkInput) -> Option<uplink::Input> {
    Some(match input {
        LinkInput::Connected(conn, peer) => uplink::Input::Connected(conn, peer),
        LinkInput::Bytes(conn, bytes) => uplink::Input::Bytes(conn, bytes),
        LinkInput::Sent(conn, count) => uplink::Input::Sent(conn, count),
        LinkInput::Closed(conn) => uplink::Input::Closed(conn),
        LinkInput::Applied(position) => uplink::Input::Applied(position),
        LinkInput::Calls(CallNotice::Bound(binding)) => uplink::Input::Bound(binding),
        LinkInput::Calls(CallNotice::Unbound(extension, device)) => uplink::Input::Unbound(extension, device),
        LinkInput::Calls(CallNotice::Lines(lines)) => uplink::Input::Lines(lines),
        LinkInput::Calls(CallNotice::Watch(extension, begins)) => uplink::Input::Watch(extension, begins),
        LinkInput::Calls(CallNotice::Log(entry)) => uplink::Input::Log(entry),
        LinkInput::Stop => uplink::Input::Stop,
        LinkInput::Tick => uplink::Input::Tick,
        LinkInput::Committed { .. } | LinkInput::Recorded(..) => return None,
    })
}

/// Changes are in force before they are on disk, so calls hear of them first.
fn from_uplink(output: uplink::Output, out: &mut Vec<LinkOutput>) {
    let said = match output {
        uplink::Output::Dial(conn) => LinkOutput::Dial(conn),
        uplink::Output::Send(conn, bytes) => LinkOutput::Send(conn, bytes),
        uplink::Output::Close(conn, reason) => LinkOutput::Close(conn, reason),
        uplink::Output::Apply { position, changes } => {
            out.push(LinkOutput::ToCalls(LinkNotice::Changes(changes.clone())));
            LinkOutput::KeepChanges { position, changes }
        }
        uplink::Output::ApplySnapshot { position, records } => {
            out.push(LinkOutput::ToCalls(LinkNotice::Snapshot(records.clone())));
            LinkOutput::KeepSnapshot { position, records }
        }
        uplink::Output::Up => LinkOutput::ToCalls(LinkNotice::Up),
        uplink::Output::Down => LinkOutput::ToCalls(LinkNotice::Down),
        uplink::Output::Lamps(lamps) => LinkOutput::ToCalls(LinkNotice::Lamps(lamps)),
        uplink::Output::LogAcked(ids) => LinkOutput::LogAcked(ids),
        uplink::Output::WantLogs => LinkOutput::WantLogs,
        uplink::Output::StateChanged(state) => LinkOutput::UplinkState(state),
        uplink::Output::Fault(fault) => LinkOutput::Fault(LinkFault::Uplink(fault)),
    };
    out.push(said);
}

/// The cluster server's own phones are found by its own edge: of what its calls say only lines are the hub's matter.
fn for_hub(input: LinkInput) -> Option<hub::Input> {
    Some(match input {
        LinkInput::Connected(conn, peer) => hub::Input::Connected(conn, peer),
        LinkInput::Bytes(conn, bytes) => hub::Input::Bytes(conn, bytes),
        LinkInput::Sent(conn, count) => hub::Input::Sent(conn, count),
        LinkInput::Closed(conn) => hub::Input::Closed(conn),
        LinkInput::Committed { revision, changes } => hub::Input::Committed { revision, changes },
        LinkInput::Recorded(member, id) => hub::Input::Recorded(member, id),
        LinkInput::Calls(CallNotice::Lines(lines)) => hub::Input::Lines(lines),
        LinkInput::Calls(CallNotice::Watch(extension, begins)) => hub::Input::Watch(extension, begins),
        LinkInput::Stop => hub::Input::Stop,
        LinkInput::Tick => hub::Input::Tick,
        LinkInput::Applied(_) | LinkInput::Calls(_) => return None,
    })
}

fn from_hub(output: hub::Output) -> LinkOutput {
    match output {
        hub::Output::Send(conn, bytes) => LinkOutput::Send(conn, bytes),
        hub::Output::Close(conn, reason) => LinkOutput::Close(conn, reason),
        hub::Output::Up(member) => LinkOutput::ToCalls(LinkNotice::NodeUp(member)),
        hub::Output::Down { member, since } => LinkOutput::ToCalls(LinkNotice::NodeDown(member, since)),
        hub::Output::LiveReset(member, all) => LinkOutput::ToCalls(LinkNotice::LiveReset(member, all)),
        hub::Output::Bound(member, binding) => LinkOutput::ToCalls(LinkNotice::Bound(member, binding)),
        hub::Output::Unbound(member, extension, device) => {
            LinkOutput::ToCalls(LinkNotice::Unbound(member, extension, device))
        }
        hub::Output::Lamps(lamps) => LinkOutput::ToCalls(LinkNotice::Lamps(lamps)),
        hub::Output::Record(member, entry) => LinkOutput::KeepLog(member, entry),
        hub::Output::StateChanged(member, state) => LinkOutput::NodeState(member, state),
        hub::Output::Fault(fault) => LinkOutput::Fault(LinkFault::Hub(fault)),
    }
}
