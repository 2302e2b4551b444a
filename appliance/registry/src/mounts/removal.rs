//! Removing the records of mounts that are gone, a batch at a time. What a crash leaves is found by its mark and finished.

use framework::{Batch, Class, Error, Key, MountId, Page, Prefix, Secret, Store, Write};

use super::entry::mount_id;
use crate::names;

/// How many records one batch removes.
const BATCH: usize = 256;

/// Removes what is marked for removal, until nothing is left. Returns the number of mounts that are finished.
pub(crate) fn finish(store: &dyn Store<Secret>) -> Result<usize, Error> {
    let marks = Prefix::new(names::REMOVALS)?;
    let mut finished = 0;
    for uuid in store.list(&marks, &Page::default())? {
        let mark = marks.key(&uuid)?;
        let Some(found) = store.get(&mark)? else { continue };
        let folder = Prefix::new(names::decode::<String>(names::REMOVALS, &found.value)?)?;
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
