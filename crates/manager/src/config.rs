//! The manager's settings: one TOML file, every field named here, unknown ones refused.

use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file is not what it should be; the text names line and column.
    #[error("{}: {source}", path.display())]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// What the parser says.
        source: Box<toml::de::Error>,
    },
    /// A field has a value that cannot be.
    #[error("{}: {field}: {reason}", path.display())]
    Invalid {
        /// Which file.
        path: PathBuf,
        /// Which field.
        field: &'static str,
        /// What is wrong and what would be right.
        reason: String,
    },
}

/// The settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where everything is kept: topology, secrets, certificate, operations log.
    pub dir: PathBuf,
    /// What the manager calls itself towards machines and people.
    #[serde(default = "default_name")]
    pub name: String,
    /// Where it listens (HTTPS); port 0 takes any free one.
    #[serde(default = "default_bind")]
    pub bind: SocketAddr,
    /// `host:port` under which machines reach it, when that is not `bind` (NAT, or bound to all addresses).
    #[serde(default)]
    pub public: Option<String>,
}

fn default_name() -> String {
    "manager".to_owned()
}

fn default_bind() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 7443))
}

impl Config {
    /// Settings with every default.
    #[must_use]
    pub fn new(dir: &Path) -> Config {
        Config { dir: dir.to_owned(), name: default_name(), bind: default_bind(), public: None }
    }

    /// Reads the file.
    ///
    /// # Errors
    /// See [`ConfigError`]; the text says where and how to put it right.
    pub fn read(path: &Path) -> Result<Config, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
        Config::parse(path, &text)
    }

    /// Reads the text of the file `path`; a relative `dir` is relative to the file.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn parse(path: &Path, text: &str) -> Result<Config, ConfigError> {
        let mut config: Config = toml::from_str(text)
            .map_err(|source| ConfigError::Malformed { path: path.to_owned(), source: Box::new(source) })?;
        if config.dir.is_relative() {
            config.dir = path.parent().unwrap_or(Path::new("")).join(&config.dir);
        }
        config.check().map_err(|(field, reason)| ConfigError::Invalid {
            path: path.to_owned(),
            field,
            reason,
        })?;
        Ok(config)
    }

    fn check(&self) -> Result<(), (&'static str, String)> {
        if self.name.is_empty() || self.name.len() > 64 {
            return Err(("name", "1 to 64 characters are needed".to_owned()));
        }
        if let Some(public) = &self.public {
            model::topology::HostPort::parse(public, self.bind.port())
                .map_err(|fault| ("public", fault.to_string()))?;
        }
        if self.bind.ip().is_unspecified() && self.public.is_none() {
            let reason = "the manager listens on all addresses, so machines must be told which to use: \
                          add public = \"HOST:PORT\"";
            return Err(("bind", reason.to_owned()));
        }
        Ok(())
    }

    /// `host:port` under which machines reach the manager that listens on `listening`.
    #[must_use]
    pub fn public_address(&self, listening: SocketAddr) -> String {
        match &self.public {
            Some(text) => model::topology::HostPort::parse(text, listening.port())
                .map_or_else(|_| text.clone(), |address| address.to_string()),
            None => listening.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, String> {
        Config::parse(Path::new("/etc/pleiad/manager.toml"), text).map_err(|fault| fault.to_string())
    }

    #[test]
    fn a_folder_is_all_that_is_needed() {
        let config = parse("dir = \"state\"").unwrap();
        assert_eq!(config, Config::new(Path::new("/etc/pleiad/state")));
    }

    #[test]
    fn an_unknown_field_is_refused_with_its_line() {
        let fault = parse("dir = \"state\"\nbidn = \"127.0.0.1:1\"").unwrap_err();
        assert!(fault.contains("line 2") && fault.contains("bidn"), "{fault}");
    }

    #[test]
    fn listening_everywhere_needs_an_address_to_be_known_by() {
        let fault = parse("dir = \"s\"\nbind = \"0.0.0.0:7443\"").unwrap_err();
        assert!(fault.contains("public ="), "{fault}");
        let config = parse("dir = \"s\"\nbind = \"0.0.0.0:7443\"\npublic = \"manager.example\"").unwrap();
        assert_eq!(config.public_address(config.bind), "manager.example:7443");
        assert!(parse("dir = \"s\"\npublic = \"a b\"").unwrap_err().contains("public"));
    }
}
