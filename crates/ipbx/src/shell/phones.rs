//! The sockets phones talk to: a UDP socket for each engine thread, the TCP and the TLS connections, and the one way to
//! send on them. Datagrams are read by the engine threads themselves, connections by tasks.
//!
//! Sending never waits: a datagram the system does not take is lost like any other, and a connection whose
//! peer does not read is closed when its queue is full. What arrives is parsed here, so that the engine gets
//! messages only; what cannot be parsed is answered here and changes nothing.

pub mod flood;
mod known;
mod places;
pub mod port;
mod stream;
pub mod tls;
mod wire;

use super::clock::{SteadyClock, ms};
use super::engine::EngineSlot;
use crate::member::{CallInput, PhoneSend};
use arc_swap::ArcSwapOption;
use known::KnownFlows;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use places::{Places, Sent};
use port::Port;
use rustls::ServerConfig;
use sip::{Flow, Message, Transport};
use socket2::{Domain, Socket, Type};
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket as StdUdpSocket};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Local addresses remembered by remote one, for a socket that listens on every address.
const ROUTES_MAX: usize = 4_096;
/// Connections the system may hold for us until we accept them.
const BACKLOG: i32 = 4_096;

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

/// The ports to listen on; 0 lets the system choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ports {
    /// UDP and TCP.
    pub plain: u16,
    /// TLS.
    pub tls: u16,
}

/// The sockets, shared by the tasks that read them and by whoever sends.
#[derive(Clone)]
pub struct Phones {
    shared: Arc<Shared>,
}

struct Shared {
    clock: SteadyClock,
    udp: Vec<Port>,
    address: SocketAddr,
    tls_address: SocketAddr,
    certificate: ArcSwapOption<ServerConfig>,
    places: Mutex<Places>,
    known: Mutex<KnownFlows>,
    next_connection: AtomicU64,
    routes: Mutex<BTreeMap<IpAddr, IpAddr>>,
    dropped: AtomicU64,
    tasks: TaskTracker,
}

/// Sockets that listen and do not yet read.
pub struct Listening {
    phones: Phones,
    tcp: TcpListener,
    tls: TcpListener,
}

impl Listening {
    /// Opens the sockets. `::` is every address, those of IPv4 too.
    ///
    /// # Errors
    /// See [`ListenError`].
    pub fn open(
        bind: IpAddr,
        ports: Ports,
        shards: u8,
        clock: SteadyClock,
    ) -> Result<Listening, ListenError> {
        allow_descriptors();
        let asked = SocketAddr::new(bind, ports.plain);
        let fault = |source| ListenError::of(asked, "sip_port", source);
        let tcp = listen(asked).map_err(fault)?;
        let address = tcp.local_addr().map_err(fault)?;
        let udp =
            (0..shards).map(|_| Port::open(address, shards > 1)).collect::<Result<_, _>>().map_err(fault)?;
        let asked = SocketAddr::new(bind, ports.tls);
        let fault = |source| ListenError::of(asked, "sip_tls_port", source);
        let tls = listen(asked).map_err(fault)?;
        let tls_address = tls.local_addr().map_err(fault)?;
        let shared = Shared {
            clock,
            udp,
            address,
            tls_address,
            certificate: ArcSwapOption::empty(),
            places: Mutex::default(),
            known: Mutex::default(),
            // A number of an earlier process may live on in a binding on disk: never give it again.
            next_connection: AtomicU64::new(ms(clock.now()).saturating_mul(1_000)),
            routes: Mutex::default(),
            dropped: AtomicU64::new(0),
            tasks: TaskTracker::new(),
        };
        Ok(Listening { phones: Phones { shared: Arc::new(shared) }, tcp, tls })
    }

    /// The sockets, for sending.
    #[must_use]
    pub fn phones(&self) -> Phones {
        self.phones.clone()
    }

    /// Reads until `stop`, for whatever engine is present.
    pub fn serve(self, slot: &EngineSlot, stop: &CancellationToken) {
        let (phones, tasks) = (&self.phones, self.phones.tasks());
        for (listener, transport) in [(self.tcp, Transport::Tcp), (self.tls, Transport::Tls)] {
            tasks.spawn(stream::accept(listener, transport, phones.clone(), slot.clone(), stop.clone()));
        }
    }
}

/// Each connection takes a descriptor: as many as the system lets us have, not only those it gives unasked (1,024).
fn allow_descriptors() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, most)| setrlimit(Resource::RLIMIT_NOFILE, most, most).map(|()| most));
    match raised {
        Ok(most) => tracing::debug!(most, "descriptors"),
        Err(refusal) => tracing::warn!(%refusal, "descriptors stay few: few phones can have connections"),
    }
}

/// A socket for connections; one on `::` takes those of IPv4 too.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket_for(address, Type::STREAM)?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

fn socket_for(address: SocketAddr, kind: Type) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind.nonblocking(), None)?;
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    Ok(socket)
}

impl Phones {
    /// The address and port listened on, UDP and TCP.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.shared.address
    }

    /// The address and port listened on for TLS.
    #[must_use]
    pub fn tls_address(&self) -> SocketAddr {
        self.shared.tls_address
    }

    /// Phones that connect from now on see this certificate; connections that are open go on.
    pub fn certify(&self, config: Arc<ServerConfig>) {
        self.shared.certificate.store(Some(config));
    }

    /// Messages that could not be sent since the start.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    /// Connections that are open, TCP and TLS.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.places().count()
    }

    /// Connections that had to make room for others since the start.
    #[must_use]
    pub fn evicted(&self) -> u64 {
        self.places().evicted()
    }

    /// Ends all connections: another role knows other phones.
    pub fn close_connections(&self) {
        self.places().clear();
    }

    /// A phone is registered over this flow until then: it does not make room for others.
    pub fn prove(&self, flow: &Flow, until: Duration) {
        if flow.transport.is_reliable() {
            self.places().prove(flow.connection);
        } else {
            let mut known = self.shared.known.lock().unwrap_or_else(PoisonError::into_inner);
            known.note(self.now(), flow.remote, until);
        }
    }

    /// True when a phone is registered from this address and port over UDP.
    #[must_use]
    pub fn knows(&self, now: Duration, remote: SocketAddr) -> bool {
        self.shared.known.lock().unwrap_or_else(PoisonError::into_inner).knows(now, remote)
    }

    /// Waits, after the stop, until nothing reads any more.
    pub async fn stopped(&self) {
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }

    /// The UDP socket of an engine thread.
    #[must_use]
    pub fn port(&self, shard: usize) -> Option<&Port> {
        self.shared.udp.get(shard)
    }

    /// Sends messages; see the module on what is lost. `shard` is the thread that sends.
    pub fn send(&self, shard: usize, sends: &mut [PhoneSend]) {
        let is_datagram = |send: &&PhoneSend| send.flow.transport == Transport::Udp;
        let datagrams: Vec<(SocketAddr, &[u8])> =
            sends.iter().filter(is_datagram).map(|send| (send.flow.remote, send.bytes.as_slice())).collect();
        if let Some(port) = self.port(shard).filter(|_| !datagrams.is_empty()) {
            self.lost(port.send(&datagrams));
        }
        for send in sends.iter_mut().filter(|send| send.flow.transport.is_reliable()) {
            if !self.send_on_connection(send.flow.connection, std::mem::take(&mut send.bytes)) {
                self.lost(1);
            }
        }
    }

    fn send_on_connection(&self, number: u64, bytes: Vec<u8>) -> bool {
        match self.places().send(number, bytes) {
            Sent::Queued => true,
            Sent::Gone => false,
            Sent::Deaf(remote) => {
                tracing::warn!(%remote, "a phone does not read: connection closed");
                false
            }
        }
    }

    /// Messages that were promised to nobody any more.
    fn lost(&self, messages: usize) {
        let messages = u64::try_from(messages).unwrap_or(u64::MAX);
        self.shared.dropped.fetch_add(messages, Ordering::Relaxed);
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.shared.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn certificate(&self) -> Option<Arc<ServerConfig>> {
        self.shared.certificate.load_full()
    }

    fn tasks(&self) -> &TaskTracker {
        &self.shared.tasks
    }

    fn now(&self) -> Duration {
        self.shared.clock.now()
    }

    fn next_connection(&self) -> u64 {
        self.shared.next_connection.fetch_add(1, Ordering::Relaxed)
    }

    /// Our address as a peer at `remote` sees it: the socket's own, or the one the system routes by.
    #[must_use]
    pub fn local_toward(&self, remote: IpAddr) -> SocketAddr {
        let bound = self.shared.address;
        if !bound.ip().is_unspecified() {
            return bound;
        }
        let mut routes = self.shared.routes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(local) = routes.get(&remote) {
            return SocketAddr::new(*local, bound.port());
        }
        let local = routed_from(remote).unwrap_or(bound.ip());
        if routes.len() >= ROUTES_MAX {
            routes.clear();
        }
        routes.insert(remote, local);
        SocketAddr::new(local, bound.port())
    }
}

/// An IPv4 address that came over a socket of both families is an IPv4 address.
fn plain_address(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// The local address the system would send from; no packet is sent for it.
fn routed_from(remote: IpAddr) -> io::Result<IpAddr> {
    let any: IpAddr =
        if remote.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = StdUdpSocket::bind(SocketAddr::new(any, 0))?;
    socket.connect(SocketAddr::new(remote, 9))?;
    Ok(socket.local_addr()?.ip())
}

/// A message as the engine takes it: a request bears where it really came from (RFC 3581).
pub fn arrived(flow: Flow, message: Message) -> CallInput {
    let message = if message.is_request() { message.stamped(flow.remote) } else { message };
    CallInput::Phone { flow, message }
}
