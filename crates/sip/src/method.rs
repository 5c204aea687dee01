//! Request methods. An unknown one is a value: refusing it (405, 501) is the business of who answers.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A request method; names are case-sensitive (RFC 3261 §7.1).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Method {
    /// RFC 3261 §17.1.1.3
    Ack,
    /// RFC 3261 §15
    Bye,
    /// RFC 3261 §9
    Cancel,
    /// RFC 6086
    Info,
    /// RFC 3261 §13
    Invite,
    /// RFC 3428
    Message,
    /// RFC 6665
    Notify,
    /// RFC 3261 §11
    Options,
    /// RFC 3262
    Prack,
    /// RFC 3903
    Publish,
    /// RFC 3515
    Refer,
    /// RFC 3261 §10
    Register,
    /// RFC 6665
    Subscribe,
    /// RFC 3311
    Update,
    /// Anything else that is a token.
    Other(String),
}

impl Method {
    /// As it is written on the wire.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Method::Ack => "ACK",
            Method::Bye => "BYE",
            Method::Cancel => "CANCEL",
            Method::Info => "INFO",
            Method::Invite => "INVITE",
            Method::Message => "MESSAGE",
            Method::Notify => "NOTIFY",
            Method::Options => "OPTIONS",
            Method::Prack => "PRACK",
            Method::Publish => "PUBLISH",
            Method::Refer => "REFER",
            Method::Register => "REGISTER",
            Method::Subscribe => "SUBSCRIBE",
            Method::Update => "UPDATE",
            Method::Other(text) => text,
        }
    }
}

impl From<&str> for Method {
    fn from(text: &str) -> Method {
        match text {
            "ACK" => Method::Ack,
            "BYE" => Method::Bye,
            "CANCEL" => Method::Cancel,
            "INFO" => Method::Info,
            "INVITE" => Method::Invite,
            "MESSAGE" => Method::Message,
            "NOTIFY" => Method::Notify,
            "OPTIONS" => Method::Options,
            "PRACK" => Method::Prack,
            "PUBLISH" => Method::Publish,
            "REFER" => Method::Refer,
            "REGISTER" => Method::Register,
            "SUBSCRIBE" => Method::Subscribe,
            "UPDATE" => Method::Update,
            other => Method::Other(other.to_owned()),
        }
    }
}

impl From<String> for Method {
    fn from(text: String) -> Method {
        Method::from(text.as_str())
    }
}

impl From<Method> for String {
    fn from(method: Method) -> String {
        method.as_str().to_owned()
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
