//! Phones on TLS 1.3, each with a connection of its own. What the server shows is believed: this measures, it does not
//! judge.

use crate::phone::{Answer, Registration};
use anyhow::{Context, Result};
use rustls::pki_types::ServerName;
use serde_json::{Value, json};
use sip::{Frame, Framer};
use std::io::BufRead as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// `count` phones connect and register, `window` at a time; with `hold` they stay until a line comes in.
pub(crate) fn register(server: SocketAddr, count: usize, window: usize, hold: bool) -> Result<Value> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("no runtime")?;
    runtime.block_on(async {
        let connector = TlsConnector::from(testkit::phone::tls::credulous()?);
        let places = Arc::new(Semaphore::new(window));
        let begun = Instant::now();
        let mut tasks = Vec::new();
        for phone in 0..count {
            let place = Arc::clone(&places).acquire_owned().await.context("no place")?;
            let connector = connector.clone();
            tasks.push(tokio::spawn(async move {
                let stream = connect(server, phone, &connector).await;
                drop(place);
                stream.map(|stream| hold.then_some(stream))
            }));
        }
        let (mut held, mut failed, mut reason) = (Vec::new(), 0, String::new());
        for task in tasks {
            match task.await {
                Ok(Ok(stream)) => held.push(stream),
                Ok(Err(fault)) => {
                    failed += 1;
                    reason = format!("{fault:#}");
                }
                Err(fault) => reason = fault.to_string(),
            }
        }
        let figures = json!({
            "done": held.len(), "failed": failed, "reason": reason, "seconds": begun.elapsed().as_secs_f64(),
        });
        if hold {
            // Whoever started this has read them, looks at the server now, and wants to hear no more.
            crate::say(&figures);
            tokio::task::spawn_blocking(|| std::io::stdin().lock().read_line(&mut String::new())).await??;
            return Ok(Value::Null);
        }
        Ok(figures)
    })
}

async fn connect(server: SocketAddr, phone: usize, connector: &TlsConnector) -> Result<TlsStream<TcpStream>> {
    let tcp = TcpStream::connect(server).await.context("no connection")?;
    let own = tcp.local_addr()?;
    let mut stream = connector.connect(ServerName::try_from("localhost")?, tcp).await.context("no TLS")?;
    let registration = Registration { phone, round: 0 };
    stream.write_all(registration.request("TLS", own, "").as_bytes()).await?;
    let mut framer = Framer::new();
    let mut buffer = vec![0_u8; 4_096];
    loop {
        let length = stream.read(&mut buffer).await?;
        anyhow::ensure!(length > 0, "closed");
        let mut frames = Vec::new();
        framer.push(buffer.get(..length).unwrap_or_default(), &mut frames)?;
        for frame in frames {
            let Frame::Message(answer) = frame else { continue };
            match registration.hears(&answer, "TLS", own) {
                Answer::Prove(request) => stream.write_all(request.as_bytes()).await?,
                Answer::Registered => return Ok(stream),
                other => anyhow::bail!("{other:?}"),
            }
        }
    }
}
