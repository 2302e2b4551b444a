//! Snapshots of the running server: where storage, barrier and ceremonies come together for them.

use std::io::Read;
use std::sync::Arc;

use barrier::{Barrier, SealWrap};
use ceremony::Ceremony;
use framework::Error;
use storage::Storage;
use storage::archive::Contents;
use tokio::sync::Notify;

/// What the keyring vouches for, in [`Barrier::vouch`].
const PURPOSE: &str = "snapshot";

pub(crate) struct Snapshots {
    pub(crate) storage: Arc<Storage>,
    pub(crate) barrier: Arc<Barrier<SealWrap<Arc<Storage>>>>,
    pub(crate) ceremony: Arc<Ceremony<Arc<Storage>>>,
    pub(crate) restart: Arc<Notify>,
}

impl system::Snapshots for Snapshots {
    fn save(&self) -> Result<Box<dyn Read + Send>, Error> {
        let export = self.storage.export(&|key, record| self.barrier.verify(key, record))?;
        let Contents { position, records, bytes, sums, .. } = export.contents();
        tracing::info!(sequence = position.sequence, records, bytes, "snapshot taken and verified");
        let sealed = self.barrier.vouch(PURPOSE, sums)?;
        Ok(Box::new(export.into_archive(sealed.expose().to_vec()).map_err(Error::internal)?))
    }

    fn restore(&self, archive: &mut dyn Read, force: bool) -> Result<(), Error> {
        let (contents, candidate) = self.storage.receive(archive)?;
        let copy = candidate.store();
        if force {
            self.ceremony.admit(copy)?;
        } else {
            let theirs = self.ceremony.open_copy(Arc::clone(copy))?;
            if !theirs.vouch(PURPOSE, &contents.sums)?.ct_eq(&contents.sealed) {
                return Err(Error::invalid(
                    "the snapshot was altered: its SHA256SUMS.sealed is not that of its SHA256SUMS",
                ));
            }
            copy.check(&|key, record| theirs.verify(key, record))?;
        }
        candidate.promote().map_err(Error::internal)?;
        tracing::warn!(sequence = contents.position.sequence, force, "a snapshot is put in place of the store");
        // What was still written here would be acknowledged and lost.
        self.storage.close();
        // Nothing that this process remembers is true any more.
        self.restart.notify_one();
        Ok(())
    }
}
