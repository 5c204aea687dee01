//! SIP between members: one TLS connection to each neighbour, beside the link and as long as it (RFC 3261
//! § 18.3 framing).
//!
//! What cannot be sent is dropped: transactions between members repeat it (the hop counts as unreliable), and
//! by then the connection may have been replaced. A connection that the link gave up is never used again; one
//! that died alone is found by its keep-alive (RFC 5626 § 3.5.1) and made anew.

use super::engine::EngineHandle;
use crate::member::CallInput;
use model::MemberNumber;
use sip::{Frame, Framer};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

/// Messages that may wait for a neighbour; what comes beyond is dropped and repeated by its transaction.
pub const QUEUE_MESSAGES_MAX: usize = 2_048;
/// How often a keep-alive is sent.
const PING_EVERY: Duration = Duration::from_secs(1);
/// A neighbour that sent nothing for this long is not behind this connection any more.
const SILENCE_MAX: Duration = Duration::from_secs(4);
/// Bytes read, or gathered to be written, at a time.
const CHUNK_BYTES: usize = 64 * 1024;
const PING: &[u8] = b"\r\n\r\n";
const PONG: &[u8] = b"\r\n";

/// The connections to the neighbours; clones share them.
#[derive(Clone, Default)]
pub struct Members {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    dropped: AtomicU64,
}

#[derive(Default)]
struct State {
    connections: BTreeMap<MemberNumber, Connection>,
    /// Members whose link stands; what others send is not taken.
    linked: BTreeSet<MemberNumber>,
    next: u64,
}

struct Connection {
    number: u64,
    queue: mpsc::Sender<Vec<u8>>,
    stop: CancellationToken,
}

impl Members {
    /// Sends one message, if there is a connection with room.
    pub fn send(&self, to: MemberNumber, bytes: Vec<u8>) {
        let sent = self.lock().connections.get(&to).is_some_and(|found| found.queue.try_send(bytes).is_ok());
        if !sent {
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Messages that were dropped since the start.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    /// Members with a connection at present.
    #[must_use]
    pub fn connected(&self) -> Vec<MemberNumber> {
        self.lock().connections.keys().copied().collect()
    }

    /// The link to a member stands: what it sends is taken.
    pub fn linked(&self, member: MemberNumber) {
        self.lock().linked.insert(member);
    }

    /// The link to a member is lost, and with it this connection, whatever its state.
    pub fn unlinked(&self, member: MemberNumber) {
        let mut state = self.lock();
        state.linked.remove(&member);
        if let Some(connection) = state.connections.remove(&member) {
            connection.stop.cancel();
        }
    }

    /// Carries messages on `stream` until it ends, it falls silent, another takes its place, or `stop`.
    pub async fn carry<S>(
        &self,
        member: MemberNumber,
        stream: S,
        engine: &EngineHandle,
        stop: &CancellationToken,
    ) where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        let stop = stop.child_token();
        let (queue, queued) = mpsc::channel(QUEUE_MESSAGES_MAX);
        let number = self.enter(member, queue.clone(), &stop);
        let (read, write) = tokio::io::split(stream);
        tokio::select! {
            () = stop.cancelled() => {}
            () = write_all(write, queued) => {}
            () = self.read_all(member, read, &queue, engine) => {}
        }
        self.leave(member, number);
    }

    /// The newest connection of a member is the one in use.
    fn enter(&self, member: MemberNumber, queue: mpsc::Sender<Vec<u8>>, stop: &CancellationToken) -> u64 {
        let mut state = self.lock();
        state.next += 1;
        let number = state.next;
        let connection = Connection { number, queue, stop: stop.clone() };
        if let Some(old) = state.connections.insert(member, connection) {
            old.stop.cancel();
        }
        number
    }

    fn leave(&self, member: MemberNumber, number: u64) {
        let mut state = self.lock();
        if state.connections.get(&member).is_some_and(|connection| connection.number == number) {
            state.connections.remove(&member);
        }
    }

    async fn read_all(
        &self,
        member: MemberNumber,
        mut read: impl AsyncRead + Unpin,
        queue: &mpsc::Sender<Vec<u8>>,
        engine: &EngineHandle,
    ) {
        let mut framer = Framer::new();
        let mut buffer = vec![0_u8; CHUNK_BYTES];
        loop {
            let received = tokio::time::timeout(SILENCE_MAX, read.read(&mut buffer)).await;
            let Ok(Ok(length @ 1..)) = received else { return };
            let mut frames = Vec::new();
            let framing = framer.push(buffer.get(..length).unwrap_or_default(), &mut frames);
            for frame in frames {
                self.take(member, frame, queue, engine).await;
            }
            if let Err(fault) = framing {
                tracing::warn!(%member, fault = %fault, "a member's SIP stream cannot be followed: connection closed");
                return;
            }
        }
    }

    async fn take(
        &self,
        member: MemberNumber,
        frame: Frame,
        queue: &mpsc::Sender<Vec<u8>>,
        engine: &EngineHandle,
    ) {
        match frame {
            Frame::Message(message) => {
                if self.lock().linked.contains(&member) {
                    engine.give(CallInput::Member { from: member, message }).await;
                }
            }
            Frame::Ping => drop(queue.try_send(PONG.to_vec())),
            Frame::Pong => {}
            Frame::Malformed(fault) => {
                tracing::warn!(%member, fault = %fault, "a member sent no SIP message")
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes what is queued, several messages at a time where they wait, and a keep-alive in each period.
async fn write_all(mut write: impl AsyncWrite + Unpin, mut queued: mpsc::Receiver<Vec<u8>>) {
    let mut ping = tokio::time::interval_at(Instant::now() + PING_EVERY, PING_EVERY);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let mut bytes = tokio::select! {
            bytes = queued.recv() => match bytes {
                Some(bytes) => bytes,
                None => return,
            },
            _ = ping.tick() => PING.to_vec(),
        };
        while bytes.len() < CHUNK_BYTES {
            let Ok(more) = queued.try_recv() else { break };
            bytes.extend_from_slice(&more);
        }
        if write.write_all(&bytes).await.is_err() || write.flush().await.is_err() {
            return;
        }
    }
}
