//! Floor 3: the server's own engines: `sys/`, `auth/token/`, `cubbyhole/`. Ordinary engine values whose handlers have the
//! registry, the seal and the keyring to work with.
#![forbid(unsafe_code)]

mod audit;
mod capabilities;
mod cubbyhole;
mod internal;
mod keys;
mod mounts;
mod openapi;
mod policies;
mod seal;
mod token;
mod token_roles;

use std::sync::{Arc, Weak};

use framework::{Catalog, Engine, Error, SealControl, Secret, Store, Timestamp};
use registry::Registry;

/// What the handlers work with.
pub struct Core {
    /// Mounts, policies, tokens, audit devices.
    pub registry: Arc<Registry>,
    /// The ceremonies.
    pub control: Arc<dyn SealControl>,
    /// The data keys.
    pub keyring: Arc<dyn Keyring>,
    /// The barrier, for what compiled policies are made of.
    pub store: Arc<dyn Store<Secret>>,
    /// All engines; these among them, which is why it is weak.
    pub catalog: Weak<Catalog>,
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

/// The data key in use.
#[derive(Clone, Copy, Debug)]
pub struct KeyStatus {
    /// Its number.
    pub term: u32,
    /// When it was made.
    pub installed: Timestamp,
    /// Values encrypted with it, estimated.
    pub encryptions: u64,
}

/// The keyring, as `sys/key-status` and `sys/rotate` see it.
pub trait Keyring: Send + Sync {
    /// The key in use. [`Error::Sealed`] while sealed.
    fn status(&self) -> Result<KeyStatus, Error>;
    /// Makes a new key for new values.
    fn rotate(&self, now: Timestamp) -> Result<(), Error>;
}

/// The engines of kind `system`, `token` and `cubbyhole`.
pub fn engines(core: &Core) -> Vec<Engine> {
    let routes = [
        seal::routes(core),
        mounts::routes(core),
        policies::routes(core),
        audit::routes(core),
        capabilities::routes(core),
        keys::routes(core),
        internal::routes(core),
        openapi::routes(core),
    ];
    let system = Engine {
        kind: "system",
        about: "The system backend is built-in and cannot be remounted or unmounted. It contains the paths that are used to \
                configure the server itself as well as perform core operations.",
        routes: routes.into_iter().flatten().collect(),
        seal_wrapped: &["core/token-key", "core/recovery-key"],
        ..Engine::default()
    };
    vec![system, token::engine(core), cubbyhole::engine()]
}

framework::fields! {
    /// A request without fields.
    pub(crate) struct Nothing {}

    /// A list of names.
    pub(crate) struct Keys {
        /// The names.
        pub(crate) keys: Vec<String>,
    }
}
