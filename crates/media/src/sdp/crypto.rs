//! `a=crypto` (RFC 4568): the keys of SRTP in a description.
//!
//! A line is read when we can do all it asks: one of our suites, one key, no MKI and no session parameter but
//! `WSH`. Another line is left aside, as RFC 4568 § 5.1.2 wants it.

use super::{Attribute, Media};
use crate::srtp::{MasterKey, Suite};
use serde::{Deserialize, Serialize};

/// The attribute's name.
const CRYPTO: &str = "crypto";
/// Digits of a tag (RFC 4568 § 9.1).
const TAG_DIGITS_MAX: usize = 9;

/// One line: what its writer seals with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Crypto {
    /// Names the line in the answer.
    pub tag: u32,
    /// The suite.
    pub suite: Suite,
    /// The key.
    pub key: MasterKey,
}

impl Crypto {
    /// The attribute.
    #[must_use]
    pub fn attribute(&self) -> Attribute {
        let Crypto { tag, suite, key } = self;
        Attribute::with(CRYPTO, format!("{tag} {} inline:{}", suite.name(), key.to_base64()))
    }

    /// Reads the value of the attribute. `None` for what we cannot do.
    #[must_use]
    pub fn parse(value: &str) -> Option<Crypto> {
        let mut words = value.split_ascii_whitespace();
        let (tag, suite, key) = (words.next()?, words.next()?, words.next()?);
        let tag = (tag.len() <= TAG_DIGITS_MAX).then(|| tag.parse().ok())??;
        let suite = Suite::ALL.into_iter().find(|known| known.name().eq_ignore_ascii_case(suite))?;
        let (method, key) = key.split_once(':')?;
        if !method.eq_ignore_ascii_case("inline") || key.contains(';') {
            return None;
        }
        let mut parts = key.split('|');
        let key = MasterKey::from_base64(parts.next()?).ok()?;
        // A lifetime may follow; an MKI (with a colon) may not.
        let plain = parts.all(|part| !part.contains(':'));
        let understood = words.all(|parameter| parameter.starts_with("WSH="));
        (plain && understood).then_some(Crypto { tag, suite, key })
    }
}

impl Media {
    /// The `a=crypto` lines we can do, in the order of their writer's preference.
    pub fn cryptos(&self) -> impl Iterator<Item = Crypto> {
        let lines = self.attributes.iter().filter(|attribute| attribute.name == CRYPTO);
        lines.filter_map(|attribute| Crypto::parse(attribute.value.as_deref()?))
    }

    /// Takes all keys out.
    pub(super) fn remove_cryptos(&mut self) {
        self.attributes.retain(|attribute| attribute.name != CRYPTO);
    }
}
