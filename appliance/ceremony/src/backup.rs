//! `sys/rekey/backup`: PGP-encrypted shares, kept in case the answer with them got lost.

use barrier::Founding;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use framework::{Ciphertext, Error, KeptShares, KeySet, Secret, ShareBackup, Store, Write};
use serde::{Deserialize, Serialize};

use crate::control::Ceremony;
use crate::names;
use crate::store::writes;

/// The record.
#[derive(Deserialize, Serialize)]
struct Kept {
    nonce: String,
    /// Fingerprint, and the message in base64.
    shares: Vec<(String, String)>,
}

pub(crate) fn place(set: KeySet) -> &'static str {
    match set {
        KeySet::Unseal => names::UNSEAL_BACKUP,
        KeySet::Recovery => names::RECOVERY_BACKUP,
    }
}

/// The write that keeps encrypted shares.
pub(crate) fn keep(
    set: KeySet,
    nonce: &str,
    fingerprints: &[String],
    shares: &[Secret],
) -> Result<Vec<Write<Secret>>, Error> {
    let shares = fingerprints.iter().cloned().zip(shares.iter().map(|share| STANDARD.encode(share.expose())));
    let kept = Kept { nonce: nonce.to_owned(), shares: shares.collect() };
    let record = serde_json::to_vec(&kept).map_err(Error::internal)?;
    writes(|view| view.put(place(set), Secret::transient(record)))
}

/// The writes that move what is kept of shares whose office changes.
pub(crate) fn moved(kept: Option<&Secret>, from: KeySet, to: KeySet) -> Result<Vec<Write<Secret>>, Error> {
    let Some(kept) = kept.filter(|_| from != to) else { return Ok(Vec::new()) };
    writes(|view| {
        view.put(place(to), kept.try_clone()?)?;
        view.delete(place(from))
    })
}

impl<D: Store<Ciphertext>> ShareBackup for Ceremony<D> {
    fn kept(&self, set: KeySet) -> Result<Option<KeptShares>, Error> {
        let Some(record) = self.read(place(set))? else { return Ok(None) };
        let malformed = || Error::internal("the record of kept shares is malformed");
        let kept: Kept = serde_json::from_slice(record.expose()).map_err(|_| malformed())?;
        let decoded = kept.shares.into_iter().map(|(fingerprint, share)| {
            Ok((fingerprint, Secret::from(STANDARD.decode(share).map_err(|_| malformed())?)))
        });
        Ok(Some(KeptShares { nonce: kept.nonce, shares: decoded.collect::<Result<_, Error>>()? }))
    }

    fn drop_kept(&self, set: KeySet) -> Result<(), Error> {
        let records = writes(|view| view.delete(place(set)))?;
        self.barrier.put(Founding { seal_records: Vec::new(), records })
    }
}
