//! What the lines of subscribers do: those of this member, those of the nodes on a cluster server, and on a node those
//! of other members that its phones watch. And the messages that wait.

use crate::machine::Machine;
use crate::member::{CallInput, LinkSide};
use crate::shell::clock::ms;
use call::{Lamp, Line, Look, Messages};
use model::{Extension, MemberNumber};
use serde::{Deserialize, Serialize};
use web::ApiError;
use web::auth::Principal;

/// A line of one subscriber.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineView {
    /// The subscriber.
    pub extension: Extension,
    /// The member whose word this is; none for what a node hears of all other members together.
    pub member: Option<MemberNumber>,
    /// In one word: `unknown` (beyond a cut), `absent`, `idle`, `calling`, `ringing`, `held`, `talking`.
    pub line: Look,
    /// How many calls it has.
    pub calls: usize,
    /// The other party of its first call.
    pub with: Option<String>,
    /// Since when it has its first call, Unix time.
    pub since_ms: Option<u64>,
}

impl LineView {
    fn of(extension: Extension, member: Option<MemberNumber>, lamp: &Lamp) -> LineView {
        let calls = match lamp {
            Lamp::Known(line) => line.calls.as_slice(),
            Lamp::Unknown => &[],
        };
        let first = calls.first();
        LineView {
            extension,
            member,
            line: lamp.look(),
            calls: calls.len(),
            with: first.and_then(|call| call.remote.as_ref()).map(|party| party.number.clone()),
            since_ms: first.map(|call| ms(call.since)),
        }
    }
}

/// All lines this machine knows of, by extension.
///
/// # Errors
/// 503 while the role is being changed.
pub async fn lines(machine: &Machine) -> Result<Vec<LineView>, ApiError> {
    let running = super::running(machine)?;
    let own = running.role.member();
    let of_each = running.engine.ask_all(move |engine| {
        let shard = engine.lane().shard();
        let here = shard.lines().map(|(line, so)| LineView::of(line, Some(own), &Lamp::Known(so)));
        let ours = |line: &Extension| shard.lines().any(|(own, _)| own == *line);
        let watched = shard.lamps().filter(|(line, _)| !ours(line));
        let watched = watched.map(|(line, lamp)| LineView::of(line, None, &lamp));
        here.chain(watched).collect::<Vec<LineView>>()
    });
    let mut all: Vec<LineView> = of_each.await.map_err(super::being_rebuilt)?.into_iter().flatten().collect();
    let of_nodes = running.link.ask(|thread| of_nodes(thread.side())).await.map_err(super::being_rebuilt)?;
    // A node's own word is better than what was heard of all of them.
    all.retain(|line| line.member.is_some() || of_nodes.iter().all(|node| node.extension != line.extension));
    all.extend(of_nodes);
    all.sort_by(|a, b| (&a.extension, a.member).cmp(&(&b.extension, b.member)));
    Ok(all)
}

/// What the nodes say, on a cluster server.
fn of_nodes(link: &LinkSide) -> Vec<LineView> {
    let LinkSide::Server(hub) = link else { return Vec::new() };
    let nodes = hub.lines().filter(|(member, ..)| !member.is_cluster_server());
    nodes
        .map(|(member, extension, said)| {
            let line = said.and_then(|said| serde_json::from_slice::<Line>(said).ok());
            LineView::of(extension.clone(), Some(member), &line.map_or(Lamp::Unknown, Lamp::Known))
        })
        .collect()
}

/// Tells the phones of a subscriber here how many messages wait for it. Until there is voicemail, whoever keeps the
/// messages says so.
///
/// # Errors
/// 404 for an extension this member does not hold.
pub async fn put_messages(
    machine: &Machine,
    principal: &Principal,
    extension: &str,
    messages: Messages,
) -> Result<(), ApiError> {
    principal.administrator()?;
    let extension: Extension = extension.parse()?;
    let running = super::running(machine)?;
    let wanted = extension.clone();
    let known =
        running.engine.ask(move |engine| engine.lane().shard().tables().subscriber(&wanted).is_some());
    if !known.await.map_err(super::being_rebuilt)? {
        return Err(ApiError::not_found(format!("subscriber {extension} here")));
    }
    running.engine.tell(CallInput::Messages(extension, messages));
    Ok(())
}
