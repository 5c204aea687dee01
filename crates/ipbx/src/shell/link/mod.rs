//! The link thread: it owns the link side and judges silence on the monotonic clock. Nothing it does waits for
//! calls, disk or peer; connections are tasks of a runtime of their own (`link-io`), so that no other work of
//! the process delays a heartbeat.

pub mod connection;
pub mod dial;
pub mod listen;
pub mod tls;

use super::clock::SteadyClock;
use super::engine::EngineHandle;
use super::inbox::{self, Inbox, Outlet, Turn};
use super::members::Members;
use crate::member::{CallInput, CallNotice, LinkInput, LinkNotice, LinkOutput, LinkSide};
use cluster::{Conn, LogEntry};
use connection::Connections;
use dial::Dialler;
use model::{Change, MemberNumber, Position, Record};
use std::thread::JoinHandle;
use std::time::Duration;
use store::{ConfigStore, RuntimeStore, RuntimeWrite};
use web::events::Hub;

/// Pieces of input from connections, of 64 KiB at most, that may wait for the link thread.
const PIECES_MAX: usize = 512;
/// Log entries given to the link at a time.
const LOGS_AT_A_TIME: u32 = 200;

/// What the link thread is told.
enum Order {
    Link(LinkInput),
    Ask(Box<dyn FnOnce(&LinkThread) + Send>),
    Stop,
}

/// The way to the link thread.
#[derive(Clone)]
pub struct LinkHandle {
    inbox: Inbox<Order>,
}

/// The queue of a link thread that is to be started.
pub struct LinkInbox(Outlet<Order>);

impl LinkHandle {
    /// A queue for a thread that is not running yet.
    #[must_use]
    pub fn open() -> (LinkHandle, LinkInbox) {
        let (inbox, outlet) = inbox::open(PIECES_MAX);
        (LinkHandle { inbox }, LinkInbox(outlet))
    }

    /// Something this process says itself.
    pub fn tell(&self, input: LinkInput) {
        self.inbox.tell(Order::Link(input));
    }

    /// Something a connection brings: its reader waits for room.
    pub async fn give(&self, input: LinkInput) {
        self.inbox.give(Order::Link(input)).await;
    }

    /// Asks the link side.
    ///
    /// # Errors
    /// When the thread has ended.
    pub async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&LinkThread) -> T + Send + 'static,
    ) -> Result<T, super::engine::Stopped> {
        let (sender, answer) = tokio::sync::oneshot::channel();
        let ask = move |thread: &LinkThread| drop(sender.send(question(thread)));
        self.inbox.tell(Order::Ask(Box::new(ask)));
        answer.await.map_err(|_| super::engine::Stopped)
    }

    /// Says goodbye to the peers and ends the thread.
    pub fn stop(&self) {
        self.inbox.tell(Order::Stop);
    }
}

/// What the link thread works with.
pub struct Surroundings {
    /// The time.
    pub clock: SteadyClock,
    /// The call side.
    pub engine: EngineHandle,
    /// SIP connections, which live and die with the links.
    pub members: Members,
    /// Open connections of the link.
    pub connections: Connections,
    /// On a node: how to reach the cluster server.
    pub dialler: Option<Dialler>,
    /// Where changes rest.
    pub config: ConfigStore,
    /// Where logs rest.
    pub runtime: RuntimeStore,
    /// The runtime of the connections.
    pub io: tokio::runtime::Handle,
    /// Who wants to know.
    pub hub: Hub,
}

/// The link side and its surroundings.
pub struct LinkThread {
    side: LinkSide,
    around: Surroundings,
    handle: LinkHandle,
}

impl LinkInbox {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(
        self,
        handle: &LinkHandle,
        side: LinkSide,
        around: Surroundings,
    ) -> std::io::Result<JoinHandle<()>> {
        let mut thread = LinkThread { side, around, handle: handle.clone() };
        std::thread::Builder::new().name("link".to_owned()).spawn(move || thread.run(&self.0))
    }
}

impl LinkThread {
    /// The link side.
    #[must_use]
    pub fn side(&self) -> &LinkSide {
        &self.side
    }

    /// The steady clock's present instant.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.around.clock.now()
    }

    fn run(&mut self, orders: &Outlet<Order>) {
        loop {
            let now = self.around.clock.now();
            if self.side.next_timeout().is_some_and(|at| at <= now) {
                self.step(LinkInput::Tick);
            }
            let now = self.around.clock.now();
            let patience = self.side.next_timeout().map(|at| at.saturating_sub(now));
            match orders.wait(patience) {
                Turn::Closed => return,
                Turn::Time => self.step(LinkInput::Tick),
                Turn::Items(items) => {
                    for order in items {
                        match order {
                            Order::Link(input) => self.step(input),
                            Order::Ask(question) => question(self),
                            Order::Stop => return self.step(LinkInput::Stop),
                        }
                    }
                }
            }
        }
    }

    fn step(&mut self, input: LinkInput) {
        let mut said = Vec::new();
        self.side.handle(self.around.clock.now(), input, &mut said);
        for output in said {
            self.act(output);
        }
    }

    fn act(&mut self, output: LinkOutput) {
        match output {
            LinkOutput::Dial(conn) => self.dial(conn),
            LinkOutput::Send(conn, bytes) => self.around.connections.send(conn, bytes),
            LinkOutput::Close(conn, reason) => {
                tracing::info!(%conn, ?reason, "link connection closed");
                self.around.connections.close(conn, reason);
                self.lost_connection();
            }
            LinkOutput::KeepChanges { position, changes } => self.keep_changes(position, changes),
            LinkOutput::KeepSnapshot { position, records } => self.keep_snapshot(position, records),
            LinkOutput::ToCalls(notice) => self.notify(notice),
            LinkOutput::LogAcked(ids) => self.acknowledged(ids),
            LinkOutput::WantLogs => self.give_logs(),
            LinkOutput::KeepLog(member, entry) => self.keep_log(member, entry),
            LinkOutput::UplinkState(state) => {
                tracing::info!(?state, "node state");
                self.around.hub.changed("state");
            }
            LinkOutput::NodeState(member, state) => {
                tracing::info!(node = %member, ?state, "state of a node");
                self.around.hub.changed("nodes");
            }
            LinkOutput::Fault(fault) => tracing::warn!(%fault, "the link reports a fault"),
        }
    }

    fn dial(&self, conn: Conn) {
        match &self.around.dialler {
            Some(dialler) => dialler.dial(conn, &self.around.connections, &self.handle, &self.around.io),
            None => self.handle.tell(LinkInput::Closed(conn)),
        }
    }

    /// A node's SIP connection ends with its link.
    fn lost_connection(&self) {
        if let Some(dialler) = &self.around.dialler {
            dialler.link_lost();
            self.around.members.unlinked(MemberNumber::CLUSTER_SERVER);
        }
    }

    fn notify(&self, notice: LinkNotice) {
        match &notice {
            LinkNotice::Up => self.around.members.linked(MemberNumber::CLUSTER_SERVER),
            LinkNotice::Down => self.around.members.unlinked(MemberNumber::CLUSTER_SERVER),
            LinkNotice::NodeUp(member) => self.around.members.linked(*member),
            LinkNotice::NodeDown(member, _) => self.around.members.unlinked(*member),
            LinkNotice::Changes(_)
            | LinkNotice::Snapshot(_)
            | LinkNotice::LiveReset(..)
            | LinkNotice::Bound(..)
            | LinkNotice::Unbound(..)
            | LinkNotice::Lamps(_) => {}
        }
        self.around.engine.tell(CallInput::Link(notice));
    }

    fn keep_changes(&self, position: Position, changes: Vec<Change>) {
        let handle = self.handle.clone();
        let hub = self.around.hub.clone();
        self.around.config.apply_changes_then(position, changes, move |applied| match applied {
            Ok(position) => {
                handle.tell(LinkInput::Applied(position));
                hub.changed("objects");
            }
            Err(fault) => tracing::error!(%fault, "changes of the cluster server could not be kept"),
        });
    }

    fn keep_snapshot(&self, position: Position, records: Vec<Record>) {
        let handle = self.handle.clone();
        let hub = self.around.hub.clone();
        self.around.config.apply_snapshot_then(position, records, move |applied| match applied {
            Ok(position) => {
                handle.tell(LinkInput::Applied(position));
                hub.changed("objects");
            }
            Err(fault) => tracing::error!(%fault, "a snapshot of the cluster server could not be kept"),
        });
    }

    fn acknowledged(&self, ids: Vec<String>) {
        self.around.runtime.write_then(vec![RuntimeWrite::MarkUploaded(ids)], |written| {
            if let Err(fault) = written {
                tracing::warn!(%fault, "gathered records could not be marked: they will be sent again");
            }
        });
    }

    /// Reads what waits for the cluster server; on a task, because the disk may be slow.
    fn give_logs(&self) {
        let runtime = self.around.runtime.clone();
        let handle = self.handle.clone();
        self.around.io.spawn_blocking(move || match runtime.log_waiting(LOGS_AT_A_TIME) {
            Ok(rows) => {
                for row in rows {
                    let entry = LogEntry { id: row.entry.id, body: row.entry.value };
                    handle.tell(LinkInput::Calls(CallNotice::Log(entry)));
                }
            }
            Err(fault) => tracing::warn!(%fault, "records that wait for the cluster server cannot be read"),
        });
    }

    /// Keeps an entry of a node. One that this release cannot read is kept as it is.
    fn keep_log(&self, member: MemberNumber, entry: LogEntry) {
        let id = entry.id.clone();
        let row = match serde_json::from_slice(&entry.body).ok().as_ref().and_then(super::records::log_row) {
            Some(row) => store::LogEntry { id: entry.id, ..row },
            None => store::LogEntry {
                id: entry.id,
                stream: "unknown".to_owned(),
                session: String::new(),
                at_ms: 0,
                value: entry.body,
            },
        };
        let handle = self.handle.clone();
        let hub = self.around.hub.clone();
        self.around.runtime.write_then(
            vec![RuntimeWrite::AppendGathered(row)],
            move |written| match written {
                Ok(()) => {
                    handle.tell(LinkInput::Recorded(member, id));
                    hub.changed("records");
                }
                Err(fault) => tracing::error!(%fault, "a record of a node could not be kept"),
            },
        );
    }
}
