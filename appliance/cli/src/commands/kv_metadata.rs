//! `kv metadata get|put|patch|delete`.

use serde_json::{Map, Value, json};

use crate::call::Call;
use crate::client::{Ask, Client};
use crate::command::{Arity, Command, Output};
use crate::duration;
use crate::failure::Failure;
use crate::flags::{Flag, Kind};
use crate::output::{self, Format};

use super::kv::{map, path_title};
use super::kv_mount::{Located, MOUNT, locate};

const MAX_VERSIONS: Flag = Flag::new(
    "max-versions",
    Kind::Integer,
    "How many versions to keep. The default is what the engine is configured to.",
);
const CAS_REQUIRED: Flag =
    Flag::new("cas-required", Kind::Switch, "Whether every write must check the current version.");
const DELETE_AFTER: Flag = Flag::new("delete-version-after", Kind::Duration, "Time after which a version is deleted.");
const CUSTOM: Flag =
    Flag::new("custom-metadata", Kind::Pairs, "What the key is, as key=value. May be given several times.");

pub(super) static COMMANDS: [Command; 4] = [
    Command {
        name: "kv metadata get",
        arguments: "KEY",
        arity: Arity::Exactly(1),
        summary: "Retrieve key metadata from the KV store",
        about: "",
        output: Output::Formats,
        flags: &[MOUNT],
        run: get,
    },
    Command {
        name: "kv metadata put",
        arguments: "KEY",
        arity: Arity::Exactly(1),
        summary: "Set or update key settings in the KV store",
        about: "",
        output: Output::Formats,
        flags: &[MOUNT, MAX_VERSIONS, CAS_REQUIRED, DELETE_AFTER, CUSTOM],
        run: |call| write(call, Ask::put),
    },
    Command {
        name: "kv metadata patch",
        arguments: "KEY",
        arity: Arity::Exactly(1),
        summary: "Patch key settings in the KV store",
        about: "",
        output: Output::Formats,
        flags: &[
            MOUNT,
            MAX_VERSIONS,
            CAS_REQUIRED,
            DELETE_AFTER,
            CUSTOM,
            Flag::new(
                "remove-custom-metadata",
                Kind::Many,
                "Key of the custom metadata to remove. May be given several times.",
            ),
        ],
        run: |call| write(call, Ask::patch),
    },
    Command {
        name: "kv metadata delete",
        arguments: "KEY",
        arity: Arity::Exactly(1),
        summary: "Delete all versions and metadata for a key in the KV store",
        about: "",
        output: Output::Sentences,
        flags: &[MOUNT],
        run: delete,
    },
];

fn located(call: &mut Call<'_, '_>) -> Result<(Client, Located), Failure> {
    let client = call.client()?;
    let located = locate(call, &client)?;
    if !located.version_2 {
        return Err(Failure::local("Metadata not supported on KV Version 1"));
    }
    Ok((client, located))
}

fn get(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let (client, located) = located(call)?;
    let path = located.path("metadata");
    let answer =
        client.secret(&Ask::get(path.clone())).map_err(|fault| fault.during(format!("Error reading {path}")))?;
    let Some(mut secret) = answer else {
        return Err(Failure::server(format!("No value found at {path}")));
    };
    if call.format != Format::Table || secret.wrap_info.is_some() {
        return output::secret(call.console, call.format, &secret);
    }
    let versions = secret.data.as_object_mut().and_then(|data| data.remove("versions"));
    let Some(versions) = versions.as_ref().and_then(Value::as_object).filter(|versions| !versions.is_empty()) else {
        path_title(call, "Metadata Path", &path)?;
        return map(call, "Metadata", &secret.data);
    };
    path_title(call, "Metadata Path", &path)?;
    map(call, "Metadata", &secret.data)?;
    let mut numbered: Vec<_> = versions.iter().collect();
    numbered.sort_by_key(|(number, _)| number.parse::<u64>().unwrap_or(u64::MAX));
    for (number, version) in numbered {
        call.console.line("")?;
        map(call, &format!("Version {number}"), version)?;
    }
    Ok(())
}

fn write(call: &mut Call<'_, '_>, ask: fn(String, Value) -> Ask) -> Result<(), Failure> {
    let flags = &call.flags;
    let mut body = Map::new();
    let mut add = |name: &str, value: Value| body.insert(name.to_owned(), value);
    if let Some(versions) = flags.integer("max-versions").filter(|versions| *versions >= 0) {
        add("max_versions", json!(versions));
    }
    if let Some(required) = flags.choice("cas-required") {
        add("cas_required", json!(required));
    }
    if let Some(seconds) = flags.duration("delete-version-after").filter(|seconds| *seconds >= 0) {
        add("delete_version_after", json!(duration::wire(seconds)));
    }
    if flags.given("custom-metadata") || flags.given("remove-custom-metadata") {
        let set = flags.pairs("custom-metadata").into_iter().map(|(key, value)| (key.to_owned(), json!(value)));
        let removed = flags.many("remove-custom-metadata").iter().map(|key| (key.clone(), Value::Null));
        let custom: Map<String, Value> = set.chain(removed).collect();
        add("custom_metadata", Value::Object(custom));
    }
    let (client, located) = located(call)?;
    let path = located.path("metadata");
    let answer = client.secret(&ask(path.clone(), Value::Object(body)));
    match answer.map_err(|fault| fault.during(format!("Error writing data to {path}")))? {
        Some(secret) => call.show(&secret),
        None => call.say(&format!("Success! Data written to: {path}")),
    }
}

fn delete(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let (client, located) = located(call)?;
    let path = located.path("metadata");
    client.send(&Ask::delete(path.clone())).map_err(|fault| fault.during(format!("Error deleting {path}")))?;
    call.console.line(&format!("Success! Data deleted (if it existed) at: {path}"))
}
