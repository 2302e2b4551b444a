//! `sys/init`: a store's first keys, its first mounts and its first token, in one batch.

use barrier::Founding;
use framework::{Ciphertext, Error, InitAnswer, InitRequest, Seal, Secret, Store, Write};
use seals::pgp::Recipient;
use seals::{HsmSeal, ShamirSeal, shamir};

use crate::control::{Ceremony, Protection};
use crate::hand_out::{Recipients, token_for};
use crate::names::{RECOVERY_KEY, TOKEN_KEY, UNSEAL_KEY};
use crate::record::{self, ROOT_KEY, SealRecord};
use crate::store::writes;

/// A wrapped root key.
pub(crate) struct Protected {
    wrapped: Vec<u8>,
    check_value: Vec<u8>,
    /// Where the key lies whose shares are given out, and which the seal is not.
    kept_at: &'static str,
}

impl<D: Store<Ciphertext>> Ceremony<D> {
    pub(crate) fn found(&self, request: &InitRequest) -> Result<InitAnswer, Error> {
        let _turn = self.turn()?;
        if self.record().is_some() {
            return Err(Error::invalid("Vault is already initialized"));
        }
        let recovery = matches!(self.protection, Protection::Hsm(_));
        let now = self.clock.now();
        let field = if recovery { "recovery_pgp_keys" } else { "pgp_keys" };
        let recipients = Recipients::parse(&request.pgp_keys, request.shares, field, now)?;
        let for_token = request.root_token_pgp_key.as_deref();
        let for_token = for_token.map(|key| Recipient::parse(key, "root_token_pgp_key", now)).transpose()?;

        let (root, key) = (Secret::random(32)?, Secret::random(32)?);
        let shares = recipients.hand_out(shamir::split(&key, request.shares, request.threshold)?)?;
        let protected = self.protect(&root, &key)?;
        let (records, root_token) = self.foundation(protected.kept_at, &key)?;
        let root_token = match &for_token {
            Some(recipient) => token_for(recipient, &root_token)?,
            None => root_token,
        };
        let cluster_id = framework::uuid(&*self.rng);
        let cluster_name = match self.setting.cluster_name.as_str() {
            "" => format!("holdfast-cluster-{}", cluster_id.get(..8).unwrap_or_default()),
            name => name.to_owned(),
        };
        let record = SealRecord {
            kind: self.protection.kind().name().to_owned(),
            shares: request.shares,
            threshold: request.threshold,
            check_value: protected.check_value,
            root_key: protected.wrapped,
            cluster_name,
            cluster_id,
        };
        let founding = Founding { seal_records: vec![(record::NAME, record.encode()?)], records };
        self.barrier.initialise(&root, founding, now)?;
        self.set_record(record);
        if recovery {
            self.open(&root)?;
        }
        Ok(InitAnswer { shares, recovery, root_token })
    }

    /// Wraps the root key: by the HSM, or by `key`, which operators hold in shares.
    fn protect(&self, root: &Secret, key: &Secret) -> Result<Protected, Error> {
        match &self.protection {
            Protection::Shamir => {
                let wrapped = ShamirSeal::from_key(key)?.wrap(root, ROOT_KEY)?.encode();
                Ok(Protected { wrapped, check_value: Vec::new(), kept_at: UNSEAL_KEY })
            }
            Protection::Hsm(seal) => {
                let check_value = seal.describe()?.check_value;
                seal.pin(&check_value);
                let wrapped = wrap_for_good(seal, root)?;
                Ok(Protected { wrapped, check_value, kept_at: RECOVERY_KEY })
            }
        }
    }

    /// Everything that the first start writes behind the barrier, and the root token.
    fn foundation(&self, kept_at: &'static str, key: &Secret) -> Result<(Vec<Write<Secret>>, Secret), Error> {
        let token_key = Secret::random(32)?;
        let mut root_token = None;
        let records = writes(|view| {
            // The registry's own records are not critical by themselves.
            let plain = view.below("", Default::default(), &[])?;
            root_token = Some(self.registry.initialise(&plain, &token_key, self.setting.root_token.as_ref())?);
            view.put(TOKEN_KEY, token_key.try_clone()?)?;
            view.put(kept_at, key.try_clone()?)
        })?;
        Ok((records, root_token.ok_or_else(|| Error::internal("no root token was made"))?))
    }
}

/// Wraps the root key by an HSM. Nothing is founded on a wrap that cannot be undone.
pub(crate) fn wrap_for_good(seal: &HsmSeal, root: &Secret) -> Result<Vec<u8>, Error> {
    let wrapped = seal.wrap(root, ROOT_KEY)?;
    if seal.unwrap(&wrapped, ROOT_KEY)? != *root {
        return Err(Error::HsmUnavailable { reason: "the HSM does not give back what it wrapped".to_owned() });
    }
    Ok(wrapped.encode())
}
