//! Bringing the index to where the journal is: at start, and when an index fails while the server runs.

use std::path::PathBuf;
use std::sync::Arc;

use crate::disk::Disk;
use crate::index::{self, Index, IndexError, MemoryIndex, RedbIndex, SledIndex, State};
use crate::log::{Log, LogError, Position, SegmentLog};
use crate::snapshot::Snapshot;
use crate::{Kind, OpenError};

/// Records applied together in a replay.
const REPLAY_BYTES: usize = 1 << 20;
const REPLAY_RECORDS: usize = 256;

/// Where the index lies and what it is made from.
pub(crate) struct Restorer {
    pub(crate) kind: Kind,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) sled_folder: Option<PathBuf>,
    pub(crate) cache_bytes: usize,
    pub(crate) genesis: Position,
    pub(crate) log: Arc<SegmentLog>,
}

enum Trouble {
    /// The index is of no use; another one can be made.
    Index(IndexError),
    /// Another index would not help.
    Other(OpenError),
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

impl Restorer {
    fn open(&self) -> Result<Arc<dyn Index>, IndexError> {
        Ok(match (self.kind, &self.sled_folder) {
            (Kind::Sled, Some(folder)) => Arc::new(SledIndex::open(folder, self.genesis, self.cache_bytes)?),
            (Kind::Redb, _) => Arc::new(RedbIndex::open(self.disk.as_ref(), self.genesis, self.cache_bytes)?),
            (Kind::Sled, None) | (Kind::Memory, _) => Arc::new(MemoryIndex::new(self.genesis)),
        })
    }

    fn set_aside(&self) -> std::io::Result<()> {
        match (self.kind, &self.sled_folder) {
            (Kind::Sled, Some(folder)) => SledIndex::set_aside(folder),
            (Kind::Redb, _) => RedbIndex::set_aside(self.disk.as_ref()),
            (Kind::Sled, None) | (Kind::Memory, _) => Ok(()),
        }
    }

    /// An index that holds what the journal says. `clean` is what the index held when a server last ended in good order;
    /// any other index is read through before it is believed.
    pub(crate) fn restore(&self, clean: Option<State>, snapshot: Option<&Snapshot>) -> Result<Arc<dyn Index>, OpenError> {
        let why = match self.existing(clean, snapshot) {
            Ok(index) => return Ok(index),
            Err(Trouble::Other(error)) => return Err(error),
            Err(Trouble::Index(error)) => error,
        };
        tracing::warn!(%why, "the storage index is moved aside and made again from snapshot and journal; nothing is lost");
        self.set_aside().map_err(OpenError::io("moving the damaged index aside"))?;
        self.existing(None, snapshot).map_err(|trouble| match trouble {
            Trouble::Index(error) => OpenError::Index { what: error.to_string() },
            Trouble::Other(error) => error,
        })
    }

    fn existing(&self, clean: Option<State>, snapshot: Option<&Snapshot>) -> Result<Arc<dyn Index>, Trouble> {
        let index = self.open()?;
        let state = index.state();
        if state == State::empty(self.genesis) {
            if let Some(snapshot) = snapshot {
                let loaded = snapshot.load(self.disk.as_ref(), index.as_ref(), self.genesis);
                loaded.map_err(|error| Trouble::Other(error.into()))?;
            }
        } else if state.position.sequence == 0 {
            return Err(IndexError::Damaged("it was never completed".to_owned()).into());
        } else if clean != Some(state) {
            index::verify(index.as_ref())?;
        }
        let made = index.state().position.sequence != state.position.sequence;
        self.compare(index.state().position)?;
        let replayed = replay(self.log.as_ref(), index.as_ref())?;
        if made || replayed > 0 {
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
