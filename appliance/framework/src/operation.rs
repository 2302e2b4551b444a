//! What a request wants done to a path.

use std::fmt;

/// The operation of a request, as policies and the audit log name it.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Operation {
    /// Write to a path at which nothing is yet.
    Create,
    /// GET.
    Read,
    /// POST or PUT: the operation under which routes are declared; becomes [`Operation::Create`] where nothing exists yet.
    Update,
    /// PATCH with a JSON merge patch (RFC 7396).
    Patch,
    /// DELETE.
    Delete,
    /// LIST, or GET with `?list=true`.
    List,
}

impl Operation {
    /// The name used in policies and in the audit log.
    pub fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Read => "read",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::List => "list",
        }
    }

    /// Whether the body, rather than the query string, carries the fields.
    pub fn has_body(self) -> bool {
        matches!(self, Self::Create | Self::Update | Self::Patch)
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
