//! The seal over a token that may go away and come back.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{OnceLock, PoisonError, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use framework::hsm::{Answer, Description, Question};
use hardening::{Secret, random_bytes};

use crate::config::Config;
use crate::connection::{Blob, Connection};
use crate::error::{Error, Fault, Kind};
use crate::module::Module;

/// Pauses between the attempts of one call. With the attempts themselves they must fit into the server's deadline.
const PAUSES: [Duration; 3] = [Duration::from_millis(10), Duration::from_millis(80), Duration::from_millis(320)];

const FIRST_WAIT: Duration = Duration::from_millis(100);
/// Longest wait between two attempts to open the token: short, so that a returned HSM is in use again within seconds.
const LONGEST_WAIT: Duration = Duration::from_secs(4);

/// The seal key in its HSM. Shared by threads; each call uses a session of its own.
///
/// A failed call is tried again, after as much as its code calls for: on another session, with new sessions, after
/// another login, with the library initialised anew. What has helped once and does not the next time is followed by the
/// next stronger; opening again happens at once the first time and then with growing pauses, by whichever call comes
/// next. A refused PIN is final: it is not tried again by this value, nor, if the process ends with
/// [`Hsm::refused_pin`] and the next is told, by another. One of these per process: initialising anew, and dropping it,
/// end every session of the process.
pub struct Hsm {
    config: Config,
    // Read while inside the module, written to open it again: C_Finalize must meet no other call.
    state: RwLock<State>,
    // Losses and failed openings since the last success.
    failures: AtomicU32,
    // Of the first key found: a token that comes back with another key under the same label is refused.
    check_value: OnceLock<Vec<u8>>,
}

/// Why an attempt came to nothing.
enum Failed {
    /// Something was tried.
    Now(Fault),
    /// Nothing was: the token is down, and its time has not come.
    Before(Fault),
}

enum State {
    Up {
        connection: Box<Connection>,
        // Tells this connection from the next one.
        number: u64,
    },
    Down {
        fault: Fault,
        // None: never.
        retry_at: Option<Instant>,
        // What opening again begins with.
        begin: Begin,
        number: u64,
    },
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Begin {
    /// With another login.
    Login,
    /// With the library.
    Library,
}

impl Hsm {
    /// Opens the token and finds the seal key, or says why not.
    ///
    /// # Errors
    /// As [`Hsm::describe`].
    pub fn open(config: Config) -> Result<Hsm, Error> {
        let hsm = Hsm::start(config);
        let state = hsm.state.read().unwrap_or_else(PoisonError::into_inner);
        if let State::Down { fault, .. } = &*state {
            return Err(fault.clone().into());
        }
        drop(state);
        Ok(hsm)
    }

    /// The same, but a failure is kept, and is what every call answers until the token can be opened.
    pub fn start(config: Config) -> Hsm {
        let hsm = Hsm::down(config, Fault::operator("not opened"), Some(Instant::now()));
        // What went wrong is kept in the state.
        _ = hsm.reopen();
        // The module has had the PIN on this stack.
        hardening::wipe_deep_stack();
        hsm
    }

    /// One that never opens its token, since an earlier process had its PIN refused: `number` is what its
    /// [`Hsm::refused_pin`] was.
    pub fn refused(config: Config, number: u8) -> Hsm {
        Hsm::down(config, Fault::pin_was_refused(number), None)
    }

    fn down(config: Config, fault: Fault, retry_at: Option<Instant>) -> Hsm {
        let state = State::Down { fault, retry_at, begin: Begin::Login, number: 0 };
        Hsm { config, state: RwLock::new(state), failures: AtomicU32::new(0), check_value: OnceLock::new() }
    }

    /// The `CKR_` number with which the token has refused the PIN, if it has. A token locks after a few more tries, so no
    /// other process should make one before an operator has seen to it.
    pub fn refused_pin(&self) -> Option<u8> {
        match &*self.state.read().unwrap_or_else(PoisonError::into_inner) {
            State::Down { fault, retry_at: None, number: 1.., .. } => fault.refused_pin(),
            _ => None,
        }
    }

    /// Asks the token whether it still works (one unwrapping), and says which key is in use.
    ///
    /// # Errors
    /// [`Error::Transient`] if the token is out of reach; [`Error::Operator`] if PIN, token or key are not as they should be.
    pub fn describe(&self) -> Result<Description, Error> {
        self.run(|connection| {
            connection.prove()?;
            Ok(connection.description().clone())
        })
    }

    /// Wraps `plain`, bound to `aad`. With RSA fewer bytes than [`LONGEST_PLAINTEXT`](crate::LONGEST_PLAINTEXT) fit.
    ///
    /// # Errors
    /// As [`Hsm::describe`].
    pub fn wrap(&self, plain: &Secret, aad: &[u8]) -> Result<Blob, Error> {
        self.run(|connection| connection.wrap(plain.expose(), aad))
    }

    /// Unwraps what [`Hsm::wrap`] made, now or when another mechanism was configured.
    ///
    /// # Errors
    /// [`Error::Rejected`] if blob and `aad` were not wrapped together by this key; else as [`Hsm::describe`].
    pub fn unwrap(&self, blob: &Blob, aad: &[u8]) -> Result<Secret, Error> {
        self.run(|connection| connection.unwrap(&self.config, blob, aad))
    }

    /// Answers a question of the server's.
    pub fn answer(&self, question: &Question) -> Answer {
        let key_label = &self.config.key_label;
        let answer = match question {
            Question::Describe => self.describe().map(Answer::Description),
            Question::Wrap { plain, aad } => self.wrap(plain, aad).map(|blob| Answer::Wrapped {
                key_label: key_label.clone(),
                mechanism: blob.mechanism,
                blob: blob.bytes,
            }),
            // The label comes from storage: it may name this key only, not any key the PIN opens.
            Question::Unwrap { key_label: other, .. } if other != key_label => Err(Error::Operator(format!(
                "the value was wrapped by key {other:?}, and the seal is configured with key {key_label:?}"
            ))),
            Question::Unwrap { mechanism, blob, aad, .. } => {
                self.unwrap(&Blob { mechanism: *mechanism, bytes: blob.clone() }, aad).map(Answer::Plain)
            }
        };
        answer.unwrap_or_else(|error| Answer::Failed(error.into()))
    }

    /// Runs `op`; if it fails by what may pass, again after what the failure calls for: wrapping and unwrapping may be
    /// done twice. No lock is held during the pauses.
    fn run<T>(&self, op: impl Fn(&Connection) -> Result<T, Fault>) -> Result<T, Error> {
        let mut pauses = PAUSES.into_iter();
        loop {
            match self.attempt(&op) {
                Ok(done) => {
                    if self.failures.load(Ordering::Relaxed) != 0 {
                        self.failures.store(0, Ordering::Relaxed);
                    }
                    return Ok(done);
                }
                Err(Failed::Now(fault)) if fault.kind.may_pass() => match pauses.next() {
                    Some(pause) => thread::sleep(jittered(pause)),
                    None => return Err(fault.into()),
                },
                Err(Failed::Now(fault) | Failed::Before(fault)) => return Err(fault.into()),
            }
        }
    }

    /// Runs `op` on the connection, opening it first if there is none; after a failure, prepares for the next attempt.
    fn attempt<T>(&self, op: impl Fn(&Connection) -> Result<T, Fault>) -> Result<T, Failed> {
        loop {
            let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
            if let State::Up { connection, number } = &*state {
                let result = op(connection);
                let (number, worn_out) = (*number, connection.worn_out());
                let begin = match &result {
                    Err(fault) if fault.kind == Kind::Library => Some(Begin::Library),
                    Err(fault) if fault.kind == Kind::Login || worn_out => Some(Begin::Login),
                    Err(fault) if fault.kind == Kind::Session => {
                        tracing::warn!(error = %fault.message, "the HSM has lost sessions: opening new ones");
                        connection.give_up_sessions();
                        None
                    }
                    _ => None,
                };
                drop(state);
                if let (Err(fault), Some(begin)) = (&result, begin) {
                    self.take_down(number, fault, begin);
                }
                return result.map_err(Failed::Now);
            }
            drop(state);
            self.reopen()?;
        }
    }

    /// Throws connection `number` away, unless another thread has done so already.
    fn take_down(&self, number: u64, fault: &Fault, begin: Begin) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if matches!(&*state, State::Up { number: current, .. } if *current == number) {
            tracing::warn!(error = %fault.message, ?begin, "the HSM is lost and will be opened again");
            let failures = self.failures.fetch_add(1, Ordering::Relaxed);
            let retry_at = Some(Instant::now() + wait(failures));
            // A second loss without a success in between: the weaker cure did not help.
            let begin = if failures == 0 { begin } else { Begin::Library };
            *state = State::Down { fault: fault.clone(), retry_at, begin, number };
        }
    }

    /// Opens the token if it is down and its time has come; else says why it is down.
    fn reopen(&self) -> Result<(), Failed> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let (number, begin) = match &*state {
            State::Up { .. } => return Ok(()),
            State::Down { fault, retry_at, begin, number } => match retry_at {
                Some(time) if *time <= Instant::now() => (*number, *begin),
                _ => return Err(Failed::Before(fault.clone())),
            },
        };
        if begin == Begin::Library {
            Module::loaded().inspect(|module| module.finalize());
        }
        let number = number + 1;
        match Connection::open(&self.config).and_then(|connection| self.same_key(connection)) {
            Ok(connection) => {
                let key = connection.description();
                let wrapping = connection.about();
                tracing::info!(token = %key.token_label, key = %key.key_label, library = %key.library, wrapping, "HSM opened");
                *state = State::Up { connection: Box::new(connection), number };
                Ok(())
            }
            Err(fault) => {
                // Known to the log once; the callers are told each time.
                if !matches!(&*state, State::Down { fault: before, .. } if before.message == fault.message) {
                    tracing::warn!(error = %fault.message, "the HSM cannot be used");
                }
                let failures = self.failures.fetch_add(1, Ordering::Relaxed);
                let retry_at = (fault.kind != Kind::Fatal).then(|| Instant::now() + wait(failures.saturating_add(1)));
                *state = State::Down { fault: fault.clone(), retry_at, begin: Begin::Library, number };
                Err(Failed::Now(fault))
            }
        }
    }

    fn same_key(&self, connection: Connection) -> Result<Connection, Fault> {
        let found = &connection.description().check_value;
        if self.check_value.get_or_init(|| found.clone()) == found {
            return Ok(connection);
        }
        let key = connection.description();
        Err(Fault::operator(format!(
            "token {:?} now has another key under the label {:?} than when this process started: put the old key back; \
             if the change is meant, restart",
            key.token_label, key.key_label
        )))
    }
}

impl Drop for Hsm {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        *state = State::Down { fault: Fault::operator("closed"), retry_at: None, begin: Begin::Library, number: 0 };
        Module::loaded().inspect(|module| module.finalize());
    }
}

/// The pause after so many failures in a row: none after the first loss, then doubling.
fn wait(failures: u32) -> Duration {
    match failures.checked_sub(1) {
        None => Duration::ZERO,
        Some(doublings) => (FIRST_WAIT * 2_u32.saturating_pow(doublings.min(6))).min(LONGEST_WAIT),
    }
}

/// Up to half more, so that threads that failed together do not come back together.
fn jittered(pause: Duration) -> Duration {
    let mut random = [0; 1];
    random_bytes(&mut random);
    pause + pause * u32::from(random[0]) / 512
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_from_nothing_to_seconds() {
        let waits: Vec<u128> = [0, 1, 2, 3, 6, 7, u32::MAX].map(|n| wait(n).as_millis()).to_vec();
        assert_eq!(waits, [0, 100, 200, 400, 3200, 4000, 4000]);
    }
}
