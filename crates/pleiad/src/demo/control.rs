//! What a second terminal can ask of a running demo: one JSON line each way over a Unix socket in its folder.

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

const SOCKET: &str = "demo.sock";
/// Bytes of a request or an answer.
const LINE_MAX: u64 = 256 * 1024;
/// Requests that wait; further ones are refused by a full queue.
const QUEUE: usize = 16;
/// Time for an answer.
const DEADLINE: Duration = Duration::from_secs(30);

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "request")]
pub(super) enum Request {
    Cut { node: u8 },
    Heal { node: u8 },
    Status,
    Stop,
}

/// What is answered.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Answer {
    pub(super) good: bool,
    pub(super) text: String,
    pub(super) members: Vec<super::deploy::MemberStatus>,
}

impl Answer {
    pub(super) fn good(text: &str) -> Answer {
        Answer { good: true, text: text.to_owned(), members: Vec::new() }
    }

    pub(super) fn bad(text: &str) -> Answer {
        Answer { good: false, text: text.to_owned(), members: Vec::new() }
    }

    pub(super) fn of(members: Result<Vec<super::deploy::MemberStatus>>) -> Answer {
        match members {
            Ok(members) => Answer { good: true, text: String::new(), members },
            Err(fault) => Answer::bad(&format!("{fault:#}")),
        }
    }
}

/// A request with the way back.
pub(super) struct Asked {
    pub(super) request: Request,
    pub(super) reply: Reply,
}

/// The way back to whoever asked.
pub(super) struct Reply(oneshot::Sender<Answer>);

impl Reply {
    /// Sends the answer; whoever asked may have gone away meanwhile.
    pub(super) fn send(self, answer: Answer) {
        let _ = self.0.send(answer);
    }
}

/// The demo's end of the socket. The file goes with it.
pub(super) struct Control {
    file: PathBuf,
    requests: mpsc::Receiver<Asked>,
}

impl Control {
    /// Fails when a demo runs in this folder already.
    pub(super) fn bind(dir: &Path) -> Result<Control> {
        let file = dir.join(SOCKET);
        if std::os::unix::net::UnixStream::connect(&file).is_ok() {
            let dir = dir.display();
            bail!(
                "a demo runs in {dir} already\n  next: `pleiad demo stop --dir {dir}` ends it, `status` shows it"
            );
        }
        match std::fs::remove_file(&file) {
            Err(fault) if fault.kind() != std::io::ErrorKind::NotFound => {
                return Err(fault).with_context(|| format!("cannot replace {}", file.display()));
            }
            _ => {}
        }
        let listener =
            UnixListener::bind(&file).with_context(|| format!("cannot listen at {}", file.display()))?;
        let (asked, requests) = mpsc::channel(QUEUE);
        tokio::spawn(async move {
            while let Ok((peer, _)) = listener.accept().await {
                // A peer that talks nonsense or goes away concerns nobody else.
                tokio::spawn(answer(peer, asked.clone()));
            }
        });
        Ok(Control { file, requests })
    }

    /// The next request; pending for ever when nobody can ask any more.
    pub(super) async fn next(&mut self) -> Asked {
        match self.requests.recv().await {
            Some(asked) => asked,
            None => std::future::pending().await,
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.file);
    }
}

async fn answer(mut peer: UnixStream, asked: mpsc::Sender<Asked>) -> Result<()> {
    let mut line = String::new();
    let (from, mut to) = peer.split();
    BufReader::new(from.take(LINE_MAX)).read_line(&mut line).await?;
    let answer = match serde_json::from_str(&line) {
        Ok(request) => {
            let (reply, answer) = oneshot::channel();
            asked.send(Asked { request, reply: Reply(reply) }).await?;
            answer.await?
        }
        Err(fault) => Answer::bad(&format!("not a request: {fault}")),
    };
    to.write_all(format!("{}\n", serde_json::to_string(&answer)?).as_bytes()).await?;
    Ok(())
}

/// Asks the demo that runs in `dir`.
pub(super) async fn ask(dir: &Path, request: Request) -> Result<Answer> {
    let Ok(mut peer) = UnixStream::connect(dir.join(SOCKET)).await else {
        let dir = dir.display();
        bail!("no demo runs in {dir}\n  next: start one with `pleiad demo`, or name its folder with --dir");
    };
    let exchange = async {
        peer.write_all(format!("{}\n", serde_json::to_string(&request)?).as_bytes()).await?;
        let mut line = String::new();
        peer.take(LINE_MAX).read_to_string(&mut line).await?;
        serde_json::from_str(&line).context("the demo's answer cannot be read")
    };
    timeout(DEADLINE, exchange).await.context("the demo does not answer")?
}
