//! The journal: an ordered list of transactions whose positions are written once.

pub(crate) mod frame;
#[cfg(fuzzing)]
pub mod fuzzing;
mod memory;
mod reader;
pub(crate) mod segment;
mod segments;

use std::fmt;
use std::io;
use std::time::Duration;

pub(crate) use memory::MemoryLog;
pub(crate) use reader::SegmentReader;
pub(crate) use segments::SegmentLog;

pub use crate::record::{Entry, Position, Record};

/// The journal under the committer. One caller appends; any number read.
///
/// A position is written once: whoever holds a record at position *n* holds the only one there will ever be.
pub trait Log: Send + Sync {
    /// Puts records at their positions, which follow each other and the tail. On [`Append::Appended`] all are durable.
    fn append(&self, records: &[Record]) -> Append;

    /// The records from position `from` to the tail, in order.
    fn read(&self, from: u64) -> Result<Records<'_>, LogError>;

    /// The last durable record. After [`Append::Unknown`] this finds out what became of it.
    fn tail(&self) -> Result<Position, LogError>;

    /// Like [`Log::read`], but waits up to `patience` for there to be a record.
    fn watch(&self, from: u64, patience: Duration) -> Result<Records<'_>, LogError>;

    /// Forgets records before position `below`, as far as that is cheap; `snapshot` is the verified snapshot that holds
    /// what they did, and reaches to `below - 1` or further.
    fn truncate(&self, below: u64, snapshot: Position) -> Result<(), LogError>;

    /// Bytes of the records held.
    fn bytes(&self) -> u64;
}

/// Records in order.
pub type Records<'l> = Box<dyn Iterator<Item = Result<Record, LogError>> + Send + 'l>;

/// What became of an append.
#[derive(Debug)]
pub enum Append {
    /// All records are durable.
    Appended,
    /// Somebody else's record is at the first position.
    Taken(Box<Record>),
    /// None of the records was written, and the log is as before.
    Refused(LogError),
    /// The records may or may not be durable; [`Log::tail`] will tell.
    Unknown(LogError),
}

/// Why the journal cannot be used.
#[derive(Debug)]
pub enum LogError {
    /// What is on disk is not what was written there.
    Damaged {
        /// The file, relative to the data directory.
        file: String,
        /// Where in it, in bytes.
        offset: u64,
        /// What is wrong.
        what: String,
    },
    /// The operating system failed an operation.
    Io {
        /// What was being done.
        doing: String,
        /// Its error.
        source: io::Error,
    },
}

impl LogError {
    pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }
}

impl fmt::Display for LogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged { file, offset, what } => write!(
                f,
                "{file} is damaged at byte {offset}: {what}. Nothing was changed. Put back an unharmed copy of the file, \
                 or restore the data directory from a backup"
            ),
            Self::Io { doing, source } if crate::disk::is_full(source) => {
                write!(f, "{doing}: {source}: the disk is full; free some space on it")
            }
            Self::Io { doing, source } => write!(f, "{doing}: {source}"),
        }
    }
}

impl std::error::Error for LogError {}
