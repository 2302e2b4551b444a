//! `kv delete|undelete|destroy|rollback`: versions of a key.

use serde_json::{Value, json};

use crate::call::Call;
use crate::client::Ask;
use crate::command::{Arity, Command, Output};
use crate::failure::Failure;
use crate::flags::{Flag, Kind};
use crate::secret::Secret;

use super::kv_mount::{MOUNT, locate};

const VERSIONS: Flag =
    Flag::new("versions", Kind::Many, "Numbers of versions, with commas between them. May be given several times.");

pub(super) static COMMANDS: [Command; 4] = [
    Command {
        name: "kv delete",
        arguments: "KEY",
        arity: Arity::Exactly(1),
        summary: "Delete versions in the KV store",
        about: "\n  A deleted version can be undeleted. Without -versions, the current one is\n  deleted.",
        output: Output::Fields,
        flags: &[MOUNT, VERSIONS],
        run: delete,
    },
    Command {
        name: "kv undelete",
        arguments: "KEY",
        arity: Arity::Exactly(1),
        summary: "Undelete versions in the KV store",
        about: "",
        output: Output::Formats,
        flags: &[MOUNT, VERSIONS],
        run: |call| change(call, "undelete", "Undelete"),
    },
    Command {
        name: "kv destroy",
        arguments: "KEY",
        arity: Arity::Exactly(1),
        summary: "Permanently remove versions in the KV store",
        about: "",
        output: Output::Formats,
        flags: &[MOUNT, VERSIONS],
        run: |call| change(call, "destroy", "Destroy"),
    },
    Command {
        name: "kv rollback",
        arguments: "KEY",
        arity: Arity::Exactly(1),
        summary: "Roll back to a previous version of data",
        about: "\n  The old data is written as a new version.",
        output: Output::Formats,
        flags: &[MOUNT, Flag::new("version", Kind::Integer, "The version to make current again.")],
        run: rollback,
    },
];

/// The numbers of `-versions`.
fn versions(call: &Call<'_, '_>) -> Result<Vec<String>, Failure> {
    let mut versions = Vec::new();
    for version in call.flags.many("versions").iter().flat_map(|given| given.split(',')) {
        let version = version.trim();
        if version.is_empty() || !version.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Failure::local(format!("invalid version {version:?} in -versions: must be a whole number")));
        }
        versions.push(version.to_owned());
    }
    Ok(versions)
}

fn delete(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let versions = versions(call)?;
    let client = call.client()?;
    let located = locate(call, &client)?;
    let path = located.path("data");
    let ask = if located.version_2 && !versions.is_empty() {
        Ask::put(located.path("delete"), json!({"versions": versions}))
    } else {
        Ask::delete(path.clone())
    };
    let answer = client.secret(&ask).map_err(|fault| fault.during(format!("Error deleting {path}")))?;
    finish(call, answer, &format!("Success! Data deleted (if it existed) at: {path}"))
}

fn change(call: &mut Call<'_, '_>, aspect: &str, verb: &str) -> Result<(), Failure> {
    let versions = versions(call)?;
    if versions.is_empty() {
        return Err(Failure::local("No versions provided, use the \"-versions\" flag to specify the versions"));
    }
    let client = call.client()?;
    let located = locate(call, &client)?;
    if !located.version_2 {
        return Err(Failure::local(format!("{verb} not supported on KV Version 1")));
    }
    let path = located.path(aspect);
    let answer = client.secret(&Ask::put(path.clone(), json!({"versions": versions})));
    let answer = answer.map_err(|fault| fault.during(format!("Error writing data to {path}")))?;
    finish(call, answer, &format!("Success! Data written to: {path}"))
}

fn finish(call: &mut Call<'_, '_>, answer: Option<Secret>, said: &str) -> Result<(), Failure> {
    match answer {
        Some(secret) => call.show(&secret),
        None => call.say(said),
    }
}

fn rollback(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let version = match call.flags.integer("version") {
        None => return Err(Failure::local("Version flag must be specified")),
        Some(version) if version < 1 => {
            return Err(Failure::local(format!("Invalid value {version:?} for the version flag")));
        }
        Some(version) => version,
    };
    let client = call.client()?;
    let located = locate(call, &client)?;
    if !located.version_2 {
        return Err(Failure::server("K/V engine mount must be version 2 for rollback support"));
    }
    let path = located.path("data");
    let attempt = format!("Error doing pre-read at {path}");
    let read = |ask: Ask| -> Result<Option<Secret>, Failure> {
        // These two reads make the write, so they are sent even where the write is only shown.
        client.secret_always(&ask.unwrapped()).map_err(|fault| fault.during(&attempt))
    };
    let number =
        |secret: &Secret| secret.get("metadata").and_then(|metadata| metadata.get("version")).and_then(Value::as_i64);
    let current = read(Ask::get(&path))?.as_ref().and_then(number);
    let Some(current) = current else {
        return Err(Failure::server(format!("No value found at {path}; rollback only works on existing data")));
    };
    let old = read(Ask::get(&path).query("version", version.to_string()))?;
    let Some(data) = old.as_ref().and_then(|secret| secret.get("data")).filter(|data| data.is_object()) else {
        return Err(Failure::server(format!(
            "No value found at {path}, version {version}: it does not exist, is deleted or destroyed"
        )));
    };
    let body = json!({"data": data, "options": {"cas": current}});
    let answer = client.secret(&Ask::put(path.clone(), body));
    let answer = answer.map_err(|fault| fault.during(format!("Error writing data to {path}")))?;
    finish(call, answer, &format!("Success! Data written to: {path}"))
}
