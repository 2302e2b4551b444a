//! Starting a role and being one.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::AddressFamily;
use rustix::net::sockopt::{socket_domain, socket_peercred};
use rustix::process::{Pid, PidfdFlags, Signal, getppid, pidfd_open, pidfd_send_signal};

use super::wait::wait_readable;

/// A child process, held by a descriptor: signals cannot reach another process that got its number. It is readable, for
/// [`wait_readable`], once the child has ended. Dropping it does not end the child.
#[derive(Debug)]
pub struct Process {
    child: Child,
    handle: OwnedFd,
}

/// Starts `program` with `socket` as its standard input, no other inherited descriptor but standard output and error,
/// and `environment` as its whole environment. `configure` may change the rest.
///
/// Call it from the main thread: a child that asked to die with its parent dies with the *thread* that started it.
///
/// # Errors
/// The kernel's, from spawning.
pub fn spawn_role<A: AsRef<OsStr>, K: AsRef<OsStr>, V: AsRef<OsStr>>(
    program: &Path,
    arguments: impl IntoIterator<Item = A>,
    environment: impl IntoIterator<Item = (K, V)>,
    socket: OwnedFd,
    configure: impl FnOnce(&mut Command),
) -> io::Result<Process> {
    let mut command = Command::new(program);
    command.args(arguments).env_clear().envs(environment).stdin(Stdio::from(socket));
    configure(&mut command);
    let mut child = command.spawn()?;
    match pidfd_open(Pid::from_child(&child), PidfdFlags::empty()) {
        Ok(handle) => Ok(Process { child, handle }),
        Err(error) => {
            child.kill()?;
            child.wait()?;
            Err(error.into())
        }
    }
}

impl Process {
    /// Its number, for logs.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to end (SIGTERM). Nothing happens if it has ended.
    ///
    /// # Errors
    /// The kernel's.
    pub fn terminate(&self) -> io::Result<()> {
        self.signal(Signal::TERM)
    }

    /// Passes on a request to reload (SIGHUP). Nothing happens if it has ended.
    ///
    /// # Errors
    /// The kernel's.
    pub fn hangup(&self) -> io::Result<()> {
        self.signal(Signal::HUP)
    }

    /// Ends it (SIGKILL). Nothing happens if it has ended.
    ///
    /// # Errors
    /// The kernel's.
    pub fn kill(&self) -> io::Result<()> {
        self.signal(Signal::KILL)
    }

    fn signal(&self, signal: Signal) -> io::Result<()> {
        match pidfd_send_signal(&self.handle, signal) {
            Ok(()) | Err(Errno::SRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// How it ended; `None` if it has not within `timeout` (`Some(ZERO)` only looks, `None` waits for ever).
    ///
    /// # Errors
    /// The kernel's.
    pub fn wait(&mut self, timeout: Option<Duration>) -> io::Result<Option<ExitStatus>> {
        wait_readable(&[self.handle.as_fd()], timeout)?;
        self.child.try_wait()
    }
}

impl AsFd for Process {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.handle.as_fd()
    }
}

/// How a process ended, for a log line: SIGSYS is named for what it means here.
pub fn describe_exit(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(libc::SIGSYS)) => {
            "killed by seccomp: it made a system call that is not on its role's list (the kernel's log has the number)"
                .to_owned()
        }
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => status.to_string(),
    }
}

/// The child's end of the monitor's socket, which came as standard input; standard input is `/dev/null` from then on.
///
/// # Errors
/// `InvalidInput` if standard input is no local socket: the role was not started by a monitor. Else the kernel's.
pub fn control_socket() -> io::Result<UnixStream> {
    let stdin = io::stdin();
    if socket_domain(&stdin) != Ok(AddressFamily::UNIX) {
        let message = "standard input is not the monitor's socket: this role is started by `holdfast server`";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    let socket = rustix::io::fcntl_dupfd_cloexec(&stdin, 3)?;
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    Ok(UnixStream::from(socket))
}

/// Has the kernel kill this process when its parent ends, and makes sure that the parent has not ended before that:
/// `control` was made by the parent, and knows by whom.
///
/// # Errors
/// `NotConnected` if the parent is no longer there. Else the kernel's.
pub fn die_with_parent(control: &UnixStream) -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    let maker = socket_peercred(control)?.pid;
    if getppid() == Some(maker) {
        Ok(())
    } else {
        Err(io::Error::new(io::ErrorKind::NotConnected, "the monitor that started this process has gone"))
    }
}
