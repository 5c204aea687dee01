//! The UDP half of the relay: a socket of its own towards the far end for each near end, so that answers find back.

use super::Line;
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Near ends remembered at once; datagrams of a further one are lost, as in a full line.
const ENDS_MAX: usize = 256;
/// An end that is silent this long is forgotten.
const IDLE: Duration = Duration::from_secs(120);
/// The largest datagram there is.
const DATAGRAM_MAX: usize = 65_535;

pub(super) struct Relay {
    near: Arc<UdpSocket>,
    to: SocketAddr,
}

struct End {
    far: Arc<UdpSocket>,
    answers: JoinHandle<()>,
}

impl Relay {
    pub(super) async fn bind(listen: SocketAddr, to: SocketAddr) -> io::Result<Relay> {
        Ok(Relay { near: Arc::new(UdpSocket::bind(listen).await?), to })
    }

    pub(super) async fn carry(self, line: watch::Receiver<Line>) {
        let mut ends: BTreeMap<SocketAddr, End> = BTreeMap::new();
        let mut datagram = vec![0; DATAGRAM_MAX];
        loop {
            let Ok((count, from)) = self.near.recv_from(&mut datagram).await else { continue };
            if *line.borrow() == Line::Cut {
                continue;
            }
            ends.retain(|_, end| !end.answers.is_finished());
            if !ends.contains_key(&from)
                && ends.len() < ENDS_MAX
                && let Ok(end) = self.end(from, line.clone()).await
            {
                ends.insert(from, end);
            }
            if let (Some(end), Some(bytes)) = (ends.get(&from), datagram.get(..count)) {
                // A datagram that cannot be sent is a lost datagram.
                let _ = end.far.send(bytes).await;
            }
        }
    }

    async fn end(&self, near_end: SocketAddr, line: watch::Receiver<Line>) -> io::Result<End> {
        let any = match self.to {
            SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        let far = Arc::new(UdpSocket::bind((any, 0)).await?);
        far.connect(self.to).await?;
        let answers = tokio::spawn(answers(Arc::clone(&far), Arc::clone(&self.near), near_end, line));
        Ok(End { far, answers })
    }
}

async fn answers(
    far: Arc<UdpSocket>,
    near: Arc<UdpSocket>,
    near_end: SocketAddr,
    line: watch::Receiver<Line>,
) {
    let mut datagram = vec![0; DATAGRAM_MAX];
    while let Ok(received) = timeout(IDLE, far.recv(&mut datagram)).await {
        let whole = *line.borrow() == Line::Whole;
        if let (Ok(count), true) = (received, whole)
            && let Some(bytes) = datagram.get(..count)
        {
            let _ = near.send_to(bytes, near_end).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn exchange(phone: &UdpSocket, word: &[u8]) -> bool {
        phone.send(word).await.unwrap();
        let mut heard = [0; 16];
        let answer = timeout(Duration::from_millis(300), phone.recv(&mut heard)).await;
        matches!(answer, Ok(Ok(count)) if heard[..count] == *word)
    }

    #[tokio::test]
    async fn datagrams_of_a_cut_are_lost_in_both_directions() {
        let far = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let to = far.local_addr().unwrap();
        tokio::spawn(async move {
            let mut datagram = [0; 16];
            while let Ok((count, from)) = far.recv_from(&mut datagram).await {
                let _ = far.send_to(&datagram[..count], from).await;
            }
        });
        let (line, seen) = watch::channel(Line::Whole);
        let relay = Relay::bind("127.0.0.1:0".parse().unwrap(), to).await.unwrap();
        let phone = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        phone.connect(relay.near.local_addr().unwrap()).await.unwrap();
        tokio::spawn(relay.carry(seen));

        assert!(exchange(&phone, b"one").await);
        line.send(Line::Cut).unwrap();
        assert!(!exchange(&phone, b"two").await);
        line.send(Line::Whole).unwrap();
        assert!(exchange(&phone, b"three").await, "and the lost one does not come late");
    }
}
