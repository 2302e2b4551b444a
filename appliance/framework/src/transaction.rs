//! A transaction over the barrier, and the view of it that one mount gets.

use std::cell::RefCell;
use std::collections::BTreeMap;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Batch, Class, Error, Key, MountId, Page, Prefix, Secret, Store, Version, Write};

/// Staged writes, and what was read to decide them. Commit is one batch or nothing; dropping it changes nothing.
///
/// Records read are checked at commit; listings are not, so a listing may miss a record that another transaction is just adding.
pub struct Transaction<'s> {
    store: &'s dyn Store<Secret>,
    staged: RefCell<Staged>,
}

#[derive(Default)]
struct Staged {
    reads: BTreeMap<Key, Read>,
    writes: BTreeMap<Key, Write<Secret>>,
}

/// What a transaction saw at a name.
struct Read {
    version: Version,
    /// The value, where it is small: the same record is often read again, by another step of the same request.
    kept: Option<Option<Secret>>,
}

/// The largest value, in bytes, that a transaction keeps a copy of.
const KEPT: usize = 4096;

impl<'s> Transaction<'s> {
    /// Starts with nothing read and nothing staged.
    pub fn new(store: &'s dyn Store<Secret>) -> Self {
        Self { store, staged: RefCell::default() }
    }

    /// The part of the store below `folder`, as the mount `mount` sees it.
    /// Values under one of `seal_wrapped` (relative to `folder`; empty matches all) are wrapped by the seal as well.
    pub fn view<'t>(&'t self, folder: Prefix, mount: MountId, seal_wrapped: &'t [&'static str]) -> View<'t> {
        View { transaction: self, folder, mount, class: Class::Replicated, seal_wrapped }
    }

    /// Whether committing would change anything.
    pub fn is_read_only(&self) -> bool {
        self.staged.borrow().writes.is_empty()
    }

    /// Makes the staged writes durable, all or none, and tells which records they changed.
    /// [`Error::Conflict`] when somebody else changed a record that was read.
    pub fn commit(self) -> Result<Vec<Key>, Error> {
        let Staged { reads, writes } = self.staged.into_inner();
        if writes.is_empty() {
            return Ok(Vec::new());
        }
        let keys = writes.keys().cloned().collect();
        let reads = reads.into_iter().map(|(key, read)| (key, read.version)).collect();
        self.store.apply(Batch { reads, writes: writes.into_values().collect() })?;
        Ok(keys)
    }

    fn get(&self, key: Key) -> Result<Option<Secret>, Error> {
        {
            let staged = self.staged.borrow();
            if let Some(write) = staged.writes.get(&key) {
                return Ok(write.value.as_ref().map(copy));
            }
            if let Some(Read { kept: Some(kept), .. }) = staged.reads.get(&key) {
                return Ok(kept.as_ref().map(copy));
            }
        }
        let found = self.store.get(&key)?;
        let version = found.as_ref().map_or(Version(0), |found| found.version);
        let value = found.map(|found| found.value);
        let mut staged = self.staged.borrow_mut();
        if staged.reads.get(&key).is_some_and(|earlier| earlier.version != version) {
            return Err(Error::Conflict);
        }
        let small = value.as_ref().is_none_or(|value| value.len() <= KEPT);
        let kept = small.then(|| value.as_ref().map(copy));
        staged.reads.insert(key, Read { version, kept });
        Ok(value)
    }

    fn list(&self, folder: &Prefix, page: &Page) -> Result<Vec<String>, Error> {
        let staged = self.staged.borrow();
        let from = folder.as_str();
        let mut own = staged.writes.iter().filter(|(key, _)| key.as_str().starts_with(from)).peekable();
        if own.peek().is_none() {
            return self.store.list(folder, page);
        }
        let mut names: std::collections::BTreeSet<String> =
            self.store.list(folder, &Page::default())?.into_iter().collect();
        for (key, write) in own {
            let below = key.as_str().strip_prefix(from).unwrap_or_default();
            match (below.split_once('/'), &write.value) {
                (Some((name, _)), Some(_)) => drop(names.insert(format!("{name}/"))),
                (None, Some(_)) => drop(names.insert(below.to_owned())),
                (None, None) => drop(names.remove(below)),
                (Some(_), None) => {}
            }
        }
        let after = page.after.as_deref();
        let wanted = names.into_iter().filter(|name| after.is_none_or(|after| name.as_str() > after));
        Ok(wanted.take(page.limit.unwrap_or(usize::MAX)).collect())
    }
}

fn copy(value: &Secret) -> Secret {
    Secret::transient(value.expose().to_vec())
}

/// A transaction seen through one mount's folder. Names are relative to it; nothing outside it can be named.
#[derive(Clone)]
pub struct View<'t> {
    transaction: &'t Transaction<'t>,
    folder: Prefix,
    mount: MountId,
    class: Class,
    seal_wrapped: &'t [&'static str],
}

impl<'t> View<'t> {
    /// The record `name`, with this transaction's own writes applied.
    pub fn get(&self, name: &str) -> Result<Option<Secret>, Error> {
        self.transaction.get(self.folder.key(name)?)
    }

    /// The names directly below `folder` (`""` for the view itself); folders end in `/`.
    pub fn list(&self, folder: &str, page: &Page) -> Result<Vec<String>, Error> {
        self.transaction.list(&self.folder.folder(folder)?, page)
    }

    /// The record `name`, which is JSON.
    pub fn read<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Error> {
        self.get(name)?.map(|record| serde_json::from_slice(record.expose()).map_err(Error::internal)).transpose()
    }

    /// Stages a write of a record as JSON.
    pub fn write<T: Serialize + ?Sized>(&self, name: &str, record: &T) -> Result<(), Error> {
        self.put(name, Secret::transient(serde_json::to_vec(record).map_err(Error::internal)?))
    }

    /// Stages a write.
    pub fn put(&self, name: &str, value: Secret) -> Result<(), Error> {
        self.stage(name, Some(value))
    }

    /// Stages a deletion; deleting what is not there is no error.
    pub fn delete(&self, name: &str) -> Result<(), Error> {
        self.stage(name, None)
    }

    /// The same transaction, one folder further down. Keeps the mount and its seal-wrapped prefixes only for `""`:
    /// prefixes are declared relative to the mount.
    pub fn below(&self, folder: &str, mount: MountId, seal_wrapped: &'t [&'static str]) -> Result<View<'t>, Error> {
        Ok(View { folder: self.folder.folder(folder)?, mount, seal_wrapped, ..self.clone() })
    }

    /// The same view, for records that stay in this cluster.
    pub fn local(&self) -> Self {
        View { class: Class::Local, ..self.clone() }
    }

    fn stage(&self, name: &str, value: Option<Secret>) -> Result<(), Error> {
        let key = self.folder.key(name)?;
        let seal_wrap = self.seal_wrapped.iter().any(|prefix| name.starts_with(prefix));
        let write = Write { key: key.clone(), value, mount: self.mount, class: self.class, seal_wrap };
        self.transaction.staged.borrow_mut().writes.insert(key, write);
        Ok(())
    }
}
