//! A bounded pool of threads for jobs that may wait.
//!
//! There are many threads, since many may wait, but only about as many work at once as there are processors: a thread that is
//! done takes the next job itself, and another one is woken only while fewer than that work. What a woken thread costs, two
//! switches and a cold stack, would otherwise be most of a small request. So a thread says when it waits
//! ([`framework::waiting`]). Those that wait without saying so are found out when no job is taken for [`STALL`].

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use framework::{Error, ThreadOwner};

use crate::Width;

/// Threads that have not taken a job for this long, while one was there, are taken to be waiting.
const STALL: Duration = Duration::from_millis(5);

/// How long what a job left on the stack of a busy thread may lie there.
const RESIDUE: Duration = Duration::from_millis(100);

pub(crate) type Job = Box<dyn FnOnce() + Send>;

/// A fixed number of threads and a bounded queue in front of them.
pub(crate) struct Pool {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

struct Shared {
    state: Mutex<State>,
    /// Wakes one worker each.
    beds: Vec<Condvar>,
    /// Wakes the thread that looks for stalls.
    crowded: Condvar,
    longest: usize,
    /// How many may work at once.
    processors: usize,
}

struct State {
    jobs: VecDeque<Job>,
    doing: Vec<Doing>,
    working: usize,
    /// Those asleep. The last to lie down is the first to be woken: its stack is warm.
    asleep: Vec<usize>,
    /// How many jobs were ever taken.
    taken: u64,
    /// Jobs were left for workers at work, who may stall.
    watched: bool,
    closed: bool,
}

/// What a worker does.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Doing {
    Nothing,
    Work,
    /// It waits in the middle of its work, and said so or was found out.
    Wait,
}

impl State {
    fn set(&mut self, worker: usize, next: Doing) {
        let Some(doing) = self.doing.get_mut(worker) else { return };
        let before = std::mem::replace(doing, next);
        self.working -= usize::from(before == Doing::Work);
        self.working += usize::from(next == Doing::Work);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sees to it that jobs are taken: wakes a worker, or leaves them for those at work and has these watched.
    fn call(&self, mut state: MutexGuard<'_, State>) {
        if state.jobs.is_empty() {
            return;
        }
        if state.working >= self.processors {
            if !std::mem::replace(&mut state.watched, true) {
                drop(state);
                self.crowded.notify_one();
            }
        } else if let Some(worker) = state.asleep.pop() {
            state.set(worker, Doing::Work);
            drop(state);
            if let Some(bed) = self.beds.get(worker) {
                bed.notify_one();
            }
        }
    }

    /// The next job for a worker; `None` once the pool is closed and no job is left.
    fn next(&self, worker: usize) -> Option<Job> {
        let mut state = self.lock();
        state.set(worker, Doing::Work);
        loop {
            // Several that waited for the same thing come back together: then some of them rest.
            if state.working <= self.processors || state.closed {
                if let Some(job) = state.jobs.pop_front() {
                    state.taken += 1;
                    return Some(job);
                }
                if state.closed {
                    return None;
                }
            }
            state.set(worker, Doing::Nothing);
            state.asleep.push(worker);
            self.call(state);
            // What jobs left on this thread's stack is nobody's business any more.
            hardening::wipe_deep_stack();
            state = self.sleep(worker);
        }
    }

    /// Until somebody wakes the worker or the pool is closed.
    fn sleep(&self, worker: usize) -> MutexGuard<'_, State> {
        let asleep = |state: &mut State| state.doing.get(worker) == Some(&Doing::Nothing) && !state.closed;
        let state = self.lock();
        match self.beds.get(worker) {
            Some(bed) => bed.wait_while(state, asleep).unwrap_or_else(PoisonError::into_inner),
            None => state,
        }
    }

    /// Finds out workers that wait without saying so, until the pool is closed.
    fn watch(&self) {
        let mut state = self.lock();
        while !state.closed {
            if !state.watched {
                state = self.crowded.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let taken = state.taken;
            state = self.crowded.wait_timeout(state, STALL).unwrap_or_else(PoisonError::into_inner).0;
            state.watched = !state.jobs.is_empty();
            if state.watched && state.taken == taken {
                state.doing.iter_mut().filter(|doing| **doing == Doing::Work).for_each(|doing| *doing = Doing::Wait);
                state.working = 0;
                self.call(state);
                state = self.lock();
            }
        }
    }
}

/// One thread of the pool.
struct Worker {
    shared: Arc<Shared>,
    number: usize,
}

impl Worker {
    fn work(self: Arc<Self>) {
        framework::announce_waits_to(self.clone());
        let mut wiped = Instant::now();
        while let Some(job) = self.shared.next(self.number) {
            // A job that panics must not end the thread.
            let _ = catch_unwind(AssertUnwindSafe(job));
            if wiped.elapsed() >= RESIDUE {
                hardening::wipe_deep_stack();
                wiped = Instant::now();
            }
        }
    }
}

impl ThreadOwner for Worker {
    fn wait_begins(&self) {
        let mut state = self.shared.lock();
        state.set(self.number, Doing::Wait);
        self.shared.call(state);
    }

    fn wait_ends(&self) {
        self.shared.lock().set(self.number, Doing::Work);
    }
}

impl Pool {
    /// Starts a lane's threads, and one that watches them. About `processors` of them work at once.
    pub(crate) fn start(name: &str, lane: Width, processors: usize) -> std::io::Result<Self> {
        let Width { threads, waiting } = lane;
        let state = State {
            jobs: VecDeque::new(),
            doing: vec![Doing::Nothing; threads],
            working: 0,
            asleep: Vec::with_capacity(threads),
            taken: 0,
            watched: false,
            closed: false,
        };
        let beds = (0..threads).map(|_| Condvar::new()).collect();
        let shared = Shared { state: Mutex::new(state), beds, crowded: Condvar::new(), longest: waiting, processors };
        let shared = Arc::new(shared);
        let mut running = Vec::with_capacity(threads + 1);
        for number in 0..threads {
            let worker = Arc::new(Worker { shared: Arc::clone(&shared), number });
            running.push(thread::Builder::new().name(format!("{name}-{number}")).spawn(move || worker.work())?);
        }
        let watched = Arc::clone(&shared);
        running.push(thread::Builder::new().name(format!("{name}-watch")).spawn(move || watched.watch())?);
        Ok(Self { shared, threads: Mutex::new(running) })
    }

    /// Queues a job. [`Error::Busy`] when the queue is full or closed.
    pub(crate) fn submit(&self, job: Job) -> Result<(), Error> {
        let mut state = self.shared.lock();
        if state.closed {
            return Err(Error::Busy { reason: "the server is stopping" });
        }
        if state.jobs.len() >= self.shared.longest {
            return Err(Error::Busy { reason: "too many requests are waiting" });
        }
        state.jobs.push_back(job);
        self.shared.call(state);
        Ok(())
    }

    /// Takes no more jobs, and waits for those that were taken.
    pub(crate) fn stop(&self) {
        self.shared.lock().closed = true;
        self.shared.crowded.notify_all();
        self.shared.beds.iter().for_each(Condvar::notify_all);
        for thread in self.threads.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::mpsc::channel;

    use super::*;

    /// More jobs than threads may work at once, which all wait for each other.
    fn all_meet(pool: &Pool, jobs: usize, meet: impl Fn(&Barrier) + Send + Sync + Clone + 'static) {
        let (meeting, (sender, met)) = (Arc::new(Barrier::new(jobs)), channel());
        for _ in 0..jobs {
            let (meeting, meet, sender) = (Arc::clone(&meeting), meet.clone(), sender.clone());
            let job = move || {
                meet(&meeting);
                sender.send(()).unwrap();
            };
            pool.submit(Box::new(job)).unwrap();
        }
        (0..jobs).for_each(|_| met.recv().unwrap());
    }

    #[test]
    fn threads_that_wait_make_room_for_others_whether_they_say_so_or_not() {
        let pool = Pool::start("test", Width { threads: 8, waiting: 100 }, 2).unwrap();
        for _ in 0..20 {
            all_meet(&pool, 8, |meeting| _ = framework::waiting(|| meeting.wait()));
            all_meet(&pool, 8, |meeting| _ = meeting.wait());
        }
        pool.stop();
    }

    #[test]
    fn a_full_or_closed_queue_refuses_and_what_was_taken_is_done() {
        let pool = Pool::start("test", Width { threads: 1, waiting: 2 }, 1).unwrap();
        let (started, (go, gate)) = (Arc::new(Barrier::new(2)), channel::<()>());
        let begins = Arc::clone(&started);
        let first = move || {
            begins.wait();
            gate.recv().unwrap();
            panic!("on purpose: the next job runs all the same");
        };
        pool.submit(Box::new(first)).unwrap();
        started.wait();
        let (sender, done) = channel();
        for _ in 0..2 {
            let sender = sender.clone();
            pool.submit(Box::new(move || sender.send(()).unwrap())).unwrap();
        }
        assert!(matches!(pool.submit(Box::new(|| ())), Err(Error::Busy { .. })), "the queue is full");
        go.send(()).unwrap();
        pool.stop();
        assert_eq!(done.try_iter().count(), 2);
        assert!(matches!(pool.submit(Box::new(|| ())), Err(Error::Busy { .. })), "the pool is closed");
    }
}
