//! Enrolment: an unclaimed machine answers identification only; the first manager that proves it knows the
//! claim code owns it, until a TOTAL start (DESIGN § 6).
//!
//! The code is never sent. Both ends prove they know it by an HMAC over the fingerprint of the server
//! certificate *as each sees it*, so a man in the middle, who must show a certificate of his own, makes
//! proofs that do not fit. On disk are the code (until claimed) and then only a hash of the bearer token.
//!
//! ```text
//! manager                                             machine
//!   POST /api/v1/claim {nonce, proof}   ------------>   proof = HMAC(code, "claim\n"   fingerprint "\n" nonce)
//!   <------------ {token, announce_token, proof}        proof = HMAC(code, "machine\n" fingerprint "\n" nonce)
//! ```

use crate::files::{self, FileError};
use crate::identity::{IdentityError, hex, random};
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::time::Duration;
use subtle::ConstantTimeEq;

/// The file that holds who owns the machine.
const OWNER_FILE: &str = "owner.json";
/// The file that holds the code until the machine is claimed.
const CODE_FILE: &str = "claim-code";
/// Letters of a code: no two that are mistaken for one another when read aloud.
const ALPHABET: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
/// Wrong proofs accepted at once; after that one more every [`ATTEMPT_PERIOD`].
const ATTEMPTS_MAX: u32 = 5;
/// Time in which one more attempt is earned.
const ATTEMPT_PERIOD: Duration = Duration::from_secs(10);
/// Characters of a nonce, manager name or URL that are taken.
const TEXT_MAX: usize = 512;

/// Why a claim fails; the machine is as it was.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// Somebody owns the machine already.
    #[error("this machine is already claimed by '{manager}'")]
    AlreadyClaimed {
        /// The owner's name.
        manager: String,
    },
    /// The code was wrong, or somebody sits in between.
    #[error("the proof does not fit the claim code of this machine")]
    WrongProof,
    /// Too many wrong proofs.
    #[error("too many wrong claims; wait {0} s")]
    TooManyAttempts(u64),
    /// A field is empty or too long.
    #[error("field '{0}' must have 1 to {TEXT_MAX} characters")]
    BadField(&'static str),
    /// The state folder.
    #[error(transparent)]
    File(#[from] FileError),
    /// Random bytes.
    #[error(transparent)]
    Random(#[from] IdentityError),
}

/// How a machine reaches its manager.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ManagerContact {
    /// Its name, for people.
    pub name: String,
    /// Where the machine announces itself (PBX_INFOS).
    pub announce_url: String,
    /// SHA-256 of the manager's web certificate, in hexadecimal.
    pub announce_fingerprint: String,
}

/// The body of a claim.
#[derive(Debug, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ClaimRequest {
    /// Fresh random text of the manager.
    pub nonce: String,
    /// Proof that it knows the code, hexadecimal.
    pub proof: String,
    /// How to reach it.
    pub manager: ManagerContact,
}

/// The answer to a claim that succeeded: the only time the tokens are seen.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ClaimAnswer {
    /// The bearer token of the management API.
    pub token: String,
    /// The bearer token this machine announces itself with.
    pub announce_token: String,
    /// Proof that this machine knows the code too.
    pub proof: String,
}

/// Who owns the machine, as stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Owner {
    /// How to reach it.
    pub manager: ManagerContact,
    /// SHA-256 of its bearer token, in hexadecimal.
    token_sha256: String,
    /// What this machine proves itself with when it announces itself.
    pub announce_token: String,
}

/// The enrolment of this machine.
#[derive(Debug)]
pub struct Enrolment {
    dir: PathBuf,
    fingerprint: String,
    state: State,
    attempts: Attempts,
}

#[derive(Debug)]
enum State {
    Unclaimed { code: String },
    Claimed(Owner),
}

impl Enrolment {
    /// Reads the enrolment, or makes a claim code when there is none.
    ///
    /// # Errors
    /// When the state folder cannot be used.
    pub fn load_or_make(dir: &Path, fingerprint: &str) -> Result<Enrolment, ClaimError> {
        let state = match files::read_json::<Owner>(&dir.join(OWNER_FILE))? {
            Some(owner) => State::Claimed(owner),
            None => State::Unclaimed { code: load_or_make_code(&dir.join(CODE_FILE))? },
        };
        Ok(Enrolment {
            dir: dir.to_owned(),
            fingerprint: fingerprint.to_owned(),
            state,
            attempts: Attempts::default(),
        })
    }

    /// The code to show on the console, while nobody owns the machine.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        match &self.state {
            State::Unclaimed { code } => Some(code),
            State::Claimed(_) => None,
        }
    }

    /// The owner, if there is one.
    #[must_use]
    pub fn owner(&self) -> Option<&Owner> {
        match &self.state {
            State::Unclaimed { .. } => None,
            State::Claimed(owner) => Some(owner),
        }
    }

    /// True when `token` is the owner's bearer token. Takes the same time whether it is or not.
    #[must_use]
    pub fn is_owner(&self, token: &str) -> bool {
        let given = hex(&Sha256::digest(token.as_bytes()));
        self.owner().is_some_and(|owner| owner.token_sha256.as_bytes().ct_eq(given.as_bytes()).into())
    }

    /// Gives the machine to whoever proves to know the code.
    ///
    /// # Errors
    /// See [`ClaimError`]; nothing is changed then, but the count of attempts.
    pub fn claim(&mut self, now: Duration, request: &ClaimRequest) -> Result<ClaimAnswer, ClaimError> {
        let code = match &self.state {
            State::Claimed(owner) => {
                return Err(ClaimError::AlreadyClaimed { manager: owner.manager.name.clone() });
            }
            State::Unclaimed { code } => code.clone(),
        };
        check_fields(request)?;
        self.attempts.take(now)?;
        if !proof_fits(&code, "claim", &self.fingerprint, &request.nonce, &request.proof) {
            return Err(ClaimError::WrongProof);
        }
        let token = hex(&random::<32>()?);
        let announce_token = hex(&random::<32>()?);
        let owner = Owner {
            manager: request.manager.clone(),
            token_sha256: hex(&Sha256::digest(token.as_bytes())),
            announce_token: announce_token.clone(),
        };
        files::write_json(&self.dir.join(OWNER_FILE), &owner)?;
        files::remove(&self.dir.join(CODE_FILE))?;
        self.state = State::Claimed(owner);
        let proof = make_proof(&code, "machine", &self.fingerprint, &request.nonce);
        Ok(ClaimAnswer { token, announce_token, proof })
    }
}

impl Enrolment {
    /// Gives the machine up: nobody owns it, and a new code is made for the next manager.
    ///
    /// # Errors
    /// When the state folder cannot be used; the machine then stays owned.
    pub fn release(&mut self) -> Result<(), ClaimError> {
        let code = load_or_make_code(&self.dir.join(CODE_FILE))?;
        files::remove(&self.dir.join(OWNER_FILE))?;
        self.state = State::Unclaimed { code };
        Ok(())
    }
}

fn load_or_make_code(path: &Path) -> Result<String, ClaimError> {
    if let Ok(text) = std::fs::read_to_string(path)
        && !text.trim().is_empty()
    {
        return Ok(text.trim().to_owned());
    }
    let letters: Vec<char> = random::<16>()?
        .iter()
        .filter_map(|byte| ALPHABET.get(usize::from(byte % 32)).map(|letter| char::from(*letter)))
        .collect();
    let code = letters.chunks(4).map(|group| group.iter().collect::<String>()).collect::<Vec<_>>().join("-");
    files::write_private(path, format!("{code}\n").as_bytes())?;
    Ok(code)
}

fn check_fields(request: &ClaimRequest) -> Result<(), ClaimError> {
    let fields = [
        ("nonce", &request.nonce),
        ("proof", &request.proof),
        ("manager.name", &request.manager.name),
        ("manager.announce_url", &request.manager.announce_url),
        ("manager.announce_fingerprint", &request.manager.announce_fingerprint),
    ];
    match fields.iter().find(|(_, text)| text.is_empty() || text.len() > TEXT_MAX) {
        Some((name, _)) => Err(ClaimError::BadField(name)),
        None => Ok(()),
    }
}

fn keyed(code: &str, word: &str, fingerprint: &str, nonce: &str) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(code.as_bytes()).ok()?;
    mac.update(format!("{word}\n{fingerprint}\n{nonce}").as_bytes());
    Some(mac)
}

/// The proof of either end, as the contract words it: `word` is `claim` or `machine`.
#[must_use]
pub fn make_proof(code: &str, word: &str, fingerprint: &str, nonce: &str) -> String {
    keyed(code, word, fingerprint, nonce).map(|mac| hex(&mac.finalize().into_bytes())).unwrap_or_default()
}

fn proof_fits(code: &str, word: &str, fingerprint: &str, nonce: &str, given: &str) -> bool {
    let expected = make_proof(code, word, fingerprint, nonce);
    !expected.is_empty() && expected.as_bytes().ct_eq(given.to_ascii_lowercase().as_bytes()).into()
}

/// A bucket of attempts that refills with time.
#[derive(Debug)]
struct Attempts {
    left: u32,
    since: Duration,
}

impl Default for Attempts {
    fn default() -> Attempts {
        Attempts { left: ATTEMPTS_MAX, since: Duration::ZERO }
    }
}

impl Attempts {
    fn take(&mut self, now: Duration) -> Result<(), ClaimError> {
        let earned = now.saturating_sub(self.since).as_secs() / ATTEMPT_PERIOD.as_secs();
        if earned > 0 {
            self.left = self.left.saturating_add(u32::try_from(earned).unwrap_or(u32::MAX)).min(ATTEMPTS_MAX);
            self.since = now;
        }
        let Some(left) = self.left.checked_sub(1) else {
            let wait = ATTEMPT_PERIOD.saturating_sub(now.saturating_sub(self.since));
            return Err(ClaimError::TooManyAttempts(wait.as_secs().max(1)));
        };
        self.left = left;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FINGERPRINT: &str = "aa55";

    fn request(code: &str, fingerprint: &str) -> ClaimRequest {
        ClaimRequest {
            nonce: "n-1".to_owned(),
            proof: make_proof(code, "claim", fingerprint, "n-1"),
            manager: ManagerContact {
                name: "manager".to_owned(),
                announce_url: "https://127.0.0.1:1/api/v1/announce".to_owned(),
                announce_fingerprint: "00".repeat(32),
            },
        }
    }

    fn enrolment(dir: &Path) -> Enrolment {
        Enrolment::load_or_make(dir, FINGERPRINT).unwrap()
    }

    #[test]
    fn the_right_code_claims_and_only_a_hash_of_the_token_stays() {
        let dir = tempfile::tempdir().unwrap();
        let mut machine = enrolment(dir.path());
        let code = machine.code().unwrap().to_owned();
        assert_eq!(code.len(), 19);
        let answer = machine.claim(Duration::ZERO, &request(&code, FINGERPRINT)).unwrap();
        assert_eq!(answer.proof, make_proof(&code, "machine", FINGERPRINT, "n-1"));
        let again = enrolment(dir.path());
        assert!(again.is_owner(&answer.token) && !again.is_owner("guess"));
        assert_eq!(again.code(), None);
        let stored = std::fs::read_to_string(dir.path().join(OWNER_FILE)).unwrap();
        assert!(!stored.contains(&answer.token));
        assert!(!dir.path().join(CODE_FILE).exists());
    }

    #[test]
    fn a_wrong_code_is_refused_and_nothing_changes() {
        let dir = tempfile::tempdir().unwrap();
        let mut machine = enrolment(dir.path());
        let fault = machine.claim(Duration::ZERO, &request("AAAA-BBBB-CCCC-DDDD", FINGERPRINT));
        assert!(matches!(fault, Err(ClaimError::WrongProof)));
        assert!(machine.owner().is_none() && !dir.path().join(OWNER_FILE).exists());
        assert_eq!(enrolment(dir.path()).code(), machine.code());
    }

    #[test]
    fn a_man_in_the_middle_with_a_certificate_of_his_own_cannot_pass_the_proof_on() {
        let dir = tempfile::tempdir().unwrap();
        let mut machine = enrolment(dir.path());
        let code = machine.code().unwrap().to_owned();
        let fault = machine.claim(Duration::ZERO, &request(&code, "another-certificate"));
        assert!(matches!(fault, Err(ClaimError::WrongProof)));
    }

    #[test]
    fn a_released_machine_has_a_new_code_and_obeys_its_old_owner_no_more() {
        let dir = tempfile::tempdir().unwrap();
        let mut machine = enrolment(dir.path());
        let code = machine.code().unwrap().to_owned();
        let answer = machine.claim(Duration::ZERO, &request(&code, FINGERPRINT)).unwrap();
        machine.release().unwrap();
        assert!(!machine.is_owner(&answer.token) && machine.code().is_some_and(|new| new != code));
        assert_eq!(enrolment(dir.path()).code(), machine.code(), "also after a restart");
    }

    #[test]
    fn a_second_manager_is_told_who_owns_the_machine() {
        let dir = tempfile::tempdir().unwrap();
        let mut machine = enrolment(dir.path());
        let code = machine.code().unwrap().to_owned();
        machine.claim(Duration::ZERO, &request(&code, FINGERPRINT)).unwrap();
        let fault = machine.claim(Duration::ZERO, &request(&code, FINGERPRINT));
        assert!(matches!(fault, Err(ClaimError::AlreadyClaimed { manager }) if manager == "manager"));
    }

    #[test]
    fn guessing_is_slowed_down_and_the_right_code_works_later() {
        let dir = tempfile::tempdir().unwrap();
        let mut machine = enrolment(dir.path());
        let code = machine.code().unwrap().to_owned();
        for _ in 0..ATTEMPTS_MAX {
            let fault = machine.claim(Duration::from_secs(1), &request("wrong", FINGERPRINT));
            assert!(matches!(fault, Err(ClaimError::WrongProof)));
        }
        let soon = machine.claim(Duration::from_secs(2), &request(&code, FINGERPRINT));
        assert!(matches!(soon, Err(ClaimError::TooManyAttempts(_))));
        assert!(machine.claim(Duration::from_secs(30), &request(&code, FINGERPRINT)).is_ok());
    }
}
