//! The bytes of the journal: batches, frames and records, written and read.

use crate::StoreError;

/// What a journal begins with: name and version.
pub(super) const MAGIC: &[u8; 8] = b"PLEIJ\0\0\x01";
/// Bytes of a frame before its records.
pub(super) const FRAME_HEAD: usize = 8;
/// Bytes of a record before its key.
const RECORD_HEAD: usize = 8;
/// Bytes of one key.
pub const KEY_BYTES_MAX: usize = 1_024;
/// Bytes of one value: a frozen call with both its dialogs takes some 4 KiB.
pub const VALUE_BYTES_MAX: usize = 256 * 1024;
/// Bytes of one frame. A longer length in a file is damage, not a reason to allocate.
pub(super) const FRAME_BYTES_MAX: usize = 64 * 1024 * 1024;

const PUT: u8 = 1;
const REMOVE: u8 = 2;

/// What sort of thing a record is. Shelves that this release does not know stay in the file untouched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shelf(pub u8);

impl Shelf {
    /// Registered devices.
    pub const BINDING: Shelf = Shelf(1);
    /// Confirmed calls with their dialogs.
    pub const DIALOG: Shelf = Shelf(2);
    /// Subscriptions of watchers.
    pub const SUBSCRIPTION: Shelf = Shelf(3);
    /// Records of calls that are not in the log yet.
    pub const RECORD: Shelf = Shelf(4);
}

/// Changes that happen together. Made where they arise, so that the writer only copies bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The head, filled in by [`Batch::sealed`], and the records.
    bytes: Vec<u8>,
}

impl Default for Batch {
    fn default() -> Batch {
        Batch { bytes: vec![0; FRAME_HEAD] }
    }
}

impl Batch {
    /// Keeps a value under its key, in place of the one before.
    ///
    /// # Errors
    /// [`StoreError::Limit`] for a key over [`KEY_BYTES_MAX`] or a value over [`VALUE_BYTES_MAX`].
    pub fn put(&mut self, shelf: Shelf, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        self.record(shelf, PUT, &[key], value)
    }

    /// The same for a key in several pieces.
    ///
    /// # Errors
    /// As [`Batch::put`].
    pub fn put_named(&mut self, shelf: Shelf, key: &[&[u8]], value: &[u8]) -> Result<(), StoreError> {
        self.record(shelf, PUT, key, value)
    }

    /// Forgets a key in several pieces.
    ///
    /// # Errors
    /// As [`Batch::remove`].
    pub fn remove_named(&mut self, shelf: Shelf, key: &[&[u8]]) -> Result<(), StoreError> {
        self.record(shelf, REMOVE, key, &[])
    }

    /// Forgets a key.
    ///
    /// # Errors
    /// [`StoreError::Limit`] for a key over [`KEY_BYTES_MAX`].
    pub fn remove(&mut self, shelf: Shelf, key: &[u8]) -> Result<(), StoreError> {
        self.record(shelf, REMOVE, &[key], &[])
    }

    /// True when it changes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.len() == FRAME_HEAD
    }

    fn record(&mut self, shelf: Shelf, what: u8, key: &[&[u8]], value: &[u8]) -> Result<(), StoreError> {
        let key_bytes: usize = key.iter().map(|piece| piece.len()).sum();
        let key_length = u16::try_from(key_bytes)
            .ok()
            .filter(|_| key_bytes <= KEY_BYTES_MAX)
            .ok_or_else(|| too_long("a key's bytes", key_bytes, KEY_BYTES_MAX))?;
        let value_length = u32::try_from(value.len())
            .ok()
            .filter(|_| value.len() <= VALUE_BYTES_MAX)
            .ok_or_else(|| too_long("a value's bytes", value.len(), VALUE_BYTES_MAX))?;
        self.bytes.reserve(RECORD_HEAD + key_bytes + value.len());
        self.bytes.extend_from_slice(&[shelf.0, what]);
        self.bytes.extend_from_slice(&key_length.to_be_bytes());
        self.bytes.extend_from_slice(&value_length.to_be_bytes());
        key.iter().for_each(|piece| self.bytes.extend_from_slice(piece));
        self.bytes.extend_from_slice(value);
        Ok(())
    }

    /// Bytes so far, the head too: where the next record will stand in the frame.
    pub(super) fn bytes_held(&self) -> usize {
        self.bytes.len()
    }

    /// Takes a record as it stands in another frame.
    pub(super) fn take_record(&mut self, record: &[u8]) {
        self.bytes.extend_from_slice(record);
    }

    /// The frame, its head filled in.
    pub(super) fn sealed(mut self) -> Vec<u8> {
        let records = self.bytes.get(FRAME_HEAD..).unwrap_or_default();
        let (length, sum) = (u32::try_from(records.len()).unwrap_or(u32::MAX), crc32fast::hash(records));
        let head = length.to_be_bytes().into_iter().chain(sum.to_be_bytes());
        self.bytes.iter_mut().zip(head).for_each(|(byte, value)| *byte = value);
        self.bytes
    }
}

fn too_long(what: &'static str, value: usize, limit: usize) -> StoreError {
    StoreError::Limit { what, value, limit }
}

/// One record as it stands in a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record<'a> {
    pub(super) shelf: Shelf,
    pub(super) key: &'a [u8],
    /// `None` for a removal.
    pub(super) value: Option<&'a [u8]>,
    /// Where it begins, in bytes from the start of the frame's records.
    pub(super) at: usize,
    /// Its bytes, head and all.
    pub(super) length: usize,
}

/// The records of a frame whose sum was right.
pub(super) struct Records<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Records<'a> {
    pub(super) fn of(bytes: &'a [u8]) -> Records<'a> {
        Records { bytes, at: 0 }
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Record<'a>> {
        let rest = self.bytes.get(self.at..)?;
        let (&[shelf, what, k0, k1, v0, v1, v2, v3], rest) = rest.split_first_chunk::<RECORD_HEAD>()?;
        let key_length = usize::from(u16::from_be_bytes([k0, k1]));
        let value_length = usize::try_from(u32::from_be_bytes([v0, v1, v2, v3])).ok()?;
        let (key, rest) = rest.split_at_checked(key_length)?;
        let value = rest.get(..value_length)?;
        let (at, length) = (self.at, RECORD_HEAD + key_length + value_length);
        self.at += length;
        Some(Record { shelf: Shelf(shelf), key, value: (what == PUT).then_some(value), at, length })
    }
}

/// What stands at the beginning of some bytes of a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found<'a> {
    /// A whole frame: its records.
    Frame(&'a [u8]),
    /// Nothing.
    End,
    /// A frame that is cut short, or whose sum is wrong.
    Broken,
}

/// Reads the frame at the beginning of `bytes`.
pub(super) fn first(bytes: &[u8]) -> Found<'_> {
    if bytes.is_empty() {
        return Found::End;
    }
    let Some((&[l0, l1, l2, l3, s0, s1, s2, s3], rest)) = bytes.split_first_chunk::<FRAME_HEAD>() else {
        return Found::Broken;
    };
    let length = usize::try_from(u32::from_be_bytes([l0, l1, l2, l3])).unwrap_or(usize::MAX);
    match rest.get(..length) {
        Some(records)
            if length > 0
                && length <= FRAME_BYTES_MAX
                && crc32fast::hash(records) == u32::from_be_bytes([s0, s1, s2, s3]) =>
        {
            Found::Frame(records)
        }
        _ => Found::Broken,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_read_as_it_was_made() {
        let mut batch = Batch::default();
        assert!(batch.is_empty());
        batch.put(Shelf::BINDING, b"2101/a", b"value").unwrap();
        batch.remove(Shelf::DIALOG, b"7").unwrap();
        let bytes = batch.sealed();
        let Found::Frame(records) = first(&bytes) else { panic!("no frame") };
        let read: Vec<_> = Records::of(records).map(|r| (r.shelf, r.key.to_vec(), r.value)).collect();
        assert_eq!(
            read,
            [(Shelf::BINDING, b"2101/a".to_vec(), Some(&b"value"[..])), (Shelf::DIALOG, b"7".to_vec(), None)]
        );
    }

    #[test]
    fn any_flipped_bit_and_any_cut_is_seen() {
        let mut batch = Batch::default();
        batch.put(Shelf::BINDING, b"key", b"a value of some length").unwrap();
        let good = batch.sealed();
        for at in 0..good.len() {
            assert_eq!(first(&good[..at]), if at == 0 { Found::End } else { Found::Broken });
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[at] ^= 1 << bit;
                assert_eq!(first(&bad), Found::Broken, "bit {bit} of byte {at}");
            }
        }
    }

    #[test]
    fn what_is_too_long_is_refused_with_its_limit_and_changes_nothing() {
        let mut batch = Batch::default();
        let fault = batch.put(Shelf::BINDING, &[0; KEY_BYTES_MAX + 1], b"").unwrap_err();
        assert!(matches!(fault, StoreError::Limit { limit: KEY_BYTES_MAX, .. }), "{fault}");
        batch.put(Shelf::BINDING, b"k", &vec![0; VALUE_BYTES_MAX + 1]).unwrap_err();
        assert!(batch.is_empty());
    }
}
