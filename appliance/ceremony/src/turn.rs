//! One ceremony at a time, without a lock held while an HSM or the store is waited for.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use framework::Error;

/// How long one ceremony waits for another: longer than the deadline of an HSM.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whose turn it is.
#[derive(Default)]
pub(crate) struct Turns {
    taken: Mutex<bool>,
    given_back: Condvar,
}

/// The right to change the seal, until it is dropped.
pub(crate) struct Turn<'t>(&'t Turns);

impl Turns {
    /// Waits for the turn. [`Error::Busy`] if it does not come.
    pub(crate) fn take(&self) -> Result<Turn<'_>, Error> {
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.given_back.wait_timeout_while(taken, PATIENCE, |taken| *taken);
        let (mut taken, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        if timeout.timed_out() {
            return Err(Error::Busy { reason: "another seal operation is under way" });
        }
        *taken = true;
        Ok(Turn(self))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *self.0.taken.lock().unwrap_or_else(PoisonError::into_inner) = false;
        self.0.given_back.notify_one();
    }
}
