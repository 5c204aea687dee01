//! A dialog as data (RFC 3261 §12): who talks to whom, over which route, at which number.
//!
//! It is no machine: it has no timers and sends nothing. It makes the requests of its dialog and judges those that
//! come. Offer and answer are [`crate::Negotiation`]'s.

use crate::{Fault, Message, Method, Name, NameAddr, Request, Uri, Via};
use serde::{Deserialize, Serialize};

/// How far the dialog is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    /// Made by a provisional response.
    Early,
    /// Made or confirmed by a 2xx.
    Confirmed,
}

/// One dialog, seen from our side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dialog {
    /// Call-ID.
    pub call_id: String,
    /// Us, with our tag.
    pub local: NameAddr,
    /// The peer, with its tag (RFC 2543 peers have none).
    pub remote: NameAddr,
    /// The number of our last request.
    pub local_cseq: u32,
    /// The number of the peer's last request.
    pub remote_cseq: Option<u32>,
    /// Proxies on the way, nearest first.
    pub route_set: Vec<NameAddr>,
    /// The peer's Contact.
    pub target: Uri,
    /// Early or confirmed.
    pub stage: Stage,
}

/// A request of the peer with a lower number than its last: answer 500 (RFC 3261 §12.2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("CSeq {came} came after {last}")]
pub struct OutOfOrder {
    /// The number of this request.
    pub came: u32,
    /// The highest number so far.
    pub last: u32,
}

impl Dialog {
    /// The dialog that a response to our INVITE (or SUBSCRIBE, REFER) made (RFC 3261 §12.1.2). Without a Contact the
    /// Request-URI stays the target.
    pub fn as_caller(request: &Message, response: &Message) -> Result<Dialog, Fault> {
        let mut dialog = Dialog {
            call_id: request.call_id().to_owned(),
            local: request.from().clone(),
            remote: response.to().clone(),
            local_cseq: request.cseq().number,
            remote_cseq: None,
            route_set: Vec::new(),
            target: request.request_uri().ok_or(Fault::RequestUri)?.clone(),
            stage: Stage::Early,
        };
        dialog.confirm(response)?;
        Ok(dialog)
    }

    /// The dialog that our answer with `local_tag` makes (RFC 3261 §12.1.1); early until [`Dialog::confirmed`].
    /// The Contact is compulsory (§8.1.1.8): without it there is no way back.
    pub fn as_callee(request: &Message, local_tag: &str) -> Result<Dialog, Fault> {
        let contact = request.contact()?.ok_or(Fault::Absent(Name::Contact))?;
        Ok(Dialog {
            call_id: request.call_id().to_owned(),
            local: request.to().clone().with_tag(local_tag),
            remote: request.from().clone(),
            local_cseq: 0,
            remote_cseq: Some(request.cseq().number),
            route_set: request.addresses(Name::RecordRoute)?,
            target: contact.uri,
            stage: Stage::Early,
        })
    }

    /// A further response to the request that made it: target and route set follow the 2xx (RFC 3261 §13.2.2.4).
    pub fn confirm(&mut self, response: &Message) -> Result<(), Fault> {
        if self.stage == Stage::Early {
            self.route_set = response.addresses(Name::RecordRoute)?;
            self.route_set.reverse();
        }
        self.refresh_target(response)?;
        if response.status().is_some_and(crate::Status::is_success) {
            self.stage = Stage::Confirmed;
        }
        Ok(())
    }

    /// We sent the 2xx.
    pub fn confirmed(&mut self) {
        self.stage = Stage::Confirmed;
    }

    /// Our tag.
    #[must_use]
    pub fn local_tag(&self) -> &str {
        self.local.tag().unwrap_or_default()
    }

    /// The peer's tag.
    #[must_use]
    pub fn remote_tag(&self) -> &str {
        self.remote.tag().unwrap_or_default()
    }

    /// Call-ID, our tag and the peer's tag as one text: a key for maps.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{}|{}|{}", self.call_id, self.local_tag(), self.remote_tag())
    }

    /// The same text for the dialog that an incoming request belongs to.
    #[must_use]
    pub fn id_of(request: &Message) -> String {
        let (local, remote) = (request.to_tag().unwrap_or_default(), request.from_tag().unwrap_or_default());
        format!("{}|{local}|{remote}", request.call_id())
    }

    /// True when this message, which came to us, belongs here.
    #[must_use]
    pub fn matches(&self, message: &Message) -> bool {
        let (ours, theirs) = match message.is_request() {
            true => (message.to_tag(), message.from_tag()),
            false => (message.from_tag(), message.to_tag()),
        };
        self.call_id == message.call_id()
            && ours.unwrap_or_default() == self.local_tag()
            && theirs.unwrap_or_default() == self.remote_tag()
    }

    /// Judges the number of a request of the peer and notes it (RFC 3261 §12.2.2). ACK and CANCEL carry the
    /// number of their INVITE.
    pub fn accept(&mut self, request: &Message) -> Result<(), OutOfOrder> {
        let came = request.cseq().number;
        if matches!(request.method(), Method::Ack | Method::Cancel) {
            return Ok(());
        }
        match self.remote_cseq {
            Some(last) if came < last => Err(OutOfOrder { came, last }),
            _ => {
                self.remote_cseq = Some(came);
                Ok(())
            }
        }
    }

    /// Takes the Contact of a target refresh request or of its 2xx (RFC 3261 §12.2.1.2, §12.2.2).
    pub fn refresh_target(&mut self, message: &Message) -> Result<(), Fault> {
        if let Some(contact) = message.contact()? {
            self.target = contact.uri;
        }
        Ok(())
    }

    /// The next request of ours in this dialog (RFC 3261 §12.2.1.1). Not for ACK and CANCEL.
    pub fn request(&mut self, method: Method, via: &Via) -> Request {
        self.local_cseq += 1;
        self.numbered(method, self.local_cseq, via)
    }

    /// The ACK for a 2xx to our INVITE of this number (RFC 3261 §13.2.2.4).
    #[must_use]
    pub fn ack(&self, invite_cseq: u32, via: &Via) -> Request {
        self.numbered(Method::Ack, invite_cseq, via)
    }

    /// The URI whose host is the next hop.
    #[must_use]
    pub fn next_hop(&self) -> &Uri {
        self.route_set.first().map_or(&self.target, |hop| &hop.uri)
    }

    fn numbered(&self, method: Method, cseq: u32, via: &Via) -> Request {
        let (uri, route) = self.uri_and_route();
        Request::new(method, &uri)
            .via(via)
            .route(&route)
            .from(&self.local)
            .to(&self.remote)
            .call_id(&self.call_id)
            .cseq(cseq)
    }

    /// Loose routing, or the strict routing of RFC 2543 when the nearest proxy does not say `lr`.
    fn uri_and_route(&self) -> (Uri, Vec<NameAddr>) {
        match self.route_set.split_first() {
            Some((first, rest)) if !first.uri.params.has("lr") => {
                let mut route = rest.to_vec();
                route.push(NameAddr::new(self.target.clone()));
                (first.uri.clone(), route)
            }
            _ => (self.target.clone(), self.route_set.clone()),
        }
    }
}
