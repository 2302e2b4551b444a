//! `kv put|get|patch|list|enable-versioning`.

use serde_json::{Map, Value, json};

use crate::call::{Call, missing_field};
use crate::client::{Ask, Client, Fault};
use crate::command::{Arity, Command, Output};
use crate::failure::Failure;
use crate::flags::{Flag, Kind};
use crate::output::{self, Format};
use crate::secret::Secret;
use crate::{data, json as json_text, table};

use super::kv_mount::{Located, MOUNT, locate};
use super::logical::{clean, show_keys};

const CAS: Flag = Flag::new(
    "cas",
    Kind::Integer,
    "Write only if this is the current version of the key; 0: only if there is no such key yet.",
);

const DATA: &str = "
      $ holdfast kv put -mount=secret app user=ada password=@password

  A value that starts with \"@\" is read from that file, \"-\" from standard input;
  \"@FILE\" or \"-\" alone is a whole JSON object. Values on the command line end up
  in the shell's history and in the process list: prefer files or standard input.";

pub(super) static COMMANDS: [Command; 6] = [
    Command {
        name: "kv put",
        arguments: "KEY [DATA]",
        arity: Arity::AtLeast(1),
        summary: "Set or update data in the KV store",
        about: DATA,
        output: Output::Fields,
        flags: &[MOUNT, CAS],
        run: put,
    },
    Command {
        name: "kv get",
        arguments: "KEY",
        arity: Arity::Exactly(1),
        summary: "Retrieve data from the KV store",
        about: "\n      $ holdfast kv get -mount=secret -field=password app",
        output: Output::Fields,
        flags: &[MOUNT, Flag::new("version", Kind::Integer, "The version to read. The default is the current one.")],
        run: get,
    },
    Command {
        name: "kv patch",
        arguments: "KEY [DATA]",
        arity: Arity::AtLeast(1),
        summary: "Update data in the KV store without overwriting the rest",
        about: DATA,
        output: Output::Fields,
        flags: &[
            MOUNT,
            CAS,
            Flag::new(
                "method",
                Kind::Text,
                "patch: the server merges. rw: this client reads, merges and writes. The default is patch, and rw where the token may not patch.",
            )
            .offers(&["patch", "rw"]),
            Flag::new("remove-data", Kind::Many, "Field to remove. May be given several times."),
        ],
        run: patch,
    },
    Command {
        name: "kv list",
        arguments: "PATH",
        arity: Arity::UpTo(1),
        summary: "List data or secrets",
        about: "",
        output: Output::Formats,
        flags: &[MOUNT],
        run: |call| list(call, "list"),
    },
    Command {
        name: "kv scan",
        arguments: "PATH",
        arity: Arity::UpTo(1),
        summary: "List data or secrets with all that is below",
        about: "",
        output: Output::Formats,
        flags: &[MOUNT],
        run: |call| list(call, "scan"),
    },
    Command {
        name: "kv enable-versioning",
        arguments: "PATH",
        arity: Arity::Exactly(1),
        summary: "Turn on versioning for a KV store",
        about: "",
        output: Output::Formats,
        flags: &[],
        run: enable_versioning,
    },
];

fn put(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let pairs = call.arguments.get(1..).unwrap_or_default().to_vec();
    let values = data::parse(&pairs, call.console)?;
    if values.is_empty() && pairs.is_empty() {
        return Err(Failure::local("Must supply data"));
    }
    let client = call.client()?;
    let located = locate(call, &client)?;
    let body =
        if located.version_2 { json!({"data": values, "options": cas(call, -1)}) } else { Value::Object(values) };
    let path = located.path("data");
    let answer = client.secret(&Ask::put(path.clone(), body));
    written(call, &located, answer.map_err(|fault| fault.during(format!("Error writing data to {path}")))?)
}

/// The options of a write. `unset` is the value of `-cas` that means no check, besides its absence.
fn cas(call: &Call<'_, '_>, unset: i64) -> Value {
    match call.flags.integer("cas") {
        Some(version) if version != unset => json!({"cas": version}),
        _ => json!({}),
    }
}

/// Shows what a write answered.
fn written(call: &mut Call<'_, '_>, located: &Located, answer: Option<Secret>) -> Result<(), Failure> {
    let path = located.path("data");
    let Some(secret) = answer else {
        return call.say(&format!("Success! Data written to: {path}"));
    };
    let plain = call.format == Format::Table && !call.flags.given("field") && secret.wrap_info.is_none();
    if !plain || !located.version_2 {
        return call.show(&secret);
    }
    path_title(call, "Secret Path", &path)?;
    output::warnings(call.console, &secret);
    map(call, "Metadata", &secret.data)
}

fn get(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let client = call.client()?;
    let located = locate(call, &client)?;
    let path = located.path("data");
    let mut ask = Ask::get(path.clone());
    if let Some(version) = call.flags.integer("version").filter(|_| located.version_2) {
        ask = ask.query("version", version.to_string());
    }
    let answer = client.secret(&ask).map_err(|fault| fault.during(format!("Error reading {path}")))?;
    let Some(secret) = answer else {
        return Err(Failure::server(format!("No value found at {path}")));
    };
    let values = secret.get("data").cloned().unwrap_or_default();
    if let Some(field) = call.flags.text("field").map(str::to_owned).filter(|_| secret.wrap_info.is_none()) {
        return show_field(call, &secret, &values, located.version_2, &field, &path);
    }
    if call.format != Format::Table || secret.wrap_info.is_some() {
        return call.show(&secret);
    }
    output::warnings(call.console, &secret);
    if !located.version_2 {
        return map(call, "Data", &secret.data);
    }
    path_title(call, "Secret Path", &path)?;
    if let Some(metadata) = secret.get("metadata").filter(|metadata| metadata.is_object()) {
        map(call, "Metadata", metadata)?;
        call.console.line("")?;
    }
    if values.is_object() { map(call, "Data", &values) } else { Ok(()) }
}

fn show_field(
    call: &mut Call<'_, '_>,
    secret: &Secret,
    values: &Value,
    version_2: bool,
    field: &str,
    path: &str,
) -> Result<(), Failure> {
    if !version_2 {
        return call.show(secret);
    }
    let Some(fields) = values.as_object() else {
        return Err(Failure::server(format!("No data found at {path}")));
    };
    match fields.get(field) {
        Some(value) => output::field(call.console, call.format, value),
        // All fields, for a secret that has none of this name.
        None if field == "data" => output::field(call.console, call.format, values),
        None => Err(missing_field(field, "map")),
    }
}

fn patch(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let pairs = call.arguments.get(1..).unwrap_or_default().to_vec();
    let removed = call.flags.many("remove-data").to_vec();
    let mut values = data::parse(&pairs, call.console)?;
    if values.is_empty() && removed.is_empty() {
        return Err(Failure::local("Must supply data"));
    }
    if let Some(both) = removed.iter().find(|key| values.contains_key(*key)) {
        return Err(Failure::local(format!("field {both:?} is both set and removed")));
    }
    let method = call.flags.text("method").unwrap_or_default().to_owned();
    if !["", "patch", "rw"].contains(&method.as_str()) {
        return Err(Failure::local(format!(
            "Unsupported method provided to -method flag: {method}. It is patch or rw"
        )));
    }
    let client = call.client()?;
    let located = locate(call, &client)?;
    if !located.version_2 {
        return Err(Failure::server("K/V engine mount must be version 2 for patch support"));
    }
    let path = located.path("data");
    let attempt = format!("Error writing data to {path}");
    if method == "rw" {
        let answer = read_then_write(call, &client, &path, values, &removed)?;
        return written(call, &located, answer);
    }
    values.extend(removed.iter().map(|key| (key.clone(), Value::Null)));
    let body = json!({"data": values, "options": cas(call, 0)});
    let answer = match client.secret(&Ask::patch(path.clone(), body)) {
        // The token may lack `patch`, or the server not know it; neither has changed anything.
        Err(fault @ Fault::Refused { status: 403 | 405, .. }) if method.is_empty() => {
            values.retain(|_, value| !value.is_null());
            read_then_write(call, &client, &path, values, &removed).map_err(|failure| match failure {
                // The first refusal is the one that says what is missing.
                Failure::Server(_) => fault.during(&attempt),
                other => other,
            })?
        }
        answer => answer.map_err(|fault| fault.during(&attempt))?,
    };
    written(call, &located, answer)
}

/// Merges here, and writes under the condition that nobody wrote in between.
fn read_then_write(
    call: &Call<'_, '_>,
    client: &Client,
    path: &str,
    values: Map<String, Value>,
    removed: &[String],
) -> Result<Option<Secret>, Failure> {
    let found = client
        .secret_always(&Ask::get(path).unwrapped())
        .map_err(|fault| fault.during(format!("Error doing pre-read at {path}")))?
        .unwrap_or_default();
    let Some(mut merged) = found.get("data").and_then(Value::as_object).cloned() else {
        return Err(Failure::server(format!("No value found at {path}")));
    };
    merged.extend(values);
    merged.retain(|key, _| !removed.contains(key));
    let current = found.get("metadata").and_then(|metadata| metadata.get("version")).and_then(Value::as_i64);
    let version = match (call.flags.integer("cas").filter(|cas| *cas > 0), current) {
        (Some(asked), _) => asked,
        (None, Some(current)) => current,
        (None, None) => return Err(Failure::server(format!("the server did not tell the version of {path}"))),
    };
    let body = json!({"data": merged, "options": {"cas": version}});
    client.secret(&Ask::put(path, body)).map_err(|fault| fault.during(format!("Error writing data to {path}")))
}

fn list(call: &mut Call<'_, '_>, verb: &str) -> Result<(), Failure> {
    if call.arguments.is_empty() && !call.flags.given("mount") {
        return Err(Failure::local("Not enough arguments (expected 1, got 0)"));
    }
    let client = call.client()?;
    let located = locate(call, &client)?;
    let path = located.path("metadata");
    let answer = client.secret(&Ask::get(path.clone()).query(verb, "true"));
    show_keys(call, answer.map_err(|fault| fault.during(format!("Error listing {path}")))?, &path)
}

fn enable_versioning(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let path = clean(call.argument(0));
    let ask = Ask::post(format!("sys/mounts/{path}/tune"), json!({"options": {"version": "2"}}));
    call.client()?.send(&ask).map_err(|fault| fault.during(format!("Error tuning secrets engine {path}/")))?;
    call.console.line(&format!("Success! Tuned the secrets engine at: {path}/"))
}

/// The path of what follows, under its title.
pub(super) fn path_title(call: &mut Call<'_, '_>, title: &str, path: &str) -> Result<(), Failure> {
    call.console.line(&format!("{}\n{path}\n", table::title(title, path.len())))
}

/// An object as rows under a title.
pub(super) fn map(call: &mut Call<'_, '_>, title: &str, object: &Value) -> Result<(), Failure> {
    let entries = object.as_object().map(json_text::sorted).unwrap_or_default();
    let longest = entries.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    // Four spaces and "Value" stand behind the longest key.
    call.console.line(&table::title(title, longest + 9))?;
    output::object(call.console, Format::Table, object, &[])
}
