//! Calling engines back about their leases.

use framework::{Caller, Catalog, Context, Error, LeaseKind, Origin, Timestamp, View};

use super::LeaseRecord;
use crate::registry::Registry;

/// Who wants something of a lease, and when.
pub(super) struct Asker<'a> {
    pub(super) catalog: &'a Catalog,
    pub(super) caller: &'a Caller,
    pub(super) origin: &'a Origin,
    pub(super) now: Timestamp,
}

impl Registry {
    /// Lets the engine that gave a secret out work on it, in the transaction of `view`, which is rooted at the whole store. A
    /// mount that is disabled is there for this until it has no lease left.
    pub(super) fn ask_engine<T>(
        &self,
        view: &View<'_>,
        record: &LeaseRecord,
        asker: &Asker<'_>,
        work: impl FnOnce(&Context<'_>, &LeaseKind) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mount = self.mount_by_uuid(view, &record.mount)?;
        let mount = mount.ok_or_else(|| Error::internal("the mount that leased a secret is gone"))?;
        let engine = mount.engine(asker.catalog)?;
        let kind = engine.leases.iter().find(|kind| kind.name == record.kind);
        let kind = kind.ok_or_else(|| Error::internal(format!("{} leases no {}", engine.kind, record.kind)))?;
        let context = Context {
            view: view.below(mount.folder.as_str(), mount.id, mount.seal_wrapped(engine))?,
            caller: asker.caller,
            origin: asker.origin,
            mount: &mount.info,
            now: asker.now,
            rng: &*self.rng,
            token: None,
        };
        work(&context, kind)
    }
}
