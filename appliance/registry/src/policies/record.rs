//! The record of a policy, and the policies that need none.

use framework::acl::{Policy, Values};
use framework::{Error, Timestamp};
use serde::{Deserialize, Serialize};

use super::StoredPolicy;
use crate::names;

/// The policy of wrapping tokens.
pub(crate) const WRAPPING: &str = "response-wrapping";
/// What it says. In no record, so that it is there in every store and nobody can change it.
const WRAPPING_TEXT: &str = include_str!("response-wrapping.hcl");
/// Policies of the server's own: nobody may write them, and no token gets them by its name.
const INTERNAL: [&str; 2] = [WRAPPING, "control-group"];

#[derive(Default, Deserialize, Serialize)]
#[serde(default)]
pub(super) struct Record {
    pub(super) text: String,
    pub(super) version: u64,
    pub(super) modified: i64,
    pub(super) cas_required: bool,
    pub(super) expires: Option<i64>,
    pub(super) slashes: bool,
    pub(super) wildcards: bool,
}

impl Record {
    /// Ready to be compiled.
    pub(super) fn policy(&self, name: &str) -> Result<Policy, Error> {
        let expires = self.expires.map(Timestamp::from_nanos);
        Ok(Policy::parse(name, &self.text)?.until(expires).filled_with(self.values()))
    }

    pub(super) fn in_force(&self, now: Timestamp) -> bool {
        self.expires.is_none_or(|end| now < Timestamp::from_nanos(end))
    }

    pub(super) fn stored(self, name: String) -> StoredPolicy {
        StoredPolicy {
            name,
            values: self.values(),
            text: self.text,
            version: self.version,
            modified: Some(Timestamp::from_nanos(self.modified)),
            cas_required: self.cas_required,
            expires: self.expires.map(Timestamp::from_nanos),
        }
    }

    fn values(&self) -> Values {
        Values { slashes: self.slashes, wildcards: self.wildcards }
    }
}

/// A policy that is there without a record.
pub(super) fn builtin(name: &str) -> Option<Result<Policy, Error>> {
    match name {
        "root" => Some(Ok(Policy::root())),
        WRAPPING => Some(Policy::parse(WRAPPING, WRAPPING_TEXT)),
        _ => None,
    }
}

/// Whether nobody may write or delete a policy of this name.
pub(super) fn unwritable(name: &str) -> bool {
    name == "root" || INTERNAL.contains(&name)
}

/// Whether a token may not be given this policy.
pub(crate) fn unassignable(name: &str) -> bool {
    INTERNAL.contains(&name)
}

/// The name of a policy's record.
pub(super) fn key(name: &str) -> String {
    format!("{}{}", names::POLICIES, names::segment(name))
}
