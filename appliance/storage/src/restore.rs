//! Bringing the index to where the journal is: at start, and when an index fails while the server runs.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use crate::disk::Disk;
use crate::index::{self, Cached, Index, IndexError, MemoryIndex, RedbIndex, SledFiles, SledIndex, State, WriteBehind};
use crate::log::{Log, LogError, Position, SegmentLog};
use crate::snapshot::Snapshot;
use crate::{Kind, OpenError};

/// Opening sled may take this long, and a second more for every so many bytes.
const OPENING: Duration = Duration::from_secs(10);
const OPENING_RATE: u64 = 10 << 20;
/// Records applied together in a replay.
const REPLAY_BYTES: usize = 1 << 20;
const REPLAY_RECORDS: usize = 256;
/// Snapshot and journal up to this size together may be held in memory when an index on disk fails.
const LARGEST_MAKESHIFT: u64 = 1 << 30;

/// Where the index lies.
#[derive(Clone)]
pub(crate) struct Indexes {
    pub(crate) kind: Kind,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) sled: Option<SledFiles>,
    pub(crate) cache_bytes: usize,
    pub(crate) recent_bytes: usize,
    pub(crate) genesis: Position,
}

/// An index and what it is made from.
pub(crate) struct Restorer {
    pub(crate) indexes: Indexes,
    pub(crate) log: Arc<SegmentLog>,
}

enum Trouble {
    /// The index is of no use; another one can be made.
    Index(IndexError),
    /// Another index would not help.
    Other(OpenError),
}

impl Trouble {
    fn into_error(self) -> OpenError {
        match self {
            Self::Index(error) => OpenError::Index { what: error.to_string() },
            Self::Other(error) => error,
        }
    }
}

impl From<IndexError> for Trouble {
    fn from(error: IndexError) -> Self {
        Self::Index(error)
    }
}

impl From<LogError> for Trouble {
    fn from(error: LogError) -> Self {
        Self::Other(error.into())
    }
}

impl Indexes {
    /// Opens the index. One in sled is read through before it is believed. One in redb is believed first, since redb is sound
    /// after a cut by itself, and is read through beside the first readers and before the first writer.
    pub(crate) fn open(&self) -> Result<Arc<dyn Index>, IndexError> {
        match (self.kind, &self.sled) {
            (Kind::Sled, Some(files)) => self.open_sled(files),
            (Kind::Redb, _) => self.complete(Arc::new(self.open_redb()?)),
            (Kind::Sled, None) | (Kind::Memory, _) => Ok(Arc::new(MemoryIndex::new(self.genesis))),
        }
    }

    /// Like [`Self::open`], for an index that has failed in this process.
    pub(crate) fn open_failed(&self) -> Result<Arc<dyn Index>, IndexError> {
        match self.kind {
            Kind::Sled => Err(IndexError::Stale("it failed while it was in use".to_owned())),
            Kind::Redb => verified(self.complete(Arc::new(self.open_redb()?))?),
            Kind::Memory => self.open(),
        }
    }

    fn open_redb(&self) -> Result<RedbIndex, IndexError> {
        RedbIndex::open(self.disk.as_ref(), self.genesis, self.cache_bytes)
    }

    /// After the index was closed in good order and let go of.
    pub(crate) fn closed(&self) -> std::io::Result<()> {
        self.sled.as_ref().filter(|_| self.kind == Kind::Sled).map_or(Ok(()), SledFiles::set_closed)
    }

    fn complete(&self, index: Arc<dyn Index>) -> Result<Arc<dyn Index>, IndexError> {
        let state = index.state();
        if state.position.sequence == 0 && state != State::empty(self.genesis) {
            return Err(IndexError::Damaged("it was never completed".to_owned()));
        }
        Ok(index)
    }

    fn open_sled(&self, files: &SledFiles) -> Result<Arc<dyn Index>, IndexError> {
        let io = |error| IndexError::io(&error);
        files.may_be_opened()?;
        files.set_opening().map_err(io)?;
        let size = std::fs::metadata(files.folder.join("db")).map_or(0, |db| db.len());
        let limit = OPENING + Duration::from_secs(size / OPENING_RATE);
        let (sender, opened) = sync_channel(1);
        let (indexes, folder) = (self.clone(), files.folder.clone());
        let open = move || {
            let index = SledIndex::open(&folder, indexes.genesis, indexes.cache_bytes);
            let _ = sender.send(index.and_then(|index| verified(indexes.complete(Arc::new(index))?)));
        };
        std::thread::Builder::new().name("open-sled".to_owned()).spawn(open).map_err(io)?;
        let index = opened.recv_timeout(limit).unwrap_or_else(|error| {
            Err(match error {
                RecvTimeoutError::Timeout => IndexError::Stuck(format!("sled works on it for more than {limit:?}")),
                RecvTimeoutError::Disconnected => IndexError::Damaged("opening it panicked".to_owned()),
            })
        })?;
        files.set_open().map_err(io)?;
        Ok(index)
    }

    fn set_aside(&self, keep: bool) -> std::io::Result<()> {
        match (self.kind, &self.sled) {
            (Kind::Sled, Some(files)) => files.set_aside(keep),
            (Kind::Redb, _) => RedbIndex::set_aside(self.disk.as_ref(), keep),
            (Kind::Sled, None) | (Kind::Memory, _) => Ok(()),
        }
    }
}

impl Restorer {
    /// An index that holds what the journal says: the one that was opened, brought up to date, or a new one.
    pub(crate) fn restore(
        &self,
        opened: Result<Arc<dyn Index>, IndexError>,
        snapshot: Option<&Snapshot>,
    ) -> Result<Arc<dyn Index>, OpenError> {
        let below = self.restore_below(opened, snapshot)?;
        let cached = Arc::new(Cached::new(below, self.indexes.recent_bytes));
        let index = WriteBehind::new(cached).map_err(OpenError::io("starting the thread that writes to the index"))?;
        Ok(Arc::new(index))
    }

    fn restore_below(
        &self,
        opened: Result<Arc<dyn Index>, IndexError>,
        snapshot: Option<&Snapshot>,
    ) -> Result<Arc<dyn Index>, OpenError> {
        let why = match opened.map_err(Trouble::Index).and_then(|index| self.bring_up(index, snapshot)) {
            Ok(index) => return Ok(index),
            Err(Trouble::Other(error)) => return Err(error),
            Err(Trouble::Index(error @ IndexError::Full(_))) => {
                return Err(OpenError::Index { what: error.to_string() });
            }
            Err(Trouble::Index(error)) => error,
        };
        tracing::warn!(%why, "the storage index is made again from snapshot and journal; nothing is lost");
        self.indexes
            .set_aside(matches!(why, IndexError::Damaged(_)))
            .map_err(OpenError::io("moving the damaged index aside"))?;
        let made = self.indexes.open().map_err(Trouble::Index).and_then(|index| self.bring_up(index, snapshot));
        made.map_err(Trouble::into_error)
    }

    /// An index in memory that holds what the journal says, for when the disk has no place for one.
    pub(crate) fn makeshift(&self, snapshot: Option<&Snapshot>) -> Result<Arc<dyn Index>, OpenError> {
        let size = snapshot.map_or(0, |snapshot| snapshot.bytes) + self.log.bytes();
        if size > LARGEST_MAKESHIFT {
            return Err(OpenError::Index { what: "it is too large to be kept in memory meanwhile".to_owned() });
        }
        let index = Arc::new(MemoryIndex::new(self.indexes.genesis));
        self.bring_up(index, snapshot).map_err(Trouble::into_error)
    }

    fn bring_up(&self, index: Arc<dyn Index>, snapshot: Option<&Snapshot>) -> Result<Arc<dyn Index>, Trouble> {
        let Indexes { disk, genesis, .. } = &self.indexes;
        let empty = index.state() == State::empty(*genesis);
        if let Some(snapshot) = snapshot.filter(|_| empty) {
            snapshot.load(disk.as_ref(), index.as_ref(), *genesis).map_err(|error| Trouble::Other(error.into()))?;
        }
        self.compare(index.state().position)?;
        let replayed = replay(self.log.as_ref(), index.as_ref())?;
        if replayed > 0 || (empty && snapshot.is_some()) {
            index.checkpoint()?;
            tracing::info!(replayed, "storage index brought up to the journal");
        }
        Ok(index)
    }

    /// Whether the journal has the record that the index saw last.
    fn compare(&self, seen: Position) -> Result<(), Trouble> {
        let tail = self.log.tail()?;
        if seen.sequence > tail.sequence {
            let behind = OpenError::Behind { journal: tail.sequence, seen: seen.sequence, witness: "index" };
            return Err(Trouble::Other(behind));
        }
        match self.log.hash_at(seen.sequence)? {
            Some(hash) if hash == seen.hash => Ok(()),
            Some(_) => Err(Trouble::Other(OpenError::Foreign { sequence: seen.sequence, witness: "index" })),
            None => Err(IndexError::Damaged("it is older than the journal".to_owned()).into()),
        }
    }
}

fn verified(index: Arc<dyn Index>) -> Result<Arc<dyn Index>, IndexError> {
    index::verify(index.as_ref(), &AtomicBool::new(false))?;
    Ok(index)
}

/// Applies to the index what the journal has beyond it.
pub(crate) fn replay(log: &dyn Log, index: &dyn Index) -> Result<u64, ReplayError> {
    let (mut records, mut bytes, mut replayed) = (Vec::new(), 0, 0);
    for record in log.read(index.state().position.sequence + 1)? {
        let record = record?;
        bytes += record.encoded().len();
        records.push(record);
        if bytes >= REPLAY_BYTES || records.len() >= REPLAY_RECORDS {
            index::apply(index, &records)?;
            replayed += records.len() as u64;
            records.clear();
            bytes = 0;
        }
    }
    index::apply(index, &records)?;
    Ok(replayed + records.len() as u64)
}

/// Why a replay stopped.
pub(crate) enum ReplayError {
    Log(LogError),
    Index(IndexError),
}

impl From<LogError> for ReplayError {
    fn from(error: LogError) -> Self {
        Self::Log(error)
    }
}

impl From<IndexError> for ReplayError {
    fn from(error: IndexError) -> Self {
        Self::Index(error)
    }
}

impl std::fmt::Display for ReplayError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Log(error) => error.fmt(f),
            Self::Index(error) => error.fmt(f),
        }
    }
}

impl From<ReplayError> for Trouble {
    fn from(error: ReplayError) -> Self {
        match error {
            ReplayError::Log(error) => error.into(),
            ReplayError::Index(error) => error.into(),
        }
    }
}
