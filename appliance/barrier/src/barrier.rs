//! The barrier: a store of secrets on top of a store of ciphertext.

use std::fmt;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use framework::{Batch, Ciphertext, Error, Key, Page, Prefix, Secret, Store, Timestamp, Version, Versioned, Write};
use hardening::{leaving_no_deep_trace, leaving_no_trace};

use crate::keyring::{KEYRING_RECORD, Keyring, Root, TermInfo, Unopened};
use crate::records::{self, SealRecords};
use crate::uses::{self, Uses};

/// Encrypts values and path names on their way to `S`.
///
/// Sealed at first, and again after [`Barrier::close`]: then every call but [`Barrier::is_sealed`],
/// [`Barrier::is_initialised`], [`Barrier::seal_records`] and [`Barrier::open`] is [`Error::Sealed`]. The disk below may be
/// hostile. A record that fails its integrity check is [`Error::Internal`], and its cause says where it lies on the disk.
pub struct Barrier<S> {
    store: S,
    // Held for computation only, never while the store is called; so `close` waits for microseconds, and when it returns
    // nobody uses a key.
    open: RwLock<Option<Open>>,
}

pub(crate) struct Open {
    pub(crate) root: Root,
    pub(crate) keyring: Keyring,
}

/// What is written together with a new keyring, or with one under a new root key: all or nothing.
#[derive(Debug, Default)]
pub struct Founding<'n> {
    /// Records that stay readable while sealed, by name; see [`SealRecords`].
    pub seal_records: Vec<(&'n str, Vec<u8>)>,
    /// Records behind the barrier.
    pub records: Vec<Write<Secret>>,
}

/// Why the barrier did not open.
#[derive(Debug)]
pub enum OpenError {
    /// The keyring is whole, but under another root key.
    WrongRootKey,
    /// No keyring, a damaged one, an altered seal record, or a store that failed.
    Failed(Error),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongRootKey => f.write_str("root key does not open this keyring"),
            Self::Failed(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for OpenError {}

impl From<Error> for OpenError {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<Unopened> for OpenError {
    fn from(unopened: Unopened) -> Self {
        match unopened {
            Unopened::WrongRootKey => Self::WrongRootKey,
            Unopened::Failed(error) => Self::Failed(error),
        }
    }
}

impl From<OpenError> for Error {
    /// A wrong root key becomes an internal fault: whoever can ask an operator for another one matches on it before.
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Failed(error) => error,
            OpenError::WrongRootKey => Self::internal(OpenError::WrongRootKey),
        }
    }
}

impl<S: Store<Ciphertext>> Barrier<S> {
    /// A sealed barrier on top of `store`.
    pub fn new(store: S) -> Self {
        Self { store, open: RwLock::new(None) }
    }

    /// The store below.
    pub fn store(&self) -> &S {
        &self.store
    }

    /// Whether the keys are out of reach.
    pub fn is_sealed(&self) -> bool {
        self.read().is_none()
    }

    /// Whether there is a keyring on the disk.
    pub fn is_initialised(&self) -> Result<bool, Error> {
        // Not read: the seal may have wrapped it, and be out of reach.
        let keyring = Key::new(KEYRING_RECORD)?;
        let (folder, name) = keyring.split();
        Ok(self.store.list(&Prefix::new(folder)?, &Page::default())?.iter().any(|found| found == name))
    }

    /// The records that can be read while sealed.
    pub fn seal_records(&self) -> SealRecords<'_, S> {
        SealRecords::new(&self.store)
    }

    /// Makes a keyring, writes it under `root_key` (32 random bytes) together with what `founding` holds, in one batch, and
    /// stays sealed. [`Error::Invalid`] if there is one already, [`Error::Conflict`] if somebody else is making one.
    pub fn initialise(&self, root_key: &Secret, founding: Founding<'_>, now: Timestamp) -> Result<(), Error> {
        if self.is_initialised()? {
            return Err(Error::invalid("the storage is already initialized"));
        }
        let batch =
            leaving_no_deep_trace(|| Keyring::generate(now)?.batch(&Root::new(root_key)?, founding, Version(0)))?;
        self.store.apply(batch)
    }

    /// Reads the keyring with `root_key` and checks the seal records; after this, everything works. Opening an open barrier
    /// reads the keyring anew.
    pub fn open(&self, root_key: &Secret) -> Result<(), OpenError> {
        let found = self.store.get(&Key::new(KEYRING_RECORD)?)?.ok_or(Error::Uninitialized)?;
        let open = leaving_no_deep_trace(|| {
            let root = Root::new(root_key)?;
            let keyring = root.open(&found.value.0)?;
            Ok::<_, Unopened>(Open { root, keyring })
        })?;
        self.seal_records()
            .verify(|name, data, mac| Ok(leaving_no_trace(|| open.keyring.vouch(name, data))?.ct_eq(mac)))?;
        if let Some(found) = self.seal_records().get(uses::RECORD)? {
            open.keyring.resume_count(&found.value)?;
        }
        *self.write() = Some(open);
        Ok(())
    }

    /// Wipes every key. When this returns none is left, and calls under way end with [`Error::Sealed`].
    pub fn close(&self) {
        *self.write() = None;
    }

    /// Adds a data key, which encrypts from now on; returns its term. Values of older terms stay readable.
    /// [`Error::Conflict`] if the keyring on the disk has changed meanwhile: asking again may succeed.
    pub fn rotate(&self, now: Timestamp) -> Result<u32, Error> {
        let (mut next, version) = self.stored_keyring()?;
        let (term, batch) = leaving_no_deep_trace(|| {
            self.with(|open| {
                let term = next.rotate(now)?;
                Ok((term, next.batch(&open.root, Founding::default(), version)?))
            })
        })?;
        self.store.apply(batch)?;
        // Values are readable only through the keyring on the disk, so the new term comes into use after that is durable.
        match &mut *self.write() {
            // Of two rotations the later may get here first.
            Some(open) if open.keyring.newest() < term => open.keyring = next,
            Some(_) => {}
            None => return Err(Error::Sealed),
        }
        Ok(term)
    }

    /// Puts the keyring under another root key, together with what `founding` holds (such as that key, wrapped anew).
    /// [`Error::Conflict`] as for [`Barrier::rotate`].
    pub fn change_root_key(&self, root_key: &Secret, founding: Founding<'_>) -> Result<(), Error> {
        let (keyring, version) = self.stored_keyring()?;
        let (root, batch) = leaving_no_deep_trace(|| {
            let root = Root::new(root_key)?;
            let batch = keyring.batch(&root, founding, version)?;
            Ok::<_, Error>((root, batch))
        })?;
        self.counted(batch)?;
        match &mut *self.write() {
            Some(open) => open.root = root,
            None => return Err(Error::Sealed),
        }
        Ok(())
    }

    /// Writes the keyring again as it is, so that the seals that wrap now wrap it. [`Error::Conflict`] as for
    /// [`Barrier::rotate`].
    pub fn rewrite_keyring(&self) -> Result<(), Error> {
        let (keyring, version) = self.stored_keyring()?;
        let batch =
            leaving_no_deep_trace(|| self.with(|open| keyring.batch(&open.root, Founding::default(), version)))?;
        self.counted(batch)
    }

    /// Writes what `founding` holds under the keyring as it is, in one batch.
    pub fn put(&self, founding: Founding<'_>) -> Result<(), Error> {
        let writes = self.with(|open| open.keyring.founding_writes(founding))?;
        self.counted(Batch { reads: Vec::new(), writes })
    }

    /// The data keys, oldest first; the last one encrypts.
    pub fn terms(&self) -> Result<Vec<TermInfo>, Error> {
        self.with(|open| Ok(open.keyring.terms().collect()))
    }

    /// 32 bytes for `purpose`, in guarded memory: the same for the life of this storage, whatever is rotated.
    /// HMAC-SHA256 under a key of the keyring that is used for nothing else.
    pub fn derive(&self, purpose: &str) -> Result<Secret, Error> {
        self.with(|open| open.keyring.derive(purpose))
    }

    /// Where the record `key` lies on the disk; with [`inspect`](crate::inspect) this tells how it is protected there.
    pub fn sealed_key(&self, key: &Key) -> Result<Key, Error> {
        self.with(|open| open.keyring.names.seal_key(key))
    }

    /// The keyring as it lies on the disk, which may be newer than the one in use: a change must build on it.
    fn stored_keyring(&self) -> Result<(Keyring, Version), Error> {
        if self.is_sealed() {
            return Err(Error::Sealed);
        }
        let found = self.store.get(&Key::new(KEYRING_RECORD)?)?.ok_or(Error::Uninitialized)?;
        let read = |open: &Open| {
            let mut keyring = open.root.open(&found.value.0).map_err(|unopened| match unopened {
                // Somebody has just changed the root key.
                Unopened::WrongRootKey => Error::Conflict,
                Unopened::Failed(error) => error,
            })?;
            keyring.count_with(&open.keyring);
            Ok(keyring)
        };
        let keyring = leaving_no_deep_trace(|| self.with(read))?;
        Ok((keyring, found.version))
    }

    /// Carries out a batch that may hold the count of encryptions.
    fn counted(&self, batch: Batch<Ciphertext>) -> Result<(), Error> {
        let applied = self.store.apply(batch);
        if applied.is_err() {
            let _ = self.with(|open| open.keyring.uses().map(Uses::lost));
        }
        applied
    }

    pub(crate) fn with<R>(&self, work: impl FnOnce(&Open) -> Result<R, Error>) -> Result<R, Error> {
        leaving_no_trace(|| self.with_keys(work))
    }

    /// Like [`Self::with`], for who wipes the stack afterwards.
    fn with_keys<R>(&self, work: impl FnOnce(&Open) -> Result<R, Error>) -> Result<R, Error> {
        self.read().as_ref().ok_or(Error::Sealed).and_then(work)
    }

    fn read(&self) -> RwLockReadGuard<'_, Option<Open>> {
        self.open.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Option<Open>> {
        self.open.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Store<Ciphertext>> Store<Secret> for Barrier<S> {
    fn get(&self, key: &Key) -> Result<Option<Versioned<Secret>>, Error> {
        leaving_no_trace(|| {
            let key = self.with_keys(|open| open.keyring.names.seal_key(key))?;
            let Some(found) = self.store.get(&key)? else { return Ok(None) };
            let value = self.with_keys(|open| open.keyring.open_value(&key, found.value.0))?;
            Ok(Some(Versioned { value, version: found.version }))
        })
    }

    /// A page costs the decryption of every name in the folder, since their order on the disk says nothing.
    fn list(&self, folder: &Prefix, page: &Page) -> Result<Vec<String>, Error> {
        let sealed = self.with(|open| open.keyring.names.seal_prefix(folder))?;
        let listing = self.store.list(&sealed, &Page::default())?;
        self.with(|open| open.keyring.names.open_listing(&sealed, listing, page))
    }

    fn apply(&self, batch: Batch<Secret>) -> Result<(), Error> {
        let batch = self.with(|open| {
            let reads = batch.reads.into_iter();
            let reads = reads.map(|(key, version)| Ok((open.keyring.names.seal_key(&key)?, version)));
            Ok(Batch { reads: reads.collect::<Result<_, Error>>()?, writes: open.keyring.seal_writes(batch.writes)? })
        })?;
        self.counted(batch)
    }
}

impl Keyring {
    /// The keyring under `root`, and what `founding` holds; it fails if the keyring on the disk is no longer `version`.
    fn batch(&self, root: &Root, founding: Founding<'_>, version: Version) -> Result<Batch<Ciphertext>, Error> {
        let mut batch = records::keyring_batch(root.seal(self)?, version)?;
        batch.writes.extend(self.founding_writes(founding)?);
        Ok(batch)
    }

    fn founding_writes(&self, founding: Founding<'_>) -> Result<Vec<Write<Ciphertext>>, Error> {
        let records = founding.seal_records.iter().map(|(name, data)| records::write(self, name, data));
        let mut writes = records.collect::<Result<Vec<_>, Error>>()?;
        writes.extend(self.seal_writes(founding.records)?);
        Ok(writes)
    }

    fn seal_writes(&self, writes: Vec<Write<Secret>>) -> Result<Vec<Write<Ciphertext>>, Error> {
        let seal = |write: Write<Secret>| {
            let key = self.names.seal_key(&write.key)?;
            let value = write.value.map(|plain| self.seal_value(&key, plain.expose())).transpose()?.map(Ciphertext);
            Ok(Write { key, value, mount: write.mount, class: write.class, seal_wrap: write.seal_wrap })
        };
        let mut sealed = writes.into_iter().map(seal).collect::<Result<Vec<_>, Error>>()?;
        if let Some(count) = self.count_due()? {
            sealed.push(records::write(self, uses::RECORD, &count)?);
        }
        Ok(sealed)
    }
}
