//! Serves a router over HTTPS: HTTP/1.1 on TLS 1.3 or 1.2, with every resource limited.
//!
//! When [`Limits::connections`] are up, further ones wait in the listen queue; a source that has
//! [`Limits::connections_per_source`] is closed at once, so one browser cannot shut out the others. A
//! connection that is slow in its handshake, its headers or its body is closed. At the stop, requests in
//! work are finished for [`Limits::drain`], then everything is closed.

use crate::cert::Certificate;
use axum::Router;
use axum::body::Body;
use axum::http::Request;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

/// What one server gives to all and to each.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at a time.
    pub connections: usize,
    /// Connections of one address at a time.
    pub connections_per_source: usize,
    /// For the TLS handshake.
    pub handshake: Duration,
    /// For the headers of a request, and for an idle kept connection.
    pub header: Duration,
    /// For what is in work when the server stops.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections: 1024,
            connections_per_source: 256,
            handshake: Duration::from_secs(5),
            header: Duration::from_secs(60),
            drain: Duration::from_secs(3),
        }
    }
}

/// Why it does not serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Another process listens there.
    #[error("{address} is already in use by another process")]
    AddressInUse {
        /// Where.
        address: SocketAddr,
    },
    /// The system refuses to listen there.
    #[error("cannot listen on {address}")]
    Bind {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The TLS settings are impossible.
    #[error("TLS cannot be set up")]
    Tls(#[from] rustls::Error),
}

/// The address at the far end of the connection a request came on; an extension of every request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source(pub SocketAddr);

/// A server at work.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Server {
    /// Where it listens; the port is the real one even when 0 was asked for.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until it has stopped and drained.
    pub async fn stopped(self) {
        if let Err(fault) = self.task.await {
            tracing::error!(%fault, "the web server ended badly");
        }
    }
}

/// Listens on `bind` and serves until `stop`.
///
/// # Errors
/// See [`ServeError`].
pub async fn serve(
    bind: SocketAddr,
    router: Router,
    certificate: Certificate,
    limits: Limits,
    stop: CancellationToken,
) -> Result<Server, ServeError> {
    serve_on(listen(bind).await?, router, certificate, limits, stop)
}

/// Takes the port, for a server whose routes must know it before it serves.
///
/// # Errors
/// See [`ServeError`].
pub async fn listen(bind: SocketAddr) -> Result<TcpListener, ServeError> {
    TcpListener::bind(bind).await.map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => ServeError::AddressInUse { address: bind },
        _ => ServeError::Bind { address: bind, source },
    })
}

/// Serves on a port taken before, until `stop`.
///
/// # Errors
/// See [`ServeError`].
pub fn serve_on(
    listener: TcpListener,
    router: Router,
    certificate: Certificate,
    limits: Limits,
    stop: CancellationToken,
) -> Result<Server, ServeError> {
    let acceptor = TlsAcceptor::from(Arc::new(tls(certificate)?));
    let unbound = SocketAddr::from(([0, 0, 0, 0], 0));
    let address = listener.local_addr().map_err(|source| ServeError::Bind { address: unbound, source })?;
    let front = Front { acceptor, router, limits, stop, sources: Sources::default() };
    Ok(Server { address, task: tokio::spawn(accept(listener, front)) })
}

fn tls(certificate: Certificate) -> Result<rustls::ServerConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(certificate));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// What each connection needs.
#[derive(Clone)]
struct Front {
    acceptor: TlsAcceptor,
    router: Router,
    limits: Limits,
    stop: CancellationToken,
    sources: Sources,
}

async fn accept(listener: TcpListener, front: Front) {
    let places = Arc::new(Semaphore::new(front.limits.connections));
    let tracker = TaskTracker::new();
    while let Some((stream, source, place)) = next(&listener, &places, &front.stop).await {
        let Some(seat) = front.sources.sit(source.ip(), front.limits.connections_per_source) else {
            continue;
        };
        let front = front.clone();
        tracker.spawn(async move {
            connection(stream, source, &front).await;
            drop((seat, place));
        });
    }
    drop(listener);
    tracker.close();
    if tokio::time::timeout(front.limits.drain, tracker.wait()).await.is_err() {
        tracing::debug!(left = tracker.len(), "web connections cut at the end of the drain");
    }
}

/// The next connection, or none when the server stops. A failed accept (out of descriptors) is waited out.
async fn next(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
    stop: &CancellationToken,
) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    loop {
        let work = async {
            let place = places.clone().acquire_owned().await.ok()?;
            Some((listener.accept().await, place))
        };
        let (accepted, place) = tokio::select! {
            () = stop.cancelled() => return None,
            work = work => work?,
        };
        match accepted {
            Ok((stream, source)) => return Some((stream, source, place)),
            Err(fault) => {
                tracing::warn!(%fault, "cannot accept a web connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, source: SocketAddr, front: &Front) {
    if let Err(fault) = stream.set_nodelay(true) {
        tracing::debug!(%fault, %source, "no TCP_NODELAY");
    }
    let handshake = tokio::time::timeout(front.limits.handshake, front.acceptor.accept(stream));
    let stream = match handshake.await {
        Ok(Ok(stream)) => stream,
        Ok(Err(fault)) => return tracing::debug!(%fault, %source, "no TLS handshake"),
        Err(_) => return tracing::debug!(%source, "TLS handshake too slow"),
    };
    let router = front.router.clone().map_request(move |mut request: Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(Source(source));
        request.map(Body::new)
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(front.limits.header)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut served = std::pin::pin!(served);
    let mut stopping = false;
    loop {
        tokio::select! {
            result = served.as_mut() => {
                if let Err(fault) = result {
                    tracing::trace!(%fault, %source, "web connection ended");
                }
                return;
            }
            () = front.stop.cancelled(), if !stopping => {
                stopping = true;
                served.as_mut().graceful_shutdown();
            }
            () = tokio::time::sleep(front.limits.drain), if stopping => return,
        }
    }
}

/// How many connections each address has.
#[derive(Debug, Clone, Default)]
struct Sources(Arc<Mutex<BTreeMap<IpAddr, usize>>>);

/// One connection's place in [`Sources`], given back when dropped.
struct Seat {
    sources: Sources,
    source: IpAddr,
}

impl Sources {
    fn sit(&self, source: IpAddr, limit: usize) -> Option<Seat> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(source).or_insert(0);
        if *count >= limit {
            return None;
        }
        *count += 1;
        Some(Seat { sources: self.clone(), source })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut counts = self.sources.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.source) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.source);
            }
        }
    }
}
