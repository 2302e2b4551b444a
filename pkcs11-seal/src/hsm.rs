//! The seal over a token that may go away and come back.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

use framework::hsm::{Answer, Description, Question};
use hardening::Secret;

use crate::config::{AES_GCM, Config};
use crate::connection::Connection;
use crate::error::{Error, Fault, Kind};
use crate::module::Module;

const FIRST_WAIT: Duration = Duration::from_millis(100);
/// Longest wait between two attempts to open the token: short, so that a returned HSM is in use again within seconds.
const LONGEST_WAIT: Duration = Duration::from_secs(4);

/// The seal key in its HSM. Shared by threads; each call uses a session of its own.
///
/// When the module reports that device, session, login or key are gone, everything is thrown away and opened again, at
/// once the first time and then with growing pauses, by whichever call comes next. A wrong PIN is final: this value
/// never tries it again. One of these per process: opening again, and dropping it, end every session of the process.
pub struct Hsm {
    config: Config,
    // Read while inside the module, written to open it again: C_Finalize must meet no other call.
    state: RwLock<State>,
    // Losses and failed openings since the last success.
    failures: AtomicU32,
    // Of the first key found: a token that comes back with another key under the same label is refused.
    check_value: OnceLock<Vec<u8>>,
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
        number: u64,
    },
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
        let down = State::Down { fault: Fault::operator("not opened"), retry_at: Some(Instant::now()), number: 0 };
        let hsm = Hsm { config, state: RwLock::new(down), failures: AtomicU32::new(0), check_value: OnceLock::new() };
        // What went wrong is kept in the state.
        _ = hsm.reopen();
        // The module has had the PIN on this stack.
        hardening::wipe_deep_stack();
        hsm
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

    /// Wraps `plain`, at most [`LONGEST_PLAINTEXT`](crate::LONGEST_PLAINTEXT) bytes, bound to `aad`. The blob is the
    /// IV (12 bytes), the ciphertext and the tag (16 bytes).
    ///
    /// # Errors
    /// As [`Hsm::describe`].
    pub fn wrap(&self, plain: &Secret, aad: &[u8]) -> Result<Vec<u8>, Error> {
        self.run(|connection| connection.wrap(plain.expose(), aad))
    }

    /// Unwraps what [`Hsm::wrap`] made.
    ///
    /// # Errors
    /// [`Error::Rejected`] if blob and `aad` were not wrapped together by this key; else as [`Hsm::describe`].
    pub fn unwrap(&self, blob: &[u8], aad: &[u8]) -> Result<Secret, Error> {
        self.run(|connection| connection.unwrap(blob, aad))
    }

    /// Answers a question of the server's.
    pub fn answer(&self, question: &Question) -> Answer {
        let answer = match question {
            Question::Describe => self.describe().map(Answer::Description),
            Question::Wrap { plain, aad } => self.wrap(plain, aad).map(|blob| Answer::Wrapped {
                key_label: self.config.key_label.clone(),
                mechanism: AES_GCM,
                blob,
            }),
            Question::Unwrap { key_label, mechanism, blob, aad } => {
                self.wrapped_here(key_label, *mechanism).and_then(|()| self.unwrap(blob, aad)).map(Answer::Plain)
            }
        };
        answer.unwrap_or_else(|error| Answer::Failed(error.into()))
    }

    /// The label and mechanism come from storage: they may name this key only, not any key the PIN opens.
    fn wrapped_here(&self, key_label: &str, mechanism: u32) -> Result<(), Error> {
        let ours = &self.config.key_label;
        if key_label != ours {
            return Err(Error::Operator(format!(
                "the value was wrapped by key {key_label:?}, and the seal is configured with key {ours:?}"
            )));
        }
        if mechanism != AES_GCM {
            return Err(Error::Operator(format!(
                "the value was wrapped with mechanism {mechanism:#06x}, which is not supported"
            )));
        }
        Ok(())
    }

    /// Runs `op`; if the token turns out to be lost or busy, once more on a new connection or session: wrapping and
    /// unwrapping may be done twice.
    fn run<T>(&self, op: impl Fn(&Connection) -> Result<T, Fault>) -> Result<T, Error> {
        let result = match self.attempt(&op) {
            Err(fault) if matches!(fault.kind, Kind::Lost | Kind::Busy) => self.attempt(&op),
            other => other,
        };
        if result.is_ok() && self.failures.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Relaxed);
        }
        Ok(result?)
    }

    /// Runs `op` on the connection, opening it first if there is none.
    fn attempt<T>(&self, op: impl Fn(&Connection) -> Result<T, Fault>) -> Result<T, Fault> {
        loop {
            let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
            if let State::Up { connection, number } = &*state {
                let result = op(connection);
                let (number, worn_out) = (*number, connection.worn_out());
                drop(state);
                if let Err(fault) = &result
                    && (fault.kind == Kind::Lost || worn_out)
                {
                    self.take_down(number, fault);
                }
                return result;
            }
            drop(state);
            self.reopen()?;
        }
    }

    /// Throws connection `number` away, unless another thread has done so already.
    fn take_down(&self, number: u64, fault: &Fault) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if matches!(&*state, State::Up { number: current, .. } if *current == number) {
            tracing::warn!(error = %fault.message, "the HSM is lost and will be opened again");
            let failures = self.failures.fetch_add(1, Ordering::Relaxed);
            *state = State::Down { fault: fault.clone(), retry_at: Some(Instant::now() + wait(failures)), number };
        }
    }

    /// Opens the token if it is down and its time has come; else says why it is down.
    fn reopen(&self) -> Result<(), Fault> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let number = match &*state {
            State::Up { .. } => return Ok(()),
            State::Down { fault, retry_at, number } => match retry_at {
                Some(time) if *time <= Instant::now() => *number,
                _ => return Err(fault.clone()),
            },
        };
        if number != 0 {
            Module::loaded().inspect(|module| module.finalize());
        }
        let number = number + 1;
        match Connection::open(&self.config).and_then(|connection| self.same_key(connection)) {
            Ok(connection) => {
                let key = connection.description();
                tracing::info!(token = %key.token_label, key = %key.key_label, library = %key.library, "HSM opened");
                *state = State::Up { connection: Box::new(connection), number };
                Ok(())
            }
            Err(fault) => {
                // Known to the log once; the callers are told each time.
                if !matches!(&*state, State::Down { fault: before, .. } if before.message == fault.message) {
                    tracing::warn!(error = %fault.message, "the HSM cannot be used");
                }
                let failures = self.failures.fetch_add(1, Ordering::Relaxed);
                let again = (fault.kind != Kind::Fatal).then(|| Instant::now() + wait(failures.saturating_add(1)));
                *state = State::Down { fault: fault.clone(), retry_at: again, number };
                Err(fault)
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
            "token {:?} now has another key under the label {:?} than when this process started: put the old key back;              if the change is meant, restart",
            key.token_label, key.key_label
        )))
    }
}

impl Drop for Hsm {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        *state = State::Down { fault: Fault::operator("closed"), retry_at: None, number: 0 };
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_from_nothing_to_seconds() {
        let waits: Vec<u128> = [0, 1, 2, 3, 6, 7, u32::MAX].map(|n| wait(n).as_millis()).to_vec();
        assert_eq!(waits, [0, 100, 200, 400, 3200, 4000, 4000]);
    }
}
