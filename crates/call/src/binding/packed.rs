//! A binding in one piece of memory: a fifth of the size of the value, and the very bytes that go to disk.
//!
//! ```text
//! form u8 = 1, flags u8, q u16, CSeq u32, connection u64, since u64, until u64     times in ns since the epoch
//! local, remote                          each 4 or 6 (the IP version), address, port u16
//! extension, device, contact, Call-ID, User-Agent                  each length u16, UTF-8
//! path                                     length u16 of all, and the same for each
//! ```
//!
//! Numbers are little-endian. Earlier releases wrote JSON, which begins with a brace: that is still read.

use super::{Binding, Device};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sip::{Flow, Transport};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// The form described above.
const FORM: u8 = 1;
/// Bits of the flags: the transport in the lower two.
const CONNECTED: u8 = 4;
/// Bytes besides the texts.
const FRAME_BYTES_MAX: usize = 32 + 2 * 19 + 6 * 2;

/// A binding as it is held and written. Cloning shares it.
#[derive(Clone, PartialEq, Eq)]
pub struct PackedBinding(Arc<[u8]>);

/// The parts of a [`Binding`], looked at where they stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BindingRef<'a> {
    /// The subscriber.
    pub extension: &'a str,
    /// The device.
    pub device: &'a str,
    /// The address the phone wants to be called by.
    pub contact: &'a str,
    /// The Call-ID of the phone's registrations.
    pub call_id: &'a str,
    /// The CSeq of the last one.
    pub cseq: u32,
    /// What the phone calls itself.
    pub user_agent: &'a str,
    /// Where its requests come from.
    pub flow: Flow,
    /// False while its connection is closed.
    pub connected: bool,
    /// Its preference in thousandths.
    pub q: u16,
    /// When it was first registered.
    pub since: Duration,
    /// When it ends unless refreshed.
    pub until: Duration,
    /// See [`packed_path`].
    pub(crate) path: &'a [u8],
}

impl From<Binding> for PackedBinding {
    fn from(binding: Binding) -> PackedBinding {
        PackedBinding::of(&binding)
    }
}

impl PackedBinding {
    /// Packs a binding. Texts are far shorter than they could be here (`owner::asked` sees to that).
    #[must_use]
    pub fn of(binding: &Binding) -> PackedBinding {
        let path = packed_path(&binding.path);
        PackedBinding::pack(BindingRef {
            extension: binding.extension.as_str(),
            device: &binding.device.0,
            contact: &binding.contact,
            call_id: &binding.call_id,
            cseq: binding.cseq,
            user_agent: &binding.user_agent,
            flow: binding.flow,
            connected: binding.connected,
            q: binding.q,
            since: binding.since,
            until: binding.until,
            path: &path,
        })
    }

    pub(crate) fn pack(binding: BindingRef<'_>) -> PackedBinding {
        let BindingRef { extension, device, contact, call_id, user_agent, flow, path, .. } = binding;
        let texts = [extension, device, contact, call_id, user_agent];
        let length = texts.iter().map(|text| text.len()).sum::<usize>() + path.len();
        let mut bytes = Vec::with_capacity(length + FRAME_BYTES_MAX);
        bytes.push(FORM);
        bytes.push(transport_bits(flow.transport) | if binding.connected { CONNECTED } else { 0 });
        bytes.extend_from_slice(&binding.q.to_le_bytes());
        bytes.extend_from_slice(&binding.cseq.to_le_bytes());
        for number in [flow.connection, nanos(binding.since), nanos(binding.until)] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        put_address(&mut bytes, flow.local);
        put_address(&mut bytes, flow.remote);
        texts.iter().for_each(|text| put_text(&mut bytes, text));
        put_piece(&mut bytes, path);
        PackedBinding(bytes.into())
    }

    /// Takes what was written, by this release or an earlier one; none when it cannot be read.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<PackedBinding> {
        if bytes.first() == Some(&b'{') {
            return serde_json::from_slice(bytes).ok().as_ref().map(PackedBinding::of);
        }
        let extension = BindingRef::parse(bytes)?.extension;
        extension.parse::<model::Extension>().is_ok().then(|| PackedBinding(bytes.into()))
    }

    /// The same while its connection is closed.
    #[must_use]
    pub(crate) fn disconnected(&self) -> PackedBinding {
        let mut bytes = self.0.to_vec();
        if let Some(flags) = bytes.get_mut(1) {
            *flags &= !CONNECTED;
        }
        PackedBinding(bytes.into())
    }

    /// What is written.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// To look into.
    #[must_use]
    pub fn read(&self) -> BindingRef<'_> {
        // It was made or checked above.
        BindingRef::parse(&self.0).unwrap_or(BindingRef::NONE)
    }

    /// The value; none when its subscriber has no number, which [`PackedBinding::parse`] lets nobody be.
    #[must_use]
    pub fn unpack(&self) -> Option<Binding> {
        self.read().to_binding()
    }
}

impl fmt::Debug for PackedBinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.read().fmt(f)
    }
}

impl Serialize for PackedBinding {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.unpack().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for PackedBinding {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<PackedBinding, D::Error> {
        Ok(PackedBinding::of(&Binding::deserialize(deserializer)?))
    }
}

impl<'a> BindingRef<'a> {
    const NONE: BindingRef<'static> = BindingRef {
        extension: "",
        device: "",
        contact: "",
        call_id: "",
        cseq: 0,
        user_agent: "",
        flow: Flow { transport: Transport::Udp, local: NOWHERE, remote: NOWHERE, connection: 0 },
        connected: false,
        q: 0,
        since: Duration::ZERO,
        until: Duration::ZERO,
        path: &[],
    };

    fn parse(bytes: &'a [u8]) -> Option<BindingRef<'a>> {
        let mut rest = Bytes(bytes);
        let [form, flags] = rest.take()?;
        if form != FORM {
            return None;
        }
        let q = u16::from_le_bytes(rest.take()?);
        let cseq = u32::from_le_bytes(rest.take()?);
        let connection = u64::from_le_bytes(rest.take()?);
        let since = Duration::from_nanos(u64::from_le_bytes(rest.take()?));
        let until = Duration::from_nanos(u64::from_le_bytes(rest.take()?));
        let (local, remote) = (rest.address()?, rest.address()?);
        let flow = Flow { transport: transport(flags)?, local, remote, connection };
        let (extension, device, contact) = (rest.text()?, rest.text()?, rest.text()?);
        let (call_id, user_agent) = (rest.text()?, rest.text()?);
        let path = rest.piece()?;
        let mut hops = Bytes(path);
        while !hops.0.is_empty() {
            hops.text()?;
        }
        if !rest.0.is_empty() {
            return None;
        }
        let connected = flags & CONNECTED != 0;
        Some(BindingRef {
            extension,
            device,
            contact,
            call_id,
            cseq,
            user_agent,
            flow,
            connected,
            q,
            since,
            until,
            path,
        })
    }

    /// The proxies between it and us, the nearest to us first (RFC 3327).
    pub fn path(self) -> impl Iterator<Item = &'a str> {
        let mut rest = Bytes(self.path);
        std::iter::from_fn(move || rest.text())
    }

    /// For keeping; none when its subscriber has no number.
    #[must_use]
    pub fn to_binding(self) -> Option<Binding> {
        Some(Binding {
            extension: self.extension.parse().ok()?,
            device: Device(self.device.to_owned()),
            contact: self.contact.to_owned(),
            path: self.path().map(str::to_owned).collect(),
            flow: self.flow,
            connected: self.connected,
            q: self.q,
            since: self.since,
            until: self.until,
            call_id: self.call_id.to_owned(),
            cseq: self.cseq,
            user_agent: self.user_agent.to_owned(),
        })
    }
}

const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 0);

fn transport_bits(transport: Transport) -> u8 {
    match transport {
        Transport::Udp => 0,
        Transport::Tcp => 1,
        Transport::Tls => 2,
    }
}

fn transport(flags: u8) -> Option<Transport> {
    [Transport::Udp, Transport::Tcp, Transport::Tls].into_iter().nth(usize::from(flags & 3))
}

/// The proxies between a phone and us, as they stand in a packed binding.
pub(crate) fn packed_path(path: &[String]) -> Vec<u8> {
    let mut bytes = Vec::new();
    path.iter().for_each(|hop| put_text(&mut bytes, hop));
    bytes
}

/// Enough for the next five centuries.
fn nanos(at: Duration) -> u64 {
    u64::try_from(at.as_nanos()).unwrap_or(u64::MAX)
}

fn put_address(bytes: &mut Vec<u8>, address: SocketAddr) {
    match address.ip() {
        IpAddr::V4(ip) => {
            bytes.push(4);
            bytes.extend_from_slice(&ip.octets());
        }
        IpAddr::V6(ip) => {
            bytes.push(6);
            bytes.extend_from_slice(&ip.octets());
        }
    }
    bytes.extend_from_slice(&address.port().to_le_bytes());
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    put_piece(bytes, text.as_bytes());
}

fn put_piece(bytes: &mut Vec<u8>, piece: &[u8]) {
    let length = u16::try_from(piece.len()).unwrap_or(u16::MAX);
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(piece.get(..length.into()).unwrap_or_default());
}

/// What is left to be read.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.piece()?).ok()
    }

    fn piece(&mut self) -> Option<&'a [u8]> {
        let length = u16::from_le_bytes(self.take()?);
        let (piece, rest) = self.0.split_at_checked(length.into())?;
        self.0 = rest;
        Some(piece)
    }

    fn address(&mut self) -> Option<SocketAddr> {
        let ip = match self.take()? {
            [4] => IpAddr::from(self.take::<4>()?),
            [6] => IpAddr::from(self.take::<16>()?),
            _ => return None,
        };
        Some(SocketAddr::new(ip, u16::from_le_bytes(self.take()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binding() -> Binding {
        let flow = Flow {
            transport: Transport::Tls,
            local: "[2001:db8::1]:5061".parse().unwrap(),
            remote: "192.0.2.7:40000".parse().unwrap(),
            connection: u64::MAX - 7,
        };
        Binding {
            extension: "2101".parse().unwrap(),
            device: Device("<urn:uuid:1>".into()),
            contact: "sip:2101@192.0.2.7;transport=tls".into(),
            path: vec!["<sip:p1.test;lr>".into(), "<sip:p2.test>".into()],
            flow,
            connected: true,
            q: 512,
            since: Duration::new(1_790_000_000, 123_456_789),
            until: Duration::new(1_790_003_600, 1),
            call_id: "a-call-id".into(),
            cseq: u32::MAX,
            user_agent: "Téléphone 3000".into(),
        }
    }

    #[test]
    fn what_is_packed_comes_out_whole_in_less_than_its_texts_and_a_hundred_bytes() {
        let whole = binding();
        let bare = Binding { path: vec![], connected: false, user_agent: String::new(), ..binding() };
        for binding in [whole, bare] {
            let packed = PackedBinding::of(&binding);
            assert_eq!(packed.unpack().as_ref(), Some(&binding));
            assert_eq!(PackedBinding::parse(packed.bytes()), Some(packed.clone()));
            let json = serde_json::to_vec(&packed).unwrap();
            assert_eq!(json, serde_json::to_vec(&binding).unwrap());
            assert!(packed.bytes().len() * 2 < json.len(), "{} of {}", packed.bytes().len(), json.len());
        }
    }

    #[test]
    fn what_an_earlier_release_wrote_is_read() {
        let json = serde_json::to_vec(&binding()).unwrap();
        assert_eq!(PackedBinding::parse(&json).and_then(|packed| packed.unpack()), Some(binding()));
        assert_eq!(PackedBinding::parse(b"{}"), None);
    }

    #[test]
    fn damaged_bytes_are_no_binding_and_no_panic() {
        let packed = PackedBinding::of(&binding());
        for end in 0..packed.bytes().len() {
            assert_eq!(PackedBinding::parse(&packed.bytes()[..end]), None, "cut at {end}");
        }
        for at in 0..packed.bytes().len() {
            for bit in 0..8 {
                let mut bytes = packed.bytes().to_vec();
                bytes[at] ^= 1 << bit;
                if let Some(read) = PackedBinding::parse(&bytes) {
                    assert!(read.unpack().is_some(), "bit {bit} of byte {at}");
                }
            }
        }
    }
}
