//! TLS towards phones (RFC 3261 § 26.3.1): 1.2 and 1.3, one certificate a machine, replaced while it runs.
//!
//! It is not the TLS between members (`shell::link::tls`): a phone shows no certificate, it proves itself by
//! digest. The key is the machine's own; the certificate is signed by the cluster's authority, so that all phones
//! of a cluster trust one file, or is self-signed on an independent machine.
//!
//! A phone that comes back resumes by a ticket: nothing is remembered of it here.

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::NoServerSessionStorage;
use rustls::{CipherSuite, ServerConfig};
use std::sync::Arc;

/// The certificate for phones cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PhoneTlsError {
    /// No certificate or key in PEM form.
    #[error("the SIP certificate of this machine is unusable; configure the machine again: {0}")]
    Pem(#[from] rustls::pki_types::pem::Error),
    /// The library refuses, for instance because the key is another one's.
    #[error("the SIP certificate of this machine is refused; configure the machine again: {0}")]
    Refused(#[from] rustls::Error),
}

/// The server's end, for a certificate (chain) and its key, both PEM.
///
/// # Errors
/// See [`PhoneTlsError`].
pub fn server(certificate_pem: &str, key_pem: &str) -> Result<Arc<ServerConfig>, PhoneTlsError> {
    let chain = CertificateDer::pem_slice_iter(certificate_pem.as_bytes()).collect::<Result<_, _>>()?;
    let key = PrivateKeyDer::from_pem_slice(key_pem.as_bytes())?;
    let mut provider = aws_lc_rs::default_provider();
    // What phones need secret is short and soon stale: the suites of 128 bits come first, whose hash has hardware of its own.
    provider.cipher_suites.sort_by_key(|suite| !is_of_128_bits(suite.suite()));
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.ignore_client_order = true;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.ticketer = aws_lc_rs::Ticketer::new()?;
    config.send_tls13_tickets = 1;
    Ok(Arc::new(config))
}

fn is_of_128_bits(suite: CipherSuite) -> bool {
    matches!(
        suite,
        CipherSuite::TLS13_AES_128_GCM_SHA256
            | CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
            | CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256};

    fn made(key: &KeyPair) -> String {
        CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(key).unwrap().pem()
    }

    #[test]
    fn a_certificate_of_another_key_is_refused_before_any_phone_meets_it() {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let other = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        assert!(server(&made(&key), &key.serialize_pem()).is_ok());
        assert!(matches!(server(&made(&key), &other.serialize_pem()), Err(PhoneTlsError::Refused(_))));
        assert!(matches!(
            server("no PEM", &key.serialize_pem()),
            Err(PhoneTlsError::Refused(_) | PhoneTlsError::Pem(_))
        ));
    }
}
