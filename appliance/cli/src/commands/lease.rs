//! `lease lookup|renew|revoke`.

use serde_json::json;

use crate::call::Call;
use crate::client::Ask;
use crate::command::{Arity, Command, Output};
use crate::failure::Failure;
use crate::flags::{Flag, Kind};

pub(super) static COMMANDS: [Command; 3] = [
    Command {
        name: "lease lookup",
        arguments: "ID",
        arity: Arity::Exactly(1),
        summary: "Look a lease up",
        about: "",
        output: Output::Fields,
        flags: &[],
        run: lookup,
    },
    Command {
        name: "lease renew",
        arguments: "ID",
        arity: Arity::Exactly(1),
        summary: "Renew the lease of a secret",
        about: "",
        output: Output::Formats,
        flags: &[Flag::new(
            "increment",
            Kind::Duration,
            "Ask for this much more time. -i is the same. The server may give less.",
        )
        .alias("i")],
        run: renew,
    },
    Command {
        name: "lease revoke",
        arguments: "ID",
        arity: Arity::Exactly(1),
        summary: "Revoke leases and secrets",
        about: "",
        output: Output::Sentences,
        flags: &[
            Flag::new("prefix", Kind::Switch, "Revoke every lease whose ID starts with the argument."),
            Flag::new(
                "force",
                Kind::Switch,
                "Forget the leases even if the engine cannot revoke the secrets. Needs -prefix. -f is the same.",
            )
            .alias("f"),
            Flag::new(
                "sync",
                Kind::Switch,
                "Wait until the secrets are revoked; report a failure instead of retrying.",
            ),
        ],
        run: revoke,
    },
];

fn lookup(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let id = call.argument(0).to_owned();
    let answer = call.client()?.secret(&Ask::put("sys/leases/lookup", json!({"lease_id": id})));
    match answer.map_err(|fault| fault.during(format!("error looking up lease id {id}")))? {
        Some(secret) => call.show(&secret),
        None => Err(Failure::server(format!("No lease found with ID {id}"))),
    }
}

fn renew(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let id = call.argument(0).trim().to_owned();
    let body = json!({"lease_id": id, "increment": call.flags.duration("increment").unwrap_or_default()});
    let answer = call.client()?.secret(&Ask::put("sys/leases/renew", body));
    match answer.map_err(|fault| fault.during(format!("Error renewing {id}")))? {
        Some(secret) => call.show(&secret),
        None => Err(Failure::server(format!("No lease found with ID {id}"))),
    }
}

fn revoke(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let id = call.argument(0).trim().to_owned();
    let (prefix, force, sync) = (call.flags.on("prefix"), call.flags.on("force"), call.flags.on("sync"));
    let ask = match (force, prefix) {
        (true, false) => return Err(Failure::local("Specifying -force requires also specifying -prefix")),
        (true, true) => Ask::put_empty(format!("sys/leases/revoke-force/{id}")),
        (false, true) => Ask::put(format!("sys/leases/revoke-prefix/{id}"), json!({"sync": sync})),
        (false, false) => Ask::put(format!("sys/leases/revoke/{id}"), json!({"sync": sync})),
    };
    let answer = call.client()?.send(&ask);
    answer.map_err(|fault| match (force, prefix) {
        (true, _) => fault.during(format!("Error force revoking leases with prefix {id}")),
        (_, true) => fault.during(format!("Error revoking leases with prefix {id}")),
        _ => fault.during(format!("Error revoking lease {id}")),
    })?;
    let said = match (force, prefix, sync) {
        (true, _, _) => format!("Success! Force revoked any leases with prefix: {id}"),
        (_, true, true) => format!("Success! Revoked any leases with prefix: {id}"),
        (_, false, true) => format!("Success! Revoked lease: {id}"),
        _ => "All revocation operations queued successfully!".to_owned(),
    };
    call.console.line(&said)
}
