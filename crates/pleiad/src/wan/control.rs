//! The control socket of a relay: one line in, one line back.

use super::Line;
use anyhow::{Context, Result, bail};
use std::io;
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::time::timeout;

/// Bytes of a command.
const COMMAND_MAX: u64 = 256;
/// Time for one exchange.
const DEADLINE: Duration = Duration::from_secs(2);

pub(super) struct Control {
    listener: UnixListener,
}

impl Control {
    pub(super) fn bind(file: &Path) -> io::Result<Control> {
        // A relay that was killed leaves its socket file; nobody listens there any more.
        match std::fs::remove_file(file) {
            Err(fault) if fault.kind() != io::ErrorKind::NotFound => return Err(fault),
            _ => {}
        }
        Ok(Control { listener: UnixListener::bind(file)? })
    }

    pub(super) async fn serve(self, line: watch::Sender<Line>) {
        loop {
            let Ok((peer, _)) = self.listener.accept().await else { continue };
            // A peer that says nothing loses its turn; commands are rare and short.
            let _ = timeout(DEADLINE, answer(peer, &line)).await;
        }
    }
}

async fn answer(mut peer: UnixStream, line: &watch::Sender<Line>) -> io::Result<()> {
    let mut command = String::new();
    let (from, mut to) = peer.split();
    BufReader::new(from.take(COMMAND_MAX)).read_line(&mut command).await?;
    let said = match command.trim() {
        "cut" => {
            line.send_replace(Line::Cut);
            "cut"
        }
        "heal" => {
            line.send_replace(Line::Whole);
            "whole"
        }
        "status" => match *line.borrow() {
            Line::Cut => "cut",
            Line::Whole => "whole",
        },
        _ => "unknown command: use cut, heal or status",
    };
    to.write_all(format!("{said}\n").as_bytes()).await
}

/// Sends a command to the relay behind `socket` and gives its answer.
pub(crate) async fn ask(socket: &Path, command: &str) -> Result<String> {
    let exchange = async {
        let mut peer = UnixStream::connect(socket).await?;
        peer.write_all(format!("{command}\n").as_bytes()).await?;
        let mut answer = String::new();
        peer.take(COMMAND_MAX).read_to_string(&mut answer).await?;
        Ok::<String, io::Error>(answer.trim().to_owned())
    };
    let answer = timeout(DEADLINE, exchange)
        .await
        .context("the relay does not answer")?
        .with_context(|| format!("no relay answers at {}", socket.display()))?;
    if answer.starts_with("unknown") {
        bail!("{answer}");
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_relay_is_cut_healed_and_asked_and_nonsense_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("wan.sock");
        std::fs::write(&socket, "left behind").unwrap();
        let (line, seen) = watch::channel(Line::Whole);
        tokio::spawn(Control::bind(&socket).unwrap().serve(line));
        assert_eq!(ask(&socket, "cut").await.unwrap(), "cut");
        assert_eq!(*seen.borrow(), Line::Cut);
        assert_eq!(ask(&socket, "status").await.unwrap(), "cut");
        assert!(ask(&socket, "explode").await.is_err());
        assert_eq!(*seen.borrow(), Line::Cut, "nonsense changes nothing");
        assert_eq!(ask(&socket, "heal").await.unwrap(), "whole");
    }
}
