//! Streams: however the bytes are torn, the same messages come out; and what has no sure length ends the stream.

use crate::support::{request, request_with};
use proptest::prelude::*;
use sip::{Fault, Frame, Framer, FramingError, HEAD_BYTES_MAX, Message, Method, Status};

fn all(pieces: &[&[u8]]) -> (Vec<Frame>, Result<(), FramingError>) {
    let (mut framer, mut out) = (Framer::new(), Vec::new());
    for piece in pieces {
        if let Err(error) = framer.push(piece, &mut out) {
            return (out, Err(error));
        }
    }
    (out, Ok(()))
}

fn refused(bytes: &[u8]) -> Fault {
    all(&[bytes]).1.unwrap_err().0.fault
}

fn options(lines: &str) -> Vec<u8> {
    format!(
        "OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/TCP x;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\n\
         To: <sip:a@b>\r\nCall-ID: x\r\nCSeq: 1 OPTIONS\r\n{lines}\r\n"
    )
    .into_bytes()
}

#[test]
fn rfc_5626_pings_and_pongs_stand_between_messages() {
    let message = request(Method::Options, "z9hG4bK1").to_bytes();
    let stream = [b"\r\n\r\n", &message[..], b"\r\n\r\n\r\n\r\n", &message[..], b"\r\n"].concat();
    let (frames, outcome) = all(&[&stream]);
    assert_eq!(outcome, Ok(()));
    let names: Vec<&str> = frames
        .iter()
        .map(|frame| match frame {
            Frame::Message(_) => "message",
            Frame::Malformed(_) => "malformed",
            Frame::Ping => "ping",
            Frame::Pong => "pong",
        })
        .collect();
    assert_eq!(names, ["ping", "message", "ping", "ping", "message", "pong"]);
}

#[test]
fn a_ping_torn_in_two_is_a_ping() {
    let (frames, _) = all(&[b"\r\n", b"\r\n"]);
    assert_eq!(frames.last(), Some(&Frame::Ping));
    let (frames, _) = all(&[b"\r", b"\n\r", b"\n"]);
    assert_eq!(frames.last(), Some(&Frame::Ping));
}

#[test]
fn a_length_in_doubt_ends_the_stream() {
    assert_eq!(refused(&options("")), Fault::ContentLength);
    assert_eq!(refused(&options("Content-Length: 3\r\nl: 4\r\n")), Fault::ContentLength);
    assert_eq!(refused(&options("Content-Length: -1\r\n")), Fault::ContentLength);
    assert_eq!(refused(&options("Content-Length: 65536\r\n")), Fault::TooLarge);
    assert_eq!(refused(&options("Content-Length 3\r\nContent-Length: 0\r\n")), Fault::HeaderLine);
    assert_eq!(refused(&[b'a'; HEAD_BYTES_MAX + 1]), Fault::TooLarge);
    let error = all(&[&options("")]).1.unwrap_err();
    let answer = Message::parse(&error.0.answer("t").unwrap()).unwrap();
    assert_eq!(answer.status(), Some(Status::BAD_REQUEST));
}

/// RFC 4475 has each of these in a datagram, where the datagram is the end; on a stream it would be a second opinion.
#[test]
fn threat_11_where_two_readers_could_differ_there_is_no_message() {
    let smuggled = String::from_utf8(options("Content-Length: 0\r\n")).unwrap();
    let length = smuggled.len();
    for lines in [
        format!("Content-Length : {length}\r\n"),
        format!("Content-Length\t: {length}\r\n"),
        format!("Content-Length: {length}\r\nContent-Length: {length}\r\n"),
        format!("Content-Length: 0\r\nContent-Length: {length}\r\n"),
        format!("l: {length}\r\nContent-Length: {length}\r\n"),
        format!("Content-Length: +{length}\r\n"),
        format!("Content-Length: {length}, 0\r\n"),
        format!("Content-Length: 0x{length:x}\r\n"),
        format!("Content-Length: {length}.0\r\n"),
        "Content-Length:\r\n".to_owned(),
        "Content-Length: -1\r\n".to_owned(),
        "Content-Length: 4294967296\r\n".to_owned(),
        "Content-Length: 18446744073709551615\r\n".to_owned(),
        "Content-Length: 18446744073709551616\r\n".to_owned(),
        String::new(),
    ] {
        let stream = [&options(&lines)[..], smuggled.as_bytes()].concat();
        let (frames, outcome) = all(&[&stream]);
        assert_eq!(frames, [], "{lines:?}");
        let error = outcome.expect_err(&lines).0;
        assert!(error.answer("t").unwrap().starts_with(b"SIP/2.0 400 "), "{lines:?}");
    }
    // A fold is part of the value, wherever the value begins.
    let folded = options(&format!("Content-Length:\r\n {length}\r\n"));
    let (frames, outcome) = all(&[&folded, smuggled.as_bytes()]);
    assert!(outcome.is_ok() && matches!(&frames[..], [Frame::Message(one)] if one.body().len() == length));
}

#[test]
fn threat_11_an_endless_head_ends_the_stream() {
    let mut framer = Framer::new();
    let mut out = Vec::new();
    let head = options("");
    framer.push(&head[..head.len() - 2], &mut out).unwrap();
    let lines = (0..10_000).map_while(|_| framer.push(b"X: y\r\n", &mut out).ok()).count();
    assert!((100..HEAD_BYTES_MAX).contains(&lines), "{lines} lines were read");
    assert_eq!(out, []);
    let one_line = [b"OPTIONS sip:".as_slice(), &[b'a'; HEAD_BYTES_MAX]].concat();
    assert_eq!(refused(&one_line), Fault::TooLarge);
}

#[test]
fn threat_11_what_begins_like_no_message_is_not_waited_for() {
    for bytes in [&b"\x16\x03\x01\x02\x00"[..], b"\0", b" OPTIONS", b"\n", b"\"", b"\xff"] {
        assert_eq!(refused(bytes), Fault::StartLine, "{bytes:?}");
    }
    assert_eq!(refused(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"), Fault::ContentLength);
}

#[test]
fn threat_12_a_flood_of_keep_alives_ends_the_stream() {
    assert_eq!(refused(&b"\r\n\r\n".repeat(4_000)), Fault::Flood);
    assert_eq!(refused(&b"\r\n".repeat(40)), Fault::Flood);
    // One at a time they may come for ever: the connection's own limits look after that.
    let (mut framer, mut out) = (Framer::new(), Vec::new());
    for _ in 0..1_000 {
        framer.push(b"\r\n\r\n", &mut out).unwrap();
    }
    assert_eq!(out.len(), 1_000);
}

#[test]
fn after_an_error_nothing_is_read() {
    let (mut framer, mut out) = (Framer::new(), Vec::new());
    assert!(framer.push(&options(""), &mut out).is_err());
    assert!(framer.push(&request(Method::Options, "z9hG4bK1").to_bytes(), &mut out).is_err());
    assert_eq!(out, []);
}

#[test]
fn a_bad_message_with_a_sure_length_leaves_the_stream_whole() {
    let good = request(Method::Options, "z9hG4bK1").to_bytes();
    let bad = String::from_utf8(options("Content-Length: 2\r\n"))
        .unwrap()
        .replace("CSeq: 1 OPTIONS", "CSeq: 1 BYE");
    let (frames, outcome) = all(&[bad.as_bytes(), b"xx", &good]);
    assert_eq!(outcome, Ok(()));
    assert!(
        matches!(&frames[..], [Frame::Malformed(error), Frame::Message(_)] if error.fault == Fault::CSeqMethod)
    );
}

#[test]
fn a_slow_head_costs_no_second_look() {
    // Fed byte by byte; a quadratic search would take minutes.
    let message = request_with(Method::Message, "z9hG4bK1").body("text/plain", &[b'x'; 60_000]).bytes();
    let (mut framer, mut out) = (Framer::new(), Vec::new());
    for byte in &message {
        framer.push(std::slice::from_ref(byte), &mut out).unwrap();
    }
    assert_eq!(out.len(), 1);
    assert!(framer.is_between_messages());
}

proptest! {
    #[test]
    fn however_torn_the_same_messages_come_out(
        sizes in proptest::collection::vec(0usize..900, 1..5),
        cuts in proptest::collection::vec(1usize..400, 1..30),
    ) {
        let messages: Vec<Vec<u8>> = sizes.iter().enumerate().map(|(index, size)| {
            request_with(Method::Message, &format!("z9hG4bK{index}")).body("text/plain", &vec![b'\n'; *size]).bytes()
        }).collect();
        let stream = messages.concat();
        let (mut framer, mut out, mut rest) = (Framer::new(), Vec::new(), &stream[..]);
        for cut in cuts.iter().cycle() {
            let (piece, after) = rest.split_at((*cut).min(rest.len()));
            framer.push(piece, &mut out).unwrap();
            rest = after;
            if rest.is_empty() {
                break;
            }
        }
        let read: Vec<Vec<u8>> = out.iter().map(|frame| match frame {
            Frame::Message(message) => message.to_bytes(),
            other => panic!("{other:?}"),
        }).collect();
        prop_assert_eq!(read, messages);
    }
}

#[test]
fn what_came_before_the_stream_was_lost_is_given_out() {
    // RFC 4475 §3.1.1.8 is a datagram with two requests. On a stream both are read; the second is longer than it says,
    // and with its rest the stream is lost.
    let (frames, outcome) = all(&[include_bytes!("torture/dblreq.dat")]);
    let methods: Vec<&Method> = frames
        .iter()
        .filter_map(|frame| match frame {
            Frame::Message(message) => Some(message.method()),
            _ => None,
        })
        .collect();
    assert_eq!(methods, [&Method::Register, &Method::Invite]);
    assert_eq!(outcome.unwrap_err().0.fault, Fault::ContentLength);
}
