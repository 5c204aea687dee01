//! Hostile peers on connections.

use super::datagrams::damaged;
use super::{Field, beside, request};
use anyhow::Context;
use socket2::{Domain, SockRef, Socket, Type};
use std::io::{self, Read as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Connections of one peer.
const CONNECTIONS: usize = 300;
/// Connections a second of a peer that comes and goes.
const CHURN: u32 = 4_000;
/// How often a slow peer says a byte, and how long others rest.
const BYTE: Duration = Duration::from_secs(1);
/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(2);
/// The beginning of a TLS handshake: a record of 512 bytes of which a few come.
const HALF_HELLO: &[u8] = &[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3, 0x22, 0x22, 0x22, 0x22];

/// A connection from an address of the peer's own. `window` is how much its system reads for it.
fn connect(field: &Field, steps: u32, to: SocketAddr, window: Option<usize>) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
    if let Some(bytes) = window {
        socket.set_recv_buffer_size(bytes)?;
    }
    socket.bind(&SocketAddr::new(beside(field.from, steps), 0).into())?;
    socket.connect_timeout(&to.into(), CONNECT)?;
    let stream = TcpStream::from(socket);
    stream.set_nonblocking(true)?;
    Ok(stream)
}

fn crowd(field: &Field, steps: u32, to: SocketAddr, window: Option<usize>) -> anyhow::Result<Vec<TcpStream>> {
    let crowd: Vec<TcpStream> = (0..CONNECTIONS)
        .take_while(|_| !field.is_over())
        .filter_map(|_| connect(field, steps, to, window).ok())
        .collect();
    anyhow::ensure!(!crowd.is_empty(), "not one connection to {to}");
    Ok(crowd)
}

/// Says what goes through at once. True unless the server has ended the connection.
fn say(mut stream: impl io::Write, bytes: &[u8]) -> bool {
    match stream.write_all(bytes) {
        Ok(()) => true,
        Err(fault) => fault.kind() == io::ErrorKind::WouldBlock,
    }
}

/// Many connections that say a byte a second of a message each.
///
/// # Errors
/// When there is no connection.
pub fn slow(field: &Field) -> anyhow::Result<u64> {
    let crowd = crowd(field, 11, field.sip, None)?;
    let text = request("REGISTER", &field.sip.to_string(), field.sip, "TCP", "slow").into_bytes();
    let mut said = 0_u64;
    for byte in text.iter().cycle() {
        if field.is_over() {
            break;
        }
        said += u64::try_from(crowd.iter().filter(|stream| say(*stream, &[*byte])).count())?;
        rest(field, BYTE);
    }
    Ok(said)
}

fn rest(field: &Field, time: Duration) {
    let begun = std::time::Instant::now();
    while !field.is_over() && begun.elapsed() < time {
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Many connections that say nothing, or stop in the middle of a message.
///
/// # Errors
/// When there is no connection.
pub fn half_open(field: &Field) -> anyhow::Result<u64> {
    let crowd = crowd(field, 12, field.sip, None)?;
    let text = request("INVITE", &field.sip.to_string(), field.sip, "TCP", "half");
    let half = text.get(..text.len() / 2).unwrap_or_default().as_bytes();
    let said = crowd.iter().step_by(2).filter(|stream| say(*stream, half)).count();
    rest(field, Duration::MAX);
    Ok(u64::try_from(said)?)
}

/// Many TLS handshakes that stop after their first bytes, and again as soon as they are ended.
///
/// # Errors
/// When there is no connection.
pub fn half_shaken(field: &Field) -> anyhow::Result<u64> {
    let mut begun = 0;
    while !field.is_over() {
        let crowd = crowd(field, 13, field.tls, None)?;
        begun += u64::try_from(crowd.iter().filter(|stream| say(*stream, HALF_HELLO)).count())?;
    }
    Ok(begun)
}

/// Connections that come and go at once.
///
/// # Errors
/// Never: those that are refused are what is asked for.
pub fn churning(field: &Field) -> anyhow::Result<u64> {
    let mut came = 0;
    field.paced(CHURN, |_| {
        if let Ok(stream) = connect(field, 14, field.sip, None) {
            came += 1;
            // Reset, and not closed: no port stays behind.
            SockRef::from(&stream).set_linger(Some(Duration::ZERO)).context("a connection without linger")?;
        }
        Ok(())
    })?;
    Ok(came)
}

/// Heads without an end, messages that say they are huge, and garbage.
///
/// # Errors
/// When there is no connection.
pub fn endless(field: &Field) -> anyhow::Result<u64> {
    let text = request("INVITE", &field.sip.to_string(), field.sip, "TCP", "endless");
    let beginnings = [
        text.replace("Content-Length: 0\r\n\r\n", "X: "),
        text.replace("Content-Length: 0", "Content-Length: 4000000000"),
        text.replace("Content-Length: 0", "Content-Length: 65000"),
    ];
    let filler = [b'x'; 4_096];
    let mut said = 0_u64;
    while !field.is_over() {
        for (number, beginning) in (0_u64..).zip(&beginnings) {
            let Ok(stream) = connect(field, 15, field.sip, None) else { continue };
            let whole = say(&stream, &damaged(beginning.as_bytes(), number * 5))
                && say(&stream, beginning.as_bytes());
            let volleys = (0..64).take_while(|_| whole && say(&stream, &filler)).count();
            said += 1 + u64::try_from(volleys)?;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(said)
}

/// Connections that ask without end as fast as they may, and read the answers: the engine's queue is always full.
///
/// # Errors
/// When there is no connection.
pub fn flooding(field: &Field) -> anyhow::Result<u64> {
    let crowd: Vec<TcpStream> = (0..8).filter_map(|_| connect(field, 16, field.sip, None).ok()).collect();
    let text = request("OPTIONS", &field.sip.to_string(), field.sip, "TCP", "flooding").repeat(20);
    let (mut answers, mut said) = ([0; 65_536], 0);
    while !field.is_over() {
        for mut stream in &crowd {
            said += u64::from(say(stream, text.as_bytes()));
            while matches!(stream.read(&mut answers), Ok(1..)) {}
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(said)
}

/// Connections that ask and never read. What became of them is for `Deaf`.
pub struct Deaf {
    plain: Vec<TcpStream>,
    shaken: Vec<rustls::StreamOwned<rustls::ClientConnection, TcpStream>>,
    text: String,
}

impl Deaf {
    /// Opens them: `plain` on TCP, `shaken` on TLS, from an address of their own.
    ///
    /// # Errors
    /// When there is no connection.
    pub fn open(field: &Field, plain: usize, shaken: usize) -> anyhow::Result<Deaf> {
        let window = Some(2_048);
        let connection = |to| connect(field, 17, to, window).context("a deaf peer cannot connect");
        let text = request("OPTIONS", &field.sip.to_string(), field.sip, "TCP", "deaf").repeat(40);
        let plain = (0..plain).map(|_| connection(field.sip)).collect::<anyhow::Result<_>>()?;
        let config = crate::phone::tls::credulous()?;
        let shake = |_| -> anyhow::Result<_> {
            let mut socket = connection(field.tls)?;
            socket.set_nonblocking(false)?;
            socket.set_read_timeout(Some(CONNECT))?;
            let mut session = rustls::ClientConnection::new(config.clone(), "localhost".try_into()?)?;
            while session.is_handshaking() {
                session.complete_io(&mut socket).context("a deaf peer's handshake")?;
            }
            socket.set_nonblocking(true)?;
            Ok(rustls::StreamOwned::new(session, socket))
        };
        let shaken = (0..shaken).map(shake).collect::<anyhow::Result<_>>()?;
        Ok(Deaf { plain, shaken, text })
    }

    /// Has all of them ask for more; says how many the server still bears. A connection it has ended refuses what is written.
    pub fn ask(&mut self) -> usize {
        let text = self.text.as_bytes();
        self.plain.retain(|stream| say(stream, text));
        self.shaken.retain_mut(|stream| say(stream, text));
        self.plain.len() + self.shaken.len()
    }
}
