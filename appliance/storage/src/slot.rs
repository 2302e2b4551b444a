//! Where readers find the index, also while it is being replaced.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use framework::Error;

use crate::index::{Index, IndexError};

/// How long a reader waits for an index that is being opened again.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) struct Slot {
    index: RwLock<Option<Arc<dyn Index>>>,
    failed: AtomicBool,
    closed: AtomicBool,
    /// Whether all of the index was read through; until then it is not believed when it says that there is nothing.
    verified: AtomicBool,
    /// How often the index was replaced.
    replaced: AtomicU64,
    waiting: Mutex<()>,
    back: Condvar,
}

impl Slot {
    pub(crate) fn new(index: Arc<dyn Index>, verified: bool) -> Self {
        Self {
            index: RwLock::new(Some(index)),
            failed: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            verified: AtomicBool::new(verified),
            replaced: AtomicU64::new(0),
            waiting: Mutex::new(()),
            back: Condvar::new(),
        }
    }

    pub(crate) fn now(&self) -> Option<Arc<dyn Index>> {
        self.index.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The index for a reader, waiting for a moment if it is being opened again.
    fn get(&self) -> Result<Arc<dyn Index>, Error> {
        self.now().map_or_else(|| self.wait(|| self.now()), Ok)
    }

    fn wait<T>(&self, mut ready: impl FnMut() -> Option<T>) -> Result<T, Error> {
        let deadline = Instant::now() + PATIENCE;
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if self.closed.load(Ordering::Acquire) {
                return Err(closed());
            }
            if let Some(ready) = ready() {
                return Ok(ready);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Error::Busy { reason: "the storage index is being opened again" });
            }
            waiting = self.back.wait_timeout(waiting, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    pub(crate) fn is_verified(&self) -> bool {
        self.verified.load(Ordering::Acquire)
    }

    pub(crate) fn set_verified(&self) {
        self.verified.store(true, Ordering::Release);
        self.wake();
    }

    pub(crate) fn wait_verified(&self) -> Result<(), Error> {
        if self.is_verified() { Ok(()) } else { self.wait(|| self.is_verified().then_some(())) }
    }

    /// Runs a reader's look-up. If the index fails, `ask` asks for another one, and the look-up runs once more on that.
    pub(crate) fn read<T>(
        &self,
        look_up: impl Fn(&dyn Index) -> Result<T, IndexError>,
        ask: impl FnOnce() -> Result<(), Error>,
    ) -> Result<T, Error> {
        let replaced = self.replaced.load(Ordering::Acquire);
        let index = self.get()?;
        let error = match look_up(index.as_ref()) {
            Ok(found) => return Ok(found),
            Err(error) => error,
        };
        drop(index);
        // Unless it was replaced meanwhile; then the look-up is simply done again.
        let current = self.replaced.load(Ordering::Acquire) == replaced;
        if current && !self.failed.swap(true, Ordering::AcqRel) {
            tracing::error!(%error, "the storage index failed a read; it is opened again");
        }
        ask()?;
        let again = || self.now().filter(|_| self.replaced.load(Ordering::Acquire) != replaced);
        let index = self.wait(again).map_err(|_| Error::from(error))?;
        Ok(look_up(index.as_ref())?)
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    pub(crate) fn mark_failed(&self) {
        self.failed.store(true, Ordering::Release);
    }

    /// Takes the index out and waits until nobody reads from it any more. `None` if somebody does for too long.
    pub(crate) fn take(&self) -> Option<Arc<dyn Index>> {
        let index = self.index.write().unwrap_or_else(PoisonError::into_inner).take()?;
        let deadline = Instant::now() + PATIENCE;
        while Arc::strong_count(&index) > 1 {
            if Instant::now() > deadline {
                *self.index.write().unwrap_or_else(PoisonError::into_inner) = Some(index);
                return None;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Some(index)
    }

    pub(crate) fn put(&self, index: Arc<dyn Index>) {
        self.failed.store(false, Ordering::Release);
        *self.index.write().unwrap_or_else(PoisonError::into_inner) = Some(index);
        self.replaced.fetch_add(1, Ordering::AcqRel);
        self.set_verified();
    }

    /// From now on there is no index and there will be none.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        drop(self.take());
        self.wake();
    }

    fn wake(&self) {
        drop(self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        self.back.notify_all();
    }
}

pub(crate) fn closed() -> Error {
    Error::Busy { reason: "the storage is closed, since the server is stopping" }
}
