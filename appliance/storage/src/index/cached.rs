//! An index with the records that were read lately kept in front of it, as the ciphertext they are: a hot read, and the check
//! of what a transaction read, go no further.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Change, Index, IndexError, Position, State, Step, Stored};

const SHARDS: usize = 16;
/// Bytes of memory that an entry takes besides its key and its value.
const ENTRY: usize = 200;

/// What there is at a key; `None` for nothing.
type Found = Option<Arc<Stored>>;

pub(crate) struct Cached {
    below: Arc<dyn Index>,
    // Held for computation only, never while the index below is called.
    shards: [Mutex<Shard>; SHARDS],
    hasher: RandomState,
    half_shard: usize,
}

/// Two generations stand in for exact least-recently-used order: what was used since the last turn survives the next one.
#[derive(Default)]
struct Shard {
    young: HashMap<Box<str>, Found>,
    old: HashMap<Box<str>, Found>,
    /// Bytes in `young`.
    bytes: usize,
    /// Writes to the index below that are under way.
    writing: usize,
    /// Writes there ever were.
    written: u64,
}

impl Shard {
    fn get(&mut self, key: &str, limit: usize) -> Option<Found> {
        if let Some(found) = self.young.get(key) {
            return Some(found.clone());
        }
        let (key, found) = self.old.remove_entry(key)?;
        self.insert(key, found.clone(), limit);
        Some(found)
    }

    fn insert(&mut self, key: Box<str>, found: Found, limit: usize) {
        let size = size(&key, &found);
        if size > limit {
            return;
        }
        self.remove(&key);
        if self.bytes + size > limit {
            self.old = std::mem::take(&mut self.young);
            self.bytes = 0;
        }
        self.bytes += size;
        self.young.insert(key, found);
    }

    fn remove(&mut self, key: &str) -> Option<Found> {
        let old = self.old.remove(key);
        let Some(found) = self.young.remove(key) else { return old };
        self.bytes -= size(key, &found);
        Some(found)
    }
}

fn size(key: &str, found: &Found) -> usize {
    ENTRY + key.len() + found.as_ref().map_or(0, |stored| stored.value.len())
}

impl Cached {
    /// Keeps about `bytes`.
    pub(crate) fn new(below: Arc<dyn Index>, bytes: usize) -> Self {
        let shards = std::array::from_fn(|_| Mutex::default());
        Self { below, shards, hasher: RandomState::new(), half_shard: bytes / SHARDS / 2 }
    }

    fn shard(&self, key: &str) -> Result<MutexGuard<'_, Shard>, IndexError> {
        let number = usize::try_from(self.hasher.hash_one(key) % SHARDS as u64).unwrap_or_default();
        let shard = self.shards.get(number).ok_or_else(|| IndexError::Failed("its cache lacks a shard".to_owned()))?;
        Ok(shard.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Index for Cached {
    fn get(&self, key: &str) -> Result<Option<Stored>, IndexError> {
        let written = {
            let mut shard = self.shard(key)?;
            if let Some(found) = shard.get(key, self.half_shard) {
                drop(shard);
                return Ok(found.as_deref().cloned());
            }
            shard.written
        };
        let found = self.below.get(key)?.map(Arc::new);
        let mut shard = self.shard(key)?;
        // Nothing that a write has made outdated meanwhile, or is about to.
        if shard.writing == 0 && shard.written == written {
            shard.insert(key.into(), found.clone(), self.half_shard);
        }
        drop(shard);
        Ok(found.as_deref().cloned())
    }

    fn version(&self, key: &str) -> Result<u64, IndexError> {
        let found = self.shard(key)?.get(key, self.half_shard);
        match found {
            Some(found) => Ok(found.map_or(0, |stored| stored.version)),
            None => self.below.version(key),
        }
    }

    fn scan(&self, from: &str, visit: &mut dyn FnMut(&str) -> Step) -> Result<(), IndexError> {
        self.below.scan(from, visit)
    }

    fn walk(&self, from: &str, visit: &mut dyn FnMut(&str, &Stored) -> bool) -> Result<(), IndexError> {
        self.below.walk(from, visit)
    }

    fn write(&self, changes: &[Change<'_>], position: Position) -> Result<(), IndexError> {
        // From before the first reader can see the write until after the last one could miss it, nothing is kept.
        let mut told = Vec::with_capacity(changes.len());
        for change in changes {
            let mut shard = self.shard(change.key)?;
            shard.writing += 1;
            shard.written += 1;
            let known = shard.remove(change.key);
            told.push(Change { replaces: known.map(|found| found.map(|stored| stored.head())), ..*change });
        }
        let result = self.below.write(&told, position);
        for change in changes {
            let mut shard = self.shard(change.key)?;
            shard.writing -= 1;
            // What was written is often read soon, and is at least checked before it is written again.
            if result.is_ok() && change.value.map_or(0, <[u8]>::len) < self.half_shard {
                shard.insert(change.key.into(), change.stored().map(Arc::new), self.half_shard);
            }
        }
        result
    }

    fn state(&self) -> State {
        self.below.state()
    }

    fn checkpoint(&self) -> Result<(), IndexError> {
        self.below.checkpoint()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use super::*;
    use crate::index::MemoryIndex;
    use crate::index::watched::{Watched, at, write};

    #[test]
    fn what_is_read_again_is_not_looked_up_again_and_the_room_is_bounded() {
        let below = Arc::new(Watched::new(Box::new(|_| Ok(()))));
        let cached = Cached::new(below.clone(), 256 << 10);
        for n in 0..1000 {
            write(&cached, &format!("k{n}"), n + 1, Some(&[7; 1000])).unwrap();
        }
        for _ in 0..10 {
            assert_eq!(cached.get("k5").unwrap().unwrap().version, 6);
            assert!(cached.get("nothing").unwrap().is_none());
        }
        assert_eq!(below.looked_up(), 2);
        for n in 0..1000 {
            assert_eq!(cached.get(&format!("k{n}")).unwrap().unwrap().version, n + 1);
        }
        let bytes =
            |entries: &HashMap<Box<str>, Found>| entries.iter().map(|(key, found)| size(key, found)).sum::<usize>();
        let shards = cached.shards.iter().map(|shard| shard.lock().unwrap());
        let kept: usize = shards.map(|shard| bytes(&shard.young) + bytes(&shard.old)).sum();
        assert!((64 << 10..=256 << 10).contains(&kept), "{kept}");
    }

    #[test]
    fn a_reader_never_sees_an_older_record_than_one_that_was_seen_before() {
        let cached = Cached::new(Arc::new(MemoryIndex::new(at(0))), 1 << 20);
        let (latest, done) = (AtomicUsize::new(0), AtomicBool::new(false));
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while !done.load(Ordering::Relaxed) {
                        let before = latest.load(Ordering::SeqCst);
                        let seen = cached.get("k").unwrap().map_or(0, |stored| stored.version as usize);
                        assert!(seen >= before, "{seen} after {before}");
                        assert!(cached.version("k").unwrap() as usize >= seen);
                        latest.fetch_max(seen, Ordering::SeqCst);
                    }
                });
            }
            for version in 1..20_000 {
                write(&cached, "k", version, Some(b"v")).unwrap();
                latest.fetch_max(version as usize, Ordering::SeqCst);
            }
            done.store(true, Ordering::Relaxed);
        });
    }
}
