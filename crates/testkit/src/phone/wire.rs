//! The phone's one socket for SIP: datagrams, or a connection that is made again when it breaks.

use super::tls;
use sip::{Flow, Frame, Framer, Message, Transport};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

/// How long a connection may take to come up.
const CONNECTED_WITHIN: Duration = Duration::from_secs(4);
/// How long between two tries to connect.
const RECONNECT: Duration = Duration::from_millis(500);

/// Where the registrar is, and how it is spoken to.
#[derive(Clone)]
pub(super) struct Way {
    pub(super) transport: Transport,
    pub(super) registrar: SocketAddr,
    /// Over TLS: who is believed.
    pub(super) trust: Option<Arc<tls::Trust>>,
}

/// The bytes of a connection, in the clear or not.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

pub(super) enum Wire {
    Udp {
        socket: UdpSocket,
        flow: Flow,
    },
    Stream {
        stream: Box<dyn Stream>,
        framer: Framer,
        flow: Flow,
        way: Way,
    },
    /// The connection broke.
    Down {
        way: Way,
        connection: u64,
    },
}

/// What came in.
pub(super) enum Arrival {
    Messages(Vec<Message>),
    /// A new connection stands.
    Connected(Flow),
    /// The connection broke; the next arrival is a new one.
    Lost,
    /// Nobody is there: a datagram came back, or no connection came up.
    Unreachable,
}

impl Wire {
    pub(super) async fn open(way: Way) -> io::Result<Wire> {
        if way.transport.is_reliable() {
            let connect = tokio::time::timeout(CONNECTED_WITHIN, Wire::connect(way, 1));
            return connect.await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        }
        let registrar = way.registrar;
        let any: SocketAddr = if registrar.is_ipv4() { ([0; 4], 0).into() } else { ([0u16; 8], 0).into() };
        let socket = UdpSocket::bind(any).await?;
        // Connected: the system picks our address, and strangers are not heard.
        socket.connect(registrar).await?;
        let flow =
            Flow { transport: Transport::Udp, local: socket.local_addr()?, remote: registrar, connection: 0 };
        Ok(Wire::Udp { socket, flow })
    }

    async fn connect(way: Way, connection: u64) -> io::Result<Wire> {
        let stream = TcpStream::connect(way.registrar).await?;
        stream.set_nodelay(true)?;
        let (transport, local, remote) = (way.transport, stream.local_addr()?, way.registrar);
        let flow = Flow { transport, local, remote, connection };
        let stream: Box<dyn Stream> = match &way.trust {
            Some(trust) => Box::new(trust.connect(stream).await?),
            None => Box::new(stream),
        };
        Ok(Wire::Stream { stream, framer: Framer::new(), flow, way })
    }

    pub(super) fn flow(&self) -> Option<Flow> {
        match self {
            Wire::Udp { flow, .. } | Wire::Stream { flow, .. } => Some(*flow),
            Wire::Down { .. } => None,
        }
    }

    /// Waits for what comes next. Safe to drop while it waits.
    pub(super) async fn receive(&mut self) -> Arrival {
        match self {
            Wire::Udp { socket, .. } => receive_datagram(socket).await,
            Wire::Stream { stream, framer, flow, way } => match read_stream(stream, framer).await {
                Some(messages) => Arrival::Messages(messages),
                None => {
                    *self = Wire::Down { way: way.clone(), connection: flow.connection + 1 };
                    Arrival::Lost
                }
            },
            Wire::Down { way, connection } => {
                let (way, connection) = (way.clone(), *connection);
                tokio::time::sleep(RECONNECT).await;
                match Wire::connect(way, connection).await {
                    Ok(wire) => *self = wire,
                    Err(_) => return Arrival::Unreachable,
                }
                self.flow().map_or(Arrival::Lost, Arrival::Connected)
            }
        }
    }

    /// Sends; what cannot be sent is lost, as on any network.
    pub(super) async fn send(&mut self, bytes: &[u8]) {
        let sent = match self {
            Wire::Udp { socket, .. } => socket.send(bytes).await.map(drop),
            Wire::Stream { stream, .. } => match stream.write_all(bytes).await {
                Ok(()) => stream.flush().await,
                Err(fault) => Err(fault),
            },
            Wire::Down { .. } => Ok(()),
        };
        if let Err(error) = sent {
            tracing::debug!(%error, "a message was not sent");
        }
    }
}

async fn receive_datagram(socket: &UdpSocket) -> Arrival {
    let mut buffer = vec![0; sip::MESSAGE_BYTES_MAX];
    match socket.recv(&mut buffer).await {
        Ok(length) => {
            let message = Message::parse(buffer.get(..length).unwrap_or_default());
            Arrival::Messages(message.into_iter().collect())
        }
        // Nobody listens there at the moment: the registrar is down. Do not spin on it.
        Err(_) => {
            tokio::time::sleep(Duration::from_millis(20)).await;
            Arrival::Unreachable
        }
    }
}

/// None when the connection is over.
async fn read_stream(stream: &mut dyn Stream, framer: &mut Framer) -> Option<Vec<Message>> {
    let mut buffer = vec![0; 16_384];
    let length = stream.read(&mut buffer).await.ok().filter(|length| *length > 0)?;
    let mut frames = Vec::new();
    framer.push(buffer.get(..length)?, &mut frames).ok()?;
    if frames.contains(&Frame::Ping) {
        stream.write_all(b"\r\n").await.ok()?;
    }
    Some(
        frames
            .into_iter()
            .filter_map(|frame| if let Frame::Message(message) = frame { Some(message) } else { None })
            .collect(),
    )
}
