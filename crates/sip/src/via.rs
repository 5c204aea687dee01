//! Via: the way back (RFC 3261 §18.2, §20.42; RFC 3581 for rport).

use crate::host::{self, Host, HostRef};
use crate::params::{Params, ParamsRef};
use crate::scan::{self, Cursor};
use std::fmt::{self, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

/// What a branch of RFC 3261 begins with (§8.1.1.7).
pub(crate) const MAGIC_COOKIE: &str = "z9hG4bK";

/// One Via element where it stands in a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ViaRef<'a> {
    /// `UDP`, `TCP`, `TLS`, or whatever was written.
    pub transport: &'a str,
    /// Host of the sent-by.
    pub host: HostRef<'a>,
    /// Port of the sent-by.
    pub port: Option<u16>,
    /// branch, received, rport, maddr, ttl.
    pub params: ParamsRef<'a>,
}

impl<'a> ViaRef<'a> {
    /// What a text that is no Via is read as, where one was checked before.
    pub(crate) fn none() -> ViaRef<'a> {
        ViaRef { transport: "", host: HostRef::Name(""), port: None, params: ParamsRef::default() }
    }

    /// Reads one whole element.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<ViaRef<'a>> {
        let mut cursor = Cursor::new(scan::trim(text));
        let name = cursor.token()?;
        let version = cursor.mark('/').then(|| cursor.token())??;
        let transport = cursor.mark('/').then(|| cursor.token())??;
        if !name.eq_ignore_ascii_case("SIP") || version != "2.0" {
            return None;
        }
        cursor.take_while(scan::is_blank)?;
        let host = read_host(&mut cursor)?;
        let port = if cursor.mark(':') { Some(scan::number(cursor.token()?)?) } else { None };
        let params = ParamsRef::of_header(&mut cursor)?;
        cursor.is_done().then_some(ViaRef { transport, host, port, params })
    }

    /// The branch.
    #[must_use]
    pub fn branch(self) -> Option<&'a str> {
        self.params.raw("branch")
    }

    /// The branch, when it is one of RFC 3261: unique, and more than the bare cookie.
    #[must_use]
    pub fn unique_branch(self) -> Option<&'a str> {
        self.branch().filter(|branch| branch.len() > MAGIC_COOKIE.len() && branch.starts_with(MAGIC_COOKIE))
    }

    /// The address the server saw, if it noted one.
    #[must_use]
    pub fn received(self) -> Option<IpAddr> {
        host::bare_address(&self.params.value("received")?)
    }

    /// The port the server saw, if it was asked for.
    #[must_use]
    pub fn rport(self) -> Option<u16> {
        scan::number(self.params.raw("rport")?)
    }

    /// For keeping.
    #[must_use]
    pub fn to_via(self) -> Via {
        Via {
            transport: self.transport.to_owned(),
            host: self.host.to_host(),
            port: self.port,
            params: self.params.to_params(),
        }
    }
}

/// One Via element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Via {
    /// `UDP`, `TCP`, `TLS`, or whatever was written.
    pub transport: String,
    /// Host of the sent-by.
    pub host: Host,
    /// Port of the sent-by.
    pub port: Option<u16>,
    /// branch, received, rport, maddr, ttl.
    pub params: Params,
}

impl Via {
    /// The Via of a request of ours.
    #[must_use]
    pub fn new(transport: &str, host: impl Into<Host>, port: Option<u16>, branch: &str) -> Via {
        let params = Params::new().with("branch", branch);
        Via { transport: transport.to_owned(), host: host.into(), port, params }
    }

    /// Asks for the answer at the port the request comes from (RFC 3581 §3).
    #[must_use]
    pub fn with_rport(mut self) -> Via {
        self.params.set("rport", None);
        self
    }

    /// Reads one whole element.
    #[must_use]
    pub fn parse(text: &str) -> Option<Via> {
        ViaRef::parse(text).map(ViaRef::to_via)
    }

    /// To look into.
    #[must_use]
    pub fn as_ref(&self) -> ViaRef<'_> {
        let Via { transport, host, port, params } = self;
        ViaRef { transport, host: host.as_ref(), port: *port, params: params.as_ref() }
    }

    /// The branch.
    #[must_use]
    pub fn branch(&self) -> Option<&str> {
        self.params.raw("branch")
    }

    /// The branch, when it is one of RFC 3261: unique, and more than the bare cookie.
    #[must_use]
    pub fn unique_branch(&self) -> Option<&str> {
        self.as_ref().unique_branch()
    }

    /// `host` or `host:port`, as transactions are told apart by it (RFC 3261 §17.2.3).
    #[must_use]
    pub fn sent_by(&self) -> String {
        match self.port {
            Some(port) => format!("{}:{port}", self.host).to_ascii_lowercase(),
            None => self.host.to_string().to_ascii_lowercase(),
        }
    }

    /// The address the server saw, if it noted one.
    #[must_use]
    pub fn received(&self) -> Option<IpAddr> {
        self.as_ref().received()
    }

    /// The port the server saw, if it was asked for.
    #[must_use]
    pub fn rport(&self) -> Option<u16> {
        self.as_ref().rport()
    }

    /// Notes where the request really came from: `received` when the sent-by says otherwise or rport was asked
    /// for, and `rport` when it was (RFC 3261 §18.2.1, RFC 3581 §4).
    pub fn stamp(&mut self, source: SocketAddr) {
        let asked = self.params.has("rport");
        if asked || self.host.address() != Some(source.ip()) {
            self.params.set("received", Some(&source.ip().to_string()));
        } else {
            self.params.remove("received");
        }
        if asked {
            self.params.set("rport", Some(&source.port().to_string()));
        }
    }

    /// Where a response goes over UDP when nothing is remembered (RFC 3261 §18.2.2, RFC 3581 §4); `None` when the
    /// sent-by is a name.
    #[must_use]
    pub fn reply_address(&self) -> Option<SocketAddr> {
        let address = self.received().or_else(|| self.host.address())?;
        let port = self.rport().or(self.port).unwrap_or(5060);
        Some(SocketAddr::new(address, port))
    }
}

/// Writes a Via as it stands, stamped as [`Via::stamp`] does it; tells where its branch is now.
pub(crate) fn write_stamped(text: &mut String, element: &str, source: SocketAddr) -> Option<Range<usize>> {
    let via = ViaRef::parse(element).unwrap_or(ViaRef::none());
    let before_params = element.len().saturating_sub(via.params.text().len());
    text.push_str(element.get(..before_params).unwrap_or_default().trim_end());
    let mut branch = None;
    let mut asked = false;
    for (name, value) in via.params.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("received")) {
        text.push(';');
        text.push_str(name);
        if name.eq_ignore_ascii_case("rport") {
            asked = true;
            // Writing to a String cannot fail; nor below.
            let _ = write!(text, "={}", source.port());
        } else if let Some(value) = value {
            text.push('=');
            let start = text.len();
            text.push_str(value);
            branch = branch.or_else(|| name.eq_ignore_ascii_case("branch").then_some(start..text.len()));
        }
    }
    if asked || via.host.address() != Some(source.ip()) {
        let _ = write!(text, ";received={}", source.ip());
    }
    branch
}

fn read_host<'a>(cursor: &mut Cursor<'a>) -> Option<HostRef<'a>> {
    if cursor.rest.starts_with('[') {
        let end = cursor.rest.find(']')? + 1;
        let (text, rest) = cursor.rest.split_at_checked(end)?;
        cursor.rest = rest;
        return HostRef::parse(text);
    }
    HostRef::parse(cursor.take_while(host::is_name_byte)?)
}

impl fmt::Display for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SIP/2.0/{} {}", self.transport, self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        write!(f, "{}", self.params)
    }
}
