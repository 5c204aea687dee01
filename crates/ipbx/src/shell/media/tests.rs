//! Real sockets on loopback: who is heard, who is not, and what a restart keeps.

use super::*;
use media::relay::{End, Keys, Remote, Spec};
use media::rtp::{Header, Packet};
use media::srtp::{Context, MasterKey, Suite};
use std::net::{SocketAddr, UdpSocket};

/// A phone's socket.
struct Ear(UdpSocket);

impl Ear {
    fn new() -> Ear {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        Ear(socket)
    }

    fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    fn say(&self, to: SocketAddr, sequence: u16) {
        let header = Header { marker: false, payload_type: 8, sequence, timestamp: 1, ssrc: 7 };
        self.0.send_to(&header.packet(&[0xd5; 160]), to).unwrap();
    }

    fn hears(&self) -> (Vec<u8>, SocketAddr) {
        let mut buffer = [0; 2_048];
        let (length, from) = self.0.recv_from(&mut buffer).expect("nothing is heard");
        (buffer[..length].to_vec(), from)
    }

    fn hears_nothing(&self) {
        self.0.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        assert!(self.0.recv_from(&mut [0; 64]).is_err(), "something is heard");
        self.0.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    }
}

/// Two phones, and a stream between them.
struct Scene {
    relay: MediaRelay,
    reports: mpsc::Receiver<Report>,
    caller: Ear,
    called: Ear,
    spec: Spec,
}

const STREAM: StreamId = StreamId(256);

fn relay(frozen: Option<Vec<u8>>, silence: Duration) -> (MediaRelay, mpsc::Receiver<Report>) {
    let (sender, reports) = mpsc::channel();
    let listener: Listener = Arc::new(move |report| drop(sender.send(report)));
    let beginning = Beginning { clock: SteadyClock::start(), threads: 2, silence, frozen, listener };
    (MediaRelay::start(beginning).unwrap(), reports)
}

/// Four ports nobody has: the system gives them, and gives no port twice in a row.
fn free_pair() -> SocketAddr {
    loop {
        let rtp = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let even = SocketAddr::new(rtp.ip(), rtp.port() & !1);
        let odd = SocketAddr::new(rtp.ip(), even.port() + 1);
        if UdpSocket::bind(even).is_ok() && UdpSocket::bind(odd).is_ok() {
            return even;
        }
    }
}

fn end(ear: &Ear) -> End {
    let rtp = ear.address();
    let rtcp = SocketAddr::new(rtp.ip(), 9);
    End { local: free_pair(), remote: Some(Remote { rtp, rtcp, learn_from: None }), keys: None }
}

fn scene(silence: Duration, keys: Option<Keys>) -> Scene {
    let (relay, reports) = relay(None, silence);
    let (caller, called) = (Ear::new(), Ear::new());
    let spec = Spec { caller: end(&caller), called: End { keys, ..end(&called) }, opaque: false };
    relay.order(Order::Open(STREAM, spec.clone(), None));
    Scene { relay, reports, caller, called, spec }
}

impl Scene {
    /// The caller speaks until the called party hears it: the ports are open then.
    fn heard(&self, sequence: u16) -> Vec<u8> {
        self.called.0.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        for attempt in 0..250 {
            self.caller.say(self.spec.caller.local, sequence + attempt);
            let mut buffer = [0; 2_048];
            if let Ok((length, from)) = self.called.0.recv_from(&mut buffer) {
                assert_eq!(from, self.spec.called.local, "symmetric, as phones and NATs want it");
                self.called.0.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
                return buffer[..length].to_vec();
            }
        }
        panic!("the called party hears nothing");
    }
}

#[test]
fn threat_14_a_stranger_is_not_heard_and_gets_nothing_while_the_phones_talk_on() {
    let scene = scene(Duration::from_secs(60), None);
    scene.heard(1);
    let stranger = Ear::new();
    for sequence in 300..350 {
        stranger.say(scene.spec.caller.local, sequence);
        stranger.say(scene.spec.called.local, sequence);
    }
    scene.caller.say(scene.spec.caller.local, 400);
    // What is heard next is the caller's, whoever sent before it.
    let (heard, _) = scene.called.hears();
    let heard = Packet::parse(&heard).unwrap().header.sequence;
    assert!(!(300..350).contains(&heard), "the stranger is heard");
    scene.called.say(scene.spec.called.local, 1);
    assert_eq!(scene.caller.hears().1, scene.spec.caller.local);
    stranger.hears_nothing();
    scene.relay.order(Order::Close(STREAM));
    let Ok(Report::Closed(STREAM, caller, called)) = scene.reports.recv_timeout(Duration::from_secs(10))
    else {
        panic!("not closed")
    };
    assert_eq!((caller.dropped[&media::relay::Why::Stranger], called.packets), (50, 1));
}

#[test]
fn threat_14_a_flood_of_strangers_fills_another_queue_than_the_phones() {
    let scene = scene(Duration::from_secs(60), None);
    let begun = Packet::parse(&scene.heard(1)).unwrap().header.sequence;
    // Both have been heard by now, and the caller has a socket of its own.
    let stranger = Ear::new();
    for sequence in 0..5_000 {
        stranger.say(scene.spec.caller.local, sequence);
    }
    let said: Vec<u16> = (begun + 500..begun + 520).collect();
    said.iter().for_each(|sequence| scene.caller.say(scene.spec.caller.local, *sequence));
    let mut expected = said.iter().peekable();
    while expected.peek().is_some() {
        let (packet, _) = scene.called.hears();
        let heard = Packet::parse(&packet).unwrap().header.sequence;
        assert!(expected.next_if_eq(&&heard).is_some() || heard < begun + 500, "{heard} came first");
    }
}

#[test]
fn a_phone_that_moves_is_heard_and_spoken_to_where_it_is_now() {
    let mut scene = scene(Duration::from_secs(60), None);
    scene.heard(1);
    let before = std::mem::replace(&mut scene.caller, Ear::new());
    let rtp = scene.caller.address();
    scene.spec.caller.remote = Some(Remote { rtp, rtcp: SocketAddr::new(rtp.ip(), 9), learn_from: None });
    scene.relay.order(Order::Alter(STREAM, scene.spec.clone()));
    scene.heard(2_000);
    scene.called.say(scene.spec.called.local, 1);
    assert_eq!(scene.caller.hears().1, scene.spec.caller.local);
    before.hears_nothing();
}

/// A stream whose called phone speaks SRTP, and how that one reads a packet: its sequence number.
fn sealed_scene() -> (Scene, impl FnMut(Vec<u8>) -> u16) {
    let suite = Suite::AesCm128HmacSha1_80;
    let (ours, theirs) = (MasterKey::new([1; 30]), MasterKey::new([2; 30]));
    let keys = Keys { suite, ours: ours.clone(), theirs: Some(theirs) };
    let scene = scene(Duration::from_secs(60), Some(keys));
    let mut phone = Context::new(suite, ours);
    let unseal = move |sealed: Vec<u8>| {
        let mut buffer = sealed;
        let length = buffer.len();
        let mut packet = media::datagram::Datagram::new(&mut buffer, length);
        phone.unprotect_rtp(&mut packet).expect("the phone understands");
        Packet::parse(packet.bytes()).unwrap().header.sequence
    };
    (scene, unseal)
}

#[test]
fn rfc3711_speech_goes_on_after_a_kill_where_the_relay_said_within_a_second_that_it_stood() {
    let (mut scene, mut unseal) = sealed_scene();
    let before = unseal(scene.heard(65_300));
    let Ok(Report::Stands(STREAM, standing)) = scene.reports.recv_timeout(Duration::from_secs(10)) else {
        panic!("nothing is told")
    };
    // What the process before knows is lost; its sockets are closed, as they are by the end of a process.
    let _lost = scene.relay.freeze();
    let (relay, reports) = relay(None, Duration::from_secs(60));
    relay.order(Order::Open(STREAM, scene.spec.clone(), Some(standing)));
    (scene.relay, scene.reports) = (relay, reports);
    let leapt = scene.reports.recv_timeout(Duration::from_secs(10));
    assert!(matches!(leapt, Ok(Report::Stands(STREAM, _))), "it is told at once that it goes on: {leapt:?}");
    let after = unseal(scene.heard(before.wrapping_add(300)));
    assert!(after < before, "the sequence has turned over meanwhile, and the phone still understands");
}

#[test]
fn speech_goes_on_over_a_restart_with_the_same_ports_and_key_stream() {
    let (mut scene, mut unseal) = sealed_scene();
    let before = unseal(scene.heard(65_300));
    let frozen = scene.relay.freeze();
    let (relay, reports) = relay(Some(frozen), Duration::from_secs(60));
    relay.order(Order::Open(STREAM, scene.spec.clone(), None));
    (scene.relay, scene.reports) = (relay, reports);
    let after = unseal(scene.heard(before.wrapping_add(300)));
    assert!(after < before, "the sequence has turned over meanwhile, and the phone still understands");
}

#[test]
fn a_silent_stream_is_told_and_so_is_its_return() {
    let scene = scene(Duration::from_secs(2), None);
    let told = || scene.reports.recv_timeout(Duration::from_secs(10));
    assert_eq!(told(), Ok(Report::Silent(STREAM)));
    scene.heard(1);
    assert_eq!(told(), Ok(Report::Heard(STREAM)));
}

#[test]
fn a_port_that_is_taken_is_told_and_nothing_is_left_open() {
    let (relay, reports) = relay(None, Duration::from_secs(60));
    let (caller, called) = (Ear::new(), Ear::new());
    let spec = Spec { caller: end(&caller), called: end(&called), opaque: false };
    let thief = UdpSocket::bind(spec.called.local).unwrap();
    relay.order(Order::Open(STREAM, spec.clone(), None));
    assert_eq!(reports.recv_timeout(Duration::from_secs(10)), Ok(Report::Failed(STREAM)));
    assert!(UdpSocket::bind(spec.caller.local).is_ok());
    drop(thief);
}
