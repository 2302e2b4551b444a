//! `sys/rekey`: new shares by a quorum of the old. The batch that stores what the new shares belong to is the moment at which
//! the old ones stop to count; whatever ends the server before leaves the old ones good.

use barrier::Founding;
use framework::{
    Ciphertext, Error, Given, KeySet, NewShares, Rekey, RekeyRequest, RekeyState, RekeyStep, SealKind, Secret, Store,
    Write,
};
use seals::shamir;

use crate::backup;
use crate::control::{Ceremony, lock};
use crate::gathering::{Added, Gathering};
use crate::hand_out::Recipients;
use crate::names::RECOVERY_KEY;
use crate::protection::Holder;
use crate::quorum::wrong_shares;
use crate::record::{self, SealRecord};
use crate::store::writes;

/// The rekeys under way, one for each set of shares.
#[derive(Default)]
pub(crate) struct Rekeying {
    unseal: Option<RekeyAttempt>,
    recovery: Option<RekeyAttempt>,
}

impl Rekeying {
    pub(crate) fn of(&mut self, set: KeySet) -> &mut Option<RekeyAttempt> {
        match set {
            KeySet::Unseal => &mut self.unseal,
            KeySet::Recovery => &mut self.recovery,
        }
    }
}

/// One rekey.
pub(crate) struct RekeyAttempt {
    pub(crate) wanted: RekeyRequest,
    recipients: Recipients,
    gathering: Gathering,
    /// New shares are out, and wait for their verification.
    pub(crate) issued: Option<Issued>,
}

/// The key of new shares that do not count yet.
pub(crate) struct Issued {
    pub(crate) key: Secret,
    pub(crate) verification: Gathering,
}

impl RekeyAttempt {
    fn state(&self, required: u8) -> RekeyState {
        let verification = self.issued.as_ref().map(|issued| issued.verification.nonce().to_owned());
        RekeyState {
            nonce: self.gathering.nonce().to_owned(),
            started: true,
            shares: self.wanted.shares,
            threshold: self.wanted.threshold,
            progress: self.gathering.given(),
            required,
            pgp_fingerprints: self.recipients.fingerprints(),
            backup: self.wanted.backup,
            verify: self.wanted.verify,
            verification_nonce: verification.unwrap_or_default(),
        }
    }

    fn is(&self, nonce: &str) -> bool {
        self.gathering.nonce() == nonce
    }
}

impl<D: Store<Ciphertext>> Rekey for Ceremony<D> {
    fn state(&self, set: KeySet) -> Result<RekeyState, Error> {
        let required = self.record_of(set)?.threshold;
        let none = || RekeyState { required, ..RekeyState::default() };
        Ok(lock(&self.rekeying).of(set).as_ref().map_or_else(none, |attempt| attempt.state(required)))
    }

    fn start(&self, set: KeySet, wanted: RekeyRequest) -> Result<RekeyState, Error> {
        let record = self.record_of(set)?;
        let wanted = if kept_by_hsm(&record, set) { the_only_share(wanted)? } else { possible(wanted)? };
        let recipients = Recipients::parse(&wanted.pgp_keys, wanted.shares, "pgp_keys", self.clock.now())?;
        let mut rekeying = lock(&self.rekeying);
        let slot = rekeying.of(set);
        if slot.is_some() {
            return Err(Error::invalid("rekey already in progress"));
        }
        let gathering = Gathering::new(&*self.rng);
        let attempt = slot.insert(RekeyAttempt { wanted, recipients, gathering, issued: None });
        tracing::info!(nonce = attempt.gathering.nonce(), ?set, "rekey started");
        Ok(attempt.state(record.threshold))
    }

    fn give(&self, set: KeySet, given: Given) -> Result<RekeyStep, Error> {
        let record = self.record_of(set)?;
        let none = || Error::invalid("no rekey in progress");
        let shares = {
            let mut rekeying = lock(&self.rekeying);
            let attempt = rekeying.of(set).as_mut().ok_or_else(none)?;
            attempt.gathering.is(&given.nonce, "rekey operation")?;
            if let Some(issued) = &attempt.issued {
                return Err(Error::invalid(format!(
                    "rekey operation already finished; verification must be performed; nonce for the verification \
                     operation is {:?}",
                    issued.verification.nonce()
                )));
            }
            match attempt.gathering.add(given.share, record.threshold)? {
                Added::Enough(shares) => shares,
                Added::More => return Ok(RekeyStep::More(attempt.state(record.threshold))),
                Added::Again => {
                    let message = "given key has already been provided during this generation operation";
                    return Err(Error::field("key", message));
                }
            }
        };
        let _turn = self.turn()?;
        self.authorise(&record, &shares)?.ok_or_else(|| wrong_shares("the rekey"))?;
        let mut attempt = lock(&self.rekeying).of(set).take_if(|attempt| attempt.is(&given.nonce)).ok_or_else(none)?;
        let issued = self.issue(set, &record, &mut attempt);
        if attempt.issued.is_some() || issued.is_err() {
            lock(&self.rekeying).of(set).get_or_insert(attempt);
        }
        issued.map(RekeyStep::Done)
    }

    fn cancel(&self, set: KeySet) {
        if let Some(attempt) = lock(&self.rekeying).of(set).take() {
            tracing::info!(nonce = attempt.gathering.nonce(), ?set, "rekey cancelled");
        }
    }
}

impl<D: Store<Ciphertext>> Ceremony<D> {
    /// The record of a seal that has such shares.
    pub(crate) fn record_of(&self, set: KeySet) -> Result<SealRecord, Error> {
        let record = self.open_record()?;
        if set == KeySet::Recovery && record.is(SealKind::Shamir) {
            return Err(Error::invalid("recovery rekeying not supported: the shares of this server are unseal keys"));
        }
        Ok(record)
    }

    /// Makes a new key and its shares. They count at once, or wait in `attempt` for their verification.
    fn issue(&self, set: KeySet, record: &SealRecord, attempt: &mut RekeyAttempt) -> Result<NewShares, Error> {
        let RekeyAttempt { wanted, recipients, gathering, issued } = attempt;
        let mut new = NewShares {
            nonce: gathering.nonce().to_owned(),
            shares: Vec::new(),
            pgp_fingerprints: recipients.fingerprints(),
            backup: wanted.backup,
            verification_nonce: String::new(),
        };
        if kept_by_hsm(record, set) {
            self.renew_root_key(record, Holder::Hsms(&self.protection.able()?), &|| Ok(Vec::new()))?;
            return Ok(new);
        }
        let key = Secret::random(32)?;
        new.shares = recipients.hand_out(shamir::split(&key, wanted.shares, wanted.threshold)?)?;
        let kept = || match new.backup {
            true => backup::keep(set, &new.nonce, &new.pgp_fingerprints, &new.shares),
            false => Ok(Vec::new()),
        };
        if wanted.verify {
            // Kept at once: the answer may get lost before the verification too.
            self.barrier.put(Founding { seal_records: Vec::new(), records: kept()? })?;
            let verification = Gathering::new(&*self.rng);
            new.verification_nonce = verification.nonce().to_owned();
            *issued = Some(Issued { key, verification });
        } else {
            self.install(set, record, wanted, &key, &kept)?;
        }
        Ok(new)
    }

    /// Makes `key` the one that counts, in one batch with what `others` writes.
    pub(crate) fn install(
        &self,
        set: KeySet,
        record: &SealRecord,
        wanted: &RekeyRequest,
        key: &Secret,
        others: &dyn Fn() -> Result<Vec<Write<Secret>>, Error>,
    ) -> Result<(), Error> {
        let next = SealRecord { shares: wanted.shares, threshold: wanted.threshold, ..record.clone() };
        match set {
            KeySet::Unseal => self.renew_root_key(&next, Holder::Shares(key), others)?,
            KeySet::Recovery => {
                let mut records = writes(|view| view.put(RECOVERY_KEY, key.try_clone()?))?;
                records.extend(others()?);
                self.barrier.put(Founding { seal_records: vec![(record::NAME, next.encode()?)], records })?;
                self.set_record(next);
            }
        }
        tracing::warn!(?set, "rekeyed: the shares given out before count no more");
        Ok(())
    }
}

/// Whether there are no shares to give out: the HSM keeps what unseals.
fn kept_by_hsm(record: &SealRecord, set: KeySet) -> bool {
    set == KeySet::Unseal && !record.is(SealKind::Shamir)
}

/// What an HSM keeps counts as one share.
fn the_only_share(wanted: RekeyRequest) -> Result<RekeyRequest, Error> {
    if wanted.verify || wanted.backup || !wanted.pgp_keys.is_empty() {
        return Err(Error::invalid(
            "there is nothing to encrypt, keep or verify: the HSM unseals this server, and only the root key is made anew",
        ));
    }
    Ok(RekeyRequest { shares: 1, threshold: 1, ..wanted })
}

/// Vault's sentences.
fn possible(wanted: RekeyRequest) -> Result<RekeyRequest, Error> {
    let problem = if wanted.shares == 0 {
        "shares must be at least one"
    } else if wanted.threshold == 0 {
        "threshold must be at least one"
    } else if wanted.threshold > wanted.shares {
        "threshold cannot be larger than shares"
    } else if wanted.threshold == 1 && wanted.shares > 1 {
        "threshold must be greater than one for multiple shares"
    } else {
        return keepable(wanted);
    };
    Err(Error::field("secret_threshold", format!("invalid rekey seal configuration: {problem}")))
}

/// Only encrypted shares are kept.
fn keepable(wanted: RekeyRequest) -> Result<RekeyRequest, Error> {
    if wanted.backup && wanted.pgp_keys.is_empty() {
        let message = "cannot request a backup of the new keys without providing PGP keys for encryption";
        return Err(Error::field("backup", message));
    }
    Ok(wanted)
}
