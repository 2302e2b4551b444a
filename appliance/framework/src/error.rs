//! One error for the whole corridor, sorted by who must act; the server alone maps it to an HTTP status.

use std::fmt;

/// Why a request, or a step of one, did not succeed.
///
/// What a variant carries may be shown to the client, with one exception: the cause inside [`Incident`], which goes to the
/// server's log only.
#[derive(Debug)]
pub enum Error {
    /// The client must change the request. `field` names what was wrong, where one field was. (400)
    Invalid {
        /// The field at fault.
        field: Option<&'static str>,
        /// What is wrong and what would be right.
        message: String,
    },
    /// The token is missing, unknown, or its policies do not allow this. All three look alike from outside. (403)
    Denied,
    /// As [`Error::Denied`], where Vault says more. (403)
    Refused {
        /// What the client is told.
        message: String,
    },
    /// The credentials of a login are wrong, in a way that counts towards a lockout. (400)
    BadCredentials {
        /// What the client is told, whatever was wrong.
        message: &'static str,
        /// Whether there is such a user at all.
        known: bool,
    },
    /// Nothing is there. (404)
    NotFound,
    /// No engine has such a path. (404 with a message)
    NoRoute {
        /// What is not there, in Vault's words.
        message: String,
    },
    /// The path exists, the operation on it does not. (405)
    Unsupported,
    /// Somebody else changed what this transaction had read; running it again may succeed. Never leaves the pipeline.
    Conflict,
    /// The server is not initialised yet. (501 in health, 503 elsewhere)
    Uninitialized,
    /// The barrier is sealed; an operator must unseal it. (503)
    Sealed,
    /// Another node leads; the client may ask there. (472, 473 or a redirect)
    Standby {
        /// API address of the leader.
        leader: String,
    },
    /// The HSM did not do its part; what needs no HSM still works. (503 with a reason)
    HsmUnavailable {
        /// Which call failed and how, with the `CKR_` name where there is one.
        reason: String,
    },
    /// Too much is waiting already; the client may try again later. (503)
    Busy {
        /// What is full.
        reason: &'static str,
    },
    /// The body or a value is larger than the limit. (413)
    TooLarge {
        /// The limit that was exceeded, in bytes.
        limit: usize,
    },
    /// The server's own fault, or its disk's; the operator finds the cause in the log under the incident's id. (500)
    Internal(Incident),
}

/// A fault whose cause stays inside.
#[derive(Debug)]
pub struct Incident {
    /// What the log says. Never sent to a client; never holds a secret.
    pub cause: String,
}

impl Error {
    /// A 400 about one named field.
    pub fn field(field: &'static str, message: impl Into<String>) -> Self {
        Self::Invalid { field: Some(field), message: message.into() }
    }

    /// A 400 about the request as a whole.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::Invalid { field: None, message: message.into() }
    }

    /// A fault of our own; `cause` is for the log.
    pub fn internal(cause: impl fmt::Display) -> Self {
        Self::Internal(Incident { cause: cause.to_string() })
    }
}

impl fmt::Display for Error {
    /// What a client may read; for [`Error::Internal`] without the cause.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid { message, .. } | Self::NoRoute { message } | Self::Refused { message } => {
                f.write_str(message)
            }
            Self::BadCredentials { message, .. } => f.write_str(message),
            Self::Denied => f.write_str("permission denied"),
            Self::NotFound => f.write_str("not found"),
            Self::Unsupported => f.write_str("unsupported operation"),
            Self::Conflict => f.write_str("the data changed while the request ran"),
            Self::Uninitialized => f.write_str("Vault is not initialized"),
            Self::Sealed => f.write_str("Vault is sealed"),
            Self::Standby { leader } => write!(f, "this node is a standby; the leader is {leader}"),
            Self::HsmUnavailable { reason } => write!(f, "hsm unavailable: {reason}"),
            Self::Busy { reason } => write!(f, "server is busy: {reason}"),
            Self::TooLarge { limit } => write!(f, "request body too large: the limit is {limit} bytes"),
            Self::Internal(_) => f.write_str("internal error"),
        }
    }
}

impl std::error::Error for Error {}

impl From<hardening::ArenaFull> for Error {
    fn from(full: hardening::ArenaFull) -> Self {
        Self::internal(full)
    }
}
