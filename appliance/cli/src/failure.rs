//! What may go wrong in a client command, sorted by who must act.

use std::fmt;

/// The end of a command that did not simply succeed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command line, a local file or this machine is at fault. Exit code 1.
    Local(String),
    /// The server refused, or could not be reached. Exit code 2.
    Server(String),
    /// Everything was already said; only the exit code is left to give.
    Quiet(u8),
    /// Not an error: the request was to be shown instead of being sent. Exit code 0.
    Shown(String),
}

impl Failure {
    pub(crate) fn local(message: impl fmt::Display) -> Self {
        Self::Local(message.to_string())
    }

    pub(crate) fn server(message: impl fmt::Display) -> Self {
        Self::Server(message.to_string())
    }

    /// Puts what was being attempted in front of the message: `Error reading secret/foo: …`.
    pub(crate) fn during(self, attempt: impl fmt::Display) -> Self {
        match self {
            Self::Local(message) => Self::Local(format!("{attempt}: {message}")),
            Self::Server(message) => Self::Server(format!("{attempt}: {message}")),
            other => other,
        }
    }
}
