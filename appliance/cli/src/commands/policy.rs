//! `policy write|read|list|delete|fmt`.

use serde_json::{Value, json};

use crate::call::Call;
use crate::client::Ask;
use crate::command::{Arity, Command, Output};
use crate::failure::Failure;
use crate::output::{self, Format};
use crate::{data, hcl, table};

pub(super) static COMMANDS: [Command; 5] = [
    Command {
        name: "policy write",
        arguments: "NAME PATH",
        arity: Arity::Exactly(2),
        summary: "Upload a named policy from a file",
        about: "\n  With \"-\" as the path, the policy is read from standard input.",
        output: Output::Sentences,
        flags: &[],
        run: write,
    },
    Command {
        name: "policy read",
        arguments: "NAME",
        arity: Arity::Exactly(1),
        summary: "Print the contents of a policy",
        about: "",
        output: Output::Formats,
        flags: &[],
        run: read,
    },
    Command {
        name: "policy list",
        arguments: "",
        arity: Arity::Exactly(0),
        summary: "List the installed policies",
        about: "",
        output: Output::Formats,
        flags: &[],
        run: list,
    },
    Command {
        name: "policy delete",
        arguments: "NAME",
        arity: Arity::Exactly(1),
        summary: "Delete a policy by name",
        about: "",
        output: Output::Sentences,
        flags: &[],
        run: delete,
    },
    Command {
        name: "policy fmt",
        arguments: "PATH",
        arity: Arity::Exactly(1),
        summary: "Format a policy on disk",
        about: "\n  The file is overwritten with the formatted policy.",
        output: Output::Sentences,
        flags: &[],
        run: format,
    },
];

/// Names of policies are lower case, whatever is typed.
fn name(call: &Call<'_, '_>) -> String {
    call.argument(0).trim().to_lowercase()
}

fn path(name: &str) -> String {
    format!("sys/policies/acl/{name}")
}

fn write(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let name = name(call);
    let file = call.argument(1).trim().to_owned();
    let policy = match file.as_str() {
        "-" => call.console.read_input()?,
        file => {
            data::read_file(file).map_err(|problem| Failure::local(format!("Error opening policy file: {problem}")))?
        }
    };
    let answer = call.client()?.send(&Ask::put(path(&name), json!({"policy": policy})));
    answer.map_err(|fault| fault.during("Error uploading policy"))?;
    call.console.line(&format!("Success! Uploaded policy: {name}"))
}

fn read(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let name = name(call);
    let answer = call.client()?.secret(&Ask::get(path(&name)));
    let answer = answer.map_err(|fault| fault.during(format!("Error reading policy named {name}")))?;
    let policy = answer.as_ref().and_then(|secret| secret.get("policy").or_else(|| secret.get("rules")));
    // The root policy has no text: it is not a policy that could be read.
    let Some(policy) = policy.and_then(Value::as_str).filter(|policy| !policy.is_empty()) else {
        return Err(Failure::server(format!("No policy named: {name}")));
    };
    if call.format == Format::Table {
        return call.console.line(policy.trim());
    }
    output::machine(call.console, call.format, &json!({"policy": policy}), &[])
}

fn list(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let answer = call.client()?.secret(&Ask::list("sys/policies/acl"));
    let answer = answer.map_err(|fault| fault.during("Error listing policies"))?;
    let keys = answer.as_ref().and_then(|secret| secret.keys()).unwrap_or_default().to_vec();
    if call.format != Format::Table {
        return output::machine(call.console, call.format, &Value::Array(keys), &[]);
    }
    keys.iter().try_for_each(|key| call.console.line(&table::cell(key)))
}

fn delete(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let name = name(call);
    let answer = call.client()?.send(&Ask::delete(path(&name)));
    answer.map_err(|fault| fault.during(format!("Error deleting {name}")))?;
    call.console.line(&format!("Success! Deleted policy: {name}"))
}

fn format(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let path = call.argument(0).trim().to_owned();
    let policy = data::read_file(&path).map_err(Failure::local)?;
    let formatted =
        hcl::format(&policy).map_err(|problem| Failure::local(format!("Error parsing policy {path}: {problem}")))?;
    if formatted != policy {
        std::fs::write(&path, formatted).map_err(|error| Failure::local(format!("Error writing result: {error}")))?;
    }
    call.console.line(&format!("Success! Formatted policy: {path}"))
}
