//! `auth enable|disable|help|list|move|tune`.

use serde_json::Value;

use crate::call::Call;
use crate::client::Ask;
use crate::command::{Arity, Command, Output};
use crate::failure::Failure;
use crate::flags::{Flag, Kind};

use super::logical::clean;
use super::{login, mounts};

pub(super) static COMMANDS: [Command; 6] = [
    Command {
        name: "auth enable",
        arguments: "TYPE",
        arity: Arity::Exactly(1),
        summary: "Enable a new auth method",
        about: "\n      $ holdfast auth enable userpass",
        output: Output::Sentences,
        flags: &[
            mounts::PATH,
            mounts::DESCRIPTION,
            mounts::DEFAULT_TTL,
            mounts::MAX_TTL,
            mounts::OPTIONS,
            mounts::VERSION,
            mounts::TOKEN_TYPE,
            mounts::LOCAL,
            mounts::SEAL_WRAP,
            mounts::ENTROPY,
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
        name: "auth disable",
        arguments: "PATH",
        arity: Arity::Exactly(1),
        summary: "Disable an auth method",
        about: "\n  The argument is the path of the method, not its type. All tokens it gave out\n  are revoked.",
        output: Output::Sentences,
        flags: &[],
        run: disable,
    },
    Command {
        name: "auth help",
        arguments: "TYPE | PATH",
        arity: Arity::Exactly(1),
        summary: "Say how to log in with an auth method",
        about: "\n  A type is explained as it is; of a path, the type is asked of the server.",
        output: Output::Sentences,
        flags: &[],
        run: help,
    },
    Command {
        name: "auth list",
        arguments: "",
        arity: Arity::Exactly(0),
        summary: "List enabled auth methods",
        about: "",
        output: Output::Formats,
        flags: &[mounts::DETAILED],
        run: |call| mounts::list(call, "sys/auth", "Error listing enabled authentications", true),
    },
    Command {
        name: "auth move",
        arguments: "SOURCE DESTINATION",
        arity: Arity::Exactly(2),
        summary: "Move an auth method to a new path",
        about: "\n  Both paths begin with auth/. Tokens of the old path are revoked; all else is kept.

      $ holdfast auth move auth/userpass/ auth/people/",
        output: Output::Sentences,
        flags: &[],
        run: |call| mounts::relocate(call, "auth method"),
    },
    Command {
        name: "auth tune",
        arguments: "PATH",
        arity: Arity::Exactly(1),
        summary: "Tune an auth method's configuration",
        about: "\n  Only what is given changes.",
        output: Output::Sentences,
        flags: &[
            mounts::DESCRIPTION,
            mounts::DEFAULT_TTL,
            mounts::MAX_TTL,
            mounts::OPTIONS,
            mounts::VERSION,
            mounts::TOKEN_TYPE,
            mounts::SEAL_WRAP,
            mounts::LISTING,
            mounts::REQUEST_KEYS,
            mounts::RESPONSE_KEYS,
            mounts::REQUEST_HEADERS,
            mounts::RESPONSE_HEADERS,
            mounts::PLUGIN_VERSION,
            Flag::new("user-lockout-threshold", Kind::Integer, "Failed logins after which a user is locked out."),
            Flag::new("user-lockout-duration", Kind::Duration, "How long a user stays locked out."),
            Flag::new(
                "user-lockout-counter-reset-duration",
                Kind::Duration,
                "Time after which failed logins are forgotten.",
            ),
            Flag::new("user-lockout-disable", Kind::Switch, "Never lock users of this method out."),
        ],
        run: tune,
    },
];

fn enable(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let kind = call.argument(0).trim().to_owned();
    let path = clean(call.flags.text("path").unwrap_or(&kind));
    let ask = Ask::post(format!("sys/auth/{path}"), mounts::enable_body(&call.flags, &kind));
    call.client()?.send(&ask).map_err(|fault| fault.during(format!("Error enabling {kind} auth")))?;
    call.console.line(&format!("Success! Enabled {kind} auth method at: {path}/"))
}

fn disable(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let path = clean(call.argument(0));
    let answer = call.client()?.send(&Ask::delete(format!("sys/auth/{path}")));
    answer.map_err(|fault| fault.during(format!("Error disabling auth method at {path}/")))?;
    call.console.line(&format!("Success! Disabled the auth method (if it existed) at: {path}/"))
}

fn help(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let asked = clean(call.argument(0));
    let usage = match login::usage(&asked) {
        Some(usage) => usage,
        None => {
            let answer = call.client()?.secret(&Ask::get("sys/auth"));
            let mounts = answer.map_err(|fault| fault.during("Error listing authentications"))?;
            let mount = mounts.as_ref().and_then(|mounts| mounts.get(&format!("{asked}/")));
            let kind = mount.and_then(|mount| mount.get("type")).and_then(Value::as_str);
            let kind = kind.ok_or_else(|| Failure::local(format!("Error: auth method not enabled at {asked}/")))?;
            let unknown = || Failure::local(format!("Error: there is no help for auth methods of type {kind}"));
            login::usage(kind).ok_or_else(unknown)?
        }
    };
    call.console.line(usage)
}

fn tune(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let path = clean(call.argument(0));
    let ask = Ask::post(format!("sys/mounts/auth/{path}/tune"), mounts::tune_body(&call.flags));
    call.client()?.send(&ask).map_err(|fault| fault.during(format!("Error tuning auth method {path}/")))?;
    call.console.line(&format!("Success! Tuned the auth method at: {path}/"))
}
