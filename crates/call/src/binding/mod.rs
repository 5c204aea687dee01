//! A binding: one device of a subscriber, and how it is reached (RFC 3261 § 10).
//!
//! One device is one binding: it is named by its `+sip.instance` (RFC 5626) or, failing that, by its
//! contact address, so a phone that comes back from another port replaces itself and rings once.
//!
//! [`Binding`] is the value; what is held by the thousand, written to disk and told to other members is a
//! [`PackedBinding`].

mod packed;

pub(crate) use packed::packed_path;
pub use packed::{BindingRef, PackedBinding};

use model::Extension;
use serde::{Deserialize, Serialize};
use sip::Flow;
use std::fmt;
use std::time::Duration;

/// The name of a device among those of its subscriber.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Device(pub String);

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A registered device. The edge that accepted it is the only one that writes it; it is kept on disk
/// (kill-safe) and published to the cluster server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    /// The subscriber.
    pub extension: Extension,
    /// The device.
    pub device: Device,
    /// The address the phone wants to be called by, as it wrote it.
    pub contact: String,
    /// The proxies between it and us, the nearest to us first: the route of what is sent to it (RFC 3327).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub path: Vec<String>,
    /// Where its requests come from, and where calls to it are sent.
    pub flow: Flow,
    /// False while its connection is closed: it is not called until its next REGISTER.
    pub connected: bool,
    /// Its preference in thousandths, 1000 when it named none (RFC 3261 § 20.10).
    pub q: u16,
    /// When it was first registered.
    pub since: Duration,
    /// When it ends unless refreshed.
    pub until: Duration,
    /// The Call-ID of the phone's registrations.
    pub call_id: String,
    /// The CSeq of the last one: an older one with the same Call-ID changes nothing.
    pub cseq: u32,
    /// What the phone calls itself.
    pub user_agent: String,
}

/// A change of the bindings, to be kept and published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BindingChange {
    /// The device is bound like this now.
    Bound(PackedBinding),
    /// The device is not bound any more.
    Unbound {
        /// The subscriber.
        extension: Extension,
        /// The device.
        device: Device,
    },
}

impl BindingChange {
    /// The subscriber and the device it is about.
    #[must_use]
    pub fn subject(&self) -> (&str, &str) {
        match self {
            BindingChange::Bound(binding) => {
                let binding = binding.read();
                (binding.extension, binding.device)
            }
            BindingChange::Unbound { extension, device } => (extension.as_str(), &device.0),
        }
    }
}
