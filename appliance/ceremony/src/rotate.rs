//! New keys without a quorum: the data key, by command or by itself, and the root key.

use std::time::Duration;

use barrier::Founding;
use framework::{
    Ciphertext, Error, KeyRotation, KeyStatus, MountId, Prefix, Secret, Store, Timestamp, Transaction, Write,
};
use registry::RotationPolicy;

use crate::control::Ceremony;
use crate::names::UNSEAL_KEY;
use crate::protection::Holder;
use crate::record::{self, SealRecord};
use crate::store::writes;

/// How often a change of the keyring is tried while others change it too.
const ATTEMPTS: usize = 8;

impl<D: Store<Ciphertext>> KeyRotation for Ceremony<D> {
    fn data_key(&self) -> Result<KeyStatus, Error> {
        let terms = self.barrier.terms()?;
        let newest = terms.last().ok_or_else(|| Error::internal("the keyring is empty"))?;
        Ok(KeyStatus { term: newest.term, installed: newest.installed, encryptions: newest.encryptions })
    }

    fn rotate_data_key(&self, now: Timestamp) -> Result<(), Error> {
        let term = again_on_conflict(|| self.barrier.rotate(now))?;
        tracing::info!(term, "a new data key encrypts from now on");
        Ok(())
    }

    fn rotate_root_key(&self) -> Result<(), Error> {
        let _turn = self.turn()?;
        let record = self.open_record()?;
        if self.protection.hsms.is_empty() {
            let key = self.read_key(UNSEAL_KEY)?;
            let key = key.ok_or_else(|| Error::internal("the record of the unseal key is missing"))?;
            self.renew_root_key(&record, Holder::Shares(&key), &|| Ok(Vec::new()))?;
        } else {
            self.renew_root_key(&record, Holder::Hsms(&self.protection.able()?), &|| Ok(Vec::new()))?;
        }
        tracing::info!("the keyring lies under a new root key");
        Ok(())
    }
}

impl<D: Store<Ciphertext>> Ceremony<D> {
    /// Makes a new data key if the policy says that the present one is too old or was used too often; whether it did.
    pub fn rotate_when_due(&self) -> Result<bool, Error> {
        let policy = {
            let transaction = Transaction::new(&*self.barrier);
            RotationPolicy::read(&transaction.view(Prefix::root(), MountId::default(), &[]))?
        };
        let (key, now) = (self.data_key()?, self.clock.now());
        let interval = Duration::from_secs(policy.interval);
        let old = policy.interval > 0 && now.since(key.installed) >= interval;
        let due = policy.enabled && (old || key.encryptions >= policy.max_operations);
        if due {
            self.rotate_data_key(now)?;
        }
        Ok(due)
    }

    /// Puts the keyring under a new root key that `holder` holds, and stores `record` with that. One batch with what `others`
    /// writes.
    pub(crate) fn renew_root_key(
        &self,
        record: &SealRecord,
        holder: Holder<'_>,
        others: &dyn Fn() -> Result<Vec<Write<Secret>>, Error>,
    ) -> Result<(), Error> {
        let root = Secret::random(32)?;
        let next = record.held(holder.hold(&root)?);
        again_on_conflict(|| {
            let mut records = others()?;
            if let Holder::Shares(key) = holder {
                records.extend(writes(|view| view.put(UNSEAL_KEY, key.try_clone()?))?);
            }
            self.barrier
                .change_root_key(&root, Founding { seal_records: vec![(record::NAME, next.encode()?)], records })
        })?;
        self.set_record(next);
        Ok(())
    }
}

pub(crate) fn again_on_conflict<T>(change: impl Fn() -> Result<T, Error>) -> Result<T, Error> {
    for _ in 1..ATTEMPTS {
        match change() {
            Err(Error::Conflict) => {}
            done => return done,
        }
    }
    change()
}
