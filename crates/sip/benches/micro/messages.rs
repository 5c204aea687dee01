//! The messages of the bench: what phones send, at their usual sizes.

use sip::{Flow, Transport};

pub(crate) fn flow() -> Flow {
    Flow {
        transport: Transport::Udp,
        local: "192.0.2.1:5060".parse().unwrap(),
        remote: "192.0.2.7:5060".parse().unwrap(),
        connection: 0,
    }
}

/// A REGISTER as baresip sends it; `number` makes it a new one.
pub(crate) fn register(number: u32, authorization: &str) -> Vec<u8> {
    format!(
        "REGISTER sip:pleiad.test SIP/2.0\r\n\
         Via: SIP/2.0/UDP 192.0.2.7:5060;branch=z9hG4bK{number:016x};rport\r\n\
         Contact: <sip:2101-0x55f0c8a@192.0.2.7:5060>;expires=3600;+sip.instance=\"<urn:uuid:b0a1c2d3-7e6f-4a5b-9c8d-0123456789ab>\"\r\n\
         Max-Forwards: 70\r\n\
         To: <sip:2101@pleiad.test>\r\n\
         From: \"Ann Smith\" <sip:2101@pleiad.test>;tag=5f3a8c71e2b94d06\r\n\
         Call-ID: 7be01d4c9a{number:08x}\r\n\
         CSeq: {number} REGISTER\r\n\
         Expires: 3600\r\n\
         User-Agent: baresip v1.0.0 (x86_64/linux)\r\n\
         Supported: gruu,outbound,path\r\n\
         Allow: INVITE,ACK,BYE,CANCEL,OPTIONS,NOTIFY,SUBSCRIBE,INFO,MESSAGE,UPDATE,REFER\r\n\
         {authorization}Content-Length: 0\r\n\r\n"
    )
    .into_bytes()
}

const SDP: &str = "v=0\r\no=- 3842367823 3842367823 IN IP4 192.0.2.7\r\ns=-\r\nc=IN IP4 192.0.2.7\r\nt=0 0\r\n\
                   m=audio 10020 RTP/AVP 8 0 9 96 101\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\n\
                   a=rtpmap:9 G722/8000\r\na=rtpmap:96 opus/48000/2\r\na=rtpmap:101 telephone-event/8000\r\n\
                   a=fmtp:101 0-15\r\na=ptime:20\r\na=sendrecv\r\na=rtcp:10021\r\n";

/// The session description of both ends.
pub(crate) fn sdp() -> &'static str {
    SDP
}

/// An INVITE with a session description, about 1,100 bytes.
pub(crate) fn invite(number: u32) -> Vec<u8> {
    let length = SDP.len();
    format!(
        "INVITE sip:2201@pleiad.test SIP/2.0\r\n\
         Via: SIP/2.0/UDP 192.0.2.7:5060;branch=z9hG4bK{number:016x};rport\r\n\
         Contact: <sip:2101-0x55f0c8a@192.0.2.7:5060>\r\n\
         Max-Forwards: 70\r\n\
         To: <sip:2201@pleiad.test>\r\n\
         From: \"Ann Smith\" <sip:2101@pleiad.test>;tag=5f3a8c71{number:08x}\r\n\
         Call-ID: 7be01d4c9a{number:08x}\r\n\
         CSeq: 7012 INVITE\r\n\
         User-Agent: baresip v1.0.0 (x86_64/linux)\r\n\
         Supported: gruu,outbound,path,replaces,norefersub\r\n\
         Allow: INVITE,ACK,BYE,CANCEL,OPTIONS,NOTIFY,SUBSCRIBE,INFO,MESSAGE,UPDATE,REFER\r\n\
         Content-Type: application/sdp\r\n\
         Content-Length: {length}\r\n\r\n{SDP}"
    )
    .into_bytes()
}
