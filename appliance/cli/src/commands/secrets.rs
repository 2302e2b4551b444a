//! `secrets enable|disable|list|move|tune`.

use crate::call::Call;
use crate::client::Ask;
use crate::command::{Arity, Command, Output};
use crate::failure::Failure;
use crate::flags::{Flag, Kind};

use super::logical::clean;
use super::mounts;

pub(super) static COMMANDS: [Command; 5] = [
    Command {
        name: "secrets enable",
        arguments: "TYPE",
        arity: Arity::Exactly(1),
        summary: "Enable a secrets engine",
        about: "\n      $ holdfast secrets enable -path=team -version=2 kv",
        output: Output::Sentences,
        flags: &[
            mounts::PATH,
            mounts::DESCRIPTION,
            mounts::DEFAULT_TTL,
            mounts::MAX_TTL,
            mounts::OPTIONS,
            mounts::VERSION,
            mounts::LOCAL,
            mounts::SEAL_WRAP,
            mounts::ENTROPY,
            Flag::new("force-no-cache", Kind::Switch, "Do not cache what the engine reads."),
            mounts::LISTING,
            mounts::REQUEST_KEYS,
            mounts::RESPONSE_KEYS,
            mounts::REQUEST_HEADERS,
            mounts::RESPONSE_HEADERS,
            mounts::PLUGIN_VERSION,
        ],
        run: enable,
    },
    Command {
        name: "secrets disable",
        arguments: "PATH",
        arity: Arity::Exactly(1),
        summary: "Disable a secrets engine",
        about: "\n  The argument is the path of the engine, not its type. All its secrets are\n  revoked and its data is removed.",
        output: Output::Sentences,
        flags: &[],
        run: disable,
    },
    Command {
        name: "secrets list",
        arguments: "",
        arity: Arity::Exactly(0),
        summary: "List enabled secrets engines",
        about: "",
        output: Output::Formats,
        flags: &[mounts::DETAILED],
        run: |call| mounts::list(call, "sys/mounts", "Error listing secrets engines", false),
    },
    Command {
        name: "secrets move",
        arguments: "SOURCE DESTINATION",
        arity: Arity::Exactly(2),
        summary: "Move a secrets engine to a new path",
        about: "\n  Leases of the old path are revoked; all else is kept.",
        output: Output::Sentences,
        flags: &[],
        run: |call| mounts::relocate(call, "secrets engine"),
    },
    Command {
        name: "secrets tune",
        arguments: "PATH",
        arity: Arity::Exactly(1),
        summary: "Tune a secrets engine's configuration",
        about: "\n  Only what is given changes.",
        output: Output::Sentences,
        flags: &[
            mounts::DESCRIPTION,
            mounts::DEFAULT_TTL,
            mounts::MAX_TTL,
            mounts::OPTIONS,
            mounts::VERSION,
            mounts::SEAL_WRAP,
            mounts::LISTING,
            mounts::REQUEST_KEYS,
            mounts::RESPONSE_KEYS,
            mounts::REQUEST_HEADERS,
            mounts::RESPONSE_HEADERS,
            mounts::PLUGIN_VERSION,
        ],
        run: tune,
    },
];

fn enable(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let kind = call.argument(0).trim().to_owned();
    let path = clean(call.flags.text("path").unwrap_or(&kind));
    let ask = Ask::post(format!("sys/mounts/{path}"), mounts::enable_body(&call.flags, &kind));
    call.client()?.send(&ask).map_err(|fault| fault.during("Error enabling"))?;
    call.console.line(&format!("Success! Enabled the {kind} secrets engine at: {path}/"))
}

fn disable(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let path = clean(call.argument(0));
    let answer = call.client()?.send(&Ask::delete(format!("sys/mounts/{path}")));
    answer.map_err(|fault| fault.during(format!("Error disabling secrets engine at {path}/")))?;
    call.console.line(&format!("Success! Disabled the secrets engine (if it existed) at: {path}/"))
}

fn tune(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let path = clean(call.argument(0));
    let ask = Ask::post(format!("sys/mounts/{path}/tune"), mounts::tune_body(&call.flags));
    call.client()?.send(&ask).map_err(|fault| fault.during(format!("Error tuning secrets engine {path}/")))?;
    call.console.line(&format!("Success! Tuned the secrets engine at: {path}/"))
}
