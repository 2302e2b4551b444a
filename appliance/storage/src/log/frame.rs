//! How records stand in a segment file.
//!
//! A frame is a header (magic u32, payload length u32, group u64, CRC32C of the payload u32, CRC32C of the header u32; all
//! little-endian) and the encoded record. `group` is the sequence of the first record that shared this one's sync: every
//! record before it was durable when this frame was written. That tells a torn tail, which a power cut leaves, from damage.

use std::io::{self, Read};
use std::sync::Arc;

use crc32c::crc32c;

use crate::bytes::Reader;
use crate::disk::DiskFile;
use crate::record::{LARGEST_RECORD, Link};

pub(super) const HEADER: usize = 24;
const MAGIC: [u8; 4] = *b"\xc6HF1";
const WINDOW: usize = 1 << 20;
/// The smallest unit a disk writes as a whole.
const SECTOR: u64 = 512;

/// What stands before this payload.
pub(crate) fn encode(group: u64, payload: &[u8]) -> [u8; HEADER] {
    let mut header = [0_u8; HEADER];
    let fields = [
        MAGIC.as_slice(),
        &u32::try_from(payload.len()).unwrap_or(u32::MAX).to_le_bytes(),
        &group.to_le_bytes(),
        &crc32c(payload).to_le_bytes(),
    ]
    .concat();
    let crc = crc32c(&fields).to_le_bytes();
    for (place, byte) in header.iter_mut().zip(fields.iter().chain(&crc)) {
        *place = *byte;
    }
    header
}

struct Header {
    group: u64,
    length: usize,
    crc: u32,
}

fn header(bytes: &[u8]) -> Option<Header> {
    let mut reader = Reader::new(bytes);
    let magic = reader.array::<4>()?;
    let length = usize::try_from(reader.u32()?).ok()?;
    let (group, crc) = (reader.u64()?, reader.u32()?);
    let own = reader.u32()?;
    let sound = magic == MAGIC && length <= LARGEST_RECORD && crc32c(bytes.get(..HEADER - 4)?) == own;
    sound.then_some(Header { group, length, crc })
}

/// The next record of a stream of frames that nothing may have torn; `None` at its end.
pub(crate) fn read(frames: &mut dyn Read) -> io::Result<Option<Vec<u8>>> {
    let bad = |what| io::Error::new(io::ErrorKind::InvalidData, what);
    let mut head = Vec::with_capacity(HEADER);
    Read::take(&mut *frames, HEADER as u64).read_to_end(&mut head)?;
    if head.is_empty() {
        return Ok(None);
    }
    let header = header(&head).ok_or_else(|| bad("no record begins where one should"))?;
    let mut payload = Vec::new();
    Read::take(&mut *frames, header.length as u64).read_to_end(&mut payload)?;
    if payload.len() < header.length {
        return Err(bad("a record is cut short"));
    }
    if crc32c(&payload) != header.crc {
        return Err(bad("a record does not match its checksum"));
    }
    Ok(Some(payload))
}

/// What stands at a place in a segment.
pub(super) enum Next<'f> {
    Frame { offset: u64, payload: &'f [u8] },
    End,
    Bad(Bad),
}

/// A place where a frame should stand and does not.
pub(super) struct Bad {
    pub(super) offset: u64,
    pub(super) what: &'static str,
    /// Whether bytes are missing (file too short, a sector never written) as a power cut leaves them.
    pub(super) torn: bool,
}

/// The frames of one segment file, in order.
pub(super) struct Frames {
    file: Arc<dyn DiskFile>,
    length: u64,
    offset: u64,
    window: Vec<u8>,
    window_at: u64,
}

impl Frames {
    pub(super) fn new(file: Arc<dyn DiskFile>, from: u64, length: u64) -> Self {
        Self { file, length, offset: from, window: Vec::new(), window_at: 0 }
    }

    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// The bytes at `offset`: `count`, or as many as the file has.
    fn bytes(&mut self, offset: u64, count: usize) -> io::Result<&[u8]> {
        let left = usize::try_from(self.length.saturating_sub(offset)).unwrap_or(usize::MAX);
        let count = count.min(left);
        let inside = offset.checked_sub(self.window_at).and_then(|skip| usize::try_from(skip).ok());
        let start = match inside.filter(|skip| skip.saturating_add(count) <= self.window.len()) {
            Some(start) => start,
            None => {
                self.window.resize(count.max(WINDOW).min(left), 0);
                self.window_at = offset;
                self.file.read_at(offset, &mut self.window)?;
                0
            }
        };
        Ok(self.window.get(start..start.saturating_add(count)).unwrap_or_default())
    }

    pub(super) fn next(&mut self) -> io::Result<Next<'_>> {
        let offset = self.offset;
        if offset >= self.length {
            return Ok(Next::End);
        }
        let Some(header) = header(self.bytes(offset, HEADER)?) else {
            let torn = self.missing_sector(offset, HEADER)?;
            return Ok(Next::Bad(Bad { offset, what: "no record begins here", torn }));
        };
        let start = offset + HEADER as u64;
        let payload = self.bytes(start, header.length)?;
        if payload.len() < header.length {
            return Ok(Next::Bad(Bad { offset, what: "the record is cut short", torn: true }));
        }
        if crc32c(payload) != header.crc {
            let torn = self.missing_sector(offset, HEADER + header.length)?;
            return Ok(Next::Bad(Bad { offset, what: "the record does not match its checksum", torn }));
        }
        self.offset = start + header.length as u64;
        let payload = self.bytes(start, header.length)?;
        Ok(Next::Frame { offset, payload })
    }

    /// Whether part of `count` bytes at `offset` is beyond the file's end or lies in a sector without a byte of them:
    /// an append that a power cut interrupted leaves such gaps, and nothing but such gaps.
    fn missing_sector(&mut self, offset: u64, count: usize) -> io::Result<bool> {
        let bytes = self.bytes(offset, count)?;
        if bytes.len() < count {
            return Ok(true);
        }
        let first = usize::try_from(SECTOR - offset % SECTOR).unwrap_or(0).min(count);
        let (head, rest) = bytes.split_at_checked(first).unwrap_or((bytes, &[]));
        let empty = |sector: &[u8]| sector.iter().all(|byte| *byte == 0);
        Ok(empty(head) || rest.chunks(SECTOR as usize).any(empty))
    }

    /// Whether a sound frame after `offset` was written when the record `sequence` was already durable.
    pub(super) fn durable_later(&mut self, offset: u64, sequence: u64) -> io::Result<bool> {
        let mut at = offset + 1;
        while at < self.length {
            let window = self.bytes(at, WINDOW)?;
            let seen = window.len();
            let found = window.windows(MAGIC.len()).position(|bytes| bytes == MAGIC);
            let Some(found) = found else {
                at += (seen.saturating_sub(MAGIC.len() - 1)).max(1) as u64;
                continue;
            };
            at += found as u64;
            if let Some(header) = header(self.bytes(at, HEADER)?) {
                let payload = self.bytes(at + HEADER as u64, header.length)?;
                let sound = payload.len() == header.length && crc32c(payload) == header.crc;
                let ours = Link::read(payload).is_some_and(|link| link.sequence >= header.group);
                if sound && ours && header.group > sequence {
                    return Ok(true);
                }
            }
            at += 1;
        }
        Ok(false)
    }
}
