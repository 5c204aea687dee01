//! A second opinion: `sipx-sip`, which we did not write, reads every message of RFC 4475 and RFC 5118, every one that
//! fuzzing has kept, and thousands of mutations of them. Where both take a message they must agree whose it is:
//! Call-ID, CSeq, tags, branch. Where one refuses what the other takes, the reason must be one of [`EXPLAINED`].

use bytes::Bytes;
use sip::Message;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Disagreements that are known, each with why it is so. A new one is a bug of one of the two.
const EXPLAINED: &[(&str, &str)] = &[
    (
        "sipx refuses: Framing",
        "one length written twice is one length in a datagram; on a stream we refuse it too",
    ),
    (
        "sipx refuses: HeaderSyntax",
        "a tab before the colon is white space like any other (RFC 3261 §25.1 HCOLON)",
    ),
    (
        "sipx refuses: MalformedRequiredHeader(\"From\")",
        "display names and tags in Latin-1, as old gateways send them",
    ),
    (
        "sipx refuses: MalformedRequiredHeader(\"To\")",
        "the same; a URI of a scheme nobody knows is for a 416, not a 400",
    ),
    (
        "sipx refuses: MalformedRequiredHeader(\"Via\")",
        "a branch is compared and given back, never read: what is in it hurts nobody",
    ),
    ("sipx refuses: StartLine", "the inside of a URI whose scheme we do not know is not ours to judge: 416"),
    (
        "we refuse: ControlCharacter",
        "what another parser may take for an end or for white space (CVE-2016-9938)",
    ),
    ("we refuse: Header(CallId)", "white space in a Call-ID: half of it is what another parser sees"),
    ("we refuse: Header(From)", "a parameter that is there twice, a tag that is two things"),
    ("we refuse: Header(To)", "the same"),
    ("we refuse: Header(Via)", "the same; another protocol than SIP/2.0"),
    ("we refuse: Header(MaxForwards)", "what is no number is no number of hops"),
    ("we refuse: Repeated(ContentType)", "two kinds for one body"),
    ("we refuse: Repeated(Expires)", "two times for one registration"),
    ("we refuse: RequestUri", "a backslash is no character of a URI"),
];

/// What identifies a message's transaction and dialog.
#[derive(Debug, PartialEq)]
struct Identity {
    call_id: String,
    cseq: (u32, String),
    tags: [Option<String>; 2],
    branch: Option<String>,
}

fn ours(bytes: &[u8]) -> Result<Identity, String> {
    let message = Message::parse(bytes).map_err(|error| format!("{:?}", error.fault))?;
    Ok(Identity {
        call_id: message.call_id().to_owned(),
        cseq: (message.cseq().number, message.cseq().method.to_string()),
        tags: [message.from().tag(), message.to().tag()].map(|tag| tag.map(str::to_owned)),
        branch: message.via().branch().map(str::to_owned),
    })
}

fn theirs(bytes: &[u8]) -> Result<Identity, String> {
    // Keep-alives may stand before a datagram's message; sipx wants them taken off.
    let start = bytes.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(bytes.len());
    let bytes = Bytes::copy_from_slice(&bytes[start..]);
    let message = sipx_sip::parse_datagram(bytes, &sipx_sip::Limits::datagram())
        .map_err(|error| format!("{error:?}").split([' ', '(', '{']).next().unwrap_or_default().to_owned())?;
    if let Some(finding) = sipx_sip::validate(&message).iter().find(|finding| !finding.is_repairable()) {
        return Err(format!("{finding:?}"));
    }
    // Bytes that are not UTF-8 are Latin-1 to us and bytes to sipx.
    let text = |bytes: &[u8]| {
        bytes.utf8_chunks().fold(String::new(), |mut text, chunk| {
            text.push_str(chunk.valid());
            text.extend(chunk.invalid().iter().map(|byte| char::from(*byte)));
            text
        })
    };
    let headers = message.headers();
    let read = |what: &str| format!("unreadable {what}");
    let cseq = headers.typed::<sipx_sip::CSeq>().and_then(Result::ok).ok_or_else(|| read("CSeq"))?;
    let from = headers.typed::<sipx_sip::headers::From>().and_then(Result::ok).ok_or_else(|| read("From"))?;
    let to = headers.typed::<sipx_sip::headers::To>().and_then(Result::ok).ok_or_else(|| read("To"))?;
    let via = headers.typed::<sipx_sip::Via>().and_then(Result::ok).ok_or_else(|| read("Via"))?;
    let call_id = headers.value(&sipx_sip::HeaderName::CallId).ok_or_else(|| read("Call-ID"))?;
    Ok(Identity {
        call_id: text(&call_id),
        cseq: (cseq.sequence, text(cseq.method.as_bytes())),
        tags: [from.0.tag().map(text), to.0.tag().map(text)],
        branch: via.branch().map(text),
    })
}

/// The messages both are shown: files, and mutations of them by the numbers of SplitMix64.
fn messages() -> Vec<(String, Vec<u8>)> {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = [crates.join("tests/torture"), crates.join("../../fuzz/corpus/sip_message")];
    let mut files: Vec<PathBuf> = folders
        .iter()
        .flat_map(|folder| std::fs::read_dir(folder).unwrap())
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let mut seed = 0x9E37_79B9_7F4A_7C15_u64;
    let mut below = move |bound: usize| {
        seed = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = (seed ^ (seed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((z ^ (z >> 31)) % u64::try_from(bound.max(1)).unwrap()).unwrap()
    };
    let mut messages = Vec::new();
    for file in files {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let bytes = std::fs::read(&file).unwrap();
        let mutations = if file.starts_with(&folders[0]) { 60 } else { 2 };
        for round in 0..mutations {
            let mut mutant = bytes.clone();
            mutate(&mut mutant, &mut below);
            messages.push((format!("{name} mutation {round}"), mutant));
        }
        messages.push((name, bytes));
    }
    messages
}

/// One change, as a careless or a hostile sender makes it.
fn mutate(bytes: &mut Vec<u8>, below: &mut impl FnMut(usize) -> usize) {
    const PIECES: &[&[u8]] = &[
        b"\r\n", b"\n", b"\r", b" ", b"\t", b",", b";", b":", b"\"", b"<", b">", b"=", b"\0", b"%00", b"\\",
        b"@", b"\xff", b"0", b";tag=x", b"\r\n ",
    ];
    if bytes.is_empty() {
        return;
    }
    let at = below(bytes.len());
    let piece = PIECES[below(PIECES.len())];
    match below(4) {
        0 => drop(bytes.splice(at..at, piece.iter().copied())),
        1 => drop(bytes.splice(at..at + 1, piece.iter().copied())),
        2 => drop(bytes.remove(at)),
        _ => {
            // A line once more, somewhere else.
            let lines: Vec<Vec<u8>> = bytes.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
            let line = lines[below(lines.len())].clone();
            let mut lines = lines;
            lines.insert(below(lines.len()), line);
            *bytes = lines.join(&b'\n');
        }
    }
}

#[test]
fn rfc_4475_another_stack_agrees_whose_a_message_is_or_the_difference_is_explained() {
    let mut unexplained: BTreeMap<String, (usize, String)> = BTreeMap::new();
    let (mut taken, mut refused) = (0, 0);
    for (name, bytes) in messages() {
        let difference = match (ours(&bytes), theirs(&bytes)) {
            (Ok(ours), Ok(theirs)) if ours == theirs => {
                taken += 1;
                continue;
            }
            (Err(_), Err(_)) => {
                refused += 1;
                continue;
            }
            (Ok(ours), Ok(theirs)) => format!("both take it and differ: {ours:?} {theirs:?}"),
            (Err(why), Ok(_)) => format!("we refuse: {why}"),
            (Ok(_), Err(why)) => format!("sipx refuses: {why}"),
        };
        if !EXPLAINED.iter().any(|(known, _)| *known == difference) {
            let entry = unexplained.entry(difference).or_insert((0, name));
            entry.0 += 1;
        }
    }
    assert!(unexplained.is_empty(), "{unexplained:#?}");
    assert!(taken > 1_000 && refused > 500, "{taken} taken and {refused} refused by both");
}
