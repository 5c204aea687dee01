//! rtpengine as Debian has it, without its kernel module, driven by its own control protocol (bencoded, over UDP).

use super::{RELAY_CORE, Running};
use anyhow::{Context, Result, bail};
use std::fmt::Write as _;
use std::net::UdpSocket;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Where the phones' ports begin, as for our own relay.
const PHONE_PORT: usize = 30_000;
/// How long it may take to start.
const TRIES: usize = 100;

pub(super) fn is_there() -> bool {
    Command::new("rtpengine").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

/// Starts it, sets up `calls`, and writes where their legs go.
pub(super) fn start(calls: usize, legs: &Path) -> Result<Running> {
    let control = UdpSocket::bind("127.0.0.1:0")?.local_addr()?;
    let child = Command::new("taskset")
        .args(["--cpu-list", RELAY_CORE, "rtpengine", "--foreground", "--log-stderr", "--log-level=2"])
        .args(["--table=-1", "--no-fallback", "--interface=127.0.0.1", "--num-threads=1"])
        .args(["--port-min=10000", "--port-max=19999", "--timeout=120", "--delete-delay=0"])
        .arg(format!("--listen-ng={control}"))
        .stderr(Stdio::null())
        .spawn()
        .context("rtpengine")?;
    let running = Running { child, _input: None };
    let talk = UdpSocket::bind("127.0.0.1:0")?;
    talk.connect(control)?;
    talk.set_read_timeout(Some(Duration::from_millis(100)))?;
    (0..TRIES)
        .find(|attempt| ask(&talk, &format!("ping{attempt}"), "d7:command4:pinge").is_ok())
        .context("rtpengine does not answer")?;
    talk.set_read_timeout(Some(Duration::from_secs(2)))?;
    let mut text = String::new();
    for call in 0..calls {
        let (caller, called) = (PHONE_PORT + 4 * call, PHONE_PORT + 4 * call + 2);
        // What comes back of the offer is where the called phone sends; of the answer, where the caller does.
        let towards_called = port(&ask(&talk, &format!("offer{call}"), &command("offer", call, caller))?)?;
        let towards_caller = port(&ask(&talk, &format!("answer{call}"), &command("answer", call, called))?)?;
        writeln!(text, "{caller} {towards_caller}\n{called} {towards_called}")?;
    }
    std::fs::write(legs, text)?;
    Ok(running)
}

fn command(name: &str, call: usize, phone: usize) -> String {
    let sdp = format!(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {phone} RTP/AVP 8\r\n\
         a=rtpmap:8 PCMA/8000\r\na=ptime:20\r\na=sendrecv\r\n"
    );
    let mut words = vec![("call-id", format!("bench-{call}")), ("command", name.to_owned())];
    words.extend([("from-tag", "caller".to_owned()), ("sdp", sdp)]);
    if name == "answer" {
        words.push(("to-tag", "called".to_owned()));
    }
    let text = |word: &str| format!("{}:{word}", word.len());
    let pairs: String = words.iter().map(|(name, value)| text(name) + &text(value)).collect();
    format!("d{pairs}e")
}

/// `cookie` names the question: with one that was used before the old answer comes again.
fn ask(talk: &UdpSocket, cookie: &str, command: &str) -> Result<String> {
    talk.send(format!("{cookie} {command}").as_bytes())?;
    let mut buffer = [0; 8_192];
    let length = talk.recv(&mut buffer)?;
    let answer = String::from_utf8_lossy(buffer.get(..length).unwrap_or_default()).into_owned();
    if !answer.contains("2:ok") && !answer.contains("4:pong") {
        bail!("rtpengine says {answer}");
    }
    Ok(answer)
}

fn port(answer: &str) -> Result<usize> {
    let rest = answer.split("m=audio ").nth(1).context("no audio in the answer of rtpengine")?;
    rest.split(' ').next().unwrap_or_default().parse().context("a port")
}
