//! Whose fault it is that a URI leads nowhere, and what to do next.

use super::{Asked, Choice, Question};
use sip::{Scheme, Uri};

/// Why a name server was no help with a question.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// There was no answer in time.
    #[error("no answer")]
    Silent,
    /// Nobody listens there, or there is no way to it.
    #[error("not reachable: {0}")]
    Unreachable(String),
    /// It answers that it will not, or cannot (SERVFAIL, REFUSED).
    #[error("the answer is a refusal: {0}")]
    Refused(String),
    /// Its answer is none.
    #[error("the answer makes no sense: {0}")]
    Broken(String),
    /// What is to be asked is no name of DNS.
    #[error("this is no name: {0}")]
    NoName(String),
}

/// Why a URI could not be located.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LocateError {
    /// This machine's own settings or sockets.
    #[error(
        "this machine cannot ask name servers: {0}\n  next: look at /etc/resolv.conf, or name a server to ask"
    )]
    System(String),
    /// Not to be located at all.
    #[error(
        "'{uri}' leads nowhere: only sip: and sips: over UDP, TCP and TLS do, and sips: never over UDP\n  next: correct the \
         URI or its transport"
    )]
    Unspoken {
        /// As given.
        uri: String,
    },
    /// The name server, or the way to it.
    #[error(
        "{server} did not say where '{uri}' leads; {question}: {fault}\n  next: ask again; if it stays, look after the \
         name server, or ask another one"
    )]
    Unanswered {
        /// As given.
        uri: String,
        /// Who was asked.
        server: String,
        /// As one writes it: `SRV _sip._udp.example.org`.
        question: String,
        /// What came.
        fault: Fault,
    },
    /// The time for it is over.
    #[error(
        "'{uri}' was not located in time: the name servers are too slow\n  next: ask again, or ask another name server"
    )]
    Late {
        /// As given.
        uri: String,
    },
    /// Who wrote the name, or who keeps the domain.
    #[error(
        "'{uri}' leads nowhere: '{host}' has no records\n  next: check how it is spelt, or ask who keeps this domain"
    )]
    NoSuchName {
        /// As given.
        uri: String,
        /// Its host.
        host: String,
    },
    /// Who keeps the domain.
    #[error(
        "'{uri}' leads nowhere: '{host}' has no SIP service with an address over a transport that is spoken here\n  next: try \
         another transport, or ask who keeps this domain"
    )]
    NoService {
        /// As given.
        uri: String,
        /// Its host.
        host: String,
    },
    /// Who keeps the domain.
    #[error("'{uri}' leads to more services and hosts than anybody needs\n  next: ask who keeps this domain")]
    TooMuch {
        /// As given.
        uri: String,
    },
}

/// A question as one writes it.
#[must_use]
pub fn written(question: &Question) -> String {
    match question {
        Question::Addresses(name) => format!("A and AAAA {name}"),
        Question::Naptr(name) => format!("NAPTR {name}"),
        Question::Srv(name) => format!("SRV {name}"),
    }
}

/// An error when the choices are none, or would be others had all been answered.
///
/// A service that could not be asked for is not one that is not there: without it a domain must not be taken for a host,
/// lest credentials go to its web server. A failed NAPTR alone does no harm, for its services are asked for anyway; nor
/// does a host without addresses, while there are others.
pub(super) fn blame(uri: &Uri, choices: &[Choice], asked: &[Asked], server: &str) -> Result<(), LocateError> {
    let text = || uri.to_string();
    let served = choices.iter().any(|choice| choice.service.is_some());
    let matters = |it: &&Asked| match it.question {
        Question::Srv(_) => !served,
        Question::Naptr(_) | Question::Addresses(_) => choices.is_empty(),
    };
    let failed = asked.iter().filter(matters).find_map(|it| Some((it, it.outcome.as_ref().err()?)));
    if let Some((asked, fault)) = failed {
        let (server, question) = (server.to_owned(), written(&asked.question));
        return Err(LocateError::Unanswered { uri: text(), server, question, fault: fault.clone() });
    }
    if !choices.is_empty() {
        return Ok(());
    }
    let host = || uri.host.to_string();
    if asked.is_empty() || !matches!(uri.scheme, Scheme::Sip | Scheme::Sips) {
        return Err(LocateError::Unspoken { uri: text() });
    }
    if asked.iter().all(|it| it.outcome.as_ref().is_ok_and(sip::locate::Records::is_empty)) {
        return Err(LocateError::NoSuchName { uri: text(), host: host() });
    }
    Err(LocateError::NoService { uri: text(), host: host() })
}
