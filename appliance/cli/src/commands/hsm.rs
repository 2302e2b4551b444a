//! `hsm coverage`: what the seal wraps of the store, as the server sees it. The other `hsm` commands need no server.

use serde_json::Value;

use crate::call::Call;
use crate::client::Ask;
use crate::command::{Arity, Command, Output};
use crate::failure::Failure;
use crate::flags::{Flag, Kind};
use crate::output::{self, Format};
use crate::table;

pub(super) static COMMANDS: [Command; 1] = [Command {
    name: "hsm coverage",
    arguments: "",
    arity: Arity::Exactly(0),
    summary: "Print which records the HSM wraps",
    about: "
  For each mount and prefix: how many records are wrapped by the key in use,
  by other keys, not wrapped, and not readable. The exit code is 2 unless
  every critical record is wrapped by the key in use.",
    output: Output::Formats,
    flags: &[Flag::new("verify", Kind::Switch, "Open every value as well, by the HSM where it is wrapped.")],
    run: coverage,
}];

fn coverage(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let path = if call.flags.on("verify") { "sys/sealwrap/coverage?verify=true" } else { "sys/sealwrap/coverage" };
    let answer = call.client()?.secret(&Ask::get(path)).map_err(|fault| fault.during("Error reading the coverage"))?;
    let report = answer.map(|secret| secret.data).unwrap_or_default();
    if call.format != Format::Table {
        output::machine(call.console, call.format, &report, &[])?;
    } else {
        call.console.line(&text(&report))?;
    }
    match report.get("fully_wrapped") {
        Some(Value::Bool(true)) => Ok(()),
        _ => Err(Failure::Quiet(2)),
    }
}

fn text(report: &Value) -> String {
    let cell =
        |object: &Value, name: &str| object.get(name).filter(|v| !v.is_null()).map(table::cell).unwrap_or_default();
    let others = |row: &Value| -> u64 {
        let keys = row.get("by_other_keys").and_then(Value::as_object).into_iter().flatten();
        keys.filter_map(|(_, count)| count.as_u64()).sum()
    };
    let line = |row: &Value, mount: String, prefix: String| {
        let mut cells = vec![mount, prefix, cell(row, "critical"), cell(row, "wrapped"), others(row).to_string()];
        cells.extend([cell(row, "unwrapped"), cell(row, "unreadable")]);
        cells
    };
    let rows = report.get("rows").and_then(Value::as_array).into_iter().flatten();
    let mut rows: Vec<Vec<String>> = rows.map(|row| line(row, cell(row, "mount"), cell(row, "prefix"))).collect();
    if let Some(total) = report.get("total") {
        rows.push(line(total, "(all)".to_owned(), String::new()));
    }
    let header = ["Mount", "Prefix", "Critical", "Wrapped", "Other keys", "Unwrapped", "Unreadable"];
    let keys = format!("Keys: {}\nRoot key under: {}\n", cell(report, "keys"), cell(report, "root_key"));
    format!("{keys}\n{}", table::with_header(&header, rows))
}
