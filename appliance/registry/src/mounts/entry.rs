//! One mount: its record, and what is worked out from it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use framework::{Catalog, Engine, Error, Json, Map, MountId, MountInfo, Prefix, TokenRule};
use serde::{Deserialize, Serialize};

use super::Requests;
use crate::{LockoutTuning, Settings};

/// What a mount is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum MountClass {
    /// A secrets engine: `sys/mounts`.
    Secret,
    /// An auth method: `sys/auth`.
    Auth,
}

impl MountClass {
    /// What stands in front of its mounts' paths.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Secret => "",
            Self::Auth => "auth/",
        }
    }

    /// The name in the audit log.
    pub fn name(self) -> &'static str {
        match self {
            Self::Secret => "secret",
            Self::Auth => "auth",
        }
    }
}

/// What an operator may tune. Lifetimes are in seconds, 0 for the system's default; empty lists and texts are not shown.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct MountConfig {
    /// Lifetime of leases and tokens that ask for none.
    pub default_lease_ttl: u64,
    /// Longest lifetime of leases and tokens.
    pub max_lease_ttl: u64,
    /// Kept and shown, as Vault does; there is no cache of plaintext that it could switch off.
    pub force_no_cache: bool,
    /// Whether an unauthenticated listing shows the mount: ``, `hidden` or `unauth`.
    pub listing_visibility: String,
    /// Fields of requests whose values stand in the audit log as they are.
    pub audit_non_hmac_request_keys: Vec<String>,
    /// Fields of answers whose values stand in the audit log as they are.
    pub audit_non_hmac_response_keys: Vec<String>,
    /// Headers that the engine gets to see. Kept and shown: handlers are given no headers, so there is nothing to hold back.
    pub passthrough_request_headers: Vec<String>,
    /// Headers that the engine may set. Kept and shown: an [`Output`](framework::Output) has none.
    pub allowed_response_headers: Vec<String>,
    /// For auth methods, as [`TokenRule`] reads it.
    pub token_type: String,
    /// For auth methods that lock users out: in place of what the configuration says.
    pub user_lockout: Option<LockoutTuning>,
}

impl MountConfig {
    /// As `sys/mounts` shows it.
    pub fn to_json(&self) -> Map<String, Json> {
        let mut map = Map::new();
        map.insert("default_lease_ttl".into(), self.default_lease_ttl.into());
        map.insert("max_lease_ttl".into(), self.max_lease_ttl.into());
        map.insert("force_no_cache".into(), self.force_no_cache.into());
        for (name, text) in [("listing_visibility", &self.listing_visibility), ("token_type", &self.token_type)] {
            if !text.is_empty() {
                map.insert(name.into(), text.as_str().into());
            }
        }
        for (name, list) in [
            ("audit_non_hmac_request_keys", &self.audit_non_hmac_request_keys),
            ("audit_non_hmac_response_keys", &self.audit_non_hmac_response_keys),
            ("passthrough_request_headers", &self.passthrough_request_headers),
            ("allowed_response_headers", &self.allowed_response_headers),
        ] {
            if !list.is_empty() {
                map.insert(name.into(), list.clone().into());
            }
        }
        if let Some(lockout) = &self.user_lockout {
            map.insert("user_lockout_config".into(), Json::Object(lockout_to_json(lockout)));
        }
        map
    }

    /// Checks what the fields may hold. The sentences are Vault's.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if !matches!(self.listing_visibility.as_str(), "" | "hidden" | "unauth") {
            let message = format!("invalid listing_visibility {}", self.listing_visibility);
            return Err(Error::field("listing_visibility", message));
        }
        if TokenRule::parse(&self.token_type).is_none() {
            return Err(Error::field("token_type", "invalid value for 'token_type'"));
        }
        Ok(())
    }
}

/// The record of a mount.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct MountEntry {
    /// Its path with a final `/`; for auth methods with `auth/` in front.
    pub path: String,
    /// Its kind.
    pub kind: String,
    /// Free text.
    pub description: String,
    /// Names the mount for ever, whatever its path.
    pub accessor: String,
    /// Names its records.
    pub uuid: String,
    /// Options of the engine; `None` is shown as null.
    pub options: Option<BTreeMap<String, String>>,
    /// What can be tuned.
    pub config: MountConfig,
    /// Not replicated to other clusters.
    pub local: bool,
    /// Critical records are wrapped by the seal as well.
    pub seal_wrap: bool,
    /// Always false: shown, as Vault does.
    pub external_entropy_access: bool,
}

/// A mount as the server uses it.
#[derive(Debug)]
pub struct Mount {
    /// Its record.
    pub entry: MountEntry,
    /// What handlers are told of it.
    pub info: MountInfo,
    /// The folder of its records: the whole store for `system` and `token`, which work on the registry's records.
    pub folder: Prefix,
    /// The id that its records carry in the journal; zero where they are the core's own.
    pub id: MountId,
    /// How often it was asked for what; it stays when the table is read anew.
    pub requests: Arc<Requests>,
}

impl Mount {
    pub(crate) fn new(entry: MountEntry, settings: &Settings) -> Result<Self, Error> {
        let whole = matches!(entry.kind.as_str(), "system" | "token");
        let folder = match entry.class() {
            _ if whole => Prefix::root(),
            _ if entry.kind == "cubbyhole" => Prefix::new(crate::names::CUBBYHOLE)?,
            MountClass::Secret => Prefix::new(format!("logical/{}", entry.uuid))?,
            MountClass::Auth => Prefix::new(format!("auth/{}", entry.uuid))?,
        };
        let id = if whole { MountId::default() } else { mount_id(&entry.uuid) };
        let max = ttl(entry.config.max_lease_ttl, settings.max_lease_ttl);
        let info = MountInfo {
            path: entry.path.clone(),
            kind: entry.kind.clone(),
            accessor: entry.accessor.clone(),
            options: entry.options.clone().unwrap_or_default(),
            default_ttl: ttl(entry.config.default_lease_ttl, settings.default_lease_ttl).min(max),
            max_ttl: max,
            token_rule: TokenRule::parse(&entry.config.token_type).unwrap_or_default(),
        };
        Ok(Self { entry, info, folder, id, requests: Arc::default() })
    }

    /// The engine that answers here.
    pub fn engine<'c>(&self, catalog: &'c Catalog) -> Result<&'c Engine, Error> {
        let engine = catalog.find(&self.info.kind, &self.info.options);
        engine.ok_or_else(|| Error::internal(format!("no engine of kind {}", self.info.kind)))
    }

    /// Prefixes of this mount's records that the seal wraps.
    pub fn seal_wrapped(&self, engine: &Engine) -> &'static [&'static str] {
        if self.entry.seal_wrap { engine.seal_wrapped } else { &[] }
    }

    /// The mount as `sys/mounts` and `sys/auth` show it.
    pub fn to_json(&self, running_version: &str) -> Map<String, Json> {
        let entry = &self.entry;
        let mut map = Map::new();
        let mut text = |name: &str, value: &str| drop(map.insert(name.to_owned(), value.into()));
        text("type", &entry.kind);
        text("description", &entry.description);
        text("accessor", &entry.accessor);
        text("uuid", &entry.uuid);
        text("plugin_version", "");
        text("running_plugin_version", running_version);
        text("running_sha256", "");
        if !matches!(entry.kind.as_str(), "system" | "token" | "cubbyhole" | "identity") {
            text("deprecation_status", "supported");
        }
        for (name, value) in [
            ("local", entry.local),
            ("seal_wrap", entry.seal_wrap),
            ("external_entropy_access", entry.external_entropy_access),
        ] {
            map.insert(name.to_owned(), value.into());
        }
        map.insert("options".into(), entry.options_json());
        map.insert("config".into(), entry.config.to_json().into());
        map
    }

    /// The mount as `sys/mounts/<path>/tune` shows it: lifetimes as they work out.
    pub fn tune_to_json(&self) -> Map<String, Json> {
        let mut map = self.entry.config.to_json();
        if let Some(Json::Object(lockout)) = map.remove("user_lockout_config") {
            map.extend(lockout);
        }
        map.insert("default_lease_ttl".into(), self.info.default_ttl.as_secs().into());
        map.insert("max_lease_ttl".into(), self.info.max_ttl.as_secs().into());
        map.insert("description".into(), self.entry.description.as_str().into());
        if self.entry.options.is_some() {
            map.insert("options".into(), self.entry.options_json());
        }
        map
    }
}

fn lockout_to_json(lockout: &LockoutTuning) -> Map<String, Json> {
    Map::from_iter([
        ("user_lockout_threshold".to_owned(), lockout.threshold.into()),
        ("user_lockout_duration".to_owned(), lockout.duration.into()),
        ("user_lockout_counter_reset_duration".to_owned(), lockout.counter_reset.into()),
        ("user_lockout_disable".to_owned(), lockout.disabled.into()),
    ])
}

impl MountEntry {
    /// What it is for.
    pub fn class(&self) -> MountClass {
        if self.path.starts_with("auth/") { MountClass::Auth } else { MountClass::Secret }
    }

    fn options_json(&self) -> Json {
        match &self.options {
            None => Json::Null,
            Some(options) => Json::Object(options.iter().map(|(k, v)| (k.clone(), Json::String(v.clone()))).collect()),
        }
    }
}

/// The id that a mount's records carry in the journal.
pub(crate) fn mount_id(uuid: &str) -> MountId {
    let hex: String = uuid.chars().filter(|&c| c != '-').collect();
    MountId(u128::from_str_radix(&hex, 16).unwrap_or_default().to_be_bytes())
}

fn ttl(own: u64, system: Duration) -> Duration {
    if own == 0 { system } else { Duration::from_secs(own) }
}

/// A mount that every store has: made at initialisation, and at the first start of a version that brings it.
#[derive(Clone, Debug)]
pub struct DefaultMount {
    /// Its path with a final `/`.
    pub path: &'static str,
    /// Its kind.
    pub kind: &'static str,
    /// What it is for.
    pub description: &'static str,
    /// Not replicated to other clusters.
    pub local: bool,
    /// Critical records are wrapped by the seal as well.
    pub seal_wrap: bool,
}

/// The mounts without which there is no server: `sys/`, `cubbyhole/`, `auth/token/`.
pub fn default_mounts() -> Vec<DefaultMount> {
    vec![
        DefaultMount {
            path: "sys/",
            kind: "system",
            description: "system endpoints used for control, policy and debugging",
            local: false,
            seal_wrap: true,
        },
        DefaultMount {
            path: "cubbyhole/",
            kind: "cubbyhole",
            description: "per-token private secret storage",
            local: true,
            seal_wrap: false,
        },
        DefaultMount {
            path: "auth/token/",
            kind: "token",
            description: "token based credentials",
            local: false,
            seal_wrap: false,
        },
    ]
}
