//! An index in memory: as fast as it gets, and gone with the process.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use super::{Change, Index, IndexError, Position, State, Step, Stored};

pub(crate) struct MemoryIndex(RwLock<Held>);

struct Held {
    records: BTreeMap<String, Stored>,
    position: Position,
}

impl MemoryIndex {
    pub(crate) fn new(position: Position) -> Self {
        Self(RwLock::new(Held { records: BTreeMap::new(), position }))
    }

    fn held(&self) -> RwLockReadGuard<'_, Held> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Index for MemoryIndex {
    fn get(&self, key: &str) -> Result<Option<Stored>, IndexError> {
        Ok(self.held().records.get(key).cloned())
    }

    fn version(&self, key: &str) -> Result<u64, IndexError> {
        Ok(self.held().records.get(key).map_or(0, |stored| stored.version))
    }

    fn scan(&self, from: &str, visit: &mut dyn FnMut(&str) -> Step) -> Result<(), IndexError> {
        let held = self.held();
        let range = |from: &str| held.records.range::<str, _>((Bound::Included(from), Bound::Unbounded));
        let mut keys = range(from);
        while let Some((key, _)) = keys.next() {
            match visit(key) {
                Step::Next => {}
                Step::Seek(from) => keys = range(&from),
                Step::Stop => break,
            }
        }
        Ok(())
    }

    fn walk(&self, from: &str, visit: &mut dyn FnMut(&str, &Stored) -> bool) -> Result<(), IndexError> {
        let held = self.held();
        for (key, stored) in held.records.range::<str, _>((Bound::Included(from), Bound::Unbounded)) {
            if !visit(key, stored) {
                break;
            }
        }
        Ok(())
    }

    fn write(&self, changes: &[Change<'_>], position: Position) -> Result<(), IndexError> {
        let mut held = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for change in changes {
            let Change { key, version, mount, class, value, .. } = *change;
            match value {
                Some(value) => {
                    held.records.insert(key.to_owned(), Stored { version, mount, class, value: value.to_vec() })
                }
                None => held.records.remove(key),
            };
        }
        held.position = position;
        Ok(())
    }

    fn state(&self) -> State {
        let held = self.held();
        State { position: held.position, count: held.records.len() as u64, digest: 0 }
    }

    fn checkpoint(&self) -> Result<(), IndexError> {
        Ok(())
    }
}
