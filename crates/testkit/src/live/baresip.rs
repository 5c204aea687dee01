//! baresip as a phone without a sound card: it plays a tone into every call and records what it hears.
//!
//! Driven through its control socket (netstrings of JSON), which also tells the events of its calls.

use super::process::Process;
use super::star::inside_namespace;
use super::{eventually, wav};
use anyhow::{Context, bail};
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How a phone is set up.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Its extension.
    pub extension: String,
    /// Its secret.
    pub password: String,
    /// The SIP domain of its address.
    pub domain: String,
    /// `host:port` of its registrar.
    pub registrar: String,
    /// `udp` or `tcp`.
    pub transport: &'static str,
    /// The tone it plays into calls, in Hz.
    pub tone_hz: u32,
    /// Answers by itself.
    pub auto_answer: bool,
    /// Seconds between two registrations.
    pub expires_s: u32,
    /// The namespace it lives in; none = the machine itself.
    pub namespace: Option<String>,
    /// The address it has there.
    pub address: IpAddr,
    /// Its SIP port; the next one and its control port (+4) are taken too.
    pub port: u16,
}

/// A running baresip.
pub struct Baresip {
    setup: Setup,
    folder: PathBuf,
    process: Process,
    control: TcpStream,
    events: Arc<Mutex<Vec<serde_json::Value>>>,
}

impl Baresip {
    /// Starts it in `folder`, which is made, and opens its control socket.
    ///
    /// # Errors
    /// When baresip is not installed or does not start.
    pub fn start(setup: Setup, folder: PathBuf) -> anyhow::Result<Baresip> {
        std::fs::create_dir_all(&folder)?;
        wav::write_tone(&folder.join("tone.wav"), setup.tone_hz, 120)?;
        let control_at = SocketAddr::new(setup.address, setup.port + 4);
        std::fs::write(folder.join("config"), configuration(&setup, &folder, control_at))?;
        std::fs::write(folder.join("contacts"), "")?;
        std::fs::write(folder.join("accounts"), account(&setup))?;
        let mut command = match &setup.namespace {
            Some(namespace) => {
                let mut command = Command::new("ip");
                command.args(["netns", "exec", namespace, "baresip"]);
                command
            }
            None => Command::new("baresip"),
        };
        command.arg("-f").arg(&folder).args(["-v", "-s"]).current_dir(&folder).env("HOME", &folder);
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
        Ok(Baresip { setup, folder, process, control, events })
    }

    /// The number it answers to.
    #[must_use]
    pub fn extension(&self) -> &str {
        &self.setup.extension
    }

    /// The tone it plays into its calls, in Hz.
    #[must_use]
    pub fn tone_hz(&self) -> u32 {
        self.setup.tone_hz
    }

    /// Waits until it prints `words`, from byte `since` of its output on.
    ///
    /// # Errors
    /// With its last words.
    pub fn wait_output_since(&mut self, since: usize, words: &str, limit: Duration) -> anyhow::Result<()> {
        self.process.wait_output(&[words], since, limit)
    }

    /// Waits for a 200 to its REGISTER.
    ///
    /// # Errors
    /// With its last words.
    pub fn wait_registered(&mut self) -> anyhow::Result<()> {
        self.process.wait_output(&["200 OK () ["], 0, Duration::from_secs(10))
    }

    fn command(&mut self, command: &str, parameter: &str) -> anyhow::Result<()> {
        let json = serde_json::json!({"command": command, "params": parameter, "token": "t"}).to_string();
        write!(self.control, "{}:{json},", json.len())?;
        Ok(())
    }

    /// Dials a number of its domain.
    ///
    /// # Errors
    /// When the control socket is gone.
    pub fn dial(&mut self, number: &str) -> anyhow::Result<()> {
        let target = format!("sip:{number}@{}", self.setup.domain);
        self.command("dial", &target)
    }

    /// Answers the call that rings.
    ///
    /// # Errors
    /// When the control socket is gone.
    pub fn accept(&mut self) -> anyhow::Result<()> {
        self.command("accept", "")
    }

    /// Ends or refuses the current call.
    ///
    /// # Errors
    /// When the control socket is gone.
    pub fn hang_up(&mut self) -> anyhow::Result<()> {
        self.command("hangup", "")
    }

    /// Puts the current call on hold.
    ///
    /// # Errors
    /// When the control socket is gone.
    pub fn hold(&mut self) -> anyhow::Result<()> {
        self.command("hold", "")
    }

    /// Resumes it.
    ///
    /// # Errors
    /// When the control socket is gone.
    pub fn resume(&mut self) -> anyhow::Result<()> {
        self.command("resume", "")
    }

    /// Marks where the events are now, for [`wait_event`](Baresip::wait_event).
    #[must_use]
    pub fn mark(&self) -> usize {
        self.events.lock().map(|events| events.len()).unwrap_or(0)
    }

    /// The events of this type since `mark`.
    #[must_use]
    pub fn events_since(&self, mark: usize, kind: &str) -> Vec<serde_json::Value> {
        let Ok(events) = self.events.lock() else { return Vec::new() };
        events.iter().skip(mark).filter(|event| event["type"] == kind).cloned().collect()
    }

    /// Waits for an event of this type after `mark`: `CALL_INCOMING`, `CALL_RINGING`, `CALL_ESTABLISHED`,
    /// `CALL_CLOSED` …
    ///
    /// # Errors
    /// With the events that did come.
    pub fn wait_event(&self, mark: usize, kind: &str, limit: Duration) -> anyhow::Result<serde_json::Value> {
        let what = format!("{kind} at baresip {}", self.setup.extension);
        eventually(&what, limit, || Ok(self.events_since(mark, kind).into_iter().next())).with_context(|| {
            let kinds: Vec<String> = self.events.lock().map_or_else(
                |_| Vec::new(),
                |events| events.iter().skip(mark).map(|event| event["type"].to_string()).collect(),
            );
            format!("it saw {kinds:?}; log: {}", self.folder.join("out.log").display())
        })
    }

    /// What it printed so far, SIP errors included.
    #[must_use]
    pub fn output(&self) -> String {
        self.process.output()
    }

    /// Seconds for which it heard a tone of `hz`, over all its recordings.
    ///
    /// # Errors
    /// When a recording cannot be read.
    pub fn heard_s(&self, hz: u32) -> anyhow::Result<f64> {
        let mut seconds = 0.0;
        for entry in std::fs::read_dir(&self.folder)? {
            let path = entry?.path();
            if path.to_string_lossy().ends_with("-dec.wav") {
                seconds += wav::heard_s(&path, hz)?;
            }
        }
        Ok(seconds)
    }

    /// `kill -9`: a phone that vanishes.
    ///
    /// # Errors
    /// When it is gone already.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.process.kill()
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

fn configuration(setup: &Setup, folder: &std::path::Path, control: SocketAddr) -> String {
    let (address, port, folder) = (setup.address, setup.port, folder.display());
    format!(
        "poll_method epoll\nsip_listen {address}:{port}\nsip_transports udp,tcp\nnet_interface {address}\n\
         audio_path /usr/share/baresip\naudio_source aufile,{folder}/tone.wav\naudio_player aubridge,sink\n\
         audio_alert aubridge,alert\nausrc_srate 8000\nauplay_srate 8000\nausrc_channels 1\nauplay_channels 1\n\
         audio_buffer 20-160\naudio_level no\njitter_buffer_type fixed\njitter_buffer_delay 2-10\n\
         rtcp_enable yes\nrtcp_mux no\nmodule_path /usr/lib/baresip/modules\nmodule g711.so\nmodule aufile.so\n\
         module aubridge.so\nmodule sndfile.so\nsnd_path {folder}\nmodule_tmp uuid.so\nmodule_tmp account.so\n\
         module_app menu.so\nmodule_app ctrl_tcp.so\nctrl_tcp_listen {control}\nmenu_bell no\n"
    )
}

fn account(setup: &Setup) -> String {
    let Setup { extension, password, domain, registrar, transport, expires_s, .. } = setup;
    let mode = if setup.auto_answer { "auto" } else { "manual" };
    format!(
        "<sip:{extension}@{domain};transport={transport}>;auth_user={extension};auth_pass={password};\
         outbound=\"sip:{registrar};transport={transport}\";regint={expires_s};answermode={mode};\
         audio_codecs=PCMA/8000/1;ptime=20;mwi=no\n"
    )
}
