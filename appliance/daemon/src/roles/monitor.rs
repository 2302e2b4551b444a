//! The monitor: the process that an operator starts. It starts the server and a process for each HSM, connects them, starts an
//! hsm process again when it ends, and ends with the server. It holds no key and opens no network connection.
//!
//! On its socket to the server every message is one byte: which HSM ([`word`]). To the server it comes with a new socket to
//! that HSM's process; from the server it says that this process does not answer.

use std::collections::HashMap;
use std::ffi::OsString;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use hardening::Secret;
use hardening::lockdown::{Lockdown, Mode, Role};
use hardening::process::{self, Process, Signal, Signals};

use super::hsm_process::HsmProcess;
use super::{Doing, Fatal, files, pin};
use crate::arguments::ServerOptions;
use crate::config::{self, Config};
use crate::log;

/// How the server ends when it is to be started again at once: its data was replaced.
pub(crate) const START_ANEW: u8 = 83;

/// How long the server may take to end.
const END: Duration = Duration::from_secs(20);

pub(crate) fn run(options: &ServerOptions) -> Result<ExitCode, Fatal> {
    let program = std::env::current_exe().doing("finding this program")?;
    let mut config = match &options.dev {
        None => Some(config::load(&options.config)?),
        Some(_) => None,
    };
    if let Some(config) = &mut config {
        config.forget_pins();
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
    let pins = config.as_ref().map(pin::take).transpose()?.unwrap_or_default();
    lock_down(options, config.as_ref(), &program)?;
    Monitor::start(options, config.as_ref(), program, signals, pins)?.watch()
}

fn lock_down(options: &ServerOptions, config: Option<&Config>, program: &Path) -> Result<(), Fatal> {
    // A server for trying out runs for everybody, and says what it could not lock.
    let mode = config.map_or(Mode::Report, |config| config.hardening);
    let mut lockdown = Lockdown::new(mode, Role::Monitor);
    if let Some(config) = config {
        files::make_folders(config)?;
        lockdown.files = files::monitor(options, config, program);
        lockdown.hsm_network = config.hsms.iter().any(|hsm| hsm.network);
    } else {
        lockdown.files.execute.push(program.to_owned());
    }
    log::locks("monitor", &lockdown.apply()?);
    Ok(())
}

struct Monitor {
    program: PathBuf,
    arguments: Vec<String>,
    /// What the hsm processes get; the server gets less.
    environment: HashMap<OsString, OsString>,
    signals: Signals,
    server: Process,
    control: UnixStream,
    /// In the order of the configuration.
    hsms: Vec<HsmProcess>,
    /// When an end was asked for.
    ending: Option<Instant>,
}

impl Monitor {
    fn start(
        options: &ServerOptions,
        config: Option<&Config>,
        program: PathBuf,
        signals: Signals,
        pins: Vec<Option<Secret>>,
    ) -> Result<Self, Fatal> {
        let mut environment: HashMap<OsString, OsString> = std::env::vars_os().collect();
        let hsms = config.map(|config| config.hsms.as_slice()).unwrap_or_default();
        for name in hsms.iter().filter_map(|hsm| hsm.pin.environment()) {
            // The variable is empty now. Whoever reads the configuration learns from it where the PIN was.
            environment.insert(name.into(), format!("env://{name}").into());
        }
        let arguments = options.arguments();
        let (server, control) = start_server(&program, &arguments, &environment, !hsms.is_empty())?;
        Ok(Self {
            program,
            arguments,
            environment,
            signals,
            server,
            control,
            hsms: hsms.iter().zip(pins).map(|(hsm, pin)| HsmProcess::new(hsm.name.clone(), pin)).collect(),
            ending: None,
        })
    }

    fn watch(mut self) -> Result<ExitCode, Fatal> {
        loop {
            if self.ending.is_none() {
                self.start_hsms();
            }
            self.wait()?;
            if let Some(status) = self.server.wait(Some(Duration::ZERO)).doing("watching the server process")? {
                self.hsms.iter_mut().for_each(HsmProcess::end);
                let asked = self.ending.is_some();
                if !asked && status.code() == Some(i32::from(START_ANEW)) {
                    tracing::info!("the server starts anew");
                    (self.server, self.control) =
                        start_server(&self.program, &self.arguments, &self.environment, !self.hsms.is_empty())?;
                    continue;
                }
                if !(asked && status.success()) {
                    tracing::error!("the server process ended: {}", process::describe_exit(status));
                }
                let code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
                return Ok(ExitCode::from(if asked { code } else { code.max(1) }));
            }
            let ending = self.ending.is_some();
            self.hsms.iter_mut().try_for_each(|hsm| hsm.reap(ending))?;
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
        } else {
            self.hsms.iter().filter_map(HsmProcess::due_in).min()
        };
        let mut watched = vec![self.signals.as_fd(), self.server.as_fd(), self.control.as_fd()];
        watched.extend(self.hsms.iter().filter_map(HsmProcess::handle));
        let ready = process::wait_readable(&watched, due).doing("waiting")?;
        if ready.get(2) == Some(&true) {
            self.hear_server();
        }
        Ok(())
    }

    fn hear_server(&mut self) {
        let mut word = [0; 1];
        match std::io::Read::read(&mut &self.control, &mut word) {
            Ok(1) => {
                if let Some(hsm) = self.hsms.get(usize::from(word[0])) {
                    hsm.kill();
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

    /// Starts the hsm processes that are due, and hands the server its end of each socket.
    fn start_hsms(&mut self) {
        for (at, hsm) in self.hsms.iter_mut().enumerate() {
            let (program, arguments, environment) = (&self.program, &self.arguments, &self.environment);
            let spawn = |flags: Vec<String>, socket: UnixStream| {
                let role = [String::from("role"), String::from("hsm")];
                let arguments = role.iter().chain(&flags).chain(arguments);
                process::spawn_role(program, arguments, environment, socket.into(), |_| {})
            };
            let control = &self.control;
            hsm.start_if_due(spawn, |servers| process::send_descriptor(control, &[word(at)], servers.as_fd()));
        }
    }
}

/// What the monitor and the server call an HSM: its place in the configuration.
pub(super) fn word(at: usize) -> u8 {
    u8::try_from(at).unwrap_or(u8::MAX)
}

/// Starts the server process, with a socket to it. Where there is an HSM, it is told where its PIN comes from.
fn start_server(
    program: &Path,
    arguments: &[String],
    environment: &HashMap<OsString, OsString>,
    has_hsm: bool,
) -> Result<(Process, UnixStream), Fatal> {
    let for_server = environment.iter().filter(|(name, _)| {
        let name = name.to_string_lossy();
        (has_hsm && name == config::PIN_VARIABLE) || (!name.contains("PIN") && !name.contains("TOKEN"))
    });
    let (ours, theirs) = UnixStream::pair().doing("making a socket pair")?;
    let role = [String::from("role"), String::from("server")];
    let server = process::spawn_role(program, role.iter().chain(arguments), for_server, theirs.into(), |_| {})
        .doing("starting the server process")?;
    Ok((server, ours))
}
