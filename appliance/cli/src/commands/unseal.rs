//! `operator unseal`.

use serde_json::json;

use crate::call::Call;
use crate::client::Ask;
use crate::command::{Arity, Command, Output};
use crate::failure::Failure;
use crate::flags::{Flag, Kind};
use crate::prompt;

use super::status;

pub(super) static COMMANDS: [Command; 1] = [Command {
    name: "operator unseal",
    arguments: "[KEY]",
    arity: Arity::UpTo(1),
    summary: "Unseal the server",
    about: "
  Hands one unseal key to a sealed server. Without an argument the key is asked
  for at the terminal and not shown, \"-\" reads it from standard input; a key on
  the command line ends up in the shell's history and in the process list.",
    output: Output::Formats,
    flags: &[
        Flag::new("migrate", Kind::Switch, "The key takes part in a migration of the seal."),
        Flag::new("reset", Kind::Switch, "Discard the keys that were entered so far."),
    ],
    run: unseal,
}];

fn unseal(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let body = if call.flags.on("reset") {
        json!({"reset": true})
    } else {
        let key = match call.arguments.first() {
            Some(key) if key == "-" => call.console.read_input()?.trim().to_owned(),
            Some(key) => key.trim().to_owned(),
            None => prompt::secret(
                &call.flags,
                "Unseal Key",
                "The key can be given as the argument, or as \"-\" to read it from standard input",
            )?,
        };
        json!({"key": key, "reset": false, "migrate": call.flags.on("migrate")})
    };
    let client = call.client()?;
    let answer = client.object(&Ask::put("sys/unseal", body)).map_err(|fault| fault.during("Error unsealing"))?;
    let whole = status::with_leader(&client, answer).map_err(|fault| fault.during("Error checking leader status"))?;
    status::show(call, &whole)
}
