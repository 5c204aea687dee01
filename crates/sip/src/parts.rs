//! What every message must have, found and checked in one walk over its head: first line, top Via, From, To, Call-ID, CSeq
//! and Max-Forwards, as places in the text. It is not the text, nor the headers that only some readers want.

use crate::address::NameAddrRef;
use crate::head::{HeadRef, Place};
use crate::scan::{self, Elements};
use crate::uri::UriRef;
use crate::via::ViaRef;
use crate::{CSeq, Fault, Name, Status};
use std::ops::Range;

/// The places and values of what every message must have.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Parts {
    pub(crate) start: Start,
    /// The top element of the first Via line.
    pub(crate) via: Place,
    pub(crate) branch: Option<Place>,
    pub(crate) from: Place,
    pub(crate) from_tag: Option<Place>,
    pub(crate) to: Place,
    pub(crate) to_tag: Option<Place>,
    pub(crate) call_id: Place,
    pub(crate) cseq: CSeq,
    pub(crate) max_forwards: Option<u8>,
}

/// What the first line says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Start {
    /// Place of the Request-URI.
    Request(Place),
    /// Status, and place of the reason phrase.
    Response(Status, Place),
}

impl Parts {
    /// Finds and checks them.
    pub(crate) fn read(head: HeadRef<'_>) -> Result<Parts, Fault> {
        let (start, method) = read_start(head)?;
        let known = Required::find(head)?;
        let place = |piece: &str| Place::of(head.text, piece);
        let top = Elements::of(known.via.ok_or(Fault::Absent(Name::Via))?).next().unwrap_or_default();
        let via = ViaRef::parse(top).ok_or(Fault::Header(Name::Via))?;
        let (from, from_tag) = required_address(known.from, Name::From)?;
        let (to, to_tag) = required_address(known.to, Name::To)?;
        let call_id = known.call_id.ok_or(Fault::Absent(Name::CallId))?;
        if call_id.is_empty() || call_id.bytes().any(scan::is_blank) {
            return Err(Fault::Header(Name::CallId));
        }
        let cseq = CSeq::parse(known.cseq.ok_or(Fault::Absent(Name::CSeq))?);
        let cseq = cseq.ok_or(Fault::Header(Name::CSeq))?;
        if method.is_some_and(|method| method != cseq.method.as_str()) {
            return Err(Fault::CSeqMethod);
        }
        let max_forwards = match known.max_forwards {
            Some(value) => Some(scan::number(value).ok_or(Fault::Header(Name::MaxForwards))?),
            None => None,
        };
        Ok(Parts {
            start,
            via: place(top),
            branch: via.branch().map(place),
            from: place(from),
            from_tag: from_tag.map(place),
            to: place(to),
            to_tag: to_tag.map(place),
            call_id: place(call_id),
            cseq,
            max_forwards,
        })
    }

    /// The top Via.
    pub(crate) fn via_in<'a>(&self, text: &'a str) -> ViaRef<'a> {
        ViaRef::parse(self.via.read(text)).unwrap_or(ViaRef::none())
    }

    /// Follows a To that became longer.
    pub(crate) fn moved(&mut self, old: Place, new: Place) {
        self.to = new;
        self.call_id = self.call_id.moved(old, new.end() - new.start());
    }

    /// Follows a change of the top Via, in which the branch stands there now.
    pub(crate) fn follow(&mut self, old: Place, new_len: usize, branch: Option<Range<usize>>) {
        for place in [&mut self.via, &mut self.from, &mut self.to, &mut self.call_id] {
            *place = place.moved(old, new_len);
        }
        for place in [&mut self.from_tag, &mut self.to_tag].into_iter().flatten() {
            *place = place.moved(old, new_len);
        }
        self.branch = branch.map(|branch| Place::new(branch.start, branch.len()));
    }
}

/// The values of the headers that every message has, found in one walk.
#[derive(Default)]
struct Required<'a> {
    via: Option<&'a str>,
    from: Option<&'a str>,
    to: Option<&'a str>,
    call_id: Option<&'a str>,
    cseq: Option<&'a str>,
    max_forwards: Option<&'a str>,
}

impl<'a> Required<'a> {
    /// Refuses a second line of what makes no sense twice.
    fn find(head: HeadRef<'a>) -> Result<Required<'a>, Fault> {
        let mut found = Required::default();
        let [mut content_type, mut expires, mut session_expires] = [None; 3];
        for (line, value) in head.lines() {
            let slot = match line.name {
                Name::Via => {
                    found.via = found.via.or(Some(value));
                    continue;
                }
                Name::From => &mut found.from,
                Name::To => &mut found.to,
                Name::CallId => &mut found.call_id,
                Name::CSeq => &mut found.cseq,
                Name::MaxForwards => &mut found.max_forwards,
                Name::ContentType => &mut content_type,
                Name::Expires => &mut expires,
                Name::SessionExpires => &mut session_expires,
                _ => continue,
            };
            if slot.replace(value).is_some() {
                return Err(Fault::Repeated(line.name));
            }
        }
        Ok(found)
    }
}

/// The value and its tag.
fn required_address(value: Option<&str>, name: Name) -> Result<(&str, Option<&str>), Fault> {
    let value = value.ok_or(Fault::Absent(name))?;
    let address = NameAddrRef::parse(value).ok_or(Fault::Header(name))?;
    Ok((value, address.tag()))
}

/// Exactly one space between the parts, none behind (RFC 3261 §7.1, §7.2).
fn read_start(head: HeadRef<'_>) -> Result<(Start, Option<&str>), Fault> {
    let line = head.start();
    if let Some(rest) = strip_prefix_ignore_case(line, "SIP/") {
        let (version, rest) = rest.split_once(' ').unwrap_or((rest, ""));
        if version != "2.0" {
            return Err(Fault::Version);
        }
        let (code, reason) = rest.split_once(' ').unwrap_or((rest, ""));
        let code = scan::number::<u16>(code).filter(|_| code.len() == 3).ok_or(Fault::StartLine)?;
        let status = Status::try_from(code).map_err(|_| Fault::StartLine)?;
        return Ok((Start::Response(status, Place::of(head.text, reason)), None));
    }
    let (method, rest) =
        line.split_once(' ').filter(|(method, _)| scan::is_token(method)).ok_or(Fault::StartLine)?;
    let (uri, version) = rest.rsplit_once(' ').ok_or(Fault::StartLine)?;
    let version = strip_prefix_ignore_case(version, "SIP/").ok_or(Fault::StartLine)?;
    if version != "2.0" {
        let numbers = version.split_once('.').is_some_and(|(major, minor)| {
            scan::number::<u32>(major).is_some() && scan::number::<u32>(minor).is_some()
        });
        return Err(if numbers { Fault::Version } else { Fault::StartLine });
    }
    // Headers have no place in a Request-URI (RFC 3261 §19.1.1, RFC 4475 §3.1.2.12).
    UriRef::parse(uri).filter(|uri| uri.headers.is_none()).ok_or(Fault::RequestUri)?;
    Ok((Start::Request(Place::of(head.text, uri)), Some(method)))
}

fn strip_prefix_ignore_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (start, rest) = text.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}
