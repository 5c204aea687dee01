//! The sockets phones talk to: one UDP socket and the TCP connections, and the one way to send on them.
//!
//! Sending never waits: a datagram the system does not take is lost like any other, and a connection whose
//! peer does not read is closed when its queue is full. What arrives is parsed here, so that the engine gets
//! messages only; what cannot be parsed is answered here and changes nothing.

mod tcp;
mod udp;

use super::clock::{SteadyClock, ms};
use super::engine::EngineSlot;
use crate::member::CallInput;
use sip::{Flow, Message, Transport};
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket as StdUdpSocket};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// TCP connections of phones at a time; a further one is closed at once.
pub const CONNECTIONS_MAX: usize = 10_000;
/// TCP connections of one source address at a time; many phones may sit behind one address.
pub const CONNECTIONS_PER_SOURCE_MAX: usize = 500;
/// Messages that may wait for a phone that is slow to read.
pub const QUEUE_MESSAGES_MAX: usize = 64;
/// Bytes the system is asked to hold for us each way: a burst of some thousand datagrams.
const BUFFER_BYTES: usize = 4 * 1024 * 1024;
/// Local addresses remembered by remote one, for a socket that listens on every address.
const ROUTES_MAX: usize = 4_096;

/// SIP cannot be listened for.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Another process has the port.
    #[error(
        "{address}: the port is already in use by another process\n  fix: stop that process or change '{setting}' in the configuration"
    )]
    InUse {
        /// Where.
        address: SocketAddr,
        /// The setting that names the port.
        setting: &'static str,
    },
    /// Something else.
    #[error("cannot listen on {address}: {source}\n  fix: change 'bind' or '{setting}' in the configuration")]
    Refused {
        /// Where.
        address: SocketAddr,
        /// The setting that names the port.
        setting: &'static str,
        /// What the system says.
        source: io::Error,
    },
}

impl ListenError {
    /// Says plainly why `address` cannot be listened on.
    #[must_use]
    pub fn of(address: SocketAddr, setting: &'static str, source: io::Error) -> ListenError {
        match source.kind() {
            io::ErrorKind::AddrInUse => ListenError::InUse { address, setting },
            _ => ListenError::Refused { address, setting, source },
        }
    }
}

/// The sockets, shared by the tasks that read them and by whoever sends.
#[derive(Clone)]
pub struct Phones {
    shared: Arc<Shared>,
}

struct Shared {
    udp: UdpSocket,
    address: SocketAddr,
    connections: Mutex<BTreeMap<u64, Connection>>,
    next_connection: AtomicU64,
    routes: Mutex<BTreeMap<IpAddr, IpAddr>>,
    dropped: AtomicU64,
    tasks: TaskTracker,
}

/// What is needed to send on a connection and to end it.
struct Connection {
    remote: SocketAddr,
    queue: mpsc::Sender<Vec<u8>>,
    stop: CancellationToken,
}

/// Sockets that listen and do not yet read.
pub struct Listening {
    phones: Phones,
    tcp: TcpListener,
}

impl Listening {
    /// Opens both sockets on one port.
    ///
    /// # Errors
    /// See [`ListenError`].
    pub async fn open(bind: IpAddr, port: u16, clock: SteadyClock) -> Result<Listening, ListenError> {
        let setting = "sip_port";
        let asked = SocketAddr::new(bind, port);
        let fault = |source| ListenError::of(asked, setting, source);
        let tcp = TcpListener::bind(asked).await.map_err(fault)?;
        let address = tcp.local_addr().map_err(fault)?;
        let udp = UdpSocket::bind(address).await.map_err(fault)?;
        let socket = socket2::SockRef::from(&udp);
        let grown = socket.set_recv_buffer_size(BUFFER_BYTES).and(socket.set_send_buffer_size(BUFFER_BYTES));
        if let Err(refusal) = grown {
            tracing::debug!(%refusal, "the UDP buffers stay small");
        }
        let shared = Shared {
            udp,
            address,
            connections: Mutex::default(),
            // A number of an earlier process may live on in a binding on disk: never give it again.
            next_connection: AtomicU64::new(ms(clock.now()).saturating_mul(1_000)),
            routes: Mutex::default(),
            dropped: AtomicU64::new(0),
            tasks: TaskTracker::new(),
        };
        Ok(Listening { phones: Phones { shared: Arc::new(shared) }, tcp })
    }

    /// The sockets, for sending.
    #[must_use]
    pub fn phones(&self) -> Phones {
        self.phones.clone()
    }

    /// Reads until `stop`, for whatever engine is present.
    pub fn serve(self, slot: &EngineSlot, stop: &CancellationToken) {
        let tasks = self.phones.shared.tasks.clone();
        tasks.spawn(udp::read(self.phones.clone(), slot.clone(), stop.clone()));
        tasks.spawn(tcp::accept(self.tcp, self.phones, slot.clone(), stop.clone()));
    }
}

impl Phones {
    /// The address and port listened on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.shared.address
    }

    /// Messages that could not be sent since the start.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    /// TCP connections that are open.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.lock().len()
    }

    /// Ends all connections: another role knows other phones.
    pub fn close_connections(&self) {
        for connection in self.lock().values() {
            connection.stop.cancel();
        }
    }

    /// Waits, after the stop, until nothing reads any more.
    pub async fn stopped(&self) {
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }

    /// Sends one message; see the module on what is lost.
    pub fn send(&self, flow: &Flow, bytes: Vec<u8>) {
        let sent = match flow.transport {
            Transport::Udp => self.shared.udp.try_send_to(&bytes, flow.remote).is_ok(),
            Transport::Tcp | Transport::Tls => self.send_on_connection(flow.connection, bytes),
        };
        if !sent {
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn send_on_connection(&self, number: u64, bytes: Vec<u8>) -> bool {
        let connections = self.lock();
        let Some(connection) = connections.get(&number) else { return false };
        match connection.queue.try_send(bytes) {
            Ok(()) => true,
            Err(_) => {
                tracing::warn!(remote = %connection.remote, "a phone does not read: connection closed");
                connection.stop.cancel();
                false
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, Connection>> {
        self.shared.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Our address as a peer at `remote` sees it: the socket's own, or the one the system routes by.
    fn local_toward(&self, remote: IpAddr) -> SocketAddr {
        let bound = self.shared.address;
        if !bound.ip().is_unspecified() {
            return bound;
        }
        let mut routes = self.shared.routes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(local) = routes.get(&remote) {
            return SocketAddr::new(*local, bound.port());
        }
        let local = routed_from(bound.ip(), remote).unwrap_or(bound.ip());
        if routes.len() >= ROUTES_MAX {
            routes.clear();
        }
        routes.insert(remote, local);
        SocketAddr::new(local, bound.port())
    }
}

/// The local address the system would send from; no packet is sent for it.
fn routed_from(any: IpAddr, remote: IpAddr) -> io::Result<IpAddr> {
    let socket = StdUdpSocket::bind(SocketAddr::new(any, 0))?;
    socket.connect(SocketAddr::new(remote, 9))?;
    Ok(socket.local_addr()?.ip())
}

/// A message as the engine takes it: a request bears where it really came from (RFC 3581).
fn arrived(flow: Flow, message: Message) -> CallInput {
    let message = if message.is_request() { message.stamped(flow.remote) } else { message };
    CallInput::Phone { flow, message }
}
