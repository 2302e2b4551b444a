//! What one position of the journal holds: one transaction.

use aws_lc_rs::digest::{Digest, SHA256, digest};
use framework::{Class, Key, MountId, Timestamp};

use crate::bytes::Reader;

/// The most bytes of one encoded transaction.
pub(crate) const LARGEST_RECORD: usize = 64 << 20;

/// A place in the journal and the SHA-256 of the record there, which fixes everything before it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Position {
    /// Sequence number of the record; 0 stands before the first one.
    pub sequence: u64,
    /// SHA-256 of the encoded record.
    pub hash: [u8; 32],
}

/// One change to one record of the store.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The mount it belongs to.
    pub mount: MountId,
    /// How far it travels.
    pub class: Class,
    /// The record's name, sealed by the barrier.
    pub key: Key,
    /// The new value; `None` deletes.
    pub value: Option<Vec<u8>>,
}

/// One transaction: sequence number, epoch of the leader that wrote it, when it was written, hash of the record before it,
/// and its changes.
#[derive(Clone, Debug)]
pub struct Record {
    /// Its position; the first is 1.
    pub sequence: u64,
    /// Rises with every change of leader. Below 2⁵⁶.
    pub epoch: u64,
    /// By the clock of the server that wrote it, which may have been set back or forth. Unknown in records of format 0.
    pub time: Option<Timestamp>,
    /// SHA-256 of the record before it.
    pub previous: [u8; 32],
    /// The changes, carried out together.
    pub entries: Vec<Entry>,
    encoded: Vec<u8>,
    hash: [u8; 32],
}

// Encoded, little-endian: sequence u64, epoch u56, format u8, previous [32], in format 1 the time in nanoseconds since 1970
// i64, count u32, then per entry
// mount [16], flags u8 (bits 0-1 class, bit 2 delete), key length u16, value length u32, key, value.
const DELETE: u8 = 4;
/// Without a time: what the first version wrote.
const UNTIMED: u8 = 0;
const TIMED: u8 = 1;
/// The format stands above the epoch's bits.
const EPOCH_BITS: u32 = 56;

/// What the chain needs to know of an encoded record, without reading its entries.
#[derive(Clone, Copy)]
pub(crate) struct Link {
    pub(crate) sequence: u64,
    pub(crate) epoch: u64,
    pub(crate) previous: [u8; 32],
    pub(crate) time: Option<Timestamp>,
}

impl Link {
    pub(crate) fn read(encoded: &[u8]) -> Option<Self> {
        Self::take(&mut Reader::new(encoded))
    }

    fn take(reader: &mut Reader<'_>) -> Option<Self> {
        let (sequence, epoch, previous) = (reader.u64()?, reader.u64()?, reader.array()?);
        let time = match u8::try_from(epoch >> EPOCH_BITS).ok()? {
            UNTIMED => None,
            TIMED => Some(Timestamp::from_nanos(i64::from_le_bytes(reader.array()?))),
            _ => return None,
        };
        Some(Self { sequence, epoch: epoch & ((1 << EPOCH_BITS) - 1), previous, time })
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    finished(&digest(&SHA256, bytes))
}

/// The bytes of a SHA-256 that was computed.
pub(crate) fn finished(digest: &Digest) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest.as_ref());
    hash
}

impl Record {
    /// The transaction that follows `after`. `None` if it is larger than a record may be.
    pub fn new(after: Position, epoch: u64, time: Timestamp, entries: Vec<Entry>) -> Option<Self> {
        if epoch >> EPOCH_BITS != 0 {
            return None;
        }
        let sequence = after.sequence.checked_add(1)?;
        let size: usize = entries.iter().map(|entry| entry.size()).sum();
        let mut encoded = Vec::with_capacity(size.checked_add(60)?);
        encoded.extend_from_slice(&sequence.to_le_bytes());
        encoded.extend_from_slice(&(epoch | u64::from(TIMED) << EPOCH_BITS).to_le_bytes());
        encoded.extend_from_slice(&after.hash);
        encoded.extend_from_slice(&time.nanos().to_le_bytes());
        encoded.extend_from_slice(&u32::try_from(entries.len()).ok()?.to_le_bytes());
        for entry in &entries {
            entry.encode(&mut encoded)?;
        }
        if encoded.len() > LARGEST_RECORD {
            return None;
        }
        let hash = sha256(&encoded);
        Some(Self { sequence, epoch, time: Some(time), previous: after.hash, entries, encoded, hash })
    }

    /// Reads an encoded record; `None` if it is not one.
    pub fn decode(encoded: Vec<u8>) -> Option<Self> {
        let mut reader = Reader::new(&encoded);
        let Link { sequence, epoch, previous, time } = Link::take(&mut reader)?;
        let count = reader.u32()?;
        let mut entries = Vec::with_capacity(usize::try_from(count).ok()?.min(encoded.len() / 23));
        for _ in 0..count {
            entries.push(Entry::decode(&mut reader)?);
        }
        if !reader.rest().is_empty() {
            return None;
        }
        let hash = sha256(&encoded);
        Some(Self { sequence, epoch, time, previous, entries, encoded, hash })
    }

    /// The record as bytes.
    pub fn encoded(&self) -> &[u8] {
        &self.encoded
    }

    /// Where it stands.
    pub fn position(&self) -> Position {
        Position { sequence: self.sequence, hash: self.hash }
    }
}

impl Entry {
    fn size(&self) -> usize {
        23 + self.key.as_str().len() + self.value.as_ref().map_or(0, Vec::len)
    }

    fn encode(&self, into: &mut Vec<u8>) -> Option<()> {
        let key = self.key.as_str().as_bytes();
        let value = self.value.as_deref().unwrap_or_default();
        into.extend_from_slice(&self.mount.0);
        into.push(class_to_byte(self.class) | if self.value.is_none() { DELETE } else { 0 });
        into.extend_from_slice(&u16::try_from(key.len()).ok()?.to_le_bytes());
        into.extend_from_slice(&u32::try_from(value.len()).ok()?.to_le_bytes());
        into.extend_from_slice(key);
        into.extend_from_slice(value);
        Some(())
    }

    fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        let mount = MountId(reader.array()?);
        let flags = reader.u8()?;
        let class = class_from_byte(flags & !DELETE)?;
        let key_length = usize::from(reader.u16()?);
        let value_length = usize::try_from(reader.u32()?).ok()?;
        let key = Key::new(std::str::from_utf8(reader.take(key_length)?).ok()?).ok()?;
        let value = reader.take(value_length)?;
        let value = (flags & DELETE == 0).then(|| value.to_vec());
        Some(Self { mount, class, key, value })
    }
}

pub(crate) fn class_to_byte(class: Class) -> u8 {
    match class {
        Class::Replicated => 0,
        Class::Local => 1,
        Class::Ignored => 2,
    }
}

pub(crate) fn class_from_byte(byte: u8) -> Option<Class> {
    match byte {
        0 => Some(Class::Replicated),
        1 => Some(Class::Local),
        2 => Some(Class::Ignored),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_of_the_first_version_are_read_and_say_no_time() {
        let entry = Entry { mount: MountId::default(), class: Class::Local, key: Key::new("a").unwrap(), value: None };
        let after = Position { sequence: 6, hash: [9; 32] };
        let record = Record::new(after, 3, Timestamp::from_secs(5), vec![entry]).unwrap();
        let read = Record::decode(record.encoded().to_vec()).unwrap();
        assert_eq!((read.sequence, read.epoch, read.time), (7, 3, Some(Timestamp::from_secs(5))));
        let mut first = record.encoded().to_vec();
        first[15] = UNTIMED;
        first.drain(48..56);
        let read = Record::decode(first.clone()).unwrap();
        assert_eq!((read.sequence, read.epoch, read.time, read.entries.len()), (7, 3, None, 1));
        first[15] = TIMED + 1;
        assert!(Record::decode(first).is_none());
    }
}
