//! What a phone with lamps does: it subscribes, answers each NOTIFY, and remembers what its lamps show.

use crate::phone::Phone;
use sip::digest::{Client, Password};
use sip::headers::SubscriptionState;
use sip::transaction::Input;
use sip::{Dialog, Host, Message, Method, Name, Response, ServerKey, Status, Uri};

/// One subscription, as its phone sees it.
#[derive(Debug)]
pub(crate) struct Watch {
    pub(crate) package: &'static str,
    uri: Uri,
    call_id: String,
    tag: String,
    cseq: u32,
    expires_s: u32,
    accept: Option<&'static str>,
    dialog: Option<Dialog>,
    /// The last answer to a SUBSCRIBE.
    pub(crate) status: u16,
    /// The last Subscription-State, and every body.
    pub(crate) state: String,
    pub(crate) bodies: Vec<String>,
    pub(crate) cseqs: Vec<u32>,
    /// What it answers a NOTIFY with.
    pub(crate) answers: u16,
    /// It has forgotten this subscription.
    forgotten: bool,
}

impl Watch {
    /// What its lamp shows, in short words.
    pub(crate) fn shows(&self) -> String {
        let Some(body) = self.bodies.last() else { return "nothing yet".to_owned() };
        if body.contains(r#"<line xmlns="urn:pleiad:line">unknown</line>"#) {
            return "unknown".to_owned();
        }
        let mut words: Vec<String> = Vec::new();
        for dialog in body.split("<dialog ").skip(1) {
            let between = |from: &str, to: &str| {
                dialog.split(from).nth(1).and_then(|rest| rest.split(to).next()).unwrap_or("?").to_owned()
            };
            let state = between("<state>", "</state>");
            if state == "terminated" {
                continue;
            }
            let held = if dialog.contains(r#"pval="no""#) { " held" } else { "" };
            words.push(format!("{state} {}{held}", between("direction=\"", "\"")));
        }
        if words.is_empty() { "idle".to_owned() } else { words.join(", ") }
    }
}

impl Phone {
    /// Lights a lamp for a number.
    pub(crate) fn watch(&mut self, number: &str) {
        self.subscribe("dialog", number, 600, None);
    }

    pub(crate) fn subscribe(
        &mut self,
        package: &'static str,
        number: &str,
        expires_s: u32,
        accept: Option<&'static str>,
    ) {
        let uri = Uri::sip(number, Host::Name("pleiad.test".to_owned()));
        let (tag, call_id) = (self.tokens.tag(), self.tokens.call_id("watch"));
        let watch = Watch {
            package,
            uri,
            call_id,
            tag,
            cseq: 0,
            expires_s,
            accept,
            dialog: None,
            status: 0,
            state: String::new(),
            bodies: Vec::new(),
            cseqs: Vec::new(),
            answers: 200,
            forgotten: false,
        };
        self.watches.push(watch);
        self.send_subscribe(self.watches.len() - 1, None);
    }

    /// The subscription to a number; the last one, if there are several.
    pub(crate) fn watching(&mut self, number: &str) -> &mut Watch {
        self.watches.iter_mut().rev().find(|watch| watch.uri.user() == number).expect("it watches it")
    }

    /// What the lamp of a number shows.
    pub(crate) fn lamp(&mut self, number: &str) -> String {
        self.watching(number).shows()
    }

    /// Refreshes the subscription, or ends it.
    pub(crate) fn resubscribe(&mut self, number: &str, expires_s: u32) {
        let place = self.watches.iter().rposition(|watch| watch.uri.user() == number).expect("it watches it");
        self.watches[place].expires_s = expires_s;
        self.send_subscribe(place, None);
    }

    /// It is switched off and on: its subscriptions are forgotten, and it lights its lamps anew.
    pub(crate) fn restart_watching(&mut self) {
        let numbers: Vec<String> = self.watches.iter().map(|watch| watch.uri.user().into_owned()).collect();
        self.watches.iter_mut().for_each(|watch| watch.forgotten = true);
        numbers.iter().for_each(|number| self.watch(number));
    }

    fn send_subscribe(&mut self, place: usize, proof: Option<(Name, String)>) {
        let (contact, via) = (self.contact(), self.via());
        let watch = &mut self.watches[place];
        let (package, expires_s, accept) = (watch.package, watch.expires_s, watch.accept);
        let request = match &mut watch.dialog {
            Some(dialog) => dialog.request(Method::Subscribe, &via),
            None => {
                watch.cseq += 1;
                let (uri, cseq) = (watch.uri.clone(), watch.cseq);
                let (call_id, tag) = (watch.call_id.clone(), watch.tag.clone());
                self.draft(Method::Subscribe, &uri, cseq, &call_id, &tag)
            }
        };
        let request = request.contact(&contact).header(Name::Event, package).header(Name::Expires, expires_s);
        let request = match accept {
            Some(accept) => request.header(Name::Accept, accept),
            None => request,
        };
        let request = match proof {
            Some((name, value)) => request.header(name, value),
            None => request,
        };
        self.send(request);
    }

    /// The answer to a SUBSCRIBE. True when it is one of ours.
    pub(crate) fn subscribe_answered(&mut self, answer: &Message) -> bool {
        let Some(place) = self.watches.iter().position(|watch| watch.call_id == answer.call_id()) else {
            return false;
        };
        let status = answer.status().map_or(0, Status::code);
        if status == 401 && self.watches[place].cseq == 1 {
            let mut client =
                Client::challenged(answer, &self.number, &Password::Plain(self.secret.clone())).unwrap();
            let cnonce = self.tokens.tag();
            let uri = self.watches[place].uri.to_string();
            let proof = client.authorization(&Method::Subscribe, &uri, &cnonce);
            self.send_subscribe(place, Some(proof));
            return true;
        }
        let watch = &mut self.watches[place];
        watch.status = status;
        if status == 200 && watch.dialog.is_none() {
            let request = format!(
                "SUBSCRIBE {} SIP/2.0\r\nVia: {}\r\nFrom: {}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {}\r\n\r\n",
                watch.uri,
                answer.via(),
                answer.from(),
                answer.to().clone().without_tag(),
                answer.call_id(),
                answer.cseq()
            );
            let request = Message::parse(request.as_bytes()).unwrap();
            watch.dialog = Some(Dialog::as_caller(&request, answer).unwrap());
        }
        true
    }

    /// A NOTIFY. None when it is of no subscription of ours.
    pub(crate) fn lamp_told(&mut self, key: ServerKey, notify: &Message) -> Option<()> {
        let known = |watch: &&mut Watch| watch.call_id == notify.call_id() && !watch.forgotten;
        let watch = self.watches.iter_mut().find(known)?;
        let state = notify.typed::<SubscriptionState>().unwrap().expect("every NOTIFY has a state");
        watch.state = state.to_string();
        watch.bodies.push(String::from_utf8(notify.body().to_vec()).unwrap());
        watch.cseqs.push(notify.cseq().number);
        let status = Status::try_from(watch.answers).unwrap();
        let response = Response::to(notify, status).message().unwrap();
        self.todo.push_back(Input::Respond { key, response });
        Some(())
    }
}

impl Phone {
    /// The Call-ID of its call.
    pub(crate) fn last_call_id(&self) -> String {
        let text = self.last_invite();
        let message = Message::parse(text.as_bytes()).unwrap();
        message.call_id().to_owned()
    }

    /// It publishes its presence, which is not ours to keep.
    pub(crate) fn publish_presence(&mut self) {
        let uri = Uri::sip(&self.number, Host::Name("pleiad.test".to_owned()));
        let (tag, call_id) = (self.tokens.tag(), self.tokens.call_id("publish"));
        let request = self.draft(Method::Publish, &uri, 1, &call_id, &tag).header(Name::Event, "presence");
        self.send(request);
    }
}

/// What a phone sees that cannot read the SHA-256 challenge.
pub(crate) fn challenge_without_sha(challenge: &Message) -> Message {
    let text = String::from_utf8(challenge.to_bytes()).unwrap();
    let lines: Vec<&str> = text.split("\r\n").filter(|line| !line.contains("SHA-256")).collect();
    Message::parse(lines.join("\r\n").as_bytes()).unwrap()
}
