//! A copy of the index in one file, verified by reading it back, from which an index is made again.
//!
//! It is taken while writes go on, a few records at a time, so no writer waits for it. What it holds is therefore not the
//! index at one moment, but every record as it was at some moment between two journal positions, `base` and `reach`.
//! Replaying the journal from `base` on repeats what is in it already, which changes nothing, and adds what is not: at
//! `reach` and beyond the result is exact. The journal after `base` is kept for as long as the snapshot is.
//!
//! File: header (magic [8], base u64 + hash [32], CRC32C u32), blocks (length u32, CRC32C u32, records), an empty
//! block, footer (records u64, SHA-256 of all blocks [32], reach u64 + hash [32], CRC32C u32).
//! Record: key length u16, key, version u64, mount [16], class u8, value length u32, value.

use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, Ordering};

use aws_lc_rs::digest::{Context, SHA256};
use crc32c::crc32c;
use framework::MountId;

use crate::bytes::Reader;
use crate::disk::{Disk, DiskFile, FileReader, TEMPORARY, remove_if_there};
use crate::history::Retired;
use crate::index::{Change, Index, IndexError, Stored};
use crate::record::{Position, class_from_byte, class_to_byte};

pub(crate) const FOLDER: &str = "snapshot";
const ENDING: &str = ".snap";
const MAGIC: [u8; 8] = *b"HFSNAP1\n";
const HEADER: usize = 52;
const FOOTER: usize = 84;
/// Records are gathered to blocks of about this size.
const BLOCK: usize = 256 << 10;
/// A block is one record larger at most.
const LARGEST_BLOCK: usize = crate::record::LARGEST_RECORD + BLOCK;

/// A snapshot whose header and footer are sound.
#[derive(Clone)]
pub(crate) struct Snapshot {
    pub(crate) name: String,
    pub(crate) base: Position,
    pub(crate) reach: Position,
    pub(crate) bytes: u64,
    records: u64,
    digest: [u8; 32],
}

/// Why there is no snapshot.
#[derive(Debug)]
pub(crate) enum SnapshotError {
    Io(io::Error),
    Index(IndexError),
    /// The file is not what was written.
    Damaged {
        file: String,
        what: &'static str,
    },
    /// The server is stopping.
    Stopped,
}

impl From<io::Error> for SnapshotError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<IndexError> for SnapshotError {
    fn from(error: IndexError) -> Self {
        Self::Index(error)
    }
}

impl std::fmt::Display for SnapshotError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Index(error) => error.fmt(f),
            Self::Damaged { file, what } => write!(f, "{file} is damaged: {what}"),
            Self::Stopped => f.write_str("the server is stopping"),
        }
    }
}

/// What a snapshot is taken of, while others may go on writing to it.
pub(crate) trait Source {
    /// Records in byte order from `from` on, until `visit` says `false`; each as it is when it is visited.
    fn walk(&self, from: &str, visit: &mut dyn FnMut(&str, &Stored) -> bool) -> Result<(), SnapshotError>;
    /// Where it stands now.
    fn position(&self) -> Result<Position, SnapshotError>;
}

impl<I: Index + ?Sized> Source for I {
    fn walk(&self, from: &str, visit: &mut dyn FnMut(&str, &Stored) -> bool) -> Result<(), SnapshotError> {
        Ok(Index::walk(self, from, visit)?)
    }

    fn position(&self) -> Result<Position, SnapshotError> {
        Ok(self.state().position)
    }
}

/// The file of a snapshot that begins at `base`.
pub(crate) fn name(base: Position) -> String {
    format!("{FOLDER}/{:020}{ENDING}", base.sequence)
}

/// Whether a file's name is that of a snapshot.
pub(crate) fn is_name(name: &str) -> bool {
    name.ends_with(ENDING)
}

/// Exports `index`, which has reached `base`.
pub(crate) fn take(
    disk: &dyn Disk,
    index: &dyn Index,
    base: Position,
    stop: &AtomicBool,
) -> Result<Snapshot, SnapshotError> {
    disk.create_folder(FOLDER)?;
    let name = name(base);
    let temporary = format!("{name}{TEMPORARY}");
    remove_if_there(disk, &temporary)?;
    let file = disk.open(&temporary, true)?;
    let written = write(file.as_ref(), index, base, stop).and_then(|_| {
        file.sync()?;
        let read_back = Snapshot::open(disk, &temporary)?;
        read_back.blocks(disk, stop, &mut |_| Ok(()))?;
        Ok(read_back)
    });
    let snapshot = match written {
        Ok(snapshot) => Snapshot { name, ..snapshot },
        Err(error) => {
            let _ = remove_if_there(disk, &temporary);
            return Err(error);
        }
    };
    disk.rename(&temporary, &snapshot.name)?;
    disk.sync_folder(FOLDER)?;
    Ok(snapshot)
}

/// Writes the records of `source`, which has reached `base`, as a snapshot. Does not sync. Gives where the source stands
/// after that.
pub(crate) fn write<S: Source + ?Sized>(
    file: &dyn DiskFile,
    source: &S,
    base: Position,
    stop: &AtomicBool,
) -> Result<Position, SnapshotError> {
    let mut header = [MAGIC.as_slice(), &base.sequence.to_le_bytes(), &base.hash].concat();
    header.extend_from_slice(&crc32c(&header).to_le_bytes());
    file.write_at(0, &header)?;
    let mut end = header.len() as u64;
    let (mut records, mut digest) = (0_u64, Context::new(&SHA256));
    let mut from = Some(String::new());
    while let Some(start) = from {
        if stop.load(Ordering::Relaxed) {
            return Err(SnapshotError::Stopped);
        }
        let (mut block, mut last) = (Vec::new(), None);
        source.walk(&start, &mut |key, stored| {
            encode(key, stored, &mut block);
            records += 1;
            if block.len() >= BLOCK {
                last = Some(key.to_owned());
            }
            last.is_none()
        })?;
        if !block.is_empty() {
            digest.update(&block);
            end += write_block(file, end, &block)?;
        }
        // The least key that is greater; none where the walk came to its end.
        from = last.map(|last| last + "\0");
    }
    end += write_block(file, end, &[])?;
    let reach = source.position()?;
    let digest = digest.finish();
    let mut footer = [&records.to_le_bytes(), digest.as_ref(), &reach.sequence.to_le_bytes(), &reach.hash].concat();
    footer.extend_from_slice(&crc32c(&footer).to_le_bytes());
    file.write_at(end, &footer)?;
    Ok(reach)
}

fn write_block(file: &dyn DiskFile, at: u64, block: &[u8]) -> io::Result<u64> {
    let length = u32::try_from(block.len()).unwrap_or(u32::MAX);
    let prefix = [length.to_le_bytes(), crc32c(block).to_le_bytes()].concat();
    file.write_at(at, &prefix)?;
    file.write_at(at + prefix.len() as u64, block)?;
    Ok((prefix.len() + block.len()) as u64)
}

fn encode(key: &str, stored: &Stored, into: &mut Vec<u8>) {
    into.extend_from_slice(&u16::try_from(key.len()).unwrap_or(u16::MAX).to_le_bytes());
    into.extend_from_slice(key.as_bytes());
    into.extend_from_slice(&stored.version.to_le_bytes());
    into.extend_from_slice(&stored.mount.0);
    into.push(class_to_byte(stored.class));
    into.extend_from_slice(&u32::try_from(stored.value.len()).unwrap_or(u32::MAX).to_le_bytes());
    into.extend_from_slice(&stored.value);
}

fn decode<'a>(reader: &mut Reader<'a>) -> Option<Change<'a>> {
    let key = usize::from(reader.u16()?);
    let key = std::str::from_utf8(reader.take(key)?).ok()?;
    let (version, mount, class) = (reader.u64()?, MountId(reader.array()?), class_from_byte(reader.u8()?)?);
    let length = usize::try_from(reader.u32()?).ok()?;
    Some(Change { key, version, mount, class, value: Some(reader.take(length)?), replaces: None })
}

impl Snapshot {
    /// The newest snapshot; removes what an interrupted one left behind.
    pub(crate) fn newest(disk: &dyn Disk) -> Result<Option<Self>, SnapshotError> {
        let mut names = Vec::new();
        for name in disk.list(FOLDER)? {
            if name.ends_with(TEMPORARY) {
                remove_if_there(disk, &format!("{FOLDER}/{name}"))?;
            } else if is_name(&name) {
                names.push(name);
            }
        }
        names.sort();
        names.pop().map(|name| Self::open(disk, &format!("{FOLDER}/{name}"))).transpose()
    }

    /// Retires all snapshots but this one.
    pub(crate) fn retire_others(&self, disk: &dyn Disk, retired: Retired) -> io::Result<()> {
        for name in disk.list(FOLDER)? {
            let name = format!("{FOLDER}/{name}");
            if name != self.name {
                retired.dispose(disk, &name)?;
            }
        }
        disk.sync_folder(FOLDER)
    }

    pub(crate) fn open(disk: &dyn Disk, name: &str) -> Result<Self, SnapshotError> {
        let damaged = |what| SnapshotError::Damaged { file: name.to_owned(), what };
        let file = disk.open(name, false)?;
        let bytes = file.length()?;
        if bytes < (HEADER + FOOTER) as u64 {
            return Err(damaged("it is cut short"));
        }
        let (mut header, mut footer) = ([0; HEADER], [0; FOOTER]);
        file.read_at(0, &mut header)?;
        file.read_at(bytes - FOOTER as u64, &mut footer)?;
        let base = read_header(&header).map_err(damaged)?;
        let Footer { records, digest, reach } = read_footer(&footer).map_err(damaged)?;
        Ok(Self { name: name.to_owned(), base, reach, bytes, records, digest })
    }

    /// Reads and checks everything, a block at a time.
    pub(crate) fn blocks(
        &self,
        disk: &dyn Disk,
        stop: &AtomicBool,
        each: &mut dyn FnMut(&[Change<'_>]) -> Result<(), SnapshotError>,
    ) -> Result<(), SnapshotError> {
        let mut file = FileReader::new(disk.open(&self.name, false)?)?;
        let read = read(&mut file, &self.name, &mut |changes| {
            if stop.load(Ordering::Relaxed) { Err(SnapshotError::Stopped) } else { each(changes) }
        })?;
        let Self { base, reach, records, digest, .. } = *self;
        let written = Content { base, reach, records, digest };
        if read == written {
            Ok(())
        } else {
            let what = "its blocks are not the ones that were written";
            Err(SnapshotError::Damaged { file: self.name.clone(), what })
        }
    }

    /// Fills an empty index, which says that it is complete only at the end.
    pub(crate) fn load(&self, disk: &dyn Disk, index: &dyn Index, genesis: Position) -> Result<(), SnapshotError> {
        let stop = AtomicBool::new(false);
        self.blocks(disk, &stop, &mut |changes| Ok(index.write(changes, genesis)?))?;
        Ok(index.write(&[], self.base)?)
    }
}

/// What a snapshot holds, apart from its records.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Content {
    pub(crate) base: Position,
    pub(crate) reach: Position,
    pub(crate) records: u64,
    /// SHA-256 of all blocks.
    pub(crate) digest: [u8; 32],
}

/// Reads a snapshot from its first byte to its last, and checks all of it; `each` gets the records of a block. `name` is for
/// messages. What `bytes` has beyond the snapshot is left there.
pub(crate) fn read(
    bytes: &mut dyn Read,
    name: &str,
    each: &mut dyn FnMut(&[Change<'_>]) -> Result<(), SnapshotError>,
) -> Result<Content, SnapshotError> {
    let damaged = |what| SnapshotError::Damaged { file: name.to_owned(), what };
    let mut fill = |into: &mut [u8]| match bytes.read_exact(into) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(damaged("it is cut short")),
        other => Ok(other?),
    };
    let mut header = [0; HEADER];
    fill(&mut header)?;
    let base = read_header(&header).map_err(damaged)?;
    let (mut records, mut digest) = (0_u64, Context::new(&SHA256));
    loop {
        let mut prefix = [0; 8];
        fill(&mut prefix)?;
        let mut reader = Reader::new(&prefix);
        let (length, crc) = reader.u32().zip(reader.u32()).unwrap_or_default();
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length > LARGEST_BLOCK {
            return Err(damaged("a block is too long"));
        }
        let mut block = vec![0; length];
        fill(&mut block)?;
        if crc32c(&block) != crc {
            return Err(damaged("a block does not match its checksum"));
        }
        if block.is_empty() {
            break;
        }
        digest.update(&block);
        let mut reader = Reader::new(&block);
        let mut changes = Vec::new();
        while !reader.rest().is_empty() {
            changes.push(decode(&mut reader).ok_or_else(|| damaged("a record makes no sense"))?);
        }
        records += changes.len() as u64;
        each(&changes)?;
    }
    let mut footer = [0; FOOTER];
    fill(&mut footer)?;
    let footer = read_footer(&footer).map_err(damaged)?;
    if records != footer.records || digest.finish().as_ref() != footer.digest {
        return Err(damaged("its blocks are not the ones that were written"));
    }
    Ok(Content { base, reach: footer.reach, records, digest: footer.digest })
}

fn read_header(header: &[u8; HEADER]) -> Result<Position, &'static str> {
    let read = || {
        let mut reader = Reader::new(header);
        let magic = reader.array()?;
        let base = Position { sequence: reader.u64()?, hash: reader.array()? };
        let sound = magic == MAGIC && reader.u32()? == crc32c(header.get(..HEADER - 4)?);
        sound.then_some(base)
    };
    read().ok_or("its header is not sound")
}

struct Footer {
    records: u64,
    digest: [u8; 32],
    reach: Position,
}

fn read_footer(footer: &[u8; FOOTER]) -> Result<Footer, &'static str> {
    let read = || {
        let mut reader = Reader::new(footer);
        let (records, digest) = (reader.u64()?, reader.array()?);
        let reach = Position { sequence: reader.u64()?, hash: reader.array()? };
        let sound = reader.u32()? == crc32c(footer.get(..FOOTER - 4)?);
        sound.then_some(Footer { records, digest, reach })
    };
    read().ok_or("its footer is not sound")
}

/// A snapshot of one block that holds `records`; its digest is not theirs.
#[cfg(fuzzing)]
pub(crate) fn fuzzing_block(records: &[u8]) -> Vec<u8> {
    let mut file = [MAGIC.as_slice(), &[0; 40]].concat();
    file.extend_from_slice(&crc32c(&file).to_le_bytes());
    for block in [records, &[]] {
        file.extend_from_slice(&u32::try_from(block.len()).unwrap_or(0).to_le_bytes());
        file.extend_from_slice(&crc32c(block).to_le_bytes());
        file.extend_from_slice(block);
    }
    let footer = [0; FOOTER - 4];
    file.extend_from_slice(&footer);
    file.extend_from_slice(&crc32c(&footer).to_le_bytes());
    file
}
