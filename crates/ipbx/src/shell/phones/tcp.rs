//! Connections of phones (RFC 3261 § 18.3, keep-alive RFC 5626 § 3.5.1).

use super::{CONNECTIONS_MAX, CONNECTIONS_PER_SOURCE_MAX, Connection, Phones, QUEUE_MESSAGES_MAX, arrived};
use crate::member::CallInput;
use crate::shell::engine::EngineSlot;
use sip::{Flow, Frame, Framer, Transport};
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// A connection that brought no message in this time after it opened is closed.
const FIRST_MESSAGE_WITHIN: Duration = Duration::from_secs(30);
/// A connection without a byte for this long is closed: twice the longest registration.
const IDLE_MAX: Duration = Duration::from_secs(7_200);
/// How long sent bytes may stay unacknowledged.
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(30);
/// How long a connection whose stream is lost stays open for the answers to what came before.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// Bytes read at a time.
const READ_BYTES: usize = 16 * 1024;
/// The answer to a keep-alive (RFC 5626 § 3.5.1).
const PONG: &[u8] = b"\r\n";

/// Accepts connections until `stop`.
pub(super) async fn accept(listener: TcpListener, phones: Phones, slot: EngineSlot, stop: CancellationToken) {
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, remote)) => begin(stream, remote, &phones, &slot, &stop),
            Err(fault) => {
                tracing::warn!(%fault, "accepting a phone's connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

fn begin(
    stream: TcpStream,
    remote: SocketAddr,
    phones: &Phones,
    slot: &EngineSlot,
    stop: &CancellationToken,
) {
    let (queue, queued) = mpsc::channel(QUEUE_MESSAGES_MAX);
    let stop = stop.child_token();
    let number = phones.shared.next_connection.fetch_add(1, Ordering::Relaxed);
    {
        let mut connections = phones.lock();
        let of_source = connections.values().filter(|other| other.remote.ip() == remote.ip()).count();
        if connections.len() >= CONNECTIONS_MAX || of_source >= CONNECTIONS_PER_SOURCE_MAX {
            tracing::warn!(%remote, of_source, "too many connections of phones: one refused");
            return;
        }
        connections.insert(number, Connection { remote, queue, stop: stop.clone() });
    }
    let socket = socket2::SockRef::from(&stream);
    let tuned = socket.set_tcp_nodelay(true).and(socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED_MAX)));
    if let Err(refusal) = tuned {
        tracing::debug!(%refusal, "a connection keeps the system's timing");
    }
    let local = stream.local_addr().unwrap_or(phones.shared.address);
    let flow = Flow { transport: Transport::Tcp, local, remote, connection: number };
    let (read, write) = stream.into_split();
    let tasks = &phones.shared.tasks;
    tasks.spawn(send_all(write, queued, stop.clone()));
    tasks.spawn(serve(read, flow, phones.clone(), slot.clone(), stop));
}

/// Writes what is queued until the connection ends.
async fn send_all(mut write: OwnedWriteHalf, mut queued: mpsc::Receiver<Vec<u8>>, stop: CancellationToken) {
    while let Some(bytes) = tokio::select! {
        () = stop.cancelled() => None,
        bytes = queued.recv() => bytes,
    } {
        let written = tokio::select! {
            () = stop.cancelled() => return,
            written = write.write_all(&bytes) => written,
        };
        if written.is_err() {
            break;
        }
    }
    stop.cancel();
}

/// Reads messages until the connection ends, then tells the engine.
async fn serve(
    mut read: OwnedReadHalf,
    flow: Flow,
    phones: Phones,
    slot: EngineSlot,
    stop: CancellationToken,
) {
    let mut framer = Framer::new();
    let mut buffer = vec![0_u8; READ_BYTES];
    let mut patience = FIRST_MESSAGE_WITHIN;
    loop {
        let received = tokio::select! {
            () = stop.cancelled() => break,
            received = tokio::time::timeout(patience, read.read(&mut buffer)) => received,
        };
        let Ok(Ok(length @ 1..)) = received else { break };
        let bytes = buffer.get(..length).unwrap_or_default();
        if !take(&mut framer, bytes, flow, &phones, &slot).await {
            let _ = tokio::time::timeout(LAST_WORDS, stop.cancelled()).await;
            break;
        }
        patience = IDLE_MAX;
    }
    stop.cancel();
    phones.lock().remove(&flow.connection);
    if let Some(engine) = slot.present() {
        engine.give(CallInput::FlowClosed(flow)).await;
    }
}

/// Hands on what is complete; false when the stream cannot be followed any more.
async fn take(framer: &mut Framer, bytes: &[u8], flow: Flow, phones: &Phones, slot: &EngineSlot) -> bool {
    let mut frames = Vec::new();
    let framing = framer.push(bytes, &mut frames);
    let Some(engine) = slot.present() else { return false };
    for frame in frames {
        match frame {
            Frame::Message(message) => engine.give(arrived(flow, message)).await,
            Frame::Ping => phones.send(&flow, PONG.to_vec()),
            Frame::Pong => {}
            Frame::Malformed(fault) => {
                tracing::debug!(remote = %flow.remote, fault = %fault, "a framed message is no SIP message");
                if let Some(answer) = fault.answer(&engine.tag()) {
                    phones.send(&flow, answer);
                }
            }
        }
    }
    if let Err(fault) = &framing {
        tracing::debug!(remote = %flow.remote, fault = %fault, "a phone's stream cannot be followed");
        if let Some(answer) = fault.0.answer(&engine.tag()) {
            phones.send(&flow, answer);
        }
    }
    framing.is_ok()
}
