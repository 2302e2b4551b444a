//! An index in redb.
//!
//! redb keeps what it has committed through power cuts by itself, so commits between checkpoints need no sync: after a cut
//! it falls back to the last checkpoint, and the journal's tail is replayed. The one hole found in it, a half-created file,
//! is closed by creating it under a temporary name.

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use redb::{Builder, Database, Durability, ReadOnlyTable, ReadableDatabase, TableDefinition};

use super::backend::Backend;
use super::{Change, HEAD, Head, Index, IndexError, Position, State, Step, Stored, guarded};
use crate::disk::{Disk, TEMPORARY, remove_if_there};

const RECORDS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("records");
const STATE: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("state");
/// Where it lies.
pub(crate) const FILE: &str = "index.redb";

type Records = ReadOnlyTable<&'static [u8], &'static [u8]>;

pub(crate) struct RedbIndex {
    // Before `database`: dropped first, so that the database can be closed.
    records: RwLock<Arc<Records>>,
    database: Database,
    state: Mutex<State>,
}

fn failed(error: impl Into<redb::Error>) -> IndexError {
    match error.into() {
        redb::Error::Corrupted(what) => IndexError::Damaged(what),
        redb::Error::UpgradeRequired(version) => {
            IndexError::Damaged(format!("it is in format {version}, which is too old"))
        }
        redb::Error::RepairAborted => IndexError::Damaged("it could not be repaired".to_owned()),
        redb::Error::Io(error)
            if matches!(error.kind(), std::io::ErrorKind::InvalidData | std::io::ErrorKind::UnexpectedEof) =>
        {
            IndexError::Damaged(error.to_string())
        }
        redb::Error::Io(error) => IndexError::io(&error),
        error @ (redb::Error::TableTypeMismatch { .. } | redb::Error::TableDoesNotExist(_)) => {
            IndexError::Damaged(error.to_string())
        }
        error => IndexError::Failed(error.to_string()),
    }
}

impl RedbIndex {
    /// Opens the index, or makes an empty one that stands at `genesis`.
    pub(crate) fn open(disk: &dyn Disk, genesis: Position, cache_bytes: usize) -> Result<Self, IndexError> {
        let io = |error: std::io::Error| IndexError::io(&error);
        let file = match disk.open(FILE, false) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Self::create(disk, genesis, cache_bytes)?;
                disk.open(FILE, false).map_err(io)?
            }
            Err(error) => return Err(io(error)),
        };
        guarded(move || {
            let database = builder(cache_bytes).create_with_backend(Backend(file)).map_err(failed)?;
            let (records, state) = Self::look(&database)?;
            Ok(Self { records: RwLock::new(Arc::new(records)), database, state: Mutex::new(state) })
        })
    }

    fn create(disk: &dyn Disk, genesis: Position, cache_bytes: usize) -> Result<(), IndexError> {
        let io = |error: std::io::Error| IndexError::io(&error);
        let temporary = format!("{FILE}{TEMPORARY}");
        remove_if_there(disk, &temporary).map_err(io)?;
        let file = disk.open(&temporary, true).map_err(io)?;
        guarded(|| {
            let database = builder(cache_bytes).create_with_backend(Backend(file.clone())).map_err(failed)?;
            let transaction = database.begin_write().map_err(failed)?;
            transaction.open_table(RECORDS).map_err(failed)?;
            let mut table = transaction.open_table(STATE).map_err(failed)?;
            table.insert("state", State::empty(genesis).encode().as_slice()).map_err(failed)?;
            drop(table);
            transaction.commit().map_err(failed)?;
            database.close().map_err(failed)
        })?;
        file.sync().map_err(io)?;
        disk.rename(&temporary, FILE).map_err(io)?;
        disk.sync_folder("").map_err(io)
    }

    /// Makes room for a new index. A damaged one is kept, in place of one that was kept before.
    pub(crate) fn set_aside(disk: &dyn Disk, keep: bool) -> std::io::Result<()> {
        match if keep { disk.rename(FILE, &format!("{FILE}.broken")) } else { disk.remove(FILE) } {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
            Ok(()) => disk.sync_folder(""),
        }
    }

    fn look(database: &Database) -> Result<(Records, State), IndexError> {
        let transaction = database.begin_read().map_err(failed)?;
        let table = transaction.open_table(STATE).map_err(failed)?;
        let state = table.get("state").map_err(failed)?;
        let state = state.and_then(|state| State::decode(state.value()));
        let state = state.ok_or_else(|| IndexError::Damaged("it does not say where it stands".to_owned()))?;
        Ok((transaction.open_table(RECORDS).map_err(failed)?, state))
    }

    fn records(&self) -> Arc<Records> {
        self.records.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change(&self, changes: &[Change<'_>], position: Position) -> Result<State, IndexError> {
        let mut state = State { position, ..self.state() };
        let mut transaction = self.database.begin_write().map_err(failed)?;
        transaction.set_durability(Durability::None).map_err(failed)?;
        let mut records = transaction.open_table(RECORDS).map_err(failed)?;
        let mut kept = Vec::new();
        for change in changes {
            let key = change.key.as_bytes();
            let old = match change.value {
                Some(value) => {
                    let head = Head::of(change, value);
                    state.add(change.key, &head);
                    kept.clear();
                    kept.extend_from_slice(&head.encode());
                    kept.extend_from_slice(value);
                    records.insert(key, kept.as_slice()).map_err(failed)?
                }
                None => records.remove(key).map_err(failed)?,
            };
            if let Some(old) = old {
                state.subtract(change.key, &Head::decode(old.value())?);
            }
        }
        drop(records);
        let mut table = transaction.open_table(STATE).map_err(failed)?;
        table.insert("state", state.encode().as_slice()).map_err(failed)?;
        drop(table);
        transaction.commit().map_err(failed)?;
        Ok(state)
    }
}

fn builder(cache_bytes: usize) -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(cache_bytes);
    builder
}

fn stored(kept: &[u8]) -> Result<Stored, IndexError> {
    Head::decode(kept)?.with(kept.get(HEAD..).unwrap_or_default().to_vec())
}

fn text(key: &[u8]) -> Result<&str, IndexError> {
    std::str::from_utf8(key).map_err(|_| IndexError::Damaged("a key is not text".to_owned()))
}

impl Index for RedbIndex {
    fn get(&self, key: &str) -> Result<Option<Stored>, IndexError> {
        guarded(|| {
            // Held for longer than what is found: the guard `get` returns does not keep its page from being used again.
            let records = self.records();
            let found = records.get(key.as_bytes()).map_err(failed)?;
            found.map(|kept| stored(kept.value())).transpose()
        })
    }

    fn version(&self, key: &str) -> Result<u64, IndexError> {
        guarded(|| {
            let records = self.records();
            let found = records.get(key.as_bytes()).map_err(failed)?;
            found.map_or(Ok(0), |kept| Ok(Head::decode(kept.value())?.version))
        })
    }

    fn scan(&self, from: &str, visit: &mut dyn FnMut(&str) -> Step) -> Result<(), IndexError> {
        guarded(|| {
            let records = self.records();
            let mut range = records.range(from.as_bytes()..).map_err(failed)?;
            while let Some(entry) = range.next() {
                let (key, _) = entry.map_err(failed)?;
                match visit(text(key.value())?) {
                    Step::Next => {}
                    Step::Seek(from) => range = records.range(from.as_bytes()..).map_err(failed)?,
                    Step::Stop => break,
                }
            }
            Ok(())
        })
    }

    fn walk(&self, from: &str, visit: &mut dyn FnMut(&str, &Stored) -> bool) -> Result<(), IndexError> {
        guarded(|| {
            let records = self.records();
            for entry in records.range(from.as_bytes()..).map_err(failed)? {
                let (key, kept) = entry.map_err(failed)?;
                if !visit(text(key.value())?, &stored(kept.value())?) {
                    break;
                }
            }
            Ok(())
        })
    }

    fn write(&self, changes: &[Change<'_>], position: Position) -> Result<(), IndexError> {
        guarded(|| {
            let state = self.change(changes, position)?;
            let (records, _) = Self::look(&self.database)?;
            *self.records.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(records);
            *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
            Ok(())
        })
    }

    fn state(&self) -> State {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn checkpoint(&self) -> Result<(), IndexError> {
        guarded(|| {
            let mut transaction = self.database.begin_write().map_err(failed)?;
            // Saves the allocator's state too: opening after a crash need not read the whole file.
            transaction.set_quick_repair(true);
            transaction.commit().map_err(failed)
        })
    }
}
