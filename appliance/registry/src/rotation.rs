//! When the data key is made anew by itself.

use framework::{Error, View};
use serde::{Deserialize, Serialize};

use crate::names;

/// When the data key is made anew by itself.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct RotationPolicy {
    /// After this many encryptions.
    pub max_operations: u64,
    /// After this many seconds; 0 for never.
    pub interval: u64,
    /// Whether it is done at all.
    pub enabled: bool,
}

impl RotationPolicy {
    /// Most encryptions that can be asked for, and the default: nine tenths of the 2^32 that NIST SP 800-38D, 8.3, allows
    /// AES-GCM with random nonces. AES-GCM-SIV bears more (RFC 8452, 9); operators know this number from Vault.
    pub const MOST_OPERATIONS: u64 = 3_865_470_566;
    /// Fewest encryptions that can be asked for.
    pub const FEWEST_OPERATIONS: u64 = 1_000_000;
    /// Shortest interval that can be asked for, in seconds.
    pub const SHORTEST_INTERVAL: u64 = 24 * 3600;

    /// The policy in force. `view` is rooted at the whole store.
    pub fn read(view: &View<'_>) -> Result<Self, Error> {
        Ok(names::read(view, names::ROTATION)?.unwrap_or_default())
    }

    /// Stages this one.
    pub fn write(&self, view: &View<'_>) -> Result<(), Error> {
        names::write(view, names::ROTATION, self)
    }
}

impl Default for RotationPolicy {
    fn default() -> Self {
        Self { max_operations: Self::MOST_OPERATIONS, interval: 0, enabled: true }
    }
}
