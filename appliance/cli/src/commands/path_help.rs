//! `path-help`: what the server says about a path.

use serde_json::{Value, json};

use crate::call::Call;
use crate::client::Ask;
use crate::command::{Arity, Command, Output};
use crate::failure::Failure;
use crate::output::{self, Format};

use super::logical::clean;

pub(super) static COMMANDS: [Command; 1] = [Command {
    name: "path-help",
    arguments: "PATH",
    arity: Arity::Exactly(1),
    summary: "Retrieve API help for paths",
    about: "\n  With -format=json, the answer is the OpenAPI document of the path.",
    output: Output::Formats,
    flags: &[],
    run: path_help,
}];

fn path_help(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let path = clean(call.argument(0));
    let answer = call.client()?.object(&Ask::get(path).query("help", "1"));
    let answer = answer.map_err(|fault| fault.during("Error retrieving help"))?;
    if call.format == Format::Json {
        let part = |name: &str| answer.get(name).cloned().unwrap_or_default();
        let document = match part("openapi") {
            Value::Null => json!({"help": part("help"), "see_also": part("see_also"), "openapi": null}),
            document => document,
        };
        return output::machine(call.console, call.format, &document, &[]);
    }
    let help = answer.get("help").and_then(Value::as_str).unwrap_or_default();
    call.console.line(help.trim())
}
