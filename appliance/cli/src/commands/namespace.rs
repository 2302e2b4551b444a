//! `namespace list|create|lookup|patch|delete`.

use serde_json::{Map, Value, json};

use crate::call::Call;
use crate::client::Ask;
use crate::command::{Arity, Command, Output};
use crate::failure::Failure;
use crate::flags::{Flag, Kind};
use crate::output::{self, Format};
use crate::secret::Secret;

use super::logical::{clean, show_keys};

const METADATA: Flag =
    Flag::new("custom-metadata", Kind::Pairs, "What the namespace is, as key=value. May be given several times.");

pub(super) static COMMANDS: [Command; 5] = [
    Command {
        name: "namespace list",
        arguments: "",
        arity: Arity::Exactly(0),
        summary: "List child namespaces",
        about: "",
        output: Output::Formats,
        flags: &[Flag::new("detailed", Kind::Switch, "Show what each namespace is.")],
        run: list,
    },
    Command {
        name: "namespace create",
        arguments: "PATH",
        arity: Arity::Exactly(1),
        summary: "Create a new namespace",
        about: "\n  The path is relative to the namespace of the request.",
        output: Output::Fields,
        flags: &[METADATA],
        run: create,
    },
    Command {
        name: "namespace lookup",
        arguments: "PATH",
        arity: Arity::Exactly(1),
        summary: "Look up an existing namespace",
        about: "",
        output: Output::Formats,
        flags: &[],
        run: lookup,
    },
    Command {
        name: "namespace patch",
        arguments: "PATH",
        arity: Arity::Exactly(1),
        summary: "Change the metadata of a namespace",
        about: "",
        output: Output::Fields,
        flags: &[
            METADATA,
            Flag::new("remove-custom-metadata", Kind::Many, "Key to remove. May be given several times."),
        ],
        run: patch,
    },
    Command {
        name: "namespace delete",
        arguments: "PATH",
        arity: Arity::Exactly(1),
        summary: "Delete an existing namespace",
        about: "",
        output: Output::Sentences,
        flags: &[],
        run: delete,
    },
];

fn path(call: &Call<'_, '_>) -> String {
    format!("sys/namespaces/{}", clean(call.argument(0)))
}

fn show(call: &mut Call<'_, '_>, answer: Option<Secret>) -> Result<(), Failure> {
    match answer {
        Some(secret) if secret.wrap_info.is_some() => call.show(&secret),
        Some(secret) => call.show_object(&secret.data, &[]),
        None => Err(Failure::server("Namespace not found")),
    }
}

fn list(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let answer = call.client()?.secret(&Ask::list("sys/namespaces"));
    let answer = answer.map_err(|fault| fault.during("Error listing namespaces"))?;
    if call.format == Format::Table
        && answer.as_ref().is_none_or(|secret| secret.keys().is_none() && secret.wrap_info.is_none())
    {
        return Err(Failure::server("No namespaces found"));
    }
    let info = answer.as_ref().and_then(|secret| secret.get("key_info")).filter(|_| call.flags.on("detailed"));
    match info {
        Some(info) if call.format != Format::Table => output::machine(call.console, call.format, info, &[]),
        _ => show_keys(call, answer, ""),
    }
}

fn create(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let metadata: Map<String, Value> = metadata(call);
    let ask = Ask::post(path(call), json!({"custom_metadata": metadata}));
    let answer = call.client()?.secret(&ask).map_err(|fault| fault.during("Error creating namespace"))?;
    show(call, answer)
}

fn lookup(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let ask = Ask::get(path(call));
    let answer = call.client()?.secret(&ask).map_err(|fault| fault.during("Error looking up namespace"))?;
    show(call, answer)
}

fn patch(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let mut metadata = metadata(call);
    for key in call.flags.many("remove-custom-metadata") {
        metadata.insert(key.clone(), Value::Null);
    }
    let ask = Ask::patch(path(call), json!({"custom_metadata": metadata}));
    let answer = call.client()?.secret(&ask).map_err(|fault| fault.during("Error patching namespace"))?;
    show(call, answer)
}

fn delete(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let shown = format!("{}/", clean(call.argument(0)));
    let ask = Ask::delete(path(call));
    let answer = call.client()?.secret(&ask).map_err(|fault| fault.during("Error deleting namespace"))?;
    match answer {
        Some(secret) if secret.warnings.is_empty() => {
            call.console.line(&format!("Success! Namespace deletion scheduled: {shown}"))
        }
        Some(secret) => {
            secret.warnings.iter().for_each(|warning| call.console.warn(warning));
            Ok(())
        }
        None => call.console.line(&format!("Success! Namespace deleted: {shown}")),
    }
}

fn metadata(call: &Call<'_, '_>) -> Map<String, Value> {
    call.flags.pairs("custom-metadata").into_iter().map(|(key, value)| (key.to_owned(), json!(value))).collect()
}
