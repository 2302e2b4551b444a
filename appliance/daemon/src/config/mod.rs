//! The configuration: HCL or JSON files, read once, every key known or refused.

mod lockout;
mod pin;
mod pkcs11;
mod read;
mod stanzas;
mod unauthenticated;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

pub(crate) use pin::{PinSource, VARIABLE as PIN_VARIABLE};
#[cfg(fuzzing)]
pub(crate) use read::parse;
pub(crate) use read::{in_memory, load};

/// Everything an operator can say.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) storage: Storage,
    pub(crate) listeners: Vec<server::Listener>,
    pub(crate) seal: Seal,
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
    /// Given, valid, and of no effect here.
    pub(crate) warnings: Vec<String>,
}

#[derive(Debug)]
pub(crate) struct Storage {
    pub(crate) kind: storage::Kind,
    /// The data directory; none for memory.
    pub(crate) path: Option<PathBuf>,
}

#[derive(Debug)]
pub(crate) enum Seal {
    Shamir,
    Pkcs11(Box<Hsm>),
}

#[derive(Debug)]
pub(crate) struct Hsm {
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
    /// Drops a PIN that stands in the configuration itself: only the hsm process may have it, and only in guarded memory.
    pub(crate) fn forget_pin(&mut self) {
        if let Seal::Pkcs11(hsm) = &mut self.seal
            && let PinSource::Literal(_) = hsm.pin
        {
            hsm.pin = PinSource::Forgotten;
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
    /// The kind, as in the configuration.
    pub(crate) fn name(&self) -> &'static str {
        match self.kind {
            storage::Kind::Sled => "sled",
            storage::Kind::Redb => "redb",
            storage::Kind::Memory => "memory",
        }
    }
}
