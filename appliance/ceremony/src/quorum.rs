//! Whether the shares that were gathered are the right ones.

use framework::{Ciphertext, Error, Seal, SealKind, Secret, Store, Wrapped};
use seals::{ShamirSeal, shamir};

use crate::control::Ceremony;
use crate::names::RECOVERY_KEY;
use crate::record::{ROOT_KEY, SealRecord};

/// The shares do not make the key.
pub(crate) fn wrong_shares(until: &str) -> Error {
    Error::field(
        "key",
        format!(
            "these shares are not a quorum of this server's, or one of them is mistyped: {until} starts again with the first share"
        ),
    )
}

impl<D: Store<Ciphertext>> Ceremony<D> {
    /// The key of which these are shares, if it is this server's: the unseal key, or beside an HSM the recovery key.
    /// `None` if it is another, or none at all.
    pub(crate) fn authorise(&self, record: &SealRecord, shares: &[Secret]) -> Result<Option<Secret>, Error> {
        let Some(key) = unless_invalid(shamir::combine(shares, record.threshold))? else { return Ok(None) };
        let genuine = if record.is(SealKind::Shamir) {
            unless_invalid(self.unwrap_by_shares(record, &key))?.is_some()
        } else {
            let known = self.read_key(RECOVERY_KEY)?;
            known.ok_or_else(|| Error::internal("the record of the recovery key is missing"))?.ct_eq(key.expose())
        };
        Ok(genuine.then_some(key))
    }

    /// Opens the barrier for a quorum, and loads nothing; the key of its shares. If they are wrong the barrier is as it was.
    pub(crate) fn open_by_quorum(&self, record: &SealRecord, shares: &[Secret]) -> Result<Secret, Error> {
        let wrong = || wrong_shares("the attempt");
        let sealed = self.barrier.is_sealed();
        if sealed {
            let root = if record.is(SealKind::Shamir) {
                let key = unless_invalid(shamir::combine(shares, record.threshold))?.ok_or_else(wrong)?;
                unless_invalid(self.unwrap_by_shares(record, &key))?.ok_or_else(wrong)?
            } else {
                self.protection.unwrap(record)?
            };
            self.barrier.open(&root)?;
        }
        let key = self.authorise(record, shares).and_then(|key| key.ok_or_else(wrong));
        if sealed && key.is_err() {
            self.close();
        }
        key
    }

    /// The root key, by the key that operators hold in shares. [`Error::Invalid`] if that is another one.
    pub(crate) fn unwrap_by_shares(&self, record: &SealRecord, key: &Secret) -> Result<Secret, Error> {
        ShamirSeal::from_key(key)?.unwrap(&Wrapped::decode(&record.root_key)?, ROOT_KEY)
    }
}

/// `None` for what the holders of the shares have to mend; a fault of the server's own stays one.
pub(crate) fn unless_invalid<T>(result: Result<T, Error>) -> Result<Option<T>, Error> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Error::Invalid { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
