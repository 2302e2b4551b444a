//! Several HSMs, each of which holds the root key: what the record says of them follows the configuration, without a quorum,
//! since one that holds it already lets the others in.

use std::collections::BTreeSet;
use std::sync::Arc;

use barrier::Founding;
use framework::{CRITICAL, Ciphertext, Error, KeyId, Seal, SealBackend, SealHealth, SealKind, Store};
use registry::Rewrap;
use seals::HsmSeal;

use crate::control::Ceremony;
use crate::protection::Holder;
use crate::record::{self, SealKey, SealRecord};
use crate::rotate::again_on_conflict;
use crate::store::writes;

impl<D: Store<Ciphertext>> Ceremony<D> {
    /// Puts the root key under the HSMs that the configuration names, as far as they do their part now; whether that changed
    /// anything. Call it from time to time: one that is away today may be there tomorrow.
    pub fn align_seals(&self) -> Result<bool, Error> {
        let record = self.open_record()?;
        if record.is(SealKind::Shamir) || labels(&record.keys) == ids(&self.protection.hsms) {
            return Ok(false);
        }
        let able = self.protection.able()?;
        if labels(&record.keys) == ids(&able) {
            return Ok(false);
        }
        let _turn = self.turn()?;
        // A root token that only an HSM unwraps which is lost next would be lost with it, and so would any other value.
        let rewrap = Rewrap::start(0, self.clock.now());
        self.renew_root_key(&self.open_record()?, Holder::Hsms(&able), &|| writes(|view| rewrap.write(view)))?;
        tracing::warn!(keys = ?ids(&able), "the HSMs that hold the root key are others now; what is stored is rewrapped");
        self.rewrap_own()?;
        Ok(true)
    }

    /// Writes the ceremonies' own critical records and the keyring again, under the keys that wrap now.
    fn rewrap_own(&self) -> Result<(), Error> {
        again_on_conflict(|| self.barrier.rewrite_keyring())?;
        for name in CRITICAL {
            if let Some(value) = self.read_key(name)? {
                let records = writes(|view| view.put(name, value.try_clone()?))?;
                self.barrier.put(Founding { seal_records: Vec::new(), records })?;
            }
        }
        Ok(())
    }

    /// Forgets the retired keys that no stored value is wrapped by any more: their stanzas may go. Call it after a walk
    /// over the whole store, with the keys that were found in use.
    pub fn release_retired(&self, in_use: &BTreeSet<KeyId>) -> Result<(), Error> {
        let _turn = self.turn()?;
        let record = self.open_record()?;
        let needed = |key: &&SealKey| in_use.contains(&KeyId(key.label.clone()));
        let retired: Vec<SealKey> = record.retired.iter().filter(needed).cloned().collect();
        if retired.len() == record.retired.len() {
            return Ok(());
        }
        let next = SealRecord { retired, ..record };
        let seal_records = vec![(record::NAME, next.encode()?)];
        self.barrier.put(Founding { seal_records, records: Vec::new() })?;
        tracing::warn!(still_needed = ?labels(&next.retired), "seal keys that wrap nothing any more are not needed now");
        self.set_record(next);
        Ok(())
    }
}

fn ids(hsms: &[Arc<HsmSeal>]) -> BTreeSet<KeyId> {
    hsms.iter().map(|hsm| hsm.key_id()).collect()
}

fn labels(keys: &[SealKey]) -> BTreeSet<KeyId> {
    keys.iter().map(|key| KeyId(key.label.clone())).collect()
}

impl<D: Store<Ciphertext>> SealHealth for Ceremony<D> {
    fn backends(&self) -> Vec<SealBackend> {
        if self.protection.hsms.is_empty() && self.protection.leaving.is_empty() {
            let name = SealKind::Shamir.name().to_owned();
            return vec![SealBackend { name, disabled: false, unhealthy_for: None }];
        }
        let backend = |disabled| {
            move |hsm: &Arc<HsmSeal>| {
                let unhealthy_for = hsm.state().unhealthy_since.map(|since| since.elapsed());
                SealBackend { name: hsm.name().to_owned(), disabled, unhealthy_for }
            }
        };
        let (hsms, leaving) = (self.protection.hsms.iter(), self.protection.leaving.iter());
        hsms.map(backend(false)).chain(leaving.map(backend(true))).collect()
    }

    fn fully_wrapped(&self) -> bool {
        let all = |record: SealRecord| {
            record.retired.is_empty() && self.protection.in_use(&record).len() == self.protection.hsms.len()
        };
        self.record().is_none_or(all)
    }
}
