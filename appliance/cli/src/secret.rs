//! The envelope around an answer: `{request_id, lease_id, lease_duration, renewable, data, warnings, auth, wrap_info}`.

use serde_json::{Map, Value, json};

use crate::failure::Failure;
use crate::{duration, json, table};

/// One parsed answer of the API.
#[derive(Debug, Default)]
pub(crate) struct Secret {
    pub(crate) request_id: String,
    pub(crate) lease_id: String,
    /// Seconds.
    pub(crate) lease_duration: i64,
    pub(crate) renewable: bool,
    /// Null where the answer has none.
    pub(crate) data: Value,
    pub(crate) warnings: Vec<String>,
    /// A new token and what it may do, as `login` and `token create` get it.
    pub(crate) auth: Option<Map<String, Value>>,
    /// The token the real answer is wrapped in.
    pub(crate) wrap_info: Option<Map<String, Value>>,
}

impl Secret {
    /// The keys that JSON output puts first, in this order.
    pub(crate) const ORDER: [&'static str; 25] = [
        "request_id",
        "lease_id",
        "lease_duration",
        "renewable",
        "data",
        "warnings",
        "auth",
        "wrap_info",
        "auth.client_token",
        "auth.accessor",
        "auth.policies",
        "auth.token_policies",
        "auth.identity_policies",
        "auth.metadata",
        "auth.orphan",
        "auth.entity_id",
        "auth.lease_duration",
        "auth.renewable",
        "auth.mfa_requirement",
        "wrap_info.token",
        "wrap_info.accessor",
        "wrap_info.ttl",
        "wrap_info.creation_time",
        "wrap_info.creation_path",
        "wrap_info.wrapped_accessor",
    ];

    /// Reads an answer. An empty body is no answer.
    pub(crate) fn parse(body: &str) -> Result<Option<Self>, Failure> {
        if body.trim().is_empty() {
            return Ok(None);
        }
        let value: Map<String, Value> = serde_json::from_str(body)
            .map_err(|error| Failure::server(format!("the server's answer is not a JSON object: {error}")))?;
        let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let object = |name: &str| value.get(name).and_then(Value::as_object).cloned();
        Ok(Some(Self {
            request_id: text("request_id"),
            lease_id: text("lease_id"),
            lease_duration: value.get("lease_duration").and_then(Value::as_i64).unwrap_or_default(),
            renewable: value.get("renewable").and_then(Value::as_bool).unwrap_or_default(),
            data: value.get("data").cloned().unwrap_or_default(),
            warnings: strings(value.get("warnings")),
            auth: object("auth"),
            wrap_info: object("wrap_info"),
        }))
    }

    /// Whether there is anything besides the envelope.
    pub(crate) fn has_data(&self) -> bool {
        self.data.as_object().is_some_and(|data| !data.is_empty())
    }

    /// The value at a key of `data`.
    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.data.get(name)
    }

    /// The list of keys in the answer to a list request.
    pub(crate) fn keys(&self) -> Option<&[Value]> {
        self.get("keys").and_then(Value::as_array).map(Vec::as_slice).filter(|keys| !keys.is_empty())
    }

    /// The answer as one object, for machine formats.
    pub(crate) fn envelope(&self) -> Value {
        let mut value = json!({
            "request_id": self.request_id,
            "lease_id": self.lease_id,
            "lease_duration": self.lease_duration,
            "renewable": self.renewable,
            "data": self.data,
            "warnings": if self.warnings.is_empty() { Value::Null } else { json!(self.warnings) },
        });
        let auth = json!({
            "client_token": "", "accessor": "", "policies": null, "token_policies": null, "identity_policies": null,
            "metadata": null, "orphan": false, "entity_id": "", "lease_duration": 0, "renewable": false,
            "mfa_requirement": null,
        });
        let wrap_info = json!({
            "token": "", "accessor": "", "ttl": 0, "creation_time": "", "creation_path": "", "wrapped_accessor": "",
        });
        for (name, part, shape) in [("auth", &self.auth, auth), ("wrap_info", &self.wrap_info, wrap_info)] {
            if let (Some(part), Some(object)) = (part, value.as_object_mut()) {
                object.insert(name.to_owned(), shaped(part, shape));
            }
        }
        value
    }

    /// The field that `-field` names: of the token, of the wrapping, of the data, or of the envelope.
    pub(crate) fn field(&self, name: &str) -> Option<Value> {
        if let Some(auth) = &self.auth {
            let key = match name {
                "token" => "client_token",
                "token_accessor" => "accessor",
                "token_duration" => "lease_duration",
                "token_renewable" => "renewable",
                "token_policies" | "identity_policies" | "policies" => name,
                "entity_id" => "entity_id",
                _ => "",
            };
            if let Some(value) = auth.get(key) {
                return Some(value.clone());
            }
            let meta = name.strip_prefix("token_meta_").and_then(|key| auth.get("metadata")?.get(key));
            if let Some(value) = meta {
                return Some(value.clone());
            }
        }
        if let Some(info) = &self.wrap_info {
            let key = match name {
                "wrapping_token" => "token",
                "wrapping_accessor" => "accessor",
                "wrapping_token_ttl" => "ttl",
                "wrapping_token_creation_time" => "creation_time",
                "wrapping_token_creation_path" => "creation_path",
                "wrapped_accessor" => "wrapped_accessor",
                _ => "",
            };
            if let Some(value) = info.get(key) {
                return Some(value.clone());
            }
        }
        if let Some(value) = self.get(name) {
            return Some(value.clone());
        }
        match name {
            "data" if !self.data.is_null() => Some(self.data.clone()),
            "request_id" => Some(json!(self.request_id)),
            "lease_id" => Some(json!(self.lease_id)),
            "lease_duration" | "refresh_interval" => Some(json!(self.lease_duration)),
            "lease_renewable" | "renewable" => Some(json!(self.renewable)),
            _ => None,
        }
    }

    /// The rows of the table: lease, token, wrapping, then data by name.
    pub(crate) fn rows(&self) -> Vec<Vec<String>> {
        let mut rows = Vec::new();
        let mut row = |name: &str, value: String| rows.push(vec![name.to_owned(), value]);
        if self.lease_duration > 0 {
            if self.lease_id.is_empty() {
                row("refresh_interval", duration::human(self.lease_duration));
            } else {
                row("lease_id", self.lease_id.clone());
                row("lease_duration", duration::human(self.lease_duration));
                row("lease_renewable", self.renewable.to_string());
            }
        }
        if let Some(auth) = &self.auth {
            for (name, value) in auth_rows(auth) {
                row(&name, value);
            }
        }
        if let Some(info) = &self.wrap_info {
            let text = |key: &str| info.get(key).map(table::cell).unwrap_or_default();
            row("wrapping_token:", text("token"));
            row("wrapping_accessor:", text("accessor"));
            row("wrapping_token_ttl:", human(info.get("ttl").unwrap_or(&Value::Null)));
            row("wrapping_token_creation_time:", spelled_time(&text("creation_time")));
            row("wrapping_token_creation_path:", text("creation_path"));
            if !text("wrapped_accessor").is_empty() {
                row("wrapped_accessor:", text("wrapped_accessor"));
            }
        }
        if let Some(data) = self.data.as_object() {
            for (name, value) in json::sorted(data) {
                row(name, if is_duration(name) { human(value) } else { table::cell(value) });
            }
        }
        rows
    }
}

/// The values of `part` at the keys of `shape`, and those of `shape` where `part` has none.
fn shaped(part: &Map<String, Value>, mut shape: Value) -> Value {
    for (name, value) in shape.as_object_mut().into_iter().flatten() {
        if let Some(known) = part.get(name) {
            *value = known.clone();
        }
    }
    shape
}

fn auth_rows(auth: &Map<String, Value>) -> Vec<(String, String)> {
    let text = |key: &str| auth.get(key).map(table::cell).unwrap_or_default();
    let seconds = auth.get("lease_duration").and_then(Value::as_i64).unwrap_or_default();
    let lifetime = if seconds == 0 { "∞".to_owned() } else { duration::human(seconds) };
    let mut rows = vec![
        ("token".to_owned(), text("client_token")),
        ("token_accessor".to_owned(), text("accessor")),
        ("token_duration".to_owned(), lifetime),
        ("token_renewable".to_owned(), text("renewable")),
    ];
    for name in ["token_policies", "identity_policies", "policies"] {
        rows.push((name.to_owned(), table::quoted_list(auth.get(name))));
    }
    let metadata = auth.get("metadata").and_then(Value::as_object);
    for (name, value) in metadata.map(json::sorted).unwrap_or_default() {
        rows.push((format!("token_meta_{name}"), table::cell(value)));
    }
    rows
}

/// Whether a field holds seconds by its name.
fn is_duration(name: &str) -> bool {
    ["period", "ttl", "duration"].iter().any(|word| name == *word || name.ends_with(&format!("_{word}")))
        || ["lease_max", "ttl_max"].contains(&name)
}

fn human(value: &Value) -> String {
    match value.as_i64() {
        Some(seconds) => duration::human(seconds),
        None => table::cell(value),
    }
}

/// `2026-11-21T22:59:06.07Z` as `2026-11-21 22:59:06.07 +0000 UTC`, the way the reference client shows it.
fn spelled_time(time: &str) -> String {
    match time.strip_suffix('Z').and_then(|time| time.split_once('T')) {
        Some((date, clock)) => format!("{date} {clock} +0000 UTC"),
        None => time.to_owned(),
    }
}

fn strings(value: Option<&Value>) -> Vec<String> {
    let items = value.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    items.iter().map(table::cell).collect()
}
