//! The TCP half of the relay: each connection is two pumps that hold their breath while the line is cut.

use super::{Line, whole};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

/// Connections carried at once; a further one waits in the listen queue, as in a full line.
const CONNECTIONS_MAX: usize = 256;
/// Bytes one pump takes at a time.
const CHUNK: usize = 16 * 1024;

pub(super) struct Relay {
    listener: TcpListener,
    to: SocketAddr,
}

impl Relay {
    pub(super) async fn bind(listen: SocketAddr, to: SocketAddr) -> io::Result<Relay> {
        Ok(Relay { listener: TcpListener::bind(listen).await?, to })
    }

    /// Accepts while the line is whole; during a cut new connections hang unanswered.
    pub(super) async fn carry(self, mut line: watch::Receiver<Line>) {
        let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        while whole(&mut line).await {
            let Ok(place) = Arc::clone(&room).acquire_owned().await else { return };
            let Ok((near, _)) = self.listener.accept().await else { continue };
            let (to, line) = (self.to, line.clone());
            tokio::spawn(async move {
                // A connection that breaks ends for its two ends; there is nobody to tell beside them.
                let _ = connect_and_pump(near, to, line).await;
                drop(place);
            });
        }
    }
}

async fn connect_and_pump(
    near: TcpStream,
    to: SocketAddr,
    mut line: watch::Receiver<Line>,
) -> io::Result<()> {
    if !whole(&mut line).await {
        return Ok(());
    }
    let far = TcpStream::connect(to).await?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    let (near_in, near_out) = near.into_split();
    let (far_in, far_out) = far.into_split();
    // A reset on one side is one on the other, so the first failure ends both pumps.
    tokio::try_join!(pump(near_in, far_out, line.clone()), pump(far_in, near_out, line))?;
    Ok(())
}

async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut line: watch::Receiver<Line>,
) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK];
    loop {
        if !whole(&mut line).await {
            return Ok(());
        }
        let count = from.read(&mut chunk).await;
        // The line may have been cut while we waited: what was just read is on the way and stops here too.
        if !whole(&mut line).await {
            return Ok(());
        }
        match chunk.get(..count?) {
            None | Some([]) => return to.shutdown().await,
            Some(bytes) => to.write_all(bytes).await?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::timeout;

    async fn line_to_an_echo() -> (watch::Sender<Line>, SocketAddr) {
        let echo = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = echo.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut peer, _)) = echo.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut back) = peer.split();
                    let _ = tokio::io::copy(&mut from, &mut back).await;
                });
            }
        });
        let (line, seen) = watch::channel(Line::Whole);
        let relay = Relay::bind("127.0.0.1:0".parse().unwrap(), to).await.unwrap();
        let address = relay.listener.local_addr().unwrap();
        tokio::spawn(relay.carry(seen));
        (line, address)
    }

    async fn hears(peer: &mut TcpStream, word: &[u8]) -> bool {
        let mut heard = vec![0; word.len()];
        let read = timeout(Duration::from_millis(300), peer.read_exact(&mut heard)).await;
        matches!(read, Ok(Ok(_))) && heard == word
    }

    #[tokio::test]
    async fn a_cut_forwards_nothing_closes_nothing_and_a_heal_carries_on() {
        let (line, address) = line_to_an_echo().await;
        let mut peer = TcpStream::connect(address).await.unwrap();
        peer.write_all(b"one").await.unwrap();
        assert!(hears(&mut peer, b"one").await);

        line.send(Line::Cut).unwrap();
        peer.write_all(b"two").await.unwrap();
        assert!(!hears(&mut peer, b"two").await, "nothing comes through a cut, and no end of file either");
        let mut late = TcpStream::connect(address).await.unwrap();
        late.write_all(b"late").await.unwrap();
        assert!(!hears(&mut late, b"late").await, "a connection made during the cut hangs");

        line.send(Line::Whole).unwrap();
        assert!(hears(&mut peer, b"two").await, "what TCP held flows on");
        assert!(hears(&mut late, b"late").await);
    }

    #[tokio::test]
    async fn an_end_that_closes_during_the_cut_is_noticed_after_it() {
        let (line, address) = line_to_an_echo().await;
        let mut peer = TcpStream::connect(address).await.unwrap();
        peer.write_all(b"one").await.unwrap();
        assert!(hears(&mut peer, b"one").await);
        line.send(Line::Cut).unwrap();
        peer.shutdown().await.unwrap();
        let mut rest = Vec::new();
        assert!(timeout(Duration::from_millis(300), peer.read_to_end(&mut rest)).await.is_err());
        line.send(Line::Whole).unwrap();
        assert!(timeout(Duration::from_secs(2), peer.read_to_end(&mut rest)).await.is_ok());
    }
}
