//! Printing a description, in the order of RFC 8866 § 5.

use super::{Attribute, Media, Origin, Session};
use std::fmt;
use std::net::IpAddr;

/// Lines that stand between `s=` and `c=`, and those between `c=` and `a=`.
const BEFORE_CONNECTION: &str = "iuep";

impl fmt::Display for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v=0\r\n{}s={}\r\n", self.origin, self.name)?;
        lines(f, &self.other, |letter| BEFORE_CONNECTION.contains(letter))?;
        connection(f, self.connection)?;
        lines(f, &self.other, |letter| letter == 'b')?;
        if !self.other.iter().any(|(letter, _)| *letter == 't') {
            f.write_str("t=0 0\r\n")?;
        }
        lines(f, &self.other, |letter| letter != 'b' && !BEFORE_CONNECTION.contains(letter))?;
        attributes(f, &self.attributes)?;
        self.media.iter().try_for_each(|media| media.fmt(f))
    }
}

impl fmt::Display for Media {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "m={} {} {} {}\r\n", self.kind, self.port, self.protocol, self.formats.join(" "))?;
        lines(f, &self.other, |letter| letter == 'i')?;
        connection(f, self.connection)?;
        lines(f, &self.other, |letter| letter != 'i')?;
        attributes(f, &self.attributes)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let family = if self.host.contains(':') { "IP6" } else { "IP4" };
        write!(f, "o={} {} {} IN {family} {}\r\n", self.user, self.id, self.version, self.host)
    }
}

fn connection(f: &mut fmt::Formatter<'_>, address: Option<IpAddr>) -> fmt::Result {
    match address {
        Some(IpAddr::V4(address)) => write!(f, "c=IN IP4 {address}\r\n"),
        Some(IpAddr::V6(address)) => write!(f, "c=IN IP6 {address}\r\n"),
        None => Ok(()),
    }
}

fn attributes(f: &mut fmt::Formatter<'_>, attributes: &[Attribute]) -> fmt::Result {
    attributes.iter().try_for_each(|attribute| match &attribute.value {
        Some(value) => write!(f, "a={}:{value}\r\n", attribute.name),
        None => write!(f, "a={}\r\n", attribute.name),
    })
}

fn lines(f: &mut fmt::Formatter<'_>, lines: &[(char, String)], wanted: impl Fn(char) -> bool) -> fmt::Result {
    lines
        .iter()
        .filter(|(letter, _)| wanted(*letter))
        .try_for_each(|(letter, value)| write!(f, "{letter}={value}\r\n"))
}
