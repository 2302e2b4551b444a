//! Floor 3: the server's own engines: `sys/`, `auth/token/`, `cubbyhole/`. Ordinary engine values whose handlers have the
//! registry, the seal and the keyring to work with.
#![forbid(unsafe_code)]

mod audit;
mod capabilities;
mod cors;
mod cubbyhole;
mod generate_root;
mod internal;
mod keys;
mod leases;
mod locked_users;
mod metrics;
mod mounts;
mod openapi;
mod password_policies;
mod policies;
mod raw;
mod recovery;
mod rekey;
mod seal;
mod seal_backend;
mod seal_wrap;
mod share_backup;
mod shares;
mod snapshot;
mod token;
mod token_roles;
mod tools;
mod wrapping;

pub use metrics::Telemetry;

use std::sync::{Arc, Weak};

use framework::{
    Catalog, Engine, GenerateToken, KeyRotation, RawRecords, Rekey, SealControl, SealHealth, SealWrapping, Secret,
    ShareBackup, Store, VerifyRekey,
};
use registry::Registry;

pub use recovery::{Recovery, recovery_engine};
pub use snapshot::Snapshots;

/// What the handlers work with.
pub struct Core {
    /// Mounts, policies, tokens, audit devices.
    pub registry: Arc<Registry>,
    /// Init, unseal, seal.
    pub control: Arc<dyn SealControl>,
    /// How what wraps fares.
    pub seal_health: Arc<dyn SealHealth>,
    /// What it wraps of the store.
    pub seal_wrapping: Arc<dyn SealWrapping>,
    /// What a quorum can have done.
    pub ceremonies: Ceremonies,
    /// Which of it needs no token.
    pub unauthenticated: Unauthenticated,
    /// The whole store, out and in.
    pub snapshots: Arc<dyn Snapshots>,
    /// The barrier, for what compiled policies are made of.
    pub store: Arc<dyn Store<Secret>>,
    /// All engines; these among them, which is why it is weak.
    pub catalog: Weak<Catalog>,
    /// Its figures.
    pub telemetry: Telemetry,
    /// The records behind the barrier, for `sys/raw`; none where that is not served.
    pub records: Option<Arc<dyn RawRecords>>,
    /// What the server says of itself.
    pub versions: Versions,
}

/// What the server says of itself.
#[derive(Clone, Debug)]
pub struct Versions {
    /// The version that clients see and gate features by: the Vault whose behaviour this server has. Strict semver.
    pub reported: Arc<str>,
    /// The real version of the product.
    pub product: &'static str,
}

/// What [`Versions::reported`] is unless the configuration says otherwise.
pub const REPORTED_VERSION: &str = "1.15.0";

/// What a quorum of share holders can have done, and the keys of the barrier.
#[derive(Clone)]
pub struct Ceremonies {
    /// A root token.
    pub root: Arc<dyn GenerateToken>,
    /// New shares.
    pub rekey: Arc<dyn Rekey>,
    /// Showing that new shares arrived.
    pub verify: Arc<dyn VerifyRekey>,
    /// Encrypted shares that were kept.
    pub backup: Arc<dyn ShareBackup>,
    /// New keys of the barrier.
    pub keys: Arc<dyn KeyRotation>,
}

/// Which ceremonies can be started and given up by anybody who reaches the server, as older versions of Vault have it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unauthenticated {
    /// `sys/generate-root`.
    pub generate_root: bool,
    /// `sys/rekey` and `sys/rekey-recovery-key`.
    pub rekey: bool,
}

/// The engines of kind `system`, `token` and `cubbyhole`.
pub fn engines(core: &Core) -> Vec<Engine> {
    let routes = [
        seal::routes(core),
        seal_backend::routes(core),
        seal_wrap::routes(core),
        mounts::routes(core),
        locked_users::routes(core),
        policies::routes(core),
        password_policies::routes(core),
        audit::routes(core),
        capabilities::routes(core),
        cors::routes(core),
        keys::routes(core),
        generate_root::routes(core),
        rekey::routes(core),
        share_backup::routes(core),
        leases::routes(core),
        metrics::routes(core),
        snapshot::routes(core),
        internal::routes(core),
        openapi::routes(core),
        tools::routes(),
        wrapping::routes(core),
        core.records.as_ref().map(raw::routes).unwrap_or_default(),
    ];
    let system = Engine {
        kind: "system",
        about: "The system backend is built-in and cannot be remounted or unmounted. It contains the paths that are used to \
                configure the server itself as well as perform core operations.",
        routes: routes.into_iter().flatten().collect(),
        seal_wrapped: framework::CRITICAL,
        ..Engine::default()
    };
    vec![system, token::engine(core), cubbyhole::engine()]
}

framework::fields! {
    /// A request without fields.
    pub(crate) struct Nothing {}
}
