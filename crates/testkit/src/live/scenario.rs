//! SIPp scenarios told as a call: who says what, in order.
//!
//! A scenario is written as XML for SIPp from a handful of verbs. The caller's credentials are filled in by SIPp
//! itself (its own digest), so that nothing of ours answers our own challenge.

use std::fmt::Write as _;

/// One phone's part in a call.
#[derive(Debug, Clone)]
pub struct Scenario {
    own: String,
    peer: String,
    domain: String,
    password: String,
    cseq: u32,
    /// What the credentials of this phone are for: SIPp's own default is the server's address.
    uri: String,
    steps: String,
}

/// The body of an INVITE or of its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// None: a late offer, or an answer that needs no description.
    None,
    /// G.711 A-law and telephone-event, both ways.
    Audio,
    /// The same, on hold.
    Held,
    /// The same with 1,500 bytes of attributes that say nothing: no longer fits one Ethernet frame.
    Long,
}

impl Body {
    fn text(self) -> String {
        let (direction, padding) = match self {
            Body::None => return "Content-Length: 0\n\n".to_owned(),
            Body::Audio => ("sendrecv", 0),
            Body::Held => ("sendonly", 0),
            Body::Long => ("sendrecv", 30),
        };
        let filler = "a=x-filler:0123456789012345678901234567890123456789\n".repeat(padding);
        format!(
            "Content-Type: application/sdp\nContent-Length: [len]\n\nv=0\no=- 1 1 IN IP4 [media_ip]\ns=-\n\
             c=IN IP4 [media_ip]\nt=0 0\nm=audio [auto_media_port] RTP/AVP 8 101\na=rtpmap:8 PCMA/8000\n\
             a=rtpmap:101 telephone-event/8000\na=fmtp:101 0-16\na=ptime:20\n{filler}a={direction}\n"
        )
    }
}

impl Scenario {
    /// The part of the phone `own` of `domain` towards `peer`.
    #[must_use]
    pub fn new(own: &str, password: &str, peer: &str, domain: &str) -> Scenario {
        let own = own.to_owned();
        let (peer, domain, password) = (peer.to_owned(), domain.to_owned(), password.to_owned());
        let uri = format!("sip:{peer}@{domain}");
        Scenario { own, peer, domain, password, cseq: 1, uri, steps: String::new() }
    }

    fn send(mut self, repeat: bool, message: &str) -> Scenario {
        let retransmit = if repeat { " retrans=\"500\"" } else { "" };
        // SIPp takes what stands behind the first blank line as the body; without one the line must be there.
        let end = if message.contains("\n\nv=0") { "\n" } else { "\n\n" };
        let _ = writeln!(self.steps, "<send{retransmit}><![CDATA[\n{}{end}]]></send>", message.trim_end());
        self
    }

    fn request(&self, method: &str, uri: &str, extra: &str, body: Body) -> String {
        let Scenario { own, peer, domain, cseq, .. } = self;
        format!(
            "{method} {uri} SIP/2.0\nVia: SIP/2.0/[transport] [local_ip]:[local_port];rport;branch=[branch]\n\
             Max-Forwards: 70\nFrom: <sip:{own}@{domain}>;tag=[pid]c[call_number]\n\
             To: <sip:{peer}@{domain}>[peer_tag_param]\nCall-ID: [call_id]\nCSeq: {cseq} {method}\n\
             Contact: <sip:{own}@[local_ip]:[local_port];transport=[transport]>\nUser-Agent: sipp\n{extra}{}",
            body.text()
        )
    }

    fn authentication(&self) -> String {
        format!("[authentication username={} password={}]\n", self.own, self.password)
    }

    /// Registers itself, digest and all.
    #[must_use]
    pub fn register(self) -> Scenario {
        self.registration("Expires: 3600\n", false).receive(200)
    }

    /// Asks for a registration of `expires_s` seconds; what is answered is for the next step.
    #[must_use]
    pub fn register_for(self, expires_s: u32) -> Scenario {
        self.registration(&format!("Expires: {expires_s}\n"), false)
    }

    /// Removes every binding of its own.
    #[must_use]
    pub fn unregister_all(self) -> Scenario {
        self.registration("Expires: 0\n", true).receive(200)
    }

    fn registration(mut self, expires: &str, every_contact: bool) -> Scenario {
        self.peer.clone_from(&self.own);
        let uri = format!("sip:{}", self.domain);
        self.uri.clone_from(&uri);
        let contact = format!("Contact: <sip:{}@[local_ip]:[local_port];transport=[transport]>\n", self.own);
        let request = |part: &Scenario, extra: &str| {
            let message = part.request("REGISTER", &uri, extra, Body::None).replace("[peer_tag_param]", "");
            if every_contact { message.replace(&contact, "Contact: *\n") } else { message }
        };
        let first = request(&self, expires);
        self = self.send(true, &first).challenge(401);
        self.cseq += 1;
        let second = request(&self, &format!("{}{expires}", self.authentication()));
        self.send(true, &second).provisional()
    }

    /// Subscribes to the peer, and then takes whatever it is told, for ever.
    #[must_use]
    pub fn watch(mut self, package: &str) -> Scenario {
        let uri = self.uri.clone();
        let event = format!("Event: {package}\nExpires: 600\n");
        let first = self.request("SUBSCRIBE", &uri, &event, Body::None);
        self = self.send(true, &first).challenge(401);
        self.cseq += 1;
        let extra = format!("{}{event}", self.authentication());
        let second = self.request("SUBSCRIBE", &uri, &extra, Body::None).replace("[peer_tag_param]", "");
        self = self.send(true, &second).provisional();
        let _ = writeln!(
            self.steps,
            "<recv response=\"200\" optional=\"true\"/>\n<label id=\"2\"/>\n<recv request=\"NOTIFY\"/>"
        );
        self = self.reply_in_dialog(200, "OK", Body::None);
        let _ = writeln!(self.steps, "<nop next=\"2\"/>");
        self
    }

    fn challenge(mut self, status: u16) -> Scenario {
        self = self.provisional();
        let _ = writeln!(self.steps, "<recv response=\"{status}\" auth=\"true\"/>");
        self
    }

    /// Dials the peer and proves who it is.
    #[must_use]
    pub fn dial(self, body: Body) -> Scenario {
        self.dialled(|request| request, body)
    }

    /// Dials with a Max-Forwards of its own.
    #[must_use]
    pub fn dial_with_hops(self, max_forwards: u8) -> Scenario {
        let hops = format!("Max-Forwards: {max_forwards}\n");
        self.dialled(|request| request.replace("Max-Forwards: 70\n", &hops), Body::Audio)
    }

    /// Dials in order to take the place of a phone in a dialog (RFC 3891).
    #[must_use]
    pub fn dial_replacing(self, replaces: &str) -> Scenario {
        let headers = format!("Replaces: {replaces}\nRequire: replaces\nUser-Agent: sipp\n");
        self.dialled(|request| request.replace("User-Agent: sipp\n", &headers), Body::Audio)
    }

    fn dialled(mut self, edit: impl Fn(String) -> String, body: Body) -> Scenario {
        let uri = self.uri.clone();
        let first = edit(self.request("INVITE", &uri, "", body));
        self = self.send(true, &first).challenge(407).ack_failure();
        self.cseq += 1;
        let second =
            self.request("INVITE", &uri, &self.authentication(), body).replace("[peer_tag_param]", "");
        self.send(true, &edit(second)).provisional()
    }

    fn provisional(mut self) -> Scenario {
        let _ = writeln!(self.steps, "<recv response=\"100\" optional=\"true\"/>");
        self
    }

    /// A request outside or inside the dialog, with headers of its own.
    #[must_use]
    pub fn ask(mut self, method: &str, extra: &str, body: Body) -> Scenario {
        self.cseq += 1;
        let message = self.request(method, "[next_url]", extra, body);
        self.send(true, &message)
    }

    /// Expects a response.
    #[must_use]
    pub fn receive(mut self, status: u16) -> Scenario {
        let _ = writeln!(self.steps, "<recv response=\"{status}\" rrs=\"true\"/>");
        self
    }

    /// Takes a response that may come or not.
    #[must_use]
    pub fn maybe(mut self, status: u16) -> Scenario {
        let _ = writeln!(self.steps, "<recv response=\"{status}\" rrs=\"true\" optional=\"true\"/>");
        self
    }

    /// Expects one of two responses.
    #[must_use]
    pub fn either(mut self, first: u16, second: u16) -> Scenario {
        let _ = writeln!(
            self.steps,
            "<recv response=\"{first}\" optional=\"true\" next=\"1\"/>\n<recv response=\"{second}\"/>\n<label id=\"1\"/>"
        );
        self
    }

    /// Expects a response whose header text contains `words` (a regular expression).
    #[must_use]
    pub fn receive_saying(self, status: u16, header: &str, words: &str) -> Scenario {
        self.take_saying(&format!("response=\"{status}\""), header, words)
    }

    fn take_saying(mut self, message: &str, header: &str, words: &str) -> Scenario {
        let _ = writeln!(
            self.steps,
            "<recv {message}><action><ereg regexp=\"{words}\" search_in=\"hdr\" header=\"{header}:\" \
             check_it=\"true\" assign_to=\"1\"/></action></recv>\n<Reference variables=\"1\"/>"
        );
        self
    }

    /// Acknowledges a refusal of the INVITE (same branch as the INVITE: the Via that came back).
    #[must_use]
    pub fn ack_failure(self) -> Scenario {
        let Scenario { own, peer, domain, cseq, .. } = &self;
        let message = format!(
            "ACK sip:{peer}@{domain} SIP/2.0\n[last_Via:]\nMax-Forwards: 70\n\
             From: <sip:{own}@{domain}>;tag=[pid]c[call_number]\n[last_To:]\nCall-ID: [call_id]\n\
             CSeq: {cseq} ACK\nContent-Length: 0\n\n"
        );
        self.send(false, &message)
    }

    /// Acknowledges the answer, with a description if the offer came late.
    #[must_use]
    pub fn ack(self, body: Body) -> Scenario {
        let message = self.request("ACK", "[next_url]", "", body);
        self.send(false, &message)
    }

    /// Gives up before the answer.
    #[must_use]
    pub fn cancel(self) -> Scenario {
        let Scenario { own, peer, domain, cseq, .. } = &self;
        let message = format!(
            "CANCEL sip:{peer}@{domain} SIP/2.0\n[last_Via:]\nMax-Forwards: 70\n\
             From: <sip:{own}@{domain}>;tag=[pid]c[call_number]\nTo: <sip:{peer}@{domain}>\nCall-ID: [call_id]\n\
             CSeq: {cseq} CANCEL\nContent-Length: 0\n\n"
        );
        self.send(true, &message).receive(200)
    }

    /// Hangs up and has it confirmed.
    #[must_use]
    pub fn hang_up(self) -> Scenario {
        self.ask("BYE", "", Body::None).receive(200)
    }

    /// Dials, hears it ring, is answered and acknowledges.
    #[must_use]
    pub fn reach(self) -> Scenario {
        self.dial(Body::Audio).receive(180).receive(200).ack(Body::None)
    }

    /// Offers another session inside the call, which is accepted.
    #[must_use]
    pub fn change(self, body: Body) -> Scenario {
        self.ask("INVITE", "", body)
            .maybe(100)
            .receive_saying(200, "Content-Type", "application/sdp")
            .ack(Body::None)
    }

    /// Is called, rings, answers.
    #[must_use]
    pub fn ring_and_answer(self) -> Scenario {
        self.expect("INVITE").reply(180, "Ringing", Body::None).reply(200, "OK", Body::Audio).expect("ACK")
    }

    /// Accepts what the other end offers inside the call.
    #[must_use]
    pub fn accept_change(self) -> Scenario {
        self.expect("INVITE").reply_in_dialog(200, "OK", Body::Audio).expect("ACK")
    }

    /// Has the other end hang up.
    #[must_use]
    pub fn is_hung_up(self) -> Scenario {
        self.confirm("BYE")
    }

    /// Expects a request inside the dialog and says 200 to it.
    #[must_use]
    pub fn confirm(self, method: &str) -> Scenario {
        self.expect(method).reply_in_dialog(200, "OK", Body::None)
    }

    /// Waits.
    #[must_use]
    pub fn pause(mut self, milliseconds: u32) -> Scenario {
        let _ = writeln!(self.steps, "<pause milliseconds=\"{milliseconds}\"/>");
        self
    }

    /// Expects a request. Of an INVITE, the headers that its own answer and a later BYE need are kept.
    #[must_use]
    pub fn expect(mut self, method: &str) -> Scenario {
        let keep = |header: &str, variable: u8| {
            format!("<ereg regexp=\".*\" search_in=\"hdr\" header=\"{header}:\" assign_to=\"{variable}\"/>")
        };
        let actions = match method {
            "INVITE" => format!("<action>{}{}{}</action>", keep("From", 2), keep("Via", 3), keep("CSeq", 4)),
            _ => String::new(),
        };
        let _ = writeln!(self.steps, "<recv request=\"{method}\" rrs=\"true\">{actions}</recv>");
        if method == "INVITE" {
            let _ = writeln!(self.steps, "<Reference variables=\"2,3,4\"/>");
        }
        self
    }

    /// Expects a request whose header contains `words` (a regular expression).
    #[must_use]
    pub fn expect_saying(self, method: &str, header: &str, words: &str) -> Scenario {
        self.take_saying(&format!("request=\"{method}\""), header, words)
    }

    /// Answers the INVITE although another request came since.
    #[must_use]
    pub fn reply_to_invite(self, status: u16, reason: &str, body: Body) -> Scenario {
        let Scenario { own, domain, .. } = &self;
        let message = format!(
            "SIP/2.0 {status} {reason}\nVia:[$3]\nFrom:[$2]\n\
             To: <sip:{own}@{domain}>;tag=[pid]s[call_number]\n[last_Call-ID:]\nCSeq:[$4]\n\
             Contact: <sip:{own}@[local_ip]:[local_port];transport=[transport]>\n{}",
            body.text()
        );
        self.send(true, &message)
    }

    /// Hangs up as the called party, and has it confirmed.
    #[must_use]
    pub fn hang_up_as_called(self) -> Scenario {
        let Scenario { own, domain, .. } = &self;
        let message = format!(
            "BYE [next_url] SIP/2.0\nVia: SIP/2.0/[transport] [local_ip]:[local_port];rport;branch=[branch]\n\
             Max-Forwards: 70\nFrom: <sip:{own}@{domain}>;tag=[pid]s[call_number]\nTo:[$2]\n[last_Call-ID:]\n\
             CSeq: 7 BYE\nContent-Length: 0\n\n"
        );
        self.send(true, &message).receive(200)
    }

    /// Answers the last request.
    #[must_use]
    pub fn reply(self, status: u16, reason: &str, body: Body) -> Scenario {
        let tag = if status == 100 { "" } else { ";tag=[pid]s[call_number]" };
        self.reply_with_tag(status, reason, tag, body)
    }

    /// Answers a request inside the dialog, whose To has our tag already.
    #[must_use]
    pub fn reply_in_dialog(self, status: u16, reason: &str, body: Body) -> Scenario {
        self.reply_with_tag(status, reason, "", body)
    }

    fn reply_with_tag(self, status: u16, reason: &str, tag: &str, body: Body) -> Scenario {
        let own = &self.own;
        let message = format!(
            "SIP/2.0 {status} {reason}\n[last_Via:]\n[last_Record-Route:]\n[last_From:]\n[last_To:]{tag}\n\
             [last_Call-ID:]\n[last_CSeq:]\n\
             Contact: <sip:{own}@[local_ip]:[local_port];transport=[transport]>\n{}",
            body.text()
        );
        let final_to_invite = (200..700).contains(&status) && !tag.is_empty();
        self.send(final_to_invite, &message)
    }

    /// The Request-URI that the credentials are computed over.
    #[must_use]
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// The scenario as SIPp reads it.
    #[must_use]
    pub fn xml(&self) -> String {
        format!(
            "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>\n<!DOCTYPE scenario SYSTEM \"sipp.dtd\">\n\
             <scenario name=\"{} and {}\">\n{}</scenario>\n",
            self.own, self.peer, self.steps
        )
    }
}
