//! One segment file: a header, then frames.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use crc32c::crc32c;
use framework::Timestamp;

use super::LogError;
use super::frame::{Bad, Frames, Next};
use crate::bytes::Reader;
use crate::disk::{Disk, DiskFile, TEMPORARY, remove_if_there};
use crate::record::{Link, Position, sha256};

pub(super) const FOLDER: &str = "journal";
const ENDING: &str = ".log";
/// Magic [8], first sequence u64, hash of the record before it [32], zeros [12], CRC32C of these u32.
pub(crate) const HEADER: u64 = 64;
const CHECKED: usize = 60;
const MAGIC: [u8; 8] = *b"HFJRNL1\n";
/// How far apart the places are that are remembered for finding a sequence.
const MARK_EVERY: u64 = 256 << 10;

/// A segment whose header was read and is sound.
pub(crate) struct Segment {
    pub(crate) name: String,
    /// The sequence of its first record, whether or not there is one yet.
    pub(crate) first: u64,
    /// Distinguishes files that begin at the same sequence: the last one counts.
    pub(crate) generation: u32,
    pub(super) previous: [u8; 32],
    pub(super) file: Arc<dyn DiskFile>,
    marks: Mutex<Vec<(u64, u64)>>,
}

/// What reading a whole segment found.
pub(crate) struct Checked {
    pub(crate) tail: Position,
    pub(super) epoch: u64,
    /// Where the next frame goes.
    pub(super) end: u64,
    /// The first byte after `end` that a power cut tore.
    pub(super) torn: Option<Bad>,
}

/// The (first sequence, generation) in a segment's file name.
pub(crate) fn parse(name: &str) -> Option<(u64, u32)> {
    let (first, generation) = name.strip_suffix(ENDING)?.split_once('-')?;
    Some((first.parse().ok()?, generation.parse().ok()?))
}

/// The header of a segment that goes on after `tail`.
pub(crate) fn header(tail: Position) -> Vec<u8> {
    let mut header = [MAGIC.as_slice(), &(tail.sequence + 1).to_le_bytes(), &tail.hash].concat();
    header.resize(CHECKED, 0);
    header.extend_from_slice(&crc32c(&header).to_le_bytes());
    header
}

/// The sequence of a segment's first record, and the hash of the record before it.
pub(crate) fn read_header(bytes: &[u8; HEADER as usize]) -> Option<(u64, [u8; 32])> {
    let mut reader = Reader::new(bytes);
    let (magic, first, previous) = (reader.array()?, reader.u64()?, reader.array()?);
    reader.take(12)?;
    let sound = magic == MAGIC && crc32c(bytes.get(..CHECKED)?) == reader.u32()?;
    sound.then_some((first, previous))
}

impl Segment {
    /// Makes a segment that goes on after `tail`. It counts once its folder is synced, which it is when this returns.
    pub(crate) fn create(disk: &dyn Disk, tail: Position, generation: u32) -> io::Result<Self> {
        let first = tail.sequence + 1;
        let name = format!("{FOLDER}/{first:020}-{generation:04}{ENDING}");
        let temporary = format!("{FOLDER}/segment{TEMPORARY}");
        remove_if_there(disk, &temporary)?;
        let file = disk.open(&temporary, true)?;
        file.write_at(0, &header(tail))?;
        file.sync()?;
        disk.rename(&temporary, &name)?;
        disk.sync_folder(FOLDER)?;
        Ok(Self { name, first, generation, previous: tail.hash, file, marks: Mutex::new(vec![(first, HEADER)]) })
    }

    /// Opens the file `file_name` of a folder; [`parse`] has read the numbers in its name.
    pub(crate) fn open(
        disk: &dyn Disk,
        folder: &str,
        file_name: &str,
        first: u64,
        generation: u32,
    ) -> Result<Self, LogError> {
        let name = format!("{folder}/{file_name}");
        let failed = |source| LogError::Io { doing: format!("reading {name}"), source };
        let file = disk.open(&name, false).map_err(failed)?;
        let mut header = [0; HEADER as usize];
        let sound = match file.read_at(0, &mut header) {
            Ok(()) => read_header(&header),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => None,
            Err(error) => return Err(failed(error)),
        };
        match sound {
            Some((named, previous)) if named == first => {
                Ok(Self { name, first, generation, previous, file, marks: Mutex::new(vec![(first, HEADER)]) })
            }
            Some((named, _)) => {
                let what = format!("the file is named for record {first} but was written for record {named}");
                Err(LogError::Damaged { file: name, offset: 0, what })
            }
            None => Err(LogError::Damaged { file: name, offset: 0, what: "its header is not sound".to_owned() }),
        }
    }

    /// When its first record was written; `None` if there is none, or it does not say.
    pub(crate) fn first_time(&self) -> io::Result<Option<Timestamp>> {
        let mut frames = Frames::new(self.file.clone(), HEADER, self.file.length()?);
        Ok(match frames.next()? {
            Next::Frame { payload, .. } => Link::read(payload).and_then(|link| link.time),
            Next::End | Next::Bad(_) => None,
        })
    }

    /// Reads every frame and follows the chain, up to the record before `next`, or, for the last segment, to the end.
    pub(crate) fn check(&self, next: Option<u64>) -> Result<Checked, LogError> {
        let failed = LogError::io(format!("reading {}", self.name));
        self.read_all(next).map_err(failed)?
    }

    fn read_all(&self, next: Option<u64>) -> io::Result<Result<Checked, LogError>> {
        let mut frames = Frames::new(self.file.clone(), HEADER, self.file.length()?);
        let mut tail = Position { sequence: self.first - 1, hash: self.previous };
        let mut epoch = 0;
        let damaged = |offset, what| Ok(Err(LogError::Damaged { file: self.name.clone(), offset, what }));
        loop {
            let wanted = tail.sequence + 1;
            if next == Some(wanted) {
                // What follows was abandoned when a write failed, and never acknowledged.
                return Ok(Ok(Checked { tail, epoch, end: frames.offset(), torn: None }));
            }
            match frames.next()? {
                Next::Frame { offset, payload } => {
                    let Some(link) = Link::read(payload).filter(|link| link.sequence == wanted) else {
                        return damaged(offset, format!("another record stands where record {wanted} should be"));
                    };
                    if link.previous != tail.hash {
                        return damaged(offset, format!("record {wanted} does not follow the record before it"));
                    }
                    tail = Position { sequence: wanted, hash: sha256(payload) };
                    epoch = link.epoch;
                    self.mark(wanted, offset);
                }
                Next::End => match next {
                    Some(next) => {
                        let what = format!("it ends before record {wanted}, the next file begins with record {next}");
                        return damaged(frames.offset(), what);
                    }
                    None => return Ok(Ok(Checked { tail, epoch, end: frames.offset(), torn: None })),
                },
                Next::Bad(bad) => {
                    let tail_of_log = next.is_none() && bad.torn && !frames.durable_later(bad.offset, wanted)?;
                    if !tail_of_log {
                        return damaged(bad.offset, format!("{} (record {wanted} was expected)", bad.what));
                    }
                    return Ok(Ok(Checked { tail, epoch, end: bad.offset, torn: Some(bad) }));
                }
            }
        }
    }

    /// Remembers where a record stands, if the last one remembered is far enough away.
    pub(super) fn mark(&self, sequence: u64, offset: u64) {
        let mut marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        if marks.last().is_none_or(|(_, last)| offset >= last + MARK_EVERY) {
            marks.push((sequence, offset));
        }
    }

    /// A place in the file at or before the record `sequence`.
    pub(super) fn near(&self, sequence: u64) -> u64 {
        let marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        let after = marks.partition_point(|(at, _)| *at <= sequence);
        marks.get(after.saturating_sub(1)).map_or(HEADER, |(_, offset)| *offset)
    }
}
