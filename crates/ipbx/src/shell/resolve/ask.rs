//! Puts one question to name servers. The only file that knows which library does it.

use super::{ANSWERED_WITHIN, Fault, LocateError, Naptr, Question, RECORDS_MAX, Records, Srv};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use std::cmp::Reverse;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Tries of one question at one server.
const TRIES: usize = 2;

/// The name servers.
pub(super) struct Names {
    resolver: TokioResolver,
    server: String,
}

impl Names {
    pub(super) fn of_system() -> Result<Names, LocateError> {
        let mut builder = match TokioResolver::builder_tokio() {
            Ok(builder) => builder,
            // Names of the hosts file are found without any server.
            Err(fault) => {
                tracing::warn!(%fault, "/etc/resolv.conf names no name server");
                let nobody = ResolverConfig::from_parts(None, Vec::new(), Vec::new());
                TokioResolver::builder_with_config(nobody, TokioRuntimeProvider::default())
            }
        };
        limit(builder.options_mut(), ResolveHosts::Always);
        let resolver = builder.build().map_err(system)?;
        Ok(Names { resolver, server: "the name server of this machine".to_owned() })
    }

    pub(super) fn of_server(server: SocketAddr) -> Result<Names, LocateError> {
        let at = |mut connection: ConnectionConfig| {
            connection.port = server.port();
            connection
        };
        let both = vec![at(ConnectionConfig::udp()), at(ConnectionConfig::tcp())];
        let config = ResolverConfig::from_name_servers(vec![NameServerConfig::new(server.ip(), true, both)]);
        let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        limit(builder.options_mut(), ResolveHosts::Never);
        let resolver = builder.build().map_err(system)?;
        Ok(Names { resolver, server: format!("the name server {server}") })
    }

    /// Who is asked, for people.
    pub(super) fn server(&self) -> &str {
        &self.server
    }

    /// The records, and for how long they may be believed. None is an answer too.
    pub(super) async fn ask(&self, question: &Question) -> Result<(Records, Duration), Fault> {
        match question {
            Question::Addresses(name) => self.addresses(name).await,
            Question::Naptr(name) => {
                let (mut list, lives) = self.records(name, RecordType::NAPTR, naptr).await?;
                list.sort();
                list.truncate(RECORDS_MAX);
                Ok((Records::Naptr(list), lives))
            }
            Question::Srv(name) => {
                let (mut list, lives) = self.records(name, RecordType::SRV, srv).await?;
                list.sort_by_key(|record| (record.priority, Reverse(record.weight)));
                list.truncate(RECORDS_MAX);
                Ok((Records::Srv(list), lives))
            }
        }
    }

    /// Both families, IPv4 first: where both exist, telephones are the last to be given a way for IPv6. One family is
    /// enough when the other fails.
    async fn addresses(&self, name: &str) -> Result<(Records, Duration), Fault> {
        let address = |data: &RData| data.ip_addr();
        let (four, six) = tokio::join!(
            self.records(name, RecordType::A, address),
            self.records(name, RecordType::AAAA, address)
        );
        let (mut list, lives): (Vec<IpAddr>, Duration) = match (four, six) {
            (Ok((mut four, lives)), Ok((six, lives_too))) => {
                four.extend(six);
                (four, lives.min(lives_too))
            }
            (Ok(one), Err(fault)) | (Err(fault), Ok(one)) if one.0.is_empty() => return Err(fault),
            (Ok(one), Err(_)) | (Err(_), Ok(one)) => one,
            (Err(fault), Err(_)) => return Err(fault),
        };
        list.truncate(RECORDS_MAX);
        Ok((Records::Addresses(list), lives))
    }

    async fn records<T>(
        &self,
        name: &str,
        kind: RecordType,
        read: impl Fn(&RData) -> Option<T>,
    ) -> Result<(Vec<T>, Duration), Fault> {
        let mut asked = Name::from_ascii(name).map_err(|fault| Fault::NoName(fault.to_string()))?;
        // Names of SIP are whole; only a word alone may be one of this network.
        asked.set_fqdn(name.contains('.'));
        match self.resolver.lookup(asked, kind).await {
            Ok(found) => {
                let lives = found.answers().iter().map(|record| record.ttl).min().unwrap_or(0);
                let read = |record: &Record| read(&record.data);
                let list = found.answers().iter().filter_map(read).collect();
                Ok((list, Duration::from_secs(u64::from(lives))))
            }
            Err(fault) => nothing_or(fault).map(|()| (Vec::new(), Duration::MAX)),
        }
    }
}

/// Our limits in place of the system's; the memory is ours too, for both to be bounded by one hand.
fn limit(options: &mut ResolverOpts, hosts: ResolveHosts) {
    options.cache_size = 0;
    options.attempts = TRIES;
    options.timeout = ANSWERED_WITHIN / 3;
    options.use_hosts_file = hosts;
    options.edns0 = true;
}

fn system(fault: NetError) -> LocateError {
    LocateError::System(fault.to_string())
}

/// That there is no such record is an answer; all else is a fault.
fn nothing_or(fault: NetError) -> Result<(), Fault> {
    match fault {
        NetError::Dns(DnsError::NoRecordsFound(none)) => match none.response_code {
            ResponseCode::NoError | ResponseCode::NXDomain => Ok(()),
            code => Err(Fault::Refused(code.to_string())),
        },
        NetError::Dns(DnsError::ResponseCode(code)) => Err(Fault::Refused(code.to_string())),
        NetError::Timeout => Err(Fault::Silent),
        NetError::NoConnections => Err(Fault::Unreachable("no name server is left to ask".to_owned())),
        NetError::Io(fault) => Err(Fault::Unreachable(fault.to_string())),
        fault => Err(Fault::Broken(fault.to_string())),
    }
}

/// One that ends in an SRV name (RFC 3263 § 4.1: flag `s`, no regular expression).
fn naptr(data: &RData) -> Option<Naptr> {
    let RData::NAPTR(record) = data else { return None };
    let ends = record.flags.eq_ignore_ascii_case(b"s") && record.regexp.is_empty();
    ends.then(|| Naptr {
        order: record.order,
        preference: record.preference,
        service: String::from_utf8_lossy(&record.services).into_owned(),
        replacement: record.replacement.to_ascii(),
    })
}

fn srv(data: &RData) -> Option<Srv> {
    let RData::SRV(record) = data else { return None };
    let host = record.target.to_ascii();
    Some(Srv { priority: record.priority, weight: record.weight, port: record.port, host })
}
