//! Connections of phones, TCP and TLS (RFC 3261 § 18.3, keep-alive RFC 5626 § 3.5.1): one task each.
//!
//! Every wait has a limit, so that a peer which is slow, silent, half open or deaf costs a bounded time:
//!
//! | waiting for | limit |
//! | --- | --- |
//! | the TLS handshake | 10 s |
//! | the first message after that | 30 s |
//! | the rest of a message that has begun | 30 s |
//! | room for what we send | 10 s |
//! | an acknowledgement by the peer's system | 30 s (TCP_USER_TIMEOUT), probed after 60 s of silence |
//! | any byte at all | 2 h |
//!
//! While something waits to be sent nothing more is read: who does not listen is not listened to.

use super::places::{Pulse, QUEUE_BYTES_MAX, QUEUE_MESSAGES_MAX, Standing};
use super::wire::Wire;
use super::{Phones, arrived, plain_address};
use crate::member::CallInput;
use crate::shell::clock::ms;
use crate::shell::engine::{EngineHandle, EngineSlot};
use sip::{Flow, Frame, Framer, FramingError, Transport};
use std::convert::Infallible;
use std::future::{Future as _, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, Sleep};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

/// How long a TLS handshake may take.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);
/// How long a connection may take to bring its first message, and a message to become whole.
const MESSAGE_WITHIN: Duration = Duration::from_secs(30);
/// A connection without a byte for this long is closed: twice the longest registration.
const IDLE_MAX: Duration = Duration::from_secs(7_200);
/// How long a peer may leave us with bytes we cannot send.
const DEAF_MAX: Duration = Duration::from_secs(10);
/// How long sent bytes may stay unacknowledged.
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(30);
/// Silence after which the system asks whether the peer is there, how often, and how many times.
const PROBE: (Duration, Duration, u32) = (Duration::from_secs(60), Duration::from_secs(15), 4);
/// How long a connection whose stream is lost stays open for the answers to what came before.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// How long nothing is accepted when the system has no descriptors left.
const PAUSE: Duration = Duration::from_millis(100);
/// Bytes put together for one write.
const WRITE_BYTES: usize = 16 * 1024;
/// The answer to a keep-alive (RFC 5626 § 3.5.1).
const PONG: &[u8] = b"\r\n";

/// Accepts connections until `stop`.
pub(super) async fn accept(
    listener: TcpListener,
    transport: Transport,
    phones: Phones,
    slot: EngineSlot,
    stop: CancellationToken,
) {
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return phones.places().clear(),
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, remote)) => begin(stream, plain_address(remote), transport, &phones, &slot),
            Err(fault) => {
                tracing::warn!(%fault, "accepting a phone's connection");
                phones.places().evict_idlest();
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

fn begin(stream: TcpStream, remote: SocketAddr, transport: Transport, phones: &Phones, slot: &EngineSlot) {
    let (sender, queue) = mpsc::channel(QUEUE_MESSAGES_MAX);
    let number = phones.next_connection();
    let standing = if transport == Transport::Tls { Standing::Shaking } else { Standing::Unproven };
    let Some(pulse) = phones.places().enter(number, remote, standing, sender) else {
        return tracing::warn!(%remote, "too many connections of phones: one refused");
    };
    pulse.heard(ms(phones.now()));
    tune(&stream);
    let local = stream.local_addr().map_or(phones.address(), plain_address);
    let flow = Flow { transport, local, remote, connection: number };
    let task = serve(stream, flow, queue, pulse, phones.clone(), slot.clone());
    phones.tasks().spawn(task);
}

fn tune(stream: &TcpStream) {
    let socket = socket2::SockRef::from(stream);
    let (after, every, times) = PROBE;
    let probe = socket2::TcpKeepalive::new().with_time(after).with_interval(every).with_retries(times);
    let tuned = socket
        .set_tcp_nodelay(true)
        .and(socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED_MAX)))
        .and(socket.set_tcp_keepalive(&probe));
    if let Err(refusal) = tuned {
        tracing::debug!(%refusal, "a connection keeps the system's timing");
    }
}

/// The life of a connection, from its first byte to the word to the engine that it is over.
async fn serve(
    stream: TcpStream,
    flow: Flow,
    mut queue: mpsc::Receiver<Vec<u8>>,
    pulse: Arc<Pulse>,
    phones: Phones,
    slot: EngineSlot,
) {
    let wire = match flow.transport {
        Transport::Tls => shake(stream, &flow, &mut queue, &phones).await,
        Transport::Tcp | Transport::Udp => Some(Wire::Plain(stream)),
    };
    if let Some(wire) = wire {
        let mut connection = Connection::new(wire, flow, queue, pulse);
        connection.carry(&phones, &slot).await;
        phones.lost(connection.unsent());
        phones.places().leave(flow.connection);
        if let Some(engine) = slot.present() {
            engine.give(CallInput::FlowClosed(flow)).await;
        }
        let _ = tokio::time::timeout(LAST_WORDS, poll_fn(|cx| connection.wire.poll_shutdown(cx))).await;
    } else {
        phones.places().leave(flow.connection);
    }
}

/// The TLS handshake, unless it fails, lasts too long, or has to make room for another.
async fn shake(
    stream: TcpStream,
    flow: &Flow,
    queue: &mut mpsc::Receiver<Vec<u8>>,
    phones: &Phones,
) -> Option<Wire> {
    let config = phones.certificate()?;
    let handshake = tokio::time::timeout(HANDSHAKE_WITHIN, TlsAcceptor::from(config).accept(stream));
    let shaken = tokio::select! {
        shaken = handshake => shaken,
        _ = queue.recv() => return None,
    };
    match shaken {
        Ok(Ok(stream)) => {
            phones.places().shaken(flow.connection);
            Some(Wire::Tls(Box::new(stream)))
        }
        Ok(Err(fault)) => {
            tracing::debug!(remote = %flow.remote, %fault, "a phone's TLS handshake failed");
            None
        }
        Err(_) => None,
    }
}

/// A connection that carries messages.
struct Connection {
    wire: Wire,
    flow: Flow,
    queue: mpsc::Receiver<Vec<u8>>,
    pulse: Arc<Pulse>,
    framer: Framer,
    /// What is being written, and how much of it is.
    writing: Vec<u8>,
    written: usize,
    unflushed: bool,
    limits: Limits,
    alarm: Pin<Box<Sleep>>,
}

/// Until when what must have happened; the earliest ends the connection.
struct Limits {
    idle: Instant,
    /// A message must be whole.
    message: Option<Instant>,
    /// What is being written must be gone.
    write: Option<Instant>,
    /// The stream is lost, and only answers are still sent.
    last_words: Option<Instant>,
}

impl Limits {
    fn earliest(&self) -> Instant {
        [self.message, self.write, self.last_words].into_iter().flatten().fold(self.idle, Instant::min)
    }
}

/// What a connection brings.
enum Heard {
    Frames(Vec<Frame>, Result<(), FramingError>),
    End,
}

impl Connection {
    fn new(wire: Wire, flow: Flow, queue: mpsc::Receiver<Vec<u8>>, pulse: Arc<Pulse>) -> Connection {
        let now = Instant::now();
        let first = now + MESSAGE_WITHIN;
        let limits = Limits { idle: now + IDLE_MAX, message: Some(first), write: None, last_words: None };
        Connection {
            wire,
            flow,
            queue,
            pulse,
            framer: Framer::new(),
            writing: Vec::new(),
            written: 0,
            unflushed: false,
            limits,
            alarm: Box::pin(tokio::time::sleep_until(first)),
        }
    }

    /// Messages that nobody will ever read.
    fn unsent(&self) -> usize {
        self.queue.len() + usize::from(!self.writing.is_empty())
    }

    async fn carry(&mut self, phones: &Phones, slot: &EngineSlot) {
        loop {
            let Heard::Frames(frames, framing) = poll_fn(|cx| self.poll_heard(cx)).await else { return };
            self.pulse.heard(ms(phones.now()));
            let Some(engine) = slot.present() else { return };
            for frame in frames {
                self.take(frame, &engine).await;
            }
            if let Err(fault) = framing {
                tracing::debug!(remote = %self.flow.remote, %fault, "a phone's stream cannot be followed");
                self.say(fault.0.answer(&engine.tag()).unwrap_or_default());
                self.limits.last_words = Some(Instant::now() + LAST_WORDS);
            }
        }
    }

    async fn take(&mut self, frame: Frame, engine: &EngineHandle) {
        match frame {
            Frame::Message(message) => engine.give(arrived(self.flow, message)).await,
            Frame::Ping => self.say(PONG.to_vec()),
            Frame::Pong => {}
            Frame::Malformed(fault) => {
                tracing::debug!(remote = %self.flow.remote, %fault, "a framed message is no SIP message");
                self.say(fault.answer(&engine.tag()).unwrap_or_default());
            }
        }
    }

    /// Something this task says itself. Nothing is read while it waits, so it cannot grow.
    fn say(&mut self, bytes: Vec<u8>) {
        if self.writing.len() < QUEUE_BYTES_MAX {
            self.writing.extend_from_slice(&bytes);
        }
    }

    fn poll_heard(&mut self, cx: &mut Context<'_>) -> Poll<Heard> {
        if self.poll_send(cx).is_ready() {
            return Poll::Ready(Heard::End);
        }
        let sending = self.unflushed || !self.writing.is_empty();
        if !sending && self.limits.last_words.is_none() {
            match self.poll_read(cx) {
                Poll::Ready(Ok(heard)) => return Poll::Ready(heard),
                Poll::Ready(Err(_)) => return Poll::Ready(Heard::End),
                Poll::Pending => {}
            }
        }
        self.poll_alarm(cx)
    }

    /// Writes what there is to write and waits, for room or for something to write, until the connection is over.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Infallible>> {
        loop {
            while let Some(rest) = self.writing.get(self.written..).filter(|rest| !rest.is_empty()) {
                self.limits.write.get_or_insert_with(|| Instant::now() + DEAF_MAX);
                self.written += std::task::ready!(self.wire.poll_write(cx, rest))?;
                self.unflushed = true;
            }
            if !self.writing.is_empty() {
                self.writing = Vec::new();
                self.written = 0;
            }
            if self.unflushed {
                std::task::ready!(self.wire.poll_flush(cx))?;
                self.unflushed = false;
                self.limits.write = None;
            }
            match std::task::ready!(self.queue.poll_recv(cx)) {
                Some(bytes) => self.gather(bytes),
                // Out of the table: made room for another, or did not read.
                None => return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into())),
            }
        }
    }

    /// Several messages that wait go out in one write.
    fn gather(&mut self, first: Vec<u8>) {
        self.pulse.taken(first.len());
        self.writing = first;
        while self.writing.len() < WRITE_BYTES {
            let Ok(more) = self.queue.try_recv() else { break };
            self.pulse.taken(more.len());
            self.writing.extend_from_slice(&more);
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Heard>> {
        let framer = &mut self.framer;
        let read = self.wire.poll_take(cx, |bytes| {
            if bytes.is_empty() {
                return Heard::End;
            }
            let mut frames = Vec::new();
            let framing = framer.push(bytes, &mut frames);
            Heard::Frames(frames, framing)
        });
        let heard = std::task::ready!(read)?;
        let now = Instant::now();
        self.limits.idle = now + IDLE_MAX;
        let got_one = matches!(&heard, Heard::Frames(frames, _) if frames.iter().any(|frame| !matches!(frame, Frame::Pong)));
        if self.framer.is_between_messages() && got_one {
            self.limits.message = None;
        } else if got_one || self.limits.message.is_none() {
            self.limits.message = Some(now + MESSAGE_WITHIN);
        }
        Poll::Ready(Ok(heard))
    }

    fn poll_alarm(&mut self, cx: &mut Context<'_>) -> Poll<Heard> {
        let due = self.limits.earliest();
        // An alarm that comes too early is set again; one that would come too late is set now.
        if due < self.alarm.deadline() {
            self.alarm.as_mut().reset(due);
        }
        while self.alarm.as_mut().poll(cx).is_ready() {
            if due <= Instant::now() {
                return Poll::Ready(Heard::End);
            }
            self.alarm.as_mut().reset(due);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Listening, Ports, tls};
    use super::*;
    use crate::shell::clock::SteadyClock;
    use rcgen::{CertificateParams, KeyPair};
    use std::net::Ipv4Addr;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    /// Sockets that listen, and an engine that takes everything and says nothing.
    fn listening() -> (Phones, CancellationToken) {
        let (ports, clock) = (Ports { plain: 0, tls: 0 }, SteadyClock::start());
        let listening = Listening::open(Ipv4Addr::LOCALHOST.into(), ports, 1, clock).unwrap();
        let (phones, slot, stop) = (listening.phones(), EngineSlot::default(), CancellationToken::new());
        let key = KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
        phones.certify(tls::server(&certificate.pem(), &key.serialize_pem()).unwrap());
        slot.set(Some(EngineHandle::open(1, [7; 32]).unwrap().0));
        listening.serve(&slot, &stop);
        (phones, stop)
    }

    /// How long the server bears a peer that sends `first`, then `rest` byte by byte, one each five seconds.
    async fn borne(address: SocketAddr, first: &[u8], rest: &[u8]) -> Duration {
        let mut peer = TcpStream::connect(address).await.unwrap();
        peer.write_all(first).await.unwrap();
        let begun = Instant::now();
        let (mut read, mut write) = peer.split();
        let dribble = async {
            for byte in rest {
                tokio::time::sleep(Duration::from_secs(5)).await;
                if write.write_all(&[*byte]).await.is_err() {
                    break;
                }
            }
            std::future::pending::<()>().await;
        };
        let closed = async {
            let mut buffer = [0; 1_024];
            while matches!(read.read(&mut buffer).await, Ok(1..)) {}
        };
        tokio::select! {
            () = dribble => {}
            () = closed => {}
        }
        begun.elapsed()
    }

    fn around(seconds: u64, borne: Duration) {
        let (least, most) = (Duration::from_secs(seconds), Duration::from_secs(seconds + 2));
        assert!(borne >= least && borne < most, "borne for {borne:?} instead of {seconds} s");
    }

    const BEGINNING: &[u8] = b"OPTIONS sip:c-1 SIP/2.0\r\nVia: SIP/2.0/TCP 192.0.2.9;branch=z9hG4bK1\r\nX: ";

    #[tokio::test(start_paused = true)]
    async fn threat_10_a_peer_that_says_nothing_or_not_all_is_borne_for_half_a_minute() {
        let (phones, _stop) = listening();
        around(30, borne(phones.address(), b"", b"").await);
        around(30, borne(phones.address(), BEGINNING, b"").await);
        around(30, borne(phones.address(), BEGINNING, &[b'x'; 100]).await);
    }

    #[tokio::test(start_paused = true)]
    async fn threat_10_a_message_that_begins_after_a_ping_has_its_half_minute_too() {
        let (phones, _stop) = listening();
        let late = [b"\r\n\r\n".as_slice(), BEGINNING].concat();
        around(30, borne(phones.address(), &late, &[b'x'; 100]).await);
        // A ping alone is a phone that has nothing to say: it may stay.
        let stays = tokio::time::timeout(Duration::from_secs(600), borne(phones.address(), b"\r\n\r\n", b""));
        assert!(stays.await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn threat_10_a_handshake_that_is_not_ended_is_borne_for_ten_seconds() {
        let (phones, _stop) = listening();
        around(10, borne(phones.tls_address(), b"", b"").await);
        around(10, borne(phones.tls_address(), &[0x16, 3, 1, 2, 0], &[0; 100]).await);
    }
}
