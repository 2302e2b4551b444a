//! The three kinds of process. See ARCHITECTURE.md, "Processes".

pub(crate) mod files;
pub(crate) mod hsm;
mod hsm_process;
pub(crate) mod monitor;
mod pin;
pub(crate) mod server;

use std::fmt;

use crate::config::ConfigError;

/// Why a process cannot go on. Said once, on standard error, by `main`.
#[derive(Debug)]
pub(crate) enum Fatal {
    /// The configuration must be changed.
    Config(ConfigError),
    /// A lock of the process cannot be set.
    Lockdown(hardening::lockdown::LockdownError),
    /// What was being done, and what the system said.
    System(&'static str, std::io::Error),
    /// A part could not start.
    Part(String),
}

impl fmt::Display for Fatal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::Lockdown(error) => error.fmt(f),
            Self::System(what, error) => write!(f, "{what}: {error}"),
            Self::Part(what) => f.write_str(what),
        }
    }
}

impl From<ConfigError> for Fatal {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

impl From<hardening::lockdown::LockdownError> for Fatal {
    fn from(error: hardening::lockdown::LockdownError) -> Self {
        Self::Lockdown(error)
    }
}

/// Says what was being done when the system refused.
pub(crate) trait Doing<T> {
    fn doing(self, what: &'static str) -> Result<T, Fatal>;
}

impl<T> Doing<T> for std::io::Result<T> {
    fn doing(self, what: &'static str) -> Result<T, Fatal> {
        self.map_err(|error| Fatal::System(what, error))
    }
}
