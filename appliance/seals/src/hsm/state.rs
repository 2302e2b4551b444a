//! What all callers share: the present connection, who waits for which answer, and how the HSM fares.

use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use framework::hsm::{Answer, Description, Question};
use framework::{Error, hex};

use super::connection::{Connection, Lost};
use super::{HsmState, Limits};

/// The connection a caller may use.
pub(super) struct Usable {
    pub(super) number: u64,
    pub(super) verified: bool,
}

pub(super) struct Shared {
    limits: Limits,
    state: Mutex<State>,
    /// Told of every new connection.
    attached: Condvar,
}

#[derive(Default)]
struct State {
    connection: Option<Current>,
    /// Connections so far; the present one's number.
    attached: u64,
    pinned: Option<Vec<u8>>,
    in_flight: usize,
    /// Callers that wait for a connection.
    hoping: usize,
    /// The fields of the same names in [`HsmState`].
    stalled: bool,
    description: Option<Description>,
    last_error: Option<String>,
    refused: u64,
    unhealthy_since: Option<Instant>,
}

struct Current {
    connection: Arc<Connection>,
    verified: bool,
}

/// Counts a caller out.
struct Admitted<'s>(&'s Shared);

impl Drop for Admitted<'_> {
    fn drop(&mut self) {
        self.0.lock().in_flight -= 1;
    }
}

impl Shared {
    pub(super) fn new(limits: Limits) -> Self {
        // Nothing is known to work before something has.
        let state = State { unhealthy_since: Some(Instant::now()), ..State::default() };
        Self { limits, state: Mutex::new(state), attached: Condvar::new() }
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(super) fn attach(self: &Arc<Self>, stream: UnixStream) -> std::io::Result<()> {
        let mut state = self.lock();
        state.attached += 1;
        let number = state.attached;
        let weak = Arc::downgrade(self);
        let on_loss = move |why: String| {
            if let Some(shared) = weak.upgrade() {
                shared.lost(number, &why);
            }
        };
        let weak = Arc::downgrade(self);
        let on_answer = move || {
            if let Some(shared) = weak.upgrade() {
                shared.lock().stalled = false;
            }
        };
        let connection = Connection::start(number, stream, self.limits.in_flight, on_answer, on_loss)?;
        let before = state.connection.replace(Current { connection, verified: false });
        state.stalled = false;
        drop(state);
        if let Some(before) = before {
            before.connection.close();
        }
        tracing::info!(connection = number, "connected to the hsm process");
        self.attached.notify_all();
        Ok(())
    }

    pub(super) fn detach(&self, reason: String) {
        let mut state = self.lock();
        state.trouble(reason);
        let before = state.connection.take();
        drop(state);
        if let Some(before) = before {
            before.connection.close();
        }
    }

    pub(super) fn pin(&self, check_value: &[u8]) {
        let mut state = self.lock();
        state.pinned = Some(check_value.to_vec());
        if let Some(current) = &mut state.connection {
            current.verified = false;
        }
    }

    pub(super) fn state(&self) -> HsmState {
        let state = self.lock();
        HsmState {
            connected: state.connection.is_some(),
            connections: state.attached,
            stalled: state.stalled,
            in_flight: state.in_flight,
            description: state.description.clone(),
            last_error: state.last_error.clone(),
            refused: state.refused,
            unhealthy_since: state.unhealthy_since,
        }
    }

    /// Runs one call, if it may start now. Its deadline is that of the limits, unless it brings its own patience.
    ///
    /// While calls fail only a few are let through, to see whether they still do; the others fail at once.
    pub(super) fn admitted<R>(
        &self,
        patience: Option<Duration>,
        call: impl FnOnce(Instant) -> Result<R, Error>,
    ) -> Result<R, Error> {
        let deadline = Instant::now() + patience.unwrap_or(self.limits.deadline);
        let mut state = self.lock();
        if state.in_flight >= self.limits.in_flight {
            state.refused += 1;
            return Err(Error::Busy { reason: "the queue to the hsm is full" });
        }
        if (state.stalled || state.last_error.is_some()) && state.in_flight >= self.limits.hopeful {
            state.refused += 1;
            return Err(state.unavailable());
        }
        state.in_flight += 1;
        drop(state);
        let _counted = Admitted(self);
        call(deadline)
    }

    /// The present connection; waits for one until `deadline`, if not too many wait already.
    pub(super) fn connection(&self, deadline: Instant) -> Result<Usable, Error> {
        let mut state = self.lock();
        if state.connection.is_none() && state.hoping >= self.limits.hopeful {
            return Err(state.unavailable());
        }
        state.hoping += 1;
        let left = deadline.saturating_duration_since(Instant::now());
        let absent = |state: &mut State| state.connection.is_none();
        let waited = self.attached.wait_timeout_while(state, left, absent);
        state = waited.unwrap_or_else(PoisonError::into_inner).0;
        state.hoping -= 1;
        match &state.connection {
            Some(current) => Ok(Usable { number: current.connection.number, verified: current.verified }),
            None => Err(state.unavailable()),
        }
    }

    /// One question on the connection `number`: `Lost` if that one is gone.
    pub(super) fn ask(
        &self,
        number: u64,
        question: &Question,
        deadline: Instant,
    ) -> Result<Result<Answer, Lost>, Error> {
        let connection = match &self.lock().connection {
            Some(current) if current.connection.number == number => current.connection.clone(),
            _ => return Ok(Err(Lost)),
        };
        match connection.ask(question, deadline) {
            Ok(Some(answer)) => Ok(Ok(answer)),
            Ok(None) => {
                let mut state = self.lock();
                // An answer to somebody else on a newer connection says nothing about this one, nor this about that.
                state.stalled |= state.attached == number;
                state.trouble("the hsm process did not answer in time".to_owned());
                Err(state.unavailable())
            }
            Err(Lost) => {
                self.lost(number, "it closed the connection");
                Ok(Err(Lost))
            }
        }
    }

    /// Takes note of what is behind the connection `number`, and whether it may be used.
    pub(super) fn verified(&self, number: u64, description: Description) -> Result<(), Error> {
        let mut state = self.lock();
        let found = description.check_value.clone();
        state.description = Some(description);
        if let Some(expected) = state.pinned.as_ref().filter(|expected| **expected != found) {
            let (expected, found) = (hex::encode(expected), hex::encode(&found));
            let reason = format!(
                "seal key changed: expected the key with check value {expected}, the HSM has {found}; restore the token or \
                 the key label that this storage was initialised with"
            );
            tracing::error!("{reason}");
            state.trouble(reason);
            return Err(state.unavailable());
        }
        if let Some(current) = state.connection.as_mut().filter(|current| current.connection.number == number) {
            current.verified = true;
        }
        Ok(())
    }

    pub(super) fn succeeded(&self) {
        let mut state = self.lock();
        let trouble = state.last_error.take();
        let since = state.unhealthy_since.take();
        drop(state);
        if let (Some(trouble), Some(since)) = (trouble, since) {
            tracing::info!(after_seconds = since.elapsed().as_secs(), trouble, "the HSM works again");
        }
    }

    pub(super) fn failed(&self, reason: String) -> Error {
        let mut state = self.lock();
        state.trouble(reason);
        state.unavailable()
    }

    pub(super) fn unavailable(&self) -> Error {
        self.lock().unavailable()
    }

    pub(super) fn nonsense(&self, answer: &Answer) -> Error {
        let kind = match answer {
            Answer::Description(_) => "a description",
            Answer::Wrapped { .. } => "a wrapped value",
            Answer::Plain(_) => "an unwrapped value",
            Answer::Failed(_) => "a failure",
        };
        Error::internal(format!("the hsm process answered with {kind}, which was not the question"))
    }

    fn lost(&self, number: u64, why: &str) {
        let mut state = self.lock();
        if let Some(current) = state.connection.take_if(|current| current.connection.number == number) {
            tracing::warn!(connection = number, why, "lost the hsm process");
            state.trouble(format!("hsm process restarting: {why}"));
            drop(state);
            current.connection.close();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Something failed. Told to the log when it begins, and when it changes.
    fn trouble(&mut self, reason: String) {
        self.unhealthy_since.get_or_insert_with(Instant::now);
        if self.last_error.as_ref() != Some(&reason) {
            tracing::warn!(reason, "the HSM does not do its part");
            self.last_error = Some(reason);
        }
    }

    fn unavailable(&self) -> Error {
        let reason = self.last_error.clone();
        Error::HsmUnavailable { reason: reason.unwrap_or_else(|| "the hsm process is not connected yet".to_owned()) }
    }
}
