//! Moving from one seal to another by a quorum of the old one's shares: shares to HSM, HSM to shares, HSM to HSM.
//!
//! One batch puts the keyring under a new root key that the new seal holds, and hands the shares their new office: unseal
//! shares become recovery shares and the other way round. Before it the old seal opens the storage, after it the new one,
//! and at no time none. The way back is the same ceremony with the stanzas swapped. Values that the old HSM wrapped stay
//! readable while its stanza is there, and the record remembers that it is needed ([`SealRecord::retired`]).

use framework::{Ciphertext, Error, KeySet, SealKind, Secret, Store};

use crate::backup;
use crate::control::Ceremony;
use crate::names::{RECOVERY_KEY, TOKEN_KEY, UNSEAL_KEY};
use crate::protection::{Holder, probe};
use crate::record::SealRecord;
use crate::store::writes;

impl<D: Store<Ciphertext>> Ceremony<D> {
    /// Takes a share of the old seal, and moves when there are enough.
    pub(crate) fn give_to_migration(&self, share: Secret) -> Result<(), Error> {
        let record = self.record().ok_or_else(|| Error::invalid("server is not yet initialized"))?;
        if !self.protection.moves(&record) {
            return Err(Error::invalid("can't perform a seal migration, no migration seal found"));
        }
        // Nobody shows a share for a seal that does not work.
        self.protection.hsms.iter().try_for_each(|hsm| probe(hsm))?;
        match self.gather(share, record.threshold)? {
            Some(shares) => self.move_by(&record, &shares),
            None => Ok(()),
        }
    }

    fn move_by(&self, record: &SealRecord, shares: &[Secret]) -> Result<(), Error> {
        let _turn = self.turn()?;
        let key = self.open_by_quorum(record, shares)?;
        // Until the registry is loaded nobody is served, and nobody else writes.
        let moved = self.move_under(record, &key).and_then(|()| self.load());
        if moved.is_err() {
            self.close();
        }
        moved
    }

    /// Moves an open storage. `key` is that of the shares.
    fn move_under(&self, record: &SealRecord, key: &Secret) -> Result<(), Error> {
        let token_key = self.read_key(TOKEN_KEY)?.ok_or_else(|| Error::internal("the key of the tokens is missing"))?;
        let hsms = &self.protection.hsms;
        let from = if record.is(SealKind::Shamir) { KeySet::Unseal } else { KeySet::Recovery };
        let (holder, to) = match hsms.is_empty() {
            true => (Holder::Shares(key), KeySet::Unseal),
            false => (Holder::Hsms(hsms), KeySet::Recovery),
        };
        let kept = self.read(backup::place(from))?;
        let others = || {
            let mut all = writes(|view| {
                view.put(TOKEN_KEY, token_key.try_clone()?)?;
                if hsms.is_empty() {
                    return view.delete(RECOVERY_KEY);
                }
                view.put(RECOVERY_KEY, key.try_clone()?)?;
                view.delete(UNSEAL_KEY)
            })?;
            all.extend(backup::moved(kept.as_ref(), from, to)?);
            Ok(all)
        };
        self.barrier.store().set_seals(self.protection.wrapping_by(hsms));
        let (old, new) = (&record.kind, self.protection.kind().name());
        let names: Vec<&str> = hsms.iter().map(|hsm| hsm.name()).collect();
        let moved = self.renew_root_key(record, holder, &others);
        match &moved {
            Ok(()) => tracing::warn!(old, new, ?names, "the storage has moved to another seal"),
            Err(error) => tracing::error!(old, new, "the storage has not moved to another seal: {error:?}"),
        }
        moved
    }
}
