//! Hostile peers on UDP from addresses of their own.

use super::{Field, beside, request};
use std::io;
use std::net::{SocketAddr, UdpSocket};

/// Datagrams a second of one flooding peer.
const FLOOD: u32 = 8_000;
/// Those of a peer that sends the largest there are.
const LARGE: u32 = 1_000;

/// What each sends is lost when the system has no room for it, as on any line.
fn send(socket: &UdpSocket, bytes: &[u8], to: SocketAddr) -> anyhow::Result<()> {
    match socket.send_to(bytes, to) {
        Err(full) if full.kind() != io::ErrorKind::WouldBlock && full.raw_os_error() != Some(105) => {
            Err(full.into())
        }
        _ => Ok(()),
    }
}

fn socket(field: &Field, steps: u32) -> anyhow::Result<UdpSocket> {
    let socket = UdpSocket::bind((beside(field.from, steps), 0))?;
    // The answers are not read: they fill the system's buffer and are dropped there.
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn flood(field: &Field, method: &str, steps: u32) -> anyhow::Result<u64> {
    let socket = socket(field, steps)?;
    let (own, me, to) = (socket.local_addr()?, field.ticket(), field.sip.to_string());
    field.paced(FLOOD, |number| {
        let name = format!("{method}-{me}-{number}");
        send(&socket, request(method, &to, own, "UDP", &name).as_bytes(), field.sip)
    })
}

/// Registrations without end, each of another kind of nobody.
///
/// # Errors
/// When there is no socket.
pub fn registers(field: &Field) -> anyhow::Result<u64> {
    flood(field, "REGISTER", 1)
}

/// Calls without end.
///
/// # Errors
/// When there is no socket.
pub fn invites(field: &Field) -> anyhow::Result<u64> {
    flood(field, "INVITE", 2)
}

/// Questions without end: they need no login.
///
/// # Errors
/// When there is no socket.
pub fn asks(field: &Field) -> anyhow::Result<u64> {
    flood(field, "OPTIONS", 3)
}

/// The same from the address of the phones, as somebody behind the same NAT does.
///
/// # Errors
/// When there is no socket.
pub fn asks_beside_the_phones(field: &Field) -> anyhow::Result<u64> {
    let beside = field.phones.first().map_or(field.from, SocketAddr::ip);
    let neighbour = Field::new(field.sip, field.tls, beside);
    let socket = UdpSocket::bind((neighbour.from, 0))?;
    socket.set_nonblocking(true)?;
    let (own, to) = (socket.local_addr()?, field.sip.to_string());
    field.paced(FLOOD, |number| {
        let name = format!("beside-{number}");
        send(&socket, request("OPTIONS", &to, own, "UDP", &name).as_bytes(), field.sip)
    })
}

/// Messages with letters changed, taken out and repeated, so that nearly none is one.
///
/// # Errors
/// When there is no socket.
pub fn malformed(field: &Field) -> anyhow::Result<u64> {
    let socket = socket(field, 4)?;
    let (own, to) = (socket.local_addr()?, field.sip.to_string());
    let text = request("INVITE", &to, own, "UDP", "malformed").into_bytes();
    field.paced(FLOOD / 2, |number| send(&socket, &damaged(&text, number), field.sip))
}

/// `text` with some of its bytes damaged, each `number` another way.
pub(super) fn damaged(text: &[u8], number: u64) -> Vec<u8> {
    let mut bytes = text.to_vec();
    // The steps of a linear congruence (Knuth's): what is damaged is the same in each run.
    let mut state = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    for _ in 0..=number % 5 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let length = u64::try_from(bytes.len().max(1)).unwrap_or(1);
        let place = usize::try_from((state >> 33) % length).unwrap_or(0);
        let letter = state.to_le_bytes()[7];
        match state >> 61 {
            0..=3 => {
                if let Some(byte) = bytes.get_mut(place) {
                    *byte = letter;
                }
            }
            4 => bytes.truncate(place),
            5 => bytes.insert(place, letter),
            6 => bytes.extend_from_within(..place),
            _ => drop(bytes.drain(place..)),
        }
    }
    bytes
}

/// The largest datagrams there are, each a message with a body nobody needs.
///
/// # Errors
/// When there is no socket.
pub fn oversize(field: &Field) -> anyhow::Result<u64> {
    let socket = socket(field, 5)?;
    let (own, to, filler) = (socket.local_addr()?, field.sip.to_string(), "x".repeat(64_000));
    field.paced(LARGE, |number| {
        let head = request("INVITE", &to, own, "UDP", &format!("large-{number}"));
        let head = head.replace("Content-Length: 0", &format!("X: {filler}\r\nContent-Length: 0"));
        send(&socket, head.as_bytes(), field.sip)
    })
}
