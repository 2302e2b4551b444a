//! What `secrets` and `auth` share: enabling, tuning and listing of mounts.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::call::Call;
use crate::client::Ask;
use crate::duration;
use crate::failure::Failure;
use crate::flags::{Flag, Kind, Parsed};
use crate::output::{self, Format};
use crate::{json as json_text, table};

use super::logical::clean;
use super::status::flag;

/// Time between two looks at a move that goes on.
const MOVE_POLL: Duration = Duration::from_secs(1);

pub(super) const DESCRIPTION: Flag = Flag::new("description", Kind::Text, "What the mount is for.");
pub(super) const PATH: Flag = Flag::new("path", Kind::Text, "Where it is mounted. The default is the type.");
pub(super) const LOCAL: Flag =
    Flag::new("local", Kind::Switch, "Keep the mount to this cluster; it is not replicated.");
pub(super) const SEAL_WRAP: Flag = Flag::new("seal-wrap", Kind::Switch, "Wrap critical values by the seal as well.");
pub(super) const ENTROPY: Flag =
    Flag::new("external-entropy-access", Kind::Switch, "Give the mount the server's external source of entropy.");
pub(super) const OPTIONS: Flag =
    Flag::new("options", Kind::Pairs, "Option of the mount as key=value. May be given several times.");
pub(super) const VERSION: Flag = Flag::new("version", Kind::Integer, "Version of the engine, where it has several.");
pub(super) const DEFAULT_TTL: Flag =
    Flag::new("default-lease-ttl", Kind::Duration, "Lifetime of leases and tokens where nothing else is said.");
pub(super) const MAX_TTL: Flag = Flag::new("max-lease-ttl", Kind::Duration, "Longest lifetime of leases and tokens.");
pub(super) const LISTING: Flag =
    Flag::new("listing-visibility", Kind::Text, "Whether the mount is shown before login: unauth or hidden.")
        .offers(&["unauth", "hidden"]);
pub(super) const REQUEST_KEYS: Flag = Flag::new(
    "audit-non-hmac-request-keys",
    Kind::Many,
    "Key of requests that audit devices write in the clear. May be given several times.",
);
pub(super) const RESPONSE_KEYS: Flag = Flag::new(
    "audit-non-hmac-response-keys",
    Kind::Many,
    "Key of answers that audit devices write in the clear. May be given several times.",
);
pub(super) const REQUEST_HEADERS: Flag = Flag::new(
    "passthrough-request-headers",
    Kind::Many,
    "Request header that the engine gets to see. May be given several times.",
);
pub(super) const RESPONSE_HEADERS: Flag = Flag::new(
    "allowed-response-headers",
    Kind::Many,
    "Header that the engine may answer with. May be given several times.",
);
pub(super) const TOKEN_TYPE: Flag =
    Flag::new("token-type", Kind::Text, "Type of the tokens that the method gives out.").offers(&[
        "default-service",
        "default-batch",
        "service",
        "batch",
    ]);
pub(super) const PLUGIN_VERSION: Flag = Flag::new("plugin-version", Kind::Text, "Version of the plugin to run.");
pub(super) const DETAILED: Flag = Flag::new("detailed", Kind::Switch, "Show lifetimes, options and versions too.");

/// The order of the keys of a mount in JSON.
const ORDER: [&str; 20] = [
    "*.uuid",
    "*.type",
    "*.description",
    "*.accessor",
    "*.config",
    "*.options",
    "*.local",
    "*.seal_wrap",
    "*.external_entropy_access",
    "*.plugin_version",
    "*.running_plugin_version",
    "*.running_sha256",
    "*.deprecation_status",
    "*.config.default_lease_ttl",
    "*.config.max_lease_ttl",
    "*.config.force_no_cache",
    "*.config.token_type",
    "*.config.audit_non_hmac_request_keys",
    "*.config.audit_non_hmac_response_keys",
    "*.config.listing_visibility",
];

/// The flags that are lists, with the names of their fields.
const LISTS: [(&str, &str); 4] = [
    ("audit-non-hmac-request-keys", "audit_non_hmac_request_keys"),
    ("audit-non-hmac-response-keys", "audit_non_hmac_response_keys"),
    ("passthrough-request-headers", "passthrough_request_headers"),
    ("allowed-response-headers", "allowed_response_headers"),
];

/// The flags that are one text, with the names of their fields.
const TEXTS: [(&str, &str); 3] =
    [("listing-visibility", "listing_visibility"), ("token-type", "token_type"), ("plugin-version", "plugin_version")];

/// The body that mounts an engine or a method of type `kind`.
pub(super) fn enable_body(flags: &Parsed, kind: &str) -> Value {
    let mut config = given(flags);
    for (flag, field) in [("default-lease-ttl", "default_lease_ttl"), ("max-lease-ttl", "max_lease_ttl")] {
        config.insert(field.to_owned(), json!(duration::wire(flags.duration(flag).unwrap_or_default())));
    }
    config.insert("force_no_cache".to_owned(), json!(flags.on("force-no-cache")));
    let mut body = json!({
        "type": kind,
        "description": flags.text("description").unwrap_or_default(),
        "config": config,
        "local": flags.on("local"),
        "seal_wrap": flags.on("seal-wrap"),
        "external_entropy_access": flags.on("external-entropy-access"),
        "options": options(flags),
    });
    if let (Some(version), Some(body)) = (flags.text("plugin-version"), body.as_object_mut()) {
        body.insert("plugin_version".to_owned(), json!(version));
    }
    body
}

/// The body that changes a mount: only what was given.
pub(super) fn tune_body(flags: &Parsed) -> Value {
    let mut body = given(flags);
    for (flag, field) in [("default-lease-ttl", "default_lease_ttl"), ("max-lease-ttl", "max_lease_ttl")] {
        if let Some(seconds) = flags.duration(flag) {
            body.insert(field.to_owned(), json!(duration::wire(seconds)));
        }
    }
    if let Some(description) = flags.text("description") {
        body.insert("description".to_owned(), json!(description));
    }
    if let Some(wrap) = flags.choice("seal-wrap") {
        body.insert("seal_wrap".to_owned(), json!(wrap));
    }
    let options = options(flags);
    if !options.is_null() {
        body.insert("options".to_owned(), options);
    }
    let mut lockout = Map::new();
    for (flag, field) in [
        ("user-lockout-threshold", "lockout_threshold"),
        ("user-lockout-duration", "lockout_duration"),
        ("user-lockout-counter-reset-duration", "lockout_counter_reset_duration"),
    ] {
        if let Some(value) = flags.text(flag) {
            lockout.insert(field.to_owned(), json!(value));
        }
    }
    if let Some(disable) = flags.choice("user-lockout-disable") {
        lockout.insert("lockout_disable".to_owned(), json!(disable));
    }
    if !lockout.is_empty() {
        body.insert("user_lockout_config".to_owned(), Value::Object(lockout));
    }
    Value::Object(body)
}

fn given(flags: &Parsed) -> Map<String, Value> {
    let mut fields = Map::new();
    for (flag, field) in LISTS {
        if flags.given(flag) {
            let items: Vec<&str> = flags.many(flag).iter().map(|item| item.trim()).collect();
            fields.insert(field.to_owned(), json!(items));
        }
    }
    for (flag, field) in TEXTS {
        if let Some(text) = flags.text(flag) {
            fields.insert(field.to_owned(), json!(text));
        }
    }
    fields
}

fn options(flags: &Parsed) -> Value {
    let mut options: Map<String, Value> =
        flags.pairs("options").into_iter().map(|(key, value)| (key.to_owned(), json!(value))).collect();
    if let Some(version) = flags.text("version") {
        options.insert("version".to_owned(), json!(version));
    }
    if options.is_empty() { Value::Null } else { Value::Object(options) }
}

/// Lists the mounts at `path`; `auth` says which of the two tables to draw.
pub(super) fn list(call: &mut Call<'_, '_>, path: &str, attempt: &str, auth: bool) -> Result<(), Failure> {
    let answer = call.client()?.secret(&Ask::get(path)).map_err(|fault| fault.during(attempt))?;
    let mut mounts: Map<String, Value> = answer.and_then(|secret| secret.data.as_object().cloned()).unwrap_or_default();
    if call.format != Format::Table {
        let versions =
            json!({"plugin_version": "", "running_plugin_version": "", "running_sha256": "", "deprecation_status": ""});
        mounts.values_mut().for_each(|mount| json_text::fill(mount, &versions));
        return output::machine(call.console, call.format, &Value::Object(mounts), &ORDER);
    }
    let entries = json_text::sorted(&mounts).into_iter();
    let table = if call.flags.on("detailed") {
        let mut header = vec!["Path", "Plugin", "Accessor", "Default TTL", "Max TTL"];
        header.push(if auth { "Token Type" } else { "Force No Cache" });
        header.extend(["Replication", "Seal Wrap", "External Entropy Access", "Options", "Description", "UUID"]);
        header.extend(["Version", "Running Version", "Running SHA256", "Deprecation Status"]);
        table::with_header(&header, entries.map(|(path, mount)| detailed_row(path, mount, auth)).collect())
    } else {
        let mut header = vec!["Path", "Type", "Accessor", "Description"];
        if auth {
            header.push("Version");
        }
        let rows = entries.map(|(path, mount)| {
            let mut row = vec![path.clone(), text(mount, "type"), text(mount, "accessor"), text(mount, "description")];
            if auth {
                row.push(text(mount, "plugin_version"));
            }
            row
        });
        table::with_header(&header, rows.collect())
    };
    call.console.line(&table)
}

fn detailed_row(path: &str, mount: &Value, auth: bool) -> Vec<String> {
    let config = mount.get("config").unwrap_or(&Value::Null);
    // These two have no leases, so the system's default does not apply to them.
    let no_leases = ["system", "cubbyhole"].contains(&text(mount, "type").as_str());
    let ttl = |name: &str| match config.get(name).and_then(Value::as_i64) {
        _ if no_leases => String::new(),
        None | Some(0) => "system".to_owned(),
        Some(seconds) => seconds.to_string(),
    };
    let options = mount.get("options").filter(|options| options.is_object()).map_or("map[]".to_owned(), table::cell);
    let mut row = vec![path.to_owned(), text(mount, "type"), text(mount, "accessor")];
    row.extend([ttl("default_lease_ttl"), ttl("max_lease_ttl")]);
    row.push(if auth { text(config, "token_type") } else { flag(config, "force_no_cache").to_string() });
    row.push(if flag(mount, "local") { "local" } else { "replicated" }.to_owned());
    row.push(flag(mount, "seal_wrap").to_string());
    row.push(flag(mount, "external_entropy_access").to_string());
    row.extend([options, text(mount, "description"), text(mount, "uuid"), text(mount, "plugin_version")]);
    row.extend(["running_plugin_version", "running_sha256", "deprecation_status"].map(|name| text(mount, name)));
    row
}

/// Moves a mount to another path, and waits until it is there. `what` is moved, in words.
pub(super) fn relocate(call: &mut Call<'_, '_>, what: &str) -> Result<(), Failure> {
    let (source, destination) = (format!("{}/", clean(call.argument(0))), format!("{}/", clean(call.argument(1))));
    let route = format!("{what} {source} to {destination}");
    let client = call.client()?;
    let attempt = format!("Error moving {route}");
    let answer = client
        .secret(&Ask::post("sys/remount", json!({"from": source, "to": destination})))
        .map_err(|fault| fault.during(&attempt))?;
    let migration =
        answer.as_ref().and_then(|secret| secret.get("migration_id")).and_then(Value::as_str).map(str::to_owned);
    let Some(migration) = migration else {
        // A server that moves at once has nothing to follow.
        return call.console.line(&format!("Success! Finished moving {route}"));
    };
    call.console.line(&format!("Started moving {route}, with migration ID {migration}"))?;
    loop {
        let answer = client
            .secret(&Ask::get(format!("sys/remount/status/{migration}")))
            .map_err(|fault| fault.during(format!("Error checking migration status of {route}")))?;
        let status =
            answer.as_ref().and_then(|secret| secret.get("migration_info")?.get("status")?.as_str().map(str::to_owned));
        match status.as_deref() {
            Some("success") => {
                return call.console.line(&format!("Success! Finished moving {route}, with migration ID {migration}"));
            }
            Some("failure") | None => {
                return Err(Failure::server(format!("{attempt}, with migration ID {migration}: see the server's log")));
            }
            Some(_) => {
                call.console.line(&format!(
                    "Waiting for terminal status in migration of {route}, with migration ID {migration}"
                ))?;
                std::thread::sleep(MOVE_POLL);
            }
        }
    }
}

fn text(object: &Value, name: &str) -> String {
    object.get(name).filter(|value| !value.is_null()).map(table::cell).unwrap_or_default()
}
