//! linphonec as a phone without a sound card: it plays a tone from a file into every call and records what it hears
//! into another. Driven through its standard input; what happens is read from its output.
//!
//! It hears again after a hold, which baresip 1.0 does not record.

use super::process::Process;
use super::softphone::{Happening, Mark, REGISTERED_WITHIN, Setup, Softphone, wait_recorded};
use anyhow::Context;
use sip::Transport;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ChildStdin;
use std::time::Duration;

/// How long it may take to show its prompt.
const UP_WITHIN: Duration = Duration::from_secs(15);
/// Between two questions whether it is registered.
const ASK_EVERY: Duration = Duration::from_millis(200);

/// After a refused connection it waits a minute of its own accord: too long for a test that restarts a server.
const RETRY_MS: u32 = 1_000;

/// A running linphonec.
pub struct Linphone {
    setup: Setup,
    folder: PathBuf,
    process: Process,
    keys: ChildStdin,
}

impl Linphone {
    /// Starts it in `folder`.
    ///
    /// # Errors
    /// When linphonec is not installed or does not start.
    pub(super) fn start(setup: Setup, folder: &Path) -> anyhow::Result<Linphone> {
        // The folder of its database, which it does not make itself.
        std::fs::create_dir_all(folder.join(".local/share/linphone"))?;
        std::fs::write(folder.join("rc"), configuration(&setup))?;
        let mut command = setup.command("linphonec");
        command.arg("-c").arg(folder.join("rc")).args(["-d", "5", "-l"]).arg(folder.join("debug.log"));
        if setup.auto_answer {
            command.arg("-a");
        }
        command.current_dir(folder).env("HOME", folder).env("XDG_RUNTIME_DIR", folder);
        let name = format!("linphonec {}", setup.extension);
        let (mut process, keys) = Process::start_typing(&name, &mut command, &folder.join("out.log"))?;
        process.wait_output(&["linphonec>"], 0, UP_WITHIN)?;
        let mut phone = Linphone { setup, folder: folder.to_owned(), process, keys };
        phone.type_line("soundcard use files")?;
        phone.type_line(&format!("play {}", folder.join("tone.wav").display()))?;
        phone.type_line(&format!("record {}", folder.join("heard.wav").display()))?;
        Ok(phone)
    }

    fn type_line(&mut self, line: &str) -> anyhow::Result<()> {
        writeln!(self.keys, "{line}").with_context(|| format!("typing '{line}'"))
    }
}

impl Softphone for Linphone {
    fn setup(&self) -> &Setup {
        &self.setup
    }

    fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    fn wait_registered(&mut self) -> anyhow::Result<()> {
        let end = std::time::Instant::now() + REGISTERED_WITHIN;
        loop {
            let since = self.mark().output;
            self.type_line("status register")?;
            let outcome = self.process.wait_output(&["registered, identity="], since, ASK_EVERY);
            if outcome.is_ok() || std::time::Instant::now() >= end {
                return outcome;
            }
        }
    }

    fn dial(&mut self, number: &str) -> anyhow::Result<()> {
        let target = self.setup.target(number);
        self.type_line(&format!("call {target}"))
    }

    fn accept(&mut self) -> anyhow::Result<()> {
        self.type_line("answer")
    }

    fn hang_up(&mut self) -> anyhow::Result<()> {
        self.type_line("terminate")
    }

    fn hold(&mut self) -> anyhow::Result<()> {
        self.type_line("pause")
    }

    fn resume(&mut self) -> anyhow::Result<()> {
        self.type_line("resume")
    }

    fn transfer(&mut self, number: &str) -> anyhow::Result<()> {
        let target = self.setup.target(number);
        self.type_line(&format!("transfer {target}"))
    }

    fn join_calls(&mut self) -> anyhow::Result<()> {
        // It numbers its calls from 1 on.
        self.type_line("transfer 1 --to-call 2")
    }

    fn mark(&self) -> Mark {
        Mark { events: 0, output: self.process.output().len() }
    }

    fn saw(&self, since: Mark, what: Happening) -> bool {
        let words: &[&str] = match what {
            Happening::Incoming => &["Receiving new incoming call"],
            Happening::Ringing => &[" ringing."],
            Happening::Up | Happening::TakenBack => &["Media streams established"],
            Happening::Holding => &["is now paused."],
            Happening::Held => &["has been paused by"],
            Happening::Over => &[" ended (", " error."],
        };
        self.process.said(since.output, words)
    }

    fn recordings(&self) -> anyhow::Result<Vec<PathBuf>> {
        let path = self.folder.join("heard.wav");
        // A recording of less than its header is one that has only begun.
        let begun = std::fs::metadata(&path).is_ok_and(|file| file.len() > 44);
        Ok(if begun { vec![path] } else { Vec::new() })
    }

    fn wait_heard(&self, hz: u32, before_s: f64) -> anyhow::Result<()> {
        wait_recorded(self, hz, before_s)
    }
}

impl Drop for Linphone {
    fn drop(&mut self) {
        // Asked to quit, it unregisters; the handle of the process ends it when it does not.
        let _ = self.type_line("quit");
        let _ = self.process.wait(Duration::from_secs(2));
    }
}

fn configuration(setup: &Setup) -> String {
    let Setup { extension, password, domain, registrar, expires_s, port, .. } = setup;
    let transport = setup.transport_parameter();
    let port_of = |own| if setup.transport == own { i32::from(*port) } else { -1 };
    let (udp, tcp, tls) = (port_of(Transport::Udp), port_of(Transport::Tcp), port_of(Transport::Tls));
    let trust = setup.authority.as_ref().map_or_else(String::new, |authority| {
        format!("verify_server_certs=1\nverify_server_cn=1\nroot_ca={}\n", authority.display())
    });
    let secrecy = if setup.srtp { "media_encryption=srtp\nmedia_encryption_mandatory=1\n" } else { "" };
    let version_6 = u8::from(setup.address.is_ipv6());
    format!(
        "[sip]\nsip_port={udp}\nsip_tcp_port={tcp}\nsip_tls_port={tls}\ndefault_proxy=0\nguess_hostname=1\n\
         use_ipv6={version_6}\nauto_net_state_mon=1\nrefresher_retry_after={RETRY_MS}\n{trust}{secrecy}[net]\nfirewall_policy=none\n\
         [rtp]\naudio_rtp_port={rtp}\n[sound]\nechocancellation=0\nagc=0\n[video]\nenabled=0\n\
         [proxy_0]\nreg_proxy=<sip:{registrar};transport={transport}>\n\
         reg_route=<sip:{registrar};transport={transport};lr>\nreg_identity=<sip:{extension}@{domain}>\n\
         reg_expires={expires_s}\nreg_sendregister=1\npublish=0\n\
         [auth_info_0]\nusername={extension}\nuserid={extension}\npasswd={password}\ndomain={domain}\n\
         [audio_codec_0]\nmime=PCMA\nrate=8000\nchannels=1\nenabled=1\n\
         [misc]\nadd_missing_audio_codecs=0\n",
        rtp = port + 6,
    )
}
