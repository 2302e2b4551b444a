//! Each seal-wrapped mount's share of the HSM.
//!
//! A request to such a mount may wait for the HSM, once or several times, one call after the other. So at most a certain number
//! of requests to one mount run at a time, and with them at most as many of its calls of the HSM; the others are parked, in the
//! order they came, and hold no thread meanwhile. However busy one mount is, the others find threads, and an HSM
//! whose queue is short.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use framework::metrics::{Measured, Page};
use framework::{Error, MountId};

use crate::pool::{Job, Pool};

/// How much each mount may have.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Requests to one seal-wrapped mount that may run at a time.
    pub running: usize,
    /// Those of all such mounts that may be parked.
    pub parked: usize,
}

/// Hands out shares.
pub struct Shares {
    budget: Budget,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    mounts: HashMap<MountId, Share>,
    parked: usize,
}

/// What one mount has. It stays when there is nothing left to do, so that its count does.
#[derive(Default)]
struct Share {
    path: String,
    running: usize,
    parked: VecDeque<Job>,
    /// How many were ever parked.
    delayed: u64,
}

impl Shares {
    /// Nobody has anything yet.
    pub fn new(budget: Budget) -> Self {
        Self { budget, state: Mutex::default() }
    }

    /// Runs a job of the mount `id`, which lies at `path`, in `pool` when it is its turn. [`Error::Busy`] if too many are parked, or the pool takes no more.
    pub(crate) fn submit(self: &Arc<Self>, pool: &Arc<Pool>, id: MountId, path: &str, job: Job) -> Result<(), Error> {
        let mut state = self.lock();
        let state = &mut *state;
        let share = state.mounts.entry(id).or_default();
        if share.path != path {
            path.clone_into(&mut share.path);
        }
        if share.running >= self.budget.running {
            if state.parked >= self.budget.parked {
                return Err(Error::Busy { reason: "too many requests are waiting" });
            }
            state.parked += 1;
            share.delayed += 1;
            share.parked.push_back(job);
            return Ok(());
        }
        self.run(pool, id, job)?;
        share.running += 1;
        Ok(())
    }

    fn run(self: &Arc<Self>, pool: &Arc<Pool>, id: MountId, job: Job) -> Result<(), Error> {
        let (this, again) = (Arc::clone(self), Arc::downgrade(pool));
        pool.submit(Box::new(move || {
            // Ends the turn also if the job panics.
            let _turn = Turn { shares: this, pool: again, id };
            job();
        }))
    }

    /// The next parked job of a mount whose turn has ended, which keeps its place among those that run.
    fn next(&self, id: MountId) -> Option<Job> {
        let mut state = self.lock();
        let state = &mut *state;
        let share = state.mounts.get_mut(&id)?;
        let next = share.parked.pop_front();
        match next {
            Some(_) => state.parked -= 1,
            None => share.running -= 1,
        }
        next
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A job's place among those of its mount that run.
struct Turn {
    shares: Arc<Shares>,
    pool: Weak<Pool>,
    id: MountId,
}

impl Drop for Turn {
    fn drop(&mut self) {
        // Behind what others have queued meanwhile. A pool that is stopping takes nothing more: then what is parked is dropped
        // with its reply, one by one, as what is queued nowhere.
        while let Some(job) = self.shares.next(self.id) {
            let taken = self.pool.upgrade().is_some_and(|pool| self.shares.run(&pool, self.id, job).is_ok());
            if taken {
                return;
            }
        }
    }
}

impl Measured for Shares {
    fn measure(&self, page: &mut Page) {
        page.gauge(
            "holdfast.hsm_budget",
            "Requests to one seal-wrapped mount that may run at a time, and so most of its calls of the HSM.",
            &[],
            self.budget.running as f64,
        );
        for share in self.lock().mounts.values() {
            let mount = [("mount", share.path.as_str())];
            page.gauge(
                "holdfast.hsm_budget_running",
                "Requests to a seal-wrapped mount that run.",
                &mount,
                share.running as f64,
            );
            page.gauge(
                "holdfast.hsm_budget_parked",
                "Those that wait for their turn.",
                &mount,
                share.parked.len() as f64,
            );
            page.counter(
                "holdfast.hsm_budget_parked_total",
                "Those that ever had to wait for it.",
                &mount,
                share.delayed,
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;
    use crate::Width;

    #[test]
    fn a_busy_mount_leaves_threads_to_the_others_and_every_job_gets_its_turn() {
        let pool = Arc::new(Pool::start("test", Width { threads: 3, waiting: 100 }, 3).unwrap());
        let shares = Arc::new(Shares::new(Budget { running: 2, parked: 6 }));
        let (busy, other) = (MountId([1; 16]), MountId([2; 16]));
        let ((go, gate), (sender, done)) = (channel::<()>(), channel());
        let gate = Arc::new(Mutex::new(gate));
        let submit = |number: usize| {
            let (gate, sender) = (Arc::clone(&gate), sender.clone());
            let job = move || {
                framework::waiting(|| gate.lock().unwrap().recv()).unwrap();
                sender.send(number).unwrap();
                assert!(number > 0, "on purpose: a job that panics ends its turn as well");
            };
            shares.submit(&pool, busy, "busy/", Box::new(job))
        };
        (0..8).for_each(|number| submit(number).unwrap());
        assert!(matches!(submit(8), Err(Error::Busy { .. })), "too many are parked");
        let (answer, answered) = channel();
        shares.submit(&pool, other, "other/", Box::new(move || answer.send(()).unwrap())).unwrap();
        answered.recv().unwrap();
        assert_eq!(done.try_iter().count(), 0, "the busy mount's jobs all wait");
        (0..8).for_each(|_| go.send(()).unwrap());
        let mut all: Vec<usize> = (0..8).map(|_| done.recv().unwrap()).collect();
        all.sort_unstable();
        assert_eq!(all, (0..8).collect::<Vec<_>>());
        pool.stop();
        assert_eq!(shares.lock().mounts.values().map(|share| share.running + share.parked.len()).sum::<usize>(), 0);
    }
}
