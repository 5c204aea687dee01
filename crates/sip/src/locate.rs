//! Where a request goes: RFC 3263 §4, with the weights of RFC 2782, over what a resolver found.
//!
//! [`locate`] is asked again and again: it says which records it still needs, the shell lets its resolver find them,
//! the [`Cache`] learns them, and in the end there is a list of [`Choice`]s, to be tried in order (§4.3), each with the
//! records that led to it. It resolves nothing itself, and which of the targets is dead is the business of who tries them.

use crate::host::HostRef;
use crate::uri::{SchemeRef, UriRef};
use crate::{Tokens, Transport};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Records of one answer that are looked at; nobody who means well has more.
const RECORDS_MAX: usize = 32;

/// Answers that are remembered.
const CACHE_MAX: usize = 4_096;

/// The longest an answer is believed.
const TTL_MAX: Duration = Duration::from_secs(86_400);

/// How long it is believed that a resolver found nothing, or failed.
pub const TTL_OF_NOTHING: Duration = Duration::from_secs(30);

/// What a resolver is asked.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Question {
    /// A and AAAA of a name.
    Addresses(String),
    /// NAPTR of a domain.
    Naptr(String),
    /// SRV of a service, `_sip._udp.example.com`.
    Srv(String),
}

/// What it found; empty when there is no such record, or it failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Records {
    /// In the order they are to be tried.
    Addresses(Vec<IpAddr>),
    /// RFC 3403 §4
    Naptr(Vec<Naptr>),
    /// RFC 2782
    Srv(Vec<Srv>),
}

impl Records {
    /// True when there is no such record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Records::Addresses(list) => list.len(),
            Records::Naptr(list) => list.len(),
            Records::Srv(list) => list.len(),
        }
    }
}

/// One NAPTR record; those that do not end in an SRV name (flag `s`) are left out by who reads them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Naptr {
    /// Lower first.
    pub order: u16,
    /// Lower first among one order.
    pub preference: u16,
    /// `SIP+D2U`, `SIP+D2T`, `SIPS+D2T`.
    pub service: String,
    /// The SRV name.
    pub replacement: String,
}

/// One SRV record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Srv {
    /// Lower first.
    pub priority: u16,
    /// Share among one priority.
    pub weight: u16,
    /// The port.
    pub port: u16,
    /// The host; `.` says that there is no such service.
    pub host: String,
}

/// Somewhere to send a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Target {
    /// How.
    pub transport: Transport,
    /// Where.
    pub address: SocketAddr,
}

/// A target, and what led to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// Where.
    pub target: Target,
    /// Whose address it is: a name, or the address itself where the URI or an SRV record has one.
    pub host: String,
    /// The SRV record; none where the URI names a host.
    pub service: Option<Service>,
}

/// The SRV record of a choice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// Its name, `_sip._udp.example.com`.
    pub name: String,
    /// Lower first.
    pub priority: u16,
    /// Share among one priority.
    pub weight: u16,
    /// Order and preference of the NAPTR record that named it; none where the service was tried on our own account.
    pub naptr: Option<(u16, u16)>,
}

/// Where a request goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Located {
    /// Ask these, let the cache learn the answers, and ask again.
    Ask(Vec<Question>),
    /// To be tried in this order; empty when the domain has no SIP that we speak.
    At(Vec<Choice>),
}

/// What a resolver found lately.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Cache {
    known: BTreeMap<Question, (Records, Duration)>,
}

impl Cache {
    /// Notes an answer for as long as its records live.
    pub fn learn(&mut self, now: Duration, question: Question, records: Records, ttl: Duration) {
        let ttl = if records.is_empty() { TTL_OF_NOTHING } else { ttl.min(TTL_MAX) };
        // An answer of no life at all must still serve the question that was asked for it.
        let until = now + ttl.max(Duration::from_secs(1));
        if self.known.len() >= CACHE_MAX {
            self.known.retain(|_, (_, until)| *until > now);
        }
        if self.known.len() >= CACHE_MAX
            && let Some(soonest) = self.known.iter().min_by_key(|(_, (_, until))| *until)
        {
            let soonest = soonest.0.clone();
            self.known.remove(&soonest);
        }
        self.known.insert(question, (records, until));
    }

    /// Answers held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// True when none is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// An answer that still lives, and for how long it will.
    #[must_use]
    pub fn recall(&self, now: Duration, question: &Question) -> Option<(&Records, Duration)> {
        let (records, until) = self.known.get(question).filter(|(_, until)| *until > now)?;
        Some((records, until.saturating_sub(now)))
    }

    fn find(&self, now: Duration, question: &Question) -> Option<&Records> {
        self.recall(now, question).map(|(records, _)| records)
    }
}

/// Where a request to `uri` (the Request-URI or the first Route) goes. `spoken` are the transports we speak, the
/// dearest first; `draw` chooses among servers of one priority.
#[must_use]
pub fn locate(
    now: Duration,
    cache: &Cache,
    uri: UriRef<'_>,
    spoken: &[Transport],
    draw: &mut Tokens,
) -> Located {
    let mut search = Search { now, cache, spoken, draw, missing: BTreeSet::new() };
    let choices = search.choices(uri);
    if !search.missing.is_empty() {
        return Located::Ask(search.missing.into_iter().collect());
    }
    let mut seen = BTreeSet::new();
    Located::At(choices.into_iter().filter(|choice| seen.insert(choice.target)).collect())
}

/// One run; what it misses is noted, and the run goes on without it.
struct Search<'a> {
    now: Duration,
    cache: &'a Cache,
    spoken: &'a [Transport],
    draw: &'a mut Tokens,
    missing: BTreeSet<Question>,
}

impl Search<'_> {
    fn choices(&mut self, uri: UriRef<'_>) -> Vec<Choice> {
        let secure = match uri.scheme {
            SchemeRef::Sip => false,
            SchemeRef::Sips => true,
            SchemeRef::Tel | SchemeRef::Other(_) => return Vec::new(),
        };
        let maddr = uri.params.raw("maddr").and_then(HostRef::parse);
        let host = maddr.unwrap_or(uri.host);
        let asked = match uri.params.raw("transport") {
            Some(word) => match named(word, secure) {
                Some(transport) if self.spoken.contains(&transport) => Some(transport),
                _ => return Vec::new(),
            },
            None => None,
        };
        let plain = asked.unwrap_or(if secure { Transport::Tls } else { Transport::Udp });
        match (host, uri.port) {
            (HostRef::Address(address), port) => {
                self.fixed(plain, &address.to_string(), &[address], port, None)
            }
            (HostRef::Name(name), Some(port)) => self.host(plain, name, Some(port), None),
            (HostRef::Name(name), None) => {
                let found = match asked {
                    Some(transport) => self.service(transport, &service_name(transport, name), None),
                    None => self.domain(name, secure),
                };
                // A domain without SRV is a host (§4.2).
                if found.is_empty() && self.missing.is_empty() {
                    return self.host(plain, name, None, None);
                }
                found.unwrap_or_default()
            }
        }
    }

    /// All addresses of a host.
    fn host(
        &mut self,
        transport: Transport,
        name: &str,
        port: Option<u16>,
        service: Option<&Service>,
    ) -> Vec<Choice> {
        let addresses = self.addresses(name);
        self.fixed(transport, &lower(name), &addresses, port, service)
    }

    fn fixed(
        &self,
        transport: Transport,
        host: &str,
        addresses: &[IpAddr],
        port: Option<u16>,
        service: Option<&Service>,
    ) -> Vec<Choice> {
        if !self.spoken.contains(&transport) {
            return Vec::new();
        }
        let port = port.unwrap_or(default_port(transport));
        let at = |address: &IpAddr| Choice {
            target: Target { transport, address: SocketAddr::new(*address, port) },
            host: host.to_owned(),
            service: service.cloned(),
        };
        addresses.iter().map(at).collect()
    }

    /// NAPTR, and where there is none all the services that we speak (§4.1).
    fn domain(&mut self, name: &str, secure: bool) -> Found {
        let question = Question::Naptr(lower(name));
        let mut services = match self.cache.find(self.now, &question) {
            Some(Records::Naptr(list)) => list.iter().take(RECORDS_MAX).cloned().collect(),
            Some(_) => Vec::new(),
            None => {
                self.missing.insert(question);
                return Found::Nothing;
            }
        };
        services.sort();
        let known = services.iter().filter_map(|it| {
            Some((by_service(&it.service)?, lower(&it.replacement), Some((it.order, it.preference))))
        });
        let allowed = |transport: Transport| !secure || transport == Transport::Tls;
        let mut services: Vec<Offer> =
            known.filter(|(transport, ..)| allowed(*transport) && self.spoken.contains(transport)).collect();
        if services.is_empty() {
            let spoken = self.spoken.iter().copied().filter(|transport| allowed(*transport));
            services = spoken.map(|transport| (transport, service_name(transport, name), None)).collect();
        }
        let mut found = Found::Nothing;
        for (transport, service, naptr) in services {
            found = found.and(self.service(transport, &service, naptr));
        }
        found
    }

    /// The servers of one service, in the order of RFC 2782.
    fn service(&mut self, transport: Transport, service: &str, naptr: Option<(u16, u16)>) -> Found {
        let question = Question::Srv(service.to_owned());
        let servers = match self.cache.find(self.now, &question) {
            Some(Records::Srv(list)) => list.iter().take(RECORDS_MAX).cloned().collect(),
            Some(_) => Vec::new(),
            None => {
                self.missing.insert(question);
                return Found::Nothing;
            }
        };
        if servers.is_empty() {
            return Found::Nothing;
        }
        let mut choices = Vec::new();
        for server in self.in_order(servers).into_iter().filter(|server| server.host != ".") {
            let Srv { priority, weight, .. } = server;
            let record = Service { name: service.to_owned(), priority, weight, naptr };
            choices.extend(self.host(transport, &server.host, Some(server.port), Some(&record)));
        }
        Found::Service(choices)
    }

    /// Priorities in turn; inside one, drawn by weight, those of weight 0 nearly never first (RFC 2782).
    fn in_order(&mut self, mut servers: Vec<Srv>) -> Vec<Srv> {
        servers.sort();
        let mut ordered = Vec::with_capacity(servers.len());
        while let Some(first) = servers.first() {
            let priority = first.priority;
            let equals = servers.iter().take_while(|server| server.priority == priority);
            let sum: u32 = equals.clone().map(|server| u32::from(server.weight)).sum();
            let drawn = self.draw.number(sum + 1);
            let running = equals.scan(0, |sum, server| {
                *sum += u32::from(server.weight);
                Some(*sum)
            });
            let chosen = running.into_iter().position(|reached| reached >= drawn).unwrap_or(0);
            ordered.push(servers.remove(chosen));
        }
        ordered
    }

    fn addresses(&mut self, name: &str) -> Vec<IpAddr> {
        if let Some(HostRef::Address(address)) = HostRef::parse(name) {
            return vec![address];
        }
        let question = Question::Addresses(lower(name));
        match self.cache.find(self.now, &question) {
            Some(Records::Addresses(list)) => list.iter().take(RECORDS_MAX).copied().collect(),
            Some(_) => Vec::new(),
            None => {
                self.missing.insert(question);
                Vec::new()
            }
        }
    }
}

/// A service, its name, and order and preference of the NAPTR record that offers it.
type Offer = (Transport, String, Option<(u16, u16)>);

/// What a service lookup came to: a service may be there and have no server.
enum Found {
    Nothing,
    Service(Vec<Choice>),
}

impl Found {
    fn is_empty(&self) -> bool {
        matches!(self, Found::Nothing)
    }

    fn and(self, next: Found) -> Found {
        match (self, next) {
            (Found::Service(mut one), Found::Service(two)) => {
                one.extend(two);
                Found::Service(one)
            }
            (Found::Nothing, found) | (found, Found::Nothing) => found,
        }
    }

    fn unwrap_or_default(self) -> Vec<Choice> {
        match self {
            Found::Nothing => Vec::new(),
            Found::Service(choices) => choices,
        }
    }
}

/// The transport parameter of a URI; over sips TCP means TLS, and nothing else is secure (RFC 3261 §26.2.2).
fn named(word: &str, secure: bool) -> Option<Transport> {
    let known = [("udp", Transport::Udp), ("tcp", Transport::Tcp), ("tls", Transport::Tls)];
    let (_, transport) = known.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(word))?;
    match (transport, secure) {
        (Transport::Udp, true) => None,
        (Transport::Tcp, true) => Some(Transport::Tls),
        (transport, _) => Some(transport),
    }
}

fn by_service(service: &str) -> Option<Transport> {
    let known = [("SIP+D2U", Transport::Udp), ("SIP+D2T", Transport::Tcp), ("SIPS+D2T", Transport::Tls)];
    known.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(service)).map(|(_, transport)| transport)
}

fn service_name(transport: Transport, name: &str) -> String {
    let service = match transport {
        Transport::Udp => "_sip._udp",
        Transport::Tcp => "_sip._tcp",
        Transport::Tls => "_sips._tcp",
    };
    format!("{service}.{}", lower(name))
}

fn default_port(transport: Transport) -> u16 {
    match transport {
        Transport::Udp | Transport::Tcp => 5060,
        Transport::Tls => 5061,
    }
}

/// Names are compared without case, and a dot at the end changes nothing.
fn lower(name: &str) -> String {
    name.strip_suffix('.').filter(|rest| !rest.is_empty()).unwrap_or(name).to_ascii_lowercase()
}
