//! The monitor's side of one HSM: its process, started again when it ends, and what is to be remembered from one to the next.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use hardening::Secret;
use hardening::process::{self, Process};

use super::{Doing, Fatal, pin};

const SHORTEST_BACK_OFF: Duration = Duration::from_millis(100);
/// Short, so that an HSM that has returned is in use again within five seconds.
const LONGEST_BACK_OFF: Duration = Duration::from_secs(3);
/// A process that ran this long starts again without waiting.
const STABLE: Duration = Duration::from_secs(30);

/// The process of one HSM, as far as there is one.
pub(super) struct HsmProcess {
    /// Name of its seal.
    name: String,
    /// What it is to log in with, if that came as a variable.
    pin: Option<Secret>,
    /// With what the token has refused the PIN: nobody tries it again while this server runs, or the token would lock.
    pin_refused: Option<u8>,
    running: Option<(Process, Instant)>,
    back_off: Duration,
    next_start: Instant,
}

impl HsmProcess {
    pub(super) fn new(name: String, pin: Option<Secret>) -> Self {
        let (back_off, next_start) = (SHORTEST_BACK_OFF, Instant::now());
        Self { name, pin, pin_refused: None, running: None, back_off, next_start }
    }

    /// How long until it is to be started; `None` while it runs.
    pub(super) fn due_in(&self) -> Option<Duration> {
        self.running.is_none().then(|| self.next_start.saturating_duration_since(Instant::now()))
    }

    /// Readable once the process has ended.
    pub(super) fn handle(&self) -> Option<BorrowedFd<'_>> {
        self.running.as_ref().map(|(process, _)| process.as_fd())
    }

    /// Starts it if it is time to. `spawn` is given its flags and its end of a new socket; the other end goes to `hand_over`.
    pub(super) fn start_if_due(
        &mut self,
        spawn: impl FnOnce(Vec<String>, UnixStream) -> io::Result<Process>,
        hand_over: impl FnOnce(&UnixStream) -> io::Result<()>,
    ) {
        if self.due_in() != Some(Duration::ZERO) {
            return;
        }
        match self.start(spawn, hand_over) {
            Ok(process) => {
                tracing::info!(pid = process.id(), seal = self.name, "hsm process started");
                self.running = Some((process, Instant::now()));
            }
            Err(error) => {
                tracing::error!(seal = self.name, "the hsm process cannot be started: {error}");
                self.delay();
            }
        }
    }

    fn start(
        &self,
        spawn: impl FnOnce(Vec<String>, UnixStream) -> io::Result<Process>,
        hand_over: impl FnOnce(&UnixStream) -> io::Result<()>,
    ) -> io::Result<Process> {
        let (servers, hsms) = UnixStream::pair()?;
        let refused = self.pin_refused.map(|code| format!("-pin-refused={code}"));
        let process = spawn([format!("-seal={}", self.name)].into_iter().chain(refused).collect(), hsms)?;
        if let Some(pin) = &self.pin {
            pin::hand_over(pin, &servers)?;
        }
        hand_over(&servers)?;
        Ok(process)
    }

    /// Takes note of its end, if it has ended. `ending`: that was to be expected.
    pub(super) fn reap(&mut self, ending: bool) -> Result<(), Fatal> {
        let Some((process, since)) = &mut self.running else { return Ok(()) };
        let Some(status) = process.wait(Some(Duration::ZERO)).doing("watching the hsm process")? else { return Ok(()) };
        let (name, stable) = (self.name.as_str(), since.elapsed() > STABLE);
        self.running = None;
        if let Some(code) = status.code().and_then(pkcs11_seal::pin_refusal) {
            tracing::error!(
                seal = name,
                "the token has refused the PIN ({code:#x}): it is not tried again until this server is restarted"
            );
            self.pin_refused = Some(code);
            self.next_start = Instant::now();
        } else if !ending {
            tracing::error!(seal = name, "the hsm process ended: {}", process::describe_exit(status));
            if stable {
                self.back_off = SHORTEST_BACK_OFF;
            }
            self.delay();
        }
        Ok(())
    }

    /// Kills it, since it does not answer.
    pub(super) fn kill(&self) {
        if let Some((process, _)) = &self.running {
            tracing::error!(seal = self.name, "the hsm process does not answer: killed");
            let _ = process.kill();
        }
    }

    /// Waits for its end: its socket is closed with the server, on which it ends by itself. The kill is for one that hangs.
    pub(super) fn end(&mut self) {
        if let Some((mut process, _)) = self.running.take()
            && !matches!(process.wait(Some(Duration::from_secs(1))), Ok(Some(_)))
        {
            let _ = process.kill();
            let _ = process.wait(None);
        }
    }

    fn delay(&mut self) {
        self.next_start = Instant::now() + self.back_off;
        self.back_off = (self.back_off * 2).min(LONGEST_BACK_OFF);
    }
}
