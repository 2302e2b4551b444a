//! Floor 2: what the server remembers: mounts, policies, tokens, leases, audit devices.
//!
//! Everything is a record in the store, changed through the [`View`](framework::View) of a request's transaction that is
//! rooted at the whole store. What is kept in memory is a cache of those records: it is changed by [`Registry::committed`]
//! alone, which is told the names of committed records, whoever committed them. No cache holds a token or a secret value:
//! tokens are known by an HMAC under a key that lives in guarded memory while the barrier is open.
//!
//! The folders: `mounts` (table, routing, removal of data), `policies`, `tokens`, `leases`, `wrapping`, `audit` (devices and
//! their lines); `lockouts` counts failed logins, which is not a cache and begins anew with every start.
#![forbid(unsafe_code)]

mod audit;
mod cors;
mod critical;
mod figures;
mod latest;
mod leases;
mod lockouts;
mod mounts;
mod names;
mod policies;
mod random;
mod registry;
mod rewrap;
mod rotation;
mod tokens;
mod wrapping;

pub use audit::{AuditDevice, AuditSpec, DeclaredDevice};
pub use figures::Usage;
pub use leases::{IrrevocableLease, Tidy};
pub use lockouts::{LockoutRules, LockoutTuning, LoginAttempt};
pub use mounts::{
    DefaultMount, LockoutChange, Migration, Mount, MountClass, MountConfig, MountEntry, MountSpec, Requests, Tune,
    default_mounts,
};
pub use policies::{PolicySpec, StoredPolicy};
pub use random::base62;
pub use registry::{Changed, Registry, Settings};
pub use rewrap::{Portion, Rewrap};
pub use rotation::RotationPolicy;
pub use tokens::{AskMethod, Identified, Issued, TokenRef, TokenRole, TokenSpec};
pub use wrapping::{WrappingToken, wraps};
