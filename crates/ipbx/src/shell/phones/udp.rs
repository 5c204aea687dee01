//! Datagrams of phones (RFC 3261 § 18.1).

use super::{Phones, arrived, plain_address};
use crate::shell::engine::EngineSlot;
use sip::{Flow, Message, Transport};
use std::net::SocketAddr;
use tokio_util::sync::CancellationToken;

/// The largest datagram there is.
const DATAGRAM_BYTES_MAX: usize = 65_535;

/// Reads datagrams until `stop`.
pub(super) async fn read(phones: Phones, slot: EngineSlot, stop: CancellationToken) {
    let mut buffer = vec![0_u8; DATAGRAM_BYTES_MAX];
    loop {
        let received = tokio::select! {
            () = stop.cancelled() => return,
            received = phones.shared.udp.recv_from(&mut buffer) => received,
        };
        match received {
            Ok((length, remote)) => {
                if let Some(datagram) = buffer.get(..length) {
                    take(&phones, &slot, plain_address(remote), datagram);
                }
            }
            // An ICMP error of an earlier datagram; nothing was received.
            Err(fault) => tracing::trace!(%fault, "receiving a datagram"),
        }
    }
}

fn take(phones: &Phones, slot: &EngineSlot, remote: SocketAddr, datagram: &[u8]) {
    // Keep-alives of phones behind address translators (RFC 5626 § 3.5.1 and habit).
    if datagram.iter().all(|byte| byte.is_ascii_whitespace() || *byte == 0) {
        return;
    }
    let Some(engine) = slot.present() else { return };
    let local = phones.local_toward(remote.ip());
    let flow = Flow { transport: Transport::Udp, local, remote, connection: 0 };
    match Message::parse(datagram) {
        Ok(message) => engine.try_give(arrived(flow, message)),
        Err(fault) => {
            tracing::debug!(%remote, fault = %fault, "a datagram is no SIP message");
            if let Some(answer) = fault.answer(&engine.tag()) {
                phones.send(&flow, answer);
            }
        }
    }
}
