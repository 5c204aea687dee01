//! Registrations, calls in progress, records of calls that ended, what was said in them, and why a call would
//! go where it goes.

use crate::machine::Machine;
use crate::member::CallInput;
use crate::running::Running;
use crate::shell::clock::ms;
use crate::trace::ladder::Ladder;
use crate::trace::{Traced, pcap};
use call::{CallId, CallRecord, CallView, PackedBinding};
use model::routing::Decision;
use model::{Extension, MemberNumber};
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use web::ApiError;
use web::auth::Principal;

/// Records of one answer when nothing else is asked for.
pub const RECORDS_DEFAULT: u32 = 100;

/// A registered phone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BindingView {
    /// The subscriber.
    pub extension: Extension,
    /// The member it is registered at.
    pub member: MemberNumber,
    /// The device.
    pub device: String,
    /// How it wants to be called.
    pub contact: String,
    /// Where its messages come from.
    pub source: String,
    /// `udp`, `tcp` or `tls`.
    pub transport: String,
    /// What the phone calls itself.
    pub user_agent: String,
    /// Since when, Unix time.
    pub since_ms: u64,
    /// Until when, Unix time.
    pub until_ms: u64,
}

/// A call in progress.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveCall {
    /// Its number at this edge, for ending it.
    pub id: u64,
    /// Since when, Unix time.
    pub created_ms: u64,
    /// Since when it is answered.
    pub answered_ms: Option<u64>,
    /// The call itself.
    #[serde(flatten)]
    pub call: CallView,
}

/// A call that ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedCall {
    /// Its place in this machine's log; ask for older ones with `before`.
    pub seq: u64,
    /// When it began, Unix time.
    pub created_ms: u64,
    /// When it was answered.
    pub answered_ms: Option<u64>,
    /// When it ended.
    pub ended_ms: u64,
    /// The record itself.
    #[serde(flatten)]
    pub record: CallRecord,
}

/// The phones registered here and, on a cluster server, at its nodes.
///
/// # Errors
/// 503 while the role is being changed.
pub async fn bindings(machine: &Machine) -> Result<Vec<BindingView>, ApiError> {
    let running = super::running(machine)?;
    let own = running.role.member();
    let of_each = running.engine.ask_all(move |engine| {
        let here = engine.lane().shard().bindings().filter_map(|binding| binding_view(own, binding));
        let head = engine.head().into_iter().flat_map(|head| head.head().published());
        let elsewhere =
            head.filter_map(|(member, live)| binding_view(member, &PackedBinding::parse(&live.detail)?));
        here.chain(elsewhere).collect::<Vec<BindingView>>()
    });
    let mut all: Vec<BindingView> =
        of_each.await.map_err(super::being_rebuilt)?.into_iter().flatten().collect();
    all.sort_by(|a, b| (&a.extension, a.member, &a.device).cmp(&(&b.extension, b.member, &b.device)));
    Ok(all)
}

fn binding_view(member: MemberNumber, binding: &PackedBinding) -> Option<BindingView> {
    let binding = binding.unpack()?;
    Some(BindingView {
        extension: binding.extension,
        member,
        device: binding.device.0,
        contact: binding.contact,
        source: binding.flow.remote.to_string(),
        transport: binding.flow.transport.as_str().to_ascii_lowercase(),
        user_agent: binding.user_agent,
        since_ms: ms(binding.since),
        until_ms: ms(binding.until),
    })
}

/// The calls in progress at this edge.
///
/// # Errors
/// 503 while the role is being changed.
pub async fn live(machine: &Machine) -> Result<Vec<LiveCall>, ApiError> {
    let running = super::running(machine)?;
    let calls = views(&running).await?;
    Ok(calls
        .into_iter()
        .map(|call| LiveCall {
            id: call.call.0,
            created_ms: ms(call.created),
            answered_ms: call.answered.map(ms),
            call,
        })
        .collect())
}

/// The calls that ended, newest first; on a cluster server those of its nodes too.
///
/// # Errors
/// The store cannot be read.
pub async fn records(
    machine: &Machine,
    before: Option<u64>,
    limit: Option<u32>,
) -> Result<Vec<EndedCall>, ApiError> {
    let runtime = machine.runtime().clone();
    let limit = limit.unwrap_or(RECORDS_DEFAULT);
    let rows = super::on_disk(move || runtime.log("call", before, limit)).await?;
    Ok(rows.iter().filter_map(ended).collect())
}

/// Every record of one call: that of the call, and those of its legs at other edges that have arrived.
///
/// # Errors
/// The store cannot be read.
pub async fn records_of(machine: &Machine, session: &str) -> Result<Vec<EndedCall>, ApiError> {
    let (runtime, session) = (machine.runtime().clone(), session.to_owned());
    let rows = super::on_disk(move || runtime.log_of_session(&session)).await?;
    Ok(rows.iter().filter_map(ended).collect())
}

fn ended(row: &store::LogRow) -> Option<EndedCall> {
    let record: CallRecord = serde_json::from_slice(&row.entry.value).ok()?;
    Some(EndedCall {
        seq: row.seq,
        created_ms: ms(record.created),
        answered_ms: record.answered.map(ms),
        ended_ms: ms(record.ended),
        record,
    })
}

/// The call-flow diagram of a call, in progress or ended, as this member saw it.
///
/// # Errors
/// 404 when nothing of it is remembered.
pub async fn ladder(machine: &Machine, session: &str) -> Result<Ladder, ApiError> {
    let running = super::running(machine)?;
    let messages = traced(machine, session).await?;
    let own = match running.role.node_number() {
        Some(number) => format!("node {number}"),
        None => running.role.name().word().to_owned(),
    };
    Ok(Ladder::of(&own, &messages))
}

/// The messages of a call as a pcap file.
///
/// # Errors
/// 404 when nothing of it is remembered.
pub async fn capture(machine: &Machine, session: &str) -> Result<Vec<u8>, ApiError> {
    Ok(pcap::file(&traced(machine, session).await?))
}

async fn traced(machine: &Machine, session: &str) -> Result<Vec<Traced>, ApiError> {
    let running = super::running(machine)?;
    let mut call_ids: Vec<String> =
        records_of(machine, session).await?.into_iter().flat_map(|ended| ended.record.call_ids).collect();
    let live = views(&running).await?;
    call_ids.extend(live.into_iter().filter(|call| call.session == session).flat_map(|call| call.call_ids));
    call_ids.sort();
    call_ids.dedup();
    let of_each = running.engine.ask_all(move |engine| engine.trace(&call_ids)).await;
    let mut messages: Vec<Traced> = of_each.map_err(super::being_rebuilt)?.into_iter().flatten().collect();
    messages.sort_by_key(|message| message.at);
    if messages.is_empty() {
        return Err(ApiError::not_found("trace of this call here").next(
            "traces are kept in memory for the latest calls; look at the member whose phone took part",
        ));
    }
    Ok(messages)
}

/// Ends a call.
///
/// # Errors
/// 404 when there is none of that number.
pub async fn end(machine: &Machine, principal: &Principal, id: u64) -> Result<(), ApiError> {
    principal.administrator()?;
    let running = super::running(machine)?;
    if !views(&running).await?.iter().any(|view| view.call == CallId(id)) {
        return Err(ApiError::not_found(format!("call {id} in progress here")));
    }
    running.engine.tell(CallInput::HangUp(CallId(id)));
    tracing::info!(call = id, by = %principal.user, "call ended by an operator");
    Ok(())
}

/// What a call from `from` to `to` would do now.
///
/// # Errors
/// 400 when `from` is no number.
pub async fn explain(machine: &Machine, from: &str, to: &str) -> Result<Decision, ApiError> {
    let from: Extension = from.parse()?;
    let to = to.to_owned();
    let running = super::running(machine)?;
    // The owners of those it may reach are in other threads: it is asked again with what they say.
    let mut known: BTreeMap<Extension, bool> = BTreeMap::new();
    loop {
        let (from, to, so_far) = (from.clone(), to.clone(), known.clone());
        let asked = running.engine.ask(move |engine| {
            let unknown = RefCell::new(BTreeSet::new());
            let bound = |extension: &Extension| {
                so_far.get(extension).copied().unwrap_or_else(|| {
                    unknown.borrow_mut().insert(extension.clone());
                    false
                })
            };
            let decision = engine.lane().shard().explain(&from, &to, &bound);
            (decision, unknown.into_inner())
        });
        let (decision, unknown) = asked.await.map_err(super::being_rebuilt)?;
        if unknown.is_empty() {
            return Ok(decision);
        }
        known.extend(bound(&running, unknown).await?);
    }
}

/// Which of these subscribers have a phone here.
async fn bound(
    running: &Running,
    extensions: BTreeSet<Extension>,
) -> Result<BTreeMap<Extension, bool>, ApiError> {
    let asked = extensions.clone();
    let of_each = running.engine.ask_all(move |engine| {
        let shard = engine.lane().shard();
        asked.iter().filter(|extension| shard.is_bound(extension)).cloned().collect::<Vec<_>>()
    });
    let bound: BTreeSet<Extension> =
        of_each.await.map_err(super::being_rebuilt)?.into_iter().flatten().collect();
    Ok(extensions.into_iter().map(|extension| (extension.clone(), bound.contains(&extension))).collect())
}

/// The calls in progress, of all threads.
async fn views(running: &Running) -> Result<Vec<CallView>, ApiError> {
    let of_each = running.engine.ask_all(|engine| engine.lane().shard().calls().collect::<Vec<_>>()).await;
    let mut all: Vec<CallView> = of_each.map_err(super::being_rebuilt)?.into_iter().flatten().collect();
    all.sort_by_key(|view| view.call);
    Ok(all)
}
