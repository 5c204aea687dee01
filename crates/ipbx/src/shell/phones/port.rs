//! A UDP socket for phones' datagrams (RFC 3261 § 18.1), read and written by the batch: one system call for up to
//! [`BATCH`] of them. Each engine thread reads one of its own; the system spreads sources among them.

use super::plain_address;
use nix::errno::Errno;
use nix::sys::socket::sockopt::{RcvBufForce, SndBufForce};
use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg, sendmmsg, setsockopt};
use socket2::{Socket, Type};
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd};

/// Datagrams of one system call.
pub const BATCH: usize = 64;
/// The largest datagram there is.
const DATAGRAM_BYTES_MAX: usize = 65_535;
/// Bytes the system is asked to hold for us each way: a burst of some thousand datagrams.
const BUFFER_BYTES: usize = 4 * 1024 * 1024;

/// One socket.
#[derive(Debug)]
pub struct Port {
    socket: UdpSocket,
    address: SocketAddr,
}

/// Where datagrams are read into. Memory that no datagram has reached yet is not real.
pub struct Arrivals {
    buffers: Vec<Vec<u8>>,
    headers: MultiHeaders<SockaddrStorage>,
    came: Vec<(usize, SocketAddr)>,
}

impl Arrivals {
    /// Room for a batch.
    #[must_use]
    pub fn new() -> Arrivals {
        Arrivals {
            buffers: vec![vec![0; DATAGRAM_BYTES_MAX]; BATCH],
            headers: MultiHeaders::preallocate(BATCH, None),
            came: Vec::with_capacity(BATCH),
        }
    }

    /// What came with the last batch, and from where.
    pub fn iter(&self) -> impl Iterator<Item = (SocketAddr, &[u8])> {
        self.buffers
            .iter()
            .zip(&self.came)
            .map(|(buffer, (length, from))| (*from, buffer.get(..*length).unwrap_or_default()))
    }
}

impl Default for Arrivals {
    fn default() -> Arrivals {
        Arrivals::new()
    }
}

impl Port {
    /// Opens a socket; `shared` when others of ours listen on the same port.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(address: SocketAddr, shared: bool) -> io::Result<Port> {
        let socket: Socket = super::socket_for(address, Type::DGRAM)?;
        grow(&socket);
        if shared {
            socket.set_reuse_port(true)?;
        }
        socket.bind(&address.into())?;
        let socket = UdpSocket::from(socket);
        let address = socket.local_addr()?;
        Ok(Port { socket, address })
    }

    /// Reads what has come, up to a batch, and says how many. It never waits.
    pub fn receive(&self, arrivals: &mut Arrivals) -> usize {
        let Arrivals { buffers, headers, came } = arrivals;
        came.clear();
        let mut slices: Vec<[IoSliceMut<'_>; 1]> =
            buffers.iter_mut().map(|buffer| [IoSliceMut::new(buffer)]).collect();
        match recvmmsg(self.socket.as_raw_fd(), headers, &mut slices, MsgFlags::MSG_DONTWAIT, None) {
            Ok(received) => {
                let from = |address: Option<SockaddrStorage>| address.as_ref().and_then(socket_address);
                // A datagram whose sender cannot be read keeps its place: nobody is nobody's address.
                came.extend(received.map(|one| (one.bytes, from(one.address).unwrap_or(NOBODY))));
            }
            Err(Errno::EAGAIN) => {}
            // An ICMP error of an earlier datagram; nothing was received.
            Err(fault) => tracing::trace!(%fault, "receiving datagrams"),
        }
        came.len()
    }

    /// Sends datagrams, and says how many the system did not take. It never waits.
    pub fn send(&self, datagrams: &[(SocketAddr, &[u8])]) -> usize {
        datagrams.chunks(BATCH).map(|chunk| self.send_chunk(chunk)).sum()
    }

    fn send_chunk(&self, datagrams: &[(SocketAddr, &[u8])]) -> usize {
        if let [(to, bytes)] = datagrams {
            return usize::from(self.socket.send_to(bytes, self.as_sent(*to)).is_err());
        }
        let slices: Vec<[IoSlice<'_>; 1]> =
            datagrams.iter().map(|(_, bytes)| [IoSlice::new(bytes)]).collect();
        let addresses: Vec<Option<SockaddrStorage>> =
            datagrams.iter().map(|(to, _)| Some(self.as_sent(*to).into())).collect();
        let mut headers = MultiHeaders::preallocate(datagrams.len(), None);
        let (mut begin, mut lost) = (0, 0);
        while begin < datagrams.len() {
            let (Some(slices), Some(addresses)) = (slices.get(begin..), addresses.get(begin..)) else {
                break;
            };
            let descriptor = self.socket.as_raw_fd();
            match sendmmsg(descriptor, &mut headers, slices, addresses, [], MsgFlags::MSG_DONTWAIT) {
                Ok(sent) => begin += sent.count().max(1),
                // The first of the rest is refused, perhaps for an ICMP error of an earlier one.
                Err(_) => {
                    begin += 1;
                    lost += 1;
                }
            }
        }
        lost
    }

    /// A socket on `::` knows IPv4 addresses in their IPv6 form only.
    fn as_sent(&self, remote: SocketAddr) -> SocketAddr {
        match remote {
            SocketAddr::V4(address) if self.address.is_ipv6() => {
                SocketAddr::new(address.ip().to_ipv6_mapped().into(), address.port())
            }
            SocketAddr::V4(_) | SocketAddr::V6(_) => remote,
        }
    }
}

impl AsFd for Port {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Asks for large buffers. Beyond the system's limit (200 KiB by default, some 200 datagrams) only a process that may administer the
/// network gets them.
fn grow(socket: &Socket) {
    let forced =
        setsockopt(socket, RcvBufForce, &BUFFER_BYTES).and(setsockopt(socket, SndBufForce, &BUFFER_BYTES));
    if forced.is_ok() {
        return;
    }
    let asked = socket.set_recv_buffer_size(BUFFER_BYTES).and(socket.set_send_buffer_size(BUFFER_BYTES));
    tracing::debug!(?asked, "the UDP buffers are as large as the system lets everybody have them");
}

/// The sender of a datagram that has none.
const NOBODY: SocketAddr = SocketAddr::V6(SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, 0, 0, 0));

fn socket_address(address: &SockaddrStorage) -> Option<SocketAddr> {
    let of_v6 = || address.as_sockaddr_in6().map(|v6| SocketAddr::new(v6.ip().into(), v6.port()));
    let address = match address.as_sockaddr_in() {
        Some(v4) => SocketAddr::new(v4.ip().into(), v4.port()),
        None => of_v6()?,
    };
    Some(plain_address(address))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    fn all(port: &Port, arrivals: &mut Arrivals, count: usize) -> Vec<(SocketAddr, Vec<u8>)> {
        let (begun, mut came) = (Instant::now(), Vec::new());
        while came.len() < count && begun.elapsed() < Duration::from_secs(5) {
            port.receive(arrivals);
            came.extend(arrivals.iter().map(|(from, bytes)| (from, bytes.to_vec())));
        }
        came
    }

    #[test]
    fn batches_arrive_whole_in_order_and_with_their_senders_in_both_families() {
        for (bind, peer) in
            [("127.0.0.1:0", "127.0.0.1:0"), ("[::1]:0", "[::1]:0"), ("[::]:0", "127.0.0.1:0")]
        {
            let port = Port::open(bind.parse().unwrap(), false).unwrap();
            let phone = Port::open(peer.parse().unwrap(), false).unwrap();
            let to = SocketAddr::new(peer.parse::<SocketAddr>().unwrap().ip(), port.address.port());
            let texts: Vec<Vec<u8>> =
                (0..150_u8).map(|number| vec![number; usize::from(number) * 7 + 1]).collect();
            let datagrams: Vec<(SocketAddr, &[u8])> =
                texts.iter().map(|text| (to, text.as_slice())).collect();
            assert_eq!(phone.send(&datagrams), 0);
            let mut arrivals = Arrivals::new();
            let came = all(&port, &mut arrivals, texts.len());
            assert_eq!(came.iter().map(|(_, bytes)| bytes.clone()).collect::<Vec<_>>(), texts);
            assert!(came.iter().all(|(from, _)| *from == phone.address), "{bind}: {:?}", came.first());
            assert_eq!(port.send(&[(phone.address, b"back"), (phone.address, b"again")]), 0);
            assert_eq!(all(&phone, &mut arrivals, 2).len(), 2);
            assert_eq!(port.receive(&mut arrivals), 0);
        }
    }

    #[test]
    fn a_datagram_that_cannot_be_sent_is_counted_and_the_others_go() {
        let port = Port::open("127.0.0.1:0".parse().unwrap(), false).unwrap();
        let phone = Port::open("127.0.0.1:0".parse().unwrap(), false).unwrap();
        let huge = vec![0; 70_000];
        let batch: [(SocketAddr, &[u8]); 3] =
            [(phone.address, b"one"), (phone.address, &huge), (phone.address, b"two")];
        assert_eq!(port.send(&batch), 1);
        assert_eq!(all(&phone, &mut Arrivals::new(), 2).len(), 2);
    }
}
