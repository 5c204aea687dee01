//! The cluster server's way between members: a stateless proxy (RFC 3261 § 16.11).
//!
//! It keeps nothing of any call, so it can die and come back while calls ring and talk. Responses follow the Via
//! that names a member; requests follow the member in their Request-URI or, addressed to the cluster, the
//! location of the subscriber. What nobody can take is answered here with the right cause: 404/1 unallocated,
//! 480/20 absent, 503/38 beyond a cut.
//!
//! Members are known by the connection a message came on; a Via that names another one is refused, and so is an
//! asserted identity that does not live at that member.

use crate::headers::{self, status_of};
use crate::location::{Location, Whereabouts};
use model::tables::Tables;
use model::{Cause, ClusterId, Extension, MemberNumber};
use sha2::{Digest, Sha256};
use sip::{Edit, Host, MAX_FORWARDS, Message, Method, Name, Response, Status, Via};

/// How our branches begin: after the magic cookie, so that we know them again.
const BRANCH: &str = "z9hG4bKrelay";

/// What becomes of a message.
#[derive(Debug, Clone, PartialEq)]
pub enum RelayOutput {
    /// Send these bytes to a member.
    ToMember(MemberNumber, Vec<u8>),
    /// It is for the cluster server's own edge, as `Input::Sip { from: Hop::Cluster, .. }`.
    ToOwnEdge(Message),
}

/// The relay of one cluster.
#[derive(Debug, Clone)]
pub struct Relay {
    cluster: ClusterId,
}

impl Relay {
    /// The relay of `cluster`.
    #[must_use]
    pub fn new(cluster: ClusterId) -> Relay {
        Relay { cluster }
    }

    /// Where `message`, come from the member `from` (or from the own edge, number 0), goes.
    pub fn route(
        &self,
        from: MemberNumber,
        message: &Message,
        location: &Location,
        tables: &Tables,
    ) -> Option<RelayOutput> {
        if message.is_request() {
            self.request(from, message, location, tables)
        } else {
            self.response(message)
        }
    }

    fn response(&self, response: &Message) -> Option<RelayOutput> {
        if !self.is_ours(response.via()) {
            return None;
        }
        let onward = Edit::of(response).pop_via().message().ok()?;
        let member = self.member_of(&onward.via().host)?;
        Some(hand(member, onward))
    }

    fn request(
        &self,
        from: MemberNumber,
        request: &Message,
        location: &Location,
        tables: &Tables,
    ) -> Option<RelayOutput> {
        if self.member_of(&request.via().host) != Some(from) {
            return refuse(from, request, Cause::ProtocolError);
        }
        let to = match self.next(from, request, location, tables) {
            Ok(to) => to,
            Err(cause) => return refuse(from, request, cause),
        };
        let host = Host::Name(self.cluster.member_host(MemberNumber::CLUSTER_SERVER));
        let via = Via::new("TLS", host, None, &branch_after(request));
        let hops = request.max_forwards().unwrap_or(MAX_FORWARDS).saturating_sub(1);
        let onward = Edit::of(request).push_via(&via).max_forwards(hops).message().ok()?;
        Some(hand(to, onward))
    }

    /// The member that takes a request, or why none does.
    fn next(
        &self,
        from: MemberNumber,
        request: &Message,
        location: &Location,
        tables: &Tables,
    ) -> Result<MemberNumber, Cause> {
        if request.max_forwards() == Some(0) {
            return Err(Cause::TooManyHops);
        }
        if self.has_been_here(request) {
            return Err(Cause::Loop);
        }
        let uri = request.request_uri().ok_or(Cause::ProtocolError)?;
        if let Some(member) = self.member_of(&uri.host) {
            let known = location.reaches(member) || tables.node(member).is_some();
            return match (location.reaches(member), known) {
                _ if member == from => Err(Cause::Loop),
                (true, _) => Ok(member),
                (false, true) => Err(Cause::UnreachableByCut),
                (false, false) => Err(Cause::UnallocatedNumber),
            };
        }
        if !uri.host.is(self.cluster.as_str()) {
            return Err(Cause::UnallocatedNumber);
        }
        if *request.method() == Method::Invite && !is_asserted_rightly(from, request, location, tables) {
            return Err(Cause::Barred);
        }
        let extension: Extension = uri.user().parse().map_err(|_| Cause::InvalidNumber)?;
        home_of(from, &extension, location, tables)
    }

    fn member_of(&self, host: &Host) -> Option<MemberNumber> {
        match host {
            Host::Name(name) => self.cluster.member_of_host(name),
            Host::Address(_) => None,
        }
    }

    fn is_ours(&self, via: &Via) -> bool {
        self.member_of(&via.host) == Some(MemberNumber::CLUSTER_SERVER)
            && via.branch().is_some_and(|branch| branch.starts_with(BRANCH))
    }

    /// Edges begin a new request on each leg, so our own Via under the top one means a circle.
    fn has_been_here(&self, request: &Message) -> bool {
        request.list(Name::Via).filter_map(Via::parse).any(|via| self.is_ours(&via))
    }
}

/// The member where the phones of `extension` are.
fn home_of(
    from: MemberNumber,
    extension: &Extension,
    location: &Location,
    tables: &Tables,
) -> Result<MemberNumber, Cause> {
    match location.find(extension, tables) {
        // The edge that asks has no phone of it any more, or it would not ask.
        Whereabouts::Bound(members) => {
            members.into_iter().find(|member| *member != from).ok_or(Cause::SubscriberAbsent)
        }
        Whereabouts::Unreachable { .. } => Err(Cause::UnreachableByCut),
        Whereabouts::Absent if tables.subscriber(extension).is_some() => Err(Cause::SubscriberAbsent),
        Whereabouts::Absent => Err(Cause::UnallocatedNumber),
    }
}

/// An identity is taken from the member where it lives (DESIGN § 2), or from the one whose subscriber sends the call on
/// and says so: who diverts it (RFC 5806, the topmost is the last) or transfers it (RFC 3892).
fn is_asserted_rightly(from: MemberNumber, invite: &Message, location: &Location, tables: &Tables) -> bool {
    let lives_there = |name: Name| {
        let address = invite.address(name).ok().flatten();
        address
            .and_then(|address| address.uri.user().parse::<Extension>().ok())
            .is_some_and(|extension| lives_at(from, &extension, location, tables))
    };
    let asserted = invite.header(Name::PAssertedIdentity).is_some();
    let vouched = [Name::PAssertedIdentity, Name::Diversion, Name::ReferredBy].into_iter().any(lives_there);
    asserted && (from.is_cluster_server() || vouched)
}

fn lives_at(member: MemberNumber, extension: &Extension, location: &Location, tables: &Tables) -> bool {
    location.is_bound_at(extension, member)
        || tables
            .subscriber(extension)
            .is_some_and(|subscriber| subscriber.home == member || subscriber.general_purpose)
}

fn hand(member: MemberNumber, message: Message) -> RelayOutput {
    if member.is_cluster_server() {
        RelayOutput::ToOwnEdge(message)
    } else {
        RelayOutput::ToMember(member, message.to_bytes())
    }
}

/// Tells the member that asked. An ACK is never answered; nor is a CANCEL: unanswered it comes again, and finds its
/// way when the called member is back, where an answer would end it for good.
fn refuse(from: MemberNumber, request: &Message, cause: Cause) -> Option<RelayOutput> {
    if matches!(request.method(), Method::Ack | Method::Cancel) {
        return None;
    }
    let status: Status = status_of(cause);
    let tag = branch_after(request).replace(BRANCH, "r");
    let response = Response::to(request, status)
        .to_tag(&tag)
        .header(Name::Reason, headers::reason_of(cause))
        .message()
        .ok()?;
    Some(hand(from, response))
}

/// The same for a request, its retransmissions, its CANCEL and the ACK of its failure, since all of them have the
/// same branch (RFC 3261 § 16.11).
fn branch_after(request: &Message) -> String {
    let mut hash = Sha256::new();
    hash.update(request.via().branch().unwrap_or_default());
    hash.update(request.via().sent_by());
    hash.update(request.call_id());
    let digest = hash.finalize();
    let hex: String = digest.iter().take(10).map(|byte| format!("{byte:02x}")).collect();
    format!("{BRANCH}{hex}")
}
