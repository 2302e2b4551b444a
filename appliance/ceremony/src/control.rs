//! The ceremonies.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use barrier::{Barrier, Founding, OpenError, SealWrap};
use framework::{
    Ciphertext, Clock, Error, InitAnswer, InitRequest, MountId, Prefix, Rng, Seal, SealControl, SealKind, SealStatus,
    Secret, Store, Transaction,
};
use registry::Registry;
use seals::{HsmSeal, ShamirSeal, shamir};

use crate::attempt::Attempt;
use crate::blank::Blank;
use crate::record::{self, ROOT_KEY, SealRecord};

/// Record of the key under which the registry knows tokens: made once, behind the barrier.
const TOKEN_KEY: &str = "core/token-key";
/// Record of what a recovery key is checked against, behind the barrier.
const RECOVERY_KEY: &str = "core/recovery-key";

/// What protects the root key, by configuration.
#[derive(Clone)]
pub enum Protection {
    /// Shares held by operators.
    Shamir,
    /// An HSM.
    Hsm(Arc<HsmSeal>),
}

impl Protection {
    fn kind(&self) -> SealKind {
        match self {
            Self::Shamir => SealKind::Shamir,
            Self::Hsm(_) => SealKind::Pkcs11,
        }
    }
}

/// What the ceremonies are told.
pub struct Setting {
    /// Kind of storage, for `sys/seal-status`.
    pub storage: &'static str,
    /// Name for a new cluster; empty for a made-up one.
    pub cluster_name: String,
    /// The first root token, for a server that only tries things out; `None` for a random one.
    pub root_token: Option<Secret>,
}

/// Why the HSM has not unsealed the server yet.
#[derive(Debug)]
pub enum Trouble {
    /// Nothing to unseal: `sys/init` comes first.
    Uninitialized,
    /// Asking again may help.
    Transient(Error),
    /// Asking again will not help before somebody changes something.
    Operator(Error),
}

/// Init, unseal and seal over a disk `D`.
pub struct Ceremony<D> {
    barrier: Arc<Barrier<SealWrap<D>>>,
    registry: Arc<Registry>,
    protection: Protection,
    clock: Arc<dyn Clock>,
    rng: Arc<dyn Rng>,
    setting: Setting,
    attempt: Mutex<Attempt>,
    record: RwLock<Option<SealRecord>>,
    trouble: Mutex<Option<String>>,
    running: AtomicBool,
}

/// One ceremony at a time, without a lock held while an HSM is waited for.
struct Turn<'c>(&'c AtomicBool);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

impl<D: Store<Ciphertext>> Ceremony<D> {
    /// Over a sealed barrier. Fails if the store was initialised under another kind of seal than `protection`.
    pub fn new(
        barrier: Arc<Barrier<SealWrap<D>>>,
        registry: Arc<Registry>,
        protection: Protection,
        clock: Arc<dyn Clock>,
        rng: Arc<dyn Rng>,
        setting: Setting,
    ) -> Result<Self, Error> {
        let found = barrier.seal_records().get(record::NAME)?;
        let record = found.map(|found| SealRecord::decode(&found.value)).transpose()?;
        if let Some(record) = &record
            && !record.is(protection.kind())
        {
            return Err(Error::internal(format!(
                "the storage was initialised under a {} seal, and the configuration names a {} seal: set the seal stanza back; \
                 moving from one seal to another is not part of this version",
                record.kind,
                protection.kind().name()
            )));
        }
        if let (Protection::Hsm(seal), Some(record)) = (&protection, &record) {
            seal.pin(&record.check_value);
        }
        Ok(Self {
            barrier,
            registry,
            protection,
            clock,
            rng,
            setting,
            attempt: Mutex::default(),
            record: RwLock::new(record),
            trouble: Mutex::default(),
            running: AtomicBool::new(false),
        })
    }

    /// Unseals by the HSM, once. Says why it did not work; the reason is in the status too until it does.
    pub fn unseal_by_hsm(&self) -> Result<(), Trouble> {
        let Protection::Hsm(seal) = &self.protection else {
            return Err(Trouble::Operator(Error::invalid("no HSM is configured")));
        };
        let Some(record) = self.record() else { return Err(Trouble::Uninitialized) };
        let result = self.turn().and_then(|_turn| {
            if !self.barrier.is_sealed() {
                return Ok(());
            }
            let root = seal.unwrap(&record.wrapped()?, ROOT_KEY)?;
            self.open(&root).map_err(Error::from)
        });
        *lock(&self.trouble) = result.as_ref().err().map(inside);
        result.map_err(|error| match error {
            Error::HsmUnavailable { .. } | Error::Busy { .. } => Trouble::Transient(error),
            error => Trouble::Operator(error),
        })
    }

    fn record(&self) -> Option<SealRecord> {
        self.record.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn turn(&self) -> Result<Turn<'_>, Error> {
        match self.running.swap(true, Ordering::Acquire) {
            false => Ok(Turn(&self.running)),
            true => Err(Error::Busy { reason: "another seal operation is under way" }),
        }
    }

    /// Opens the barrier and loads what the server remembers; closes it again if that fails.
    fn open(&self, root: &Secret) -> Result<(), OpenError> {
        self.barrier.open(root)?;
        let loaded = self.load();
        if loaded.is_err() {
            self.close();
        }
        loaded.map_err(OpenError::from)
    }

    fn load(&self) -> Result<(), Error> {
        let whole = Transaction::new(&*self.barrier);
        let view = whole.view(Prefix::root(), MountId::default(), &[]);
        let key =
            view.get(TOKEN_KEY)?.ok_or_else(|| Error::internal("the key under which tokens are known is missing"))?;
        self.registry.load(&*self.barrier, &Secret::locked(key.expose())?)
    }

    fn close(&self) {
        self.registry.forget();
        self.barrier.close();
        self.barrier.store().forget();
    }

    /// Everything that the first start writes behind the barrier, and the root token.
    fn foundation(&self, recovery: Option<&Secret>) -> Result<(Vec<framework::Write<Secret>>, Secret), Error> {
        let blank = Blank::default();
        let token_key = Secret::random(32)?;
        let transaction = Transaction::new(&blank);
        let view = transaction.view(Prefix::root(), MountId::default(), &[]);
        let root_token = self.registry.initialise(&view, &token_key, self.setting.root_token.as_ref())?;
        // What must stay when the HSM's own guard is gone: wrapped by the seal whatever the mounts ask for.
        let critical = transaction.view(Prefix::root(), MountId::default(), &[TOKEN_KEY, RECOVERY_KEY]);
        critical.put(TOKEN_KEY, token_key)?;
        if let Some(recovery) = recovery {
            critical.put(RECOVERY_KEY, recovery.try_clone()?)?;
        }
        transaction.commit()?;
        Ok((blank.into_writes(), root_token))
    }

    /// Wraps the root key: by the HSM, or by a new key that is then cut into shares. Gives the check value too.
    fn protect(&self, root: &Secret, request: &InitRequest) -> Result<Protected, Error> {
        let key = Secret::random(32)?;
        let shares = shamir::split(&key, request.shares, request.threshold)?;
        match &self.protection {
            Protection::Shamir => {
                let wrapped = ShamirSeal::from_key(&key)?.wrap(root, ROOT_KEY)?;
                Ok(Protected { wrapped: wrapped.encode(), check_value: Vec::new(), shares, recovery: None })
            }
            Protection::Hsm(seal) => {
                let check_value = seal.describe()?.check_value;
                seal.pin(&check_value);
                let wrapped = seal.wrap(root, ROOT_KEY)?;
                // Nothing is founded on a wrap that cannot be undone.
                if seal.unwrap(&wrapped, ROOT_KEY)? != *root {
                    return Err(Error::HsmUnavailable {
                        reason: "the HSM does not give back what it wrapped".to_owned(),
                    });
                }
                Ok(Protected { wrapped: wrapped.encode(), check_value, shares, recovery: Some(key) })
            }
        }
    }
}

/// A wrapped root key, and the shares of what guards it.
struct Protected {
    wrapped: Vec<u8>,
    check_value: Vec<u8>,
    shares: Vec<Secret>,
    /// The recovery key; with shares as the seal there is none.
    recovery: Option<Secret>,
}

impl<D: Store<Ciphertext>> SealControl for Ceremony<D> {
    fn status(&self) -> SealStatus {
        let record = self.record();
        // Unsealed is what answers requests: the barrier opens a moment before the registry is loaded.
        let sealed = self.barrier.is_sealed() || !self.registry.is_loaded();
        SealStatus {
            kind: self.protection.kind(),
            initialized: record.is_some(),
            sealed,
            threshold: record.as_ref().map_or(0, |record| record.threshold),
            shares: record.as_ref().map_or(0, |record| record.shares),
            progress: lock(&self.attempt).progress(),
            cluster_name: record.as_ref().filter(|_| !sealed).map(|record| record.cluster_name.clone()),
            cluster_id: record.as_ref().filter(|_| !sealed).map(|record| record.cluster_id.clone()),
            storage: self.setting.storage,
            trouble: lock(&self.trouble).clone(),
        }
    }

    fn initialize(&self, request: &InitRequest) -> Result<InitAnswer, Error> {
        let _turn = self.turn()?;
        if self.record().is_some() {
            return Err(Error::invalid("Vault is already initialized"));
        }
        let root = Secret::random(32)?;
        let protected = self.protect(&root, request)?;
        let (records, root_token) = self.foundation(protected.recovery.as_ref())?;
        let cluster_id = framework::uuid(&*self.rng);
        let cluster_name = match self.setting.cluster_name.as_str() {
            "" => format!("holdfast-cluster-{}", cluster_id.get(..8).unwrap_or_default()),
            name => name.to_owned(),
        };
        let record = SealRecord {
            kind: self.protection.kind().name().to_owned(),
            shares: request.shares,
            threshold: request.threshold,
            check_value: protected.check_value,
            root_key: protected.wrapped,
            cluster_name,
            cluster_id,
        };
        let founding = Founding { seal_records: vec![(record::NAME, record.encode()?)], records };
        self.barrier.initialise(&root, founding, self.clock.now())?;
        *self.record.write().unwrap_or_else(PoisonError::into_inner) = Some(record);
        let recovery = protected.recovery.is_some();
        if recovery {
            self.open(&root)?;
        }
        Ok(InitAnswer { shares: protected.shares, recovery, root_token })
    }

    fn submit(&self, share: Option<Secret>) -> Result<SealStatus, Error> {
        let Some(share) = share else {
            lock(&self.attempt).reset();
            return Ok(self.status());
        };
        let record = self.record().ok_or_else(|| Error::invalid("server is not yet initialized"))?;
        if !self.barrier.is_sealed() {
            return Ok(self.status());
        }
        if record.is(SealKind::Pkcs11) {
            return Err(Error::invalid(
                "the HSM unseals this server when it starts; recovery keys authorise, they do not decrypt. Start the \
                 server again; if it stays sealed, seal_trouble in sys/seal-status says why",
            ));
        }
        let enough = lock(&self.attempt).add(share, record.threshold, &*self.rng)?;
        if let Some(shares) = enough {
            let _turn = self.turn()?;
            let wrong = || {
                Error::field(
                    "key",
                    "these shares do not open this storage: the attempt starts again with the first share",
                )
            };
            let key = shamir::combine(&shares, record.threshold).map_err(|_| wrong())?;
            let root = ShamirSeal::from_key(&key)?.unwrap(&record.wrapped()?, ROOT_KEY).map_err(|_| wrong())?;
            self.open(&root).map_err(|error| match error {
                OpenError::WrongRootKey => wrong(),
                OpenError::Failed(error) => error,
            })?;
        }
        Ok(self.status())
    }

    fn seal(&self) -> Result<(), Error> {
        let _turn = self.turn()?;
        self.close();
        lock(&self.attempt).reset();
        Ok(())
    }
}

/// What the log and the status may say of an error, the inside cause included: causes hold no secrets.
fn inside(error: &Error) -> String {
    match error {
        Error::Internal(incident) => incident.cause.clone(),
        other => other.to_string(),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
