//! The four sockets of a stream: RTP and RTCP towards each of its ends.

use media::relay::{Channel, Side, Spec};
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// Expedited forwarding (RFC 3246): what networks give telephone calls.
const DSCP_EF: u32 = 46 << 2;
/// Sockets of a stream.
pub(super) const SOCKETS: usize = 4;

/// What each of the sockets is, by its number.
pub(super) const PLACES: [(Side, Channel); SOCKETS] = [
    (Side::Caller, Channel::Rtp),
    (Side::Called, Channel::Rtp),
    (Side::Caller, Channel::Rtcp),
    (Side::Called, Channel::Rtcp),
];

/// The socket at the other end of the stream.
pub(super) fn opposite(number: usize) -> usize {
    number ^ 1
}

/// Opens all of them, or none.
pub(super) fn open(spec: &Spec) -> io::Result<Vec<UdpSocket>> {
    PLACES.into_iter().map(|(side, channel)| open_one(spec.end(side).local, channel)).collect()
}

fn open_one(rtp: SocketAddr, channel: Channel) -> io::Result<UdpSocket> {
    let port = match channel {
        Channel::Rtp => rtp.port(),
        Channel::Rtcp => rtp.port().checked_add(1).ok_or(io::ErrorKind::InvalidInput)?,
    };
    let socket = Socket::new(Domain::for_address(rtp), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    match rtp {
        SocketAddr::V4(_) => drop(socket.set_tos_v4(DSCP_EF)),
        SocketAddr::V6(_) => drop(socket.set_tclass_v6(DSCP_EF)),
    }
    let bound = socket.bind(&SocketAddr::new(rtp.ip(), port).into());
    match bound {
        // The address told to phones belongs to a NAT in front of us.
        Err(fault) if fault.kind() == io::ErrorKind::AddrNotAvailable => {
            socket.bind(&SocketAddr::new(any(rtp.ip()), port).into())?;
        }
        bound => bound?,
    }
    Ok(socket.into())
}

fn any(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    }
}
