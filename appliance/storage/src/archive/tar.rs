//! The little of tar (POSIX.1-1988 "ustar") that an archive needs: plain files, one after the other.

use std::io::{self, Read};

use aws_lc_rs::digest::{Context, SHA256};

use crate::record::finished;

/// Everything is padded with zeros to a multiple of this.
pub(super) const BLOCK: usize = 512;

/// Where a header's fields lie.
const NAME: std::ops::Range<usize> = 0..100;
const SIZE: std::ops::Range<usize> = 124..136;
const CHECKSUM: std::ops::Range<usize> = 148..156;
const KIND: usize = 156;
const PLAIN_FILE: u8 = b'0';
/// The first bit of a size that is binary, as sizes from 8 GiB on are (GNU tar).
const BINARY: u8 = 0x80;

/// The header of a file that only its owner may read.
pub(super) fn header(name: &str, size: u64, modified: u64) -> [u8; BLOCK] {
    let mut header = [0; BLOCK];
    let mut put = |at: usize, bytes: &[u8]| {
        for (place, byte) in header.iter_mut().skip(at).zip(bytes) {
            *place = *byte;
        }
    };
    put(NAME.start, name.as_bytes());
    put(100, b"0000600\x000000000\x000000000\0");
    if size >> 33 == 0 {
        put(SIZE.start, format!("{size:011o}\0").as_bytes());
    } else {
        put(SIZE.start, &[BINARY, 0, 0, 0]);
        put(SIZE.end - 8, &size.to_be_bytes());
    }
    put(136, format!("{modified:011o}\0").as_bytes());
    put(KIND, &[PLAIN_FILE]);
    put(257, b"ustar\x0000");
    let sum = checksum(&header);
    for (place, byte) in header.iter_mut().skip(CHECKSUM.start).zip(format!("{sum:06o}\0 ").bytes()) {
        *place = byte;
    }
    header
}

/// Zeros that follow a file of this size.
pub(super) fn padding(size: u64) -> u64 {
    size.next_multiple_of(BLOCK as u64) - size
}

/// The sum of a header's bytes, those of the sum itself taken for blanks.
fn checksum(header: &[u8; BLOCK]) -> u32 {
    let byte = |(at, byte): (usize, &u8)| u32::from(if CHECKSUM.contains(&at) { b' ' } else { *byte });
    header.iter().enumerate().map(byte).sum()
}

/// One file, as it is read; what is read goes into its digest.
pub(super) struct Entry<'a> {
    tar: &'a mut dyn Read,
    pub(super) name: String,
    pub(super) size: u64,
    left: u64,
    digest: Context,
}

/// The next file; `None` at the end.
pub(super) fn next(tar: &mut dyn Read) -> io::Result<Option<Entry<'_>>> {
    let mut header = [0; BLOCK];
    tar.read_exact(&mut header)?;
    if header == [0; BLOCK] {
        return Ok(None);
    }
    let bad = || io::Error::new(io::ErrorKind::InvalidData, "what should be a header of tar is none");
    let (name, size) = parse(&header).ok_or_else(bad)?;
    Ok(Some(Entry { tar, name, size, left: size, digest: Context::new(&SHA256) }))
}

fn parse(header: &[u8; BLOCK]) -> Option<(String, u64)> {
    let text = |range: std::ops::Range<usize>| {
        let text = std::str::from_utf8(header.get(range)?).ok()?;
        Some(text.split('\0').next()?.trim().to_owned())
    };
    let sound = u32::from_str_radix(&text(CHECKSUM)?, 8).ok()? == checksum(header);
    let plain = matches!(header.get(KIND)?, &PLAIN_FILE | 0);
    let size = match header.get(SIZE)? {
        [BINARY, 0, 0, 0, rest @ ..] => u64::from_be_bytes(rest.try_into().ok()?),
        _ => u64::from_str_radix(&text(SIZE)?, 8).ok()?,
    };
    (sound && plain).then_some((text(NAME)?, size))
}

impl Read for Entry<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(into.len());
        let part = into.get_mut(..most).unwrap_or_default();
        let count = self.tar.read(part)?;
        if count == 0 && most > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.digest.update(part.get(..count).unwrap_or_default());
        self.left -= count as u64;
        Ok(count)
    }
}

impl Entry<'_> {
    /// Goes on behind the file, all of which must have been read. Gives its SHA-256.
    pub(super) fn end(self) -> io::Result<[u8; 32]> {
        let bad = |what| Err(io::Error::new(io::ErrorKind::InvalidData, what));
        if self.left > 0 {
            return bad(format!("{} is longer than what it holds", self.name));
        }
        let mut zeros = [0; BLOCK];
        let zeros = zeros.get_mut(..usize::try_from(padding(self.size)).unwrap_or_default()).unwrap_or_default();
        self.tar.read_exact(zeros)?;
        if zeros.iter().any(|byte| *byte != 0) {
            return bad(format!("something stands behind {}", self.name));
        }
        Ok(finished(&self.digest.finish()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_as_they_are_written_however_large_the_file() {
        for size in [0, 1, 511, 512, (1 << 33) - 1, 1 << 33, u64::MAX] {
            let header = header("meta.json", size, 1_700_000_000);
            assert_eq!(parse(&header), Some(("meta.json".to_owned(), size)));
            for at in [0, 124, 148, 156, 257] {
                let mut damaged = header;
                damaged[at] ^= 1;
                assert_eq!(parse(&damaged), None, "byte {at}");
            }
        }
    }
}
