//! Random secrets: session tokens, bearer tokens, passwords. All from the operating system's generator.

use crate::error::ApiError;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq as _;

/// Characters of a generated password: no two that look alike (0 O, 1 l I).
const READABLE: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
/// Characters of a generated password: 5 bits each, 80 bits in all.
const PASSWORD_CHARACTERS: usize = 16;

/// `N` random bytes.
///
/// # Errors
/// The operating system has no randomness to give.
pub fn random<const N: usize>() -> Result<[u8; N], ApiError> {
    let mut bytes = [0_u8; N];
    getrandom::fill(&mut bytes).map_err(|_| ApiError::internal("the system gives no random bytes"))?;
    Ok(bytes)
}

/// A token of 256 bits, in characters that need no escaping anywhere.
///
/// # Errors
/// See [`random`].
pub fn token() -> Result<String, ApiError> {
    Ok(URL_SAFE_NO_PAD.encode(random::<32>()?))
}

/// A password a person can type: four groups of four.
///
/// # Errors
/// See [`random`].
pub fn password() -> Result<String, ApiError> {
    let mut text = String::with_capacity(PASSWORD_CHARACTERS + 3);
    for (i, byte) in random::<PASSWORD_CHARACTERS>()?.into_iter().enumerate() {
        if i > 0 && i % 4 == 0 {
            text.push('-');
        }
        text.extend(READABLE.get(usize::from(byte & 31)).map(|c| char::from(*c)));
    }
    Ok(text)
}

/// What is kept of a token, so that a reader of our memory or disk cannot use it.
#[must_use]
pub fn hashed(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// Equality that takes the same time whatever differs.
#[must_use]
pub fn equal(left: &str, right: &str) -> bool {
    left.as_bytes().ct_eq(right.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_and_tokens_are_long_and_never_the_same() {
        let (one, other) = (password().unwrap(), password().unwrap());
        assert_ne!(one, other);
        assert_eq!(one.len(), 19);
        assert_eq!(token().unwrap().len(), 43);
        assert!(equal("abc", "abc") && !equal("abc", "abd") && !equal("abc", "ab"));
    }
}
