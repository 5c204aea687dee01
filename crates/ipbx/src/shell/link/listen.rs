//! The cluster server's end: one port for links and SIP of members, told apart by ALPN once both ends have
//! proven themselves.

use super::connection::{Connections, pump, tune};
use super::{LinkHandle, tls};
use crate::member::LinkInput;
use crate::shell::engine::EngineHandle;
use crate::shell::members::Members;
use crate::shell::phones::ListenError;
use cluster::{Conn, Peer};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

/// How long a handshake may take.
const HANDSHAKE_MAX: Duration = Duration::from_secs(5);
/// Connections at a time: two of each of 230 nodes, and as many again that are being replaced.
const CONNECTIONS_MAX: usize = 1_024;

/// The accepting end.
pub struct Acceptor {
    /// What proves us.
    pub tls: TlsAcceptor,
    /// The cluster whose members are let in.
    pub cluster: model::ClusterId,
    /// Where link connections go.
    pub connections: Connections,
    /// Who judges them.
    pub link: LinkHandle,
    /// Where SIP connections go.
    pub members: Members,
    /// Who takes their messages.
    pub engine: EngineHandle,
    /// The end of it all.
    pub stop: CancellationToken,
}

/// Opens the port.
///
/// # Errors
/// See [`ListenError`].
pub async fn open(bind: SocketAddr) -> Result<TcpListener, ListenError> {
    TcpListener::bind(bind).await.map_err(|source| ListenError::of(bind, "link_port", source))
}

/// Accepts members until the stop.
pub async fn accept(listener: TcpListener, acceptor: Arc<Acceptor>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let numbers = AtomicU64::new(1);
    loop {
        let accepted = tokio::select! {
            () = acceptor.stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let (stream, remote) = match accepted {
            Ok(accepted) => accepted,
            Err(fault) => {
                tracing::warn!(%fault, "accepting a member's connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
        let conn = Conn(numbers.fetch_add(1, Ordering::Relaxed));
        let acceptor = Arc::clone(&acceptor);
        tokio::spawn(async move {
            serve(stream, remote, conn, &acceptor).await;
            drop(place);
        });
    }
}

async fn serve(stream: TcpStream, remote: SocketAddr, conn: Conn, acceptor: &Acceptor) {
    if let Err(fault) = tune(&stream) {
        tracing::debug!(%remote, %fault, "a member's connection keeps the system's timing");
    }
    let handshake = tokio::time::timeout(HANDSHAKE_MAX, acceptor.tls.accept(stream));
    let stream = tokio::select! {
        () = acceptor.stop.cancelled() => return,
        shaken = handshake => match shaken {
            Ok(Ok(stream)) => stream,
            // Whoever only looks whether the port is open says nothing.
            Ok(Err(fault)) if fault.kind() == std::io::ErrorKind::UnexpectedEof => return,
            Ok(Err(fault)) => {
                tracing::warn!(%remote, fault = %tls::explain(&fault), "a connection to the link port is no member's");
                return;
            }
            Err(_) => return,
        },
    };
    let Some(peer) = tls::peer(stream.get_ref().1.peer_certificates()) else {
        tracing::warn!(%remote, "a certificate of our authority names no member");
        return;
    };
    dispatch(stream, peer, conn, acceptor).await;
}

async fn dispatch(stream: TlsStream<TcpStream>, peer: Peer, conn: Conn, acceptor: &Acceptor) {
    let protocol = stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
    match protocol.as_deref() {
        Some(tls::ALPN_LINK) => {
            let pipe = acceptor.connections.begin(conn);
            acceptor.link.tell(LinkInput::Connected(conn, peer));
            tokio::select! {
                () = acceptor.stop.cancelled() => {}
                () = pump(stream, pipe, &acceptor.link) => {}
            }
        }
        Some(tls::ALPN_SIP) if peer.cluster == acceptor.cluster && !peer.member.is_cluster_server() => {
            acceptor.members.carry(peer.member, stream, &acceptor.engine, &acceptor.stop).await;
        }
        _ => {
            tracing::warn!(member = %peer.member, cluster = %peer.cluster, "a member speaks no protocol of ours")
        }
    }
}
