//! Option tags, as Supported, Require, Proxy-Require and Unsupported list them (RFC 3261 §27.1 and extensions).

/// Reliable provisional responses (RFC 3262).
pub const REL100: &str = "100rel";
/// A caller's Contact may change its From (RFC 4916).
pub const FROM_CHANGE: &str = "from-change";
/// Globally routable agent URIs (RFC 5627).
pub const GRUU: &str = "gruu";
/// History-Info (RFC 7044).
pub const HISTINFO: &str = "histinfo";
/// Join (RFC 3911).
pub const JOIN: &str = "join";
/// REFER without its implicit subscription (RFC 4488).
pub const NOREFERSUB: &str = "norefersub";
/// Client-initiated connections (RFC 5626).
pub const OUTBOUND: &str = "outbound";
/// Path in registrations (RFC 3327).
pub const PATH: &str = "path";
/// Preconditions (RFC 3312).
pub const PRECONDITION: &str = "precondition";
/// Privacy (RFC 3323).
pub const PRIVACY: &str = "privacy";
/// Replaces (RFC 3891).
pub const REPLACES: &str = "replaces";
/// Target-Dialog (RFC 4538).
pub const TARGET_DIALOG: &str = "tdialog";
/// Session timers (RFC 4028).
pub const TIMER: &str = "timer";
