//! The server's side of the HSM process: a seal that asks over a socket.
//!
//! A connection has two threads: one writes the questions that callers queue, one reads answers and hands each to its
//! caller by id. So no caller holds a lock while the HSM works, and a caller that gives up leaves nothing blocked.
//! The process behind the socket may hang, die and come back: the connection is then replaced by [`HsmSeal::attach`].

mod connection;
mod figures;
mod heartbeat;
mod state;

use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use framework::hsm::{Answer, Description, Failure, FailureKind, Question};
use framework::{Error, KeyId, Seal, SealKind, Secret, Wrapped};

use connection::Lost;
use figures::Figures;
pub use heartbeat::{HealthCheck, Heartbeat};
use state::Shared;

/// How long and how many may wait for the HSM.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Within this, a call has its answer or fails; waiting for a connection and trying again included.
    pub deadline: Duration,
    /// Most calls under way at once; more are [`Error::Busy`].
    pub in_flight: usize,
    /// Most calls under way while the HSM process is away or does not answer, or since a call has failed and none has
    /// succeeded; the others fail at once, so that an HSM in trouble cannot hold every worker of the server.
    pub hopeful: usize,
}

impl Default for Limits {
    /// 5 s, 256 calls, 4 of them hopeful.
    fn default() -> Self {
        Self { deadline: Duration::from_secs(5), in_flight: 256, hopeful: 4 }
    }
}

/// What is known about the HSM without asking it.
#[derive(Clone, Debug, Default)]
pub struct HsmState {
    /// Whether there is a connection to the HSM process.
    pub connected: bool,
    /// Connections so far.
    pub connections: u64,
    /// Whether the last call on it passed its deadline and nothing has come back since: a reason to restart the process.
    pub stalled: bool,
    /// Calls under way.
    pub in_flight: usize,
    /// What the HSM process last said about itself.
    pub description: Option<Description>,
    /// The last failure, until the next success.
    pub last_error: Option<String>,
    /// Calls that were refused since too many were under way, or the HSM was in trouble.
    pub refused: u64,
    /// When it began to fail, or began altogether if it has not succeeded yet.
    pub unhealthy_since: Option<Instant>,
}

/// A seal whose key never leaves the HSM.
///
/// Failures that an operator or time can mend are [`Error::HsmUnavailable`]; what the HSM rejects as altered is
/// [`Error::Internal`]. The process on the other side is trusted with what it is asked to wrap, and with nothing else.
pub struct HsmSeal {
    name: String,
    key_label: String,
    shared: Arc<Shared>,
    figures: Figures,
}

impl HsmSeal {
    /// A seal by the key labelled `key_label`, not connected yet.
    pub fn new(key_label: impl Into<String>, limits: Limits) -> Self {
        let name = SealKind::Pkcs11.name().to_owned();
        Self { name, key_label: key_label.into(), shared: Arc::new(Shared::new(limits)), figures: Figures::default() }
    }

    /// The same under a name that tells it from others.
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Its name in the configuration: the kind of seal, unless it has one of its own.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Uses `stream` from now on, which is connected to a fresh HSM process. Calls on the connection before it are lost, and
    /// tried again here if their time allows.
    pub fn attach(&self, stream: UnixStream) -> Result<(), Error> {
        self.shared.attach(stream).map_err(|error| Error::internal(format!("connecting to the hsm process: {error}")))
    }

    /// Gives up the connection, if there is one, and says why calls fail until there is another: for instance that the
    /// process ended by a signal and when it will be started again.
    pub fn detach(&self, reason: impl Into<String>) {
        self.shared.detach(reason.into());
    }

    /// Insists on the seal key with this check value: with any other nothing is wrapped or unwrapped.
    pub fn pin(&self, check_value: &[u8]) {
        self.shared.pin(check_value);
    }

    /// Asks the HSM process what is behind it. Fails like any call, also if the key is not the pinned one.
    pub fn describe(&self) -> Result<Description, Error> {
        self.describe_within(None)
    }

    /// The same with a deadline of its own.
    fn describe_within(&self, patience: Option<Duration>) -> Result<Description, Error> {
        self.shared.admitted(patience, |deadline| {
            let mut connection = self.shared.connection(deadline)?;
            if let Err(Lost) = self.verify(connection.number, deadline)? {
                connection = self.shared.connection(deadline)?;
                self.verify(connection.number, deadline)?.map_err(|Lost| self.shared.unavailable())?;
            }
            Ok(self.shared.state().description.unwrap_or_default())
        })
    }

    /// What is known now; never blocks.
    pub fn state(&self) -> HsmState {
        self.shared.state()
    }

    fn call(&self, question: &Question) -> Result<Answer, Error> {
        self.shared.admitted(None, |deadline| {
            // None of the questions changes anything in the HSM, so one that was lost with its connection is asked again.
            for _ in 0..2 {
                let connection = self.shared.connection(deadline)?;
                if !connection.verified && self.verify(connection.number, deadline)?.is_err() {
                    continue;
                }
                if let Ok(answer) = self.shared.ask(connection.number, question, deadline)? {
                    return self.judge(answer);
                }
            }
            Err(self.shared.unavailable())
        })
    }

    /// Checks which key is behind a connection.
    fn verify(&self, number: u64, deadline: Instant) -> Result<Result<(), Lost>, Error> {
        let Ok(answer) = self.shared.ask(number, &Question::Describe, deadline)? else { return Ok(Err(Lost)) };
        match self.judge(answer)? {
            Answer::Description(description) => self.shared.verified(number, description).map(Ok),
            other => Err(self.shared.nonsense(&other)),
        }
    }

    fn judge(&self, answer: Answer) -> Result<Answer, Error> {
        match answer {
            Answer::Failed(failure) => {
                self.figures.failed(&failure.message);
                self.judge_failure(failure)
            }
            answer => {
                self.shared.succeeded();
                Ok(answer)
            }
        }
    }

    fn judge_failure(&self, failure: Failure) -> Result<Answer, Error> {
        match failure.kind {
            FailureKind::Rejected => Err(Error::internal(format!(
                "a wrapped value failed its integrity check in the HSM: {}",
                failure.message
            ))),
            FailureKind::Transient | FailureKind::Operator => Err(self.shared.failed(failure.message)),
        }
    }
}

impl Seal for HsmSeal {
    fn key_id(&self) -> KeyId {
        KeyId(self.key_label.clone())
    }

    fn wrap(&self, plain: &Secret, aad: &[u8]) -> Result<Wrapped, Error> {
        let (begin, question) = (Instant::now(), Question::Wrap { plain: plain.try_clone()?, aad: aad.to_vec() });
        match self.call(&question)? {
            Answer::Wrapped { key_label, mechanism, blob } => {
                self.figures.took("encrypt", mechanism, begin.elapsed());
                Ok(Wrapped { key_id: KeyId(key_label), mechanism, blob })
            }
            other => Err(self.shared.nonsense(&other)),
        }
    }

    fn unwrap(&self, wrapped: &Wrapped, aad: &[u8]) -> Result<Secret, Error> {
        let question = Question::Unwrap {
            key_label: wrapped.key_id.0.clone(),
            mechanism: wrapped.mechanism,
            blob: wrapped.blob.clone(),
            aad: aad.to_vec(),
        };
        let begin = Instant::now();
        match self.call(&question)? {
            Answer::Plain(plain) => {
                self.figures.took("decrypt", wrapped.mechanism, begin.elapsed());
                Ok(plain)
            }
            other => Err(self.shared.nonsense(&other)),
        }
    }

    fn is_healthy(&self) -> bool {
        self.state().unhealthy_since.is_none()
    }
}

impl Drop for HsmSeal {
    fn drop(&mut self) {
        self.shared.detach("the seal is gone".to_owned());
    }
}
