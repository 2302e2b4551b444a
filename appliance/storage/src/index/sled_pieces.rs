//! Large values in sled: cut into chunks.

use super::{HEAD, Head};
use crate::record::sha256;

/// The largest sled record, key and value together.
const LARGEST: usize = 2048;
/// Bytes of a value in one chunk.
pub(crate) const CHUNK: usize = 1984;
/// The first byte of the names of chunks.
const PIECE: u8 = b'c';
/// The first byte of the names of notes of discarded chunks.
pub(crate) const DISCARDED: u8 = b'd';

/// The chunks of one value. Their names are short whatever the key, and others for every version.
pub(crate) struct Pieces {
    id: [u8; 16],
    /// 0 if the value stands beside its head.
    pub(crate) count: u32,
}

impl Pieces {
    pub(crate) fn of(key: &str, head: &Head) -> Self {
        let mut pieces = Self { id: [0; 16], count: 0 };
        if HEAD + key.len() + head.length > LARGEST {
            let hash = sha256(&[head.version.to_le_bytes().as_slice(), key.as_bytes()].concat());
            pieces.id.iter_mut().zip(hash).for_each(|(place, byte)| *place = byte);
            pieces.count = u32::try_from(head.length.div_ceil(CHUNK)).unwrap_or(u32::MAX);
        }
        pieces
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = Vec<u8>> + use<> {
        let id = self.id;
        (0..self.count).map(move |number| [&[PIECE], id.as_slice(), &number.to_be_bytes()].concat())
    }

    /// Where it is noted, with their count, that they belong to no record any more.
    pub(crate) fn note(&self) -> Vec<u8> {
        [&[DISCARDED], self.id.as_slice()].concat()
    }

    /// Those that such a note speaks of.
    pub(crate) fn read(name: &[u8], count: &[u8]) -> Option<Self> {
        let id = name.strip_prefix(&[DISCARDED])?.try_into().ok()?;
        Some(Self { id, count: u32::from_be_bytes(count.try_into().ok()?) })
    }
}
