//! The seal of one server: what all ceremonies share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use barrier::{Barrier, OpenError, SealWrap};
use framework::{
    Ciphertext, Clock, Error, InitAnswer, InitRequest, Progress, Rng, SealControl, SealStatus, Secret, Store,
};
use registry::Registry;

use crate::gathering::Gathering;
use crate::generate_token::Generation;
use crate::names::TOKEN_KEY;
use crate::protection::Protection;
use crate::record::{self, SealRecord};
use crate::rekey::Rekeying;
use crate::turn::{Turn, Turns};

/// What the ceremonies are told.
pub struct Setting {
    /// Kind of storage, for `sys/seal-status`.
    pub storage: &'static str,
    /// Name for a new cluster; empty for a made-up one.
    pub cluster_name: String,
    /// The first root token, for a server that only tries things out; `None` for a random one.
    pub root_token: Option<Secret>,
}

/// Every ceremony of the seal, over a disk `D`.
pub struct Ceremony<D> {
    pub(crate) barrier: Arc<Barrier<SealWrap<D>>>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) protection: Protection,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) rng: Arc<dyn Rng>,
    pub(crate) setting: Setting,
    pub(crate) unsealing: Mutex<Option<Gathering>>,
    pub(crate) generating_root: Generation,
    pub(crate) rekeying: Mutex<Rekeying>,
    pub(crate) trouble: Mutex<Option<String>>,
    record: RwLock<Option<SealRecord>>,
    turns: Turns,
}

impl<D: Store<Ciphertext>> Ceremony<D> {
    /// Over a sealed barrier. Fails if the store needs a seal key that `protection` does not have.
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
        let this = Self {
            barrier,
            registry,
            protection,
            clock,
            rng,
            setting,
            unsealing: Mutex::default(),
            generating_root: Generation::default(),
            rekeying: Mutex::default(),
            trouble: Mutex::default(),
            record: RwLock::default(),
            turns: Turns::default(),
        };
        if let Some(record) = record {
            this.protection.adopt(&record)?;
            this.set_record(record);
        }
        Ok(this)
    }

    pub(crate) fn record(&self) -> Option<SealRecord> {
        self.record.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The record of a server that is unsealed.
    pub(crate) fn open_record(&self) -> Result<SealRecord, Error> {
        if self.barrier.is_sealed() {
            return Err(Error::Sealed);
        }
        self.record().ok_or(Error::Uninitialized)
    }

    /// Takes note of a record that is durable: the keys that it names wrap from now on.
    pub(crate) fn set_record(&self, record: SealRecord) {
        self.barrier.store().set_seals(self.protection.wrapping_by(&self.protection.in_use(&record)));
        *self.record.write().unwrap_or_else(PoisonError::into_inner) = Some(record);
    }

    pub(crate) fn turn(&self) -> Result<Turn<'_>, Error> {
        self.turns.take()
    }

    /// Opens the barrier and loads what the server remembers; closes it again if that fails.
    pub(crate) fn open(&self, root: &Secret) -> Result<(), OpenError> {
        self.barrier.open(root)?;
        let loaded = self.load();
        if loaded.is_err() {
            self.close();
        }
        loaded.map_err(OpenError::from)
    }

    pub(crate) fn load(&self) -> Result<(), Error> {
        let key = self.read_key(TOKEN_KEY)?;
        let key = key.ok_or_else(|| Error::internal("the key under which tokens are known is missing"))?;
        self.registry.load(&*self.barrier, &key)
    }

    /// Forgets every key, and what is under way in any ceremony.
    pub(crate) fn close(&self) {
        self.registry.forget();
        self.barrier.close();
        self.barrier.store().forget();
        *lock(&self.unsealing) = None;
        self.generating_root.forget();
        *lock(&self.rekeying) = Rekeying::default();
    }
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
            migration: record.as_ref().is_some_and(|record| self.protection.moves(record)),
            progress: lock(&self.unsealing).as_ref().map_or_else(Progress::default, Gathering::progress),
            cluster_name: record.as_ref().filter(|_| !sealed).map(|record| record.cluster_name.clone()),
            cluster_id: record.as_ref().filter(|_| !sealed).map(|record| record.cluster_id.clone()),
            storage: self.setting.storage,
            trouble: lock(&self.trouble).clone(),
        }
    }

    fn initialize(&self, request: &InitRequest) -> Result<InitAnswer, Error> {
        self.found(request)
    }

    fn submit(&self, share: Option<Secret>) -> Result<SealStatus, Error> {
        self.unseal(share)?;
        Ok(self.status())
    }

    fn migrate(&self, share: Secret) -> Result<SealStatus, Error> {
        self.give_to_migration(share)?;
        Ok(self.status())
    }

    fn seal(&self) -> Result<(), Error> {
        let _turn = self.turn()?;
        self.close();
        Ok(())
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
