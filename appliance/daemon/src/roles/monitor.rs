//! The monitor: the process that an operator starts. It starts the server and the hsm process, connects them, starts the
//! hsm process again when it ends, and ends with the server. It holds no key and opens no network connection.

use std::collections::HashMap;
use std::ffi::OsString;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use hardening::Secret;
use hardening::lockdown::{Lockdown, Mode, Role};
use hardening::process::{self, Process, Signal, Signals};

use super::{Doing, Fatal, files, pin};
use crate::arguments::ServerOptions;
use crate::config::{self, Config, Seal};
use crate::log;

/// What goes to the server with a new socket to the hsm process.
pub(crate) const NEW_HSM: &[u8] = b"hsm";
/// What comes from the server when the hsm process does not answer.
pub(crate) const HSM_HANGS: u8 = b'h';

const SHORTEST_BACK_OFF: Duration = Duration::from_millis(100);
/// Short, so that an HSM that has returned is in use again within five seconds.
const LONGEST_BACK_OFF: Duration = Duration::from_secs(3);
/// A process that ran this long starts again without waiting.
const STABLE: Duration = Duration::from_secs(30);
/// How long the server may take to end.
const END: Duration = Duration::from_secs(20);

pub(crate) fn run(options: &ServerOptions) -> Result<ExitCode, Fatal> {
    let program = std::env::current_exe().doing("finding this program")?;
    let mut config = match &options.dev {
        None => Some(config::load(&options.config)?),
        Some(_) => None,
    };
    if let Some(config) = &mut config {
        config.forget_pin();
    }
    let (level, json) =
        config.as_ref().map_or((tracing::Level::INFO, false), |config| (config.log_level, config.log_json));
    log::start(level, json);
    for warning in config.iter().flat_map(|config| &config.warnings) {
        tracing::warn!("{warning}");
    }
    let signals = Signals::catch(&[Signal::Terminate, Signal::Interrupt, Signal::Hangup, Signal::Child])
        .doing("catching signals")?;
    let _ = process::raise_memlock_limit();
    let _ = process::raise_file_limit();
    let pin = config.as_ref().map(pin::take).transpose()?.flatten();
    lock_down(options, config.as_ref(), &program)?;
    Monitor::start(options, config.as_ref(), program, signals, pin)?.watch()
}

fn lock_down(options: &ServerOptions, config: Option<&Config>, program: &std::path::Path) -> Result<(), Fatal> {
    // A server for trying out runs for everybody, and says what it could not lock.
    let mode = config.map_or(Mode::Report, |config| config.hardening);
    let mut lockdown = Lockdown::new(mode, Role::Monitor);
    if let Some(config) = config {
        files::make_folders(config)?;
        lockdown.files = files::monitor(options, config, program);
        lockdown.hsm_network = matches!(&config.seal, Seal::Pkcs11(hsm) if hsm.network);
    } else {
        lockdown.files.execute.push(program.to_owned());
    }
    log::locks("monitor", &lockdown.apply()?);
    Ok(())
}

struct Monitor {
    program: PathBuf,
    arguments: Vec<String>,
    /// What the hsm process gets; the server gets less.
    environment: HashMap<OsString, OsString>,
    /// What the hsm process is to log in with, if that came as a variable.
    pin: Option<Secret>,
    /// With what the token has refused the PIN: nobody tries it again while this server runs, or the token would lock.
    pin_refused: Option<u8>,
    has_hsm: bool,
    signals: Signals,
    server: Process,
    control: UnixStream,
    hsm: Option<(Process, Instant)>,
    back_off: Duration,
    next_start: Instant,
    /// When an end was asked for.
    ending: Option<Instant>,
}

impl Monitor {
    fn start(
        options: &ServerOptions,
        config: Option<&Config>,
        program: PathBuf,
        signals: Signals,
        pin: Option<Secret>,
    ) -> Result<Self, Fatal> {
        let mut environment: HashMap<OsString, OsString> = std::env::vars_os().collect();
        if let Some(Seal::Pkcs11(hsm)) = config.map(|config| &config.seal)
            && let Some(name) = hsm.pin.environment()
        {
            // The variable is empty now. Whoever reads the configuration learns from it where the PIN was.
            environment.insert(name.into(), format!("env://{name}").into());
        }
        let has_hsm = matches!(config.map(|config| &config.seal), Some(Seal::Pkcs11(_)));
        let for_server = environment.iter().filter(|(name, _)| {
            let name = name.to_string_lossy();
            (has_hsm && name == config::PIN_VARIABLE) || (!name.contains("PIN") && !name.contains("TOKEN"))
        });
        let (ours, theirs) = UnixStream::pair().doing("making a socket pair")?;
        let arguments = options.arguments();
        let role = [String::from("role"), String::from("server")];
        let server = process::spawn_role(&program, role.iter().chain(&arguments), for_server, theirs.into(), |_| {})
            .doing("starting the server process")?;
        Ok(Self {
            program,
            arguments,
            environment,
            pin,
            pin_refused: None,
            has_hsm,
            signals,
            server,
            control: ours,
            hsm: None,
            back_off: SHORTEST_BACK_OFF,
            next_start: Instant::now(),
            ending: None,
        })
    }

    fn watch(mut self) -> Result<ExitCode, Fatal> {
        loop {
            if self.has_hsm && self.hsm.is_none() && self.ending.is_none() && Instant::now() >= self.next_start {
                self.start_hsm();
            }
            self.wait()?;
            if let Some(status) = self.server.wait(Some(Duration::ZERO)).doing("watching the server process")? {
                self.end_hsm();
                let asked = self.ending.is_some();
                if !(asked && status.success()) {
                    tracing::error!("the server process ended: {}", process::describe_exit(status));
                }
                let code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
                return Ok(ExitCode::from(if asked { code } else { code.max(1) }));
            }
            self.reap_hsm()?;
            self.hear_signals();
            if self.ending.is_some_and(|since| since.elapsed() > END) {
                tracing::error!("the server process does not end: killed");
                let _ = self.server.kill();
            }
        }
    }

    /// Waits for a signal, for the end of a process, for word from the server, or for the next thing that is due.
    fn wait(&mut self) -> Result<(), Fatal> {
        let due = if self.ending.is_some() {
            Some(Duration::from_millis(500))
        } else if self.has_hsm && self.hsm.is_none() {
            Some(self.next_start.saturating_duration_since(Instant::now()))
        } else {
            None
        };
        let mut watched = vec![self.signals.as_fd(), self.server.as_fd(), self.control.as_fd()];
        watched.extend(self.hsm.as_ref().map(|(process, _)| process.as_fd()));
        let ready = process::wait_readable(&watched, due).doing("waiting")?;
        if ready.get(2) == Some(&true) {
            self.hear_server();
        }
        Ok(())
    }

    fn hear_server(&mut self) {
        let mut word = [0; 1];
        match std::io::Read::read(&mut &self.control, &mut word) {
            Ok(1) if word == [HSM_HANGS] => {
                if let Some((hsm, _)) = &self.hsm {
                    tracing::error!("the hsm process does not answer: killed");
                    let _ = hsm.kill();
                }
            }
            // The socket's end is the server's end, which is noticed by itself; do not spin until then.
            Ok(_) | Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }

    fn hear_signals(&mut self) {
        for signal in self.signals.take() {
            match signal {
                Signal::Hangup => drop(self.server.hangup()),
                Signal::Terminate | Signal::Interrupt => {
                    self.ending.get_or_insert_with(Instant::now);
                    let _ = self.server.terminate();
                }
                Signal::Child => {}
            }
        }
    }

    fn start_hsm(&mut self) {
        let started = self.spawn_hsm();
        match started {
            Ok(hsm) => {
                tracing::info!(pid = hsm.id(), "hsm process started");
                self.hsm = Some((hsm, Instant::now()));
            }
            Err(error) => {
                tracing::error!("the hsm process cannot be started: {error}");
                self.delay();
            }
        }
    }

    fn spawn_hsm(&self) -> std::io::Result<Process> {
        let (servers, hsms) = UnixStream::pair()?;
        let role = [String::from("role"), String::from("hsm")];
        let refused = self.pin_refused.map(|code| format!("-pin-refused={code}"));
        let arguments = role.iter().chain(&refused).chain(&self.arguments);
        let hsm = process::spawn_role(&self.program, arguments, &self.environment, hsms.into(), |_| {})?;
        if let Some(pin) = &self.pin {
            pin::hand_over(pin, &servers)?;
        }
        process::send_descriptor(&self.control, NEW_HSM, servers.as_fd())?;
        Ok(hsm)
    }

    fn reap_hsm(&mut self) -> Result<(), Fatal> {
        let Some((hsm, since)) = &mut self.hsm else { return Ok(()) };
        let Some(status) = hsm.wait(Some(Duration::ZERO)).doing("watching the hsm process")? else { return Ok(()) };
        let stable = since.elapsed() > STABLE;
        self.hsm = None;
        if let Some(code) = status.code().and_then(pkcs11_seal::pin_refusal) {
            tracing::error!(
                "the token has refused the PIN ({code:#x}): it is not tried again until this server is restarted"
            );
            self.pin_refused = Some(code);
            self.next_start = Instant::now();
        } else if self.ending.is_none() {
            tracing::error!("the hsm process ended: {}", process::describe_exit(status));
            if stable {
                self.back_off = SHORTEST_BACK_OFF;
            }
            self.delay();
        }
        Ok(())
    }

    fn delay(&mut self) {
        self.next_start = Instant::now() + self.back_off;
        self.back_off = (self.back_off * 2).min(LONGEST_BACK_OFF);
    }

    fn end_hsm(&mut self) {
        if let Some((mut hsm, _)) = self.hsm.take() {
            // Its socket is closed with the server, on which it ends by itself; the kill is for one that hangs.
            if !matches!(hsm.wait(Some(Duration::from_secs(1))), Ok(Some(_))) {
                let _ = hsm.kill();
                let _ = hsm.wait(None);
            }
        }
    }
}
