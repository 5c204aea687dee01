//! The file of the journal and its place table: opening, reading back, appending, writing anew.

use super::frame::{self, Batch, FRAME_HEAD, Found, MAGIC, Record, Records, Shelf};
use super::{JournalSize, Kept};
use crate::file::{beside, lock, opening};
use crate::{Result, StoreError};
use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::fs::{File, OpenOptions};
use std::hash::BuildHasher;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Dead bytes below which a file is never written anew.
const DEAD_BYTES_MIN: u64 = 8 * 1024 * 1024;
/// Bytes of living records copied at a time.
const COPY_BYTES: usize = 1024 * 1024;

/// Where the living record of a key stands. 16 bytes, since there is one a registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    at: u64,
    length: u32,
    shelf: Shelf,
}

/// An open journal, in the hands of its one writer.
pub(super) struct Opened {
    path: PathBuf,
    file: File,
    /// Where the next frame goes.
    end: u64,
    /// By a keyed hash of 128 bits: two keys never meet in practice, and nobody outside knows the hash keys.
    places: HashMap<u128, Place>,
    live_bytes: u64,
    hashes: [RandomState; 2],
    // Held, not read: the lock ends with the journal.
    _lock: File,
}

/// Opens `path` and reads it back.
pub(super) fn open(path: &Path) -> Result<Opened> {
    let lock = lock(path)?;
    let fault = |error| opening(path, error);
    let file =
        OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path).map_err(fault)?;
    let mut opened = Opened {
        path: path.to_owned(),
        file,
        end: 0,
        places: HashMap::new(),
        live_bytes: 0,
        hashes: [RandomState::new(), RandomState::new()],
        _lock: lock,
    };
    let bytes = std::fs::read(path).map_err(fault)?;
    opened.read_back(&bytes)?;
    Ok(opened)
}

impl Opened {
    fn read_back(&mut self, bytes: &[u8]) -> Result<()> {
        let fault = |error| opening(&self.path, error);
        let frames = match bytes.strip_prefix(MAGIC) {
            Some(frames) => frames,
            // Made and never written, or cut off while it was made.
            None if MAGIC.starts_with(bytes) => {
                self.file.write_all_at(MAGIC, 0).map_err(fault)?;
                self.end = length(MAGIC.len());
                return Ok(());
            }
            None => return self.begin_again(bytes),
        };
        self.end = length(MAGIC.len());
        let mut rest = frames;
        while let Found::Frame(records) = frame::first(rest) {
            self.index(records);
            let taken = FRAME_HEAD + records.len();
            self.end += length(taken);
            rest = rest.get(taken..).unwrap_or_default();
        }
        if !rest.is_empty() {
            self.cut_off(rest)?;
        }
        Ok(())
    }

    /// The end that cannot be read. A torn write leaves no whole frame behind it; where one follows, the file was
    /// damaged from outside and is kept for whoever wants to look.
    fn cut_off(&mut self, rest: &[u8]) -> Result<()> {
        let lost = rest.len();
        tracing::warn!(file = %self.path.display(), lost_bytes = lost, "the journal's end cannot be read and is cut off");
        if frame_follows(rest) {
            self.keep_aside()?;
        }
        self.file.set_len(self.end).map_err(|error| opening(&self.path, error))
    }

    /// A file that does not begin as a journal does: another release's, or damaged in its first bytes.
    fn begin_again(&mut self, bytes: &[u8]) -> Result<()> {
        let name = MAGIC.len() - 1;
        if bytes.get(..name) == MAGIC.get(..name) {
            let version = |bytes: &[u8]| bytes.get(name).copied().map_or(0, u32::from);
            let (found, known) = (version(bytes), version(MAGIC));
            return Err(StoreError::Newer { file: self.path.clone(), found, known });
        }
        tracing::error!(file = %self.path.display(), "the journal is damaged in its first bytes: phones and calls of before are not known");
        self.keep_aside()?;
        let fault = |error| opening(&self.path, error);
        self.file.set_len(0).map_err(fault)?;
        self.file.write_all_at(MAGIC, 0).map_err(fault)?;
        self.end = length(MAGIC.len());
        Ok(())
    }

    fn keep_aside(&self) -> Result<()> {
        let aside = beside(&self.path, ".damaged");
        std::fs::copy(&self.path, &aside).map_err(|error| opening(&aside, error))?;
        tracing::error!(file = %self.path.display(), kept = %aside.display(), "the journal was damaged from outside; a copy is kept");
        Ok(())
    }

    /// Appends frames that were sealed, and knows their records from then on. A write that fails is undone.
    pub(super) fn append(&mut self, frames: &[u8]) -> Result<()> {
        if let Err(error) = self.file.write_all_at(frames, self.end) {
            let undone = self.file.set_len(self.end);
            return Err(writing(&self.path, error, undone.is_err()));
        }
        let mut rest = frames;
        while let Found::Frame(records) = frame::first(rest) {
            self.index(records);
            let taken = FRAME_HEAD + records.len();
            self.end += length(taken);
            rest = rest.get(taken..).unwrap_or_default();
        }
        Ok(())
    }

    /// A handle for syncing from another thread.
    pub(super) fn handle(&self) -> Result<File> {
        self.file.try_clone().map_err(|error| opening(&self.path, error))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn size(&self) -> JournalSize {
        JournalSize { records: self.places.len(), file_bytes: self.end, live_bytes: self.live_bytes }
    }

    /// The living records of a shelf, in the order in which they were written.
    pub(super) fn read(&self, shelf: Shelf) -> Result<Vec<Kept>> {
        let mut places: Vec<Place> =
            self.places.values().filter(|place| place.shelf == shelf).copied().collect();
        places.sort_unstable_by_key(|place| place.at);
        let mut kept = Vec::with_capacity(places.len());
        let mut bytes = Vec::new();
        for place in places {
            self.read_place(place, &mut bytes)?;
            let Some(Record { key, value: Some(value), .. }) = Records::of(&bytes).next() else { continue };
            kept.push(Kept { shelf, key: key.to_vec(), value: value.to_vec() });
        }
        Ok(kept)
    }

    fn read_place(&self, place: Place, bytes: &mut Vec<u8>) -> Result<()> {
        bytes.clear();
        bytes.resize(usize::try_from(place.length).unwrap_or(usize::MAX), 0);
        self.file.read_exact_at(bytes, place.at).map_err(|error| opening(&self.path, error))
    }

    fn index(&mut self, records: &[u8]) {
        let start = self.end + length(FRAME_HEAD);
        for record in Records::of(records) {
            let hash = self.hash(record.shelf, record.key);
            let before = match record.value {
                None => self.places.remove(&hash),
                Some(_) => {
                    let taken = u32::try_from(record.length).unwrap_or(u32::MAX);
                    self.live_bytes += u64::from(taken);
                    let at = start + length(record.at);
                    self.places.insert(hash, Place { at, length: taken, shelf: record.shelf })
                }
            };
            if let Some(before) = before {
                self.live_bytes -= u64::from(before.length);
            }
        }
    }

    fn hash(&self, shelf: Shelf, key: &[u8]) -> u128 {
        let [high, low] = self.hashes.each_ref().map(|state| u128::from(state.hash_one((shelf.0, key))));
        high << 64 | low
    }

    /// True when more than half of the file is dead, and enough to be worth the work.
    pub(super) fn wants_rewriting(&self) -> bool {
        let dead = self.end.saturating_sub(self.live_bytes);
        dead > DEAD_BYTES_MIN && dead > self.live_bytes
    }

    /// Writes the living records to a new file, syncs it, and puts it in the place of the old one: at any instant
    /// one of the two is whole.
    pub(super) fn rewrite(&mut self) -> Result<()> {
        let fresh_path = beside(&self.path, ".new");
        let fault = |error| writing(&fresh_path, error, false);
        let mut fresh = OpenOptions::new()
            .create(true)
            .truncate(true)
            .read(true)
            .write(true)
            .open(&fresh_path)
            .map_err(fault)?;
        let mut places: Vec<(u128, Place)> =
            self.places.iter().map(|(hash, place)| (*hash, *place)).collect();
        places.sort_unstable_by_key(|(_, place)| place.at);
        fresh.write_all(MAGIC).map_err(fault)?;
        let mut end = length(MAGIC.len());
        let (mut batch, mut moved, mut bytes) = (Batch::default(), Vec::new(), Vec::new());
        let mut table = HashMap::with_capacity(places.len());
        for (number, (hash, place)) in places.iter().enumerate() {
            self.read_place(*place, &mut bytes)?;
            moved.push((*hash, Place { at: end + length(batch.bytes_held()), ..*place }));
            batch.take_record(&bytes);
            if batch.bytes_held() > COPY_BYTES || number + 1 == places.len() {
                let frame = std::mem::take(&mut batch).sealed();
                fresh.write_all(&frame).map_err(fault)?;
                end += length(frame.len());
                table.extend(moved.drain(..));
            }
        }
        fresh.sync_all().map_err(fault)?;
        std::fs::rename(&fresh_path, &self.path).map_err(fault)?;
        // Else a power cut may bring the old file back, without what is written from now on.
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new("."))).and_then(|folder| folder.sync_all()).map_err(fault)?;
        (self.file, self.end, self.places) = (fresh, end, table);
        Ok(())
    }
}

/// True when a whole frame begins somewhere behind the first byte.
fn frame_follows(bytes: &[u8]) -> bool {
    // A frame of damaged bytes has a length in its head most of the time; looking at every place would take long
    // for a large file, and this is only to decide whether to keep a copy.
    const LOOK: usize = 1024 * 1024;
    let look = bytes.get(..bytes.len().min(LOOK)).unwrap_or_default();
    (1..look.len()).any(|at| matches!(frame::first(bytes.get(at..).unwrap_or_default()), Found::Frame(_)))
}

fn writing(path: &Path, error: io::Error, torn: bool) -> StoreError {
    let file = path.to_owned();
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded if !torn => StoreError::DiskFull { file },
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => StoreError::ReadOnly { file },
        _ => StoreError::Write { file, source: Arc::new(error) },
    }
}

fn length(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_transient_and_a_write_that_cannot_be_undone_is_not() {
        let path = Path::new("live.journal");
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        let undone = writing(path, full(), false);
        assert!(matches!(undone, StoreError::DiskFull { .. }) && undone.is_transient());
        let torn = writing(path, full(), true);
        assert!(matches!(torn, StoreError::Write { .. }) && torn.stops_writing());
        let read_only = writing(path, io::Error::from(io::ErrorKind::ReadOnlyFilesystem), false);
        assert!(matches!(read_only, StoreError::ReadOnly { .. }));
    }

    #[test]
    fn a_refused_write_leaves_the_file_as_it_was_and_the_next_one_works() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("live.journal");
        let mut opened = open(&path).unwrap();
        let frame = |key: &[u8]| {
            let mut batch = Batch::default();
            batch.put(Shelf::BINDING, key, b"value").unwrap();
            batch.sealed()
        };
        opened.append(&frame(b"1")).unwrap();
        let writable = std::mem::replace(&mut opened.file, File::open(&path).unwrap());
        let before = opened.size();
        assert!(opened.append(&frame(b"2")).is_err(), "the handle can only read");
        assert_eq!(opened.size(), before);
        opened.file = writable;
        opened.append(&frame(b"3")).unwrap();
        drop(opened);
        let keys: Vec<Vec<u8>> =
            open(&path).unwrap().read(Shelf::BINDING).unwrap().into_iter().map(|kept| kept.key).collect();
        assert_eq!(keys, [b"1".to_vec(), b"3".to_vec()]);
    }
}
