//! Lockout of users whose logins fail too often, by Vault's rules.
//!
//! Failures are counted in memory: a flood of them is no flood of writes. When the count reaches the threshold, one record is
//! written, so that a restart, or a standby that takes over, does not let the user in; while a user is locked out nothing is
//! counted, so there is at most one write per user and lockout. Names that nobody has are counted too, or a lockout would
//! tell which names exist; they are never written, never shown, and forgotten when there are too many of them.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use framework::{Error, Key, Page, Prefix, Secret, Store, Timestamp, View};
use serde::{Deserialize, Serialize};

use crate::mounts::Mount;
use crate::names;
use crate::registry::Registry;

/// How many names that nobody has are counted.
const STRANGERS: usize = 10_000;

/// When users are locked out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LockoutRules {
    /// Failures after which a user is locked out.
    pub threshold: u32,
    /// How long.
    pub duration: Duration,
    /// The count starts anew this long after the last failure.
    pub counter_reset: Duration,
    /// Nobody is locked out.
    pub disabled: bool,
}

impl Default for LockoutRules {
    /// Vault's: five failures, 15 minutes, and 15 minutes until they are forgotten.
    fn default() -> Self {
        let quarter = Duration::from_secs(15 * 60);
        Self { threshold: 5, duration: quarter, counter_reset: quarter, disabled: false }
    }
}

/// What the tuning of a mount says in place of the configuration; zero, or false, says nothing. Durations are in seconds.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct LockoutTuning {
    /// See [`LockoutRules::threshold`].
    pub threshold: u32,
    /// See [`LockoutRules::duration`].
    pub duration: u64,
    /// See [`LockoutRules::counter_reset`].
    pub counter_reset: u64,
    /// See [`LockoutRules::disabled`].
    pub disabled: bool,
}

impl LockoutTuning {
    fn over(&self, rules: LockoutRules) -> LockoutRules {
        let seconds = |own: u64, other| if own == 0 { other } else { Duration::from_secs(own) };
        LockoutRules {
            threshold: if self.threshold == 0 { rules.threshold } else { self.threshold },
            duration: seconds(self.duration, rules.duration),
            counter_reset: seconds(self.counter_reset, rules.counter_reset),
            disabled: self.disabled || rules.disabled,
        }
    }
}

/// A login that may count: who wants to be let in where, and by which rules.
pub struct LoginAttempt {
    accessor: String,
    alias: String,
    id: String,
    rules: LockoutRules,
}

/// A user of a mount, as one segment of a key: hashed, since a client chooses the name, and its length.
fn id(accessor: &str, alias: &str) -> String {
    let mut hash = digest::Context::new(&digest::SHA256);
    hash.update(accessor.as_bytes());
    hash.update(b"/");
    hash.update(alias.as_bytes());
    URL_SAFE_NO_PAD.encode(hash.finish())
}

fn record_name(id: &str) -> String {
    format!("{}{id}", names::LOCKED_USERS)
}

/// The record of a lockout.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Locked {
    accessor: String,
    alias: String,
    /// When the last failure was.
    at: i64,
    /// How long it lasts, in seconds.
    duration: u64,
}

impl Locked {
    fn holds(&self, now: Timestamp) -> bool {
        now < Timestamp::from_nanos(self.at).plus(Duration::from_secs(self.duration))
    }
}

#[derive(Default)]
struct Failures {
    count: u32,
    last: Timestamp,
    /// There is such a user.
    known: bool,
}

/// What memory holds about failed logins.
#[derive(Default)]
pub(crate) struct Lockouts(Mutex<State>);

/// Both by [`id`].
#[derive(Default)]
struct State {
    failures: HashMap<String, Failures>,
    /// How many of those are of users that nobody knows.
    strangers: usize,
    /// The records.
    locked: BTreeMap<String, Locked>,
}

impl State {
    fn forget(&mut self, id: &str) {
        if self.failures.remove(id).is_some_and(|failures| !failures.known) {
            self.strangers = self.strangers.saturating_sub(1);
        }
    }
}

impl Lockouts {
    pub(crate) fn load(store: &dyn Store<Secret>) -> Result<Self, Error> {
        let lockouts = Self::default();
        let folder = Prefix::new(names::LOCKED_USERS)?;
        for id in store.list(&folder, &Page::default())? {
            lockouts.changed(&id, store)?;
        }
        Ok(lockouts)
    }

    /// Brings one record up to date. Without it the count starts anew.
    pub(crate) fn changed(&self, id: &str, store: &dyn Store<Secret>) -> Result<(), Error> {
        let found = store.get(&Key::new(record_name(id))?)?;
        let locked = found.map(|found| names::decode::<Locked>(names::LOCKED_USERS, &found.value)).transpose()?;
        let mut state = self.state();
        match locked {
            Some(locked) => drop(state.locked.insert(id.to_owned(), locked)),
            None => {
                state.locked.remove(id);
                state.forget(id);
            }
        }
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_locked(&self, attempt: &LoginAttempt, now: Timestamp) -> bool {
        let state = self.state();
        let counted = state.failures.get(&attempt.id).is_some_and(|failures| {
            failures.count >= attempt.rules.threshold && now < failures.last.plus(attempt.rules.duration)
        });
        counted || state.locked.get(&attempt.id).is_some_and(|locked| locked.holds(now))
    }

    /// Counts a failure; true if it is the one that locks a known user out.
    fn count(&self, attempt: &LoginAttempt, known: bool, now: Timestamp) -> bool {
        let mut state = self.state();
        if !known && state.strangers >= STRANGERS && !state.failures.contains_key(&attempt.id) {
            state.failures.retain(|_, failures| failures.known);
            state.strangers = 0;
        }
        if !state.failures.contains_key(&attempt.id) {
            state.strangers += usize::from(!known);
            state.failures.insert(attempt.id.clone(), Failures { known, ..Failures::default() });
        }
        let Some(failures) = state.failures.get_mut(&attempt.id) else { return false };
        // Who gets here was not locked out, or not any more.
        if failures.count >= attempt.rules.threshold || now >= failures.last.plus(attempt.rules.counter_reset) {
            failures.count = 0;
        }
        failures.count = failures.count.saturating_add(1);
        failures.last = now;
        known && failures.count == attempt.rules.threshold
    }
}

impl Registry {
    /// A login to a mount by somebody of this name; `None` where nobody is locked out.
    pub fn login_attempt(&self, mount: &Mount, alias: String) -> Option<LoginAttempt> {
        let configured = &self.settings.user_lockout;
        let rules = configured.get(&mount.entry.kind).or_else(|| configured.get("all")).copied().unwrap_or_default();
        let rules = mount.entry.config.user_lockout.as_ref().map_or(rules, |tuning| tuning.over(rules));
        let accessor = mount.entry.accessor.clone();
        (!rules.disabled).then(|| LoginAttempt { id: id(&accessor, &alias), accessor, alias, rules })
    }

    /// [`Error::Denied`] while the user is locked out. To be asked before the credentials are looked at, and again before a
    /// login succeeds: of logins that run at the same time, none may tell more than those that were counted.
    pub fn check_lockout(&self, attempt: &LoginAttempt, now: Timestamp) -> Result<(), Error> {
        if self.open()?.lockouts.is_locked(attempt, now) { Err(Error::Denied) } else { Ok(()) }
    }

    /// Counts a failure. `known` says whether there is such a user. [`Error::Denied`] if the user was locked out meanwhile.
    pub fn login_failed(
        &self,
        store: &dyn Store<Secret>,
        attempt: &LoginAttempt,
        known: bool,
        now: Timestamp,
    ) -> Result<(), Error> {
        self.check_lockout(attempt, now)?;
        if !self.open()?.lockouts.count(attempt, known, now) {
            return Ok(());
        }
        let locked = Locked {
            accessor: attempt.accessor.clone(),
            alias: attempt.alias.clone(),
            at: now.nanos(),
            duration: attempt.rules.duration.as_secs(),
        };
        self.write(store, |view| names::write(view, &record_name(&attempt.id), &locked))
    }

    /// Forgets the failures of a user who was let in.
    pub fn login_succeeded(&self, attempt: &LoginAttempt) {
        if let Ok(open) = self.open() {
            open.lockouts.state().forget(&attempt.id);
        }
    }

    /// The users that are locked out: by the accessors of their mounts, their names.
    pub fn locked_users(&self, now: Timestamp) -> Result<BTreeMap<String, Vec<String>>, Error> {
        let open = self.open()?;
        let mut users: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for locked in open.lockouts.state().locked.values().filter(|locked| locked.holds(now)) {
            users.entry(locked.accessor.clone()).or_default().push(locked.alias.clone());
        }
        users.values_mut().for_each(|names| names.sort());
        Ok(users)
    }

    /// Lets a user in again. No error if the user is not locked out.
    pub fn unlock_user(&self, view: &View<'_>, accessor: &str, alias: &str) -> Result<(), Error> {
        view.delete(&record_name(&id(accessor, alias)))
    }

    /// Removes the records of lockouts that are over, in a transaction of its own. For a background thread.
    pub fn sweep_lockouts(&self, store: &dyn Store<Secret>, now: Timestamp) -> Result<(), Error> {
        let open = self.open()?;
        let over: Vec<String> = {
            let state = open.lockouts.state();
            state.locked.iter().filter(|(_, locked)| !locked.holds(now)).map(|(id, _)| record_name(id)).collect()
        };
        if over.is_empty() {
            return Ok(());
        }
        self.write(store, |view| over.iter().try_for_each(|name| view.delete(name)))
    }
}
