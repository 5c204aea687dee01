//! A trace as a pcap file, so that Wireshark can draw and dissect it.
//!
//! The messages were seen after TCP and TLS, so each is put in a UDP datagram of its own, with the addresses
//! it had. Members have no address here: they get 127.0.0.1 with port 7600 + number, and a phone of the other
//! address family is mapped the same way.

use super::{Party, Traced};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Link type of raw IP packets.
const LINKTYPE_RAW: u32 = 101;
/// Largest packet an IPv4 header can describe.
const PACKET_BYTES_MAX: usize = 65_535;
const IP_HEADER_BYTES: usize = 20;
const UDP_HEADER_BYTES: usize = 8;

/// The file's bytes.
#[must_use]
pub fn file(messages: &[Traced]) -> Vec<u8> {
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, LINKTYPE_RAW] {
        file.extend_from_slice(&word.to_le_bytes());
    }
    for message in messages {
        let packet = packet(message);
        let seconds = u32::try_from(message.at.as_secs()).unwrap_or(u32::MAX);
        let length = u32::try_from(packet.len()).unwrap_or(u32::MAX);
        for word in [seconds, message.at.subsec_micros(), length, length] {
            file.extend_from_slice(&word.to_le_bytes());
        }
        file.extend_from_slice(&packet);
    }
    file
}

fn packet(message: &Traced) -> Vec<u8> {
    let ours = v4(message.local);
    let theirs = match message.party {
        Party::Phone(address) => v4(address),
        Party::Member(number) => (Ipv4Addr::LOCALHOST, 7_600 + u16::from(number)),
    };
    let (from, to) = if message.sent { (ours, theirs) } else { (theirs, ours) };
    let room = PACKET_BYTES_MAX - IP_HEADER_BYTES - UDP_HEADER_BYTES;
    let body = message.bytes.get(..room).unwrap_or(&message.bytes);
    let udp_length = u16::try_from(UDP_HEADER_BYTES + body.len()).unwrap_or(u16::MAX);
    let mut packet = ip_header(from.0, to.0, udp_length);
    for word in [from.1, to.1, udp_length, 0] {
        packet.extend_from_slice(&word.to_be_bytes());
    }
    packet.extend_from_slice(body);
    packet
}

/// RFC 791 § 3.1, without options.
fn ip_header(from: Ipv4Addr, to: Ipv4Addr, payload: u16) -> Vec<u8> {
    let total = payload.saturating_add(20);
    let mut words = vec![0x4500, total, 0, 0x4000, 0x4011, 0];
    for address in [from, to] {
        let [a, b, c, d] = address.octets();
        words.extend([u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])]);
    }
    let sum: u32 = words.iter().map(|word| u32::from(*word)).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let folded = (folded & 0xffff) + (folded >> 16);
    let checksum = !u16::try_from(folded).unwrap_or(0);
    if let Some(field) = words.get_mut(5) {
        *field = checksum;
    }
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

fn v4(address: SocketAddr) -> (Ipv4Addr, u16) {
    match address.ip() {
        IpAddr::V4(ip) => (ip, address.port()),
        IpAddr::V6(ip) => (ip.to_ipv4_mapped().unwrap_or(Ipv4Addr::LOCALHOST), address.port()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::traced;
    use super::*;

    #[test]
    fn a_message_becomes_a_packet_with_its_addresses_and_a_right_checksum() {
        let file = file(&[traced(1_500, true, "INVITE sip:2201@x SIP/2.0\r\n\r\n")]);
        assert_eq!(file[..4], 0xa1b2_c3d4_u32.to_le_bytes());
        let packet = &file[24 + 16..];
        assert_eq!(packet.len(), 20 + 8 + 29);
        assert_eq!(packet[20..24], [0x13, 0xc4, 0x9c, 0x40]);
        let sum: u32 =
            packet[..20].chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
        assert_eq!((sum & 0xffff) + (sum >> 16), 0xffff);
        assert!(packet.ends_with(b"\r\n\r\n"));
    }
}
