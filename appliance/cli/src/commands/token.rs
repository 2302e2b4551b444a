//! `token create|lookup|renew|revoke|capabilities`.

use serde_json::{Map, Value, json};

use crate::call::Call;
use crate::client::Ask;
use crate::command::{Arity, Command, Output};
use crate::duration;
use crate::failure::Failure;
use crate::flags::{Flag, Kind};
use crate::output::{self, Format};
use crate::table;

const ACCESSOR: Flag = Flag::new("accessor", Kind::Switch, "The argument is an accessor, not a token.");

pub(super) static COMMANDS: [Command; 5] = [
    Command {
        name: "token create",
        arguments: "",
        arity: Arity::Exactly(0),
        summary: "Create a new token",
        about: "\n  The token is a child of the token in use and has its policies, unless flags\n  say otherwise.",
        output: Output::Fields,
        flags: &[
            Flag::new("display-name", Kind::Text, "Name of the token in logs. Not secret."),
            Flag::new("entity-alias", Kind::Text, "Name of the entity alias to use. Needs -role."),
            Flag::new("explicit-max-ttl", Kind::Duration, "Lifetime that no renewal can exceed."),
            Flag::new("id", Kind::Text, "The token itself. The default is a random one. Needs sudo."),
            Flag::new(
                "metadata",
                Kind::Pairs,
                "What the audit log shows with the token, as key=value. May be given several times.",
            ),
            Flag::new("no-default-policy", Kind::Switch, "Leave the default policy out."),
            Flag::new("orphan", Kind::Switch, "Create the token without a parent. Needs root or sudo."),
            Flag::new("period", Kind::Duration, "Each renewal gives this much time, without end. Needs sudo."),
            Flag::new("policy", Kind::Many, "Name of a policy of the token. May be given several times."),
            Flag::new("renewable", Kind::Switch, "Whether the token can be renewed. The default is true."),
            Flag::new("role", Kind::Text, "Role to create the token by; it may override other flags."),
            Flag::new("ttl", Kind::Duration, "Lifetime until the first renewal."),
            Flag::new("type", Kind::Text, "service or batch. The default is service.").offers(&["service", "batch"]),
            Flag::new("use-limit", Kind::Integer, "How often the token can be used. The default is without limit."),
        ],
        run: create,
    },
    Command {
        name: "token lookup",
        arguments: "[TOKEN | ACCESSOR]",
        arity: Arity::UpTo(1),
        summary: "Display information about a token",
        about: "\n  Without an argument, about the token in use.",
        output: Output::Fields,
        flags: &[ACCESSOR],
        run: lookup,
    },
    Command {
        name: "token renew",
        arguments: "[TOKEN | ACCESSOR]",
        arity: Arity::UpTo(1),
        summary: "Renew a token's lease",
        about: "\n  Without an argument, that of the token in use.",
        output: Output::Formats,
        flags: &[
            ACCESSOR,
            Flag::new(
                "increment",
                Kind::Duration,
                "Ask for this much more time. -i is the same. The server may give less.",
            )
            .alias("i"),
        ],
        run: renew,
    },
    Command {
        name: "token revoke",
        arguments: "[TOKEN | ACCESSOR]",
        arity: Arity::UpTo(1),
        summary: "Revoke a token and its children",
        about: "",
        output: Output::Sentences,
        flags: &[
            ACCESSOR,
            Flag::new("self", Kind::Switch, "Revoke the token in use."),
            Flag::new(
                "mode",
                Kind::Text,
                "orphan: leave the children alone. path: the argument is a path of an auth method, whose tokens are revoked.",
            )
            .offers(&["orphan", "path"]),
        ],
        run: revoke,
    },
    Command {
        name: "token capabilities",
        arguments: "[TOKEN] PATH",
        arity: Arity::AtLeast(1),
        summary: "Print capabilities of a token on a path",
        about: "",
        output: Output::Formats,
        flags: &[],
        run: capabilities,
    },
];

fn create(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let flags = &call.flags;
    let seconds = |name: &str| duration::wire(flags.duration(name).unwrap_or_default());
    let mut body = json!({
        "ttl": seconds("ttl"),
        "explicit_max_ttl": seconds("explicit-max-ttl"),
        "period": seconds("period"),
        "display_name": flags.text("display-name").unwrap_or_default(),
        "num_uses": flags.integer("use-limit").unwrap_or_default(),
        "renewable": flags.choice("renewable").unwrap_or(true),
        "type": flags.text("type").unwrap_or("service"),
        "entity_alias": flags.text("entity-alias").unwrap_or_default(),
    });
    if let Some(body) = body.as_object_mut() {
        let mut add = |name: &str, value: Value| body.insert(name.to_owned(), value);
        if let Some(id) = flags.text("id") {
            add("id", json!(id));
        }
        if flags.given("policy") {
            add("policies", json!(flags.many("policy")));
        }
        if flags.given("metadata") {
            let metadata: Map<String, Value> =
                flags.pairs("metadata").into_iter().map(|(key, value)| (key.to_owned(), json!(value))).collect();
            add("meta", Value::Object(metadata));
        }
        if flags.on("orphan") {
            add("no_parent", json!(true));
        }
        if flags.on("no-default-policy") {
            add("no_default_policy", json!(true));
        }
    }
    let path = match flags.text("role") {
        Some(role) => format!("auth/token/create/{role}"),
        None => "auth/token/create".to_owned(),
    };
    let answer = call.client()?.secret(&Ask::post(path, body)).map_err(|fault| fault.during("Error creating token"))?;
    match answer {
        Some(secret) => call.show(&secret),
        None => Err(Failure::server("the server answered without a token")),
    }
}

fn lookup(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let ask = match (call.arguments.first(), call.flags.on("accessor")) {
        (None, true) => return Err(Failure::local("Not enough arguments with -accessor (expected 1, got 0)")),
        (None, false) => Ask::get("auth/token/lookup-self"),
        (Some(accessor), true) => Ask::post("auth/token/lookup-accessor", json!({"accessor": accessor.trim()})),
        (Some(token), false) => Ask::post("auth/token/lookup", json!({"token": token.trim()})),
    };
    match call.client()?.secret(&ask).map_err(|fault| fault.during("Error looking up token"))? {
        Some(secret) => call.show(&secret),
        None => Err(Failure::server("the server answered nothing about the token")),
    }
}

fn renew(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let increment = call.flags.duration("increment").unwrap_or_default();
    let ask = match (call.arguments.first(), call.flags.on("accessor")) {
        (None, true) => return Err(Failure::local("Not enough arguments with -accessor (expected 1, got 0)")),
        (None, false) => Ask::put("auth/token/renew-self", json!({"increment": increment})),
        (Some(accessor), true) => {
            Ask::post("auth/token/renew-accessor", json!({"accessor": accessor.trim(), "increment": increment}))
        }
        (Some(token), false) => Ask::put("auth/token/renew", json!({"token": token.trim(), "increment": increment})),
    };
    match call.client()?.secret(&ask).map_err(|fault| fault.during("Error renewing token"))? {
        Some(secret) => call.show(&secret),
        None => Err(Failure::server("the server answered without a token")),
    }
}

fn revoke(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let flags = &call.flags;
    let (own, accessor) = (flags.on("self"), flags.on("accessor"));
    let mode = flags.text("mode").unwrap_or_default();
    let argument = call.arguments.first().map(|argument| argument.trim().to_owned());
    let ask = match (argument, own) {
        (Some(_), true) => return Err(Failure::local("Too many arguments with -self (expected 0, got 1)")),
        (None, false) => return Err(Failure::local("Not enough arguments (expected 1 or -self, got 0)")),
        (None, true) if accessor => return Err(Failure::local("Cannot use -self with -accessor")),
        (None, true) if !mode.is_empty() => return Err(Failure::local("Cannot use -self with -mode")),
        (None, true) => Ask::put_empty("auth/token/revoke-self"),
        (Some(accessor), false) if call.flags.on("accessor") => match mode {
            "" => Ask::post("auth/token/revoke-accessor", json!({"accessor": accessor})),
            mode => return Err(Failure::local(format!("Cannot use -accessor with -mode={mode}"))),
        },
        (Some(target), false) => match mode {
            "" => Ask::put("auth/token/revoke", json!({"token": target})),
            "orphan" => Ask::put("auth/token/revoke-orphan", json!({"token": target})),
            "path" => Ask::put_empty(format!("sys/leases/revoke-prefix/{target}")),
            mode => return Err(Failure::local(format!("Invalid mode: {mode}. It is orphan or path"))),
        },
    };
    call.client()?.send(&ask).map_err(|fault| fault.during("Error revoking token"))?;
    call.console.line("Success! Revoked token (if it existed)")
}

fn capabilities(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let client = call.client()?;
    let ask = match call.arguments.as_slice() {
        [path] => Ask::post("sys/capabilities-self", json!({"path": path, "token": client.token})),
        [token, path] => Ask::post("sys/capabilities", json!({"path": path, "token": token})),
        more => return Err(Failure::local(format!("Too many arguments (expected 1-2, got {})", more.len()))),
    };
    let answer = client.secret(&ask).map_err(|fault| fault.during("Error listing capabilities"))?;
    let found = answer.as_ref().and_then(|secret| secret.get("capabilities")).and_then(Value::as_array);
    let mut names: Vec<String> = found.map(Vec::as_slice).unwrap_or_default().iter().map(table::cell).collect();
    if names.is_empty() {
        return Err(Failure::server("No capabilities found"));
    }
    names.sort();
    if call.format != Format::Table {
        return output::machine(call.console, call.format, &json!(names), &[]);
    }
    call.console.line(&names.join(", "))
}
