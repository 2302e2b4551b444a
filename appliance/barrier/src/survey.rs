//! Reading through the whole disk: where each record lies, what it is called, and what protects it.

use std::collections::BTreeMap;

use framework::{Batch, Ciphertext, Error, Key, KeyId, Record, Secret, Store, Version, Walk, Write};

use crate::barrier::Barrier;
use crate::format::{Coverage, inspect};
use crate::keyring::{KEYRING_RECORD, Unopened};
use crate::records::{self, FOLDER};
use crate::wrap::SealWrap;

/// A record as it lies on the disk.
#[derive(Debug)]
pub struct Surveyed {
    /// The record, its name sealed.
    pub record: Record<Ciphertext>,
    /// Its name behind the barrier; what lies beside it (`_/…`) has the same name there. `None` if the name fails its integrity
    /// check.
    pub name: Option<Key>,
}

/// How many records each key of a seal wraps.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct SealKeys {
    /// By the id of the key. A record that several keys wrap counts for each.
    pub wrapped: BTreeMap<KeyId, u64>,
    /// Under no key of the seal.
    pub unwrapped: u64,
    /// Those whose header says nothing that is known.
    pub unreadable: u64,
}

/// Counts the records on a disk by the keys of the seals that wrap them. Reads headers, so it needs neither the barrier nor
/// the seal. The root key is not among them: it lies wrapped inside the seal record.
pub fn seal_keys(disk: &impl Walk<Ciphertext>) -> Result<SealKeys, Error> {
    let mut keys = SealKeys::default();
    let mut page = disk.walk(None)?;
    while let Some(last) = page.last() {
        for record in &page {
            match inspect(&record.value.0) {
                Ok(Coverage::Wrapped { key_ids }) => {
                    key_ids.into_iter().for_each(|key| *keys.wrapped.entry(key).or_default() += 1);
                }
                Ok(Coverage::Unwrapped) => keys.unwrapped += 1,
                Err(_) => keys.unreadable += 1,
            }
        }
        page = disk.walk(Some(&last.key))?;
    }
    Ok(keys)
}

impl<D: Store<Ciphertext> + Walk<Ciphertext>> Barrier<SealWrap<D>> {
    /// A page of the disk, from behind the record that lies at `after`. Empty only at the end. [`Error::Sealed`] while sealed.
    pub fn survey(&self, after: Option<&Key>) -> Result<Vec<Surveyed>, Error> {
        let page = self.disk().walk(after)?;
        self.with(|open| {
            let named = |record: Record<Ciphertext>| {
                let beside = record.key.as_str().starts_with(FOLDER);
                let name =
                    if beside { Some(record.key.clone()) } else { open.keyring.names.open_key(&record.key).ok() };
                Surveyed { record, name }
            };
            Ok(page.into_iter().map(named).collect())
        })
    }

    /// Opens a record as a reader would, and leaves no entry key behind that was not kept before. The value, if the record
    /// lies behind the barrier; one beside it is checked.
    pub fn open_surveyed(&self, found: &Surveyed) -> Result<Option<Secret>, Error> {
        let record = self.store().opened(&found.record)?;
        let key = &found.record.key;
        self.with(|open| match key.as_str().strip_prefix(FOLDER) {
            None => open.keyring.open_value(key, record).map(Some),
            Some(_) if key.as_str() == KEYRING_RECORD => match open.root.open(&record) {
                Ok(_) => Ok(None),
                Err(Unopened::Failed(error)) => Err(error),
                Err(Unopened::WrongRootKey) => Err(Error::internal("the keyring lies under another root key")),
            },
            Some(name) => {
                records::check(name, &record, |data, mac| Ok(open.keyring.vouch(name, data)?.ct_eq(mac))).map(|()| None)
            }
        })
    }

    /// The write that gives a record the form it should have; see [`SealWrap::renewed`].
    pub fn renewed(&self, found: &Surveyed, critical: bool) -> Result<Option<Write<Ciphertext>>, Error> {
        self.store().renewed(&found.record, critical)
    }

    /// Carries out what [`Barrier::renewed`] gave, with the version that each record had. What was written meanwhile is left
    /// alone: that write gave it its due form.
    pub fn renew(&self, writes: Vec<(Version, Write<Ciphertext>)>) -> Result<(), Error> {
        let copies = writes.iter().map(|(version, write)| (*version, copy(write))).collect();
        match self.disk().apply(batch(copies)) {
            Err(Error::Conflict) => {}
            applied => return applied,
        }
        for each in writes {
            match self.disk().apply(batch(vec![each])) {
                Ok(()) | Err(Error::Conflict) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn disk(&self) -> &D {
        self.store().store()
    }
}

fn batch(writes: Vec<(Version, Write<Ciphertext>)>) -> Batch<Ciphertext> {
    let reads = writes.iter().map(|(version, write)| (write.key.clone(), *version)).collect();
    Batch { reads, writes: writes.into_iter().map(|(_, write)| write).collect() }
}

fn copy(write: &Write<Ciphertext>) -> Write<Ciphertext> {
    let Write { key, value, mount, class, seal_wrap } = write;
    Write { key: key.clone(), value: value.clone(), mount: *mount, class: *class, seal_wrap: *seal_wrap }
}
