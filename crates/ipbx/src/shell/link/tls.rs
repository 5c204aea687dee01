//! TLS between members: both ends prove themselves with certificates of the cluster's own authority, whatever
//! SIP or web certificates there are (DESIGN § 6). A certificate names one member of one cluster,
//! `nN.CLUSTER`; the machine behind the shell decides whether that member is welcome.

use crate::identity::Identity;
use crate::role::Membership;
use cluster::Peer;
use model::{ClusterId, MemberNumber};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{CertificateError, ClientConfig, RootCertStore, ServerConfig};
use std::sync::Arc;
use x509_parser::extensions::GeneralName;

/// The protocol of the cluster link.
pub const ALPN_LINK: &[u8] = b"pleiad-link/1";
/// SIP between members.
pub const ALPN_SIP: &[u8] = b"sip";

/// TLS between members cannot be set up with this machine's certificates.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The role holds no usable certificate.
    #[error("the certificate of this member or its authority is unusable; configure the machine again")]
    Pem(#[from] rustls::pki_types::pem::Error),
    /// The library refuses.
    #[error("TLS between members cannot be set up: {0}")]
    Rustls(#[from] rustls::Error),
    /// The authority cannot verify.
    #[error("the cluster's authority is unusable: {0}")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
    /// The name of the cluster server is no name.
    #[error("'{0}' is no host name")]
    Name(String),
}

/// What a member needs on either end.
struct Material {
    roots: Arc<RootCertStore>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    provider: Arc<rustls::crypto::CryptoProvider>,
}

impl Material {
    fn of(identity: &Identity, membership: &Membership) -> Result<Material, TlsError> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(membership.authority_pem.as_bytes())?)?;
        let chain = CertificateDer::pem_slice_iter(membership.certificate_pem.as_bytes());
        Ok(Material {
            roots: Arc::new(roots),
            chain: chain.collect::<Result<_, _>>()?,
            key: PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes())?,
            provider: Arc::new(rustls::crypto::aws_lc_rs::default_provider()),
        })
    }
}

/// The end that accepts, for both protocols.
///
/// # Errors
/// See [`TlsError`].
pub fn server(identity: &Identity, membership: &Membership) -> Result<ServerConfig, TlsError> {
    let Material { roots, chain, key, provider } = Material::of(identity, membership)?;
    let verifier = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider)).build()?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![ALPN_LINK.to_vec(), ALPN_SIP.to_vec()];
    // Resumption would skip the check of the certificate's validity.
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// The end that dials, for one protocol.
///
/// # Errors
/// See [`TlsError`].
pub fn client(
    identity: &Identity,
    membership: &Membership,
    protocol: &'static [u8],
) -> Result<ClientConfig, TlsError> {
    let Material { roots, chain, key, provider } = Material::of(identity, membership)?;
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)?;
    config.alpn_protocols = vec![protocol.to_vec()];
    config.resumption = rustls::client::Resumption::disabled();
    Ok(config)
}

/// The name a cluster server's certificate must bear.
///
/// # Errors
/// When the cluster's id makes no host name.
pub fn server_name(cluster: &ClusterId) -> Result<ServerName<'static>, TlsError> {
    let host = cluster.member_host(MemberNumber::CLUSTER_SERVER);
    ServerName::try_from(host.clone()).map_err(|_| TlsError::Name(host))
}

/// The member a verified certificate names.
#[must_use]
pub fn peer(certificates: Option<&[CertificateDer<'_>]>) -> Option<Peer> {
    let der = certificates?.first()?;
    let (_, certificate) = x509_parser::parse_x509_certificate(der).ok()?;
    let names = certificate.subject_alternative_name().ok()??;
    names.value.general_names.iter().find_map(|name| match name {
        GeneralName::DNSName(host) => peer_of_host(host),
        _ => None,
    })
}

fn peer_of_host(host: &str) -> Option<Peer> {
    let (_, cluster) = host.split_once('.')?;
    let cluster: ClusterId = cluster.parse().ok()?;
    let member = cluster.member_of_host(host)?;
    Some(Peer { cluster, member })
}

/// Says what a failed handshake means, the clock first: it is the fault that looks like every other one.
#[must_use]
pub fn explain(fault: &std::io::Error) -> String {
    let cause = fault.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match cause {
        Some(rustls::Error::InvalidCertificate(
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. },
        )) => "clock fault: the other end's certificate is not valid at this machine's time; set the clock of both machines"
            .to_owned(),
        Some(rustls::Error::AlertReceived(rustls::AlertDescription::CertificateExpired)) => {
            "clock fault: the other end holds our certificate for expired; set the clock of both machines".to_owned()
        }
        // An authority that was made anew has the old one's name and another key.
        Some(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature)) => {
            "the other end's certificate is not of this cluster's authority".to_owned()
        }
        _ => fault.to_string(),
    }
}

/// The member a certificate in PEM form names.
#[must_use]
pub fn peer_of_pem(pem: &str) -> Option<Peer> {
    let der = CertificateDer::from_pem_slice(pem.as_bytes()).ok()?;
    peer(Some(&[der]))
}
