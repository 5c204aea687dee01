//! A SIP peer that says exactly the bytes it is given: for what no well-behaved phone would ever send.

use super::star::inside_namespace;
use anyhow::{Context, bail};
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

/// A UDP socket somewhere in the star.
pub struct RawPeer {
    socket: UdpSocket,
    server: SocketAddr,
}

impl RawPeer {
    /// Opens a socket at `local` in `namespace` that speaks to `server`.
    ///
    /// # Errors
    /// When the namespace or the address is not there.
    pub fn open(namespace: &str, local: SocketAddr, server: SocketAddr) -> anyhow::Result<RawPeer> {
        let socket = inside_namespace(namespace, || Ok(UdpSocket::bind(local)?))?;
        socket.set_read_timeout(Some(Duration::from_secs(3)))?;
        Ok(RawPeer { socket, server })
    }

    /// Where it is.
    ///
    /// # Errors
    /// When the socket is gone.
    pub fn address(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.socket.local_addr()?)
    }

    /// Sends a message; lines may end in `\n`, they are made CRLF.
    ///
    /// # Errors
    /// When it cannot be sent.
    pub fn send(&self, message: &str) -> anyhow::Result<()> {
        let wire = message.replace("\r\n", "\n").replace('\n', "\r\n");
        self.socket.send_to(wire.as_bytes(), self.server)?;
        Ok(())
    }

    /// The next message from the server.
    ///
    /// # Errors
    /// When none comes within 3 s.
    pub fn receive(&self) -> anyhow::Result<String> {
        let mut buffer = vec![0u8; 65_536];
        let (count, _) = self.socket.recv_from(&mut buffer).context("no answer within 3 s")?;
        Ok(String::from_utf8_lossy(buffer.get(..count).unwrap_or_default()).into_owned())
    }

    /// Sends a request and returns its first final response; what belongs to another transaction is passed over.
    ///
    /// # Errors
    /// When none comes.
    pub fn ask(&self, message: &str) -> anyhow::Result<String> {
        self.send(message)?;
        for _ in 0..20 {
            let answer = self.receive()?;
            let is_final = status(&answer).is_some_and(|status| status >= 200);
            if is_final && header(&answer, "CSeq") == header(message, "CSeq") {
                return Ok(answer);
            }
        }
        bail!("twenty messages and no final response among them")
    }
}

/// The status of a response text.
#[must_use]
pub fn status(response: &str) -> Option<u16> {
    response.strip_prefix("SIP/2.0 ")?.get(..3)?.parse().ok()
}

/// The first value of a header, by its full name.
#[must_use]
pub fn header<'a>(message: &'a str, name: &str) -> Option<&'a str> {
    message.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.trim().eq_ignore_ascii_case(name).then(|| value.trim())
    })
}
