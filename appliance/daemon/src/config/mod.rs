//! The configuration: HCL or JSON files, read once, every key known or refused.

mod lockout;
mod pin;
mod pkcs11;
mod read;
mod seal;
mod stanzas;
mod telemetry;
mod unauthenticated;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

pub(crate) use pin::{PinSource, VARIABLE as PIN_VARIABLE};
#[cfg(fuzzing)]
pub(crate) use read::parse;
pub(crate) use read::{in_memory, load};
pub(crate) use telemetry::Telemetry;

/// Everything an operator can say.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) storage: Storage,
    pub(crate) listeners: Vec<server::Listener>,
    /// The HSMs that unseal, the preferred one first, then those that are being left. If none unseals, shares do.
    pub(crate) hsms: Vec<Hsm>,
    /// Requests to one seal-wrapped mount that may run at a time.
    pub(crate) hsm_budget: usize,
    /// Nothing is wrapped by the seal but the root key.
    pub(crate) disable_sealwrap: bool,
    /// `sys/raw` is served.
    pub(crate) raw_storage_endpoint: bool,
    pub(crate) audits: Vec<Audit>,
    /// Ceremonies that need no token.
    pub(crate) unauthenticated: system::Unauthenticated,
    /// The version that clients see.
    pub(crate) reported_version: String,
    pub(crate) cluster_name: String,
    pub(crate) log_level: tracing::Level,
    pub(crate) log_json: bool,
    pub(crate) default_lease_ttl: Duration,
    pub(crate) max_lease_ttl: Duration,
    pub(crate) max_request_size: usize,
    pub(crate) max_request_duration: Duration,
    pub(crate) disable_mlock: bool,
    pub(crate) hardening: hardening::lockdown::Mode,
    /// Folders in which audit devices enabled by the API may have their files.
    pub(crate) audit_folders: Vec<PathBuf>,
    /// When users are locked out, by kinds of auth methods.
    pub(crate) user_lockout: BTreeMap<String, registry::LockoutRules>,
    pub(crate) telemetry: Telemetry,
    /// Given, valid, and of no effect here.
    pub(crate) warnings: Vec<String>,
}

#[derive(Debug)]
pub(crate) struct Storage {
    pub(crate) kind: storage::Kind,
    /// The data directory; none for memory.
    pub(crate) path: Option<PathBuf>,
    /// For how long journal and snapshots are kept beyond what a start needs.
    pub(crate) journal_retention: Duration,
}

#[derive(Debug)]
pub(crate) struct Hsm {
    /// What tells it from others.
    pub(crate) name: String,
    /// It is being left: it unwraps what it wrapped before, and nothing else.
    pub(crate) disabled: bool,
    /// The lowest is asked first.
    pub(crate) priority: u32,
    pub(crate) library: PathBuf,
    pub(crate) token: pkcs11_seal::TokenChoice,
    pub(crate) key_label: String,
    pub(crate) key_id: Option<Vec<u8>>,
    pub(crate) pin: PinSource,
    pub(crate) how: pkcs11::How,
    /// Calls into the HSM at once.
    pub(crate) max_parallel: usize,
    pub(crate) health: seals::HealthCheck,
    /// The vendor's library speaks TCP.
    pub(crate) network: bool,
    /// Files and folders beside the library that it needs.
    pub(crate) paths: Vec<PathBuf>,
}

#[derive(Debug)]
pub(crate) struct Audit {
    pub(crate) kind: String,
    pub(crate) path: String,
    pub(crate) description: String,
    pub(crate) options: BTreeMap<String, String>,
}

/// A configuration that cannot be used. Says file, line, and what to write instead.
#[derive(Debug)]
pub(crate) struct ConfigError(pub(crate) String);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

impl Config {
    /// Drops the PINs that stand in the configuration itself: only an hsm process may have one, and only in guarded memory.
    pub(crate) fn forget_pins(&mut self) {
        for hsm in &mut self.hsms {
            if let PinSource::Literal(_) = hsm.pin {
                hsm.pin = PinSource::Forgotten;
            }
        }
    }

    /// Takes out the HSM of this name; of no name, the first.
    pub(crate) fn take_hsm(&mut self, name: Option<&str>) -> Result<Hsm, ConfigError> {
        let at = self.hsms.iter().position(|hsm| name.is_none_or(|name| hsm.name == name));
        match (at, name) {
            (Some(at), _) => Ok(self.hsms.swap_remove(at)),
            (None, None) => Err(ConfigError("the configuration has no seal \"pkcs11\" stanza".to_owned())),
            (None, Some(name)) => Err(ConfigError(format!("no seal \"pkcs11\" stanza has the name \"{name}\""))),
        }
    }

    /// The folders that audit files are written to: those of declared devices, and those allowed for others.
    pub(crate) fn audit_folders(&self) -> impl Iterator<Item = PathBuf> {
        let declared = self.audits.iter().filter_map(|audit| {
            let path = PathBuf::from(audit.options.get("file_path").or(audit.options.get("path"))?);
            path.parent().filter(|_| path.is_absolute()).map(PathBuf::from)
        });
        declared.chain(self.audit_folders.iter().cloned())
    }
}

impl Storage {
    /// How the data is kept.
    pub(crate) fn options(&self) -> storage::Options {
        storage::Options { journal_retention: self.journal_retention, ..storage::Options::default() }
    }

    /// The kind, as in the configuration.
    pub(crate) fn name(&self) -> &'static str {
        match self.kind {
            storage::Kind::Sled => "sled",
            storage::Kind::Redb => "redb",
            storage::Kind::Memory => "memory",
        }
    }
}
