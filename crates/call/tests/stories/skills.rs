//! What a better phone can do: reliable responses (RFC 3262), several calls at a time, transfers.

use crate::phone::{Phone, PhoneCall};
use sip::{ClientKey, Dialog, Host, Message, Method, Name, Response, ServerKey, Status, Uri};
use std::net::IpAddr;

impl PhoneCall {
    pub(crate) fn new(
        invite: Message,
        server: Option<ServerKey>,
        client: Option<ClientKey>,
        tag: String,
        late_offer: bool,
    ) -> PhoneCall {
        PhoneCall { invite, server, client, tag, early: None, dialog: None, late_offer, rseq: 0 }
    }

    pub(crate) fn any_dialog(&mut self) -> Option<&mut Dialog> {
        self.dialog.as_mut().or(self.early.as_mut())
    }
}

impl Phone {
    pub(crate) fn early_media(&mut self) {
        self.respond_to_call(Status::SESSION_PROGRESS, Some("early media"));
    }

    /// Its call server died while it rang: it stops at its own discretion.
    pub(crate) fn stop_ringing(&mut self) {
        if self.rings() {
            self.respond_to_call(Status::BUSY_HERE, None);
            self.call = None;
        }
    }

    pub(crate) fn own_address(&self) -> IpAddr {
        self.inside_address.map_or(self.edge_flow().remote.ip(), IpAddr::from)
    }

    /// From now on it describes its media as phones do, at port 4000.
    pub(crate) fn describe_media(&mut self) {
        let address = self.own_address();
        self.exact_words = Some(format!(
            "v=0\r\no=- 7 1 IN IP4 {address}\r\ns=-\r\nc=IN IP4 {address}\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8\r\n"
        ));
    }

    pub(crate) fn refuses_keying(&self, invite: &Message) -> bool {
        let offer = String::from_utf8_lossy(invite.body());
        self.keying.is_some_and(|keying| !offer.contains(&format!(" {keying} ")))
    }

    /// Puts its call aside: it may make another one.
    pub(crate) fn park(&mut self) {
        self.parked.extend(self.call.take());
    }

    /// Goes on with the call it has put aside first; the present one, if any, is put aside.
    pub(crate) fn swap(&mut self) {
        let first = self.parked.remove(0);
        self.park();
        self.call = Some(first);
    }

    /// The call a message belongs to is at hand while it is heard.
    pub(crate) fn take_up(&mut self, message: &Message) -> Option<Option<PhoneCall>> {
        let is_of = |call: &PhoneCall| call.invite.call_id() == message.call_id();
        if self.call.as_ref().is_some_and(is_of) {
            return None;
        }
        let index = self.parked.iter().position(is_of)?;
        let aside = self.call.take();
        self.call = Some(self.parked.remove(index));
        Some(aside)
    }

    pub(crate) fn put_back(&mut self, aside: Option<Option<PhoneCall>>) {
        if let Some(aside) = aside {
            let heard = std::mem::replace(&mut self.call, aside);
            self.parked.splice(0..0, heard);
        }
    }

    /// A provisional response of the phone it calls: an early dialog, and a PRACK where it is reliable.
    pub(crate) fn progressed(&mut self, message: &Message) {
        let Some(rseq) = message.number(Name::RSeq).ok().flatten() else { return };
        let via = self.via();
        let words = self.prack_words.map(|words| self.words(words));
        let keeps_prack = self.keeps_prack;
        let Some(call) = &mut self.call else { return };
        if call.early.is_none() {
            call.early = Dialog::as_caller(&call.invite, message).ok();
        }
        if keeps_prack || rseq == call.rseq {
            return;
        }
        call.rseq = rseq;
        let rack = format!("{rseq} {} INVITE", message.cseq().number);
        let prack = call.early.as_mut().unwrap().request(Method::Prack, &via).header(Name::RAck, rack);
        let prack = match words {
            Some(words) => prack.body("application/sdp", words.as_bytes()),
            None => prack,
        };
        self.send(prack);
    }

    /// A reliable response to the call it is offered.
    pub(crate) fn progress_reliably(&mut self, status: Status, words: Option<&str>) {
        let contact = self.contact();
        let words = words.map(|words| self.words(words));
        let call = self.call.as_mut().expect("there is a call");
        call.rseq = if call.rseq == 0 { 700 } else { call.rseq + 1 };
        if call.early.is_none() {
            call.early = Dialog::as_callee(&call.invite, &call.tag).ok();
        }
        let key = call.server.clone().expect("it is unanswered");
        let response = Response::to(&call.invite, status)
            .to_tag(&call.tag)
            .contact(&contact)
            .header(Name::Require, "100rel")
            .header(Name::RSeq, call.rseq);
        let response = match words {
            Some(words) => response.body("application/sdp", words.as_bytes()),
            None => response,
        };
        self.respond(key, response);
    }

    /// REFER in its call: the other party shall speak to `number`.
    pub(crate) fn transfer(&mut self, number: &str) {
        self.refer(&format!("<sip:{number}@pleiad.test>"), &[]);
    }

    /// REFER in its call: the other party shall speak to the one in the call it has put aside.
    pub(crate) fn transfer_to_parked(&mut self) {
        let (target, replaces) = self.parked_as_target();
        self.refer(&format!("<{target}?Replaces={replaces}>"), &[]);
    }

    /// The address of the party in the call put aside, and its dialog for Replaces.
    pub(crate) fn parked_as_target(&mut self) -> (Uri, String) {
        let parked = self.parked.first_mut().expect("a call is put aside");
        let (user, from_tag) = match &parked.client {
            Some(_) => (parked.invite.to().uri.user().into_owned(), parked.tag.clone()),
            None => (parked.invite.from().uri.user().into_owned(), parked.tag.clone()),
        };
        let call_id = parked.invite.call_id().replace('@', "%40");
        let to_tag = parked.any_dialog().expect("it has a dialog").remote_tag().to_owned();
        let target = Uri::sip(&user, Host::Name("pleiad.test".to_owned()));
        (target, format!("{call_id}%3Bto-tag%3D{to_tag}%3Bfrom-tag%3D{from_tag}"))
    }

    pub(crate) fn refer(&mut self, refer_to: &str, says: &[(&str, &str)]) {
        let via = self.via();
        let contact = self.contact();
        let dialog = self.call.as_mut().and_then(PhoneCall::any_dialog).expect("it talks");
        let refer = dialog.request(Method::Refer, &via).contact(&contact).header(Name::ReferTo, refer_to);
        let refer = says.iter().fold(refer, |refer, (name, value)| refer.header_named(name, value));
        self.send(refer);
    }

    /// The dialog of the call it makes, from the ringing it hears.
    pub(crate) fn remember_early(&mut self) {
        let ringing = self.last_response.clone().expect("it hears ringing");
        let call = self.call.as_mut().expect("it calls");
        call.early = Dialog::as_caller(&call.invite, &ringing).ok();
    }

    /// The dialog it is in, as another phone would name it to us.
    pub(crate) fn own_dialog_as_target(&mut self) -> String {
        let dialog = self.call.as_mut().and_then(PhoneCall::any_dialog).expect("it talks");
        let call_id = dialog.call_id.replace('@', "%40");
        format!("{call_id}%3Bto-tag%3D{}%3Bfrom-tag%3D{}", dialog.remote_tag(), dialog.local_tag())
    }

    /// UPDATE or re-INVITE with this Session-Expires.
    pub(crate) fn refresh(&mut self, method: Method, session_expires: &str, words: Option<&str>) {
        let via = self.via();
        let contact = self.contact();
        let words = words.map(|words| self.words(words));
        let dialog = self.call.as_mut().and_then(PhoneCall::any_dialog).expect("it talks");
        let request = dialog
            .request(method, &via)
            .contact(&contact)
            .header(Name::Supported, "timer")
            .header(Name::SessionExpires, session_expires);
        let request = match words {
            Some(words) => request.body("application/sdp", words.as_bytes()),
            None => request,
        };
        self.send(request);
    }

    /// The bodies of the NOTIFYs it got: status lines.
    pub(crate) fn notified(&self) -> Vec<String> {
        let notified = self.requests.iter().filter(|request| *request.method() == Method::Notify);
        notified.map(|notify| String::from_utf8_lossy(notify.body()).trim_end().to_owned()).collect()
    }

    /// The last request of this method it got.
    pub(crate) fn last(&self, method: &Method) -> &Message {
        self.requests.iter().rfind(|request| request.method() == method).expect("it was asked so")
    }

    /// The last response to its INVITE with this status.
    pub(crate) fn response(&self, status: u16) -> &Message {
        let said = |message: &&Message| message.status().is_some_and(|said| said.code() == status);
        let mut invites = self.responses.iter().filter(|response| response.cseq().method == Method::Invite);
        invites.rfind(said).expect("it was answered so")
    }
}
