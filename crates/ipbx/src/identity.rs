//! Who this machine is: a dongle id, a key of its own and a self-signed web certificate, made at the first
//! start and kept for good (DEP-29). The key never leaves the machine: for the cluster link the manager's
//! authority signs a request made with it, and for the web the operator knows the certificate's fingerprint.
//! Phones on TLS see a certificate of the authority too, or this self-signed one on a machine in no cluster.

use crate::files::{self, FileError};
use crate::role::OWN_DOMAIN;
use model::DongleId;
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, SanType,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

/// The file of the state folder.
const FILE: &str = "identity.json";

/// The identity of this machine cannot be made or read.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The file.
    #[error(transparent)]
    File(#[from] FileError),
    /// Making a key, certificate or request.
    #[error("cannot make a key or certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// The system gives no random bytes.
    #[error("the system gives no random bytes: {0}")]
    Random(getrandom::Error),
    /// The stored certificate is no PEM.
    #[error("{FILE} holds no certificate in PEM form; restore it from a backup")]
    NoCertificate,
}

/// What the file holds.
#[derive(Serialize, Deserialize)]
struct Stored {
    dongle_id: DongleId,
    key_pem: String,
    certificate_pem: String,
}

/// Who this machine is.
pub struct Identity {
    /// Its name among all machines, for ever.
    pub dongle_id: DongleId,
    /// SHA-256 of the web certificate, 64 lower-case hexadecimal digits.
    pub fingerprint: String,
    /// The self-signed web certificate.
    pub certificate_pem: String,
    /// The private key, PKCS#8 in PEM form. Never printed.
    pub key_pem: String,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Identity({}, {})", self.dongle_id, self.fingerprint)
    }
}

impl Identity {
    /// Reads the identity, or makes it when this is the first start in that folder.
    ///
    /// # Errors
    /// When the file is damaged or cannot be written.
    pub fn load_or_make(dir: &Path, name: &str, bind: IpAddr) -> Result<Identity, IdentityError> {
        let path = dir.join(FILE);
        if let Some(stored) = files::read_json::<Stored>(&path)? {
            return Identity::from_stored(stored);
        }
        let stored = make(name, bind)?;
        files::write_json(&path, &stored)?;
        Identity::from_stored(stored)
    }

    fn from_stored(stored: Stored) -> Result<Identity, IdentityError> {
        let der = der_of_pem(&stored.certificate_pem).ok_or(IdentityError::NoCertificate)?;
        Ok(Identity {
            dongle_id: stored.dongle_id,
            fingerprint: fingerprint(&der),
            certificate_pem: stored.certificate_pem,
            key_pem: stored.key_pem,
        })
    }

    /// A certificate signing request for `common_name` (such as `n7.CLUSTER`), in PEM form.
    ///
    /// # Errors
    /// When the name cannot be a DNS name.
    pub fn signing_request(&self, common_name: &str) -> Result<String, IdentityError> {
        let key = KeyPair::from_pem(&self.key_pem)?;
        let mut params = CertificateParams::new(vec![common_name.to_owned()])?;
        params.distinguished_name = named(common_name);
        Ok(params.serialize_request(&key)?.pem()?)
    }
}

/// SHA-256 of a certificate, as 64 lower-case hexadecimal digits.
#[must_use]
pub fn fingerprint(der: &[u8]) -> String {
    hex(&Sha256::digest(der))
}

/// Lower-case hexadecimal digits of `bytes`.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `N` random bytes.
///
/// # Errors
/// When the system has none to give.
pub fn random<const N: usize>() -> Result<[u8; N], IdentityError> {
    let mut bytes = [0_u8; N];
    getrandom::fill(&mut bytes).map_err(IdentityError::Random)?;
    Ok(bytes)
}

fn der_of_pem(pem: &str) -> Option<Vec<u8>> {
    use rustls::pki_types::{CertificateDer, pem::PemObject};
    CertificateDer::from_pem_slice(pem.as_bytes()).ok().map(|der| der.to_vec())
}

fn named(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name
}

/// A web certificate must say CA:FALSE, else TLS stacks refuse it as a server's.
fn make(name: &str, bind: IpAddr) -> Result<Stored, IdentityError> {
    let dongle = hex(&random::<8>()?).to_ascii_uppercase();
    let dongle_id =
        format!("PLD-{dongle}").parse().map_err(|_| IdentityError::Random(getrandom::Error::UNSUPPORTED))?;
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = CertificateParams::new(vec!["localhost".to_owned(), OWN_DOMAIN.to_owned()])?;
    params.distinguished_name = named(name);
    for address in [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into(), bind] {
        if !address.is_unspecified() && !params.subject_alt_names.contains(&SanType::IpAddress(address)) {
            params.subject_alt_names.push(SanType::IpAddress(address));
        }
    }
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.not_before = rcgen::date_time_ymd(2024, 1, 1);
    params.not_after = rcgen::date_time_ymd(2049, 12, 31);
    let certificate = params.self_signed(&key)?;
    Ok(Stored { dongle_id, key_pem: key.serialize_pem(), certificate_pem: certificate.pem() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn load(dir: &Path) -> Identity {
        let config = Config::with_dir(dir.to_owned());
        Identity::load_or_make(dir, &config.name, config.bind).unwrap()
    }

    #[test]
    fn dep_29_a_machine_keeps_its_identity_over_restarts() {
        let dir = tempfile::tempdir().unwrap();
        let first = load(dir.path());
        let second = load(dir.path());
        assert_eq!(first.dongle_id, second.dongle_id);
        assert_eq!(first.fingerprint, second.fingerprint);
        assert_eq!(first.fingerprint.len(), 64);
    }

    #[test]
    fn dep_29_two_machines_never_share_an_identity() {
        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        assert_ne!(load(a.path()).dongle_id, load(b.path()).dongle_id);
    }

    #[test]
    fn the_web_certificate_is_no_authority_and_a_request_names_its_member() {
        let dir = tempfile::tempdir().unwrap();
        let identity = load(dir.path());
        let der = der_of_pem(&identity.certificate_pem).unwrap();
        let (_, certificate) = x509_parser::parse_x509_certificate(&der).unwrap();
        assert!(!certificate.is_ca());
        let csr = identity.signing_request("n7.c-1").unwrap();
        assert!(csr.starts_with("-----BEGIN CERTIFICATE REQUEST-----"));
    }
}
