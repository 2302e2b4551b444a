//! Revoking tokens: a token dies with all that was made with it.

use std::cell::Cell;

use framework::{Caller, Error, Page, Prefix, Secret, Store, Timestamp, View};

use super::{TokenRef, read_record};
use crate::registry::Registry;
use crate::{leases, names};

/// How many tokens one transaction revokes; what is left of a larger tree is marked and dies in the following ones.
const AT_ONCE: usize = 1000;
/// How many records one page of a listing has.
const PAGE: usize = 500;

impl Registry {
    /// Revokes a token and all that were made with it, and removes their cubbyholes. Returns whether there was such a token.
    pub fn revoke_token(&self, view: &View<'_>, token: TokenRef<'_>, now: Timestamp) -> Result<bool, Error> {
        match self.find(view, token, now)? {
            None => Ok(false),
            Some((_, record)) if record.batch => Err(not_revocable()),
            Some((name, _)) => {
                tree(view, &name, &Cell::new(AT_ONCE), now)?;
                Ok(true)
            }
        }
    }

    /// Revokes a token alone, for a caller with `sudo` on `auth/token/revoke-orphan`; those made with it become orphans.
    /// [`Error::Invalid`] if it is unknown.
    pub fn revoke_orphan(
        &self,
        view: &View<'_>,
        caller: &Caller,
        token: TokenRef<'_>,
        now: Timestamp,
    ) -> Result<(), Error> {
        if !self.has_sudo(view, caller, "auth/token/revoke-orphan", now)? {
            return Err(Error::invalid("root or sudo privileges required to revoke and orphan"));
        }
        let Some((name, record)) = self.find(view, token, now)? else {
            return Err(Error::field("token", "token to revoke not found"));
        };
        if record.batch {
            return Err(not_revocable());
        }
        if record.has_children {
            for child in view.list(&format!("{}{name}", names::PARENTS), &Page::default())? {
                view.delete(&format!("{}{name}/{child}", names::PARENTS))?;
                if let Some(mut orphan) = read_record(view, &child)? {
                    orphan.parent.clear();
                    orphan.put(view, &child)?;
                }
            }
        }
        if record.has_leases {
            view.put(&format!("{}{name}", names::REVOCATIONS), names::mark())?;
        }
        remove(view, &name)
    }

    /// Ends what hangs on tokens that are gone, and takes their marks away: tokens made with them, and what was leased to
    /// them. Returns the number of marks.
    pub(crate) fn finish_trees(&self, store: &dyn Store<Secret>) -> Result<usize, Error> {
        let marks = Prefix::new(names::REVOCATIONS)?;
        let mut finished = 0;
        // A mark may leave others behind, for children that had many of their own.
        loop {
            let parents = store.list(&marks, &Page { after: None, limit: Some(PAGE) })?;
            if parents.is_empty() {
                return Ok(finished);
            }
            for parent in parents {
                while !self.write(store, |view| end_of(view, &parent, self.clock.now()))? {}
                finished += 1;
            }
        }
    }
}

/// Stages the end of a token and, while `room` lasts, of those made with it and of what was leased to them. Where something
/// may be left, a mark says so: also for what is being made at this moment by a transaction that this one cannot see.
pub(crate) fn tree(view: &View<'_>, root: &str, room: &Cell<usize>, now: Timestamp) -> Result<(), Error> {
    let mut waiting = vec![root.to_owned()];
    while let Some(name) = waiting.pop() {
        room.set(room.get().saturating_sub(1));
        let Some(record) = read_record(view, &name)? else { continue };
        remove(view, &name)?;
        if record.has_children || record.has_leases {
            view.put(&format!("{}{name}", names::REVOCATIONS), names::mark())?;
        }
        if record.has_leases {
            let ended = leases::expire_owned(view, &name, room.get(), now)?;
            room.set(room.get().saturating_sub(ended));
        }
        if record.has_children {
            let free = room.get().saturating_sub(waiting.len());
            if free > 0 {
                let page = Page { after: None, limit: Some(free) };
                waiting.extend(view.list(&format!("{}{name}", names::PARENTS), &page)?);
            }
        }
    }
    Ok(())
}

fn not_revocable() -> Error {
    Error::invalid("batch tokens cannot be revoked")
}

/// Ends a page of what hangs on a token that is gone; true, and the mark taken away, if there was nothing.
fn end_of(view: &View<'_>, parent: &str, now: Timestamp) -> Result<bool, Error> {
    let ended = leases::expire_owned(view, parent, PAGE, now)?;
    let folder = format!("{}{parent}", names::PARENTS);
    let children = view.list(&folder, &Page { after: None, limit: Some(PAGE) })?;
    let room = Cell::new(AT_ONCE);
    for child in &children {
        // Also where the child's own record is gone already: its place in the index must not hold up the end.
        view.delete(&format!("{folder}/{child}"))?;
        tree(view, child, &room, now)?;
    }
    let done = children.is_empty() && ended == 0;
    if done {
        view.delete(&format!("{}{parent}", names::REVOCATIONS))?;
    }
    Ok(done)
}

/// Stages the removal of all records of one token, and of its cubbyhole.
fn remove(view: &View<'_>, name: &str) -> Result<(), Error> {
    let Some(record) = read_record(view, name)? else { return Ok(()) };
    record.delete(view, name)?;
    empty(view, &format!("{}{name}", names::CUBBYHOLE))
}

/// Stages the removal of all records below a folder.
pub(crate) fn empty(view: &View<'_>, folder: &str) -> Result<(), Error> {
    for name in view.list(folder, &Page::default())? {
        match name.strip_suffix('/') {
            Some(below) => empty(view, &format!("{folder}/{below}"))?,
            None => view.delete(&format!("{folder}/{name}"))?,
        }
    }
    Ok(())
}
