//! A phone of a few lines on UDP: it writes its own SIP, so that it shares no printer with what it tests.

use sip::digest::{Client, Password};
use sip::{Message, Method};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::UdpSocket;

pub(crate) const SDP: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
                              m=audio 40000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n";

pub(crate) struct Phone {
    socket: UdpSocket,
    own: SocketAddr,
    server: SocketAddr,
    user: String,
    secret: String,
    count: u32,
}

impl Phone {
    pub(crate) async fn new(server_port: u16, user: &str, secret: &str) -> Phone {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let own = socket.local_addr().unwrap();
        let server = SocketAddr::from(([127, 0, 0, 1], server_port));
        Phone { socket, own, server, user: user.to_owned(), secret: secret.to_owned(), count: 0 }
    }

    pub(crate) async fn send(&self, text: &str) {
        self.socket.send_to(text.as_bytes(), self.server).await.unwrap();
    }

    /// The next message that satisfies `wanted`; others (100 Trying, repetitions) are passed over.
    pub(crate) async fn hears(&self, what: &str, wanted: impl Fn(&Message) -> bool) -> Message {
        let mut buffer = vec![0_u8; 65_535];
        let listen = async {
            loop {
                let (length, _) = self.socket.recv_from(&mut buffer).await.unwrap();
                let message = Message::parse(&buffer[..length]).unwrap();
                if wanted(&message) {
                    return message;
                }
            }
        };
        let heard = tokio::time::timeout(Duration::from_secs(6), listen).await;
        heard.unwrap_or_else(|_| panic!("{} never heard {what}", self.user))
    }

    /// A status other than 100 to a request of this method.
    pub(crate) async fn answer(&self, method: &str) -> Message {
        self.hears(&format!("an answer to {method}"), |message| {
            message.status().is_some_and(|status| u16::from(status) > 100)
                && message.cseq().method.to_string() == method
        })
        .await
    }

    /// Sends a request, and once more with credentials if it is challenged. Returns the answer and the text that
    /// was sent last.
    pub(crate) async fn asks(&mut self, method: &str, target: &str, body: &str) -> (Message, String) {
        self.asks_saying(method, target, "", body).await
    }

    /// The same with more headers.
    pub(crate) async fn asks_saying(
        &mut self,
        method: &str,
        target: &str,
        extra: &str,
        body: &str,
    ) -> (Message, String) {
        self.count += 1;
        let call_id = format!("{}-{}-{}", self.user, self.own.port(), self.count);
        let uri = format!("sip:{target}");
        let first = self.request(method, &uri, (&call_id, 1), extra, body);
        self.send(&first).await;
        let refusal = self.answer(method).await;
        if !refusal.status().is_some_and(|status| matches!(u16::from(status), 401 | 407)) {
            return (refusal, first);
        }
        if method == "INVITE" {
            self.send(&self.ack(&first, &refusal)).await;
        }
        let password = Password::Plain(self.secret.clone());
        let mut client = Client::challenged(&refusal, &self.user, &password).unwrap();
        let method_name = Method::from(method);
        let (name, value) = client.authorization(&method_name, &uri, "c0ffee");
        let header = format!("{}: {value}\r\n{extra}", name.as_str());
        let second = self.request(method, &uri, (&call_id, 2), &header, body);
        self.send(&second).await;
        (self.answer(method).await, second)
    }

    pub(crate) async fn register(&mut self) {
        let (answer, _) = self.asks("REGISTER", "pleiad.test", "").await;
        assert_eq!(answer.status().map(u16::from), Some(200), "{} cannot register", self.user);
    }

    fn request(
        &self,
        method: &str,
        uri: &str,
        (call_id, cseq): (&str, u32),
        extra: &str,
        body: &str,
    ) -> String {
        let (own, user) = (self.own, &self.user);
        let to = if method == "REGISTER" { format!("sip:{user}@pleiad.test") } else { uri.to_owned() };
        let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
        format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {own};rport;branch=z9hG4bK-{call_id}-{method}-{cseq}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:{user}@pleiad.test>;tag=f-{call_id}\r\nTo: <{to}>\r\n\
             Call-ID: {call_id}\r\nCSeq: {cseq} {method}\r\nContact: <sip:{user}@{own}>\r\n{extra}{kind}\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }

    /// The ACK of a final answer: of a refusal in its transaction, of a 200 in one of its own.
    pub(crate) fn ack(&self, invite: &str, answer: &Message) -> String {
        let sent = Message::parse(invite.as_bytes()).unwrap();
        let accepted = answer.status().is_some_and(|status| status.is_success());
        let target = match answer.contact() {
            Ok(Some(contact)) if accepted => contact.uri.to_string(),
            _ => sent.request_uri().unwrap().to_string(),
        };
        let branch = if accepted {
            format!("z9hG4bK-ack-{}", sent.call_id())
        } else {
            sent.via().branch().unwrap().to_owned()
        };
        self.in_dialog("ACK", &target, &branch, &sent, answer)
    }

    /// A BYE of the caller.
    pub(crate) fn bye(&self, invite: &str, answer: &Message) -> String {
        let sent = Message::parse(invite.as_bytes()).unwrap();
        let target = answer.contact().unwrap().unwrap().uri.to_string();
        let branch = format!("z9hG4bK-bye-{}", sent.call_id());
        self.in_dialog("BYE", &target, &branch, &sent, answer).replace("CSeq: 2 BYE", "CSeq: 3 BYE")
    }

    fn in_dialog(
        &self,
        method: &str,
        target: &str,
        branch: &str,
        sent: &Message,
        answer: &Message,
    ) -> String {
        format!(
            "{method} {target} SIP/2.0\r\nVia: SIP/2.0/UDP {};rport;branch={branch}\r\nMax-Forwards: 70\r\n\
             From: {}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {} {method}\r\nContent-Length: 0\r\n\r\n",
            self.own,
            sent.from(),
            answer.to(),
            sent.call_id(),
            sent.cseq().number,
        )
    }

    /// Answers a request with a status and a body.
    pub(crate) async fn replies(&self, request: &Message, status: &str, body: &str) {
        let vias: Vec<String> =
            request.headers(sip::Name::Via).map(|via| format!("Via: {via}\r\n")).collect();
        let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
        let to = match request.to().tag() {
            Some(_) => request.to().to_string(),
            None => format!("{};tag=t-{}", request.to(), self.user),
        };
        let text = format!(
            "SIP/2.0 {status}\r\n{}From: {}\r\nTo: {to}\r\nCall-ID: {}\r\nCSeq: {}\r\nContact: <sip:{}@{}>\r\n{kind}\
             Content-Length: {}\r\n\r\n{body}",
            vias.concat(),
            request.from(),
            request.call_id(),
            request.header(sip::Name::CSeq).unwrap(),
            self.user,
            self.own,
            body.len()
        );
        self.send(&text).await;
    }

    /// The next request of this method.
    pub(crate) async fn asked(&self, method: &str) -> Message {
        self.hears(method, |message| message.is_request() && message.method().to_string() == method).await
    }
}
