//! The node's end: it dials its cluster server, for the link when the machine says so, and for SIP as long as
//! the link's connection stands.

use super::connection::{Connections, Pipe, pump, tune};
use super::{LinkHandle, tls};
use crate::identity::Identity;
use crate::member::LinkInput;
use crate::role::Membership;
use crate::shell::engine::EngineHandle;
use crate::shell::members::Members;
use cluster::Conn;
use model::{ClusterId, MemberNumber};
use rustls::pki_types::ServerName;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;

/// How long an attempt at the SIP connection may take.
const ATTEMPT_MAX: Duration = Duration::from_millis(2_500);
/// How soon after a failed attempt at the SIP connection comes the next.
const RETRY: Duration = Duration::from_millis(250);

/// How a node reaches its cluster server; clones share it.
#[derive(Clone)]
pub struct Dialler {
    shared: Arc<Shared>,
}

struct Shared {
    address: String,
    name: ServerName<'static>,
    link: TlsConnector,
    sip: TlsConnector,
    /// The connection of the link that stands, if one does.
    standing: watch::Sender<Option<Conn>>,
    last_fault: Mutex<Option<String>>,
}

impl Dialler {
    /// A dialler of `address` (`host:port`), which must be the server of that cluster.
    ///
    /// # Errors
    /// When this machine's certificates cannot be used.
    pub fn new(
        address: &str,
        cluster: &ClusterId,
        identity: &Identity,
        membership: &Membership,
    ) -> Result<Dialler, tls::TlsError> {
        let connector = |protocol| -> Result<TlsConnector, tls::TlsError> {
            Ok(TlsConnector::from(Arc::new(tls::client(identity, membership, protocol)?)))
        };
        let shared = Shared {
            address: address.to_owned(),
            name: tls::server_name(cluster)?,
            link: connector(tls::ALPN_LINK)?,
            sip: connector(tls::ALPN_SIP)?,
            standing: watch::Sender::new(None),
            last_fault: Mutex::default(),
        };
        Ok(Dialler { shared: Arc::new(shared) })
    }

    /// Where it dials.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.shared.address
    }

    /// Why the last attempt failed, until one succeeds.
    #[must_use]
    pub fn last_fault(&self) -> Option<String> {
        self.shared.last_fault.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Begins an attempt at the link; its outcome comes as `Connected` or `Closed`.
    pub(super) fn dial(
        &self,
        conn: Conn,
        connections: &Connections,
        link: &LinkHandle,
        io: &tokio::runtime::Handle,
    ) {
        let pipe = connections.begin(conn);
        let (dialler, link) = (self.clone(), link.clone());
        io.spawn(async move { dialler.attempt(pipe, &link).await });
    }

    /// The link's connection is given up: so is everything beside it.
    pub(super) fn link_lost(&self) {
        self.shared.standing.send_replace(None);
    }

    async fn attempt(&self, pipe: Pipe, link: &LinkHandle) {
        let conn = pipe.conn;
        let connected = tokio::select! {
            () = pipe.abort.cancelled() => return link.tell(LinkInput::Closed(conn)),
            connected = self.connect(&self.shared.link) => connected,
        };
        let stream = match connected {
            Ok(stream) => stream,
            Err(fault) => {
                self.note(Some(tls::explain(&fault)));
                return link.tell(LinkInput::Closed(conn));
            }
        };
        let Some(peer) = tls::peer(stream.get_ref().1.peer_certificates()) else {
            self.note(Some("the other end's certificate names no member of a cluster".to_owned()));
            return link.tell(LinkInput::Closed(conn));
        };
        self.note(None);
        link.tell(LinkInput::Connected(conn, peer));
        self.shared.standing.send_replace(Some(conn));
        pump(stream, pipe, link).await;
        self.shared.standing.send_if_modified(|standing| {
            let ours = *standing == Some(conn);
            if ours {
                *standing = None;
            }
            ours
        });
    }

    async fn connect(&self, connector: &TlsConnector) -> io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(&self.shared.address).await?;
        tune(&stream)?;
        connector.connect(self.shared.name.clone(), stream).await
    }

    /// An outage is told once, not each second.
    fn note(&self, fault: Option<String>) {
        let mut last = self.shared.last_fault.lock().unwrap_or_else(PoisonError::into_inner);
        if let (None, Some(fault)) = (&*last, &fault) {
            tracing::warn!(address = %self.shared.address, %fault, "the cluster server cannot be reached");
        }
        *last = fault;
    }

    /// Keeps a SIP connection to the cluster server for as long as a link stands, until `stop`.
    pub async fn keep_sip(self, members: Members, engine: EngineHandle, stop: CancellationToken) {
        let mut standing = self.shared.standing.subscribe();
        loop {
            let Some(conn) = *standing.borrow_and_update() else {
                tokio::select! {
                    () = stop.cancelled() => return,
                    changed = standing.changed() => if changed.is_err() { return } else { continue },
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = gone(&mut standing, conn) => {}
                () = self.sip_once(&members, &engine, &stop) => {}
            }
        }
    }

    async fn sip_once(&self, members: &Members, engine: &EngineHandle, stop: &CancellationToken) {
        match tokio::time::timeout(ATTEMPT_MAX, self.connect(&self.shared.sip)).await {
            Ok(Ok(stream)) => members.carry(MemberNumber::CLUSTER_SERVER, stream, engine, stop).await,
            Ok(Err(fault)) => tracing::debug!(fault = %tls::explain(&fault), "SIP to the cluster server"),
            Err(_) => tracing::debug!("SIP to the cluster server: no connection in time"),
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// Waits until that connection of the link stands no more.
async fn gone(standing: &mut watch::Receiver<Option<Conn>>, conn: Conn) {
    let _ended = standing.wait_for(|now| *now != Some(conn)).await;
}
