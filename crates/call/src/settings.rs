//! What an edge is told when it is made: who it is, its timings and its limits.

use crate::session::MediaSettings;
use model::MemberNumber;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Shards an edge may have.
pub const SHARDS_MAX: u8 = 64;
/// Calls one edge carries at a time, divided evenly among its shards. A further one is refused with 503/42; an emergency
/// call is not.
pub const CALLS_MAX: usize = 5_000;
/// Calls one subscriber may have begun at a time: a phone gone wild fills its own share only.
pub const CALLS_PER_CALLER_MAX: usize = 10;
/// Devices bound at one edge, divided evenly among its shards. A further one is refused with 503.
pub const BINDINGS_MAX: usize = 120_000;
/// Devices of one subscriber. A further one takes the place of the one registered first.
pub const DEVICES_PER_SUBSCRIBER_MAX: usize = 5;
/// Bytes of one message's body. A longer one is refused with 513.
pub const BODY_BYTES_MAX: usize = 16 * 1024;
/// Subscriptions of one edge, divided evenly among its shards. A further one is refused with 503.
pub const SUBSCRIPTIONS_MAX: usize = 100_000;
/// Subscriptions of the phones of one subscriber in one shard. A further one is refused with 503.
pub const SUBSCRIPTIONS_PER_WATCHER_MAX: usize = 250;
/// The shortest subscription (RFC 6665 § 4.2.1.1).
pub const SUBSCRIPTION_MIN: Duration = Duration::from_secs(60);
/// The longest subscription, and that of a phone that does not say.
pub const SUBSCRIPTION_MAX: Duration = Duration::from_secs(3600);
/// BYEs owed to members beyond a cut, divided evenly among the shards. When full the oldest is given up: liveness ends that leg.
pub const OWED_MAX: usize = 10_000;
/// How long a BYE is owed before it is given up.
pub const OWED_AGE_MAX: Duration = Duration::from_secs(24 * 3600);
/// How long after a failed attempt an owed BYE is tried again, in its first [`OWED_FRESH`].
pub const OWED_RETRY: Duration = Duration::from_secs(5);
/// How long an owed BYE is tried often; it is tried every [`OWED_RETRY_OLD`] after that.
pub const OWED_FRESH: Duration = Duration::from_secs(300);
/// How long after a failed attempt an old owed BYE is tried again.
pub const OWED_RETRY_OLD: Duration = Duration::from_secs(60);
/// Wrong passwords from one source for one user before that pair is braked.
pub const WRONG_PASSWORDS_MAX: u32 = 5;
/// Wrong passwords from one source, whosever, before all of it is braked but the phones that are registered from there.
pub const WRONG_PASSWORDS_OF_SOURCE_MAX: u32 = 30;
/// Wrong passwords for one user, from wherever, before each further source has one try instead of
/// [`WRONG_PASSWORDS_MAX`]. The true phone, which needs one, is not held up.
pub const WRONG_PASSWORDS_FOR_USER_MAX: u32 = 60;
/// How long the first brake lasts; each further one of the same pair or source lasts twice as long.
pub const BRAKE: Duration = Duration::from_secs(60);
/// The longest brake.
pub const BRAKE_LONGEST: Duration = Duration::from_secs(3600);
/// How long after the last wrong password it is forgotten.
pub const BRAKE_MEMORY: Duration = Duration::from_secs(600);
/// How often somebody who is braked is heard all the same when it calls an emergency number.
pub const BRAKE_EMERGENCY_TRY: Duration = Duration::from_secs(10);
/// Pairs of source and user, sources, and users the brake remembers, of each. When full the oldest is forgotten.
pub const BRAKE_ENTRIES_MAX: usize = 10_000;

/// What this member is to the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// In no cluster: there is no `Hop::Cluster`.
    Independent,
    /// The cluster server: `Hop::Cluster` is its own relay, always there.
    ClusterServer,
    /// A node: `Hop::Cluster` is its uplink, there or not.
    Node,
}

/// Who an edge is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EdgeConfig {
    /// Its member number.
    pub member: MemberNumber,
    /// What it is to the cluster.
    pub place: Place,
    /// The cluster's id, or the machine's own one in no cluster: digest realm and host of addresses.
    pub realm: String,
    /// Other host names phones may know this machine by. The SIP domain, the realm, the member's name in the
    /// cluster and every IP address are accepted anyway.
    pub aliases: Vec<String>,
    /// Beginnings of the User-Agent of phones that give up when they see a SHA-256 challenge, in any case of
    /// letters. They, and phones that do not say what they are, are challenged with MD5 only.
    pub md5_only_agents: Vec<String>,
    /// Into how many shards it divides its work (DESIGN § 3), 1 to [`SHARDS_MAX`]. Default 1.
    pub shards: u8,
    /// When media go through it, and through which ports.
    #[serde(default)]
    pub media: MediaSettings,
    /// Its timings.
    pub settings: EdgeSettings,
}

/// Products that were seen to give up at a challenge with SHA-256 (baresip up to 2.x, SIPp).
pub const MD5_ONLY_AGENTS: &[&str] =
    &["baresip v0", "baresip v1", "baresip v2", "baresip/0", "baresip/1", "baresip/2", "sipp"];

impl EdgeConfig {
    /// A member of a cluster, or an independent machine, with default timings.
    #[must_use]
    pub fn new(member: MemberNumber, place: Place, realm: &str) -> EdgeConfig {
        let settings = EdgeSettings::default();
        let md5_only_agents = MD5_ONLY_AGENTS.iter().map(|agent| (*agent).to_owned()).collect();
        let realm = realm.to_owned();
        EdgeConfig {
            member,
            place,
            realm,
            aliases: Vec::new(),
            md5_only_agents,
            shards: 1,
            media: MediaSettings::default(),
            settings,
        }
    }

    /// The same with so many shards.
    #[must_use]
    pub fn with_shards(self, shards: u8) -> EdgeConfig {
        EdgeConfig { shards: shards.clamp(1, SHARDS_MAX), ..self }
    }

    /// True when this phone may be offered SHA-256 (RFC 8760).
    #[must_use]
    pub fn reads_sha256(&self, user_agent: Option<&str>) -> bool {
        let begins = |agent: &str, with: &str| {
            agent.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with))
        };
        user_agent.is_some_and(|agent| !self.md5_only_agents.iter().any(|listed| begins(agent, listed)))
    }

    /// The host that names this member in addresses inside the cluster.
    #[must_use]
    pub fn member_host(&self) -> String {
        format!("n{}.{}", self.member, self.realm)
    }
}

/// The timings of an edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EdgeSettings {
    /// How long a phone rings before the call ends with 480/19. Default 60 s.
    pub no_answer: Duration,
    /// How much longer the caller's edge waits, so that the called one tells the cause. Default 5 s.
    pub no_answer_grace: Duration,
    /// Silence of a leg after which its phone is asked whether it is there. Default 30 s.
    pub liveness_period: Duration,
    /// Silence after which a leg's phone is lost. Default 60 s: with one unanswered question (32 s) it is
    /// freed within 90 s.
    pub liveness_lost: Duration,
    /// The session timer we propose to a phone, and the longest we grant (RFC 4028). Default 90 s: refreshed every
    /// 45 s, it finds a vanished phone as soon as a question does.
    pub session_interval: Duration,
    /// The shortest session timer we take; a shorter one is refused with 422. Default 90 s, the least there may be.
    pub session_interval_min: Duration,
    /// Shortest registration. Default 60 s.
    pub expires_min: Duration,
    /// Longest and default registration. Default 3600 s.
    pub expires_max: Duration,
    /// Phones that did not subscribe to their messages are told all the same (RFC 3842 leaves it open; most phones
    /// take it). Default true.
    pub unasked_messages: bool,
}

impl Default for EdgeSettings {
    fn default() -> EdgeSettings {
        EdgeSettings {
            no_answer: Duration::from_secs(60),
            no_answer_grace: Duration::from_secs(5),
            liveness_period: Duration::from_secs(30),
            liveness_lost: Duration::from_secs(60),
            session_interval: Duration::from_secs(90),
            session_interval_min: Duration::from_secs(90),
            expires_min: Duration::from_secs(60),
            expires_max: Duration::from_secs(3600),
            unasked_messages: true,
        }
    }
}
