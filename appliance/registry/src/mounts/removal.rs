//! Removing the records of mounts that are gone, a batch at a time. What a crash leaves is found by its mark and finished.

use std::sync::Arc;

use framework::{Batch, Class, Error, Key, MountId, Page, Prefix, Secret, Store, View, Write};

use super::entry::mount_id;
use super::{Mount, MountEntry};
use crate::names;
use crate::registry::Registry;

/// How many records one batch removes.
const BATCH: usize = 256;

impl Registry {
    /// Removes the records of mounts that are marked for removal, once what they leased is taken back. Returns the number of
    /// mounts that are finished.
    pub(crate) fn finish_mounts(&self, store: &dyn Store<Secret>) -> Result<usize, Error> {
        let marks = Prefix::new(names::REMOVALS)?;
        let mut finished = 0;
        for uuid in store.list(&marks, &Page::default())? {
            let mark = marks.key(&uuid)?;
            let Some(found) = store.get(&mark)? else { continue };
            let entry = names::decode::<MountEntry>(names::REMOVALS, &found.value)?;
            if self.leases_of(store, &entry)? {
                continue;
            }
            let folder = Mount::new(entry, &self.settings)?.folder;
            // The root is never a mount's own folder: a mark that says so is damage, and would remove everything.
            if folder == Prefix::root() {
                return Err(Error::internal("a removal mark names the whole store"));
            }
            empty(store, &folder, mount_id(&uuid))?;
            store.apply(deletions(vec![mark], MountId::default()))?;
            finished += 1;
        }
        Ok(finished)
    }

    /// Makes this transaction conflict with one that disables or moves the mount: what is given out meanwhile would outlive it.
    pub fn hold_mount(&self, view: &View<'_>, mount: &Mount) -> Result<(), Error> {
        match view.get(&format!("{}{}", names::MOUNTS, mount.entry.uuid))? {
            Some(_) => Ok(()),
            None => Err(Error::NoRoute {
                message: format!("no handler for route {:?}. route entry not found.", mount.entry.path),
            }),
        }
    }

    /// The mount of this UUID: one of the table, or one that is gone and whose records are not removed yet.
    pub(crate) fn mount_by_uuid(&self, view: &View<'_>, uuid: &str) -> Result<Option<Arc<Mount>>, Error> {
        if let Some(mount) = self.open()?.mounts.get().all().find(|mount| mount.entry.uuid == uuid) {
            return Ok(Some(Arc::clone(mount)));
        }
        let gone: Option<MountEntry> = names::read(view, &format!("{}{uuid}", names::REMOVALS))?;
        gone.map(|entry| Mount::new(entry, &self.settings).map(Arc::new)).transpose()
    }
}

fn empty(store: &dyn Store<Secret>, folder: &Prefix, mount: MountId) -> Result<(), Error> {
    loop {
        let mut keys = Vec::new();
        collect(store, folder, &mut keys)?;
        if keys.is_empty() {
            return Ok(());
        }
        store.apply(deletions(keys, mount))?;
    }
}

/// Gathers up to [`BATCH`] records below a folder, depth first.
fn collect(store: &dyn Store<Secret>, folder: &Prefix, keys: &mut Vec<Key>) -> Result<(), Error> {
    let page = Page { after: None, limit: Some(BATCH) };
    for name in store.list(folder, &page)? {
        if keys.len() >= BATCH {
            return Ok(());
        }
        match name.strip_suffix('/') {
            Some(below) => collect(store, &folder.folder(below)?, keys)?,
            None => keys.push(folder.key(&name)?),
        }
    }
    Ok(())
}

fn deletions(keys: Vec<Key>, mount: MountId) -> Batch<Secret> {
    let gone = |key| Write { key, value: None, mount, class: Class::Replicated, seal_wrap: false };
    Batch { reads: Vec::new(), writes: keys.into_iter().map(gone).collect() }
}
