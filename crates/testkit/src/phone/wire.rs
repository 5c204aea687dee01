//! The phone's one socket for SIP: datagrams, or a connection that is made again when it breaks.

use sip::{Flow, Frame, Framer, Message, Transport};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

/// How long between two tries to connect.
const RECONNECT: Duration = Duration::from_millis(500);

pub(super) enum Wire {
    Udp {
        socket: UdpSocket,
        flow: Flow,
    },
    Tcp {
        stream: TcpStream,
        framer: Framer,
        flow: Flow,
    },
    /// The connection broke.
    Down {
        registrar: SocketAddr,
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
}

impl Wire {
    pub(super) async fn open(transport: Transport, registrar: SocketAddr) -> io::Result<Wire> {
        if transport.is_reliable() {
            return Wire::connect(registrar, 1).await;
        }
        let any: SocketAddr = if registrar.is_ipv4() { ([0; 4], 0).into() } else { ([0u16; 8], 0).into() };
        let socket = UdpSocket::bind(any).await?;
        // Connected: the system picks our address, and strangers are not heard.
        socket.connect(registrar).await?;
        let flow =
            Flow { transport: Transport::Udp, local: socket.local_addr()?, remote: registrar, connection: 0 };
        Ok(Wire::Udp { socket, flow })
    }

    async fn connect(registrar: SocketAddr, connection: u64) -> io::Result<Wire> {
        let stream = TcpStream::connect(registrar).await?;
        stream.set_nodelay(true)?;
        let flow =
            Flow { transport: Transport::Tcp, local: stream.local_addr()?, remote: registrar, connection };
        Ok(Wire::Tcp { stream, framer: Framer::new(), flow })
    }

    pub(super) fn flow(&self) -> Option<Flow> {
        match self {
            Wire::Udp { flow, .. } | Wire::Tcp { flow, .. } => Some(*flow),
            Wire::Down { .. } => None,
        }
    }

    /// Waits for what comes next. Safe to drop while it waits.
    pub(super) async fn receive(&mut self) -> Arrival {
        match self {
            Wire::Udp { socket, .. } => Arrival::Messages(receive_datagram(socket).await),
            Wire::Tcp { stream, framer, flow } => match read_stream(stream, framer).await {
                Some(messages) => Arrival::Messages(messages),
                None => {
                    *self = Wire::Down { registrar: flow.remote, connection: flow.connection + 1 };
                    Arrival::Lost
                }
            },
            Wire::Down { registrar, connection } => {
                let (registrar, connection) = (*registrar, *connection);
                tokio::time::sleep(RECONNECT).await;
                match Wire::connect(registrar, connection).await {
                    Ok(wire) => *self = wire,
                    Err(_) => return Arrival::Messages(Vec::new()),
                }
                self.flow().map_or(Arrival::Lost, Arrival::Connected)
            }
        }
    }

    /// Sends; what cannot be sent is lost, as on any network.
    pub(super) async fn send(&mut self, bytes: &[u8]) {
        let sent = match self {
            Wire::Udp { socket, .. } => socket.send(bytes).await.map(drop),
            Wire::Tcp { stream, .. } => stream.write_all(bytes).await,
            Wire::Down { .. } => Ok(()),
        };
        if let Err(error) = sent {
            tracing::debug!(%error, "a message was not sent");
        }
    }
}

async fn receive_datagram(socket: &UdpSocket) -> Vec<Message> {
    let mut buffer = vec![0; sip::MESSAGE_BYTES_MAX];
    match socket.recv(&mut buffer).await {
        Ok(length) => Message::parse(buffer.get(..length).unwrap_or_default()).into_iter().collect(),
        // Nobody listens there at the moment: the registrar is down. Do not spin on it.
        Err(_) => {
            tokio::time::sleep(Duration::from_millis(20)).await;
            Vec::new()
        }
    }
}

/// None when the connection is over.
async fn read_stream(stream: &mut TcpStream, framer: &mut Framer) -> Option<Vec<Message>> {
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
