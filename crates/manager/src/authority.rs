//! The authority of a cluster: it signs the certificates by which members know one another on the link
//! (DESIGN § 6), and those that members show to phones on TLS, so that a phone trusts one file for all of them.
//! The two are never the same: what a phone sees names no member, and opens no link. Web certificates are not
//! its matter.
//!
//! A member makes its key itself; only a request for a signature comes here, and of the request only the public
//! key is believed: name, dates and uses are written by the manager.

use crate::vault::AuthoritySecret;
use jiff::{SignedDuration, Timestamp};
use model::{ClusterId, MemberNumber};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType,
};
use std::net::IpAddr;

/// Days the authority's own certificate is valid: ten years.
pub const AUTHORITY_DAYS: i64 = 3_653;
/// Days a member's certificate is valid: two years.
pub const MEMBER_DAYS: i64 = 731;
/// Days a certificate is backdated, so that a member whose clock is behind can use it at once.
pub const BACKDATED_DAYS: i64 = 1;

/// Why a certificate cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// The request is malformed or its signature does not fit its key; or the stored authority is damaged.
    #[error("the certificate cannot be made: {0}")]
    Making(#[from] rcgen::Error),
    /// The clock is set to a time no calendar holds.
    #[error("the clock is not set: {0}")]
    Clock(#[from] jiff::Error),
}

/// Makes the authority of a new cluster.
///
/// # Errors
/// See [`AuthorityError`].
pub fn create(cluster: &ClusterId, now: Timestamp) -> Result<AuthoritySecret, AuthorityError> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name = named(&format!("Pleiad cluster {cluster}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    set_dates(&mut params, now, AUTHORITY_DAYS)?;
    let certificate = params.self_signed(&key)?;
    Ok(AuthoritySecret { certificate_pem: certificate.pem(), key_pem: key.serialize_pem() })
}

/// Signs the certificate of a member, for the host name `nN.CLUSTER`.
///
/// # Errors
/// See [`AuthorityError`].
pub fn sign(
    authority: &AuthoritySecret,
    cluster: &ClusterId,
    member: MemberNumber,
    csr_pem: &str,
    now: Timestamp,
) -> Result<String, AuthorityError> {
    let host = cluster.member_host(member);
    let mut params = CertificateParams::new(vec![host.clone()])?;
    params.distinguished_name = named(&host);
    // A member is server on the link it accepts and client on the one it dials.
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    signed(authority, params, csr_pem, now)
}

/// Signs the certificate that a member shows to phones on TLS: for the SIP domain first, then for the names and
/// addresses by which phones reach the machine (RFC 5922 § 7.1). An address is there twice, as an address and as the text of a
/// name: phones on mbedTLS (linphone) compare what they dial with names only.
///
/// # Errors
/// See [`AuthorityError`].
pub fn sign_sip(
    authority: &AuthoritySecret,
    domain: &str,
    reached_by: &[String],
    csr_pem: &str,
    now: Timestamp,
) -> Result<String, AuthorityError> {
    let mut names = vec![domain.to_owned()];
    names.extend(reached_by.iter().filter(|name| *name != domain).cloned());
    let addresses: Vec<String> =
        names.iter().filter(|name| name.parse::<IpAddr>().is_ok()).cloned().collect();
    let mut params = CertificateParams::new(names)?;
    for address in addresses {
        params.subject_alt_names.push(SanType::DnsName(address.try_into()?));
    }
    params.distinguished_name = named(domain);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    signed(authority, params, csr_pem, now)
}

/// Signs for the key of the request what is written here and nothing else.
fn signed(
    authority: &AuthoritySecret,
    mut params: CertificateParams,
    csr_pem: &str,
    now: Timestamp,
) -> Result<String, AuthorityError> {
    let issuer =
        Issuer::from_ca_cert_pem(&authority.certificate_pem, KeyPair::from_pem(&authority.key_pem)?)?;
    let mut request = CertificateSigningRequestParams::from_pem(csr_pem)?;
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    set_dates(&mut params, now, MEMBER_DAYS)?;
    request.params = params;
    Ok(request.signed_by(&issuer)?.pem())
}

/// When a certificate ends, in milliseconds since the Unix epoch.
#[must_use]
pub fn ends_ms(certificate_pem: &str) -> Option<u64> {
    let (_, pem) = x509_parser::pem::parse_x509_pem(certificate_pem.as_bytes()).ok()?;
    let seconds = pem.parse_x509().ok()?.validity().not_after.timestamp();
    u64::try_from(seconds).ok()?.checked_mul(1_000)
}

fn named(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name
}

fn set_dates(params: &mut CertificateParams, now: Timestamp, days: i64) -> Result<(), AuthorityError> {
    let day = |offset: i64| -> Result<(i32, u8, u8), AuthorityError> {
        let then = now.checked_add(SignedDuration::from_hours(24 * offset))?;
        let date = then.to_zoned(jiff::tz::TimeZone::UTC).date();
        let part = |value: i8| u8::try_from(value).unwrap_or(1);
        Ok((i32::from(date.year()), part(date.month()), part(date.day())))
    };
    let (year, month, date) = day(-BACKDATED_DAYS)?;
    params.not_before = rcgen::date_time_ymd(year, month, date);
    let (year, month, date) = day(days)?;
    params.not_after = rcgen::date_time_ymd(year, month, date);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use x509_parser::prelude::{X509Certificate, parse_x509_pem};

    fn now() -> Timestamp {
        "2026-11-22T12:00:00Z".parse().unwrap()
    }

    fn parsed<T>(pem: &str, read: impl FnOnce(&X509Certificate<'_>) -> T) -> T {
        let (_, pem) = parse_x509_pem(pem.as_bytes()).unwrap();
        read(&pem.parse_x509().unwrap())
    }

    #[test]
    fn a_member_certificate_names_its_member_expires_and_is_signed_by_its_cluster_only() {
        let cluster: ClusterId = "paris-1".parse().unwrap();
        let authority = create(&cluster, now()).unwrap();
        let other = create(&"rome-1".parse().unwrap(), now()).unwrap();
        // What the request asks for beside the key is ignored: here it asks to be an authority itself.
        let key = KeyPair::generate().unwrap();
        let mut wish = CertificateParams::new(vec!["n0.paris-1".to_owned()]).unwrap();
        wish.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let csr = wish.serialize_request(&key).unwrap().pem().unwrap();

        let seven = "7".parse().unwrap();
        let pem = sign(&authority, &cluster, seven, &csr, now()).unwrap();
        let (_, ca) = parse_x509_pem(authority.certificate_pem.as_bytes()).unwrap();
        let (_, foreign) = parse_x509_pem(other.certificate_pem.as_bytes()).unwrap();
        parsed(&pem, |leaf| {
            let names = leaf.subject_alternative_name().unwrap().unwrap();
            let names: Vec<String> = names.value.general_names.iter().map(ToString::to_string).collect();
            assert_eq!(names, ["DNSName(n7.paris-1)"]);
            assert!(!leaf.is_ca());
            assert!(leaf.verify_signature(Some(ca.parse_x509().unwrap().public_key())).is_ok());
            assert!(leaf.verify_signature(Some(foreign.parse_x509().unwrap().public_key())).is_err());
            let days =
                (leaf.validity().not_after.timestamp() - leaf.validity().not_before.timestamp()) / 86_400;
            assert_eq!(days, MEMBER_DAYS + BACKDATED_DAYS);
            assert!(leaf.validity().not_before.timestamp() <= now().as_second() - 12 * 3_600);
        });
    }

    #[test]
    fn trm_11_a_phone_s_certificate_names_domain_and_addresses_and_opens_no_link() {
        let cluster: ClusterId = "paris-1".parse().unwrap();
        let authority = create(&cluster, now()).unwrap();
        let key = KeyPair::generate().unwrap();
        let wish = CertificateParams::new(vec!["n0.paris-1".to_owned()]).unwrap();
        let csr = wish.serialize_request(&key).unwrap().pem().unwrap();
        let by = ["192.0.2.7", "pbx.example", "2001:db8::7", "example.org"].map(str::to_owned);
        let pem = sign_sip(&authority, "example.org", &by, &csr, now()).unwrap();
        parsed(&pem, |leaf| {
            let names = leaf.subject_alternative_name().unwrap().unwrap();
            let names: Vec<String> = names.value.general_names.iter().map(ToString::to_string).collect();
            assert_eq!(names.first().map(String::as_str), Some("DNSName(example.org)"));
            for address in ["192.0.2.7", "2001:db8::7"] {
                assert!(names.contains(&format!("DNSName({address})")), "{names:?}");
            }
            assert_eq!(names.iter().filter(|name| name.starts_with("IPAddress")).count(), 2, "{names:?}");
            assert_eq!(names.len(), 6, "{names:?}");
            let uses = leaf.extended_key_usage().unwrap().unwrap();
            assert!(uses.value.server_auth && !uses.value.client_auth);
        });
    }

    #[test]
    fn a_request_that_is_none_is_refused() {
        let cluster: ClusterId = "paris-1".parse().unwrap();
        let authority = create(&cluster, now()).unwrap();
        assert!(sign(&authority, &cluster, MemberNumber::CLUSTER_SERVER, "hello", now()).is_err());
    }
}
