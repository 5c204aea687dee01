//! Names of things: newtypes that cannot be mistaken for one another, checked when they are made.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

/// Nodes a cluster server accepts (ARC-24).
pub const NODES_MAX: u8 = 230;

/// Digits a dialled number or an extension may have (ITU-T E.164 allows 15; prefixes come on top).
pub const DIGITS_MAX: usize = 32;

/// Why a text is not the name it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The member number is outside 0..=230.
    #[error("member number {0} is out of range: the cluster server is 0, nodes are 1 to {NODES_MAX}")]
    MemberOutOfRange(u16),
    /// The text is not a member number at all.
    #[error("'{0}' is not a member number: use 0 for the cluster server, 1 to {NODES_MAX} for a node")]
    NotAMember(String),
    /// A number has a character that cannot be dialled, is empty or too long.
    #[error("'{0}' is not a number: 1 to {DIGITS_MAX} of the characters 0-9, * and #")]
    NotDigits(String),
    /// A cluster identity that is not a DNS label.
    #[error("'{0}' is not a cluster id: 2 to 40 of a-z, 0-9 and '-', starting with a letter")]
    NotAClusterId(String),
    /// A dongle identity with foreign characters.
    #[error("'{0}' is not a dongle id: 4 to 40 of A-Z, 0-9 and '-'")]
    NotADongleId(String),
}

/// A member of a cluster: 0 is the cluster server, 1 to 230 are the nodes (ARC-24, DEP-30).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct MemberNumber(u8);

impl MemberNumber {
    /// The cluster server.
    pub const CLUSTER_SERVER: MemberNumber = MemberNumber(0);

    /// True for the cluster server.
    #[must_use]
    pub fn is_cluster_server(self) -> bool {
        self.0 == 0
    }

    /// The number as it is written.
    #[must_use]
    pub fn get(self) -> u8 {
        self.0
    }
}

impl TryFrom<u16> for MemberNumber {
    type Error = IdError;
    fn try_from(number: u16) -> Result<Self, IdError> {
        match u8::try_from(number) {
            Ok(small) if small <= NODES_MAX => Ok(MemberNumber(small)),
            _ => Err(IdError::MemberOutOfRange(number)),
        }
    }
}

impl From<MemberNumber> for u16 {
    fn from(member: MemberNumber) -> u16 {
        u16::from(member.0)
    }
}

impl FromStr for MemberNumber {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let number: u16 = text.parse().map_err(|_| IdError::NotAMember(text.to_owned()))?;
        MemberNumber::try_from(number)
    }
}

impl fmt::Display for MemberNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

macro_rules! checked_text {
    ($(#[$doc:meta])* $name:ident, $error:ident, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The text itself.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                let check: fn(&str) -> bool = $check;
                if check(&text) { Ok($name(text)) } else { Err(IdError::$error(text)) }
            }
        }
        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                $name::try_from(text.to_owned())
            }
        }
        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

/// The number of a subscriber, or any dialled digits: 1 to 32 of `0-9 * #`. It is one piece of memory that is copied
/// and compared without looking elsewhere: every call and registration does both many times.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Extension {
    /// Zeros behind the last, so that the order is that of the text.
    digits: [u8; DIGITS_MAX],
    length: u8,
}

impl Extension {
    /// The text itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let digits = self.digits.get(..usize::from(self.length)).unwrap_or_default();
        std::str::from_utf8(digits).unwrap_or_default()
    }
}

impl FromStr for Extension {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let dialled = |byte: u8| byte.is_ascii_digit() || byte == b'*' || byte == b'#';
        let mut digits = [0; DIGITS_MAX];
        match (digits.get_mut(..text.len()), u8::try_from(text.len())) {
            (Some(place), Ok(length)) if length > 0 && text.bytes().all(dialled) => {
                place.copy_from_slice(text.as_bytes());
                Ok(Extension { digits, length })
            }
            _ => Err(IdError::NotDigits(text.to_owned())),
        }
    }
}

impl TryFrom<String> for Extension {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<Extension> for String {
    fn from(extension: Extension) -> String {
        extension.as_str().to_owned()
    }
}

impl Hash for Extension {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl fmt::Display for Extension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Extension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Extension({:?})", self.as_str())
    }
}

checked_text!(
    /// The identity of a cluster, fixed when it is created: a DNS label. It is the host part of every
    /// SIP address inside the cluster and the digest realm.
    ClusterId, NotAClusterId,
    |text| (2..=40).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
);

checked_text!(
    /// The identity of a machine, made at its first start and never changed (DEP-29).
    DongleId, NotADongleId,
    |text| (4..=40).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'-')
);

impl ClusterId {
    /// The host that names one member in SIP addresses, `n7.CLUSTER`: a name, never an address, so that
    /// a request finds its edge over whatever uplink is present.
    #[must_use]
    pub fn member_host(&self, member: MemberNumber) -> String {
        format!("n{member}.{self}")
    }

    /// The member that `host` names, if it is one of this cluster.
    #[must_use]
    pub fn member_of_host(&self, host: &str) -> Option<MemberNumber> {
        let (label, cluster) = host.split_once('.')?;
        if !cluster.eq_ignore_ascii_case(&self.0) {
            return None;
        }
        label.strip_prefix(['n', 'N'])?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arc_24_the_231st_node_number_is_refused() {
        assert_eq!("230".parse::<MemberNumber>().map(MemberNumber::get), Ok(230));
        assert_eq!("231".parse::<MemberNumber>(), Err(IdError::MemberOutOfRange(231)));
    }

    #[test]
    fn extensions_are_texts_in_the_order_of_texts() {
        let texts = ["#", "*21", "*", "2", "21", "2101", "3", "01234567890123456789012345678901"];
        let mut numbers: Vec<Extension> = texts.iter().map(|text| text.parse().unwrap()).collect();
        numbers.sort();
        let mut sorted = texts.to_vec();
        sorted.sort_unstable();
        assert_eq!(numbers.iter().map(Extension::as_str).collect::<Vec<_>>(), sorted);
        for text in ["", "21a", "2 1", "٣", "012345678901234567890123456789012"] {
            assert_eq!(text.parse::<Extension>(), Err(IdError::NotDigits(text.to_owned())));
        }
    }

    #[test]
    fn a_member_host_names_its_member_and_no_other_cluster() {
        let cluster: ClusterId = "c-1".parse().unwrap();
        let seven: MemberNumber = "7".parse().unwrap();
        assert_eq!(cluster.member_host(seven), "n7.c-1");
        assert_eq!(cluster.member_of_host("N7.C-1"), Some(seven));
        assert_eq!(cluster.member_of_host("n7.c-2"), None);
        assert_eq!(cluster.member_of_host("n231.c-1"), None);
    }
}
