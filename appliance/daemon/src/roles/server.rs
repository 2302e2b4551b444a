//! The server process: HTTP, pipeline, barrier, storage. It holds the keyring and never loads a vendor's library.

use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use ceremony::Trouble;
use framework::{Clock, SealControl, SystemClock};
use hardening::lockdown::{Lockdown, Mode, Role};
use hardening::process;
use pipeline::{Chores, Width, Workers};
use seals::{HealthCheck, Heartbeat, HsmSeal};
use server::{Corridor, Limits, Server};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;

use super::{Doing, Fatal, files, monitor};
use crate::arguments::ServerOptions;
use crate::compose::{self, Parts};
use crate::config::{self, Config};
use crate::{dev, log};

/// Handlers wait for the disk, so there are more threads than cores; group commit lives on waiting writers.
pub(crate) const WORKERS: usize = 24;
/// Requests that may wait for a worker.
const WAITING: usize = 4096;
/// Requests that may wait for a worker of the costly lane: logins with passwords, about 20 a second on each of its threads.
const WAITING_COSTLY: usize = 128;
/// Threads that speak TLS and HTTP.
const NETWORK_THREADS: usize = 2;
/// The HSM process is looked after this often: one that does not answer is killed, and started again by the monitor.
const HSM_WATCH: Duration = Duration::from_millis(500);
/// Whether the data key is due for rotation is looked at this often.
const ROTATION: Duration = Duration::from_secs(10);
/// Whether there is something to rewrap is looked at this often.
const REWRAP: Duration = Duration::from_secs(1);
/// A rewrap that cannot go on, since the HSM is out of reach, is tried again after this.
const REWRAP_AGAIN: Duration = Duration::from_secs(5);
/// Tokens and leases that could not be counted while sealed are tried again after this.
const USAGE_AGAIN: Duration = Duration::from_secs(1);
/// What has expired is ended this often, at most this much at a time: tokens, and secrets that were leased.
const SWEEP: (Duration, usize) = (Duration::from_secs(1), 500);

pub(crate) fn run(options: &ServerOptions) -> Result<ExitCode, Fatal> {
    let control = process::control_socket().doing("taking over the socket from the monitor")?;
    process::die_with_parent(&control).doing("tying the process to the monitor")?;
    let config = match &options.dev {
        Some(dev) => dev::config(dev)?,
        None => {
            let mut config = config::load(&options.config)?;
            config.forget_pins();
            config
        }
    };
    log::start(config.log_level, config.log_json);
    hardening::WipingAllocator::keep_no_large_blocks();

    // Locks that bind this thread and those it makes come before any other thread.
    let mut lockdown = Lockdown::new(config.hardening, Role::Server);
    lockdown.files = files::server(options, &config);
    lockdown.tcp_bind = Some(config.listeners.iter().map(|listener| listener.address.port()).collect());
    lockdown.tcp_connect = Some(Vec::new());
    let mut locks = lockdown.early()?;
    compose::guarded_memory(&config, "server")?;
    locks.append(lockdown.seal_files()?);

    let seal = |hsm: &config::Hsm| HsmSeal::new(&hsm.key_label, seals::Limits::default()).named(&hsm.name);
    let hsms: Vec<_> = config.hsms.iter().map(|hsm| Arc::new(seal(hsm))).collect();
    let root_token = options.dev.as_ref().and_then(dev::root_token);
    let parts = compose::build(&config, &hsms, root_token, options.recovery)?;
    parts.registry.check_declared_audit().map_err(|error| Fatal::Part(error.to_string()))?;
    let usual = Width { threads: WORKERS, waiting: WAITING };
    // Half of the processors for what takes much of one, so that there is another half for everything else.
    let processors = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let costly = Width { threads: (processors / 2).max(1), waiting: WAITING_COSTLY };
    let workers = Workers::start(Arc::clone(&parts.pipeline), usual, costly, parts.figures.shares.clone())
        .doing("starting the workers")?;
    let workers = Arc::new(workers);
    let limits = Limits { body: config.max_request_size, request: config.max_request_duration, ..Limits::default() };
    let server =
        Server::bind(&config.listeners, limits, Arc::clone(&workers) as Arc<dyn Corridor>, Arc::clone(&parts.clock))
            .map_err(|error| Fatal::Part(error.to_string()))?;
    let _ = parts.control.connections.set(server.handle());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(NETWORK_THREADS)
        .thread_name("network")
        // Tokens pass through these threads too; what they left on the stack goes when there is nothing more to do.
        .on_thread_park(hardening::wipe_deep_stack)
        .enable_all()
        .build()
        .doing("starting the network threads")?;

    // All threads but short-lived ones exist now: from here on a forbidden system call kills the process.
    locks.append(lockdown.seal_syscalls()?);
    log::locks("server", &locks);
    if config.hardening == Mode::Report && !locks.complete() {
        tracing::warn!("not everything could be locked; the lines above say what");
    }
    for (address, listener) in server.addresses().iter().zip(&config.listeners) {
        tracing::info!(%address, tls = listener.tls.is_some(), storage = config.storage.name(), "listening");
    }
    if parts.ceremony.status().migration {
        tracing::warn!(
            "the storage lies under another seal than the configuration names: a quorum of its key holders moves it with \
             `holdfast operator unseal -migrate`; until then, the configuration can be set back"
        );
    }
    connect_hsms(control, &hsms, &config)?;
    if options.recovery {
        tracing::warn!(
            "recovery mode: only sys/raw is served, for a token by `holdfast operator generate-root -recovery-token`"
        );
    } else {
        look_after(&config, &parts)?;
    }
    if let Some(dev) = &options.dev {
        dev::prepare(dev, &parts, server.addresses()).map_err(|error| Fatal::Part(error.to_string()))?;
    }
    let handle = server.handle();
    let mut restart = false;
    let served = runtime.block_on(async {
        let stop = stop_signal(handle, Arc::clone(&parts.registry), Arc::clone(&parts.restart))?;
        server.serve(async { restart = stop.await }).await
    });
    served.doing("serving")?;
    workers.stop();
    let _ = parts.control.seal();
    parts.storage.close();
    tracing::info!(restart, "stopped");
    Ok(if restart { ExitCode::from(monitor::START_ANEW) } else { ExitCode::SUCCESS })
}

/// Ready when the process is asked to end. SIGHUP reloads certificates and opens audit files anew meanwhile.
/// Whether it is to be started anew afterwards.
fn stop_signal(
    handle: server::Handle,
    registry: Arc<registry::Registry>,
    restart: Arc<Notify>,
) -> std::io::Result<impl Future<Output = bool>> {
    let mut hangup = signal(SignalKind::hangup())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => return false,
                _ = interrupt.recv() => return false,
                () = restart.notified() => return true,
                _ = hangup.recv() => {
                    match handle.reload_certificates() {
                        Ok(()) => tracing::info!("certificates reloaded"),
                        Err(error) => tracing::error!("certificates stay as they are: {error}"),
                    }
                    registry.reopen_audit();
                }
            }
        }
    })
}

/// Unseals by an HSM, and does what has to be done from time to time.
fn look_after(config: &Config, parts: &Parts) -> Result<(), Fatal> {
    if config.hsms.iter().any(|hsm| !hsm.disabled) {
        let ceremony = Arc::clone(&parts.ceremony);
        spawn("auto-unseal", move || auto_unseal(&ceremony))?;
    }
    sweep(parts)?;
    rotate(parts)?;
    rewrap(parts)?;
    count_usage(parts, config.telemetry.usage_period())
}

/// Takes new sockets to the hsm processes as the monitor hands them over.
fn connect_hsms(control: UnixStream, hsms: &[Arc<HsmSeal>], config: &Config) -> Result<(), Fatal> {
    if hsms.is_empty() {
        return Ok(());
    }
    for (at, (hsm, settings)) in hsms.iter().zip(&config.hsms).enumerate() {
        let to_monitor = control.try_clone().doing("sharing the monitor's socket")?;
        watch_hsm(monitor::word(at), Arc::clone(hsm), settings.health, to_monitor)?;
    }
    let seals = hsms.to_vec();
    spawn("hsm-sockets", move || {
        let mut word = [0; 1];
        while let Ok((length, descriptor)) = process::receive_descriptor(&control, &mut word) {
            let attached = match (descriptor, seals.get(usize::from(word[0]))) {
                (Some(descriptor), Some(seal)) => seal.attach(UnixStream::from(descriptor)),
                _ if length == 0 => return,
                _ => Ok(()),
            };
            if let Err(error) = attached {
                tracing::error!("{error:?}");
            }
        }
    })
}

/// Has an hsm process that does not answer started again, and asks the others from time to time. `word` names it to the monitor.
fn watch_hsm(word: u8, hsm: Arc<HsmSeal>, health: HealthCheck, to_monitor: UnixStream) -> Result<(), Fatal> {
    let watched = Arc::clone(&hsm);
    spawn("hsm-watch", move || {
        loop {
            thread::sleep(HSM_WATCH);
            if watched.state().stalled {
                watched.detach("the hsm process did not answer and is being restarted");
                let _ = std::io::Write::write_all(&mut &to_monitor, &[word]);
            }
        }
    })?;
    spawn("hsm-heartbeat", move || {
        let mut heartbeat = Heartbeat::new(health);
        loop {
            thread::sleep(HSM_WATCH);
            heartbeat.tick(&hsm);
        }
    })
}

/// Asks the HSM until it has unsealed the server. Says each reason once.
fn auto_unseal(ceremony: &ceremony::Ceremony<Arc<storage::Storage>>) {
    let mut pause = Duration::from_millis(100);
    let mut said = String::new();
    loop {
        let message = match ceremony.unseal_by_hsm() {
            Ok(()) => {
                tracing::info!("unsealed by the HSM");
                if let Err(error) = ceremony.align_seals() {
                    tracing::error!("bringing the root key under the configured HSMs: {error:?}");
                }
                return;
            }
            Err(Trouble::Uninitialized | Trouble::Moving) => return,
            Err(Trouble::Transient(error)) => format!("cannot unseal yet, trying again: {error}"),
            Err(Trouble::Operator(_)) => format!("cannot unseal: {}", ceremony.status().trouble.unwrap_or_default()),
        };
        if message != said {
            tracing::error!("{message}");
            said = message;
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_secs(5));
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), Fatal> {
    thread::Builder::new().name(name.to_owned()).spawn(work).map(drop).doing("starting a thread")
}

/// Ends what has expired, removes what is marked for removal and lockouts that are over, and does the engines' chores, from time
/// to time.
fn sweep(parts: &Parts) -> Result<(), Fatal> {
    let (registry, store, clock) = (Arc::clone(&parts.registry), Arc::clone(&parts.store), Arc::clone(&parts.clock));
    let catalog = Arc::clone(&parts.pipeline.catalog);
    let (pipeline, mut chores) = (Arc::clone(&parts.pipeline), Chores::default());
    let (every, at_most) = SWEEP;
    spawn("sweep", move || {
        let mut doubted = false;
        loop {
            let doubt = clock_is_doubted(&*clock);
            if doubt && !doubted {
                tracing::warn!("the system's clock has jumped; it is believed once it has stood by that for a while");
            }
            doubted = doubt;
            let now = clock.now();
            let swept = registry.sweep(&*store, &catalog, now, at_most);
            let more = matches!(swept, Ok(swept) if swept >= at_most);
            let swept = swept
                .and_then(|_| registry.finish_removals(&*store))
                .and_then(|_| registry.sweep_lockouts(&*store, now))
                .and_then(|()| pipeline.do_chores(&mut chores));
            if !more {
                thread::sleep(every);
            }
            if let Err(error) = swept
                && !matches!(error, framework::Error::Sealed)
            {
                tracing::error!("removing what has expired: {error:?}");
            }
        }
    })
}

/// Whether lifetimes go by another time than the system's clock shows.
fn clock_is_doubted(steady: &dyn Clock) -> bool {
    SystemClock.now().secs().abs_diff(steady.now().secs()) > 2
}

/// Makes a new data key when the policy of `sys/rotate/config` says so, and lets HSMs in and out as the configuration does.
fn rotate(parts: &Parts) -> Result<(), Fatal> {
    let ceremony = Arc::clone(&parts.ceremony);
    spawn("rotation", move || {
        loop {
            thread::sleep(ROTATION);
            match ceremony.rotate_when_due() {
                Ok(_) | Err(framework::Error::Sealed) => {}
                Err(error) => tracing::error!("rotating the data key: {error:?}"),
            }
            match ceremony.align_seals() {
                Ok(_) | Err(framework::Error::Sealed) => {}
                Err(error) => tracing::error!("bringing the root key under the configured HSMs: {error:?}"),
            }
        }
    })
}

/// Does the full rewrap that `sys/sealwrap/rewrap` asked for, also one that a server before this one was asked for.
fn rewrap(parts: &Parts) -> Result<(), Fatal> {
    let wrappings = Arc::clone(&parts.wrappings);
    spawn("rewrap", move || {
        let mut said = String::new();
        loop {
            let pause = match wrappings.rewrap_portion() {
                Ok(pause) => {
                    said.clear();
                    pause.unwrap_or(REWRAP)
                }
                Err(framework::Error::Sealed) => REWRAP,
                Err(error) => {
                    let message = format!("the rewrap cannot go on yet: {error:?}");
                    if message != said {
                        tracing::warn!("{message}");
                        said = message;
                    }
                    REWRAP_AGAIN
                }
            };
            thread::sleep(pause);
        }
    })
}

/// Counts tokens and leases from time to time, soon after an unseal for the first time.
fn count_usage(parts: &Parts, period: Option<Duration>) -> Result<(), Fatal> {
    let Some(period) = period else { return Ok(()) };
    let figures = Arc::clone(&parts.figures);
    spawn("usage", move || {
        loop {
            let pause = match figures.count_usage() {
                Ok(()) => period,
                Err(framework::Error::Sealed) => USAGE_AGAIN.min(period),
                Err(error) => {
                    tracing::warn!("counting tokens and leases: {error:?}");
                    period
                }
            };
            thread::sleep(pause);
        }
    })
}
