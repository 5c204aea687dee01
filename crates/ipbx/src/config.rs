//! The settings of one call server: a TOML file, read once at the start.
//!
//! Each field's comment is also the text of the sample file (`packaging/ipbx.toml`) and of the manual. A key
//! that is not known is an error, not a warning: a misspelt setting that silently keeps its default is the
//! worst kind of fault to find. What the manager decides (role, cluster, address of the cluster server) is
//! not here but in the state folder, because it changes while the process runs.

use crate::shell::phones::Ports;
mod flood;
mod media;

pub use flood::FloodConfig;
pub use media::MediaConfig;

use model::{HardwareType, Release};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// Why the settings cannot be used. The operator's to mend; nothing was started.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error(
        "cannot read the configuration {path}: {source}\n  fix: give the path of an existing file with --config"
    )]
    Unreadable {
        /// Where it was looked for.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// It is no TOML, or a key is unknown, missing or of the wrong type.
    #[error("{path}, line {line}: {reason}\n  fix: {fix}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line at fault, from 1.
        line: usize,
        /// What the parser says.
        reason: String,
        /// What to do about it.
        fix: String,
    },
    /// A value is well-formed and cannot be.
    #[error("{path}: {field}: {reason}\n  fix: change '{field}' in that file")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// The setting at fault.
        field: &'static str,
        /// What is wrong and what would be right.
        reason: String,
    },
}

/// The settings of a call server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The state folder: identity, role, databases. Made at the first start, readable by its owner only.
    pub dir: PathBuf,
    /// The name of this machine on pages and in logs.
    #[serde(default = "default_name")]
    pub name: String,
    /// The address to listen on, for SIP, web and cluster link. `0.0.0.0` is every IPv4 address, `::` every address.
    #[serde(default = "default_bind")]
    pub bind: IpAddr,
    /// Port of SIP, UDP and TCP. 0 lets the system choose.
    #[serde(default = "default_sip_port")]
    pub sip_port: u16,
    /// Port of SIP over TLS. 0 lets the system choose.
    #[serde(default = "default_sip_tls_port")]
    pub sip_tls_port: u16,
    /// Threads that carry calls, each with a share of the subscribers: 1 to 16. The default is one a core, at most 4.
    /// A start with another number than before does not take over calls.
    #[serde(default = "default_sip_shards")]
    pub sip_shards: u8,
    /// Port of the HTTPS web administration and API. 0 lets the system choose.
    #[serde(default = "default_web_port")]
    pub web_port: u16,
    /// Port where a cluster server accepts the links of its nodes (TLS). 0 lets the system choose.
    #[serde(default = "default_link_port")]
    pub link_port: u16,
    /// What this machine is made of, reported when it is identified: server, gateway, ex or small.
    #[serde(default = "default_hardware_type")]
    pub hardware_type: HardwareType,
    /// The release this machine reports. Only a rehearsal of an update has a reason to set it.
    #[serde(default = "default_release")]
    pub release: Release,
    /// Seconds a stop (SIGTERM) waits for calls in progress to end by themselves, 0 to 86400.
    #[serde(default)]
    pub drain_seconds: u32,
    /// How media travel.
    #[serde(default)]
    pub media: MediaConfig,
    /// What strangers may send.
    #[serde(default)]
    pub flood: FloodConfig,
    /// What is logged, in the words of tracing's filter: `info`, `warn`, `ipbx=debug`.
    #[serde(default = "default_log")]
    pub log: String,
    /// Whether dialled and calling numbers are shown in the log. They are personal data: off unless asked for.
    #[serde(default)]
    pub log_numbers: bool,
}

fn default_name() -> String {
    "ipbx".to_owned()
}
fn default_bind() -> IpAddr {
    IpAddr::V4(std::net::Ipv4Addr::LOCALHOST)
}
fn default_sip_port() -> u16 {
    5060
}
fn default_sip_tls_port() -> u16 {
    5061
}
fn default_sip_shards() -> u8 {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    u8::try_from(cores.min(4)).unwrap_or(1)
}
fn default_web_port() -> u16 {
    7501
}
fn default_link_port() -> u16 {
    7601
}
fn default_hardware_type() -> HardwareType {
    HardwareType::Server
}
fn default_release() -> Release {
    model::release::THIS
}
fn default_log() -> String {
    "info".to_owned()
}

/// Threads that carry calls, at most.
const SIP_SHARDS_MAX: u8 = 16;
/// The longest drain an operator may ask for: a day.
const DRAIN_SECONDS_MAX: u32 = 86_400;

impl Config {
    /// The settings with every default, for a state folder.
    #[must_use]
    pub fn with_dir(dir: PathBuf) -> Config {
        Config {
            dir,
            name: default_name(),
            bind: default_bind(),
            sip_port: default_sip_port(),
            sip_tls_port: default_sip_tls_port(),
            sip_shards: default_sip_shards(),
            web_port: default_web_port(),
            link_port: default_link_port(),
            hardware_type: default_hardware_type(),
            release: default_release(),
            drain_seconds: 0,
            media: MediaConfig::default(),
            flood: FloodConfig::default(),
            log: default_log(),
            log_numbers: false,
        }
    }

    /// Reads and checks a file. A relative `dir` is taken from the folder of the file.
    ///
    /// # Errors
    /// See [`ConfigError`]; each says where the fault is and what to do.
    pub fn load(path: &Path) -> Result<Config, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
        let mut config = Config::parse(path, &text)?;
        if config.dir.is_relative()
            && let Some(folder) = path.parent()
        {
            config.dir = folder.join(&config.dir);
        }
        Ok(config)
    }

    /// Reads and checks the text of a file.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn parse(path: &Path, text: &str) -> Result<Config, ConfigError> {
        let config: Config = toml::from_str(text).map_err(|fault| malformed(path, text, &fault))?;
        config.check(path)?;
        Ok(config)
    }

    /// The ports of SIP.
    pub(crate) fn sip_ports(&self) -> Ports {
        Ports { plain: self.sip_port, tls: self.sip_tls_port }
    }

    fn check(&self, path: &Path) -> Result<(), ConfigError> {
        let invalid = |field, reason: &str| {
            Err(ConfigError::Invalid { path: path.to_owned(), field, reason: reason.to_owned() })
        };
        if self.name.is_empty() || self.name.chars().count() > 64 || self.name.chars().any(char::is_control) {
            return invalid("name", "1 to 64 printable characters are needed");
        }
        if self.drain_seconds > DRAIN_SECONDS_MAX {
            return invalid("drain_seconds", "at most 86400 seconds (a day)");
        }
        if self.sip_shards == 0 || self.sip_shards > SIP_SHARDS_MAX {
            return invalid("sip_shards", "1 to 16 threads");
        }
        if let Some((field, reason)) = self.media.fault() {
            return invalid(field, reason);
        }
        if self.dir.as_os_str().is_empty() {
            return invalid("dir", "the path of a folder is needed");
        }
        let ports = [self.sip_port, self.sip_tls_port, self.web_port, self.link_port];
        let mut given: Vec<u16> = ports.into_iter().filter(|port| *port != 0).collect();
        let count = given.len();
        given.sort_unstable();
        given.dedup();
        if given.len() < count {
            let reason = "sip_port, sip_tls_port, web_port and link_port must differ from one another";
            return invalid("sip_port", reason);
        }
        Ok(())
    }
}

/// Turns the parser's fault into the line and the remedy.
fn malformed(path: &Path, text: &str, fault: &toml::de::Error) -> ConfigError {
    let start = fault.span().map_or(0, |span| span.start);
    let line = text.bytes().take(start).filter(|byte| *byte == b'\n').count() + 1;
    let reason = fault.message().to_owned();
    let fix = if reason.starts_with("unknown field") {
        "remove the key or correct its spelling".to_owned()
    } else if reason.starts_with("missing field") {
        "add the key; packaging/ipbx.toml shows every setting with its default".to_owned()
    } else {
        "correct the value; packaging/ipbx.toml shows every setting with its default".to_owned()
    };
    ConfigError::Malformed { path: path.to_owned(), line, reason, fix }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, ConfigError> {
        Config::parse(Path::new("ipbx.toml"), text)
    }

    #[test]
    fn a_folder_is_enough_and_the_rest_has_defaults() {
        let config = parse("dir = \"/var/lib/pleiad\"").unwrap();
        assert_eq!(config, Config::with_dir(PathBuf::from("/var/lib/pleiad")));
    }

    #[test]
    fn a_misspelt_key_is_refused_with_its_line_and_the_remedy() {
        let fault = parse("dir = \"x\"\n\nsip_prot = 5060\n").unwrap_err().to_string();
        assert!(fault.contains("line 3"), "{fault}");
        assert!(fault.contains("sip_prot") && fault.contains("fix:"), "{fault}");
    }

    #[test]
    fn a_value_of_the_wrong_type_is_refused_with_its_line() {
        let fault = parse("dir = \"x\"\nsip_port = 99999\n").unwrap_err().to_string();
        assert!(fault.contains("line 2"), "{fault}");
    }

    #[test]
    fn two_services_on_one_port_are_refused_before_any_socket_is_opened() {
        let fault = parse("dir = \"x\"\nsip_port = 7000\nweb_port = 7000\n").unwrap_err().to_string();
        assert!(fault.contains("must differ"), "{fault}");
        assert!(parse("dir = \"x\"\nsip_tls_port = 5060\n").is_err());
        assert!(parse("dir = \"x\"\nsip_port = 0\nsip_tls_port = 0\nweb_port = 0\nlink_port = 0\n").is_ok());
    }

    #[test]
    fn media_settings_that_cannot_be_are_refused_by_name() {
        for (line, field) in [
            ("first_port = 80", "media.first_port"),
            ("last_port = 20002", "media.first_port"),
            ("silence_seconds = 1", "media.silence_seconds"),
            ("threads = 0", "media.threads"),
        ] {
            let fault = parse(&format!("dir = \"x\"\n[media]\n{line}\n")).unwrap_err().to_string();
            assert!(fault.contains(field), "{fault}");
        }
        let config = parse("dir = \"x\"\n[media]\nanchor = \"always\"\naddress = \"203.0.113.5\"\n").unwrap();
        assert_eq!(config.media.settings().anchor, call::AnchorWhen::Always);
    }

    #[test]
    fn a_missing_file_is_named() {
        let fault = Config::load(Path::new("/nonexistent/ipbx.toml")).unwrap_err().to_string();
        assert!(fault.contains("/nonexistent/ipbx.toml") && fault.contains("fix:"), "{fault}");
    }
}
