//! The journal in memory: nothing outlives the process.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{Append, Log, LogError, Position, Record, Records};

pub(crate) struct MemoryLog {
    kept: Mutex<Kept>,
    grown: Condvar,
}

struct Kept {
    records: VecDeque<Record>,
    tail: Position,
    bytes: u64,
}

impl MemoryLog {
    pub(crate) fn new(genesis: Position) -> Self {
        Self { kept: Mutex::new(Kept { records: VecDeque::new(), tail: genesis, bytes: 0 }), grown: Condvar::new() }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log for MemoryLog {
    fn append(&self, records: &[Record]) -> Append {
        let mut kept = self.kept();
        if let Some(first) = records.first().filter(|first| first.sequence <= kept.tail.sequence) {
            let taken = kept.records.iter().find(|record| record.sequence == first.sequence);
            let gone =
                || LogError::Io { doing: "writing the journal".to_owned(), source: std::io::Error::other("gone") };
            return taken.map_or_else(|| Append::Refused(gone()), |taken| Append::Taken(Box::new(taken.clone())));
        }
        for record in records {
            kept.tail = record.position();
            kept.bytes += record.encoded().len() as u64;
            kept.records.push_back(record.clone());
        }
        drop(kept);
        self.grown.notify_all();
        Append::Appended
    }

    fn read(&self, from: u64) -> Result<Records<'_>, LogError> {
        let kept = self.kept();
        let records: Vec<_> = kept.records.iter().filter(|record| record.sequence >= from).cloned().map(Ok).collect();
        Ok(Box::new(records.into_iter()))
    }

    fn tail(&self) -> Result<Position, LogError> {
        Ok(self.kept().tail)
    }

    fn watch(&self, from: u64, patience: Duration) -> Result<Records<'_>, LogError> {
        let kept = self.kept();
        let waited = self.grown.wait_timeout_while(kept, patience, |kept| kept.tail.sequence < from);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
        self.read(from)
    }

    fn truncate(&self, below: u64, snapshot: Position) -> Result<(), LogError> {
        let mut kept = self.kept();
        let below = below.min(snapshot.sequence + 1);
        while let Some(oldest) = kept.records.front().filter(|oldest| oldest.sequence < below) {
            kept.bytes = kept.bytes.saturating_sub(oldest.encoded().len() as u64);
            kept.records.pop_front();
        }
        Ok(())
    }

    fn bytes(&self) -> u64 {
        self.kept().bytes
    }
}
