//! Answers on standard output: table, JSON or YAML.

use serde_json::Value;

use crate::command::wrap;
use crate::console::Console;
use crate::failure::Failure;
use crate::secret::Secret;
use crate::{json, table, yaml};

/// How an answer is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Table,
    Json,
    Yaml,
    /// The bytes of the answer; `read` alone.
    Raw,
}

impl Format {
    /// The format of that name.
    pub(crate) fn named(name: &str, raw_allowed: bool) -> Result<Self, Failure> {
        match name.to_ascii_lowercase().as_str() {
            "table" => Ok(Self::Table),
            "json" => Ok(Self::Json),
            "yaml" | "yml" => Ok(Self::Yaml),
            "raw" if raw_allowed => Ok(Self::Raw),
            _ => Err(Failure::local(format!("Invalid output format: {name}"))),
        }
    }
}

/// A value in a machine format. `order`: see [`json::pretty`].
pub(crate) fn machine(console: &mut Console<'_>, format: Format, value: &Value, order: &[&str]) -> Result<(), Failure> {
    match format {
        Format::Yaml => console.raw(&yaml::emit(value)),
        _ => console.line(&json::pretty(value, order)),
    }
}

/// An object as `Key Value` rows or in a machine format.
pub(crate) fn object(console: &mut Console<'_>, format: Format, value: &Value, order: &[&str]) -> Result<(), Failure> {
    if format != Format::Table {
        return machine(console, format, value, order);
    }
    let entries = value.as_object().map(json::sorted).unwrap_or_default();
    let rows = entries.into_iter().map(|(name, value)| vec![name.clone(), table::cell(value)]).collect();
    console.line(&table::with_header(&["Key", "Value"], rows))
}

/// A whole answer. Warnings go to standard error in table format and stay inside the others.
pub(crate) fn secret(console: &mut Console<'_>, format: Format, secret: &Secret) -> Result<(), Failure> {
    if format != Format::Table {
        return machine(console, format, &secret.envelope(), &Secret::ORDER);
    }
    warnings(console, secret);
    console.line(&table::with_header(&["Key", "Value"], secret.rows()))
}

/// A list of keys.
pub(crate) fn list(console: &mut Console<'_>, format: Format, keys: &[Value]) -> Result<(), Failure> {
    if format != Format::Table {
        return machine(console, format, &Value::Array(keys.to_vec()), &[]);
    }
    console.line(&table::with_header(&["Keys"], keys.iter().map(|key| vec![table::cell(key)]).collect()))
}

/// One field: as it is in table format, without a line end, so that it can be piped; else in the format.
pub(crate) fn field(console: &mut Console<'_>, format: Format, value: &Value) -> Result<(), Failure> {
    match format {
        Format::Json => console.raw(&json::pretty(value, &[])),
        Format::Yaml => console.raw(&yaml::emit(value)),
        Format::Table | Format::Raw => console.raw(&table::cell(value)),
    }
}

/// What the server wants people to know.
pub(crate) fn warnings(console: &mut Console<'_>, secret: &Secret) {
    if secret.warnings.is_empty() {
        return;
    }
    console.warn("WARNING! The following warnings were returned from the server:\n");
    for warning in &secret.warnings {
        let wrapped = wrap(warning, 4);
        console.warn(&format!("  * {}", wrapped.trim()));
    }
    console.warn("");
}
