//! A token in use: logged in, the key found, a pool of sessions.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use cryptoki::object::ObjectHandle;
use cryptoki::session::Session;
use framework::hsm::Description;
use hardening::Secret;

use crate::config::{Config, IvSource};
use crate::entry::Entry;
use crate::error::{Fault, Kind};
use crate::report::Attributes;
use crate::{gcm, key};

/// Wrapped and unwrapped again to see whether the token works. Public, and under associated data of its own.
const PROBE: &[u8] = b"holdfast seal probe";
const PROBE_AAD: &[u8] = b"holdfast seal probe v1";

/// Failures without a success in between after which a merely busy token counts as lost.
const STRIKES: u32 = 8;

/// An open token. Everything in it dies together: sessions, key handle, login.
pub(crate) struct Connection {
    key: ObjectHandle,
    iv: IvSource,
    probe: Vec<u8>,
    description: Description,
    attributes: Attributes,
    serial: String,
    limit: usize,
    strikes: AtomicU32,
    pool: Mutex<Pool>,
    room: Condvar,
}

struct Pool {
    /// Before `entry`, whose keeper session holds the login, so that they are closed first.
    idle: Vec<Session>,
    out: usize,
    entry: Entry,
}

impl Connection {
    /// Logs in and makes sure of the key: one only, fit to be a seal key, and able to wrap and unwrap.
    pub(crate) fn open(config: &Config) -> Result<Connection, Fault> {
        Connection::over(Entry::open(config)?, config)
    }

    /// The same on a token already entered.
    pub(crate) fn over(entry: Entry, config: &Config) -> Result<Connection, Fault> {
        let key = key::find(&entry, config)?;
        let attributes = key::read(&entry.keeper, key)?;
        key::check(&attributes, &config.key_label)?;
        let check_value = key::check_value(&entry, key)?;
        let (iv, probe) = match config.iv {
            Some(source) => (source, probe(&entry, key, source)?),
            None => find_iv_source(&entry, key)?,
        };
        let description = Description {
            token_label: entry.token.label().to_owned(),
            key_label: config.key_label.clone(),
            check_value,
            library: entry.library(),
        };
        Ok(Connection {
            key,
            iv,
            probe,
            description,
            attributes,
            serial: entry.token.serial_number().to_owned(),
            limit: config.max_sessions.saturating_sub(1).max(1),
            strikes: AtomicU32::new(0),
            pool: Mutex::new(Pool { idle: Vec::new(), out: 0, entry }),
            room: Condvar::new(),
        })
    }

    pub(crate) fn description(&self) -> &Description {
        &self.description
    }

    pub(crate) fn attributes(&self) -> &Attributes {
        &self.attributes
    }

    pub(crate) fn serial(&self) -> &str {
        &self.serial
    }

    pub(crate) fn iv_maker(&self) -> &'static str {
        match self.iv {
            IvSource::Caller => "the caller, at random",
            IvSource::Token => "the token",
        }
    }

    /// Whether the token still works: one unwrapping.
    pub(crate) fn prove(&self) -> Result<(), Fault> {
        self.with_session(|session| check_probe(session, self.key, &self.probe))
    }

    pub(crate) fn wrap(&self, plain: &[u8], aad: &[u8]) -> Result<Vec<u8>, Fault> {
        self.with_session(|session| gcm::wrap(session, self.key, self.iv, plain, aad))
    }

    /// Unwraps. Where the code of a failure does not tell a bad blob from a bad HSM, a fresh session has to unwrap the
    /// probe: if it can, and fails at the blob again, it is the blob.
    pub(crate) fn unwrap(&self, blob: &[u8], aad: &[u8]) -> Result<Secret, Fault> {
        let first = self.with_session(|session| gcm::unwrap(session, self.key, blob, aad));
        if !matches!(&first, Err(fault) if fault.kind == Kind::Doubtful) {
            return first;
        }
        self.with_session(|session| {
            check_probe(session, self.key, &self.probe)?;
            gcm::unwrap(session, self.key, blob, aad).map_err(|fault| match fault.kind {
                Kind::Doubtful => Fault { kind: Kind::Rejected, ..fault },
                _ => fault,
            })
        })
    }

    /// Runs `op` on a session of the pool. The session goes back only after a success: after an error an operation may
    /// still be active in it, and the next call would mean something else.
    fn with_session<T>(&self, op: impl FnOnce(&Session) -> Result<T, Fault>) -> Result<T, Fault> {
        let session = self.take()?;
        let result = op(&session).map_err(Fault::of_proven_key);
        self.count(&result);
        let mut pool = self.pool();
        pool.out -= 1;
        let closed = match &result {
            Ok(_) => {
                pool.idle.push(session);
                None
            }
            Err(_) => Some(session),
        };
        drop(pool);
        self.room.notify_one();
        drop(closed);
        result
    }

    fn take(&self) -> Result<Session, Fault> {
        let mut pool = self.pool();
        while pool.idle.is_empty() && pool.out >= self.limit {
            pool = self.room.wait(pool).unwrap_or_else(PoisonError::into_inner);
        }
        let session = match pool.idle.pop() {
            Some(session) => session,
            None => pool.entry.session()?,
        };
        pool.out += 1;
        Ok(session)
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count<T>(&self, result: &Result<T, Fault>) {
        match result {
            Err(fault) if fault.kind == Kind::Busy => _ = self.strikes.fetch_add(1, Ordering::Relaxed),
            Err(_) => {}
            Ok(_) => self.strikes.store(0, Ordering::Relaxed),
        }
    }

    /// Whether the token has been busy for so long that it had better be opened again.
    pub(crate) fn worn_out(&self) -> bool {
        self.strikes.load(Ordering::Relaxed) >= STRIKES
    }
}

/// Tries whether the token takes an IV or makes its own, with a plaintext that may be known to all.
fn find_iv_source(entry: &Entry, key: ObjectHandle) -> Result<(IvSource, Vec<u8>), Fault> {
    let refused = match probe(entry, key, IvSource::Caller) {
        Ok(blob) => return Ok((IvSource::Caller, blob)),
        Err(fault) if matches!(fault.kind, Kind::Operator | Kind::Busy) => fault,
        Err(fault) => return Err(fault),
    };
    let both = |second: Fault| Fault {
        message: format!("{}; and with an IV of the token's own: {}", refused.message, second.message),
        ..refused.clone()
    };
    let one = probe(entry, key, IvSource::Token).map_err(both)?;
    let other = probe(entry, key, IvSource::Token).map_err(both)?;
    // Same plaintext, key and associated data: equal blobs have equal IVs.
    if one == other {
        return Err(Fault::operator("C_Encrypt: the token made the same IV twice; it cannot be used"));
    }
    Ok((IvSource::Token, one))
}

fn probe(entry: &Entry, key: ObjectHandle, source: IvSource) -> Result<Vec<u8>, Fault> {
    let session = entry.session()?;
    let blob = gcm::wrap(&session, key, source, PROBE, PROBE_AAD)?;
    check_probe(&session, key, &blob)?;
    Ok(blob)
}

fn check_probe(session: &Session, key: ObjectHandle, blob: &[u8]) -> Result<(), Fault> {
    let plain = gcm::unwrap(session, key, blob, PROBE_AAD).map_err(|fault| match fault.kind {
        // The blob is good, so it is the token that is not.
        Kind::Doubtful | Kind::Rejected => Fault { kind: Kind::Lost, ..fault },
        _ => fault,
    })?;
    if plain.expose() == PROBE {
        Ok(())
    } else {
        Err(Fault::operator("C_Decrypt: the token decrypts to something else than was encrypted"))
    }
}
