//! For tests of what stands in front of an index: one in memory that is watched.

use std::sync::atomic::{AtomicUsize, Ordering};

use framework::{Class, MountId};

use super::{Change, Index, IndexError, MemoryIndex, Position, State, Step, Stored};

/// What is done before each write; its failure is the write's.
type OnWrite = Box<dyn Fn(&[Change<'_>]) -> Result<(), IndexError> + Send + Sync>;

/// Counts look-ups and writes.
pub(super) struct Watched {
    index: MemoryIndex,
    looked_up: AtomicUsize,
    written: AtomicUsize,
    on_write: OnWrite,
}

impl Watched {
    pub(super) fn new(on_write: OnWrite) -> Self {
        let (looked_up, written) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Self { index: MemoryIndex::new(at(0)), looked_up, written, on_write }
    }

    pub(super) fn looked_up(&self) -> usize {
        self.looked_up.load(Ordering::Relaxed)
    }

    pub(super) fn written(&self) -> usize {
        self.written.load(Ordering::Relaxed)
    }
}

impl Index for Watched {
    fn get(&self, key: &str) -> Result<Option<Stored>, IndexError> {
        self.looked_up.fetch_add(1, Ordering::Relaxed);
        self.index.get(key)
    }

    fn version(&self, key: &str) -> Result<u64, IndexError> {
        self.index.version(key)
    }

    fn scan(&self, from: &str, visit: &mut dyn FnMut(&str) -> Step) -> Result<(), IndexError> {
        self.index.scan(from, visit)
    }

    fn walk(&self, from: &str, visit: &mut dyn FnMut(&str, &Stored) -> bool) -> Result<(), IndexError> {
        self.index.walk(from, visit)
    }

    fn write(&self, changes: &[Change<'_>], position: Position) -> Result<(), IndexError> {
        self.written.fetch_add(1, Ordering::Relaxed);
        (self.on_write)(changes)?;
        self.index.write(changes, position)
    }

    fn state(&self) -> State {
        self.index.state()
    }

    fn checkpoint(&self) -> Result<(), IndexError> {
        self.index.checkpoint()
    }
}

pub(super) fn at(sequence: u64) -> Position {
    Position { sequence, hash: [0; 32] }
}

/// Writes one record, at the position `version`.
pub(super) fn write(index: &dyn Index, key: &str, version: u64, value: Option<&[u8]>) -> Result<(), IndexError> {
    let change = Change { key, version, mount: MountId::default(), class: Class::default(), value, replaces: None };
    index.write(&[change], at(version))
}
