//! `sys/init`: a store's first keys, its first mounts and its first token, in one batch.

use barrier::Founding;
use framework::{Ciphertext, Error, InitAnswer, InitRequest, Secret, Store, Write};
use seals::pgp::Recipient;
use seals::shamir;

use crate::control::Ceremony;
use crate::hand_out::{Recipients, token_for};
use crate::names::{RECOVERY_KEY, TOKEN_KEY, UNSEAL_KEY};
use crate::protection::Holder;
use crate::record::{self, SealRecord};
use crate::store::writes;

impl<D: Store<Ciphertext>> Ceremony<D> {
    pub(crate) fn found(&self, request: &InitRequest) -> Result<InitAnswer, Error> {
        let _turn = self.turn()?;
        if self.record().is_some() {
            return Err(Error::invalid("Vault is already initialized"));
        }
        let recovery = !self.protection.hsms.is_empty();
        let now = self.clock.now();
        let field = if recovery { "recovery_pgp_keys" } else { "pgp_keys" };
        let recipients = Recipients::parse(&request.pgp_keys, request.shares, field, now)?;
        let for_token = request.root_token_pgp_key.as_deref();
        let for_token = for_token.map(|key| Recipient::parse(key, "root_token_pgp_key", now)).transpose()?;

        let (root, key) = (Secret::random(32)?, Secret::random(32)?);
        let shares = recipients.hand_out(shamir::split(&key, request.shares, request.threshold)?)?;
        let (holder, kept_at) = match recovery {
            true => (Holder::Hsms(&self.protection.hsms), RECOVERY_KEY),
            false => (Holder::Shares(&key), UNSEAL_KEY),
        };
        let held = holder.hold(&root)?;
        self.barrier.store().set_seals(self.protection.wrapping_by(&self.protection.hsms));
        let (records, root_token) = self.foundation(kept_at, &key)?;
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
            kind: held.kind.name().to_owned(),
            shares: request.shares,
            threshold: request.threshold,
            keys: held.keys,
            retired: Vec::new(),
            root_key: held.root_key,
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
