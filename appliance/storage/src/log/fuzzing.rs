//! What fuzzing reaches: how a segment file is read (`appliance/fuzz`).

use std::io;
use std::sync::Arc;

use super::frame::{Frames, Next, encode};
use crate::disk::DiskFile;

/// `payload` as a frame of a segment file.
pub fn frame(payload: &[u8]) -> Vec<u8> {
    [&encode(0, payload), payload].concat()
}

/// The payloads of the frames in a file with these bytes, up to the first place where none stands. Looks there whether it
/// is a torn end, as the start of the server does.
pub fn payloads(bytes: Vec<u8>) -> io::Result<Vec<Vec<u8>>> {
    let length = bytes.len() as u64;
    let mut frames = Frames::new(Arc::new(Bytes(bytes)), 0, length);
    let mut found = Vec::new();
    loop {
        let offset = frames.offset();
        match frames.next()? {
            Next::Frame { payload, .. } => found.push(payload.to_vec()),
            Next::End => return Ok(found),
            Next::Bad(_) => {
                frames.durable_later(offset, found.len() as u64)?;
                return Ok(found);
            }
        }
    }
}

/// A file that is not written to.
struct Bytes(Vec<u8>);

impl DiskFile for Bytes {
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        let start = usize::try_from(offset).map_err(io::Error::other)?;
        let part = self.0.get(start..start.saturating_add(into.len())).ok_or(io::ErrorKind::UnexpectedEof)?;
        into.copy_from_slice(part);
        Ok(())
    }

    fn write_at(&self, _: u64, _: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.0.len() as u64)
    }

    fn set_length(&self, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}
