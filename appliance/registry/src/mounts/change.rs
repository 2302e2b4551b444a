//! Changes of the mount table, staged in a transaction. The sentences of refusals are Vault's.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use framework::{Error, Key, Page, View};

use super::{DefaultMount, LockoutChange, Migration, Mount, MountClass, MountConfig, MountEntry, MountSpec, Tune};
use crate::leases;
use crate::names;
use crate::random;
use crate::registry::Registry;

/// Paths that belong to the server.
const RESERVED: [&str; 5] = ["audit/", "auth/", "sys/", "cubbyhole/", "identity/"];
/// Kinds of which there is one.
const SINGLE: [&str; 4] = ["system", "cubbyhole", "identity", "token"];

impl Registry {
    /// Mounts an engine. `view` is rooted at the whole store.
    pub fn enable_mount(&self, view: &View<'_>, class: MountClass, spec: MountSpec) -> Result<MountEntry, Error> {
        let below = with_slash(&spec.path);
        let path = format!("{}{below}", class.prefix());
        Key::new(path.trim_end_matches('/'))?;
        if class == MountClass::Secret && reserved(&path) {
            return Err(Error::field("path", format!("cannot mount {path:?}")));
        }
        if SINGLE.contains(&spec.kind.as_str()) {
            return Err(Error::field(
                "type",
                match class {
                    MountClass::Auth => "token credential backend cannot be instantiated".to_owned(),
                    MountClass::Secret => format!("mount type of {:?} is not mountable", spec.kind),
                },
            ));
        }
        if let Some(other) = conflict(&entries(view)?, &path) {
            let shown = other.path.strip_prefix(class.prefix()).unwrap_or(&other.path);
            return Err(Error::field("path", format!("path is already in use at {shown}")));
        }
        if spec.external_entropy_access {
            return Err(Error::field("external_entropy_access", "external entropy is not supported by this server"));
        }
        spec.config.check()?;
        let system_max = self.settings.max_lease_ttl.as_secs();
        match (spec.config.default_lease_ttl, spec.config.max_lease_ttl) {
            (default, max) if max > 0 && default > max => {
                return Err(Error::invalid("given default lease TTL greater than given max lease TTL"));
            }
            (default, 0) if default > system_max => {
                let message = format!("given default lease TTL greater than system max lease TTL of {system_max}");
                return Err(Error::invalid(message));
            }
            _ => {}
        }
        let (kind, options) = versioned(spec.kind, spec.options)?;
        let mut config = spec.config;
        if class == MountClass::Auth && config.token_type.is_empty() {
            config.token_type = "default-service".to_owned();
        }
        let entry = MountEntry {
            path,
            description: spec.description,
            accessor: self.new_accessor(class, &kind),
            uuid: framework::uuid(&*self.rng),
            kind,
            options,
            config,
            local: spec.local,
            seal_wrap: spec.seal_wrap,
            external_entropy_access: false,
        };
        put(view, &entry)?;
        Ok(entry)
    }

    /// Takes a mount out of the table and marks its leases and its records for removal, in one transaction.
    /// [`Registry::finish_revocations`] and [`Registry::finish_removals`] remove them afterwards. `path` is relative to the
    /// class. Disabling what is not there is no error.
    pub fn disable_mount(&self, view: &View<'_>, class: MountClass, path: &str) -> Result<(), Error> {
        let below = with_slash(path);
        let path = format!("{}{below}", class.prefix());
        if class == MountClass::Secret && reserved(&path) {
            return Err(Error::invalid(format!("cannot unmount {path:?}")));
        }
        if path == "auth/token/" {
            return Err(Error::invalid("token credential backend cannot be disabled"));
        }
        let Some(entry) = entries(view)?.into_iter().find(|entry| entry.path == path) else { return Ok(()) };
        leases::stage_revocation(view, &entry.uuid, &entry.path, self.clock.now())?;
        names::write(view, &format!("{}{}", names::REMOVALS, entry.uuid), &entry)?;
        view.delete(&format!("{}{}", names::MOUNTS, entry.uuid))?;
        table_changes(view)
    }

    /// Gives a mount another path; its records stay where they are, and its leases, tokens among them, are marked to end, as in
    /// Vault. Paths are full: auth methods with `auth/` in front.
    /// Returns the id under which `sys/remount/status` knows the move.
    pub fn move_mount(&self, view: &View<'_>, from: &str, to: &str) -> Result<Migration, Error> {
        let (source, target) = (with_slash(from), with_slash(to));
        Key::new(target.trim_end_matches('/'))?;
        let auth = |path: &str| path.starts_with("auth/");
        if source == "auth/token/" || (reserved(&source) && !auth(&source)) {
            return Err(Error::field("from", format!("cannot remount {source:?}")));
        }
        if auth(&source) && !auth(&target) {
            return Err(Error::field("to", format!("cannot remount auth mount to non-auth mount {target:?}")));
        }
        if reserved(&target) && !(auth(&source) && auth(&target) && target != "auth/") {
            return Err(Error::field("to", format!("cannot remount to destination {target}")));
        }
        let all = entries(view)?;
        let Some(mut entry) = all.iter().find(|entry| entry.path == source).cloned() else {
            return Err(Error::field("from", format!("no matching mount at {source:?}")));
        };
        if let Some(other) = conflict(&all, &target) {
            return Err(Error::field("to", format!("path already in use at {:?}", other.path)));
        }
        leases::stage_revocation(view, &entry.uuid, &source, self.clock.now())?;
        entry.path.clone_from(&target);
        put(view, &entry)?;
        let migration = Migration { id: framework::uuid(&*self.rng), source, target };
        self.open()?.migrations.remember(migration.clone());
        Ok(migration)
    }

    /// A move that was asked for since the server was unsealed.
    pub fn migration(&self, id: &str) -> Result<Option<Migration>, Error> {
        Ok(self.open()?.migrations.find(id))
    }

    /// Changes what can be tuned. `path` is full. [`Error::Invalid`] where there is no mount.
    pub fn tune_mount(&self, view: &View<'_>, path: &str, tune: Tune) -> Result<(), Error> {
        let path = with_slash(path);
        let Some(mut entry) = entries(view)?.into_iter().find(|entry| entry.path == path) else {
            return Err(Error::invalid(format!("cannot fetch sysview for path {path:?}")));
        };
        if tune.token_type.is_some() && entry.kind == "token" {
            let message = "'token_type' cannot be set for 'token' or 'ns_token' auth mounts";
            return Err(Error::field("token_type", message));
        }
        if tune.seal_wrap.is_some_and(|wanted| wanted != entry.seal_wrap) && SINGLE.contains(&entry.kind.as_str()) {
            let message = format!("what the seal wraps of {path:?} is not for tuning");
            return Err(Error::field("seal_wrap", message));
        }
        set(&mut entry.seal_wrap, tune.seal_wrap);
        let config = &mut entry.config;
        let secs = |ttl: Option<Duration>, old: u64| ttl.map_or(old, |ttl| ttl.as_secs());
        config.default_lease_ttl = secs(tune.default_lease_ttl, config.default_lease_ttl);
        config.max_lease_ttl = secs(tune.max_lease_ttl, config.max_lease_ttl);
        let (default, max) = (config.default_lease_ttl, config.max_lease_ttl);
        let max = if max == 0 { self.settings.max_lease_ttl.as_secs() } else { max };
        if default > max {
            return Err(Error::invalid(format!(
                "backend max lease TTL of {max} would be less than backend default lease TTL of {default}"
            )));
        }
        set(&mut config.listing_visibility, tune.listing_visibility);
        set(&mut config.token_type, tune.token_type);
        if entry.path.starts_with("auth/") && config.token_type.is_empty() {
            config.token_type = "default-service".to_owned();
        }
        set(&mut config.audit_non_hmac_request_keys, tune.audit_non_hmac_request_keys);
        set(&mut config.audit_non_hmac_response_keys, tune.audit_non_hmac_response_keys);
        set(&mut config.passthrough_request_headers, tune.passthrough_request_headers);
        set(&mut config.allowed_response_headers, tune.allowed_response_headers);
        lockout(config, tune.user_lockout);
        config.check()?;
        set(&mut entry.description, tune.description);
        if let Some(options) = tune.options {
            tune_options(&mut entry, options)?;
        }
        put(view, &entry)
    }

    /// Every mount of a class, by path.
    pub fn mounts(&self, class: MountClass) -> Result<Vec<Arc<Mount>>, Error> {
        let table = self.open()?.mounts.get();
        let mut mounts: Vec<_> = table.all().filter(|mount| mount.entry.class() == class).cloned().collect();
        mounts.sort_by(|a, b| a.entry.path.cmp(&b.entry.path));
        Ok(mounts)
    }

    /// The mount at exactly `path` (full, with or without final `/`).
    pub fn mount(&self, path: &str) -> Result<Option<Arc<Mount>>, Error> {
        Ok(self.open()?.mounts.get().at(path).cloned())
    }

    /// Stages the default mounts that are missing; tells whether there were any.
    pub(crate) fn add_default_mounts(&self, view: &View<'_>, defaults: &[DefaultMount]) -> Result<bool, Error> {
        let there = entries(view)?;
        let mut added = false;
        for default in defaults.iter().filter(|default| there.iter().all(|entry| entry.path != default.path)) {
            let auth = default.path.starts_with("auth/");
            let class = if auth { MountClass::Auth } else { MountClass::Secret };
            let token_type = if auth { "default-service" } else { "" };
            put(
                view,
                &MountEntry {
                    path: default.path.to_owned(),
                    kind: default.kind.to_owned(),
                    description: default.description.to_owned(),
                    accessor: self.new_accessor(class, default.kind),
                    uuid: framework::uuid(&*self.rng),
                    options: None,
                    config: MountConfig { token_type: token_type.to_owned(), ..MountConfig::default() },
                    local: default.local,
                    seal_wrap: default.seal_wrap,
                    external_entropy_access: false,
                },
            )?;
            added = true;
        }
        Ok(added)
    }

    fn new_accessor(&self, class: MountClass, kind: &str) -> String {
        let auth = if class == MountClass::Auth { "auth_" } else { "" };
        format!("{auth}{kind}_{}", random::short(&*self.rng))
    }
}

/// Every entry as the transaction sees it. Reading them all makes a conflict with any other change of the table certain.
fn entries(view: &View<'_>) -> Result<Vec<MountEntry>, Error> {
    view.get(names::MOUNT_TABLE)?;
    let mut entries = Vec::new();
    for uuid in view.list(names::MOUNTS, &Page::default())? {
        entries.extend(names::read(view, &format!("{}{uuid}", names::MOUNTS))?);
    }
    Ok(entries)
}

fn put(view: &View<'_>, entry: &MountEntry) -> Result<(), Error> {
    names::write(view, &format!("{}{}", names::MOUNTS, entry.uuid), entry)?;
    table_changes(view)
}

/// Makes two transactions that change the table conflict, even if they touch different mounts.
fn table_changes(view: &View<'_>) -> Result<(), Error> {
    let count: u64 = names::read(view, names::MOUNT_TABLE)?.unwrap_or_default();
    names::write(view, names::MOUNT_TABLE, &count.wrapping_add(1))
}

/// The mount that lies at, above or below a path.
fn conflict<'e>(entries: &'e [MountEntry], path: &str) -> Option<&'e MountEntry> {
    entries.iter().find(|entry| entry.path.starts_with(path) || path.starts_with(&entry.path))
}

fn reserved(path: &str) -> bool {
    RESERVED.iter().any(|reserved| path.starts_with(reserved))
}

fn with_slash(path: &str) -> String {
    format!("{}/", path.trim().trim_matches('/'))
}

fn set<T>(field: &mut T, to: Option<T>) {
    if let Some(to) = to {
        *field = to;
    }
}

fn lockout(config: &mut MountConfig, change: LockoutChange) {
    let LockoutChange { threshold, duration, counter_reset, disabled } = change;
    if threshold.is_some() || duration.is_some() || counter_reset.is_some() || disabled.is_some() {
        let lockout = config.user_lockout.get_or_insert_default();
        set(&mut lockout.threshold, threshold);
        set(&mut lockout.duration, duration.map(|duration| duration.as_secs()));
        set(&mut lockout.counter_reset, counter_reset.map(|duration| duration.as_secs()));
        set(&mut lockout.disabled, disabled);
    }
}

type Options = Option<BTreeMap<String, String>>;

/// `kv-v2` is the kind `kv` with an option, and there are two versions.
fn versioned(kind: String, options: Options) -> Result<(String, Options), Error> {
    let version = match kind.as_str() {
        "kv-v1" => Some("1"),
        "kv-v2" => Some("2"),
        "kv" => None,
        _ => return Ok((kind, options)),
    };
    let mut options = options;
    if let Some(version) = version {
        options.get_or_insert_default().insert("version".to_owned(), version.to_owned());
    }
    match options.as_ref().and_then(|options| options.get("version")).map(String::as_str) {
        None | Some("" | "1" | "2") => Ok(("kv".to_owned(), options)),
        Some(other) => Err(Error::field("options", format!("invalid kv version {other:?}: 1 and 2 exist"))),
    }
}

fn tune_options(entry: &mut MountEntry, options: BTreeMap<String, String>) -> Result<(), Error> {
    let current = entry.options.get_or_insert_default();
    for (name, value) in options {
        if entry.kind == "kv" && name == "version" {
            let old = current.get("version").map_or("1", String::as_str).to_owned();
            match (old.as_str(), value.as_str()) {
                (old, new) if old == new => {}
                ("2", _) => return Err(Error::field("options", "cannot downgrade mount from version 2")),
                _ => {
                    let message =
                        "a kv mount's version cannot be changed; enable a version 2 mount and copy the secrets";
                    return Err(Error::field("options", message));
                }
            }
        }
        if value.is_empty() {
            current.remove(&name);
        } else {
            current.insert(name, value);
        }
    }
    Ok(())
}
