//! `audit enable|disable|list`.

use serde_json::{Map, Value, json};

use crate::call::Call;
use crate::client::Ask;
use crate::command::{Arity, Command, Output};
use crate::failure::Failure;
use crate::flags::{Flag, Kind};
use crate::output::{self, Format};
use crate::{data, json as json_text, table};

use super::logical::clean;
use super::status::flag;

pub(super) static COMMANDS: [Command; 3] = [
    Command {
        name: "audit enable",
        arguments: "TYPE [CONFIG K=V...]",
        arity: Arity::AtLeast(1),
        summary: "Enable an audit device",
        about: "\n      $ holdfast audit enable file file_path=/var/log/audit.log",
        output: Output::Sentences,
        flags: &[
            Flag::new("description", Kind::Text, "What this audit device is for."),
            Flag::new("local", Kind::Switch, "Keep the device to this server; it is not replicated."),
            Flag::new("path", Kind::Text, "Name of the device. The default is its type."),
        ],
        run: enable,
    },
    Command {
        name: "audit disable",
        arguments: "PATH",
        arity: Arity::Exactly(1),
        summary: "Disable an audit device",
        about: "\n  The argument is the path of the device, not its type.",
        output: Output::Sentences,
        flags: &[],
        run: disable,
    },
    Command {
        name: "audit list",
        arguments: "",
        arity: Arity::Exactly(0),
        summary: "List enabled audit devices",
        about: "",
        output: Output::Formats,
        flags: &[Flag::new("detailed", Kind::Switch, "Show the options of each device too.")],
        run: list,
    },
];

fn enable(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let kind = call.argument(0).trim().to_owned();
    let path = clean(call.flags.text("path").unwrap_or(&kind));
    let pairs = call.arguments.get(1..).unwrap_or_default().to_vec();
    let options = data::parse_texts(&pairs, call.console)?;
    let body = json!({
        "type": kind,
        "description": call.flags.text("description").unwrap_or_default(),
        "options": options,
        "local": call.flags.on("local"),
    });
    let answer = call.client()?.send(&Ask::put(format!("sys/audit/{path}"), body));
    answer.map_err(|fault| fault.during("Error enabling audit device"))?;
    call.console.line(&format!("Success! Enabled the {kind} audit device at: {path}/"))
}

fn disable(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let path = clean(call.argument(0));
    let answer = call.client()?.send(&Ask::delete(format!("sys/audit/{path}")));
    answer.map_err(|fault| fault.during(format!("Error disabling audit device at {path}/")))?;
    call.console.line(&format!("Success! Disabled audit device (if it was enabled) at: {path}/"))
}

fn list(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let answer = call.client()?.secret(&Ask::get("sys/audit"));
    let answer = answer.map_err(|fault| fault.during("Error listing audits"))?;
    let devices: Map<String, Value> = answer.and_then(|secret| secret.data.as_object().cloned()).unwrap_or_default();
    if call.format != Format::Table {
        return output::machine(call.console, call.format, &Value::Object(devices), &[]);
    }
    if devices.is_empty() {
        call.console.line("No audit devices are enabled.")?;
        return Err(Failure::Quiet(2));
    }
    let detailed = call.flags.on("detailed");
    let rows = json_text::sorted(&devices).into_iter().map(|(path, device)| {
        let text = |name: &str| device.get(name).map(table::cell).unwrap_or_default();
        let mut row = vec![path.clone(), text("type"), text("description")];
        if detailed {
            row.push(if flag(device, "local") { "local" } else { "replicated" }.to_owned());
            let options = device.get("options").and_then(Value::as_object).map(json_text::sorted).unwrap_or_default();
            let shown: Vec<String> =
                options.into_iter().map(|(name, value)| format!("{name}={}", table::cell(value))).collect();
            row.push(shown.join(" "));
        }
        row
    });
    let rows = rows.collect();
    let header: &[&str] = if detailed {
        &["Path", "Type", "Description", "Replication", "Options"]
    } else {
        &["Path", "Type", "Description"]
    };
    call.console.line(&table::with_header(header, rows))
}
