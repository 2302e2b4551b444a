//! Saving: the records, and what is written meanwhile, go into two files beside the data, are read back and checked, and
//! then leave as one stream.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use aws_lc_rs::digest::{Context, SHA256};
use flate2::Compression;
use flate2::read::GzEncoder;
use framework::Error;

use super::read::{read_journal, read_state};
use super::{Check, Contents, JOURNAL, META, Meta, SEALED, STATE, SUMS, tar};
use crate::OpenError;
use crate::disk::{Disk, DiskFile, FileReader};
use crate::index::Stored;
use crate::log::{Log, Position, frame, segment};
use crate::record::{finished, sha256};
use crate::snapshot::{self, SnapshotError, Source};
use crate::storage::{Storage, Turn};

/// Where an archive's files lie while they are made and sent.
pub(crate) const SPOOL: &str = "spool";
/// Bytes of frames that are written at once.
const WRITE: usize = 1 << 20;

/// A snapshot of the store, read back and checked, ready to be sent. Its files go when it is dropped.
pub struct Export {
    spool: Spool,
    contents: Contents,
    meta: Vec<u8>,
    state: [u8; 32],
    journal: [u8; 32],
}

/// The folder of the files, for one export at a time.
struct Spool {
    disk: Arc<dyn Disk>,
    _turn: Turn,
}

impl Spool {
    fn new(disk: Arc<dyn Disk>, turn: Turn) -> io::Result<Self> {
        disk.remove_folder(SPOOL)?;
        disk.create_folder(SPOOL)?;
        Ok(Self { disk, _turn: turn })
    }

    fn file(&self, name: &str, create: bool) -> io::Result<Arc<dyn DiskFile>> {
        self.disk.open(&format!("{SPOOL}/{name}"), create)
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        if let Err(error) = self.disk.remove_folder(SPOOL) {
            tracing::warn!(%error, "the files of a snapshot could not be removed; they go with the next one");
        }
    }
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::internal(format!("taking a snapshot: {error}"))
}

impl Storage {
    /// Copies the store as it is at one record of its journal, while readers and writers go on, and reads the copy back:
    /// `check` is asked of every record. [`Error::Busy`] while another snapshot is being taken or restored.
    pub fn export(&self, check: Check<'_>) -> Result<Export, Error> {
        let place = self.place()?;
        // From here on nothing is taken off the journal.
        let turn = place.turn()?;
        let identity = crate::folder::identity(place.disk.as_ref()).map_err(failed)?.unwrap_or_default();
        let spool = Spool::new(place.disk.clone(), turn).map_err(failed)?;
        let base = self.position().map_err(failed)?;
        let state = spool.file(STATE, true).map_err(failed)?;
        let reach = snapshot::write(state.as_ref(), self, base, &AtomicBool::new(false)).map_err(failed)?;
        let journal = spool.file(JOURNAL, true).map_err(failed)?;
        write_journal(journal.as_ref(), self.log(), base, reach).map_err(failed)?;
        let meta = Meta { identity, sequence: reach.sequence, created: place.options.clock.now() };
        Export::read_back(spool, meta, check)
    }
}

/// The records after `base` up to `reach`, as a file of the journal.
fn write_journal(file: &dyn DiskFile, log: &dyn Log, base: Position, reach: Position) -> Result<(), OpenError> {
    let io = |error| OpenError::io("writing the snapshot's journal")(error);
    let mut bytes = segment::header(base);
    let mut end = 0;
    for record in log.read(base.sequence + 1)? {
        let record = record?;
        if record.sequence > reach.sequence {
            break;
        }
        bytes.extend_from_slice(&frame::encode(record.sequence, record.encoded()));
        bytes.extend_from_slice(record.encoded());
        if bytes.len() >= WRITE {
            file.write_at(end, &bytes).map_err(io)?;
            end += bytes.len() as u64;
            bytes.clear();
        }
    }
    file.write_at(end, &bytes).map_err(io)
}

impl Source for Storage {
    fn walk(&self, from: &str, visit: &mut dyn FnMut(&str, &Stored) -> bool) -> Result<(), SnapshotError> {
        let mut from = from.to_owned();
        // The index may be replaced between two pages: what replaces it holds the same, or newer.
        loop {
            let page = self.page(&from).map_err(unreadable)?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            if page.iter().any(|(key, stored)| !visit(key, stored)) {
                return Ok(());
            }
            from = format!("{last}\0");
        }
    }

    fn position(&self) -> Result<Position, SnapshotError> {
        let position = self.read(|index| Ok(index.state().position));
        position.map_err(unreadable)
    }
}

fn unreadable(error: Error) -> SnapshotError {
    SnapshotError::Io(io::Error::other(format!("{error:?}")))
}

impl Export {
    fn read_back(spool: Spool, meta: Meta, check: Check<'_>) -> Result<Self, Error> {
        let open = |name| Hashed::new(FileReader::new(spool.file(name, false)?)?);
        let (mut state, mut journal) = (open(STATE).map_err(failed)?, open(JOURNAL).map_err(failed)?);
        let content = read_state(&mut state, check, &mut |_| Ok(())).map_err(wrong)?;
        let transactions = read_journal(&mut journal, &content, check, &mut |_| Ok(())).map_err(wrong)?;
        let bytes = state.bytes + journal.bytes;
        let encoded = meta.encode();
        let (state, journal) = (state.digest(), journal.digest());
        let sums = super::sums([(META, sha256(&encoded)), (STATE, state), (JOURNAL, journal)]);
        let (position, records) = (content.reach, content.records);
        let contents = Contents { meta, position, records, transactions, bytes, sums, sealed: Vec::new() };
        Ok(Self { spool, contents, meta: encoded, state, journal })
    }

    /// What it holds, but for what the keyring says of it.
    pub fn contents(&self) -> &Contents {
        &self.contents
    }

    /// The archive. `sealed` is what the keyring says of [`Contents::sums`]. Reading fails at the first byte that the disk
    /// does not give back as it was checked.
    pub fn into_archive(self, sealed: Vec<u8>) -> io::Result<impl Read + Send + 'static> {
        let Self { spool, contents, meta, state, journal } = self;
        let modified = u64::try_from(contents.meta.created.secs()).unwrap_or_default();
        let mut tar = Concatenated::default();
        tar.add(META, meta.len() as u64, modified, io::Cursor::new(meta));
        for (name, digest) in [(STATE, state), (JOURNAL, journal)] {
            let file = spool.file(name, false)?;
            tar.add(name, file.length()?, modified, AsChecked { hashed: Hashed::new(FileReader::new(file)?)?, digest });
        }
        tar.add(SUMS, contents.sums.len() as u64, modified, io::Cursor::new(contents.sums));
        tar.add(SEALED, sealed.len() as u64, modified, io::Cursor::new(sealed));
        tar.0.push_back(Box::new(io::repeat(0).take(2 * tar::BLOCK as u64)));
        // Ciphertext cannot be compressed.
        Ok(Archive { gzip: GzEncoder::new(tar, Compression::none()), _spool: spool })
    }
}

/// On the way out it is this machine's fault.
fn wrong(refused: super::Refused) -> Error {
    match refused {
        super::Refused::Record(error @ (Error::Sealed | Error::HsmUnavailable { .. })) => error,
        refused => failed(refused),
    }
}

/// Hashes and counts what is read.
struct Hashed<R> {
    from: R,
    digest: Context,
    bytes: u64,
}

impl<R: Read> Hashed<R> {
    fn new(from: R) -> io::Result<Self> {
        Ok(Self { from, digest: Context::new(&SHA256), bytes: 0 })
    }

    fn digest(&self) -> [u8; 32] {
        finished(&self.digest.clone().finish())
    }
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(into)?;
        self.digest.update(into.get(..count).unwrap_or_default());
        self.bytes += count as u64;
        Ok(count)
    }
}

/// A file that must still be what it was when it was checked.
struct AsChecked {
    hashed: Hashed<FileReader>,
    digest: [u8; 32],
}

impl Read for AsChecked {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.hashed.read(into)?;
        if count == 0 && !into.is_empty() && self.hashed.digest() != self.digest {
            return Err(io::Error::other("a file of the snapshot changed after it was checked"));
        }
        Ok(count)
    }
}

/// One after the other.
#[derive(Default)]
struct Concatenated(VecDeque<Box<dyn Read + Send>>);

impl Concatenated {
    fn add(&mut self, name: &str, size: u64, modified: u64, content: impl Read + Send + 'static) {
        let header = tar::header(name, size, modified).to_vec();
        self.0.push_back(Box::new(io::Cursor::new(header)));
        self.0.push_back(Box::new(content));
        self.0.push_back(Box::new(io::repeat(0).take(tar::padding(size))));
    }
}

impl Read for Concatenated {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while let Some(first) = self.0.front_mut() {
            match first.read(into)? {
                0 if !into.is_empty() => drop(self.0.pop_front()),
                count => return Ok(count),
            }
        }
        Ok(0)
    }
}

/// The stream, and the files it is read from.
struct Archive {
    gzip: GzEncoder<Concatenated>,
    _spool: Spool,
}

impl Read for Archive {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.gzip.read(into)
    }
}
