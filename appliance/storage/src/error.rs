//! Why a data directory cannot be opened: what is wrong, and what to do about it.

use std::fmt;
use std::io;

use crate::log::LogError;
use crate::snapshot::SnapshotError;

/// Why [`open`](crate::open) failed. Its text names the place and the remedy; nothing on disk was changed.
#[derive(Debug)]
pub enum OpenError {
    /// Another process has the data directory open.
    InUse {
        /// The data directory.
        folder: String,
        /// The other's process id, if it could be read.
        holder: Option<String>,
    },
    /// The data directory was written in another format.
    Format {
        /// What its format file says.
        found: String,
    },
    /// The folder holds a journal but does not say in which format.
    NotOurs {
        /// What is missing.
        what: String,
    },
    /// The kind of storage needs a folder, and none was given.
    NoFolder,
    /// The journal is damaged, cut or not the one that belongs here.
    Journal(LogError),
    /// The journal lacks records that the index or the snapshot has seen.
    Behind {
        /// The journal's last record.
        journal: u64,
        /// The record that was there before.
        seen: u64,
        /// Who saw it.
        witness: &'static str,
    },
    /// The journal's record at this position is not the one that the index or the snapshot has seen.
    Foreign {
        /// The position.
        sequence: u64,
        /// Who saw another one.
        witness: &'static str,
    },
    /// The snapshot that is needed is damaged.
    Snapshot {
        /// What is wrong.
        what: String,
    },
    /// The index could neither be opened nor made again.
    Index {
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

impl OpenError {
    pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }
}

impl From<LogError> for OpenError {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Io { doing, source } => Self::Io { doing, source },
            damaged @ LogError::Damaged { .. } => Self::Journal(damaged),
        }
    }
}

impl From<SnapshotError> for OpenError {
    fn from(error: SnapshotError) -> Self {
        match error {
            SnapshotError::Io(source) => Self::Io { doing: "reading the snapshot".to_owned(), source },
            SnapshotError::Index(error) => Self::Index { what: error.to_string() },
            other => Self::Snapshot { what: other.to_string() },
        }
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse { folder, holder } => {
                write!(f, "another server has the data directory {folder} open")?;
                if let Some(holder) = holder {
                    write!(f, " (process {holder})")?;
                }
                f.write_str("; stop it first, or give this one a directory of its own")
            }
            Self::Format { found } => write!(
                f,
                "the data directory is of format {found:?}, this version reads {:?}; start the version that wrote it",
                crate::folder::FORMAT
            ),
            Self::NotOurs { what } => {
                write!(f, "the folder is no data directory: {what}; give an empty folder, or restore it from a backup")
            }
            Self::NoFolder => f.write_str("this kind of storage needs a path"),
            Self::Journal(error) => write!(f, "the journal cannot be used: {error}"),
            Self::Behind { journal, seen, witness } => write!(
                f,
                "the journal ends at record {journal}, but the {witness} has seen record {seen}: the journal was cut or \
                 replaced by an older one. Put the newer journal back, or restore the whole data directory from a backup"
            ),
            Self::Foreign { sequence, witness } => write!(
                f,
                "record {sequence} of the journal is not the one that the {witness} has seen: the journal was altered or \
                 belongs to another server. Put its own journal back, or restore the whole data directory from a backup"
            ),
            Self::Snapshot { what } => write!(
                f,
                "the snapshot is needed and cannot be used: {what}. Put back an unharmed copy, or restore the data \
                 directory from a backup"
            ),
            Self::Index { what } => write!(f, "the index could be neither opened nor made again: {what}"),
            Self::Io { doing, source } => write!(f, "{doing}: {source}"),
        }
    }
}

impl std::error::Error for OpenError {}
