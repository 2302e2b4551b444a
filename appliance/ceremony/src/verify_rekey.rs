//! `sys/rekey/verify`: new shares count only once a quorum of them was shown.

use framework::{Ciphertext, Error, Given, KeySet, Store, Verification, VerifyRekey};
use seals::shamir;

use crate::control::{Ceremony, lock};
use crate::gathering::{Added, Gathering};
use crate::quorum::unless_invalid;
use crate::rekey::RekeyAttempt;

impl RekeyAttempt {
    fn verification(&self) -> Verification {
        let gathering = self.issued.as_ref().map(|issued| &issued.verification);
        Verification {
            nonce: gathering.map(|gathering| gathering.nonce().to_owned()).unwrap_or_default(),
            started: gathering.is_some(),
            shares: self.wanted.shares,
            threshold: self.wanted.threshold,
            progress: gathering.map_or(0, Gathering::given),
            complete: false,
        }
    }
}

impl<D: Store<Ciphertext>> VerifyRekey for Ceremony<D> {
    fn verification(&self, set: KeySet) -> Result<Verification, Error> {
        self.record_of(set)?;
        lock(&self.rekeying).of(set).as_ref().map(RekeyAttempt::verification).ok_or_else(no_rekey)
    }

    fn verify(&self, set: KeySet, given: Given) -> Result<Verification, Error> {
        let record = self.record_of(set)?;
        let _turn = self.turn()?;
        let mut rekeying = lock(&self.rekeying);
        let attempt = rekeying.of(set).as_mut().ok_or_else(no_rekey)?;
        let threshold = attempt.wanted.threshold;
        let issued = attempt.issued.as_mut().ok_or_else(|| Error::invalid("no rekey verification in progress"))?;
        issued.verification.is(&given.nonce, "verify operation")?;
        let shares = match issued.verification.add(given.share, threshold)? {
            Added::Enough(shares) => shares,
            Added::More => return Ok(attempt.verification()),
            Added::Again => {
                return Err(Error::field("key", "given key has already been provided during this verify operation"));
            }
        };
        let shown = unless_invalid(shamir::combine(&shares, threshold))?;
        if shown.is_none_or(|shown| shown != issued.key) {
            issued.verification = Gathering::new(&*self.rng);
            return Err(Error::field("key", "rekey verification failed; incorrect key shares supplied"));
        }
        let (key, wanted) = (issued.key.try_clone()?, attempt.wanted.clone());
        drop(rekeying);
        self.install(set, &record, &wanted, &key, &|| Ok(Vec::new()))?;
        *lock(&self.rekeying).of(set) = None;
        Ok(Verification { nonce: given.nonce, complete: true, ..Verification::default() })
    }

    fn restart_verification(&self, set: KeySet) -> Result<Verification, Error> {
        self.record_of(set)?;
        let mut rekeying = lock(&self.rekeying);
        let attempt = rekeying.of(set).as_mut().ok_or_else(no_rekey)?;
        if let Some(issued) = &mut attempt.issued {
            issued.verification = Gathering::new(&*self.rng);
        }
        Ok(attempt.verification())
    }
}

fn no_rekey() -> Error {
    Error::invalid("no rekey configuration found")
}
