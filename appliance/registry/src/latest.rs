//! The newest reading of something stored.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use framework::Error;

/// A value read from the store and replaced as a whole. Readers take the `Arc` and go on; no lock is held while loading.
pub(crate) struct Latest<T> {
    value: RwLock<Arc<T>>,
    asked: AtomicU64,
}

impl<T> Latest<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { value: RwLock::new(Arc::new(value)), asked: AtomicU64::new(0) }
    }

    pub(crate) fn get(&self) -> Arc<T> {
        Arc::clone(&self.value.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads anew. Of several at once, a reading that began before the last request for one is not kept: it may lack what
    /// that request was made for.
    pub(crate) fn refresh(&self, load: impl Fn(&T) -> Result<T, Error>) -> Result<(), Error> {
        let mut ticket = self.asked.fetch_add(1, Ordering::AcqRel) + 1;
        loop {
            let fresh = Arc::new(load(&self.get())?);
            let mut value = self.value.write().unwrap_or_else(PoisonError::into_inner);
            let last = self.asked.load(Ordering::Acquire);
            if last == ticket {
                *value = fresh;
                return Ok(());
            }
            ticket = last;
        }
    }
}
