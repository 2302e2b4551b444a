//! What is asked of the mount table.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::MountConfig;

/// How many moves are remembered for `sys/remount/status`.
const MOVES_KEPT: usize = 100;

/// A mount to be made.
#[derive(Clone, Debug, Default)]
pub struct MountSpec {
    /// Where, relative to its class: for auth methods without `auth/`. Slashes at the ends do not matter.
    pub path: String,
    /// The kind. `kv-v2` and `kv-v1` become `kv` with the option `version`. That an engine of this kind exists is for the
    /// caller to check.
    pub kind: String,
    /// Free text.
    pub description: String,
    /// Options of the engine; `None` is shown as null.
    pub options: Option<BTreeMap<String, String>>,
    /// What can be tuned.
    pub config: MountConfig,
    /// Not replicated to other clusters.
    pub local: bool,
    /// Critical records are wrapped by the seal as well.
    pub seal_wrap: bool,
    /// Refused: there is no such source of entropy.
    pub external_entropy_access: bool,
}

/// What is to be tuned; `None` leaves a setting as it is, an empty text or list clears it.
#[derive(Clone, Debug, Default)]
pub struct Tune {
    /// See [`MountConfig::default_lease_ttl`]; zero for the system's default.
    pub default_lease_ttl: Option<Duration>,
    /// See [`MountConfig::max_lease_ttl`]; zero for the system's default.
    pub max_lease_ttl: Option<Duration>,
    /// Free text.
    pub description: Option<String>,
    /// Options to set; one with an empty value is removed.
    pub options: Option<BTreeMap<String, String>>,
    /// See [`MountConfig`].
    pub listing_visibility: Option<String>,
    /// See [`MountConfig`].
    pub audit_non_hmac_request_keys: Option<Vec<String>>,
    /// See [`MountConfig`].
    pub audit_non_hmac_response_keys: Option<Vec<String>>,
    /// See [`MountConfig`].
    pub passthrough_request_headers: Option<Vec<String>>,
    /// See [`MountConfig`].
    pub allowed_response_headers: Option<Vec<String>>,
    /// See [`MountConfig`].
    pub token_type: Option<String>,
    /// Whether critical records are wrapped by the seal as well. Those that lie there get their due form when they are written
    /// next, or by a rewrap.
    pub seal_wrap: Option<bool>,
    /// See [`MountConfig`]; only what is given changes.
    pub user_lockout: LockoutChange,
}

/// What is to be tuned of lockouts.
#[derive(Clone, Copy, Debug, Default)]
pub struct LockoutChange {
    /// See [`crate::LockoutRules::threshold`].
    pub threshold: Option<u32>,
    /// See [`crate::LockoutRules::duration`].
    pub duration: Option<Duration>,
    /// See [`crate::LockoutRules::counter_reset`].
    pub counter_reset: Option<Duration>,
    /// See [`crate::LockoutRules::disabled`].
    pub disabled: Option<bool>,
}

/// A move of a mount. It happens with the commit of its transaction, so the status of one that is known is `success`.
#[derive(Clone, Debug)]
pub struct Migration {
    /// Names the move.
    pub id: String,
    /// From where, with a final `/`.
    pub source: String,
    /// To where, with a final `/`.
    pub target: String,
}

/// The last moves, for `sys/remount/status`; forgotten at a seal, as in Vault.
#[derive(Default)]
pub(crate) struct Migrations(Mutex<VecDeque<Migration>>);

impl Migrations {
    pub(crate) fn remember(&self, migration: Migration) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.truncate(MOVES_KEPT - 1);
        kept.push_front(migration);
    }

    pub(crate) fn find(&self, id: &str) -> Option<Migration> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().find(|kept| kept.id == id).cloned()
    }
}
