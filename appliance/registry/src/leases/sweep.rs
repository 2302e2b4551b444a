//! What has ended: found by the index of deadlines, a window at a time.

use std::cell::Cell;
use std::time::Duration;

use framework::{Catalog, Error, Key, Page, Prefix, Rng, Secret, Store, Timestamp, View, deadlines};

use super::{Entry, LeaseRecord, deadline, entry};
use crate::registry::Registry;
use crate::{names, tokens};

/// How many tokens one transaction ends.
const AT_ONCE: usize = 64;
/// How often an engine is asked to take a secret back before its lease counts as irrevocable: Vault's number.
const ATTEMPTS: u32 = 6;
/// The pause after the first failure is twice this, after each further one twice that of the one before, give or take half.
const PAUSE: Duration = Duration::from_secs(10);
/// An irrevocable lease is tried again after this.
const DAY: Duration = Duration::from_secs(24 * 3600);
/// Characters of an engine's complaint that are kept.
const COMPLAINT: usize = 240;

impl Registry {
    /// Ends what has ended by `now`, at most about `limit` of it, oldest first, in transactions of its own: revokes tokens, and
    /// lets engines take secrets back. Returns how many entries of the index it dealt with; fewer than `limit` means that
    /// nothing is left for now. For a background thread, about once a second. What has ended is refused whether it was swept
    /// or not.
    pub fn sweep(
        &self,
        store: &dyn Store<Secret>,
        catalog: &Catalog,
        now: Timestamp,
        limit: usize,
    ) -> Result<usize, Error> {
        self.open()?;
        let due = due(store, now, limit)?;
        let (secrets, tokens): (Vec<_>, Vec<_>) = due.iter().partition(|entry| entry.id.starts_with('~'));
        for window in tokens.chunks(AT_ONCE) {
            self.write(store, |view| {
                let room = Cell::new(AT_ONCE * 16);
                window.iter().try_for_each(|entry| end_token(view, entry, &room, now))
            })?;
        }
        secrets.iter().try_for_each(|entry| self.end_secret(store, catalog, entry, now))?;
        Ok(due.len())
    }

    /// Takes a secret back whose lease has ended; if that fails, it is for later.
    fn end_secret(&self, store: &dyn Store<Secret>, catalog: &Catalog, due: &Due, now: Timestamp) -> Result<(), Error> {
        let Some(id) = store.get(&Key::new(&due.name)?)? else { return Ok(()) };
        let id = String::from_utf8_lossy(id.value.expose()).into_owned();
        let taken = self.write(store, |view| match entry(view, &id)? {
            Some(Entry::Secret(record)) if deadline(record.due(), &due.id) == due.name => {
                self.take_back(view, catalog, &id, &record)
            }
            // An entry that is out of date must not stay, or it is found again for ever.
            _ => view.delete(&due.name),
        });
        match taken {
            Ok(()) => Ok(()),
            Err(Error::Sealed) => Err(Error::Sealed),
            Err(error) => self.write(store, |view| match entry(view, &id)? {
                Some(Entry::Secret(record)) => postpone(view, &id, *record, &error, &*self.rng, now),
                _ => Ok(()),
            }),
        }
    }
}

/// Stages the next attempt to take a secret back.
fn postpone(
    view: &View<'_>,
    id: &str,
    mut record: LeaseRecord,
    error: &Error,
    rng: &dyn Rng,
    now: Timestamp,
) -> Result<(), Error> {
    record.attempts = record.attempts.saturating_add(1);
    let hopeless = matches!(error, Error::Invalid { .. } | Error::NoRoute { .. } | Error::Unsupported);
    if record.trouble.is_none() && (hopeless || record.attempts >= ATTEMPTS) {
        let why = if hopeless { "" } else { "out of retries: " };
        record.give_up(view, id, format!("{why}{error}").chars().take(COMPLAINT).collect())?;
    }
    let pause = if record.trouble.is_some() { DAY } else { pause(record.attempts, rng) };
    tracing::error!(
        mount = record.mount,
        attempts = record.attempts,
        irrevocable = record.trouble.is_some(),
        "a leased secret could not be taken back, trying again in {} s: {error:?}",
        pause.as_secs()
    );
    record.due_at(view, id, now.plus(pause))
}

/// The pause after a number of failures, give or take half of it, so that not all come back at once.
fn pause(attempts: u32, rng: &dyn Rng) -> Duration {
    let mut chance = [0; 4];
    rng.fill(&mut chance);
    let share = 0.5 + f64::from(u32::from_be_bytes(chance)) / f64::from(u32::MAX);
    PAUSE.saturating_mul(1 << attempts.min(ATTEMPTS)).mul_f64(share)
}

/// An entry of the index of deadlines.
struct Due {
    name: String,
    id: String,
}

/// The entries of the index that are due.
fn due(store: &dyn Store<Secret>, now: Timestamp, limit: usize) -> Result<Vec<Due>, Error> {
    let index = Prefix::new(names::DEADLINES)?;
    let due =
        deadlines::due(now, limit, |folder, limit| store.list(&index.folder(folder)?, &Page { after: None, limit }))?;
    let of = |entry: String| Due { name: format!("{}{entry}", names::DEADLINES), id: deadlines::id(&entry).to_owned() };
    Ok(due.into_iter().map(of).collect())
}

fn end_token(view: &View<'_>, due: &Due, room: &Cell<usize>, now: Timestamp) -> Result<(), Error> {
    // As above: an entry that is out of date must not stay.
    view.delete(&due.name)?;
    match tokens::read_record(view, &due.id)? {
        Some(record) if !record.valid(now) => tokens::tree(view, &due.id, room, now),
        _ => Ok(()),
    }
}
