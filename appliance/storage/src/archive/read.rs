//! Reading an archive: from its first byte to its last, in one pass, with everything checked that can be without a key.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::GzDecoder;
use framework::{Error, Key};

use super::tar::{self, Entry};
use super::{Check, Contents, JOURNAL, META, Meta, SEALED, STATE, SUMS};
use crate::OpenError;
use crate::index::Change;
use crate::log::{Record, frame, segment};
use crate::snapshot::{self, Content, SnapshotError};

/// Most bytes of the small files.
const LARGEST_META: u64 = 64 << 10;
const LARGEST_SUMS: u64 = 4 << 10;

/// Why an archive was not taken. Nothing was changed.
#[derive(Debug)]
pub enum Refused {
    /// It is not what was saved.
    Archive(String),
    /// A record in it is not as it was written, or that could not be found out.
    Record(Error),
    /// This machine's disk, not the archive.
    Disk(OpenError),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Archive(what) => write!(f, "the snapshot cannot be used: {what}. Nothing was changed"),
            Self::Record(Error::Internal(incident)) => write!(f, "a record of the snapshot: {}", incident.cause),
            Self::Record(error) => write!(f, "a record of the snapshot: {error}"),
            Self::Disk(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Refused {}

impl From<OpenError> for Refused {
    fn from(error: OpenError) -> Self {
        Self::Disk(error)
    }
}

impl From<Refused> for Error {
    /// What is wrong with the archive is the client's to know; what is wrong with the disk is not.
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Record(error @ (Error::Sealed | Error::HsmUnavailable { .. })) => error,
            Refused::Disk(error) => Self::internal(error),
            refused => Self::invalid(refused.to_string()),
        }
    }
}

fn damaged(error: io::Error) -> Refused {
    Refused::Archive(match error.kind() {
        io::ErrorKind::UnexpectedEof => "it is cut short".to_owned(),
        _ => error.to_string(),
    })
}

/// What an archive holds, in order, as it is read. None of it may be relied upon before all of it is read.
pub(crate) enum Part<'p> {
    /// What follows is of this data directory.
    Meta(&'p Meta),
    /// More bytes of the file of records.
    State(&'p [u8]),
    /// The file of records is whole.
    StateEnds(&'p Content),
    /// One more transaction.
    Record(Record),
    /// That was all.
    End,
}

/// Takes the parts of an archive.
pub(crate) type Unpack<'u> = &'u mut dyn FnMut(Part<'_>) -> Result<(), OpenError>;

/// Reads all of an archive and checks it: layout, digests, and the journal's chain. Whose it is, only the keyring can say.
pub fn inspect(archive: &mut dyn Read) -> Result<Contents, Refused> {
    read(archive, &mut |_| Ok(()))
}

/// Reads all of an archive, checks it, and hands what is in it to `into`.
pub(crate) fn read(archive: &mut dyn Read, into: Unpack<'_>) -> Result<Contents, Refused> {
    let mut gzip = GzDecoder::new(BufReader::with_capacity(64 << 10, archive));
    let contents = read_files(&mut gzip, into)?;
    // Also checks the length and the checksum that gzip has at its end.
    let mut rest = Vec::new();
    gzip.by_ref().take(64 << 10).read_to_end(&mut rest).map_err(damaged)?;
    let beyond = !gzip.into_inner().fill_buf().map_err(damaged)?.is_empty();
    if beyond || rest.iter().any(|byte| *byte != 0) {
        return Err(Refused::Archive("something stands behind its end".to_owned()));
    }
    into(Part::End)?;
    Ok(contents)
}

pub(super) fn read_files(tar: &mut dyn Read, into: Unpack<'_>) -> Result<Contents, Refused> {
    let (meta_bytes, meta_digest) = small(tar, META, LARGEST_META)?;
    let meta = Meta::decode(&meta_bytes).map_err(|what| Refused::Archive(what.to_owned()))?;
    into(Part::Meta(&meta))?;
    let unchecked: Check<'_> = &|_, _| Ok(());
    let mut state = file(tar, STATE)?;
    let state_bytes = state.size;
    let content = read_state(&mut state, unchecked, into)?;
    let state_digest = state.end().map_err(damaged)?;
    if content.reach.sequence != meta.sequence {
        return Err(Refused::Archive("its meta.json belongs to another one".to_owned()));
    }
    into(Part::StateEnds(&content))?;
    let mut journal = file(tar, JOURNAL)?;
    let journal_bytes = journal.size;
    let transactions = read_journal(&mut journal, &content, unchecked, into)?;
    let journal_digest = journal.end().map_err(damaged)?;
    let (sums, _) = small(tar, SUMS, LARGEST_SUMS)?;
    if sums != super::sums([(META, meta_digest), (STATE, state_digest), (JOURNAL, journal_digest)]) {
        return Err(Refused::Archive("its files are not the ones that its SHA256SUMS names".to_owned()));
    }
    let (sealed, _) = small(tar, SEALED, LARGEST_SUMS)?;
    if tar::next(tar).map_err(damaged)?.is_some() {
        return Err(Refused::Archive("something stands behind its last file".to_owned()));
    }
    let (position, records) = (content.reach, content.records);
    Ok(Contents { meta, position, records, transactions, bytes: state_bytes + journal_bytes, sums, sealed })
}

/// The next file, which must have this name.
fn file<'t>(tar: &'t mut dyn Read, name: &str) -> Result<Entry<'t>, Refused> {
    match tar::next(tar).map_err(damaged)? {
        Some(entry) if entry.name == name => Ok(entry),
        Some(entry) => Err(Refused::Archive(format!("it has {:?} where {name} should be", entry.name))),
        None => Err(Refused::Archive(format!("{name} is missing"))),
    }
}

/// All of a small file, and its digest.
fn small(tar: &mut dyn Read, name: &str, limit: u64) -> Result<(Vec<u8>, [u8; 32]), Refused> {
    let mut entry = file(tar, name)?;
    if entry.size > limit {
        return Err(Refused::Archive(format!("its {name} is too long")));
    }
    let mut bytes = Vec::new();
    entry.by_ref().take(limit).read_to_end(&mut bytes).map_err(damaged)?;
    Ok((bytes, entry.end().map_err(damaged)?))
}

/// Hands on what is read through it.
struct Tee<'a> {
    from: &'a mut dyn Read,
    into: Unpack<'a>,
    failed: Option<OpenError>,
}

impl Read for Tee<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(into)?;
        (self.into)(Part::State(into.get(..count).unwrap_or_default())).map_err(|error| {
            self.failed = Some(error);
            io::Error::other("what was read could not be kept")
        })?;
        Ok(count)
    }
}

/// Reads the file of records, and asks `check` of each.
pub(super) fn read_state(state: &mut dyn Read, check: Check<'_>, into: Unpack<'_>) -> Result<Content, Refused> {
    let mut tee = Tee { from: state, into, failed: None };
    let mut wrong = None;
    let content = snapshot::read(&mut tee, STATE, &mut |changes| {
        changes.iter().try_for_each(|change| check_change(change, check)).map_err(|error| {
            wrong = Some(error);
            SnapshotError::Stopped
        })
    });
    match (wrong, tee.failed, content) {
        (Some(error), ..) => Err(Refused::Record(error)),
        (None, Some(error), _) => Err(error.into()),
        (None, None, Ok(content)) => Ok(content),
        (None, None, Err(SnapshotError::Io(error))) => Err(damaged(error)),
        (None, None, Err(error)) => Err(Refused::Archive(error.to_string())),
    }
}

fn check_change(change: &Change<'_>, check: Check<'_>) -> Result<(), Error> {
    check(&Key::new(change.key)?, change.value.unwrap_or_default())
}

/// Follows the chain from the snapshot's base to its reach. Gives the number of transactions.
pub(super) fn read_journal(
    journal: &mut dyn Read,
    content: &Content,
    check: Check<'_>,
    into: Unpack<'_>,
) -> Result<u64, Refused> {
    let wrong = |what: String| Refused::Archive(format!("{JOURNAL} is damaged: {what}"));
    let mut header = [0; segment::HEADER as usize];
    journal.read_exact(&mut header).map_err(damaged)?;
    let Content { base, reach, .. } = *content;
    if segment::read_header(&header) != Some((base.sequence.wrapping_add(1), base.hash)) {
        return Err(wrong("it does not follow the records".to_owned()));
    }
    let mut tail = base;
    while let Some(encoded) = frame::read(journal).map_err(|error| wrong(error.to_string()))? {
        let expected = tail.sequence.wrapping_add(1);
        let record = Record::decode(encoded).filter(|record| record.sequence == expected);
        let record = record.ok_or_else(|| wrong(format!("record {expected} is not where it should be")))?;
        if record.previous != tail.hash {
            return Err(wrong(format!("record {expected} does not follow the record before it")));
        }
        for entry in &record.entries {
            if let Some(value) = &entry.value {
                check(&entry.key, value).map_err(Refused::Record)?;
            }
        }
        tail = record.position();
        into(Part::Record(record))?;
    }
    if tail == reach {
        Ok(reach.sequence - base.sequence)
    } else {
        Err(wrong(format!("it ends at record {}, not at record {}", tail.sequence, reach.sequence)))
    }
}
