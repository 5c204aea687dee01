//! Claiming a machine, its certificate request and its role.

use crate::claim::{ClaimAnswer, ClaimError, ClaimRequest};
use crate::machine::{Machine, MachineError};
use crate::role::{Role, RoleError, RoleName, RoleRequest};
use crate::shell::clock::wall_ms;
use model::{DongleId, HardwareType, MemberNumber, Release};
use nix::sys::socket::{SockaddrIn6, SockaddrStorage};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use web::ApiError;
use web::auth::Principal;

/// What anybody may know of a machine.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct IdentityView {
    /// What it runs.
    pub release: Release,
    /// What it is made of.
    pub hardware_type: HardwareType,
    /// Who it is.
    pub dongle_id: DongleId,
    /// Its wall clock.
    pub unix_ms: u64,
    /// Its role.
    pub role: RoleName,
    /// Its number as a node.
    pub node_number: Option<MemberNumber>,
    /// True when somebody owns it.
    pub claimed: bool,
    /// SHA-256 of its web certificate.
    pub fingerprint: String,
    /// Its name.
    pub name: String,
}

/// Says who the machine is.
///
/// # Errors
/// 503 while its role is being changed.
pub fn identity(machine: &Machine) -> Result<IdentityView, ApiError> {
    let running = super::running(machine)?;
    let config = machine.config();
    Ok(IdentityView {
        release: config.release,
        hardware_type: config.hardware_type,
        dongle_id: machine.identity().dongle_id.clone(),
        unix_ms: wall_ms(),
        role: running.role.name(),
        node_number: running.role.node_number(),
        claimed: machine.owner().is_some(),
        fingerprint: machine.identity().fingerprint.clone(),
        name: config.name.clone(),
    })
}

/// The certificate that phones on TLS are to trust, PEM.
///
/// # Errors
/// 503 while its role is being changed.
pub fn authority(machine: &Machine) -> Result<String, ApiError> {
    let running = super::running(machine)?;
    let (_, authority) = running.role.sip_trust(machine.identity());
    Ok(authority.to_owned())
}

/// The addresses phones may reach this machine by: the one it listens on, or all it has.
#[must_use]
pub fn addresses(machine: &Machine) -> Vec<IpAddr> {
    let bind = machine.config().bind;
    if !bind.is_unspecified() {
        return vec![bind];
    }
    let interfaces = nix::ifaddrs::getifaddrs().into_iter().flatten();
    interfaces
        .filter_map(|interface| reachable(interface.address?))
        .filter(|own| own.is_ipv4() || bind.is_ipv6())
        .collect()
}

/// An interface's address, unless it means something on its own wire only.
fn reachable(address: SockaddrStorage) -> Option<IpAddr> {
    let of_v6 = || address.as_sockaddr_in6().map(SockaddrIn6::ip).filter(|v6| !v6.is_unicast_link_local());
    match address.as_sockaddr_in() {
        Some(v4) => Some(v4.ip().into()),
        None => of_v6().map(IpAddr::from),
    }
}

/// Gives the machine to whoever proves to know its code.
///
/// # Errors
/// 403 for a wrong proof, 409 when it has an owner, 429 after too many attempts. Nothing is changed then.
pub fn claim(machine: &Machine, request: &ClaimRequest) -> Result<ClaimAnswer, ApiError> {
    machine.claim(request).map_err(|fault| {
        let text = fault.to_string();
        match fault {
            ClaimError::AlreadyClaimed { .. } => ApiError::conflict("already-claimed", text)
                .next("a TOTAL start of the machine (pleiad console) frees it"),
            ClaimError::WrongProof => ApiError::forbidden("wrong-proof", text)
                .next("read the claim code on the machine's console or in its file claim-code"),
            ClaimError::TooManyAttempts(_) => ApiError::too_many(text),
            ClaimError::BadField(_) => ApiError::bad_request("bad-field", text),
            ClaimError::File(_) | ClaimError::Random(_) => ApiError::internal(text),
        }
    })
}

/// Gives the machine up, so that another manager may claim it with its new code.
///
/// # Errors
/// 409 while it has a role in a cluster.
pub fn release(machine: &Machine, principal: &Principal) -> Result<(), ApiError> {
    principal.administrator()?;
    if super::running(machine)?.role.name() != RoleName::Independent {
        let text = "a member of a cluster cannot be released";
        return Err(ApiError::conflict("member-of-a-cluster", text).next("make it independent first"));
    }
    machine.release().map_err(|fault| ApiError::internal(fault.to_string()))
}

/// A certificate request of the machine's own key.
///
/// # Errors
/// 400 when the name is not that of a member.
pub fn signing_request(machine: &Machine, principal: &Principal, name: &str) -> Result<String, ApiError> {
    principal.administrator()?;
    let is_member = name
        .split_once('.')
        .and_then(|(_, cluster)| cluster.parse::<model::ClusterId>().ok())
        .and_then(|cluster| cluster.member_of_host(name))
        .is_some();
    if !is_member {
        let text = format!("'{name}' is no member's name; expected for example n7.CLUSTER");
        return Err(ApiError::bad_request("bad-name", text));
    }
    machine
        .identity()
        .signing_request(name)
        .map_err(|fault| ApiError::bad_request("bad-name", fault.to_string()))
}

/// Gives the machine a role; its engine is rebuilt.
///
/// # Errors
/// 400 naming a field, 409 `calls-up` while there are calls and it is not forced.
pub async fn set_role(
    machine: &Machine,
    principal: &Principal,
    request: RoleRequest,
) -> Result<(), ApiError> {
    principal.administrator()?;
    let role = Role::from_request(&request, machine.identity(), &machine.config().name).map_err(refusal)?;
    check_certificates(&role, &machine.identity().key_pem)?;
    if let Some(password) = &request.admin_password {
        web::account::check_password(password)?;
    }
    let calls = super::running(machine)?.calls().await;
    if calls > 0 && !request.force {
        let text = format!("{calls} calls are in progress and a change of role ends them");
        return Err(ApiError::conflict("calls-up", text).next("wait until they are over, or force it"));
    }
    if let Some(password) = &request.admin_password {
        machine.set_admin_password(password).await.map_err(machine_refusal)?;
    }
    machine.change_role(role).await.map_err(machine_refusal)
}

/// A certificate of another key or name would only be found out at the first link.
fn check_certificates(role: &Role, key_pem: &str) -> Result<(), ApiError> {
    let (Role::ClusterServer { cluster, membership } | Role::Node { cluster, membership, .. }) = role else {
        return Ok(());
    };
    let wrong = |reason: &str| {
        ApiError::bad_request("bad-certificate", format!("certificate_pem: {reason}"))
            .next("make a new request with POST /api/v1/csr and have it signed")
    };
    if let Some(certificate) = &membership.sip_certificate_pem {
        crate::shell::phones::tls::server(certificate, key_pem).map_err(|fault| {
            ApiError::bad_request("bad-certificate", format!("sip_certificate_pem: {fault}"))
        })?;
    }
    let named = crate::shell::link::tls::peer_of_pem(&membership.certificate_pem);
    let peer = named.ok_or_else(|| wrong("names no member of a cluster"))?;
    if peer.cluster != cluster.id || peer.member != role.member() {
        return Err(wrong(&format!("it is that of member {} of {}", peer.member, peer.cluster)));
    }
    Ok(())
}

fn refusal(fault: RoleError) -> ApiError {
    let text = fault.to_string();
    match fault {
        RoleError::Missing { .. } | RoleError::Invalid { .. } => ApiError::bad_request("bad-role", text),
        RoleError::File(_) => ApiError::internal(text),
    }
}

fn machine_refusal(fault: MachineError) -> ApiError {
    match fault {
        MachineError::Account(refusal) => refusal,
        other => ApiError::internal(other.to_string())
            .next("the machine keeps the role it had; see its log, then try again"),
    }
}
