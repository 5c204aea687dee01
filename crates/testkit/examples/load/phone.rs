//! What a phone says to register, and what it makes of the answer.

use crate::{DOMAIN, FIRST, password};
use sip::digest::{Client, Password};
use sip::{Message, Method, Name};
use std::net::SocketAddr;

/// A registration on its way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Registration {
    /// Which phone, from 0.
    pub(crate) phone: usize,
    /// Its how manyeth registration.
    pub(crate) round: usize,
}

/// What an answer means.
#[derive(Debug)]
pub(crate) enum Answer {
    /// The request with its proof.
    Prove(String),
    /// It is registered.
    Registered,
    /// It is to come back after so many seconds.
    Later(u64),
    /// It is refused.
    Refused(u16),
}

impl Registration {
    /// The request; `proof` is a header line or nothing.
    pub(crate) fn request(self, transport: &str, own: SocketAddr, proof: &str) -> String {
        let Registration { phone, round } = self;
        let user = FIRST + phone;
        let cseq = 2 * round + 1 + usize::from(!proof.is_empty());
        let parameter = if transport == "UDP" { "" } else { ";transport=tls" };
        format!(
            "REGISTER sip:{DOMAIN} SIP/2.0\r\nVia: SIP/2.0/{transport} {own};rport;branch=z9hG4bK{user}x{cseq}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:{user}@{DOMAIN}>;tag=r{user}x{round}\r\nTo: <sip:{user}@{DOMAIN}>\r\n\
             Call-ID: {phone}-{round}-{}@load\r\nCSeq: {cseq} REGISTER\r\nContact: <sip:{user}@{own}{parameter}>\
             ;+sip.instance=\"<urn:uuid:00000000-0000-1000-8000-{user:012}>\"\r\n\
             {proof}Expires: 3600\r\nContent-Length: 0\r\n\r\n",
            own.port()
        )
    }

    /// Whose an answer is.
    pub(crate) fn of(answer: &Message) -> Option<Registration> {
        let mut parts = answer.call_id().split('-');
        Some(Registration { phone: parts.next()?.parse().ok()?, round: parts.next()?.parse().ok()? })
    }

    /// What this phone does about an answer.
    pub(crate) fn hears(self, answer: &Message, transport: &str, own: SocketAddr) -> Answer {
        let status = answer.status().map_or(0, u16::from);
        match status {
            200 => Answer::Registered,
            401 => {
                let user = FIRST + self.phone;
                let password = Password::Plain(password(user));
                match Client::challenged(answer, &user.to_string(), &password) {
                    Some(mut client) => {
                        let (name, value) =
                            client.authorization(&Method::Register, &format!("sip:{DOMAIN}"), "c0ffee");
                        let proof = format!("{}: {value}\r\n", name.as_str());
                        Answer::Prove(self.request(transport, own, &proof))
                    }
                    None => Answer::Refused(status),
                }
            }
            503 => answer
                .header(Name::RetryAfter)
                .and_then(|after| after.trim().parse().ok())
                .map_or(Answer::Refused(status), Answer::Later),
            _ => Answer::Refused(status),
        }
    }
}
