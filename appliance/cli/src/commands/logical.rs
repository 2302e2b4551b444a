//! `read`, `write`, `patch`, `list`, `scan`, `delete`, `unwrap`: the API's verbs on any path.

use serde_json::{Value, json};

use crate::call::Call;
use crate::client::Ask;
use crate::command::{Arity, Command, Output};
use crate::failure::Failure;
use crate::flags::{Flag, Kind};
use crate::output::{self, Format};
use crate::secret::Secret;
use crate::{data, json as json_text, table};

static FORCE: [Flag; 1] =
    [Flag::new("force", Kind::Switch, "Go on without any key=value pair, for paths that need none. -f is the same.")
        .alias("f")];

static PAGING: [Flag; 3] = [
    Flag::new("detailed", Kind::Switch, "Show what the server tells about each key, where it does (VAULT_DETAILED)."),
    Flag::new("after", Kind::Text, "Start behind this key."),
    Flag::new("limit", Kind::Integer, "List at most this many keys."),
];

const DATA: &str = "
  Data is given as key=value pairs. A value that starts with \"@\" is read from
  that file, \"-\" from standard input; \"@FILE\" or \"-\" alone is a whole JSON
  object. Values on the command line end up in the shell's history and in the
  process list: prefer files or standard input for secrets.";

pub(super) static COMMANDS: [Command; 7] = [
    Command {
        name: "read",
        arguments: "PATH [K=V...]",
        arity: Arity::AtLeast(1),
        summary: "Read data and retrieve secrets",
        about: "\n      $ holdfast read cubbyhole/note\n\n  Pairs behind the path become query parameters.",
        output: Output::Fields,
        flags: &[],
        run: read,
    },
    Command {
        name: "write",
        arguments: "PATH [DATA K=V...]",
        arity: Arity::AtLeast(1),
        summary: "Write data, configuration, and secrets",
        about: DATA,
        output: Output::Fields,
        flags: &FORCE,
        run: |call| write(call, Ask::put),
    },
    Command {
        name: "patch",
        arguments: "PATH [DATA K=V...]",
        arity: Arity::AtLeast(1),
        summary: "Change some fields of data, configuration, and secrets",
        about: DATA,
        output: Output::Fields,
        flags: &FORCE,
        run: |call| write(call, Ask::patch),
    },
    Command {
        name: "list",
        arguments: "PATH",
        arity: Arity::Exactly(1),
        summary: "List data or secrets",
        about: "\n      $ holdfast list cubbyhole/",
        output: Output::Formats,
        flags: &PAGING,
        run: |call| list(call, "list"),
    },
    Command {
        name: "scan",
        arguments: "PATH",
        arity: Arity::Exactly(1),
        summary: "List data or secrets with all that is below",
        about: "",
        output: Output::Formats,
        flags: &PAGING,
        run: |call| list(call, "scan"),
    },
    Command {
        name: "delete",
        arguments: "PATH [K=V...]",
        arity: Arity::AtLeast(1),
        summary: "Delete secrets and configuration",
        about: "\n  What deleting means is up to the engine at the path.",
        output: Output::Fields,
        flags: &[],
        run: delete,
    },
    Command {
        name: "unwrap",
        arguments: "[TOKEN]",
        arity: Arity::UpTo(1),
        summary: "Unwrap a wrapped secret",
        about: "\n  Without an argument, the token in use is the wrapping token.",
        output: Output::Fields,
        flags: &[],
        run: unwrap,
    },
];

/// A path as the API takes it: without slashes around it.
pub(super) fn clean(path: &str) -> String {
    path.trim().trim_matches('/').to_owned()
}

fn with_query(mut ask: Ask, call: &mut Call<'_, '_>) -> Result<Ask, Failure> {
    let pairs = call.arguments.get(1..).unwrap_or_default().to_vec();
    for (name, value) in data::parse(&pairs, call.console)? {
        match value {
            Value::Array(items) => {
                for item in items {
                    ask = ask.query(name.clone(), table::cell(&item));
                }
            }
            single => ask = ask.query(name, table::cell(&single)),
        }
    }
    Ok(ask)
}

fn read(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let path = clean(call.argument(0));
    let ask = with_query(Ask::get(path.clone()), call)?;
    let client = call.client()?;
    let attempt = format!("Error reading {path}");
    if call.format == Format::Raw {
        let body = client.send(&ask).map_err(|fault| fault.during(&attempt))?;
        return call.console.line(&body);
    }
    match client.secret(&ask).map_err(|fault| fault.during(&attempt))? {
        Some(secret) => call.show(&secret),
        None => Err(Failure::server(format!("No value found at {path}"))),
    }
}

fn write(call: &mut Call<'_, '_>, ask: fn(String, Value) -> Ask) -> Result<(), Failure> {
    let path = clean(call.argument(0));
    let pairs = call.arguments.get(1..).unwrap_or_default().to_vec();
    let body = data::parse(&pairs, call.console)?;
    if body.is_empty() && !call.flags.on("force") {
        return Err(Failure::local("Must supply data or use -force"));
    }
    let client = call.client()?;
    let answer = client.secret(&ask(path.clone(), Value::Object(body)));
    match answer.map_err(|fault| fault.during(format!("Error writing data to {path}")))? {
        Some(secret) => call.show(&secret),
        None => call.say(&format!("Success! Data written to: {path}")),
    }
}

fn list(call: &mut Call<'_, '_>, verb: &str) -> Result<(), Failure> {
    let path = clean(call.argument(0));
    let mut ask = Ask::get(path.clone()).query(verb, "true");
    for (name, value) in [("after", call.flags.text("after")), ("limit", call.flags.text("limit"))] {
        if let Some(value) = value {
            ask = ask.query(name, value);
        }
    }
    let answer = call.client()?.secret(&ask).map_err(|fault| fault.during(format!("Error listing {path}")))?;
    show_keys(call, answer, &path)
}

/// Prints the keys of a list answer, or says that there are none.
pub(super) fn show_keys(call: &mut Call<'_, '_>, answer: Option<Secret>, path: &str) -> Result<(), Failure> {
    if let Some(secret) = &answer
        && secret.wrap_info.is_some()
    {
        return output::secret(call.console, call.format, secret);
    }
    let Some((secret, keys)) = answer.as_ref().and_then(|secret| Some((secret, secret.keys()?))) else {
        if call.format != Format::Table {
            output::machine(call.console, call.format, &json!({}), &[])?;
            return Err(Failure::Quiet(2));
        }
        return Err(Failure::server(format!("No value found at {path}")));
    };
    let detailed = call.settings().detailed()?;
    // YAML lists the keys alone, as the reference client does.
    if detailed && call.format == Format::Json {
        return output::secret(call.console, call.format, secret);
    }
    let in_columns = detailed && call.format == Format::Table;
    match secret.get("key_info").and_then(Value::as_object).filter(|_| in_columns) {
        None => output::list(call.console, call.format, keys),
        Some(info) => {
            let mut names: Vec<&str> = Vec::new();
            for entry in info.values().filter_map(Value::as_object) {
                for (name, _) in json_text::sorted(entry) {
                    if !names.contains(&name.as_str()) {
                        names.push(name);
                    }
                }
            }
            names.sort_unstable();
            let rows = keys.iter().map(|key| {
                let key = table::cell(key);
                let entry = info.get(&key);
                let cells = names
                    .iter()
                    .map(|name| entry.and_then(|entry| entry.get(name)).map(table::cell).unwrap_or_default());
                [key.clone()].into_iter().chain(cells).collect()
            });
            let rows = rows.collect();
            let header: Vec<&str> = ["Keys"].into_iter().chain(names.iter().copied()).collect();
            call.console.line(&table::with_header(&header, rows))
        }
    }
}

fn delete(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let path = clean(call.argument(0));
    let ask = with_query(Ask::delete(path.clone()), call)?;
    match call.client()?.secret(&ask).map_err(|fault| fault.during(format!("Error deleting {path}")))? {
        Some(secret) => call.show(&secret),
        None => call.say(&format!("Success! Data deleted (if it existed) at: {path}")),
    }
}

fn unwrap(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let mut client = call.client()?;
    let named = call.arguments.first().map(|token| token.trim().to_owned());
    let ask = match named.filter(|token| client.token.as_ref() != Some(token)) {
        Some(token) if client.token.is_some() => Ask::put("sys/wrapping/unwrap", json!({"token": token})),
        // Who has no other token may still get out what is under this one.
        other => {
            client.token = other.or(client.token.take());
            Ask::put_empty("sys/wrapping/unwrap")
        }
    };
    match client.secret(&ask).map_err(|fault| fault.during("Error unwrapping"))? {
        Some(secret) => match secret.keys().filter(|_| !call.flags.given("field")) {
            // What was wrapped is a list.
            Some(keys) => output::list(call.console, call.format, keys),
            None => call.show(&secret),
        },
        None => Err(Failure::server("Could not find wrapped response")),
    }
}
