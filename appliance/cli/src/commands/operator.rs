//! `operator seal|key-status|rotate|step-down`.

use serde_json::Value;

use crate::call::Call;
use crate::client::{Ask, Client};
use crate::command::{Arity, Command, Output};
use crate::failure::Failure;
use crate::output::Format;
use crate::table;

use super::status::show_rows;

pub(super) static COMMANDS: [Command; 4] = [
    Command {
        name: "operator seal",
        arguments: "",
        arity: Arity::Exactly(0),
        summary: "Seal the server",
        about: "\n  A sealed server has dropped its keys from memory and answers nothing until it\n  is unsealed.",
        output: Output::Sentences,
        flags: &[],
        run: seal,
    },
    Command {
        name: "operator key-status",
        arguments: "",
        arity: Arity::Exactly(0),
        summary: "Provide information about the active encryption key",
        about: "",
        output: Output::Formats,
        flags: &[],
        run: key_status,
    },
    Command {
        name: "operator rotate",
        arguments: "",
        arity: Arity::Exactly(0),
        summary: "Rotate the underlying encryption key",
        about: "\n  New data is encrypted by a new key; old keys stay to read what they encrypted.",
        output: Output::Formats,
        flags: &[],
        run: rotate,
    },
    Command {
        name: "operator step-down",
        arguments: "",
        arity: Arity::Exactly(0),
        summary: "Force the server to resign active duty",
        about: "",
        output: Output::Sentences,
        flags: &[],
        run: step_down,
    },
];

fn seal(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    call.client()?.send(&Ask::put_empty("sys/seal")).map_err(|fault| fault.during("Error sealing"))?;
    call.console.line("Success! Vault is sealed.")
}

fn step_down(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let client = call.client()?;
    client.send(&Ask::put_empty("sys/step-down")).map_err(|fault| fault.during("Error stepping down"))?;
    call.console.line(&format!("Success! Stepped down: {}", client.address()))
}

fn key_status(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let client = call.client()?;
    show_key(call, &client)
}

fn rotate(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let client = call.client()?;
    client.send(&Ask::put_empty("sys/rotate")).map_err(|fault| fault.during("Error rotating key"))?;
    if call.format == Format::Table {
        call.console.line("Success! Rotated key\n")?;
    }
    show_key(call, &client)
}

fn show_key(call: &mut Call<'_, '_>, client: &Client) -> Result<(), Failure> {
    let answer =
        client.secret(&Ask::get("sys/key-status")).map_err(|fault| fault.during("Error reading key status"))?;
    let status = answer.map(|secret| secret.data).unwrap_or_default();
    let text = |name: &str| status.get(name).map(table::cell).unwrap_or_default();
    let rows = vec![
        vec!["Key Term".to_owned(), text("term")],
        vec!["Install Time".to_owned(), short_time(&text("install_time"))],
        vec!["Encryption Count".to_owned(), text("encryptions")],
    ];
    let known: serde_json::Map<String, Value> = ["term", "install_time", "encryptions"]
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), status.get(name)?.clone())))
        .collect();
    show_rows(call, None, rows, &Value::Object(known), &["term", "install_time", "encryptions"])
}

/// `2026-11-21T22:56:40.7Z` as `21 Nov 26 22:56 UTC`; anything else as it is.
fn short_time(time: &str) -> String {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let parts = || {
        let (date, clock) = time.strip_suffix('Z')?.split_once('T')?;
        let mut date = date.split('-');
        let (year, month, day) = (date.next()?, date.next()?, date.next()?);
        let month = MONTHS.get(month.parse::<usize>().ok()?.checked_sub(1)?)?;
        Some(format!("{day} {month} {} {} UTC", year.get(2..)?, clock.get(..5)?))
    };
    parts().unwrap_or_else(|| time.to_owned())
}

#[cfg(test)]
mod tests {
    use super::short_time;

    #[test]
    fn times_are_short_for_people() {
        assert_eq!(short_time("2026-11-21T22:56:40.78631779Z"), "21 Nov 26 22:56 UTC");
        assert_eq!(short_time("soon"), "soon");
    }
}
