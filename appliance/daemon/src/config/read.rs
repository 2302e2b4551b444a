//! Reading the files.

use std::path::{Path, PathBuf};
use std::time::Duration;

use framework::hcl::{self, ParseError, Reader};
use hardening::lockdown::Mode;

use super::unauthenticated::Unauthenticated;
use super::{Config, ConfigError, Telemetry};
use super::{lockout, seal, stanzas};

/// Vault's defaults.
const LEASE_TTL: Duration = Duration::from_secs(768 * 3600);
const MAX_REQUEST_SIZE: usize = 32 << 20;
const MAX_REQUEST_DURATION: Duration = Duration::from_secs(90);

/// What one seal-wrapped mount may have of the HSM.
const BUDGET: &str = "hsm_requests_per_mount";

/// Top-level keys that Vault and OpenBao take and that mean nothing here.
const MEANINGLESS: &[&str] = &[
    "api_addr",
    "cache_size",
    "cluster_addr",
    "disable_cache",
    "disable_clustering",
    "disable_printable_check",
    "disable_sealwrap_warning",
    "detect_deadlocks",
    "enable_response_header_hostname",
    "enable_response_header_raft_node_id",
    "imprecise_lease_role_tracking",
    "introspection_endpoint",
    "log_file",
    "log_requests_level",
    "log_rotate_bytes",
    "log_rotate_duration",
    "log_rotate_max_files",
    "pid_file",
    "plugin_directory",
    "plugin_file_permissions",
    "plugin_file_uid",
    "ui",
];

/// Reads the files in order. A stanza may stand in one of them only.
pub(crate) fn load(files: &[PathBuf]) -> Result<Config, ConfigError> {
    if files.is_empty() {
        return Err(ConfigError("no configuration: give -config=FILE, or -dev for a server in memory".to_owned()));
    }
    let mut parts = Parts::default();
    for file in files {
        read_file(file, &mut parts)?;
    }
    parts.finish()
}

/// Reads a configuration that is this text.
#[cfg(fuzzing)]
pub(crate) fn parse(text: &str) -> Result<Config, ConfigError> {
    let mut parts = Parts::default();
    read_text("config.hcl", text, &mut parts)?;
    parts.finish()
}

/// What the files said so far.
#[derive(Default)]
pub(super) struct Parts {
    pub(super) storage: Option<super::Storage>,
    pub(super) listeners: Vec<server::Listener>,
    pub(super) seals: Vec<seal::Stanza>,
    multiseal: Option<bool>,
    pub(super) audits: Vec<super::Audit>,
    pub(super) unauthenticated: Unauthenticated,
    pub(super) lockouts: lockout::Stanzas,
    pub(super) telemetry: Telemetry,
    hardening: Option<Mode>,
    audit_folders: Vec<PathBuf>,
    reported_version: Option<String>,
    cluster_name: Option<String>,
    log_level: Option<tracing::Level>,
    log_json: Option<bool>,
    default_lease_ttl: Option<Duration>,
    max_lease_ttl: Option<Duration>,
    max_request_size: Option<usize>,
    max_request_duration: Option<Duration>,
    disable_mlock: Option<bool>,
    disable_sealwrap: Option<bool>,
    hsm_budget: Option<usize>,
    raw_storage_endpoint: Option<bool>,
    pub(super) warnings: Vec<String>,
}

fn read_file(file: &Path, parts: &mut Parts) -> Result<(), ConfigError> {
    let name = file.display().to_string();
    let text = std::fs::read_to_string(file).map_err(|error| ConfigError(format!("{name}: {error}")))?;
    read_text(&name, &text, parts)
}

fn read_text(name: &str, text: &str, parts: &mut Parts) -> Result<(), ConfigError> {
    let at =
        |error: ParseError| ConfigError(format!("{name}:{}:{}: {}", error.at.line, error.at.column, error.message));
    let body = hcl::parse(text).map_err(at)?;
    let mut reader = body.reader("the configuration");
    stanzas::read(&mut reader, parts).map_err(at)?;
    parts.telemetry.read(&mut reader, &mut parts.warnings).map_err(at)?;
    settings(&mut reader, parts).map_err(at)?;
    for (key, place) in reader.ignore(MEANINGLESS) {
        parts.warnings.push(format!("{name}:{}: `{key}` has no effect on this server", place.line));
    }
    reader.finish().map_err(at)
}

fn settings(reader: &mut Reader<'_>, parts: &mut Parts) -> Result<(), ParseError> {
    parts.unauthenticated.read(reader)?;
    if let Some(version) = reader.string("reported_version")? {
        let numbers: Vec<&str> = version.split('.').collect();
        if numbers.len() != 3 || numbers.iter().any(|number| number.parse::<u16>().is_err()) {
            return Err(reader.error("reported_version", "reported_version must be three numbers such as 1.15.0"));
        }
        parts.reported_version = Some(version.to_owned());
    }
    if let Some(name) = reader.string("cluster_name")? {
        parts.cluster_name = Some(name.to_owned());
    }
    if let Some(level) = reader.string("log_level")? {
        parts.log_level = Some(match level {
            "trace" => tracing::Level::TRACE,
            "debug" => tracing::Level::DEBUG,
            "info" => tracing::Level::INFO,
            "warn" | "warning" => tracing::Level::WARN,
            "error" | "err" => tracing::Level::ERROR,
            _ => return Err(reader.error("log_level", "log_level must be trace, debug, info, warn or error")),
        });
    }
    if let Some(format) = reader.string("log_format")? {
        parts.log_json = Some(match format {
            "json" => true,
            "standard" | "" => false,
            _ => return Err(reader.error("log_format", "log_format must be standard or json")),
        });
    }
    parts.default_lease_ttl = reader.duration("default_lease_ttl")?.or(parts.default_lease_ttl);
    parts.max_lease_ttl = reader.duration("max_lease_ttl")?.or(parts.max_lease_ttl);
    parts.max_request_duration = reader.duration("default_max_request_duration")?.or(parts.max_request_duration);
    if let Some(size) = reader.integer("max_request_size")? {
        let size = usize::try_from(size).ok().filter(|&size| size >= 1024);
        parts.max_request_size =
            Some(size.ok_or_else(|| reader.error("max_request_size", "max_request_size must be at least 1024 bytes"))?);
    }
    parts.disable_mlock = reader.boolean("disable_mlock")?.or(parts.disable_mlock);
    parts.multiseal = reader.boolean("enable_multiseal")?.or(parts.multiseal);
    if let Some(budget) = reader.integer(BUDGET)? {
        let budget = usize::try_from(budget).ok().filter(|budget| (1..=crate::roles::server::WORKERS).contains(budget));
        let message = || format!("{BUDGET} must be 1 to {}", crate::roles::server::WORKERS);
        parts.hsm_budget = Some(budget.ok_or_else(|| reader.error(BUDGET, message()))?);
    }
    parts.disable_sealwrap = reader.boolean("disable_sealwrap")?.or(parts.disable_sealwrap);
    parts.raw_storage_endpoint = reader.boolean("raw_storage_endpoint")?.or(parts.raw_storage_endpoint);
    if let Some(block) = one(reader, "hardening", 0)? {
        let mut inner = block.reader("hardening");
        parts.hardening = Some(match inner.string("mode")? {
            Some("enforce") | None => Mode::Enforce,
            Some("report") => Mode::Report,
            Some(_) => return Err(inner.error("mode", "mode must be \"enforce\" or \"report\"")),
        });
        parts.audit_folders =
            inner.strings("audit_folders")?.unwrap_or_default().into_iter().map(PathBuf::from).collect();
        if parts.audit_folders.iter().any(|folder| !folder.is_absolute()) {
            return Err(inner.error("audit_folders", "audit_folders must be absolute paths"));
        }
        inner.finish()?;
    }
    Ok(())
}

/// The block of a kind that may stand once.
pub(super) fn one<'b>(
    reader: &mut Reader<'b>,
    kind: &str,
    labels: usize,
) -> Result<Option<hcl::Block<'b>>, ParseError> {
    let mut blocks = reader.blocks(kind, labels)?.into_iter();
    let first = blocks.next();
    match blocks.next() {
        Some(second) => {
            Err(ParseError { at: second.at, message: format!("a second {kind} stanza: there can be only one") })
        }
        None => Ok(first),
    }
}

/// The defaults, in memory, on one address.
pub(crate) fn in_memory(listener: server::Listener) -> Result<Config, ConfigError> {
    let storage = Some(super::Storage { kind: storage::Kind::Memory, path: None, journal_retention: Duration::ZERO });
    let hardening = Some(Mode::Report);
    Parts { storage, listeners: vec![listener], hardening, ..Parts::default() }.finish()
}

impl Parts {
    fn finish(self) -> Result<Config, ConfigError> {
        let storage = self.storage.ok_or_else(|| {
            ConfigError(
                "no storage stanza: write for example storage \"sled\" { path = \"/var/lib/holdfast\" }".to_owned(),
            )
        })?;
        if self.listeners.is_empty() {
            return Err(ConfigError(
                "no listener stanza: write for example listener \"tcp\" { address = \"127.0.0.1:8200\" \
                 tls_cert_file = \"…\" tls_key_file = \"…\" }"
                    .to_owned(),
            ));
        }
        let default_lease_ttl = self.default_lease_ttl.unwrap_or(LEASE_TTL);
        let max_lease_ttl = self.max_lease_ttl.unwrap_or(LEASE_TTL.max(default_lease_ttl));
        if default_lease_ttl > max_lease_ttl {
            return Err(ConfigError("default_lease_ttl is longer than max_lease_ttl".to_owned()));
        }
        Ok(Config {
            storage,
            listeners: self.listeners,
            hsms: seal::together(self.seals, self.multiseal.unwrap_or(false))?,
            // Half of the threads: however busy one mount is, the others find some.
            hsm_budget: self.hsm_budget.unwrap_or(crate::roles::server::WORKERS / 2),
            disable_sealwrap: self.disable_sealwrap.unwrap_or(false),
            raw_storage_endpoint: self.raw_storage_endpoint.unwrap_or(false),
            audits: self.audits,
            unauthenticated: self.unauthenticated.finish(),
            user_lockout: lockout::rules(&self.lockouts),
            reported_version: self.reported_version.unwrap_or_else(|| system::REPORTED_VERSION.to_owned()),
            cluster_name: self.cluster_name.unwrap_or_default(),
            log_level: self.log_level.unwrap_or(tracing::Level::INFO),
            log_json: self.log_json.unwrap_or(false),
            default_lease_ttl,
            max_lease_ttl,
            max_request_size: self.max_request_size.unwrap_or(MAX_REQUEST_SIZE),
            max_request_duration: self.max_request_duration.unwrap_or(MAX_REQUEST_DURATION),
            disable_mlock: self.disable_mlock.unwrap_or(false),
            hardening: self.hardening.unwrap_or(Mode::Enforce),
            audit_folders: self.audit_folders,
            telemetry: self.telemetry,
            warnings: self.warnings,
        })
    }
}
