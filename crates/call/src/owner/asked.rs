//! What a REGISTER asks for, read strictly: whatever it gets wrong is refused, and never taken for something else.
//! An Expires that is no number of 32 bits is no 0, a preference of 7 is no 1, a contact that cannot be called is
//! none. RFC 3261 § 10.2.1.1 would have nonsense count as an hour; well-known servers made "remove it" of it.

use crate::binding::{BindingRef, PackedBinding};
use crate::hop::Hop;
use crate::settings::{DEVICES_PER_SUBSCRIBER_MAX, EdgeSettings};
use model::Extension;
use sip::{Flow, Message, Name, NameAddr, NameAddrRef, UriRef};
use std::borrow::Cow;
use std::time::Duration;

/// Characters kept of what a phone calls itself.
const USER_AGENT_CHARACTERS_MAX: usize = 80;
/// Bytes of a contact's URI, of an instance, and of a Call-ID: they are kept for each device.
const TEXT_BYTES_MAX: usize = 512;
/// Proxies between a phone and us.
const PATH_HOPS_MAX: usize = 4;

/// Why a REGISTER changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It cannot be read, or contradicts itself: 400.
    Malformed,
    /// More contacts than a subscriber may have: 403.
    TooManyContacts,
    /// A registration shorter than the minimum: 423.
    TooBrief,
    /// Older than what is registered: 500 (RFC 3261 § 10.3 step 7).
    OutOfOrder,
    /// The shard's share of `BINDINGS_MAX` is reached: 503.
    Full,
}

/// What a REGISTER wants.
#[derive(Debug, PartialEq)]
pub(super) enum Wish<'a> {
    /// To hear what is registered.
    Nothing,
    /// All to end: `Contact: *` with `Expires: 0`.
    EndAll,
    /// These contacts to begin, to go on or to end.
    Bind(Vec<Asked<'a>>),
}

/// One Contact of a REGISTER.
#[derive(Debug, PartialEq)]
pub(super) struct Asked<'a> {
    pub(super) device: Cow<'a, str>,
    pub(super) expires: Duration,
    /// The URI, and how it is written.
    contact: (UriRef<'a>, Cow<'a, str>),
    q: u16,
}

impl<'a> Wish<'a> {
    pub(super) fn of(request: &'a Message, settings: &EdgeSettings) -> Result<Wish<'a>, Refusal> {
        let expires_s = whole_number(request.header(Name::Expires))?;
        if request.call_id().len() > TEXT_BYTES_MAX {
            return Err(Refusal::Malformed);
        }
        let mut contacts = request.list(Name::Contact).peekable();
        match contacts.peek() {
            None => return Ok(Wish::Nothing),
            Some(&"*") => {
                let alone = contacts.count() == 1;
                return if alone && expires_s == Some(0) {
                    Ok(Wish::EndAll)
                } else {
                    Err(Refusal::Malformed)
                };
            }
            Some(_) => {}
        }
        if request.list(Name::Contact).nth(2 * DEVICES_PER_SUBSCRIBER_MAX).is_some() {
            return Err(Refusal::TooManyContacts);
        }
        let mut asked: Vec<Asked<'a>> = Vec::with_capacity(1);
        for contact in contacts {
            let contact = NameAddrRef::parse(contact).ok_or(Refusal::Malformed)?;
            asked.push(Asked::read(contact, expires_s, settings)?);
        }
        let begins = asked.iter().filter(|asked| !asked.expires.is_zero()).count();
        let twice =
            |one: &Asked<'_>| asked.iter().filter(|other| other.device == one.device).nth(1).is_some();
        match begins > DEVICES_PER_SUBSCRIBER_MAX {
            true => Err(Refusal::TooManyContacts),
            // The same device twice in one request: nobody can tell which is meant.
            false if asked.iter().any(twice) => Err(Refusal::Malformed),
            false => Ok(Wish::Bind(asked)),
        }
    }
}

impl<'a> Asked<'a> {
    fn read(
        contact: NameAddrRef<'a>,
        expires_s: Option<u32>,
        settings: &EdgeSettings,
    ) -> Result<Asked<'a>, Refusal> {
        let own = if contact.params.has("expires") {
            Some(whole_number(contact.params.raw("expires").or(Some("")))?.ok_or(Refusal::Malformed)?)
        } else {
            expires_s
        };
        let expires = own.map_or(settings.expires_max, |seconds| Duration::from_secs(seconds.into()));
        if !expires.is_zero() && expires < settings.expires_min {
            return Err(Refusal::TooBrief);
        }
        let q = if contact.params.has("q") {
            contact.params.raw("q").and_then(thousandths).ok_or(Refusal::Malformed)?
        } else {
            1000
        };
        let uri = contact.uri_text();
        let device = contact.instance().unwrap_or_else(|| uri.clone());
        if !contact.uri.is_sip() || uri.len() > TEXT_BYTES_MAX || device.len() > TEXT_BYTES_MAX {
            return Err(Refusal::Malformed);
        }
        let expires = expires.min(settings.expires_max);
        Ok(Asked { device, expires, contact: (contact.uri, uri), q })
    }

    /// The binding it becomes, of a device that has been bound `since` then.
    pub(super) fn binding(
        &self,
        (now, since): (Duration, Duration),
        extension: &Extension,
        flow: &Flow,
        (request, path): (&Message, &[u8]),
    ) -> PackedBinding {
        let user_agent = request.header(Name::UserAgent).unwrap_or_default();
        let longest =
            user_agent.char_indices().nth(USER_AGENT_CHARACTERS_MAX).map_or(user_agent.len(), |(at, _)| at);
        PackedBinding::pack(BindingRef {
            extension: extension.as_str(),
            device: &self.device,
            contact: &self.contact.1,
            path,
            flow: self.flow(flow),
            connected: true,
            q: self.q,
            since,
            until: now + self.expires,
            call_id: request.call_id(),
            cseq: request.cseq().number,
            user_agent: user_agent.get(..longest).unwrap_or_default(),
        })
    }

    /// Whatever the contact says, a phone is called where it was heard from: nobody's calls are sent to a third.
    pub(super) fn flow(&self, flow: &Flow) -> Flow {
        match Hop::Phone(*flow).towards_ref(self.contact.0) {
            Hop::Phone(flow) => flow,
            Hop::Cluster => *flow,
        }
    }
}

/// The proxies between the phone and us (RFC 3327): the route of what is sent to it.
pub(super) fn path_of(request: &Message) -> Result<Vec<String>, Refusal> {
    if request.header(Name::Path).is_none() {
        return Ok(Vec::new());
    }
    let path = request.addresses(Name::Path).map_err(|_| Refusal::Malformed)?;
    let fits = |hop: &NameAddr| hop.uri.is_sip() && hop.uri.to_string().len() <= TEXT_BYTES_MAX;
    if path.len() > PATH_HOPS_MAX || !path.iter().all(fits) {
        return Err(Refusal::Malformed);
    }
    Ok(path.iter().map(NameAddr::to_string).collect())
}

/// A number of seconds: digits only, and not beyond 32 bits.
fn whole_number(text: Option<&str>) -> Result<Option<u32>, Refusal> {
    let Some(text) = text else { return Ok(None) };
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits).map(Some).ok_or(Refusal::Malformed)
}

/// A qvalue (RFC 3261 § 25.1) in thousandths: `0`, `0.5`, `1.000`.
fn thousandths(q: &str) -> Option<u16> {
    let (whole, fraction) = q.split_once('.').unwrap_or((q, ""));
    if fraction.len() > 3 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let fraction =
        fraction.bytes().chain(*b"000").take(3).fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'));
    match whole {
        "0" => Some(fraction),
        "1" if fraction == 0 => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A REGISTER with these header lines.
    pub(super) fn register(lines: &str) -> Message {
        let text = format!(
            "REGISTER sip:pleiad.test SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.7;branch=z9hG4bK1\r\nMax-Forwards: 70\r\n\
             From: <sip:2101@pleiad.test>;tag=1\r\nTo: <sip:2101@pleiad.test>\r\nCall-ID: c\r\nCSeq: 1 REGISTER\r\n{lines}\r\n"
        );
        Message::parse(text.as_bytes()).unwrap()
    }

    fn wish(lines: &str) -> Result<Wish<'static>, Refusal> {
        let request: &'static Message = Box::leak(Box::new(register(lines)));
        Wish::of(request, &EdgeSettings::default())
    }

    /// Devices, seconds and preferences.
    fn bound(lines: &str) -> Vec<(String, u64, u16)> {
        let Ok(Wish::Bind(asked)) = wish(lines) else { panic!("{lines}: {:?}", wish(lines)) };
        asked.into_iter().map(|asked| (asked.device.into_owned(), asked.expires.as_secs(), asked.q)).collect()
    }

    #[test]
    fn rfc_3261_10_2_several_contacts_each_with_its_time_and_preference() {
        let lines = "Contact: <sip:a@192.0.2.7>;q=0.5, <sip:b@192.0.2.7>;expires=120;q=1.000\r\nm: sip:c@192.0.2.7;expires=0\r\nExpires: 600\r\n";
        let device = |name: &str| format!("sip:{name}@192.0.2.7");
        assert_eq!(bound(lines), [(device("a"), 600, 500), (device("b"), 120, 1000), (device("c"), 0, 1000)]);
        assert_eq!(bound("Contact: <sip:a@b>\r\n")[0].1, 3600, "none named: the default");
        assert_eq!(bound("Contact: <sip:a@b>\r\nExpires: 4294967295\r\n")[0].1, 3600, "the longest");
        assert_eq!(bound("Contact: <sip:a@b>;+sip.instance=\"<urn:uuid:1>\"\r\n")[0].0, "<urn:uuid:1>");
        assert_eq!(wish(""), Ok(Wish::Nothing));
    }

    #[test]
    fn an_expires_that_is_no_number_of_32_bits_is_refused_and_never_0() {
        for nonsense in
            ["4294967296", "18446744073709551616", "-1", "+60", "abc", "60s", "1e3", "60 ", "0x3c", "6 0"]
        {
            if nonsense != "60 " {
                let header = format!("Contact: <sip:a@b>\r\nExpires: {nonsense}\r\n");
                assert_eq!(wish(&header), Err(Refusal::Malformed), "{nonsense}");
                let star = format!("Contact: *\r\nExpires: {nonsense}\r\n");
                assert_eq!(wish(&star), Err(Refusal::Malformed), "{nonsense}");
            }
            let quoted = format!("Contact: <sip:a@b>;expires=\"{nonsense}\"\r\n");
            assert_eq!(wish(&quoted), Err(Refusal::Malformed), "{nonsense}");
        }
        for nonsense in ["4294967296", "-1", "abc", "60s"] {
            let own = format!("Contact: <sip:a@b>;expires={nonsense}\r\nExpires: 600\r\n");
            assert_eq!(wish(&own), Err(Refusal::Malformed), "{nonsense}");
        }
        assert_eq!(wish("Contact: <sip:a@b>;expires\r\nExpires: 600\r\n"), Err(Refusal::Malformed));
        assert_eq!(wish("Contact: <sip:a@b>;expires=600\r\nExpires: abc\r\n"), Err(Refusal::Malformed));
    }

    #[test]
    fn rfc_3261_10_3_too_brief_is_told_and_neither_raised_nor_cut() {
        for brief in ["1", "59"] {
            assert_eq!(wish(&format!("Contact: <sip:a@b>\r\nExpires: {brief}\r\n")), Err(Refusal::TooBrief));
            let one = format!("Contact: <sip:a@b>;expires=600, <sip:c@b>;expires={brief}\r\n");
            assert_eq!(wish(&one), Err(Refusal::TooBrief), "all or nothing");
        }
    }

    #[test]
    fn rfc_3261_10_2_2_a_star_stands_alone_and_ends_all() {
        assert_eq!(wish("Contact: *\r\nExpires: 0\r\n"), Ok(Wish::EndAll));
        for lines in [
            "Contact: *\r\n",
            "Contact: *\r\nExpires: 60\r\n",
            "Contact: *, <sip:a@b>\r\nExpires: 0\r\n",
            "Contact: <sip:a@b>\r\nContact: *\r\nExpires: 0\r\n",
            "Contact: *\r\nContact: *\r\nExpires: 0\r\n",
            "Contact: *;expires=0\r\n",
            "Contact: <*>\r\nExpires: 0\r\n",
        ] {
            assert_eq!(wish(lines), Err(Refusal::Malformed), "{lines}");
        }
    }

    #[test]
    fn threat_09_contacts_that_cannot_be_called_or_are_too_many_are_refused() {
        let long = "x".repeat(600);
        for lines in [
            "Contact: <tel:+4912345>\r\n".to_owned(),
            "Contact: <mailto:a@b>\r\n".to_owned(),
            "Contact: \"unclosed <sip:a@b>\r\n".to_owned(),
            "Contact: <sip:a@b>, <sip:a@b>;q=0.1\r\n".to_owned(),
            "Contact: <sip:a@b>;+sip.instance=\"<1>\", <sip:c@b>;+sip.instance=\"<1>\"\r\n".to_owned(),
            format!("Contact: <sip:{long}@b>\r\n"),
            format!("Contact: <sip:a@b>;+sip.instance=\"{long}\"\r\n"),
        ] {
            assert_eq!(wish(&lines), Err(Refusal::Malformed), "{lines}");
        }
        let many = |count: usize, expires: u32| -> String {
            (0..count).map(|n| format!("Contact: <sip:{n}@b>;expires={expires}\r\n")).collect()
        };
        assert_eq!(wish(&many(DEVICES_PER_SUBSCRIBER_MAX + 1, 60)), Err(Refusal::TooManyContacts));
        assert_eq!(bound(&many(DEVICES_PER_SUBSCRIBER_MAX, 60)).len(), DEVICES_PER_SUBSCRIBER_MAX);
        assert!(wish(&many(DEVICES_PER_SUBSCRIBER_MAX + 1, 0)).is_ok(), "ending is always allowed");
        assert_eq!(wish(&many(100, 0)), Err(Refusal::TooManyContacts));
    }

    #[test]
    fn a_preference_is_a_qvalue_or_nonsense() {
        for (q, read) in
            [("0", 0), ("0.", 0), ("0.5", 500), ("0.25", 250), ("0.125", 125), ("1", 1000), ("1.000", 1000)]
        {
            assert_eq!(thousandths(q), Some(read), "{q}");
        }
        for q in ["7", "1.001", "0.1234", "-0.5", ".5", "x", "", "0.x", "1.0.0", "00"] {
            assert_eq!(thousandths(q), None, "{q}");
            assert_eq!(wish(&format!("Contact: <sip:a@b>;q=\"{q}\"\r\n")), Err(Refusal::Malformed), "{q}");
        }
    }

    #[test]
    fn rfc_3327_a_path_is_a_few_sip_addresses() {
        let path = |lines: &str| path_of(&register(lines));
        assert_eq!(path(""), Ok(vec![]));
        let two = "Path: <sip:p1.test;lr>, <sip:p2.test;lr;ob>\r\n";
        assert_eq!(path(two), Ok(vec!["<sip:p1.test;lr>".to_owned(), "<sip:p2.test;lr;ob>".to_owned()]));
        assert_eq!(path("Path: <tel:1>\r\n"), Err(Refusal::Malformed));
        assert_eq!(path("Path: <sip:p>\r\nPath: nonsense\r\n"), Err(Refusal::Malformed));
        assert_eq!(path(&"Path: <sip:p>\r\n".repeat(5)), Err(Refusal::Malformed));
    }
}
