//! Renewing leased secrets. The sentences of refusals are Vault's.

use std::time::Duration;

use framework::{Catalog, Context, Error, Lease, Timestamp, View};

use super::engine::Asker;
use super::{Entry, LeaseRecord, entry};
use crate::registry::Registry;
use crate::tokens::{self, Wish};

impl Registry {
    /// Gives a leased secret a new lifetime from now on: `increment`, or what its engine says, or what it last had. The
    /// context is that of the request, over the whole store. Returns the lease and warnings for the answer. Tokens are
    /// renewed elsewhere.
    pub fn renew_lease(
        &self,
        cx: &Context<'_>,
        catalog: &Catalog,
        id: &str,
        increment: Option<Duration>,
    ) -> Result<(Lease, Vec<String>), Error> {
        let mut record = match entry(&cx.view, id)? {
            None => return Err(Error::invalid("lease not found")),
            Some(Entry::Token(name)) => return Err(self.token_as_lease(&cx.view, &name, cx.now)?),
            Some(Entry::Secret(record)) => *record,
        };
        renewable(&record, cx.now)?;
        let asker = Asker { catalog, caller: cx.caller, origin: cx.origin, now: cx.now };
        let mut lease = self.ask_engine(&cx.view, &record, &asker, |there, kind| {
            let renew = kind.renew.ok_or_else(|| Error::invalid("lease is not renewable"))?;
            let mut lease = record.lease(id, kind);
            renew(there, &mut lease)?;
            Ok(lease)
        })?;
        let mount = self.mount_by_uuid(&cx.view, &record.mount)?;
        let mount = mount.ok_or_else(|| Error::internal("the mount that leased a secret is gone"))?;
        let mut warnings = Vec::new();
        let wish = Wish {
            ttl: increment.filter(|ttl| !ttl.is_zero()).unwrap_or(lease.duration),
            max_ttl: lease.max_ttl,
            ..Wish::default()
        };
        let ttl = tokens::granted(wish, &mount.info, record.issued(), cx.now, &mut warnings)?;
        let end = cx.now.plus(ttl);
        let end = record.limit.map(Timestamp::from_nanos).map_or(end, |limit| end.min(limit));
        record.ttl = ttl.as_secs();
        record.max_ttl = lease.max_ttl.as_secs();
        record.data = std::mem::take(&mut lease.data);
        record.last_renewal = Some(cx.now.nanos());
        record.end_at(&cx.view, id, end)?;
        lease.duration = end.since(cx.now);
        Ok((lease, warnings))
    }

    /// Why a token is not renewed as a lease.
    fn token_as_lease(&self, view: &View<'_>, name: &str, now: Timestamp) -> Result<Error, Error> {
        let record = tokens::read_record(view, name)?.filter(|record| record.valid(now));
        Ok(Error::invalid(match record {
            None => "lease not found",
            Some(record) if record.expires.is_none() || !record.renewable => "lease is not renewable",
            Some(_) => "tokens cannot be renewed through this endpoint",
        }))
    }
}

fn renewable(record: &LeaseRecord, now: Timestamp) -> Result<(), Error> {
    Err(Error::invalid(if record.trouble.is_some() {
        "lease is expired and has failed previous revocation attempts"
    } else if record.expires() <= now {
        "lease expired"
    } else if !record.renewable {
        "lease is not renewable"
    } else {
        return Ok(());
    }))
}
