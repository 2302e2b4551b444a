//! Seal wrap: critical values once more, under a key of their own that only the seal can unwrap.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use aws_lc_rs::digest::{SHA256, digest};
use framework::{
    Batch, Cipher, Ciphertext, Error, Forged, Key, KeyId, Page, Prefix, Record, Seal, Secret, Store, Versioned,
    Wrapped, Write,
};
use hardening::leaving_no_trace;

use crate::format::{self, Coverage, inspect};
use crate::recent::Shards;

/// Most entry keys that are kept unwrapped, so that a hot read needs no HSM: 512 KiB of guarded memory, an eighth of the
/// default arena. Values are never kept.
pub const CACHED_ENTRY_KEYS: usize = 16_384;

/// The seals of one store. Each has a key id of its own.
#[derive(Clone, Default)]
pub struct SealSet {
    /// Each of these wraps, so any of them unwraps. None: nothing is wrapped.
    pub wrapping: Vec<Arc<dyn Seal>>,
    /// These unwrap what they wrapped before, and wrap no more.
    pub leaving: Vec<Arc<dyn Seal>>,
}

impl SealSet {
    /// One that wraps.
    pub fn of(seal: Arc<dyn Seal>) -> Self {
        Self { wrapping: vec![seal], leaving: Vec::new() }
    }

    /// Wraps by each seal that does its part. One is enough: the value is readable, and a rewrap adds the others.
    fn wrap(&self, entry_key: &Secret, aad: &[u8]) -> Result<Vec<Wrapped>, Error> {
        let (healthy, ailing): (Vec<_>, Vec<_>) = self.wrapping.iter().partition(|seal| seal.is_healthy());
        let mut failure = None;
        for seals in [healthy, ailing] {
            let wrap = |seal: &Arc<dyn Seal>| seal.wrap(entry_key, aad).map_err(|error| failure = Some(error)).ok();
            let wrapped: Vec<Wrapped> = seals.into_iter().filter_map(wrap).collect();
            if !wrapped.is_empty() {
                return Ok(wrapped);
            }
        }
        Err(failure.unwrap_or_else(|| Error::internal("nothing wraps, and something was to be wrapped")))
    }

    /// Whether a value that these keys wrapped would get no more of them, and no fewer, if it were wrapped now.
    fn could_do_no_better(&self, key_ids: &[KeyId]) -> bool {
        let healthy = self.wrapping.iter().filter(|seal| seal.is_healthy());
        healthy.map(|seal| seal.key_id()).all(|id| key_ids.contains(&id))
            && key_ids.iter().all(|id| self.wrapping.iter().any(|seal| seal.key_id() == *id))
    }

    /// Unwraps by any seal that can, the healthy ones first.
    pub fn unwrap(&self, wrapped: &[Wrapped], aad: &[u8]) -> Result<Secret, Error> {
        let mut able: Vec<(&Arc<dyn Seal>, &Wrapped)> = Vec::new();
        for wrapped in wrapped {
            let theirs = self.wrapping.iter().chain(&self.leaving).filter(|seal| seal.key_id() == wrapped.key_id);
            able.extend(theirs.map(|seal| (seal, wrapped)));
        }
        able.sort_by_key(|(seal, _)| !seal.is_healthy());
        let ids: Vec<&str> = wrapped.iter().map(|wrapped| wrapped.key_id.0.as_str()).collect();
        let mut failure = Error::HsmUnavailable {
            reason: format!("what is needed is wrapped by seal key {}, and no such seal is configured", ids.join(", ")),
        };
        for (seal, wrapped) in able {
            match seal.unwrap(wrapped, aad) {
                Ok(plain) => return Ok(plain),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }
}

/// Wraps the writes that ask for it (`seal_wrap`) and unwraps what was wrapped.
///
/// What a write does not touch stays as it is: a record under other keys, or under none, gets its due form with its next
/// write, whatever that writes, or by [`SealWrap::renewed`].
///
/// Each value gets a fresh entry key; the seals wrap that key, bound to the record's place, so that wrapped values cannot
/// be swapped. With no seal everything is stored as it comes, and what was wrapped before is [`Error::HsmUnavailable`].
pub struct SealWrap<S> {
    store: S,
    seals: RwLock<Arc<SealSet>>,
    disabled: bool,
    recent: Shards<Secret>,
    /// Counts calls of `forget`, so that a key whose unwrapping was under way is not kept after it.
    forgotten: AtomicU64,
}

impl<S: Store<Ciphertext>> SealWrap<S> {
    /// Wraps by `seals` on the way to `store`.
    pub fn new(store: S, seals: SealSet) -> Self {
        let seals = RwLock::new(Arc::new(seals));
        let recent = Shards::new(CACHED_ENTRY_KEYS);
        Self { store, seals, disabled: false, recent, forgotten: AtomicU64::new(0) }
    }

    /// With `disabled`, what was wrapped before is still unwrapped, and nothing is wrapped any more.
    pub fn disabled(self, disabled: bool) -> Self {
        Self { disabled, ..self }
    }

    /// The store below.
    pub fn store(&self) -> &S {
        &self.store
    }

    /// Wraps and unwraps by `seals` from now on.
    pub fn set_seals(&self, seals: SealSet) {
        *self.seals.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(seals);
    }

    /// The seals in use.
    pub fn seals(&self) -> Arc<SealSet> {
        self.seals.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Wipes the unwrapped entry keys.
    pub fn forget(&self) {
        self.forgotten.fetch_add(1, Ordering::SeqCst);
        self.recent.clear();
    }

    /// Entry keys that are kept now.
    pub fn cached(&self) -> usize {
        self.recent.len()
    }

    /// The keys that wrap now; none without a seal that wraps.
    pub fn wrapping_keys(&self) -> BTreeSet<KeyId> {
        self.wrapping().map(|seals| seals.wrapping.iter().map(|seal| seal.key_id()).collect()).unwrap_or_default()
    }

    /// The write that gives `record` the form it should have: wrapped by the keys in use if it is critical, not wrapped
    /// otherwise. `None` if it has that form, as far as the seals do their part now. The write goes to [`SealWrap::store`],
    /// together with the version that was read.
    pub fn renewed(&self, record: &Record<Ciphertext>, critical: bool) -> Result<Option<Write<Ciphertext>>, Error> {
        let wanted = self.wrapping().filter(|_| critical);
        match (inspect(&record.value.0)?, &wanted) {
            (Coverage::Unwrapped, None) => return Ok(None),
            (Coverage::Wrapped { key_ids }, Some(seals)) if seals.could_do_no_better(&key_ids) => return Ok(None),
            _ => {}
        }
        let Record { key, mount, class, .. } = record;
        let Opened { value, hot } = self.open(record)?;
        let value = match wanted {
            Some(seals) => self.wrap(&seals, key, &value, hot)?,
            None => value,
        };
        let value = Some(Ciphertext(value));
        Ok(Some(Write { key: key.clone(), value, mount: *mount, class: *class, seal_wrap: false }))
    }

    /// What `record` holds without the seal's wrapping. Entry keys that were not kept are not kept now.
    pub(crate) fn opened(&self, record: &Record<Ciphertext>) -> Result<Vec<u8>, Error> {
        self.open(record).map(|opened| opened.value)
    }

    fn open(&self, record: &Record<Ciphertext>) -> Result<Opened, Error> {
        let value = record.value.0.clone();
        if format::is_wrapped(&value) {
            self.unwrap(&record.key, value, false)
        } else {
            Ok(Opened { value, hot: false })
        }
    }

    /// The seals, if any of them wraps.
    fn wrapping(&self) -> Option<Arc<SealSet>> {
        Some(self.seals()).filter(|seals| !self.disabled && !seals.wrapping.is_empty())
    }

    fn remember(&self, hash: u128, entry_key: Secret, since: u64) {
        if let Some(mut shard) = self.recent.of(hash)
            && self.forgotten.load(Ordering::SeqCst) == since
        {
            shard.insert(hash, entry_key);
        }
    }

    fn wrap(&self, seals: &SealSet, key: &Key, value: &[u8], keep: bool) -> Result<Vec<u8>, Error> {
        let since = self.forgotten.load(Ordering::SeqCst);
        let entry_key = Secret::random(Cipher::KEY)?;
        let header = format::wrapped_header(&seals.wrap(&entry_key, &place(key))?)?;
        let record = leaving_no_trace(|| Cipher::new(&entry_key)?.seal(&header, &aad(&header, key), value))?;
        if keep {
            self.remember(name_of(&header, key), entry_key, since);
        }
        Ok(record)
    }

    /// What a wrapped record holds. An entry key that was not kept is kept only if `keep` says so.
    fn unwrap(&self, key: &Key, record: Vec<u8>, keep: bool) -> Result<Opened, Error> {
        let (header_len, entry_key) = format::split_wrapped(&record)?;
        let header = record.get(..header_len).unwrap_or_default();
        let (hash, aad) = (name_of(header, key), aad(header, key));
        let open = |entry_key: &Secret, record: Vec<u8>| {
            let opened = leaving_no_trace(|| Ok::<_, Error>(Cipher::new(entry_key)?.open(record, header_len, &aad)))?;
            opened.map_err(|Forged| forged(key))
        };
        // The lock spans a computation of microseconds, so that `forget` waits for it: no copy of a key outlives that.
        if let Some(mut shard) = self.recent.of(hash)
            && let Some(entry_key) = shard.get(hash)
        {
            return Ok(Opened { value: open(entry_key, record)?, hot: true });
        }
        let wrapped = Wrapped::decode_all(entry_key)?;
        let since = self.forgotten.load(Ordering::SeqCst);
        let entry_key = self.seals().unwrap(&wrapped, &place(key))?;
        let value = open(&entry_key, record)?;
        if keep {
            self.remember(hash, entry_key, since);
        }
        Ok(Opened { value, hot: false })
    }
}

/// What was in a wrapping, and whether the entry key was kept from before.
struct Opened {
    value: Vec<u8>,
    hot: bool,
}

impl<S: Store<Ciphertext>> Store<Ciphertext> for SealWrap<S> {
    fn get(&self, key: &Key) -> Result<Option<Versioned<Ciphertext>>, Error> {
        let Some(found) = self.store.get(key)? else { return Ok(None) };
        if !format::is_wrapped(&found.value.0) {
            return Ok(Some(found));
        }
        let value = Ciphertext(self.unwrap(key, found.value.0, true)?.value);
        Ok(Some(Versioned { value, version: found.version }))
    }

    fn list(&self, folder: &Prefix, page: &Page) -> Result<Vec<String>, Error> {
        self.store.list(folder, page)
    }

    fn apply(&self, batch: Batch<Ciphertext>) -> Result<(), Error> {
        let seals = self.wrapping();
        let wrap = |mut write: Write<Ciphertext>| {
            if let (true, Some(seals), Some(value)) = (write.seal_wrap, &seals, &mut write.value) {
                value.0 = self.wrap(seals, &write.key, &value.0, true)?;
            }
            Ok(write)
        };
        let writes = batch.writes.into_iter().map(wrap).collect::<Result<_, Error>>()?;
        self.store.apply(Batch { reads: batch.reads, writes })
    }
}

fn forged(key: &Key) -> Error {
    let cause = "record failed its integrity check: its seal-wrapped form was altered, or belongs to another place";
    Error::internal(format!("{cause} (at {})", key.as_str()))
}

/// Associated data for the seal: the place by its SHA-256, since an HSM may limit the length.
fn place(key: &Key) -> Vec<u8> {
    [b"holdfast entry key 1: ".as_slice(), digest(&SHA256, key.as_str().as_bytes()).as_ref()].concat()
}

fn aad(header: &[u8], key: &Key) -> Vec<u8> {
    [header, key.as_str().as_bytes()].concat()
}

/// Under what an entry key is kept. The header holds its own length, so no two pairs make the same bytes.
fn name_of(header: &[u8], key: &Key) -> u128 {
    let hash = digest(&SHA256, &aad(header, key));
    hash.as_ref().first_chunk().map_or(0, |bytes| u128::from_be_bytes(*bytes))
}
