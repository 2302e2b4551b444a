//! The ceremonies' own records behind the barrier.

use framework::{CRITICAL, Ciphertext, Error, MountId, Prefix, Secret, Store, Transaction, View, Write};

use crate::blank::Blank;
use crate::control::Ceremony;

impl<D: Store<Ciphertext>> Ceremony<D> {
    /// A record behind the barrier.
    pub(crate) fn read(&self, name: &str) -> Result<Option<Secret>, Error> {
        let transaction = Transaction::new(&*self.barrier);
        let view = transaction.view(Prefix::root(), MountId::default(), &[]);
        view.get(name)
    }

    /// A key behind the barrier, in guarded memory.
    pub(crate) fn read_key(&self, name: &'static str) -> Result<Option<Secret>, Error> {
        self.read(name)?.map(|key| Secret::locked(key.expose())).transpose().map_err(Error::from)
    }
}

/// Writes that go into a batch with other things; what is critical in them is wrapped by the seal.
pub(crate) fn writes(stage: impl FnOnce(&View<'_>) -> Result<(), Error>) -> Result<Vec<Write<Secret>>, Error> {
    let blank = Blank::default();
    let transaction = Transaction::new(&blank);
    stage(&transaction.view(Prefix::root(), MountId::default(), CRITICAL))?;
    transaction.commit()?;
    Ok(blank.into_writes())
}
