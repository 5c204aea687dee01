//! A small name server whose answers are written by hand, byte for byte (RFC 1035 § 4, 2782, 3403, 3596): a second opinion on
//! the library that reads them. It can also be silent, refuse, and talk nonsense.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

const A: u16 = 1;
const CNAME: u16 = 5;
const AAAA: u16 = 28;
const SRV: u16 = 33;
const NAPTR: u16 = 35;

/// Bytes of the head of a message.
const HEAD: usize = 12;
const NAME_ERROR: u8 = 3;

/// How a name behaves, whatever is asked of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// No answer at all.
    Silent,
    /// SERVFAIL.
    Failing,
    /// An answer that promises records and has noise in their place.
    Nonsense,
}

#[derive(Debug, Clone)]
struct Record {
    kind: u16,
    ttl_s: u32,
    data: Vec<u8>,
}

/// What a name server knows.
#[derive(Debug, Clone, Default)]
pub struct Zone {
    records: BTreeMap<String, Vec<Record>>,
    aliases: BTreeMap<String, String>,
    manners: BTreeMap<String, Manner>,
}

impl Zone {
    fn with(mut self, name: &str, kind: u16, ttl_s: u32, data: Vec<u8>) -> Zone {
        self.records.entry(name.to_ascii_lowercase()).or_default().push(Record { kind, ttl_s, data });
        self
    }

    /// A or AAAA.
    #[must_use]
    pub fn address(self, name: &str, ttl_s: u32, address: IpAddr) -> Zone {
        match address {
            IpAddr::V4(it) => self.with(name, A, ttl_s, it.octets().to_vec()),
            IpAddr::V6(it) => self.with(name, AAAA, ttl_s, it.octets().to_vec()),
        }
    }

    /// SRV: priority, weight, port.
    #[must_use]
    pub fn srv(self, name: &str, (priority, weight, port): (u16, u16, u16), host: &str) -> Zone {
        let mut data = [priority, weight, port].map(u16::to_be_bytes).concat();
        data.extend(encoded(host));
        self.with(name, SRV, 300, data)
    }

    /// NAPTR with the flag `s`: order, preference.
    #[must_use]
    pub fn naptr(self, name: &str, (order, preference): (u16, u16), service: &str, leads_to: &str) -> Zone {
        let mut data = [order, preference].map(u16::to_be_bytes).concat();
        data.extend(text("s").into_iter().chain(text(service)).chain(text("")).chain(encoded(leads_to)));
        self.with(name, NAPTR, 300, data)
    }

    /// CNAME.
    #[must_use]
    pub fn alias(mut self, name: &str, of: &str) -> Zone {
        self.aliases.insert(name.to_ascii_lowercase(), of.to_ascii_lowercase());
        self
    }

    /// A name that is not as it should be.
    #[must_use]
    pub fn behaving(mut self, name: &str, manner: Manner) -> Zone {
        self.manners.insert(name.to_ascii_lowercase(), manner);
        self
    }

    /// The answer to a question; none = silence.
    fn answer(&self, question: &[u8]) -> Option<Vec<u8>> {
        let (name, kind, asked) = read(question)?;
        let mut records = Vec::new();
        let mut owner = name.clone();
        if let Some(of) = self.aliases.get(&name) {
            records.push((name.clone(), Record { kind: CNAME, ttl_s: 300, data: encoded(of) }));
            owner.clone_from(of);
        }
        let known = self.records.get(&owner);
        let fitting = known.into_iter().flatten().filter(|record| record.kind == kind);
        records.extend(fitting.map(|record| (owner.clone(), record.clone())));
        let manner = self.manners.get(&name);
        let code = match manner {
            Some(Manner::Silent) => return None,
            Some(Manner::Failing) => 2,
            Some(Manner::Nonsense) => 0,
            None if known.is_none() && records.is_empty() => NAME_ERROR,
            None => 0,
        };
        let nonsense = manner == Some(&Manner::Nonsense);
        let count = if nonsense { 40_000 } else { u16::try_from(records.len()).ok()? };
        let mut out = question.get(..2)?.to_vec();
        out.extend([0x85, 0x80 | code, 0, 1]);
        out.extend(count.to_be_bytes());
        out.extend([0; 4]);
        out.extend(asked);
        for (owner, record) in records {
            // The name of the question is pointed at, as servers do (RFC 1035 § 4.1.4).
            out.extend(if owner == name { vec![0xc0, 12] } else { encoded(&owner) });
            out.extend(record.kind.to_be_bytes().into_iter().chain([0, 1]));
            out.extend(record.ttl_s.to_be_bytes());
            out.extend(u16::try_from(record.data.len()).ok()?.to_be_bytes());
            out.extend(record.data);
        }
        if nonsense {
            out.extend((0..400_u16).flat_map(|n| (n.wrapping_mul(40_503)).to_be_bytes()));
        }
        Some(out)
    }
}

/// A running name server on the loopback; it ends with its handle.
pub struct NameServer {
    /// Where it is asked.
    pub address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl NameServer {
    /// Starts one that knows `zone`.
    ///
    /// # Errors
    /// When there is no socket.
    pub async fn start(zone: Zone) -> std::io::Result<NameServer> {
        let socket = UdpSocket::bind(("127.0.0.1", 0)).await?;
        let (address, asked) = (socket.local_addr()?, Arc::<Mutex<Vec<String>>>::default());
        let heard = Arc::clone(&asked);
        let task = tokio::spawn(async move {
            let mut buffer = [0; 4096];
            while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
                let question = buffer.get(..length).unwrap_or_default();
                if let Some((name, kind, _)) = read(question) {
                    heard.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{kind} {name}"));
                }
                if let Some(answer) = zone.answer(question) {
                    // Who asked may have gone.
                    let _ = socket.send_to(&answer, from).await;
                }
            }
        });
        Ok(NameServer { address, asked, task })
    }

    /// How often anything was asked of this name.
    #[must_use]
    pub fn times(&self, name: &str) -> usize {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.iter().filter(|it| it.split_once(' ').is_some_and(|(_, asked)| asked == name)).count()
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Name, type and bytes of the question of a message.
fn read(message: &[u8]) -> Option<(String, u16, Vec<u8>)> {
    let (mut at, mut labels) = (HEAD, Vec::new());
    loop {
        let length = usize::from(*message.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        let label = message.get(at..at + length)?;
        labels.push(String::from_utf8_lossy(label).to_ascii_lowercase());
        at += length;
    }
    let kind = u16::from_be_bytes([*message.get(at)?, *message.get(at + 1)?]);
    Some((labels.join("."), kind, message.get(HEAD..at + 4)?.to_vec()))
}

fn encoded(name: &str) -> Vec<u8> {
    let labels = name.split('.').filter(|label| !label.is_empty());
    labels.flat_map(text).chain([0]).collect()
}

/// A string after its length.
fn text(text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len()).unwrap_or(u8::MAX);
    [length].into_iter().chain(text.bytes()).collect()
}
