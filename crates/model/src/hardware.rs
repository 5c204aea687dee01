//! What a machine is made of, as far as its possible roles depend on it (ARC-08, ARC-09).

use serde::{Deserialize, Serialize};
use std::fmt;

/// The hardware type a machine reports when it is identified (DCS-15).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HardwareType {
    /// A general server, physical or virtual. The only type that may be a cluster server.
    Server,
    /// Small telephony hardware with TDM ports.
    Gateway,
    /// A box with deployment tool and call server in one.
    Ex,
    /// A small system of the 500 type.
    Small,
}

impl HardwareType {
    /// The word shown to people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            HardwareType::Server => "server",
            HardwareType::Gateway => "gateway",
            HardwareType::Ex => "ex",
            HardwareType::Small => "small",
        }
    }
}

impl fmt::Display for HardwareType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
