//! What a phone is told before it starts.

use call::Look;
use sip::Transport;
use sip::locate::Target;
use std::path::PathBuf;
use std::time::Duration;

/// One phone and what it shall do.
#[derive(Debug, Clone)]
pub struct Options {
    /// `host:port` of its registrar, or the host alone where `targets` say how it is reached.
    pub registrar: String,
    /// Its number.
    pub extension: String,
    /// Its secret.
    pub password: String,
    /// The SIP domain; none = the registrar's host.
    pub domain: Option<String>,
    /// UDP, TCP or TLS.
    pub transport: Transport,
    /// Where its registrar is and over what, in the order to be tried (RFC 3263 § 4.3); none = the first address the system
    /// finds for `registrar`, over `transport`.
    pub targets: Vec<Target>,
    /// Over TLS: the certificate (PEM) of the authority it believes; without one it believes whoever answers.
    pub authority: Option<PathBuf>,
    /// The numbers it has lamps for.
    pub watches: Vec<String>,
    /// Who is told what a lamp shows.
    pub lamps: fn(&str, Look),
    /// How long a registration is asked for, in seconds.
    pub expires_s: u32,
    /// The tone it sends; none = a random one between 400 and 2,000 Hz.
    pub tone_hz: Option<u16>,
    /// Keys it presses when the call is up.
    pub digits: String,
    /// Holds the call for a third of the talk and takes it back.
    pub hold: bool,
    /// How long it talks, or stays registered.
    pub talk: Duration,
    /// How long it waits for an answer, or for a call.
    pub patience: Duration,
    /// What it does.
    pub script: Script,
}

/// What a phone does with its life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Script {
    /// Registers, stays for the time of a talk, unregisters.
    Register,
    /// Registers, and tells what its lamps show for the time of a talk.
    Watch,
    /// Calls a number, talks, hangs up.
    Call {
        /// Whom.
        number: String,
    },
    /// Waits for one call, lets it ring, answers, talks until the other hangs up or the talk is over twice.
    Answer {
        /// How long it rings.
        ring: Duration,
    },
}

impl Options {
    /// A phone with the usual settings, that only registers.
    #[must_use]
    pub fn new(registrar: &str, extension: &str, password: &str) -> Options {
        Options {
            registrar: registrar.to_owned(),
            extension: extension.to_owned(),
            password: password.to_owned(),
            domain: None,
            transport: Transport::Udp,
            targets: Vec::new(),
            authority: None,
            watches: Vec::new(),
            lamps: |_, _| {},
            expires_s: 300,
            tone_hz: None,
            digits: String::new(),
            hold: false,
            talk: Duration::from_secs(3),
            patience: Duration::from_secs(30),
            script: Script::Register,
        }
    }

    /// The same in this SIP domain.
    #[must_use]
    pub fn in_domain(mut self, domain: &str) -> Options {
        self.domain = Some(domain.to_owned());
        self
    }

    /// The same over this transport.
    #[must_use]
    pub fn over(mut self, transport: Transport) -> Options {
        self.transport = transport;
        self
    }

    /// The same with another script.
    #[must_use]
    pub fn doing(mut self, script: Script) -> Options {
        self.script = script;
        self
    }

    pub(super) fn domain(&self) -> &str {
        self.domain.as_deref().unwrap_or(self.host())
    }

    /// The host of its registrar.
    pub(super) fn host(&self) -> &str {
        let whole = self.registrar.as_str();
        match whole.rsplit_once(':') {
            Some((host, _)) if !whole.ends_with(']') => host,
            _ => whole,
        }
    }
}
