//! Frames on the byte stream: four bytes of length, big endian, and one encoded [`Frame`].
//!
//! A frame is at most [`FRAME_BYTES_MAX`] long, so that a heartbeat never waits behind more than one of them.
//! A longer message (a commit may have 1 MiB) travels as a run of [`Part`]s; other messages may come between
//! them. A fault is final: after it the stream has no meaning and the connection is closed.

use crate::wire::{Body, Frame, Part};
use prost::Message;

/// A frame with its length.
pub const FRAME_BYTES_MAX: usize = 16 * 1024;
/// A message put together from parts: a commit of 1 MiB and what surrounds it.
pub const MESSAGE_BYTES_MAX: usize = 2 * 1024 * 1024;
/// The length in front.
const LENGTH_BYTES: usize = 4;
/// What a part holds at most: a frame less its length, tags and flags.
const PART_BYTES_MAX: usize = FRAME_BYTES_MAX - 64;

/// Why a stream of bytes is none of frames. The peer's fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The length in front is over the limit.
    #[error("a frame of {0} bytes; the limit is {FRAME_BYTES_MAX}")]
    FrameTooLong(usize),
    /// The parts are together over the limit.
    #[error("a message in parts of over {MESSAGE_BYTES_MAX} bytes")]
    MessageTooLong,
    /// The frame is no protobuf of ours.
    #[error("a frame that cannot be read: {0}")]
    Malformed(#[from] prost::DecodeError),
    /// A part inside of parts.
    #[error("a part within parts")]
    Nested,
}

/// Cuts received bytes into messages.
#[derive(Debug, Default)]
pub struct Framer {
    bytes: Vec<u8>,
    read: usize,
    parts: Vec<u8>,
    fault: Option<FrameError>,
}

impl Framer {
    /// Takes what was received.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.read == self.bytes.len() {
            self.bytes.clear();
            self.read = 0;
        } else if self.read >= FRAME_BYTES_MAX {
            self.bytes.drain(..self.read);
            self.read = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole message, if there is one.
    ///
    /// # Errors
    /// [`FrameError`], and the same one for ever after.
    pub fn message(&mut self) -> Result<Option<Body>, FrameError> {
        if let Some(fault) = &self.fault {
            return Err(fault.clone());
        }
        let outcome = self.next_known();
        if let Err(fault) = &outcome {
            self.fault = Some(fault.clone());
        }
        outcome
    }

    fn next_known(&mut self) -> Result<Option<Body>, FrameError> {
        while let Some(frame) = self.frame()? {
            match frame.body {
                Some(Body::Part(part)) => {
                    if let Some(body) = self.assemble(part)? {
                        return Ok(Some(body));
                    }
                }
                Some(body) => return Ok(Some(body)),
                None => {}
            }
        }
        Ok(None)
    }

    fn frame(&mut self) -> Result<Option<Frame>, FrameError> {
        let rest = self.bytes.get(self.read..).unwrap_or_default();
        let Some((length, rest)) = rest.split_first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        if length > FRAME_BYTES_MAX - LENGTH_BYTES {
            return Err(FrameError::FrameTooLong(length));
        }
        let Some(payload) = rest.get(..length) else { return Ok(None) };
        let frame = Frame::decode(payload)?;
        self.read += LENGTH_BYTES + length;
        Ok(Some(frame))
    }

    fn assemble(&mut self, part: Part) -> Result<Option<Body>, FrameError> {
        if self.parts.len() + part.bytes.len() > MESSAGE_BYTES_MAX {
            return Err(FrameError::MessageTooLong);
        }
        self.parts.extend_from_slice(&part.bytes);
        if !part.last {
            return Ok(None);
        }
        let whole = std::mem::take(&mut self.parts);
        match Frame::decode(whole.as_slice())?.body {
            Some(Body::Part(_)) => Err(FrameError::Nested),
            body => Ok(body),
        }
    }
}

/// The frames of a message, one for nearly all.
#[must_use]
pub fn frames(body: &Body) -> Vec<Vec<u8>> {
    let whole = Frame { body: Some(body.clone()) }.encode_to_vec();
    if whole.len() <= FRAME_BYTES_MAX - LENGTH_BYTES {
        return vec![with_length(&whole)];
    }
    let count = whole.len().div_ceil(PART_BYTES_MAX);
    (1..)
        .zip(whole.chunks(PART_BYTES_MAX))
        .map(|(number, bytes)| {
            let part = Part { bytes: bytes.to_vec(), last: number == count };
            with_length(&Frame { body: Some(Body::Part(part)) }.encode_to_vec())
        })
        .collect()
}

fn with_length(payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    [length.to_be_bytes().as_slice(), payload].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Current, Log, LogEntry};
    use proptest::prelude::*;

    fn log(bytes: usize) -> Body {
        Body::Log(Log { entries: vec![LogEntry { id: "l".into(), body: vec![7; bytes] }] })
    }

    #[test]
    fn a_long_message_goes_in_frames_that_stay_short_and_others_may_come_between() {
        let frames = frames(&log(100_000));
        assert!(frames.len() > 6 && frames.iter().all(|frame| frame.len() <= FRAME_BYTES_MAX));
        let between = Body::Current(Current { revision: 1 });
        let mut framer = Framer::default();
        framer.push(&frames[0]);
        framer.push(&super::frames(&between).concat());
        framer.push(&frames[1..].concat());
        assert_eq!(framer.message(), Ok(Some(between)));
        assert_eq!(framer.message(), Ok(Some(log(100_000))));
    }

    #[test]
    fn a_length_over_the_limit_is_a_fault_at_once_and_for_ever() {
        let mut framer = Framer::default();
        framer.push(&[0, 0, 0x40, 0]);
        assert_eq!(framer.message(), Err(FrameError::FrameTooLong(16_384)));
        framer.push(&frames(&log(1)).concat());
        assert_eq!(framer.message(), Err(FrameError::FrameTooLong(16_384)));
    }

    #[test]
    fn endless_parts_are_a_fault_before_they_fill_the_memory() {
        let part = Frame { body: Some(Body::Part(Part { bytes: vec![0; PART_BYTES_MAX], last: false })) };
        let frame = with_length(&part.encode_to_vec());
        let mut framer = Framer::default();
        let fault = (0..1_000).find_map(|_| {
            framer.push(&frame);
            framer.message().err()
        });
        assert_eq!(fault, Some(FrameError::MessageTooLong));
    }

    proptest! {
        #[test]
        fn garbage_is_read_or_refused_and_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            let mut framer = Framer::default();
            framer.push(&bytes);
            while let Ok(Some(_)) = framer.message() {}
        }

        #[test]
        fn framed_garbage_is_read_or_refused_and_never_panics(
            bytes in prop::collection::vec(any::<u8>(), 0..300)
        ) {
            let mut framer = Framer::default();
            framer.push(&with_length(&bytes));
            while let Ok(Some(_)) = framer.message() {}
        }

        #[test]
        fn how_the_stream_is_cut_does_not_matter(sizes in prop::collection::vec(1usize..50, 1..40)) {
            let messages = [log(3), log(30_000), Body::Current(Current { revision: 9 }), log(0)];
            let stream: Vec<u8> = messages.iter().flat_map(frames).flatten().collect();
            let mut framer = Framer::default();
            let mut seen = Vec::new();
            let mut rest = stream.as_slice();
            for size in sizes.iter().cycle() {
                let (now, later) = rest.split_at((size * 17).min(rest.len()));
                framer.push(now);
                while let Some(message) = framer.message().unwrap() {
                    seen.push(message);
                }
                rest = later;
                if rest.is_empty() {
                    break;
                }
            }
            prop_assert_eq!(seen.as_slice(), messages.as_slice());
        }
    }
}
