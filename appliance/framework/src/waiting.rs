//! Waits that are announced: a pool of threads that knows which of its threads wait can let others work meanwhile, and needs
//! to wake no more of them than there are processors.

use std::cell::RefCell;
use std::sync::Arc;

/// Who owns threads and is told when one of them waits.
pub trait ThreadOwner: Send + Sync {
    /// The calling thread is about to wait.
    fn wait_begins(&self);
    /// The calling thread waits no more.
    fn wait_ends(&self);
}

thread_local! {
    static OWNER: RefCell<Option<Arc<dyn ThreadOwner>>> = const { RefCell::new(None) };
}

/// Tells `owner` of every wait of the calling thread from now on.
pub fn announce_waits_to(owner: Arc<dyn ThreadOwner>) {
    OWNER.with_borrow_mut(|current| *current = Some(owner));
}

/// Runs `wait`, which waits for something slower than memory: a disk, the HSM, the network, or another thread that computes
/// for long. On a thread without an owner it is simply run. Must not be called with a lock held that others work under.
pub fn waiting<T>(wait: impl FnOnce() -> T) -> T {
    // Taken out meanwhile, so that of nested waits only the outermost counts.
    let announced = Announced(OWNER.take());
    if let Some(owner) = &announced.0 {
        owner.wait_begins();
    }
    wait()
}

/// Ends the wait when it is dropped, also by a panic.
struct Announced(Option<Arc<dyn ThreadOwner>>);

impl Drop for Announced {
    fn drop(&mut self) {
        if let Some(owner) = self.0.take() {
            owner.wait_ends();
            OWNER.set(Some(owner));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Mutex;

    use super::*;

    #[derive(Default)]
    struct Log(Mutex<Vec<&'static str>>);

    impl ThreadOwner for Log {
        fn wait_begins(&self) {
            self.0.lock().unwrap().push("begins");
        }

        fn wait_ends(&self) {
            self.0.lock().unwrap().push("ends");
        }
    }

    #[test]
    fn the_outermost_wait_is_announced_and_its_end_too_even_after_a_panic() {
        let log = Arc::new(Log::default());
        assert_eq!(waiting(|| 1), 1, "without an owner");
        announce_waits_to(log.clone());
        assert_eq!(waiting(|| waiting(|| 2)), 2);
        let _ = catch_unwind(AssertUnwindSafe(|| waiting(|| panic!("on purpose"))));
        waiting(|| ());
        assert_eq!(*log.0.lock().unwrap(), ["begins", "ends", "begins", "ends", "begins", "ends"]);
    }
}
