//! An empty store that keeps the one batch it is given: what initialisation writes before there is a keyring to write under.

use std::sync::{Mutex, PoisonError};

use framework::{Batch, Error, Key, Page, Prefix, Secret, Store, Versioned, Write};

#[derive(Default)]
pub(crate) struct Blank(Mutex<Vec<Write<Secret>>>);

impl Blank {
    /// What was written.
    pub(crate) fn into_writes(self) -> Vec<Write<Secret>> {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store<Secret> for Blank {
    fn get(&self, _: &Key) -> Result<Option<Versioned<Secret>>, Error> {
        Ok(None)
    }

    fn list(&self, _: &Prefix, _: &Page) -> Result<Vec<String>, Error> {
        Ok(Vec::new())
    }

    fn apply(&self, batch: Batch<Secret>) -> Result<(), Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(batch.writes);
        Ok(())
    }
}
