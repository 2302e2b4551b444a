//! Locking a process into its role: limits, capabilities, Landlock, seccomp.
//!
//! Three phases, because the kernel's locks have different scopes. [`Lockdown::early`] and [`Lockdown::seal_files`]
//! bind the calling thread and the threads and children it makes later, so they come before any other thread exists.
//! [`Lockdown::seal_syscalls`] binds all threads at once and comes last, when listeners are bound, modules loaded and
//! guarded memory made.

mod files;
mod process;
mod syscalls;

use std::fmt;
use std::path::PathBuf;

pub use syscalls::{Called, Listed};

use crate::report::{Item, Report, State};

/// What to do about a lock that cannot be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Fail.
    Enforce,
    /// Go on and say so.
    Report,
}

/// The three kinds of process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Starts and watches the other two. Its children inherit its locks, which therefore cover what they need.
    Monitor,
    /// Serves clients; holds the keyring.
    Server,
    /// Holds the PKCS#11 library and its sessions.
    Hsm,
}

/// The files a process may touch from now on, beside what every process needs (`/dev/null`, its own `/proc` entries,
/// the processors under `/sys`; monitor and hsm also the system's libraries, the monitor also the dynamic loader, to
/// execute). A folder stands for all below it. Paths that do not exist are left out and reported.
#[derive(Debug, Clone, Default)]
pub struct Files {
    /// Read and list.
    pub read_only: Vec<PathBuf>,
    /// Read, write, make, rename, remove.
    pub read_write: Vec<PathBuf>,
    /// Read and execute: for the monitor, its own program. Loading a library needs no more than reading.
    pub execute: Vec<PathBuf>,
}

/// What a process is to be locked into. Field by field, then [`Lockdown::apply`] or its phases.
#[derive(Debug, Clone)]
pub struct Lockdown {
    /// What to do about a lock that cannot be set.
    pub mode: Mode,
    /// Decides the system calls.
    pub role: Role,
    /// Landlock's paths.
    pub files: Files,
    /// TCP ports that may be bound (Landlock ABI 4 and later); `None` leaves binding to any port open.
    pub tcp_bind: Option<Vec<u16>>,
    /// TCP ports that may be connected to (Landlock ABI 4 and later); `None` leaves all open.
    pub tcp_connect: Option<Vec<u16>>,
    /// Server: may connect to others, ask name servers by UDP and read the resolver's files. Always so for an hsm with a
    /// network. The monitor's must say the same.
    pub resolves_names: bool,
    /// Hsm: the vendor's library speaks TCP to the module (AWS CloudHSM) instead of using a device or files.
    pub hsm_network: bool,
    /// Hsm: the vendor's library writes machine code at run time: no memory-deny-write-execute.
    pub writable_code: bool,
}

/// A lock that could not be set in [`Mode::Enforce`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockdownError {
    /// Which, and why.
    pub item: Item,
}

impl fmt::Display for LockdownError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Item { name, detail, .. } = &self.item;
        write!(
            f,
            "hardening: {name} cannot be set: {detail}. To run without it, write `hardening {{ mode = \"report\" }}`"
        )
    }
}

impl std::error::Error for LockdownError {}

impl Lockdown {
    /// The strictest lock-down of a role: no files, no limit on ports, no options.
    pub fn new(mode: Mode, role: Role) -> Lockdown {
        Lockdown {
            mode,
            role,
            files: Files::default(),
            tcp_bind: None,
            tcp_connect: None,
            resolves_names: false,
            hsm_network: false,
            writable_code: false,
        }
    }

    /// No core dumps, not dumpable, no_new_privs, no writable code, no capabilities. Before any thread is started.
    ///
    /// # Errors
    /// In [`Mode::Enforce`], the first lock that could be had and cannot be set.
    pub fn early(&self) -> Result<Report, LockdownError> {
        self.judge(process::lock(self))
    }

    /// Landlock, as far as the kernel's ABI goes. Before any thread is started, and after [`Lockdown::early`].
    ///
    /// # Errors
    /// As [`Lockdown::early`].
    pub fn seal_files(&self) -> Result<Report, LockdownError> {
        self.judge(files::lock(self))
    }

    /// Seccomp, on all threads: from now on a system call that is not on the role's list kills the process. Makes
    /// guarded memory with the default policy if it has not been made.
    ///
    /// # Errors
    /// As [`Lockdown::early`].
    pub fn seal_syscalls(&self) -> Result<Report, LockdownError> {
        let mut report = Report::default();
        if self.role != Role::Monitor {
            // Made now if not made yet: its system calls are about to leave the list.
            crate::arena::usage();
        }
        match syscalls::install(self) {
            Ok(detail) => report.add("seccomp", State::Set, detail),
            Err(why) => report.add("seccomp", State::NotSet, why),
        }
        self.judge(report)
    }

    /// All three phases, for a process that has one thread and needs nothing in between.
    ///
    /// # Errors
    /// As [`Lockdown::early`].
    pub fn apply(&self) -> Result<Report, LockdownError> {
        let mut report = self.early()?;
        report.append(self.seal_files()?);
        report.append(self.seal_syscalls()?);
        Ok(report)
    }

    /// The rules of this lock-down's system calls, with the reason for each, in the order of its tables.
    pub fn system_calls(&self) -> Vec<Listed> {
        syscalls::listed(self)
    }

    fn judge(&self, report: Report) -> Result<Report, LockdownError> {
        let missing = report.items.iter().find(|item| item.state == State::NotSet);
        match (self.mode, missing) {
            (Mode::Enforce, Some(item)) => Err(LockdownError { item: item.clone() }),
            _ => Ok(report),
        }
    }
}
