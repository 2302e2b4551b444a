//! Ending leases before their time.

use std::cell::Cell;

use framework::{Caller, Catalog, Error, Key, Origin, Page, Prefix, Secret, Store, Timestamp, View};
use serde::{Deserialize, Serialize};

use super::engine::Asker;
use super::{Entry, LeaseRecord, entry, record_name};
use crate::registry::Registry;
use crate::{names, random, tokens};

/// How many leases one transaction ends.
const AT_ONCE: usize = 64;

/// All leases below a path are to end that were given out until a moment.
#[derive(Deserialize, Serialize)]
struct Mark {
    prefix: String,
    until: i64,
}

/// What is to become of the secrets among the leases that end.
#[derive(Clone, Copy)]
enum Secrets<'a> {
    /// Their engines take them back now. If one cannot, its lease stays; or, with `force`, it goes all the same.
    TakenBack { catalog: &'a Catalog, force: bool },
    /// They end now, and are taken back soon.
    Due,
}

impl Registry {
    /// Ends one lease and takes its secret back, in transactions of its own. A lease that is not there is no error. If its
    /// engine cannot take the secret back, that is the error, and the lease stays.
    pub fn revoke_lease(&self, store: &dyn Store<Secret>, catalog: &Catalog, id: &str) -> Result<(), Error> {
        Key::new(record_name(id))?;
        let secrets = Secrets::TakenBack { catalog, force: false };
        let now = self.clock.now();
        self.write(store, |view| self.end(view, id, now, secrets, &Cell::new(AT_ONCE)))
            .map_err(|error| failed(id, error))
    }

    /// Ends one lease; its secret is taken back soon afterwards.
    pub fn expire_lease(&self, view: &View<'_>, id: &str, now: Timestamp) -> Result<(), Error> {
        self.end(view, id, now, Secrets::Due, &Cell::new(AT_ONCE))
    }

    /// Ends all leases below a path that were given out until now, and takes their secrets back, in transactions of its own.
    /// The first engine that fails is the error, and its lease and those after it stay; with `force` the leases go whatever
    /// the engines say.
    pub fn revoke_prefix(
        &self,
        store: &dyn Store<Secret>,
        catalog: &Catalog,
        prefix: &str,
        force: bool,
    ) -> Result<(), Error> {
        self.end_below(store, prefix, self.clock.now(), Secrets::TakenBack { catalog, force })
    }

    /// Marks all leases below a path, given out until now, as ended. [`Registry::finish_revocations`] ends them.
    pub fn expire_prefix(&self, view: &View<'_>, prefix: &str, now: Timestamp) -> Result<(), Error> {
        Prefix::new(prefix)?;
        stage_revocation(view, &random::short(&*self.rng), prefix, now)
    }

    /// Ends what is marked to end. Returns the number of marks.
    pub(crate) fn finish_expired_prefixes(&self, store: &dyn Store<Secret>) -> Result<usize, Error> {
        let marks = Prefix::new(names::LEASE_REVOCATIONS)?;
        let found = store.list(&marks, &Page::default())?;
        for name in &found {
            let mark = marks.key(name)?;
            let Some(value) = store.get(&mark)? else { continue };
            let Mark { prefix, until } = names::decode(names::LEASE_REVOCATIONS, &value.value)?;
            self.end_below(store, &prefix, Timestamp::from_nanos(until), Secrets::Due)?;
            self.write(store, |view| view.delete(mark.as_str()))?;
        }
        Ok(found.len())
    }

    fn end_below(
        &self,
        store: &dyn Store<Secret>,
        prefix: &str,
        until: Timestamp,
        secrets: Secrets<'_>,
    ) -> Result<(), Error> {
        for window in ids_below(store, prefix)?.chunks(AT_ONCE) {
            let together = self.write(store, |view| {
                let room = Cell::new(AT_ONCE * 16);
                window.iter().try_for_each(|id| self.end(view, id, until, secrets, &room))
            });
            if let (Err(_), Secrets::TakenBack { .. }) = (&together, secrets) {
                // One that cannot be taken back must not hold up those before it.
                for id in window {
                    let room = Cell::new(AT_ONCE);
                    self.write(store, |view| self.end(view, id, until, secrets, &room))
                        .map_err(|error| failed(id, error))?;
                }
            } else {
                together?;
            }
        }
        Ok(())
    }

    /// Stages the end of what was given out until a moment.
    fn end(
        &self,
        view: &View<'_>,
        id: &str,
        until: Timestamp,
        secrets: Secrets<'_>,
        room: &Cell<usize>,
    ) -> Result<(), Error> {
        match entry(view, id)? {
            None => Ok(()),
            Some(Entry::Token(name)) => match tokens::read_record(view, &name)? {
                Some(record) if record.created() > until => Ok(()),
                _ => tokens::tree(view, &name, room, self.clock.now()),
            },
            Some(Entry::Secret(record)) if record.issued() > until => Ok(()),
            Some(Entry::Secret(mut record)) => match secrets {
                Secrets::Due if record.trouble.is_some() => Ok(()),
                Secrets::Due => record.end_at(view, id, self.clock.now()),
                Secrets::TakenBack { catalog, force } => match self.take_back(view, catalog, id, &record) {
                    Err(error) if !force || matches!(error, Error::Conflict | Error::Sealed) => Err(error),
                    Err(error) => {
                        tracing::warn!("a lease was forced to end whose secret could not be taken back: {error}");
                        record.delete(view, id)
                    }
                    Ok(()) => Ok(()),
                },
            },
        }
    }

    /// Lets the engine take a secret back, and stages the end of its lease.
    pub(super) fn take_back(
        &self,
        view: &View<'_>,
        catalog: &Catalog,
        id: &str,
        record: &LeaseRecord,
    ) -> Result<(), Error> {
        let (caller, origin) = (Caller::default(), Origin::local());
        let asker = Asker { catalog, caller: &caller, origin: &origin, now: self.clock.now() };
        self.ask_engine(view, record, &asker, |there, kind| (kind.revoke)(there, &record.lease(id, kind)))?;
        record.delete(view, id)
    }
}

/// Stages a mark that all leases below a path, given out until a moment, are to end.
pub(crate) fn stage_revocation(view: &View<'_>, mark: &str, prefix: &str, until: Timestamp) -> Result<(), Error> {
    let mark = format!("{}{mark}", names::LEASE_REVOCATIONS);
    names::write(view, &mark, &Mark { prefix: prefix.to_owned(), until: until.nanos() })
}

/// Stages the end of at most `limit` of the secrets that were leased to a token which ends now; tells how many there were.
pub(crate) fn expire_owned(view: &View<'_>, token: &str, limit: usize, now: Timestamp) -> Result<usize, Error> {
    let folder = format!("{}{token}", names::TOKEN_LEASES);
    let owned = view.list(&folder, &Page { after: None, limit: Some(limit) })?;
    for short in &owned {
        let name = format!("{folder}/{short}");
        if let Some(id) = view.get(&name)?
            && let Ok(id) = std::str::from_utf8(id.expose())
            && let Some(Entry::Secret(mut record)) = entry(view, id)?
        {
            record.owner.clear();
            record.end_at(view, id, now)?;
        }
        view.delete(&name)?;
    }
    Ok(owned.len())
}

/// The ids of all leases below a path; or the one that is just this.
pub(super) fn ids_below(store: &dyn Store<Secret>, prefix: &str) -> Result<Vec<String>, Error> {
    if !prefix.is_empty() && !prefix.ends_with('/') && store.get(&Key::new(record_name(prefix))?)?.is_some() {
        return Ok(vec![prefix.to_owned()]);
    }
    let mut ids = Vec::new();
    let mut folders = vec![prefix.trim_end_matches('/').to_owned()];
    while let Some(folder) = folders.pop() {
        let within = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        for name in store.list(&Prefix::new(record_name(&folder))?, &Page::default())? {
            match name.strip_suffix('/') {
                Some(below) => folders.push(format!("{within}{below}")),
                None => ids.push(format!("{within}{name}")),
            }
        }
    }
    Ok(ids)
}

/// What the client is told whose request has ended no lease.
fn failed(id: &str, error: Error) -> Error {
    match error {
        Error::Invalid { message, .. } | Error::NoRoute { message } => {
            Error::invalid(format!("failed to revoke {id:?}: failed to revoke entry: {message}"))
        }
        other => other,
    }
}
