//! What has ended: found by the index of deadlines, a window at a time.

use std::cell::Cell;

use framework::{Error, Page, Prefix, Secret, Store, Timestamp, View};

use super::{read_record, revoke};
use crate::names;
use crate::registry::Registry;

/// How many tokens one transaction ends.
const AT_ONCE: usize = 64;

impl Registry {
    /// Revokes tokens that have ended by `now`, at most about `limit` of them, oldest first, in transactions of its own.
    /// Returns how many entries of the index it dealt with; fewer than `limit` means that nothing is left for now.
    /// For a background thread, about once a second. A token that has ended is refused whether it was swept or not.
    pub fn sweep(&self, store: &dyn Store<Secret>, now: Timestamp, limit: usize) -> Result<usize, Error> {
        self.open()?;
        let due = due(store, now, limit)?;
        for window in due.chunks(AT_ONCE) {
            self.write(store, |view| {
                let room = Cell::new(AT_ONCE * 16);
                window.iter().try_for_each(|entry| end(view, entry, &room, now))
            })?;
        }
        Ok(due.len())
    }
}

struct Due {
    name: String,
    id: String,
}

/// The entries of the index that are due. Folders sort by time, so only those that are due are opened.
fn due(store: &dyn Store<Secret>, now: Timestamp, limit: usize) -> Result<Vec<Due>, Error> {
    let mut found = Vec::new();
    let all = Prefix::new(names::DEADLINES)?;
    let (hour_now, second_now) = (format!("{:07}/", now.secs() / 3600), format!("{:011}/", now.secs()));
    for hour in store.list(&all, &Page::default())?.into_iter().take_while(|hour| *hour <= hour_now) {
        let hour = all.folder(&hour)?;
        for second in store.list(&hour, &Page::default())?.into_iter().take_while(|second| *second <= second_now) {
            let second = hour.folder(&second)?;
            for id in store.list(&second, &Page { after: None, limit: Some(limit - found.len()) })? {
                found.push(Due { name: format!("{}{id}", second.as_str()), id });
            }
            if found.len() >= limit {
                return Ok(found);
            }
        }
    }
    Ok(found)
}

fn end(view: &View<'_>, due: &Due, room: &Cell<usize>, now: Timestamp) -> Result<(), Error> {
    // An entry that is out of date must not stay, or it is found again for ever.
    view.delete(&due.name)?;
    match read_record(view, &due.id)? {
        Some(record) if !record.valid(now) => revoke::tree(view, &due.id, room),
        _ => Ok(()),
    }
}
