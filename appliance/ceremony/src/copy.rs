//! Whether a copy of a store, such as a snapshot, could take the place of this one: the same seal must open it.

use barrier::{Barrier, OpenError, SealRecords, SealWrap};
use framework::{Ciphertext, Error, SealKind, Secret, Store};

use crate::control::Ceremony;
use crate::names::UNSEAL_KEY;
use crate::quorum::unless_invalid;
use crate::record::{self, SealKey, SealRecord};

impl<D: Store<Ciphertext>> Ceremony<D> {
    /// The barrier over a copy, opened by the seal of this server: by its HSMs, or by the key that is in shares now.
    /// [`Error::Invalid`] if this seal does not open it.
    pub fn open_copy<C: Store<Ciphertext>>(&self, copy: C) -> Result<Barrier<SealWrap<C>>, Error> {
        let record = self.suitable(&copy)?;
        let root: Option<Secret> = if record.is(SealKind::Shamir) {
            let key = self.read_key(UNSEAL_KEY)?.ok_or_else(|| Error::internal("the unseal key is missing"))?;
            unless_invalid(self.unwrap_by_shares(&record, &key))?
        } else {
            match self.protection.unwrap(&record) {
                Ok(root) => Some(root),
                // What the HSM rejects, another key has wrapped.
                Err(Error::Internal(_)) => None,
                Err(error) => return Err(error),
            }
        };
        let root = root.ok_or_else(other_keys)?;
        let barrier = Barrier::new(SealWrap::new(copy, self.protection.wrapping_by(&[])));
        match barrier.open(&root) {
            Ok(()) => Ok(barrier),
            Err(OpenError::WrongRootKey) => Err(other_keys()),
            Err(OpenError::Failed(error)) => Err(error),
        }
    }

    /// Whether a copy is under a seal that the configuration names; under another one the server would not start.
    pub fn admit(&self, copy: &impl Store<Ciphertext>) -> Result<(), Error> {
        self.suitable(copy).map(drop)
    }

    fn suitable<C: Store<Ciphertext>>(&self, copy: &C) -> Result<SealRecord, Error> {
        let found = SealRecords::new(copy).get(record::NAME)?;
        let found =
            found.ok_or_else(|| Error::invalid("the snapshot was taken of a server that was not initialized"))?;
        let record = SealRecord::decode(&found.value)?;
        let (kind, ours) = (&record.kind, self.protection.kind());
        let what = if !record.is(ours) {
            format!("is under a {kind} seal, and this server has a {} seal", ours.name())
        } else if let Some(SealKey { label, .. }) = self.protection.lacking(&record) {
            format!("needs the seal key {label:?}, and no seal stanza of this server has it as its key_label")
        } else {
            return Ok(record);
        };
        Err(Error::invalid(format!(
            "the snapshot {what}: stop the server, set the seal stanza to that of the snapshot, and restore it offline"
        )))
    }
}

fn other_keys() -> Error {
    // The end of the sentence is Vault's.
    Error::invalid(
        "this server's seal does not open the snapshot: possibly the snapshot is using a different set of unseal keys; use \
         the snapshot-force API to bypass this check",
    )
}
