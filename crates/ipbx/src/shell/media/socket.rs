//! The doors of a stream: RTP and RTCP towards each of its ends.
//!
//! A door is a port. Behind it is a socket that takes from anybody, and, once the phone has been heard and believed, a
//! second one that is connected to the phone: the kernel sorts the packets. So a flood of strangers fills another queue
//! than the phone's, and the way to the phone is looked up once instead of for each packet (12 % of the relay's time).

use media::relay::{Channel, Side, Spec};
use rustix::net::{RecvFlags, SendFlags};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// Expedited forwarding (RFC 3246): what networks give telephone calls.
const DSCP_EF: u32 = 46 << 2;
/// Doors of a stream.
const DOORS: usize = 4;

/// What each of the doors is, by its number.
const PLACES: [(Side, Channel); DOORS] = [
    (Side::Caller, Channel::Rtp),
    (Side::Called, Channel::Rtp),
    (Side::Caller, Channel::Rtcp),
    (Side::Called, Channel::Rtcp),
];

/// Which of a door's two sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// From anybody.
    Open,
    /// From the phone alone.
    Direct,
}

/// What `epoll` says of a socket: its stream's place, its door and its way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Token {
    pub(super) place: usize,
    pub(super) door: usize,
    pub(super) way: Way,
}

impl Token {
    pub(super) fn packed(self) -> u64 {
        let way = usize::from(self.way == Way::Direct);
        u64::try_from((self.place * DOORS + self.door) * 2 + way).unwrap_or(u64::MAX)
    }

    pub(super) fn of(packed: u64) -> Option<Token> {
        let packed = usize::try_from(packed).ok()?;
        let way = if packed % 2 == 1 { Way::Direct } else { Way::Open };
        Some(Token { place: packed / 2 / DOORS, door: packed / 2 % DOORS, way })
    }
}

/// The doors of one stream.
pub(super) struct Doors([Door; DOORS]);

impl Doors {
    /// Opens all of them, or none.
    pub(super) fn open(spec: &Spec) -> io::Result<Doors> {
        let [a, b, c, d] = PLACES.map(|(side, channel)| Door::open(spec.end(side).local, channel));
        Ok(Doors([a?, b?, c?, d?]))
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (usize, &UdpSocket)> {
        self.0.iter().map(|door| &door.open).enumerate()
    }

    /// The door of that number, what it is, and the one at the other end of the stream.
    pub(super) fn pair(&mut self, number: usize) -> Option<((Side, Channel), &mut Door, &Door)> {
        let [a, b, c, d] = &mut self.0;
        let (door, opposite) = match number {
            0 => (a, b),
            1 => (b, a),
            2 => (c, d),
            3 => (d, c),
            _ => return None,
        };
        Some((*PLACES.get(number)?, door, opposite))
    }
}

/// See the module.
pub(super) struct Door {
    open: UdpSocket,
    direct: Direct,
}

enum Direct {
    /// The phone has not been heard.
    NotYet,
    To(SocketAddr, UdpSocket),
    /// The system has no socket left: the open one does for both.
    Never,
}

impl Door {
    fn open(rtp: SocketAddr, channel: Channel) -> io::Result<Door> {
        let port = match channel {
            Channel::Rtp => rtp.port(),
            Channel::Rtcp => rtp.port().checked_add(1).ok_or(io::ErrorKind::InvalidInput)?,
        };
        let socket = unbound(rtp)?;
        match socket.bind(&SocketAddr::new(rtp.ip(), port).into()) {
            // The address told to phones belongs to a NAT in front of us.
            Err(fault) if fault.kind() == io::ErrorKind::AddrNotAvailable => {
                socket.bind(&SocketAddr::new(any(rtp.ip()), port).into())?;
            }
            bound => bound?,
        }
        Ok(Door { open: socket.into(), direct: Direct::NotYet })
    }

    /// One packet, with its source: a packet may have come to the direct socket before that was connected.
    pub(super) fn hear(&self, way: Way, buffer: &mut [u8]) -> Option<(usize, SocketAddr)> {
        let socket = match (way, &self.direct) {
            (Way::Open, _) => &self.open,
            (Way::Direct, Direct::To(_, socket)) => socket,
            (Way::Direct, _) => return None,
        };
        // An error here is an ICMP refusal of what was sent before: the phone does not listen yet, or any more.
        let (length, _, from) = rustix::net::recvfrom(socket, buffer, RecvFlags::DONTWAIT).ok()?;
        Some((length, SocketAddr::try_from(from?).ok()?))
    }

    /// A packet that cannot be sent is lost, as packets are.
    pub(super) fn say(&self, packet: &[u8], to: SocketAddr) {
        let _lost = match &self.direct {
            Direct::To(phone, socket) if *phone == to => {
                rustix::net::send(socket, packet, SendFlags::DONTWAIT)
            }
            _ => rustix::net::sendto(&self.open, packet, SendFlags::DONTWAIT, &to),
        };
    }

    /// The phone at `phone` has been believed at the open socket: from now on it has one of its own. `wait` is told of it.
    pub(super) fn connect(&mut self, phone: SocketAddr, wait: impl FnOnce(&UdpSocket) -> io::Result<()>) {
        match &self.direct {
            Direct::Never => return,
            // It was in the open queue before it had its own.
            Direct::To(connected, _) if *connected == phone => return,
            Direct::NotYet | Direct::To(..) => {}
        }
        let made = self.connected(phone).and_then(|socket| wait(&socket).map(|()| socket));
        self.direct = match made {
            Ok(socket) => Direct::To(phone, socket),
            Err(fault) => {
                tracing::warn!(%fault, "the media of a phone share their socket with strangers");
                Direct::Never
            }
        };
    }

    /// A second socket at the same port. The port may be shared for the moment of binding only, so that nobody else
    /// ever gets it.
    fn connected(&self, phone: SocketAddr) -> io::Result<UdpSocket> {
        let local = self.open.local_addr()?;
        let socket = unbound(local)?;
        let open = SockRef::from(&self.open);
        open.set_reuse_address(true)?;
        socket.set_reuse_address(true)?;
        let bound = socket.bind(&local.into());
        open.set_reuse_address(false)?;
        socket.set_reuse_address(false)?;
        bound?;
        socket.connect(&phone.into())?;
        Ok(socket.into())
    }
}

/// A socket that packets leave with priority.
fn unbound(near: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(near), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    match near {
        SocketAddr::V4(_) => drop(socket.set_tos_v4(DSCP_EF)),
        SocketAddr::V6(_) => drop(socket.set_tclass_v6(DSCP_EF)),
    }
    Ok(socket)
}

fn any(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    }
}
