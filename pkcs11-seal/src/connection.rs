//! A token in use: logged in, the key found, a pool of sessions.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use cryptoki::session::Session;
use framework::hsm::Description;
use hardening::Secret;

use crate::config::Config;
use crate::entry::{Door, Entry};
use crate::error::{Fault, Kind};
use crate::key;
use crate::mechanism::{self, Mechanism};
use crate::report::Attributes;

/// Wrapped and unwrapped again to see whether the token works. Public, and under associated data of its own.
const PROBE: &[u8] = b"holdfast seal probe";
const PROBE_AAD: &[u8] = b"holdfast seal probe v1";

/// Failures without a success in between after which a merely busy token counts as lost.
const STRIKES: u32 = 16;

/// A value wrapped by the seal key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Blob {
    /// The `CKM_` number of what wrapped it.
    pub mechanism: u32,
    /// In the mechanism's own layout.
    pub bytes: Vec<u8>,
}

/// An open token. Everything in it dies together: sessions, key handles, login.
pub(crate) struct Connection {
    /// Before `entry`, whose session holds the login, so that they are closed first.
    pool: Mutex<Pool>,
    room: Condvar,
    entry: Entry,
    wrapping: Arc<dyn Mechanism>,
    /// Those that wrapped before, found when a value of theirs is read.
    others: Mutex<Vec<Arc<dyn Mechanism>>>,
    probe: Vec<u8>,
    description: Description,
    attributes: Attributes,
    limit: usize,
    strikes: AtomicU32,
}

#[derive(Default)]
struct Pool {
    idle: Vec<Session>,
    out: usize,
    /// Counts the times that all sessions were given up; those of an earlier one are closed when they come back.
    generation: u64,
}

impl Connection {
    /// Logs in and makes sure of the key: one only, fit to be a seal key, and able to wrap and unwrap.
    pub(crate) fn open(config: &Config) -> Result<Connection, Fault> {
        Connection::over(Entry::open(config)?, config)
    }

    /// The same on a token already entered.
    pub(crate) fn over(entry: Entry, config: &Config) -> Result<Connection, Fault> {
        let opened = mechanism::open(config.mechanism.unwrap_or(entry.profile.mechanism), &entry, config)?;
        let description = Description {
            token_label: entry.token.label().to_owned(),
            key_label: config.key_label.clone(),
            check_value: key::check_value(entry.door, &opened.key)?,
            library: entry.library.clone(),
        };
        let wrapping: Arc<dyn Mechanism> = opened.mechanism.into();
        let probe = probe(entry.door, &*wrapping)?;
        let limit = config.max_sessions.min(entry.profile.most_sessions).saturating_sub(1).max(1);
        Ok(Connection {
            pool: Mutex::default(),
            room: Condvar::new(),
            entry,
            wrapping,
            others: Mutex::default(),
            probe,
            description,
            attributes: opened.key.attributes,
            limit,
            strikes: AtomicU32::new(0),
        })
    }

    pub(crate) fn description(&self) -> &Description {
        &self.description
    }

    pub(crate) fn attributes(&self) -> &Attributes {
        &self.attributes
    }

    pub(crate) fn serial(&self) -> &str {
        self.entry.token.serial_number()
    }

    /// How it wraps, for people.
    pub(crate) fn about(&self) -> String {
        self.wrapping.about()
    }

    /// Whether the token still works: one unwrapping.
    pub(crate) fn prove(&self) -> Result<(), Fault> {
        self.with_session(|session| check_probe(session, &*self.wrapping, &self.probe))
    }

    pub(crate) fn wrap(&self, plain: &[u8], aad: &[u8]) -> Result<Blob, Fault> {
        let bytes = self.with_session(|session| self.wrapping.wrap(session, plain, aad))?;
        Ok(Blob { mechanism: self.wrapping.number(), bytes })
    }

    /// Unwraps. Where the code of a failure does not tell a bad blob from a bad HSM, a fresh session has to unwrap the
    /// probe: if it can, and fails at the blob again, it is the blob.
    pub(crate) fn unwrap(&self, config: &Config, blob: &Blob, aad: &[u8]) -> Result<Secret, Fault> {
        let mechanism = self.mechanism(config, blob.mechanism)?;
        let first = self.with_session(|session| mechanism.unwrap(session, &blob.bytes, aad));
        if !matches!(&first, Err(fault) if fault.kind == Kind::Doubtful) {
            return first;
        }
        self.with_session(|session| {
            check_probe(session, &*self.wrapping, &self.probe)?;
            mechanism.unwrap(session, &blob.bytes, aad).map_err(|fault| match fault.kind {
                Kind::Doubtful => Fault { kind: Kind::Rejected, ..fault },
                _ => fault,
            })
        })
    }

    /// The mechanism `number` with its keys.
    fn mechanism(&self, config: &Config, number: u32) -> Result<Arc<dyn Mechanism>, Fault> {
        if number == self.wrapping.number() {
            return Ok(Arc::clone(&self.wrapping));
        }
        let known = |others: &[Arc<dyn Mechanism>]| others.iter().find(|other| other.number() == number).cloned();
        if let Some(found) = known(&self.others()) {
            return Ok(found);
        }
        // No lock meanwhile: if two come here at once, both find the same.
        let opened: Arc<dyn Mechanism> = mechanism::open(number, &self.entry, config)?.mechanism.into();
        let mut others = self.others();
        Ok(known(&others).unwrap_or_else(|| {
            others.push(Arc::clone(&opened));
            opened
        }))
    }

    /// Runs `op` on a session of the pool. The session goes back only after a success: after an error an operation may
    /// still be active in it, and the next call would mean something else.
    fn with_session<T>(&self, op: impl FnOnce(&Session) -> Result<T, Fault>) -> Result<T, Fault> {
        let (session, generation) = self.take()?;
        let result = op(&session).map_err(|fault| fault.of_proven_key().under(self.entry.profile));
        self.count(&result);
        let mut pool = self.pool();
        pool.out -= 1;
        let closed = if result.is_ok() && pool.generation == generation {
            pool.idle.push(session);
            None
        } else {
            Some(session)
        };
        drop(pool);
        self.room.notify_one();
        drop(closed);
        result
    }

    fn take(&self) -> Result<(Session, u64), Fault> {
        let mut pool = self.pool();
        while pool.idle.is_empty() && pool.out >= self.limit {
            pool = self.room.wait(pool).unwrap_or_else(PoisonError::into_inner);
        }
        let idle = pool.idle.pop();
        pool.out += 1;
        let generation = pool.generation;
        drop(pool);
        // No lock while the HSM opens one.
        let session =
            idle.map_or_else(|| self.entry.door.session(), Ok).map_err(|fault| fault.under(self.entry.profile));
        if session.is_err() {
            self.pool().out -= 1;
            self.room.notify_one();
        }
        session.map(|session| (session, generation))
    }

    /// Gives up all sessions: the next calls open new ones.
    pub(crate) fn give_up_sessions(&self) {
        let mut pool = self.pool();
        pool.generation += 1;
        let idle = std::mem::take(&mut pool.idle);
        drop(pool);
        drop(idle);
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn others(&self) -> MutexGuard<'_, Vec<Arc<dyn Mechanism>>> {
        self.others.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count<T>(&self, result: &Result<T, Fault>) {
        match result {
            Err(fault) if matches!(fault.kind, Kind::Busy | Kind::Session) => {
                self.strikes.fetch_add(1, Ordering::Relaxed);
            }
            Err(_) => {}
            Ok(_) => self.strikes.store(0, Ordering::Relaxed),
        }
    }

    /// Whether calls have failed for so long that the token had better be opened again.
    pub(crate) fn worn_out(&self) -> bool {
        self.strikes.load(Ordering::Relaxed) >= STRIKES
    }
}

fn probe(door: Door, mechanism: &dyn Mechanism) -> Result<Vec<u8>, Fault> {
    let session = door.session()?;
    let blob = mechanism.wrap(&session, PROBE, PROBE_AAD)?;
    check_probe(&session, mechanism, &blob)?;
    Ok(blob)
}

fn check_probe(session: &Session, mechanism: &dyn Mechanism, blob: &[u8]) -> Result<(), Fault> {
    let plain = mechanism.unwrap(session, blob, PROBE_AAD).map_err(|fault| match fault.kind {
        // The blob is good, so it is the token that is not.
        Kind::Doubtful | Kind::Rejected => Fault { kind: Kind::Login, ..fault },
        _ => fault,
    })?;
    if plain.expose() == PROBE {
        Ok(())
    } else {
        Err(Fault::operator("C_Decrypt: the token decrypts to something else than was encrypted"))
    }
}
