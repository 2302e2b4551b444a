//! The index: where records are looked up. It may be thrown away; the journal and the last snapshot make it again.

mod backend;
mod behind;
mod cached;
mod memory;
mod redb;
mod sled;
mod sled_files;
mod sled_pieces;
#[cfg(test)]
mod watched;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};

use crc32c::crc32c;
use framework::{Class, MountId};

pub(crate) use self::behind::WriteBehind;
pub(crate) use self::cached::Cached;
pub(crate) use self::memory::MemoryIndex;
pub(crate) use self::redb::{FILE as REDB_FILE, RedbIndex};
pub(crate) use self::sled::SledIndex;
pub(crate) use self::sled_files::SledFiles;

use crate::bytes::Reader;
use crate::disk::is_full;
use crate::record::{LARGEST_RECORD, Position, Record, class_from_byte, class_to_byte, sha256};

/// A set of records and the journal position they stand for. Only the committer's thread writes; any number read.
pub(crate) trait Index: Send + Sync {
    /// One record.
    fn get(&self, key: &str) -> Result<Option<Stored>, IndexError>;
    /// When a record was written; 0 if there is none.
    fn version(&self, key: &str) -> Result<u64, IndexError>;
    /// Keys in byte order from `from` on.
    fn scan(&self, from: &str, visit: &mut dyn FnMut(&str) -> Step) -> Result<(), IndexError>;
    /// Records in byte order from `from` on, until `visit` says `false`.
    fn walk(&self, from: &str, visit: &mut dyn FnMut(&str, &Stored) -> bool) -> Result<(), IndexError>;
    /// Carries out changes (each key once) and moves to `position`, all or nothing.
    fn write(&self, changes: &[Change<'_>], position: Position) -> Result<(), IndexError>;
    /// What it holds.
    fn state(&self) -> State;
    /// Makes all that was written durable.
    fn checkpoint(&self) -> Result<(), IndexError>;
}

/// What a visitor wants next.
pub(crate) enum Step {
    Next,
    Seek(String),
    Stop,
}

/// A record as it is kept.
#[derive(Clone)]
pub(crate) struct Stored {
    pub(crate) version: u64,
    pub(crate) mount: MountId,
    pub(crate) class: Class,
    pub(crate) value: Vec<u8>,
}

/// One change to the index; without a value it deletes.
pub(crate) struct Change<'a> {
    pub(crate) key: &'a str,
    pub(crate) version: u64,
    pub(crate) mount: MountId,
    pub(crate) class: Class,
    pub(crate) value: Option<&'a [u8]>,
    /// What it replaces, where that is known; saves a look-up.
    pub(crate) replaces: Option<Option<Head>>,
}

impl Stored {
    fn head(&self) -> Head {
        let Self { version, mount, class, ref value } = *self;
        Head { version, mount, class, crc: crc32c(value), length: value.len() }
    }
}

impl Change<'_> {
    /// The record that it leaves; `None` if it deletes.
    fn stored(&self) -> Option<Stored> {
        let Self { version, mount, class, value, .. } = *self;
        value.map(|value| Stored { version, mount, class, value: value.to_vec() })
    }
}

/// Where an index stands, and a sum over its records that any lost, stale or foreign record would change.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct State {
    pub(crate) position: Position,
    pub(crate) count: u64,
    pub(crate) digest: u128,
}

/// Why an index cannot be used.
#[derive(Clone, Debug)]
pub(crate) enum IndexError {
    /// Its content is not sound; it must be made again.
    Damaged(String),
    /// An operation failed; opening it again may help.
    Failed(String),
    /// There is no space for it; it is sound otherwise.
    Full(String),
    /// It may be sound, but that cannot be found out safely.
    Stale(String),
    /// A thread of this process hangs over it for ever.
    Stuck(String),
}

impl fmt::Display for IndexError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged(what) => write!(f, "the index is damaged: {what}"),
            Self::Failed(what) => write!(f, "the index failed: {what}"),
            Self::Stale(what) => write!(f, "the index is not to be trusted: {what}"),
            Self::Stuck(what) => write!(f, "the index does not open: {what}; start again, then it is made again"),
            Self::Full(what) => write!(f, "there is no space for the index: {what}; free some on its disk"),
        }
    }
}

impl IndexError {
    pub(crate) fn io(error: &io::Error) -> Self {
        if is_full(error) { Self::Full(error.to_string()) } else { Self::Failed(error.to_string()) }
    }
}

impl From<IndexError> for framework::Error {
    fn from(error: IndexError) -> Self {
        Self::internal(error)
    }
}

/// Bytes before each value: version u64, mount [16], class u8, CRC32C of the value u32, its length u32.
pub(crate) const HEAD: usize = 33;

/// The fixed part of a kept record.
#[derive(Clone, Copy)]
pub(crate) struct Head {
    pub(crate) version: u64,
    pub(crate) mount: MountId,
    pub(crate) class: Class,
    pub(crate) crc: u32,
    pub(crate) length: usize,
}

impl Head {
    pub(crate) fn of(change: &Change<'_>, value: &[u8]) -> Self {
        let Change { version, mount, class, .. } = *change;
        Self { version, mount, class, crc: crc32c(value), length: value.len() }
    }

    pub(crate) fn encode(&self) -> [u8; HEAD] {
        let mut head = [0; HEAD];
        let fields = self.version.to_le_bytes().into_iter().chain(self.mount.0).chain([class_to_byte(self.class)]);
        let fields = fields.chain(self.crc.to_le_bytes());
        let fields = fields.chain(u32::try_from(self.length).unwrap_or(u32::MAX).to_le_bytes());
        for (place, byte) in head.iter_mut().zip(fields) {
            *place = byte;
        }
        head
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, IndexError> {
        let mut reader = Reader::new(bytes);
        let mut read = || {
            Some(Self {
                version: reader.u64()?,
                mount: MountId(reader.array()?),
                class: class_from_byte(reader.u8()?)?,
                crc: reader.u32()?,
                length: usize::try_from(reader.u32()?).ok().filter(|length| *length <= LARGEST_RECORD)?,
            })
        };
        read().ok_or_else(|| IndexError::Damaged("a record's head makes no sense".to_owned()))
    }

    /// The record, if the value is the one this head was written for.
    pub(crate) fn with(&self, value: Vec<u8>) -> Result<Stored, IndexError> {
        if value.len() != self.length || crc32c(&value) != self.crc {
            return Err(IndexError::Damaged("a record does not match its checksum".to_owned()));
        }
        Ok(Stored { version: self.version, mount: self.mount, class: self.class, value })
    }

    /// This record's part of [`State::digest`].
    pub(crate) fn term(&self, key: &str) -> u128 {
        let mut bytes = Vec::with_capacity(HEAD + key.len());
        bytes.extend_from_slice(&self.encode());
        bytes.extend_from_slice(key.as_bytes());
        Reader::new(&sha256(&bytes)).u128().unwrap_or(0)
    }
}

impl State {
    pub(crate) fn empty(position: Position) -> Self {
        Self { position, count: 0, digest: 0 }
    }

    pub(crate) fn add(&mut self, key: &str, head: &Head) {
        self.count = self.count.wrapping_add(1);
        self.digest = self.digest.wrapping_add(head.term(key));
    }

    pub(crate) fn subtract(&mut self, key: &str, head: &Head) {
        self.count = self.count.wrapping_sub(1);
        self.digest = self.digest.wrapping_sub(head.term(key));
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let Self { position, count, digest } = self;
        let sequence = position.sequence.to_le_bytes();
        [sequence.as_slice(), &position.hash, &count.to_le_bytes(), &digest.to_le_bytes()].concat()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let position = Position { sequence: reader.u64()?, hash: reader.array()? };
        Some(Self { position, count: reader.u64()?, digest: reader.u128()? })
    }
}

/// Carries out whole transactions, which follow each other.
pub(crate) fn apply(index: &dyn Index, records: &[Record]) -> Result<(), IndexError> {
    let Some(last) = records.last() else { return Ok(()) };
    let mut changes: BTreeMap<&str, Change<'_>> = BTreeMap::new();
    for record in records {
        for entry in &record.entries {
            let change = Change {
                key: entry.key.as_str(),
                version: record.sequence,
                mount: entry.mount,
                class: entry.class,
                value: entry.value.as_deref(),
                replaces: None,
            };
            changes.insert(change.key, change);
        }
    }
    let changes: Vec<_> = changes.into_values().collect();
    index.write(&changes, last.position())
}

/// The names directly below `folder`, as [`framework::Store::list`] gives them. What lies in a folder below is skipped,
/// not read.
pub(crate) fn list(
    index: &dyn Index,
    folder: &str,
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<String>, IndexError> {
    let mut names = Vec::new();
    if limit == 0 {
        return Ok(names);
    }
    let from = match after.map(|after| (after, after.strip_suffix('/'))) {
        None => folder.to_owned(),
        // '0' is the byte after '/': everything below the folder sorts before it.
        Some((_, Some(below))) => format!("{folder}{below}0"),
        Some((after, None)) => format!("{folder}{after}\0"),
    };
    index.scan(&from, &mut |key| {
        let Some(rest) = key.strip_prefix(folder) else { return Step::Stop };
        let (name, next) = match rest.split_once('/') {
            None => (rest.to_owned(), Step::Next),
            Some((name, _)) => (format!("{name}/"), Step::Seek(format!("{folder}{name}0"))),
        };
        if after.is_none_or(|after| name.as_str() > after) {
            names.push(name);
        }
        if names.len() >= limit { Step::Stop } else { next }
    })?;
    Ok(names)
}

/// Reads every record and compares with what the index says of itself. Nobody writes to it meanwhile. Ends early, and says
/// nothing, once `stop` is set.
pub(crate) fn verify(index: &dyn Index, stop: &AtomicBool) -> Result<(), IndexError> {
    let state = index.state();
    let mut found = State::empty(state.position);
    let mut last: Option<String> = None;
    let mut ordered = true;
    index.walk("", &mut |key, stored| {
        // A damaged tree may lead in circles.
        ordered = last.as_deref().is_none_or(|last| last < key);
        let last = last.get_or_insert_default();
        key.clone_into(last);
        found.add(key, &stored.head());
        ordered && !stop.load(Ordering::Relaxed)
    })?;
    if stop.load(Ordering::Relaxed) {
        return Ok(());
    }
    if !ordered {
        return Err(IndexError::Damaged("its keys are not in order".to_owned()));
    }
    if found == state {
        Ok(())
    } else {
        Err(IndexError::Damaged(format!("it holds {} records instead of {}, or other ones", found.count, state.count)))
    }
}

/// Runs code of a database that may panic on what it finds on disk.
pub(crate) fn guarded<T>(f: impl FnOnce() -> Result<T, IndexError>) -> Result<T, IndexError> {
    catch_unwind(AssertUnwindSafe(f)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
        Err(IndexError::Damaged(format!("the database panicked: {text}")))
    })
}
