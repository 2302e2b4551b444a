//! An index in sled 0.34.7, with everything around it that it needs to be fit for use.
//!
//! On its own sled loses data in a power cut, so nothing rests on its durability: the journal holds what counts, and at
//! every start the whole index is compared with the digest it keeps of itself. What is done here besides:
//! - a half-written `snap.*.generating` stops sled for ever, so such files go before every open;
//! - `conf`, `blobs/`, the folder and its parent are synced after every open, since sled never does;
//! - values that make a leaf larger than 128 KiB go to blob files that are never synced, so no record is larger than 2 KiB:
//!   values are cut into chunks, written before the batch that counts and removed after it, and every checkpoint asserts that
//!   there is no blob;
//! - `flush_async` deadlocks; the blocking `flush` is called from the committer's thread only;
//! - it panics on damage, so every call is guarded, and a damaged index is moved aside and made again;
//! - once its flusher thread has panicked, dropping it waits for that thread for ever: there is no such thread, since the
//!   checkpoints flush, and a damaged database is never dropped but forgotten;
//! - on damaged files it can turn in circles and eat all memory: see [`SledFiles`](super::SledFiles).

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use sled::{Batch, Db, IVec, Mode};

use super::sled_pieces::{CHUNK, DISCARDED, Pieces};
use super::{Change, HEAD, Head, Index, IndexError, Position, State, Step, Stored, guarded};

/// Chunks that are written or removed together, about 1 MiB.
const TOGETHER: usize = 512;
/// How often a reader looks again when a record changes under it.
const TRIES: usize = 1000;

// Name spaces in one tree, those of the pieces besides, since a sled batch is atomic within one tree only.
const RECORD: u8 = b'r';
const STATE: &[u8] = b"m";

pub(crate) struct SledIndex {
    /// Always there but in the middle of `drop`.
    database: Option<Db>,
    damaged: AtomicBool,
    folder: PathBuf,
    /// Our own handle on sled's file: its flush is `sync_file_range`, which makes nothing durable.
    file: File,
    state: Mutex<State>,
}

fn failed(error: sled::Error) -> IndexError {
    match error {
        sled::Error::Corruption { .. } | sled::Error::ReportableBug(_) | sled::Error::CollectionNotFound(_) => {
            IndexError::Damaged(error.to_string())
        }
        sled::Error::Io(error) => io_failed(error),
        error => IndexError::Failed(error.to_string()),
    }
}

fn io_failed(error: io::Error) -> IndexError {
    IndexError::io(&error)
}

impl SledIndex {
    /// Opens the index in `folder`, or makes an empty one that stands at `genesis`.
    pub(crate) fn open(folder: &Path, genesis: Position, cache_bytes: usize) -> Result<Self, IndexError> {
        fs::create_dir_all(folder).map_err(io_failed)?;
        for entry in fs::read_dir(folder).map_err(io_failed)? {
            let path = entry.map_err(io_failed)?.path();
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            if name.starts_with("snap.") && name.ends_with(".generating") {
                fs::remove_file(&path).map_err(io_failed)?;
            }
        }
        guarded(|| {
            let database = sled::Config::new()
                .path(folder)
                .mode(Mode::LowSpace)
                .cache_capacity(cache_bytes as u64)
                .flush_every_ms(None)
                .use_compression(false)
                .open()
                .map_err(failed)?;
            // From here on damage and panic forget the database instead of dropping it.
            let (file, folder) = (File::open(folder.join("db")).map_err(io_failed)?, folder.to_owned());
            let (state, damaged) = (Mutex::new(State::empty(genesis)), AtomicBool::new(true));
            let index = Self { database: Some(database), damaged, folder, file, state };
            let settled = index.settle(genesis);
            index.damaged.store(matches!(settled, Err(IndexError::Damaged(_))), Ordering::Relaxed);
            settled.map(|()| index)
        })
    }

    /// Syncs what sled does not, and reads where the index stands.
    fn settle(&self, genesis: Position) -> Result<(), IndexError> {
        self.file.sync_all().map_err(io_failed)?;
        sync(&self.folder.join("conf"))?;
        sync(&self.folder.join("blobs"))?;
        sync(&self.folder)?;
        sync(self.folder.parent().unwrap_or(&self.folder))?;
        let state = match self.database()?.get(STATE).map_err(failed)? {
            Some(state) => State::decode(&state),
            None if self.database()?.is_empty() => Some(State::empty(genesis)),
            None => None,
        };
        let state = state.ok_or_else(|| IndexError::Damaged("it does not say where it stands".to_owned()))?;
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
        self.finish_removals()
    }

    fn database(&self) -> Result<&Db, IndexError> {
        self.database.as_ref().ok_or_else(|| IndexError::Failed("it is closed".to_owned()))
    }

    /// Runs a call of sled, and remembers whether it found damage.
    fn guarded<T>(&self, f: impl FnOnce() -> Result<T, IndexError>) -> Result<T, IndexError> {
        let result = guarded(f);
        if matches!(result, Err(IndexError::Damaged(_))) {
            self.damaged.store(true, Ordering::Relaxed);
        }
        result
    }

    fn head(&self, key: &str) -> Result<Option<IVec>, IndexError> {
        self.database()?.get(name(key)).map_err(failed)
    }

    /// The record that `kept` begins; `None` if it is being replaced.
    fn assemble(&self, key: &str, kept: &[u8]) -> Result<Option<Stored>, IndexError> {
        let head = Head::decode(kept)?;
        let pieces = Pieces::of(key, &head);
        if pieces.count == 0 {
            return head.with(kept.get(HEAD..).unwrap_or_default().to_vec()).map(Some);
        }
        let mut value = Vec::with_capacity(head.length);
        for piece in pieces.names() {
            match self.database()?.get(piece).map_err(failed)? {
                Some(bytes) => value.extend_from_slice(&bytes),
                None => return Ok(None),
            }
        }
        head.with(value).map(Some)
    }

    fn read(&self, key: &str) -> Result<Option<Stored>, IndexError> {
        let mut last: Option<IVec> = None;
        for _ in 0..TRIES {
            let Some(kept) = self.head(key)? else { return Ok(None) };
            match self.assemble(key, &kept) {
                Ok(Some(stored)) => return Ok(Some(stored)),
                // Parts do not fit: either the record changed between two looks, or it is damaged.
                Ok(None) | Err(IndexError::Damaged(_)) if last.as_ref() != Some(&kept) => last = Some(kept),
                Ok(None) => return Err(IndexError::Damaged("a part of a record is missing".to_owned())),
                Err(error) => return Err(error),
            }
        }
        Err(IndexError::Failed("a record changes faster than it can be read".to_owned()))
    }

    /// Puts the pieces of the new values where nobody looks for them yet, a batch at a time: until a batch is whole, sled keeps
    /// all that it replaces in memory, which for one large value is several times its size. Written again after a crash, they
    /// are the same pieces in the same places.
    fn put_pieces(&self, changes: &[Change<'_>]) -> Result<(), IndexError> {
        for change in changes {
            let Some(value) = change.value else { continue };
            let pieces = Pieces::of(change.key, &Head::of(change, value));
            let mut names = pieces.names();
            for group in value.chunks(CHUNK * TOGETHER) {
                let mut batch = Batch::default();
                for (bytes, name) in group.chunks(CHUNK).zip(names.by_ref()) {
                    batch.insert(name, bytes);
                }
                self.database()?.apply_batch(batch).map_err(failed)?;
            }
        }
        Ok(())
    }

    /// Removes pieces that belong to no record any more, a batch at a time; they are noted until the last has gone.
    fn remove_pieces(&self, pieces: &Pieces) -> Result<(), IndexError> {
        let mut names = pieces.names().peekable();
        while names.peek().is_some() {
            let mut batch = Batch::default();
            names.by_ref().take(TOGETHER).for_each(|name| batch.remove(name));
            if names.peek().is_none() {
                batch.remove(pieces.note());
            }
            self.database()?.apply_batch(batch).map_err(failed)?;
        }
        Ok(())
    }

    /// Removes what a crash has left of discarded pieces.
    fn finish_removals(&self) -> Result<(), IndexError> {
        for entry in self.database()?.scan_prefix([DISCARDED]) {
            let (name, count) = entry.map_err(failed)?;
            let pieces = Pieces::read(&name, &count);
            self.remove_pieces(
                &pieces.ok_or_else(|| IndexError::Damaged("a note of discarded pieces makes no sense".to_owned()))?,
            )?;
        }
        Ok(())
    }

    fn change(&self, changes: &[Change<'_>], position: Position) -> Result<State, IndexError> {
        self.put_pieces(changes)?;
        let mut state = State { position, ..self.state() };
        let (mut batch, mut discarded) = (Batch::default(), Vec::new());
        for change in changes {
            let old = match change.replaces {
                Some(known) => known,
                None => self.head(change.key)?.map(|kept| Head::decode(&kept)).transpose()?,
            };
            if let Some(old) = old {
                state.subtract(change.key, &old);
                let pieces = Pieces::of(change.key, &old);
                // The pieces of one version have the same names whenever they are written.
                if pieces.count > 0 && (change.value.is_none() || old.version != change.version) {
                    batch.insert(pieces.note(), &pieces.count.to_be_bytes());
                    discarded.push(pieces);
                }
            }
            let Some(value) = change.value else {
                batch.remove(name(change.key));
                continue;
            };
            let head = Head::of(change, value);
            state.add(change.key, &head);
            let mut kept = head.encode().to_vec();
            if Pieces::of(change.key, &head).count == 0 {
                kept.extend_from_slice(value);
            }
            batch.insert(name(change.key), kept);
        }
        batch.insert(STATE, state.encode());
        self.database()?.apply_batch(batch).map_err(failed)?;
        discarded.iter().try_for_each(|pieces| self.remove_pieces(pieces))?;
        Ok(state)
    }
}

fn sync(path: &Path) -> Result<(), IndexError> {
    File::open(path).and_then(|file| file.sync_all()).map_err(io_failed)
}

fn name(key: &str) -> Vec<u8> {
    let mut name = Vec::with_capacity(1 + key.len());
    name.push(RECORD);
    name.extend_from_slice(key.as_bytes());
    name
}

fn text(name: &[u8]) -> Result<&str, IndexError> {
    let key = name.get(1..).and_then(|key| std::str::from_utf8(key).ok());
    key.ok_or_else(|| IndexError::Damaged("a key is not text".to_owned()))
}

impl Drop for SledIndex {
    fn drop(&mut self) {
        if *self.damaged.get_mut() {
            std::mem::forget(self.database.take());
        }
    }
}

impl Index for SledIndex {
    fn get(&self, key: &str) -> Result<Option<Stored>, IndexError> {
        self.guarded(|| self.read(key))
    }

    fn version(&self, key: &str) -> Result<u64, IndexError> {
        self.guarded(|| self.head(key)?.map_or(Ok(0), |kept| Ok(Head::decode(&kept)?.version)))
    }

    fn scan(&self, from: &str, visit: &mut dyn FnMut(&str) -> Step) -> Result<(), IndexError> {
        self.guarded(|| {
            let database = self.database()?;
            let range = |from: &str| database.range(name(from)..vec![RECORD + 1]);
            let mut keys = range(from);
            while let Some(entry) = keys.next() {
                let (name, _) = entry.map_err(failed)?;
                match visit(text(&name)?) {
                    Step::Next => {}
                    Step::Seek(from) => keys = range(&from),
                    Step::Stop => break,
                }
            }
            Ok(())
        })
    }

    fn walk(&self, from: &str, visit: &mut dyn FnMut(&str, &Stored) -> bool) -> Result<(), IndexError> {
        self.guarded(|| {
            for entry in self.database()?.range(name(from)..vec![RECORD + 1]) {
                let (name, kept) = entry.map_err(failed)?;
                let key = text(&name)?;
                let stored = match self.assemble(key, &kept) {
                    Ok(Some(stored)) => Some(stored),
                    Ok(None) | Err(IndexError::Damaged(_)) => self.read(key)?,
                    Err(error) => return Err(error),
                };
                if let Some(stored) = stored
                    && !visit(key, &stored)
                {
                    break;
                }
            }
            Ok(())
        })
    }

    fn write(&self, changes: &[Change<'_>], position: Position) -> Result<(), IndexError> {
        self.guarded(|| {
            let state = self.change(changes, position)?;
            *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
            Ok(())
        })
    }

    fn state(&self) -> State {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn checkpoint(&self) -> Result<(), IndexError> {
        self.guarded(|| {
            self.database()?.flush().map_err(failed)?;
            self.file.sync_data().map_err(io_failed)?;
            match fs::read_dir(self.folder.join("blobs")).map_err(io_failed)?.next() {
                None => Ok(()),
                Some(_) => Err(IndexError::Damaged("sled has put a record into a blob file".to_owned())),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use framework::{Class, MountId};

    use super::*;
    use crate::index::watched::{at, write};

    /// What sled holds besides the record and the state.
    fn pieces(index: &SledIndex) -> usize {
        index.database().unwrap().len() - 2
    }

    #[test]
    fn pieces_go_with_their_record_even_if_a_crash_comes_between() {
        let folder = tempfile::tempdir().unwrap();
        // A thread of sled's may still hold the lock of the one that was dropped.
        let open =
            || std::iter::repeat_with(|| SledIndex::open(folder.path(), at(0), 1 << 20)).find_map(Result::ok).unwrap();
        let index = open();
        for (version, chunks) in [(1, 3 * TOGETHER), (2, TOGETHER), (3, 3)] {
            let value = vec![7; chunks * CHUNK];
            write(&index, "k", version, Some(&value)).unwrap();
            assert_eq!(index.get("k").unwrap().unwrap().value, value);
            assert_eq!(pieces(&index), chunks);
        }
        // Version 2 as a crash would leave it that came when a part of it had gone.
        let gone = Pieces::of("k", &Head { length: TOGETHER * CHUNK, ..head(2) });
        for name in gone.names().skip(5) {
            index.database().unwrap().insert(name, b"x").unwrap();
        }
        index.database().unwrap().insert(gone.note(), &gone.count.to_be_bytes()).unwrap();
        drop(index);
        let index = open();
        assert_eq!(pieces(&index), 3);
        // The same change again, as a replay may bring it.
        write(&index, "k", 3, Some(&[7; 3 * CHUNK])).unwrap();
        assert_eq!(index.get("k").unwrap().unwrap().value, vec![7; 3 * CHUNK]);
        write(&index, "k", 4, None).unwrap();
        assert_eq!(index.database().unwrap().len(), 1);
    }

    fn head(version: u64) -> Head {
        Head { version, mount: MountId::default(), class: Class::default(), crc: 0, length: 0 }
    }
}
