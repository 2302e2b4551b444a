//! Tokens that were seen lately, by name.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use super::name::Name;
use super::record::Known;

const SHARDS: usize = 16;
/// Tokens in one shard; about 700 bytes each.
const PER_SHARD: usize = 2048;

struct Entry {
    known: Arc<Known>,
    /// Set by a look-up, cleared by a clean-up: what was not looked up in between goes.
    seen: AtomicBool,
}

type Shard = HashMap<Name, Entry, BuildHasherDefault<NameHasher>>;

/// A bounded cache with second chance.
pub(crate) struct Cache {
    shards: [RwLock<Shard>; SHARDS],
    changes: AtomicU64,
}

impl Default for Cache {
    fn default() -> Self {
        Self { shards: std::array::from_fn(|_| RwLock::default()), changes: AtomicU64::new(0) }
    }
}

impl Cache {
    pub(crate) fn get(&self, name: &Name) -> Option<Arc<Known>> {
        let shard = self.shard(name)?.read().unwrap_or_else(PoisonError::into_inner);
        let entry = shard.get(name)?;
        if !entry.seen.load(Ordering::Relaxed) {
            entry.seen.store(true, Ordering::Relaxed);
        }
        Some(Arc::clone(&entry.known))
    }

    /// A count of changes, to be taken before a record is read.
    pub(crate) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// Keeps what was read, unless some record was changed since `changes`.
    pub(crate) fn insert(&self, name: Name, known: &Arc<Known>, changes: u64) {
        let Some(shard) = self.shard(&name) else { return };
        let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
        if changes != self.changes() {
            return;
        }
        if shard.len() >= PER_SHARD {
            shard.retain(|_, entry| entry.seen.swap(false, Ordering::Relaxed));
            if shard.len() >= PER_SHARD {
                shard.clear();
            }
        }
        shard.insert(name, Entry { known: Arc::clone(known), seen: AtomicBool::new(false) });
    }

    /// Forgets a token whose record was changed.
    pub(crate) fn remove(&self, name: &Name) {
        self.changes.fetch_add(1, Ordering::AcqRel);
        if let Some(shard) = self.shard(name) {
            shard.write().unwrap_or_else(PoisonError::into_inner).remove(name);
        }
    }

    fn shard(&self, name: &Name) -> Option<&RwLock<Shard>> {
        let [first, ..] = name.bytes();
        self.shards.get(usize::from(*first) % SHARDS)
    }
}

/// A name is as good as random: eight bytes of it are the hash.
#[derive(Default)]
struct NameHasher(u64);

impl Hasher for NameHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Some((_, tail)) = bytes.split_last_chunk::<8>() {
            self.0 = u64::from_ne_bytes(*tail);
        }
    }

    // A slice's length stands before its bytes and says nothing here.
    fn write_usize(&mut self, _: usize) {}
}
