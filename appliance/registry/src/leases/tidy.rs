//! Looking through everything for what belongs to nothing.
//!
//! Tokens and leases come and go with all their records in one transaction, so nothing is expected to be found: this is for
//! stores that were damaged, or written by a version with a fault.

use framework::{Error, Page, Prefix, Secret, Store, Timestamp, View};

use super::revoke::{expire_owned, ids_below};
use super::{Entry, entry};
use crate::registry::Registry;
use crate::tokens::{self, read_record};
use crate::{leases, names};

/// How many names one transaction looks at.
const AT_ONCE: usize = 128;

/// What is looked through.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Tidy {
    /// Tokens: `auth/token/tidy`.
    Tokens,
    /// Leases: `sys/leases/tidy`.
    Leases,
}

impl Tidy {
    fn mark(self) -> String {
        format!("{}{}", names::TIDY, if self == Self::Tokens { "tokens" } else { "leases" })
    }
}

impl Registry {
    /// Marks that everything is to be looked through; false if that is under way already.
    pub fn start_tidy(&self, view: &View<'_>, what: Tidy) -> Result<bool, Error> {
        let under_way = view.get(&what.mark())?.is_some();
        if !under_way {
            view.put(&what.mark(), names::mark())?;
        }
        Ok(!under_way)
    }

    /// Looks through what is marked. For a background thread. Returns the number of marks.
    pub fn finish_tidy(&self, store: &dyn Store<Secret>) -> Result<usize, Error> {
        let marks = store.list(&Prefix::new(names::TIDY)?, &Page::default())?.len();
        for what in [Tidy::Tokens, Tidy::Leases] {
            if marks == 0 || !self.write(store, |view| Ok(view.get(&what.mark())?.is_some()))? {
                continue;
            }
            let found = match what {
                Tidy::Tokens => self.tidy_tokens(store)?,
                Tidy::Leases => self.tidy_leases(store)?,
            };
            tracing::info!(?what, found, "everything was looked through; what belonged to nothing is gone");
            self.write(store, |view| view.delete(&what.mark()))?;
        }
        Ok(marks)
    }

    /// Places in the indexes of tokens, and cubbyholes, whose token is gone.
    fn tidy_tokens(&self, store: &dyn Store<Secret>) -> Result<usize, Error> {
        let now = self.clock.now();
        let mut found = 0;
        for parent in store.list(&Prefix::new(names::PARENTS)?, &Page::default())? {
            let parent = parent.trim_end_matches('/');
            found += self.write(store, |view| {
                let lost = read_record(view, parent)?.is_none();
                if lost {
                    view.put(&format!("{}{parent}", names::REVOCATIONS), names::mark())?;
                }
                Ok(usize::from(lost))
            })?;
            let children = format!("{}{parent}", names::PARENTS);
            found += self.through(store, &children, |view, child| {
                let lost = read_record(view, child)?.is_none();
                if lost {
                    view.delete(&format!("{children}/{child}"))?;
                }
                Ok(usize::from(lost))
            })?;
        }
        found += self.through(store, names::CUBBYHOLE, |view, token| {
            let lost = read_record(view, token)?.is_none();
            if lost {
                tokens::empty(view, &format!("{}{token}", names::CUBBYHOLE))?;
            }
            Ok(usize::from(lost))
        })?;
        found += self.through(store, names::TOKEN_LEASES, |view, token| match read_record(view, token)? {
            Some(_) => Ok(0),
            None => expire_owned(view, token, AT_ONCE, now),
        })?;
        self.finish_revocations(store)?;
        Ok(found)
    }

    /// Leases of tokens that are gone, and places of tokens that are none.
    fn tidy_leases(&self, store: &dyn Store<Secret>) -> Result<usize, Error> {
        let now = self.clock.now();
        let mut found = 0;
        for window in ids_below(store, "")?.chunks(AT_ONCE) {
            found += self
                .write(store, |view| window.iter().map(|id| tidy_lease(view, id, now)).sum::<Result<usize, Error>>())?;
        }
        Ok(found)
    }

    /// Shows `work` every name of a folder, a transaction at a time.
    fn through(
        &self,
        store: &dyn Store<Secret>,
        folder: &str,
        work: impl Fn(&View<'_>, &str) -> Result<usize, Error>,
    ) -> Result<usize, Error> {
        let mut found = 0;
        for window in store.list(&Prefix::new(folder)?, &Page::default())?.chunks(AT_ONCE) {
            found += self.write(store, |view| {
                window.iter().map(|name| work(view, name.trim_end_matches('/'))).sum::<Result<usize, Error>>()
            })?;
        }
        Ok(found)
    }
}

fn tidy_lease(view: &View<'_>, id: &str, now: Timestamp) -> Result<usize, Error> {
    match entry(view, id)? {
        Some(Entry::Token(name)) if read_record(view, &name)?.is_none_or(|record| record.lease_id(&name) != id) => {
            view.delete(&leases::record_name(id))?;
            Ok(1)
        }
        Some(Entry::Secret(mut record))
            if !record.owner.is_empty() && record.trouble.is_none() && read_record(view, &record.owner)?.is_none() =>
        {
            record.end_at(view, id, now)?;
            Ok(1)
        }
        _ => Ok(0),
    }
}
