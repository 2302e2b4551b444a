//! Storage as one shape, above and below the barrier.

use crate::{Error, Key, Prefix};

/// What lies on a disk: bytes that are worth nothing without the keyring.
///
/// Only the barrier makes these from plaintext. A disk implements `Store<Ciphertext>` and nothing else.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ciphertext(pub Vec<u8>);

/// When a record was last written: the sequence number of the write, or 0 where there is no record.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Version(pub u64);

/// A value and when it was written.
#[derive(Debug)]
pub struct Versioned<V> {
    /// The value.
    pub value: V,
    /// When it was written; never 0.
    pub version: Version,
}

/// Which mount an entry belongs to: random bytes that name nothing; all zero for the core's own records.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct MountId(pub [u8; 16]);

/// How far an entry travels in a cluster.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Class {
    /// To every node and every replica.
    #[default]
    Replicated,
    /// To the nodes of this cluster only.
    Local,
    /// Nowhere: this node's own.
    Ignored,
}

/// One change to one record.
#[derive(Debug)]
pub struct Write<V> {
    /// The record's name.
    pub key: Key,
    /// The new value; `None` deletes.
    pub value: Option<V>,
    /// The mount it belongs to.
    pub mount: MountId,
    /// How far it travels.
    pub class: Class,
    /// Whether the seal wraps the value on top of the barrier.
    pub seal_wrap: bool,
}

/// Changes that happen together or not at all, and what they rest on.
#[derive(Debug)]
pub struct Batch<V> {
    /// Every record that was read to decide the writes, with the version that was seen; a different version now is a conflict.
    pub reads: Vec<(Key, Version)>,
    /// The changes; a key stands in here once.
    pub writes: Vec<Write<V>>,
}

/// Which part of a listing is wanted.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// Start after this name.
    pub after: Option<String>,
    /// At most this many names.
    pub limit: Option<usize>,
}

/// A set of named records.
///
/// Implementations are called from many threads at once. No call may hold a lock across an fsync, an HSM call or a network call.
pub trait Store<V>: Send + Sync {
    /// The record `key`, or `None`. A record that fails its integrity check is an error, never `None` and never a wrong value.
    fn get(&self, key: &Key) -> Result<Option<Versioned<V>>, Error>;

    /// The names directly below `folder`, in byte order: records as they are, folders with a final `/` (a name may be both).
    fn list(&self, folder: &Prefix, page: &Page) -> Result<Vec<String>, Error>;

    /// Carries out a batch: atomic, durable when this returns, and visible to nobody before it is durable.
    ///
    /// [`Error::Conflict`] when a read is outdated; then nothing was changed. After any other error the batch may or may not
    /// have happened, but never in part.
    fn apply(&self, batch: Batch<V>) -> Result<(), Error>;
}

/// A record with all that is kept of it.
#[derive(Clone, Debug)]
pub struct Record<V> {
    /// Its name.
    pub key: Key,
    /// Its value.
    pub value: V,
    /// When it was written.
    pub version: Version,
    /// The mount it belongs to.
    pub mount: MountId,
    /// How far it travels.
    pub class: Class,
}

/// A store that can be read through from end to end, a page at a time, while it is written to.
pub trait Walk<V>: Send + Sync {
    /// Records in byte order of their names, from the one after `after` on: a page that is bounded in number and bytes, and
    /// empty only at the end.
    fn walk(&self, after: Option<&Key>) -> Result<Vec<Record<V>>, Error>;
}

impl<V, S: Walk<V> + ?Sized> Walk<V> for std::sync::Arc<S> {
    fn walk(&self, after: Option<&Key>) -> Result<Vec<Record<V>>, Error> {
        (**self).walk(after)
    }
}

impl<V, S: Store<V> + ?Sized> Store<V> for std::sync::Arc<S> {
    fn get(&self, key: &Key) -> Result<Option<Versioned<V>>, Error> {
        (**self).get(key)
    }

    fn list(&self, folder: &Prefix, page: &Page) -> Result<Vec<String>, Error> {
        (**self).list(folder, page)
    }

    fn apply(&self, batch: Batch<V>) -> Result<(), Error> {
        (**self).apply(batch)
    }
}
