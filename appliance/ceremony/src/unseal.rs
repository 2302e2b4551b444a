//! `sys/unseal`, and what an HSM does in its place.

use barrier::OpenError;
use framework::{Ciphertext, Error, SealKind, Secret, Store};
use seals::shamir;

use crate::control::{Ceremony, lock};
use crate::gathering::{Added, Gathering};
use crate::quorum::{unless_invalid, wrong_shares};
use crate::record::SealRecord;

/// Why the HSM has not unsealed the server yet.
#[derive(Debug)]
pub enum Trouble {
    /// Nothing to unseal: `sys/init` comes first.
    Uninitialized,
    /// The storage lies under another seal: a quorum has to move it first (`sys/unseal` with `migrate`).
    Moving,
    /// Asking again may help.
    Transient(Error),
    /// Asking again will not help before somebody changes something.
    Operator(Error),
}

impl<D: Store<Ciphertext>> Ceremony<D> {
    /// Unseals by an HSM, once. Says why it did not work; the reason is in the status too until it does.
    pub fn unseal_by_hsm(&self) -> Result<(), Trouble> {
        let Some(record) = self.record() else { return Err(Trouble::Uninitialized) };
        if self.protection.moves(&record) {
            return Err(Trouble::Moving);
        }
        let result = self.turn().and_then(|_turn| {
            if !self.barrier.is_sealed() {
                return Ok(());
            }
            let root = self.protection.unwrap(&record)?;
            self.open(&root).map_err(Error::from)
        });
        *lock(&self.trouble) = result.as_ref().err().map(inside);
        result.map_err(|error| match error {
            Error::HsmUnavailable { .. } | Error::Busy { .. } => Trouble::Transient(error),
            error => Trouble::Operator(error),
        })
    }

    /// Takes a share, and unseals when there are enough; `None` forgets those given so far.
    pub(crate) fn unseal(&self, share: Option<Secret>) -> Result<(), Error> {
        let Some(share) = share else {
            *lock(&self.unsealing) = None;
            return Ok(());
        };
        let record = self.record().ok_or_else(|| Error::invalid("server is not yet initialized"))?;
        if !self.barrier.is_sealed() {
            return Ok(());
        }
        if self.protection.moves(&record) {
            return Err(Error::invalid("migrate option not provided and seal migration is pending"));
        }
        if record.is(SealKind::Pkcs11) {
            return Err(Error::invalid(
                "the HSM unseals this server when it starts; recovery keys authorise, they do not decrypt. Start the \
                 server again; if it stays sealed, seal_trouble in sys/seal-status says why",
            ));
        }
        match self.gather(share, record.threshold)? {
            Some(shares) => self.unseal_by_shares(&record, &shares),
            None => Ok(()),
        }
    }

    /// Takes a share; gives all of them, and ends the attempt, when there are enough.
    pub(crate) fn gather(&self, share: Secret, threshold: u8) -> Result<Option<Vec<Secret>>, Error> {
        let mut unsealing = lock(&self.unsealing);
        let mut gathering = unsealing.take().unwrap_or_else(|| Gathering::new(&*self.rng));
        let added = gathering.add(share, threshold);
        // A first share that is none starts no attempt.
        if gathering.given() > 0 {
            *unsealing = Some(gathering);
        }
        Ok(match added? {
            Added::Enough(shares) => Some(shares),
            Added::Again | Added::More => None,
        })
    }

    fn unseal_by_shares(&self, record: &SealRecord, shares: &[Secret]) -> Result<(), Error> {
        let _turn = self.turn()?;
        let wrong = || wrong_shares("the attempt");
        let key = unless_invalid(shamir::combine(shares, record.threshold))?.ok_or_else(wrong)?;
        let root = unless_invalid(self.unwrap_by_shares(record, &key))?.ok_or_else(wrong)?;
        self.open(&root).map_err(|error| match error {
            OpenError::WrongRootKey => wrong(),
            OpenError::Failed(error) => error,
        })
    }
}

/// What the log and the status may say of an error, the inside cause included: causes hold no secrets.
fn inside(error: &Error) -> String {
    match error {
        Error::Internal(incident) => incident.cause.clone(),
        other => other.to_string(),
    }
}
