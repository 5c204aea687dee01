//! What must hold for any bytes at all. The fuzz targets of `fuzz/` use this file, and the tests here replay their
//! corpus.

use sip::digest::{Challenger, Client, Known, Password, Secrets, UsedNonces, Verdict};
use sip::{Dialog, Edit, Fault, Frame, Framer, Message, Name, NameAddr, Response, Status, Uri, Via};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

const SOURCE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 200)), 5062);

/// A datagram from anybody: what is read can be printed again to the same message, and every lazy reader, every
/// answer and every edit comes to an end.
pub(crate) fn datagram(bytes: &[u8]) {
    match Message::parse(bytes) {
        Ok(message) => {
            round_trip(&message);
            read_everything(&message);
            if message.is_request() {
                answer(&message);
            }
            edit(&message);
            authenticate(&message);
        }
        Err(error) => {
            if let Some(answer) = error.answer("tag") {
                assert!(answer.starts_with(b"SIP/2.0 "));
            }
        }
    }
}

fn round_trip(message: &Message) {
    assert_eq!(Message::parse(&message.to_bytes()).as_ref(), Ok(message));
    let stamped = message.clone().stamped(SOURCE);
    if message.is_request() {
        assert_eq!(Message::received(&message.to_bytes(), SOURCE).as_ref(), Ok(&stamped));
    }
    assert_eq!(Message::parse(&stamped.to_bytes()), Ok(stamped));
    assert_eq!(Via::parse(&message.via().to_string()).as_ref(), Some(message.via()));
    for address in [message.from(), message.to()] {
        let printed = NameAddr::parse(&address.to_string()).expect("what we print we read");
        assert_eq!(printed.uri, address.uri);
        assert_eq!(printed.params, address.params);
    }
    if let Some(uri) = message.request_uri() {
        assert_eq!(Uri::parse(&uri.to_string()).as_ref(), Ok(uri));
        assert!(uri.same_as(uri));
    }
}

fn read_everything(message: &Message) {
    let _ = (message.contacts(), message.expires_s(), message.content_type(), message.next_via());
    for name in [Name::Route, Name::RecordRoute, Name::PAssertedIdentity, Name::ReferTo, Name::HistoryInfo] {
        let _ = message.addresses(name);
    }
    for name in [Name::Expires, Name::MinSe, Name::RSeq, Name::SessionExpires, Name::RetryAfter] {
        let _ = message.number(name);
    }
    let _ = message.has_option(Name::Require, "100rel");
}

fn answer(request: &Message) {
    for status in [Status::TRYING, Status::RINGING, Status::OK, Status::BUSY_HERE] {
        let answer = Response::to(request, status).to_tag("ours").message().expect("our answer is a message");
        assert_eq!(answer.via(), request.via());
        assert_eq!(answer.call_id(), request.call_id());
        assert_eq!(answer.cseq(), request.cseq());
    }
    if let Ok(mut dialog) = Dialog::as_callee(request, "ours") {
        let via = Via::new("UDP", SOURCE.ip(), Some(5060), "z9hG4bKours");
        let bye = dialog.request(sip::Method::Bye, &via).message().expect("our BYE is a message");
        let _ = (dialog.matches(&bye), dialog.accept(request));
    }
}

fn edit(message: &Message) {
    let via = Via::new("TLS", SOURCE.ip(), None, "z9hG4bKproxy");
    let pushed = Edit::of(message).push_via(&via).max_forwards(69).message();
    // A message at the limits of size or lines may not grow; any other goes on as it was.
    let Ok(pushed) = pushed else { return };
    assert_eq!(pushed.via(), &via);
    assert_eq!((pushed.from(), pushed.to(), pushed.body()), (message.from(), message.to(), message.body()));
    let popped = Edit::of(&pushed).pop_via().message().expect("the Via below ours was read before");
    assert_eq!(popped.via(), message.via());
}

fn authenticate(message: &Message) {
    let challenger = Challenger::new("realm", [1; 32], 0);
    let (secrets, mut used) = (Secrets::of("2101", "realm", "secret"), UsedNonces::default());
    for header in [Name::Authorization, Name::ProxyAuthorization] {
        if let Ok(Some(credentials)) = challenger.read(message, header) {
            let known = Some(Known { secrets: secrets.as_ref(), used: &mut used });
            let said = challenger.judge(Duration::from_secs(1), SOURCE.ip(), message, &credentials, known);
            assert_eq!(said, Verdict::Stale, "nobody guesses a nonce");
        }
    }
    let _ = Client::challenged(message, "2101", &Password::Plain("secret".to_owned()));
}

/// What stands in a header, without its message: a URI, an address, a Via, credentials, a challenge.
pub(crate) fn value(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(uri) = Uri::parse(&text) {
        let printed = uri.to_string();
        assert_eq!(Uri::parse(&printed).as_ref(), Ok(&uri), "{printed}");
        assert!(uri.same_as(&uri) && uri.for_request_line().headers.is_none());
        let _ = (uri.user(), uri.header("Replaces"));
        if let Some((one, two)) = text.split_once('\n') {
            let (one, two) = (Uri::parse(one), Uri::parse(two));
            if let (Ok(one), Ok(two)) = (one, two) {
                assert_eq!(one.same_as(&two), two.same_as(&one), "{one} and {two}");
            }
        }
    }
    if let Ok(address) = NameAddr::parse(&text) {
        let printed = NameAddr::parse(&address.to_string()).expect("what we print we read");
        assert_eq!((printed.uri, printed.params), (address.uri, address.params));
    }
    if let Some(via) = Via::parse(&text) {
        assert_eq!(Via::parse(&via.to_string()), Some(via));
    }
}

/// Credentials from anybody, and a challenge from any server. Only the right password lets in, and once.
pub(crate) fn credentials(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes).replace(['\r', '\n', '\0'], " ");
    let asked = |name: Name, value: &str| {
        let uri = Uri::sip("2201", SOURCE.ip());
        let me = NameAddr::new(Uri::sip("2101", SOURCE.ip())).with_tag("a");
        let via = Via::new("UDP", SOURCE.ip(), None, "z9hG4bK1");
        let request = sip::Request::new(sip::Method::Register, &uri).via(&via).from(&me).to(&me).call_id("c");
        request.cseq(1).header(name, value).message()
    };
    let Ok(request) = asked(Name::Authorization, &text) else { return };
    authenticate(&request);
    let refusal = Response::to(&request, Status::UNAUTHORIZED).header(Name::WwwAuthenticate, &text).message();
    let password = Password::Plain("secret".to_owned());
    let client = refusal.ok().and_then(|refusal| Client::challenged(&refusal, "2101", &password));
    if let Some(mut client) = client {
        let (name, value) = client.authorization(&sip::Method::Register, "sip:2201@192.0.2.200", "c");
        authenticate(&asked(name, &value).expect("what we sign we can send"));
    }
}

/// A connection from anybody: however a stream is torn into reads (the first byte says how), the same frames come
/// out.
pub(crate) fn stream(bytes: &[u8]) {
    let Some((size, stream)) = bytes.split_first() else { return };
    let (whole, whole_ended) = frames(stream, stream.len().max(1));
    let (torn, torn_ended) = frames(stream, usize::from(*size).max(1));
    if [whole_ended, torn_ended].contains(&Some(Fault::Flood)) {
        // How many keep-alives came together depends on how they were read.
        return;
    }
    assert_eq!(whole_ended, torn_ended);
    // A ping that is torn is told as pong and ping; messages must be the same.
    assert_eq!(messages(&whole), messages(&torn));
}

fn frames(stream: &[u8], read: usize) -> (Vec<Frame>, Option<Fault>) {
    let (mut framer, mut out) = (Framer::new(), Vec::new());
    for piece in stream.chunks(read) {
        if let Err(error) = framer.push(piece, &mut out) {
            return (out, Some(error.0.fault));
        }
    }
    (out, None)
}

fn messages(frames: &[Frame]) -> Vec<&Frame> {
    frames.iter().filter(|frame| !matches!(frame, Frame::Ping | Frame::Pong)).collect()
}
