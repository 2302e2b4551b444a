//! Giving leases out.

use std::time::Duration;

use framework::{Caller, Error, Lease, Timestamp, TokenKind, View};

use super::LeaseRecord;
use crate::mounts::Mount;
use crate::registry::Registry;
use crate::tokens::{self, Wish};
use crate::{leases, random};

impl Registry {
    /// Issues the lease that a handler asks for, in the handler's transaction, and completes it for the answer. `path` is that
    /// of the request. Returns warnings for the answer.
    pub fn grant_lease(
        &self,
        view: &View<'_>,
        lease: &mut Lease,
        caller: &Caller,
        mount: &Mount,
        path: &str,
        now: Timestamp,
    ) -> Result<Vec<String>, Error> {
        if caller.token.is_empty() {
            return Err(Error::internal("a secret was leased to nobody: its route needs no token"));
        }
        if !caller.owner.is_empty() {
            tokens::owns_lease(view, &caller.owner)?;
        }
        let mut warnings = Vec::new();
        let wish = Wish { ttl: lease.duration, max_ttl: lease.max_ttl, ..Wish::default() };
        let mut ttl = tokens::granted(wish, &mount.info, now, now, &mut warnings)?;
        // A batch token cannot be revoked, so what is leased to it cannot outlive it.
        let limit = caller.expires.filter(|_| caller.kind == TokenKind::Batch.name());
        if let Some(limit) = limit {
            ttl = ttl.min(Duration::from_secs(leases::left(Some(limit), now)));
        }
        let random = String::from_utf8(random::base62(&*self.rng, b"", 24)).unwrap_or_default();
        lease.id = format!("{}/{random}", path.trim_end_matches('/'));
        lease.duration = ttl;
        let end = now.plus(ttl).nanos();
        let record = LeaseRecord {
            mount: mount.entry.uuid.clone(),
            kind: lease.kind.to_owned(),
            owner: caller.owner.clone(),
            data: std::mem::take(&mut lease.data),
            issued: now.nanos(),
            expires: end,
            due: end,
            limit: limit.map(Timestamp::nanos),
            ttl: ttl.as_secs(),
            max_ttl: lease.max_ttl.as_secs(),
            renewable: lease.renewable,
            ..LeaseRecord::default()
        };
        record.add(view, &lease.id)?;
        Ok(warnings)
    }
}
