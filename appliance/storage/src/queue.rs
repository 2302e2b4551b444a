//! What waits for the committer, and how answers come back: few wake-ups, since each costs about as much as the rest of a
//! small write.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use framework::{Batch, Ciphertext, Error};

use crate::slot::closed;

/// At most this many transactions share a sync.
const GROUP: usize = 512;
/// A group is closed once its values are this large.
const GROUP_BYTES: usize = 8 << 20;

/// One transaction and where its answer goes.
pub(crate) struct Request {
    pub(crate) batch: Batch<Ciphertext>,
    pub(crate) answer: Answer,
    bytes: usize,
}

/// Between writers and the committer. Once the committer's end is dropped, everything is refused.
pub(crate) struct Queue {
    state: Mutex<State>,
    arrived: Condvar,
    longest: usize,
}

#[derive(Default)]
struct State {
    requests: Vec<Request>,
    bytes: usize,
    /// A reader found the index failing.
    look: bool,
    close: bool,
    ended: bool,
    /// The committer sleeps until this many requests are there; it does not sleep if nobody could bring so many.
    wanted: usize,
}

impl State {
    fn is_enough(&self) -> bool {
        self.look || self.close || self.requests.len() >= self.wanted || self.bytes >= GROUP_BYTES
    }
}

/// How the committer waits for company.
#[derive(Clone, Copy)]
pub(crate) struct Patience {
    /// As many are expected.
    pub(crate) company: usize,
    /// How long after the last one.
    pub(crate) gap: Duration,
    /// How long altogether.
    pub(crate) longest: Duration,
}

/// What the committer is to do next.
pub(crate) struct Work {
    pub(crate) group: Vec<Request>,
    /// Nothing comes after this.
    pub(crate) close: bool,
}

impl Queue {
    /// A queue of at most `longest` transactions.
    pub(crate) fn new(longest: usize) -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), arrived: Condvar::new(), longest: longest.max(1) })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state, and wakes the committer if that is what it waits for.
    fn tell(&self, change: impl FnOnce(&mut State) -> Result<(), Error>) -> Result<(), Error> {
        let mut state = self.lock();
        if state.ended {
            return Err(closed());
        }
        let before = state.is_enough();
        change(&mut state)?;
        let now = state.is_enough();
        drop(state);
        if now && !before {
            self.arrived.notify_one();
        }
        Ok(())
    }

    /// Queues a transaction; [`Error::Busy`] if too many wait.
    pub(crate) fn submit(&self, batch: Batch<Ciphertext>) -> Result<Awaited, Error> {
        let bytes = batch.writes.iter().map(|write| write.value.as_ref().map_or(0, |value| value.0.len())).sum();
        let (answer, awaited) = answer();
        self.tell(|state| {
            if state.requests.len() >= self.longest {
                return Err(Error::Busy { reason: "too many writes are waiting for the disk" });
            }
            state.requests.push(Request { batch, answer, bytes });
            state.bytes += bytes;
            Ok(())
        })?;
        Ok(awaited)
    }

    /// Has the committer look after the index.
    pub(crate) fn look(&self) -> Result<(), Error> {
        self.tell(|state| {
            state.look = true;
            Ok(())
        })
    }

    /// Has the committer finish what came before this, and end.
    pub(crate) fn close(&self) {
        let _ = self.tell(|state| {
            state.close = true;
            Ok(())
        });
    }

    /// For the committer: waits for something to do, at most `idle` if that is given, and where the last group had company,
    /// gives it a moment to come again. Nobody waits who comes alone.
    pub(crate) fn next(&self, idle: Option<Duration>, patience: Patience) -> Work {
        let mut state = self.wait(self.lock(), 1, idle);
        let begun = Instant::now();
        while !state.is_enough_for(patience.company) {
            let (before, left) = (state.requests.len(), patience.longest.saturating_sub(begun.elapsed()));
            state = self.wait(state, patience.company, Some(patience.gap.min(left)));
            if state.requests.len() == before || begun.elapsed() >= patience.longest {
                break;
            }
        }
        let state = &mut *state;
        state.look = false;
        state.wanted = usize::MAX;
        let (mut count, mut bytes) = (0, 0);
        for request in state.requests.iter().take(GROUP) {
            count += 1;
            bytes += request.bytes;
            if bytes >= GROUP_BYTES {
                break;
            }
        }
        let rest = state.requests.split_off(count);
        state.bytes -= bytes;
        Work { group: std::mem::replace(&mut state.requests, rest), close: state.close && state.requests.is_empty() }
    }

    fn wait<'q>(
        &self,
        mut state: MutexGuard<'q, State>,
        wanted: usize,
        patience: Option<Duration>,
    ) -> MutexGuard<'q, State> {
        state.wanted = wanted;
        let waits = |state: &mut State| !state.is_enough();
        match patience {
            None => self.arrived.wait_while(state, waits).unwrap_or_else(PoisonError::into_inner),
            Some(patience) => {
                let (state, _) =
                    self.arrived.wait_timeout_while(state, patience, waits).unwrap_or_else(PoisonError::into_inner);
                state
            }
        }
    }

    /// From now on everything is refused, what waits too.
    pub(crate) fn end(&self) {
        let mut state = self.lock();
        state.ended = true;
        let left = std::mem::take(&mut state.requests);
        drop(state);
        drop(left);
    }
}

impl State {
    fn is_enough_for(&mut self, company: usize) -> bool {
        self.wanted = company;
        // Nobody came: what woke the committer was something else.
        self.is_enough() || self.requests.is_empty()
    }
}

/// Where the committer puts an answer. If it is dropped without one, the caller's wait ends too.
pub(crate) struct Answer(Arc<Place>);

/// Where the caller waits for it.
pub(crate) struct Awaited(Arc<Place>);

struct Place {
    answer: Mutex<Option<Result<(), Error>>>,
    there: Condvar,
}

fn answer() -> (Answer, Awaited) {
    let place = Arc::new(Place { answer: Mutex::new(None), there: Condvar::new() });
    (Answer(Arc::clone(&place)), Awaited(place))
}

impl Place {
    fn lock(&self) -> MutexGuard<'_, Option<Result<(), Error>>> {
        self.answer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Answer {
    /// Answers. A caller that has gone away needs none.
    pub(crate) fn give(self, answer: Result<(), Error>) {
        *self.0.lock() = Some(answer);
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.0.lock().get_or_insert_with(|| Err(Error::internal("the storage committer has ended")));
        self.0.there.notify_one();
    }
}

impl Awaited {
    /// Waits for the answer.
    pub(crate) fn wait(self, patience: Duration) -> Result<(), Error> {
        let place = self.0.lock();
        let (mut place, _) = self
            .0
            .there
            .wait_timeout_while(place, patience, |answer| answer.is_none())
            .unwrap_or_else(PoisonError::into_inner);
        let none = || Err(Error::internal("the disk does not answer; the write may or may not happen"));
        place.take().unwrap_or_else(none)
    }
}
