//! A bounded map that keeps what was used last.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Keyed or cryptographic hashes need no second hashing: their first bytes are the bucket.
#[derive(Default)]
pub(crate) struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |hash, byte| hash.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u128(&mut self, hash: u128) {
        self.0 = u64::try_from(hash & u128::from(u64::MAX)).unwrap_or_default();
    }
}

type Map<V> = HashMap<u128, V, BuildHasherDefault<AsIs>>;

/// At most `2 × half` values under 128-bit hashes. Two generations stand in for exact least-recently-used order: a value
/// that was used since the last turn of generations survives the next one.
pub(crate) struct Recent<V> {
    young: Map<V>,
    old: Map<V>,
    half: usize,
}

impl<V> Recent<V> {
    pub(crate) fn new(half: usize) -> Self {
        Self { young: Map::default(), old: Map::default(), half }
    }

    pub(crate) fn get(&mut self, hash: u128) -> Option<&V> {
        if !self.young.contains_key(&hash)
            && let Some(value) = self.old.remove(&hash)
        {
            self.insert(hash, value);
        }
        self.young.get(&hash)
    }

    pub(crate) fn insert(&mut self, hash: u128, value: V) {
        if self.young.len() >= self.half {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(hash, value);
    }

    pub(crate) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    pub(crate) fn clear(&mut self) {
        self.young = Map::default();
        self.old = Map::default();
    }
}

const SHARDS: usize = 16;

/// [`Recent`] for many threads: the hash chooses one of several.
pub(crate) struct Shards<V>([Mutex<Recent<V>>; SHARDS]);

impl<V> Shards<V> {
    /// Keeps `most` at most.
    pub(crate) fn new(most: usize) -> Self {
        Self(std::array::from_fn(|_| Mutex::new(Recent::new(most / SHARDS / 2))))
    }

    /// The shard that has what stands under `hash`. There always is one.
    pub(crate) fn of(&self, hash: u128) -> Option<MutexGuard<'_, Recent<V>>> {
        // The low 64 bits choose the bucket inside the shard; the high ones choose the shard.
        self.0.get(usize::try_from((hash >> 64) % SHARDS as u128).unwrap_or_default()).map(lock)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.iter().map(|shard| lock(shard).len()).sum()
    }

    pub(crate) fn clear(&self) {
        self.0.iter().for_each(|shard| lock(shard).clear());
    }
}

impl<V: Clone> Shards<V> {
    pub(crate) fn get(&self, hash: u128) -> Option<V> {
        self.of(hash)?.get(hash).cloned()
    }

    pub(crate) fn insert(&self, hash: u128, value: V) {
        if let Some(mut shard) = self.of(hash) {
            shard.insert(hash, value);
        }
    }
}

fn lock<V>(shard: &Mutex<Recent<V>>) -> MutexGuard<'_, Recent<V>> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_bounded_and_keeps_what_is_used() {
        let mut recent = Recent::new(8);
        recent.insert(0, 0);
        for hash in 1..1000 {
            recent.insert(hash, hash);
            assert_eq!(recent.get(0), Some(&0), "used between all others");
            assert!(recent.len() <= 16);
        }
        assert_eq!(recent.get(3), None);
        recent.clear();
        assert_eq!(recent.get(0), None);
    }
}
