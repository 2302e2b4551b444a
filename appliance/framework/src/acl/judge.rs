//! What is asked of an ACL, and what it answers.

use std::fmt;
use std::time::Duration;

use super::capability::Capabilities;
use crate::{Json, Map, Operation};

/// What a request wants.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The path without `v1/`, mount included. For a list operation with a slash at the end.
    pub path: &'a str,
    /// The operation: create where nothing is there yet, otherwise update.
    pub operation: Operation,
    /// The fields of the body or of the query string.
    pub parameters: Option<&'a Map<String, Json>>,
    /// For how long the client asks to have the answer wrapped.
    pub wrap_ttl: Option<Duration>,
    /// Whether the route needs `sudo`.
    pub needs_sudo: bool,
}

/// The answer.
#[derive(Clone, Debug)]
pub struct Judgement<'a> {
    /// Whether the request may go on.
    pub allowed: bool,
    /// Whether it may because of the policy `root`.
    pub is_root: bool,
    /// Why it may not. For the server's log only: a client is told nothing but that it is denied.
    pub refusal: Option<Refusal<'a>>,
    pub(super) granting: Granting<'a>,
}

impl<'a> Judgement<'a> {
    /// The policies that grant the operation, for the audit log.
    pub fn granting_policies(&self) -> impl Iterator<Item = &'a str> {
        let Granting { policies, by, needed } = self.granting;
        let root = Some("root").filter(|_| self.is_root);
        let granting = by.iter().filter(move |(_, capabilities)| capabilities.contains(needed));
        let names = granting.filter_map(|(number, _)| policies.get(usize::try_from(*number).ok()?));
        root.into_iter().chain(names.map(|name| &**name))
    }
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Granting<'a> {
    pub(super) policies: &'a [Box<str>],
    pub(super) by: &'a [(u32, Capabilities)],
    pub(super) needed: Capabilities,
}

/// Why a request is refused. Prints a sentence that names the path and the capability, and no value.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Refusal<'a> {
    /// The path that was asked for.
    pub path: &'a str,
    /// What was asked for, whose name is that of the capability it needs.
    pub operation: Operation,
    /// What is missing.
    pub cause: Cause<'a>,
}

/// What is missing, or in the way.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Cause<'a> {
    /// No policy says anything about the path.
    NoRule,
    /// The rule that counts does not have the capability.
    Capability,
    /// The rule that counts says `deny`.
    Denied,
    /// The rule that counts does not have `sudo`, and the path needs it.
    Sudo,
    /// The answer must be wrapped, for a time the policy names.
    Wrapping,
    /// This parameter must be given.
    RequiredParameter(&'a str),
    /// This parameter, or its value, is not allowed.
    Parameter(&'a str),
}

impl fmt::Display for Refusal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, operation, cause } = self;
        match cause {
            Cause::NoRule => write!(f, "no policy has a rule for {path:?}; it needs \"{operation}\""),
            Cause::Capability => write!(f, "the policies do not grant \"{operation}\" on {path:?}"),
            Cause::Denied => write!(f, "a policy says \"deny\" on {path:?}; \"{operation}\" was asked for"),
            Cause::Sudo => write!(f, "{path:?} needs \"sudo\" beside \"{operation}\""),
            Cause::Wrapping => write!(f, "\"{operation}\" on {path:?} needs a wrapping TTL within the policy's bounds"),
            Cause::RequiredParameter(name) => write!(f, "\"{operation}\" on {path:?} needs the parameter {name:?}"),
            Cause::Parameter(name) => {
                write!(f, "\"{operation}\" on {path:?} is not granted with this parameter or its value: {name:?}")
            }
        }
    }
}
