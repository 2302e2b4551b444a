//! `sys/rekey/backup` and the like: PGP-encrypted shares that were kept.

use std::sync::Arc;

use framework::Operation::{Delete, Read};
use framework::{Context, Error, Json, KeptShares, KeySet, Map, Route, Secret, ShareBackup, fields};

use crate::{Core, Nothing, shares};

pub(crate) fn routes(core: &Core) -> Vec<Route> {
    let of = |set, path| kept(&core.ceremonies.backup, set, path);
    [
        of(KeySet::Unseal, "rekey/backup"),
        of(KeySet::Unseal, "rotate/root/backup"),
        of(KeySet::Recovery, "rekey/recovery-key-backup"),
        of(KeySet::Recovery, "rotate/recovery/backup"),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn kept(backup: &Arc<dyn ShareBackup>, set: KeySet, path: &'static str) -> [Route; 2] {
    let (read, dropped) = (Arc::clone(backup), Arc::clone(backup));
    [
        Route::new(Read, path, "Encrypted shares that were kept.", move |_: &Context<'_>, _: Nothing| {
            let kept = read.kept(set)?.ok_or_else(|| Error::invalid("no backed-up keys found"))?;
            Ok(Kept::from(kept))
        }),
        Route::new(Delete, path, "Keep encrypted shares no more.", move |_: &Context<'_>, _: Nothing| {
            dropped.drop_kept(set)
        }),
    ]
}

fields! {
    struct Kept {
        /// Names the rekey that made them.
        nonce: String,
        /// Lists of encrypted shares in hexadecimal, by fingerprint of the PGP key.
        keys: Map<String, Json>,
        /// The same in base64.
        keys_base64: Map<String, Json>,
    }
}

impl From<KeptShares> for Kept {
    fn from(kept: KeptShares) -> Self {
        let (fingerprints, kept_shares): (Vec<String>, Vec<Secret>) = kept.shares.into_iter().unzip();
        let (hex, base64) = shares::both(&kept_shares);
        let by_key = |shares: Vec<String>| {
            let mut map: Map<String, Json> = Map::new();
            for (fingerprint, share) in fingerprints.iter().zip(shares) {
                // One holder may have several.
                match map.entry(fingerprint.clone()).or_insert_with(|| Json::Array(Vec::new())) {
                    Json::Array(list) => list.push(share.into()),
                    other => *other = share.into(),
                }
            }
            map
        };
        Self { nonce: kept.nonce, keys: by_key(hex), keys_base64: by_key(base64) }
    }
}
