//! The manager's side of a machine's HTTPS API: a pinned connection to one machine, and the claim.
//!
//! The machine's certificate is self-signed; what makes it the right one is the claim code. Both ends prove they
//! know the code by an HMAC over the fingerprint each of them sees, so a man in the middle, who must show another
//! certificate, can neither claim the machine nor pose as it.

pub mod wire;

use crate::vault::MachineSecret;
use hmac::{Hmac, KeyInit as _, Mac as _};
use model::deploy::clock_offset_ms;
use model::topology::HostPort;
use sha2::Sha256;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use web::{Client, ClientError, Fingerprint};
use wire::{ClaimAnswer, ClaimRequest, CsrAnswer, CsrRequest, Identity, ManagerContact, RoleRequest, State};

/// How long a machine may take to answer.
const ANSWER_DEADLINE: Duration = Duration::from_secs(5);
/// How long it may take to answer a role: it writes its state and stops its engine first.
const ROLE_DEADLINE: Duration = Duration::from_secs(20);

/// Why a machine could not be claimed or asked.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// No answer, or a refusal.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The certificate it names is not the one it shows, or it does not know the code it should have made.
    #[error(
        "the machine at {address} could not prove that it knows the claim code: a man in the middle, or another machine"
    )]
    NoProof {
        /// Where.
        address: String,
    },
}

impl MachineError {
    /// The machine's own refusal, if it answered with one.
    #[must_use]
    pub fn refusal(&self) -> Option<&web::ApiError> {
        match self {
            MachineError::Client(fault) => fault.refusal(),
            MachineError::NoProof { .. } => None,
        }
    }
}

/// What a first look at a machine shows.
#[derive(Debug, Clone)]
pub struct Look {
    /// What it says of itself.
    pub identity: Identity,
    /// The certificate it presents.
    pub fingerprint: Fingerprint,
}

/// Milliseconds since the Unix epoch by this machine's wall clock.
#[must_use]
pub fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Looks at a machine that was never claimed, believing any certificate.
///
/// # Errors
/// See [`MachineError`].
pub async fn look(address: &HostPort) -> Result<Look, MachineError> {
    let client = Client::learning(&address.to_string())?.with_deadline(ANSWER_DEADLINE);
    let identity: Identity = client.get("/api/v1/identity").await?;
    let no_proof = || MachineError::NoProof { address: address.to_string() };
    let fingerprint = client.fingerprint_seen().ok_or_else(no_proof)?;
    // A relay that only passes the identity on is seen here; one that rewrites it fails the proof.
    if identity.fingerprint.parse() == Ok(fingerprint) {
        Ok(Look { identity, fingerprint })
    } else {
        Err(no_proof())
    }
}

/// Claims the machine that was looked at: from now on it obeys this manager only.
///
/// # Errors
/// See [`MachineError`].
pub async fn claim(
    address: &HostPort,
    look: &Look,
    code: &str,
    nonce: &str,
    contact: ManagerContact,
) -> Result<MachineSecret, MachineError> {
    let client = Client::pinned(&address.to_string(), look.fingerprint)?.with_deadline(ANSWER_DEADLINE);
    let fingerprint = &look.identity.fingerprint;
    let request = ClaimRequest {
        nonce: nonce.to_owned(),
        proof: proof(code, "claim", fingerprint, nonce),
        manager: contact,
    };
    let answer: ClaimAnswer = client.post("/api/v1/claim", &request).await?;
    if !web::secret::equal(&answer.proof.to_ascii_lowercase(), &proof(code, "machine", fingerprint, nonce)) {
        return Err(MachineError::NoProof { address: address.to_string() });
    }
    Ok(MachineSecret { token: answer.token, announce_token: answer.announce_token })
}

/// `HMAC-SHA256(code, word \n fingerprint \n nonce)` in hexadecimal.
#[must_use]
pub fn proof(code: &str, word: &str, fingerprint: &str, nonce: &str) -> String {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(code.as_bytes()) else {
        return String::new(); // HMAC takes keys of any length; an empty proof fits nothing.
    };
    mac.update(format!("{word}\n{fingerprint}\n{nonce}").as_bytes());
    mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A claimed machine: a kept connection, the pinned certificate, our token.
#[derive(Debug, Clone)]
pub struct Machine {
    client: Client,
}

impl Machine {
    /// The machine at this address, if it has this certificate.
    ///
    /// # Errors
    /// [`ClientError::Address`].
    pub fn new(address: &HostPort, fingerprint: Fingerprint, token: &str) -> Result<Machine, ClientError> {
        let client = Client::pinned(&address.to_string(), fingerprint)?;
        Ok(Machine { client: client.with_token(token).with_deadline(ANSWER_DEADLINE) })
    }

    /// The connection, for what is passed through.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Its identity, and its clock against ours (PRE-14).
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn identity(&self) -> Result<(Identity, i64), ClientError> {
        let before = unix_ms();
        let identity: Identity = self.client.get("/api/v1/identity").await?;
        let offset = clock_offset_ms(before, identity.unix_ms, unix_ms());
        Ok((identity, offset))
    }

    /// Its state, and its clock against ours.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn state(&self) -> Result<(State, i64), ClientError> {
        let before = unix_ms();
        let state: State = self.client.get("/api/v1/state").await?;
        let offset = clock_offset_ms(before, state.unix_ms, unix_ms());
        Ok((state, offset))
    }

    /// Has it ask for certificates of its key, and say how phones reach it.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn csr(&self, common_name: &str) -> Result<CsrAnswer, ClientError> {
        let request = CsrRequest { common_name: common_name.to_owned() };
        self.client.post("/api/v1/csr", &request).await
    }

    /// Gives it a role; it rebuilds its engine and announces itself.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn set_role(&self, request: &RoleRequest) -> Result<(), ClientError> {
        let client = self.client.clone().with_deadline(ROLE_DEADLINE);
        let _accepted: serde_json::Value = client.post("/api/v1/role", request).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_proof_depends_on_code_word_certificate_and_nonce() {
        let base = proof("CODE", "claim", "AA", "n");
        assert_eq!(base.len(), 64);
        for other in [
            proof("CODF", "claim", "AA", "n"),
            proof("CODE", "machine", "AA", "n"),
            proof("CODE", "claim", "AB", "n"),
            proof("CODE", "claim", "AA", "m"),
        ] {
            assert_ne!(base, other);
        }
    }
}
