//! A connection of the link: bytes between its socket and the link thread.
//!
//! The machine bounds what it sends (`Sent` gives it room again), so the queue here is as long as the machine
//! lets it be. A connection that the machine gave up as silent is reset, not closed: bytes that the system
//! still holds for it must not arrive minutes later, when the cut heals.

use super::LinkHandle;
use crate::member::LinkInput;
use cluster::{CloseReason, Conn};
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// How long sent bytes may stay unacknowledged before the system gives the connection up by itself.
pub const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(4);
/// How long a last word may take to be written.
const FLUSH_MAX: Duration = Duration::from_millis(300);
/// Bytes read at a time.
const READ_BYTES: usize = 64 * 1024;
/// Bytes the system may hold for a connection, on the way and unsent.
const SEND_BUFFER_BYTES: usize = 128 * 1024;
/// Bytes of those that it may hold unsent: few, so that a heartbeat never waits long behind a snapshot.
const UNSENT_BYTES: u32 = 16 * 1024;

/// The open connections; clones share them.
#[derive(Clone, Default)]
pub struct Connections {
    open: Arc<Mutex<BTreeMap<Conn, Open>>>,
}

struct Open {
    queue: mpsc::UnboundedSender<Vec<u8>>,
    /// Cancelled at once, whatever is still queued.
    abort: CancellationToken,
}

impl Connections {
    /// Queues bytes; for a connection that is gone they are lost.
    pub fn send(&self, conn: Conn, bytes: Vec<u8>) {
        if let Some(open) = self.lock().get(&conn) {
            let _ending = open.queue.send(bytes);
        }
    }

    /// Ends a connection: with its last word when the peer may still listen, else at once.
    pub fn close(&self, conn: Conn, reason: CloseReason) {
        let Some(open) = self.lock().remove(&conn) else { return };
        let last_word = matches!(
            reason,
            CloseReason::Refused(_)
                | CloseReason::Stopping
                | CloseReason::Protocol
                | CloseReason::StaleAuthority
                | CloseReason::WrongPeer
        );
        if !last_word {
            open.abort.cancel();
        }
    }

    /// Registers an attempt at a connection, so that it can be closed before it stands.
    #[must_use]
    pub(super) fn begin(&self, conn: Conn) -> Pipe {
        let (queue, queued) = mpsc::unbounded_channel();
        let abort = CancellationToken::new();
        self.lock().insert(conn, Open { queue, abort: abort.clone() });
        Pipe { conn, queued, abort }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Conn, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The task's end of a connection.
pub(super) struct Pipe {
    pub(super) conn: Conn,
    queued: mpsc::UnboundedReceiver<Vec<u8>>,
    pub(super) abort: CancellationToken,
}

/// Sets what every connection between members needs. No keep-alive of the system: heartbeats judge.
///
/// # Errors
/// When the system refuses.
pub fn tune(stream: &TcpStream) -> io::Result<()> {
    let socket = socket2::SockRef::from(stream);
    socket.set_tcp_nodelay(true)?;
    socket.set_keepalive(false)?;
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED_MAX))?;
    socket.set_send_buffer_size(SEND_BUFFER_BYTES)?;
    socket.set_tcp_notsent_lowat(UNSENT_BYTES)?;
    // Whoever drops the stream resets it; a clean end is made by an explicit shutdown.
    socket.set_linger(Some(Duration::ZERO))
}

/// Moves bytes until either end closes.
pub(super) async fn pump<S: AsyncRead + AsyncWrite>(stream: S, pipe: Pipe, link: &LinkHandle) {
    let Pipe { conn, queued, abort } = pipe;
    let (read, write) = tokio::io::split(stream);
    let mut reading = std::pin::pin!(read_all(read, conn, link));
    tokio::select! {
        () = abort.cancelled() => {}
        () = &mut reading => {}
        () = write_all(write, conn, queued, link) => {
            // A reset right behind the last word could overtake it: the peer closes first, if it can.
            let _silent = tokio::time::timeout(FLUSH_MAX, reading).await;
        }
    }
    link.tell(LinkInput::Closed(conn));
}

async fn read_all(mut read: impl AsyncRead + Unpin, conn: Conn, link: &LinkHandle) {
    let mut buffer = vec![0_u8; READ_BYTES];
    while let Ok(length @ 1..) = read.read(&mut buffer).await {
        let bytes = buffer.get(..length).unwrap_or_default().to_vec();
        link.give(LinkInput::Bytes(conn, bytes)).await;
    }
}

/// Ends when the queue is closed and written out: that is the machine's polite close.
async fn write_all(
    mut write: impl AsyncWrite + Unpin,
    conn: Conn,
    mut queued: mpsc::UnboundedReceiver<Vec<u8>>,
    link: &LinkHandle,
) {
    while let Some(bytes) = queued.recv().await {
        if write.write_all(&bytes).await.is_err() || write.flush().await.is_err() {
            return;
        }
        link.tell(LinkInput::Sent(conn, bytes.len()));
    }
    let _late = tokio::time::timeout(FLUSH_MAX, write.shutdown()).await;
}
