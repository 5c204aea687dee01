//! The web certificate of a machine: made by itself at its first start, replaced while it serves.
//!
//! A self-signed certificate is an end-entity certificate (CA:FALSE), because rustls refuses a CA as a server
//! certificate; it always has an expiry of our own, because rcgen's default is the year 4096. Whoever calls
//! pins its fingerprint, see [`crate::client`]. Certificates between members are another matter: they come
//! from the cluster's authority and are handled in `manager` and `cluster`.

use crate::fingerprint::Fingerprint;
use arc_swap::ArcSwap;
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// Days a self-signed web certificate is valid.
pub const VALID_DAYS: i64 = 825;

/// Why a certificate cannot be made or used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A name cannot stand in a certificate, or the key cannot be made.
    #[error("the certificate cannot be made")]
    Making(#[from] rcgen::Error),
    /// The PEM text holds no certificate or no key.
    #[error("the PEM text holds no usable certificate and key")]
    Pem(#[from] rustls::pki_types::pem::Error),
    /// Key and certificate do not fit, or their kind is unknown to us.
    #[error("the certificate and its key cannot be used")]
    Unusable(#[from] rustls::Error),
    /// The present time is outside what a calendar can hold.
    #[error("the clock is not set: {0}")]
    Clock(#[from] jiff::Error),
}

/// A certificate chain and its private key as PEM text. Debug shows no key.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PemPair {
    /// The certificate, and those above it if any.
    pub certificate_pem: String,
    /// The private key, PKCS#8.
    pub key_pem: String,
}

impl fmt::Debug for PemPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PemPair").field("certificate_pem", &self.certificate_pem).finish_non_exhaustive()
    }
}

/// Makes a self-signed certificate for `names` (host names and addresses), valid from a day before `now` for
/// [`VALID_DAYS`].
///
/// # Errors
/// See [`CertificateError`].
pub fn self_signed(
    common_name: &str,
    names: &[String],
    now: jiff::Timestamp,
) -> Result<PemPair, CertificateError> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = CertificateParams::new(names.to_vec())?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let (year, month, day) = date(now, -1)?;
    params.not_before = rcgen::date_time_ymd(year, month, day);
    let (year, month, day) = date(now, VALID_DAYS)?;
    params.not_after = rcgen::date_time_ymd(year, month, day);
    let certificate = params.self_signed(&key)?;
    Ok(PemPair { certificate_pem: certificate.pem(), key_pem: key.serialize_pem() })
}

/// The date `days` after `now`.
fn date(now: jiff::Timestamp, days: i64) -> Result<(i32, u8, u8), CertificateError> {
    let then = now.checked_add(jiff::SignedDuration::from_hours(24 * days))?;
    let date = then.to_zoned(jiff::tz::TimeZone::UTC).date();
    let part = |value: i8| u8::try_from(value).unwrap_or(1);
    Ok((i32::from(date.year()), part(date.month()), part(date.day())))
}

/// The certificate a server presents now. Cloned handles share it; [`Certificate::replace`] takes effect at the
/// next handshake, connections that are up stay up.
#[derive(Clone)]
pub struct Certificate(Arc<ArcSwap<Loaded>>);

struct Loaded {
    key: Arc<CertifiedKey>,
    fingerprint: Fingerprint,
}

impl Certificate {
    /// Loads a certificate.
    ///
    /// # Errors
    /// See [`CertificateError`].
    pub fn from_pem(pem: &PemPair) -> Result<Certificate, CertificateError> {
        Ok(Certificate(Arc::new(ArcSwap::from_pointee(load(pem)?))))
    }

    /// Presents another one from now on. On an error the present one stays.
    ///
    /// # Errors
    /// See [`CertificateError`].
    pub fn replace(&self, pem: &PemPair) -> Result<(), CertificateError> {
        self.0.store(Arc::new(load(pem)?));
        Ok(())
    }

    /// The fingerprint of the certificate presented now.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.0.load().fingerprint
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Certificate").field(&self.fingerprint()).finish()
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load().key.clone())
    }
}

fn load(pem: &PemPair) -> Result<Loaded, CertificateError> {
    let chain =
        CertificateDer::pem_slice_iter(pem.certificate_pem.as_bytes()).collect::<Result<Vec<_>, _>>()?;
    let first = chain.first().ok_or(rustls::pki_types::pem::Error::NoItemsFound)?;
    let fingerprint = Fingerprint::of_der(first.as_ref());
    let key = PrivateKeyDer::from_pem_slice(pem.key_pem.as_bytes())?;
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let key = Arc::new(CertifiedKey::from_der(chain, key, &provider)?);
    Ok(Loaded { key, fingerprint })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_self_signed_certificate_expires_is_no_authority_and_can_be_replaced() {
        let now: jiff::Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        let names = ["n1.example".to_owned(), "127.0.0.1".to_owned()];
        let pem = self_signed("n1", &names, now).unwrap();
        let certificate = Certificate::from_pem(&pem).unwrap();
        let der = CertificateDer::from_pem_slice(pem.certificate_pem.as_bytes()).unwrap();
        let (_, parsed) = x509_parser::parse_x509_certificate(&der).unwrap();
        assert_eq!(parsed.validity().not_after.to_datetime().year(), 2029);
        assert!(!parsed.basic_constraints().unwrap().unwrap().value.ca);
        let first = certificate.fingerprint();
        certificate.replace(&self_signed("n1", &names, now).unwrap()).unwrap();
        assert_ne!(certificate.fingerprint(), first);
        assert!(certificate.replace(&PemPair { key_pem: String::new(), ..pem }).is_err());
        assert_ne!(certificate.fingerprint(), first, "a bad replacement changes nothing");
    }
}
