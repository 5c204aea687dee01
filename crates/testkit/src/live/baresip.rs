//! baresip as a phone without a sound card: it plays a tone into every call and records what it hears.
//!
//! Driven through its control socket (netstrings of JSON), which also tells the events of its calls.

use super::capture::{self, Capture, rtp_s, rtp_tone_s};
use super::eventually;
use super::process::Process;
use super::softphone::{HEARD_WITHIN, Happening, Mark, REGISTERED_WITHIN, Setup, Softphone, wait_recorded};
use super::star::inside_namespace;
use anyhow::{Context, bail};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A running baresip.
pub struct Baresip {
    setup: Setup,
    folder: PathBuf,
    process: Process,
    control: TcpStream,
    events: Arc<Mutex<Vec<serde_json::Value>>>,
}

impl Baresip {
    /// Starts it in `folder` and opens its control socket.
    ///
    /// # Errors
    /// When baresip is not installed or does not start.
    pub(super) fn start(setup: Setup, folder: &Path) -> anyhow::Result<Baresip> {
        let control_at = SocketAddr::new(setup.address, setup.port + 4);
        std::fs::write(folder.join("config"), configuration(&setup, folder, control_at))?;
        std::fs::write(folder.join("contacts"), contacts(&setup))?;
        std::fs::write(folder.join("accounts"), account(&setup))?;
        let mut command = setup.command("baresip");
        command.arg("-f").arg(folder).args(["-v", "-s"]).current_dir(folder).env("HOME", folder);
        let name = format!("baresip {}", setup.extension);
        let process = Process::start(&name, &mut command, &folder.join("out.log"))?;
        let connect = || {
            eventually("baresip's control socket", Duration::from_secs(10), || {
                Ok(TcpStream::connect_timeout(&control_at, Duration::from_secs(1)).ok())
            })
        };
        let control = match &setup.namespace {
            Some(namespace) => inside_namespace(namespace, connect)?,
            None => connect()?,
        };
        let events = Arc::new(Mutex::new(Vec::new()));
        let (stream, sink) = (control.try_clone()?, Arc::clone(&events));
        std::thread::spawn(move || read_events(stream, &sink));
        Ok(Baresip { setup, folder: folder.to_owned(), process, control, events })
    }

    fn command(&mut self, command: &str, parameter: &str) -> anyhow::Result<()> {
        let json = serde_json::json!({"command": command, "params": parameter, "token": "t"}).to_string();
        write!(self.control, "{}:{json},", json.len())?;
        Ok(())
    }

    /// True when its recording of this call goes on no more: baresip 1.0 ends it when the session changes, although
    /// it goes on playing what it receives.
    fn is_deaf(&self) -> bool {
        let output = self.process.output();
        output.rfind("stream: update 'audio'") > output.rfind("sndfile: dumping decode audio")
    }

    /// Listens at the port where its sound arrives. What SRTP carries cannot be heard there, only that it arrives.
    fn hears_at_its_port(&self, hz: u32) -> anyhow::Result<()> {
        let (address, (first, last)) = (self.setup.address, rtp_ports(&self.setup));
        let filter = format!("udp and dst host {address} and dst portrange {first}-{last}");
        let file = self.folder.join("arriving.pcap");
        let _listening = Capture::start(self.setup.namespace.as_deref(), "any", &filter, &file)?;
        let heard = eventually("sound at its port", HEARD_WITHIN, || {
            // Until the first packet it may be no capture yet.
            let packets = capture::read(&file).unwrap_or_default();
            let heard_s = if self.setup.srtp { rtp_s(&packets) } else { rtp_tone_s(&packets, hz)? };
            Ok((heard_s >= 1.0).then_some(()))
        });
        heard.with_context(|| format!("{hz} Hz at baresip {}", self.setup.extension))
    }

    fn saw_event(&self, since: Mark, kind: &str) -> bool {
        let Ok(events) = self.events.lock() else { return false };
        events.iter().skip(since.events).any(|event| event["type"] == kind)
    }
}

impl Softphone for Baresip {
    fn setup(&self) -> &Setup {
        &self.setup
    }

    fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    fn wait_registered(&mut self) -> anyhow::Result<()> {
        self.process.wait_output(&["200 OK () ["], 0, REGISTERED_WITHIN)
    }

    fn dial(&mut self, number: &str) -> anyhow::Result<()> {
        let target = self.setup.target(number);
        self.command("dial", &target)
    }

    fn accept(&mut self) -> anyhow::Result<()> {
        self.command("accept", "")
    }

    fn hang_up(&mut self) -> anyhow::Result<()> {
        self.command("hangup", "")
    }

    fn hold(&mut self) -> anyhow::Result<()> {
        self.command("hold", "")
    }

    fn resume(&mut self) -> anyhow::Result<()> {
        self.command("resume", "")
    }

    fn transfer(&mut self, number: &str) -> anyhow::Result<()> {
        let target = self.setup.target(number);
        self.command("transfer", &target)
    }

    fn join_calls(&mut self) -> anyhow::Result<()> {
        bail!("baresip 1.0 transfers to a number only")
    }

    fn mark(&self) -> Mark {
        let events = self.events.lock().map(|events| events.len()).unwrap_or(0);
        Mark { events, output: self.process.output().len() }
    }

    fn saw(&self, since: Mark, what: Happening) -> bool {
        match what {
            Happening::Incoming => self.saw_event(since, "CALL_INCOMING"),
            Happening::Ringing => self.saw_event(since, "CALL_RINGING"),
            Happening::Up => self.saw_event(since, "CALL_ESTABLISHED"),
            // It has no events for these: the offer that comes in is in its trace.
            Happening::Holding => self.process.said(since.output, &["a=recvonly"]),
            Happening::Held => self.process.said(since.output, &["a=sendonly", "a=inactive"]),
            Happening::TakenBack => self.process.said(since.output, &["a=sendrecv"]),
            Happening::Over => self.saw_event(since, "CALL_CLOSED"),
        }
    }

    fn recordings(&self) -> anyhow::Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(&self.folder)? {
            let path = entry?.path();
            if path.to_string_lossy().ends_with("-dec.wav") {
                found.push(path);
            }
        }
        found.sort();
        Ok(found)
    }

    fn wait_heard(&self, hz: u32, before_s: f64) -> anyhow::Result<()> {
        if self.is_deaf() { self.hears_at_its_port(hz) } else { wait_recorded(self, hz, before_s) }
    }
}

fn read_events(mut stream: TcpStream, sink: &Mutex<Vec<serde_json::Value>>) {
    let mut held = Vec::new();
    let mut chunk = [0u8; 4096];
    while let Ok(count) = stream.read(&mut chunk) {
        if count == 0 {
            return;
        }
        held.extend_from_slice(chunk.get(..count).unwrap_or_default());
        while let Ok(Some((event, used))) = netstring(&held) {
            held.drain(..used);
            if event.get("event").is_some()
                && let Ok(mut events) = sink.lock()
            {
                events.push(event);
            }
        }
    }
}

/// One `LENGTH:JSON,` from the front of `bytes`, and how long it was.
fn netstring(bytes: &[u8]) -> anyhow::Result<Option<(serde_json::Value, usize)>> {
    let Some(colon) = bytes.iter().position(|byte| *byte == b':') else { return Ok(None) };
    let length: usize = std::str::from_utf8(bytes.get(..colon).unwrap_or_default())?.parse()?;
    let end = colon + 1 + length;
    let Some(json) = bytes.get(colon + 1..end) else { return Ok(None) };
    if bytes.len() <= end {
        return Ok(None);
    }
    if bytes.get(end) != Some(&b',') {
        bail!("no comma behind a netstring");
    }
    Ok(Some((serde_json::from_slice(json)?, end + 1)))
}

fn configuration(setup: &Setup, folder: &Path, control: SocketAddr) -> String {
    let Setup { address, port, .. } = setup;
    let listen = SocketAddr::new(*address, *port);
    let (folder, (rtp_first, rtp_last)) = (folder.display(), rtp_ports(setup));
    let trust = setup
        .authority
        .as_ref()
        .map_or_else(String::new, |authority| format!("sip_cafile {}\n", authority.display()));
    let secrecy = if setup.srtp { "module srtp.so\n" } else { "" };
    let waiting = if setup.message_waiting { "module_app mwi.so\n" } else { "" };
    let presence = if setup.watches.is_empty() { "" } else { "module_app presence.so\n" };
    format!(
        "poll_method epoll\nsip_listen {listen}\nsip_transports udp,tcp,tls\nnet_interface {address}\n\
         {trust}rtp_ports {rtp_first}-{rtp_last}\n\
         audio_path /usr/share/baresip\naudio_source aufile,{folder}/tone.wav\naudio_player aubridge,sink\n\
         audio_alert aubridge,alert\nausrc_srate 8000\nauplay_srate 8000\nausrc_channels 1\nauplay_channels 1\n\
         audio_buffer 20-160\naudio_level no\njitter_buffer_type fixed\njitter_buffer_delay 2-10\n\
         rtcp_enable yes\nrtcp_mux no\nmodule_path /usr/lib/baresip/modules\nmodule g711.so\nmodule aufile.so\n\
         module aubridge.so\nmodule sndfile.so\n{secrecy}snd_path {folder}\nmodule_tmp uuid.so\n\
         module_tmp account.so\nmodule_app menu.so\nmodule_app ctrl_tcp.so\n{waiting}\
         module contact.so\n{presence}\
         ctrl_tcp_listen {control}\nmenu_bell no\n",
    )
}

/// Whose presence it watches.
fn contacts(setup: &Setup) -> String {
    let watched = setup.watches.iter();
    watched.map(|number| format!("\"{number}\" <{}>;presence=p2p\n", setup.target(number))).collect()
}

/// It takes any even one of these.
fn rtp_ports(setup: &Setup) -> (u16, u16) {
    (setup.port + 6, setup.port + 9)
}

fn account(setup: &Setup) -> String {
    let Setup { extension, password, domain, registrar, expires_s, .. } = setup;
    let transport = setup.transport_parameter();
    let mode = if setup.auto_answer { "auto" } else { "manual" };
    let waiting = if setup.message_waiting { "yes" } else { "no" };
    let secrecy = if setup.srtp { ";mediaenc=srtp-mand" } else { "" };
    format!(
        "<sip:{extension}@{domain};transport={transport}>;auth_user={extension};auth_pass={password};\
         outbound=\"sip:{registrar};transport={transport}\";regint={expires_s};answermode={mode};\
         audio_codecs=PCMA/8000/1;ptime=20;mwi={waiting}{secrecy}\n"
    )
}
