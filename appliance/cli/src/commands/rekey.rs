//! `operator rotate-keys` and its older form `operator rekey`: new unseal or recovery keys from a quorum of the old.

use serde_json::{Value, json};

use crate::call::Call;
use crate::client::{Ask, Client};
use crate::command::{Arity, Command, Output};
use crate::failure::Failure;
use crate::flags::{Flag, Kind};
use crate::output::{self, Format};
use crate::{json as json_text, pgp, prompt, table};

use super::status::{flag, show_rows};

const FLAGS: [Flag; 12] = [
    Flag::new(
        "init",
        Kind::Switch,
        "Start, with -key-shares and -key-threshold. -verify asks that the new keys be shown again before they count.",
    ),
    Flag::new("cancel", Kind::Switch, "Give up; what was handed in is forgotten."),
    Flag::new("status", Kind::Switch, "Print how far it is."),
    Flag::new("key-shares", Kind::Integer, "Number of new keys. -n is the same. The default is 5.").alias("n"),
    Flag::new(
        "key-threshold",
        Kind::Integer,
        "Number of new keys that together suffice. -t is the same. The default is 3.",
    )
    .alias("t"),
    Flag::new("nonce", Kind::Text, "The nonce that -init printed; it goes with each key."),
    Flag::new("target", Kind::Text, "barrier for unseal keys, recovery for recovery keys. The default is barrier.")
        .offers(&["barrier", "recovery"]),
    Flag::new("verify", Kind::Switch, "Act on the verification of the new keys."),
    Flag::new(
        "pgp-keys",
        Kind::Text,
        "For -init: comma-separated files with PGP public keys; each new key is encrypted to the one in its place.",
    ),
    Flag::new(
        "backup",
        Kind::Switch,
        "For -init: the server keeps the PGP-encrypted keys, in case the answer gets lost.",
    ),
    Flag::new("backup-retrieve", Kind::Switch, "Print the PGP-encrypted keys that the server keeps."),
    Flag::new("backup-delete", Kind::Switch, "Have the server keep them no more."),
];

const ABOUT: &str = "
  Each holder of an old key hands it in; the last one gets the new keys. A key
  given as \"-\" is read from standard input, none at all is asked for at the
  terminal; one on the command line ends up in the shell's history.";

pub(super) static COMMANDS: [Command; 2] = [
    Command {
        name: "operator rotate-keys",
        arguments: "[KEY]",
        arity: Arity::UpTo(1),
        summary: "Generate new unseal or recovery keys",
        about: ABOUT,
        output: Output::Formats,
        flags: &FLAGS,
        run: |call| rekey(call, &ROTATE),
    },
    Command {
        name: "operator rekey",
        arguments: "[KEY]",
        arity: Arity::UpTo(1),
        summary: "Generate new unseal or recovery keys (older API)",
        about: ABOUT,
        output: Output::Formats,
        flags: &FLAGS,
        run: |call| rekey(call, &REKEY),
    },
];

/// The two names of the same thing.
struct Ceremony {
    word: &'static str,
    /// What is done, as in "Canceled …".
    doing: &'static str,
    command: &'static str,
    barrier: Target,
    recovery: Target,
}

/// Where the API for one set of keys is.
struct Target {
    base: &'static str,
    backup: &'static str,
}

static ROTATE: Ceremony = Ceremony {
    word: "rotation",
    doing: "rotation",
    command: "rotate-keys",
    barrier: Target { base: "sys/rotate/root", backup: "sys/rotate/root/backup" },
    recovery: Target { base: "sys/rotate/recovery", backup: "sys/rotate/recovery/backup" },
};
static REKEY: Ceremony = Ceremony {
    word: "rekey",
    doing: "rekeying",
    command: "rekey",
    barrier: Target { base: "sys/rekey", backup: "sys/rekey/backup" },
    recovery: Target { base: "sys/rekey-recovery-key", backup: "sys/rekey/recovery-key-backup" },
};

/// The order of the keys in JSON.
const ORDER: [&str; 13] = [
    "nonce",
    "started",
    "complete",
    "keys",
    "keys_base64",
    "t",
    "n",
    "progress",
    "required",
    "pgp_fingerprints",
    "backup",
    "verification_required",
    "verification_nonce",
];

fn rekey(call: &mut Call<'_, '_>, ceremony: &Ceremony) -> Result<(), Failure> {
    let target = match call.flags.text("target").unwrap_or("barrier").trim() {
        "" | "barrier" => &ceremony.barrier,
        "recovery" | "hsm" => &ceremony.recovery,
        other => return Err(Failure::local(format!("Unknown target: {other}"))),
    };
    let base = target.base;
    let client = call.client()?;
    if call.flags.on("backup-retrieve") {
        return retrieve(call, &client, target.backup);
    }
    if call.flags.on("backup-delete") {
        let dropped = client.send(&Ask::delete(target.backup));
        dropped.map_err(|fault| fault.during("Error deleting backed up keys"))?;
        return call.console.line("Success! Deleted backed up keys (if they existed)");
    }
    // Both APIs have the same three endpoints below their base.
    let state = format!("{base}/{}", if call.flags.on("verify") { "verify" } else { "init" });
    let word = ceremony.word;
    if call.flags.on("cancel") {
        client.send(&Ask::delete(state)).map_err(|fault| fault.during(format!("Error canceling {word}")))?;
        return call.console.line(&format!("Success! Canceled {} (if it was started)", ceremony.doing));
    }
    if call.flags.on("init") {
        return start(call, &client, base, word);
    }
    let status = client.secret_or_object(&Ask::get(&state));
    if call.flags.on("status") {
        return show(call, &status.map_err(|fault| fault.during(format!("Error reading {word} status")))?);
    }
    let status = status.map_err(|fault| fault.during(format!("Error getting {word} status")))?;
    if !flag(&status, "started") {
        return Err(Failure::local(format!(
            "No {word} is in progress. Start one by running \"holdfast operator {} -init\".",
            ceremony.command
        )));
    }
    hand_in(call, &client, base, word, &status)
}

fn start(call: &mut Call<'_, '_>, client: &Client, base: &str, word: &str) -> Result<(), Failure> {
    let body = json!({
        "secret_shares": call.flags.integer("key-shares").unwrap_or(5),
        "secret_threshold": call.flags.integer("key-threshold").unwrap_or(3),
        "pgp_keys": call.flags.text("pgp-keys").map(pgp::keys).transpose()?,
        "backup": call.flags.on("backup"),
        "require_verification": call.flags.on("verify"),
    });
    let ask = Ask::put(format!("{base}/init"), body);
    let status = client.secret_or_object(&ask).map_err(|fault| fault.during(format!("Error initializing {word}")))?;
    if call.format == Format::Table {
        call.console.warn(
            "WARNING! If you lose the new keys after they are printed, there is no recovery.\n\
             Whoever runs the last step must be ready to distribute them.",
        );
        call.console.line("")?;
    }
    show(call, &status)
}

/// Prints what the server keeps of encrypted keys.
fn retrieve(call: &mut Call<'_, '_>, client: &Client, path: &str) -> Result<(), Failure> {
    let during = "Error retrieving backed up keys";
    let kept = client.secret(&Ask::get(path)).map_err(|fault| fault.during(during))?;
    let kept = kept.ok_or_else(|| Failure::server(format!("{during}: there are none")))?;
    call.show(&kept)
}

/// Hands one key in and prints how far it is, or the new keys.
fn hand_in(call: &mut Call<'_, '_>, client: &Client, base: &str, word: &str, status: &Value) -> Result<(), Failure> {
    let known_nonce = status.get("nonce").map(table::cell).unwrap_or_default();
    let (key, nonce) = key_and_nonce(call, &known_nonce, "Rekey share")?;
    let endpoint = if call.flags.on("verify") { "verify" } else { "update" };
    let ask = Ask::put(format!("{base}/{endpoint}"), json!({"key": key, "nonce": nonce}));
    let answer = client.secret_or_object(&ask).map_err(|fault| fault.during("Error posting unseal key"))?;
    if !flag(&answer, "complete") {
        return show(call, &answer);
    }
    if call.format != Format::Table {
        let mut answer = answer;
        if !flag(&answer, "verification_required")
            && let Some(answer) = answer.as_object_mut()
        {
            answer.remove("verification_nonce");
        }
        json_text::fill(
            &mut answer,
            &json!({"pgp_fingerprints": null, "backup": false, "verification_required": false}),
        );
        return output::machine(call.console, call.format, &answer, &ORDER);
    }
    if call.flags.on("verify") {
        return call.console.line(&format!("Success! The new keys are verified and the {word} is complete."));
    }
    let keys = answer.get("keys_base64").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let mut text = "\n".to_owned();
    let readers = answer.get("pgp_fingerprints").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    for (index, key) in keys.iter().enumerate() {
        let reader = readers.get(index).map(|reader| format!(" fingerprint: {}; value", table::cell(reader)));
        text.push_str(&format!("Key {}{}: {}\n", index + 1, reader.unwrap_or_default(), table::cell(key)));
    }
    let number = |name: &str| status.get(name).map(table::cell).unwrap_or_default();
    text.push_str(&format!("\nOperation nonce: {}\n\n", answer.get("nonce").map(table::cell).unwrap_or_default()));
    if flag(&answer, "verification_required") {
        text.push_str(&format!(
            "The new keys count once they are verified: each holder runs this command with\n\
             -verify and -nonce={}.",
            answer.get("verification_nonce").map(table::cell).unwrap_or_default()
        ));
    } else {
        text.push_str(&format!(
            "New keys: {} shares with a threshold of {}. Please securely distribute the key\n\
             shares printed above; the old ones are of no use any more.",
            number("n"),
            number("t")
        ));
    }
    call.console.line(&text)
}

/// The key of this holder, and the nonce it belongs to. Asking at the terminal shows the nonce, so that the holder sees
/// what the key is handed in for; a key from elsewhere must bring its nonce along.
pub(super) fn key_and_nonce(
    call: &mut Call<'_, '_>,
    known_nonce: &str,
    label: &str,
) -> Result<(String, String), Failure> {
    let nonce = call.flags.text("nonce").map(str::to_owned).filter(|nonce| !nonce.is_empty());
    match call.arguments.first().cloned() {
        Some(argument) => {
            let nonce = nonce.ok_or_else(|| Failure::local("Missing nonce value: specify it via the -nonce flag"))?;
            let key = if argument == "-" { call.console.read_input()? } else { argument };
            Ok((key.trim().to_owned(), nonce))
        }
        None => {
            call.console.warn(&format!("Operation nonce: {known_nonce}"));
            let instead = "The key can be given as the argument, or as \"-\" to read it from standard input";
            let key = prompt::secret(&call.flags, label, instead)?;
            Ok((key, nonce.unwrap_or_else(|| known_nonce.to_owned())))
        }
    }
}

fn show(call: &mut Call<'_, '_>, status: &Value) -> Result<(), Failure> {
    let text = |name: &str| status.get(name).map(table::cell).unwrap_or_default();
    let mut rows = vec![("Nonce", text("nonce")), ("Started", flag(status, "started").to_string())];
    if flag(status, "started") {
        let required = status.get("required").or_else(|| status.get("t")).map(table::cell).unwrap_or_default();
        rows.push(("Progress", format!("{}/{required}", text("progress"))));
        rows.push(("New Shares", text("n")));
        rows.push(("New Threshold", text("t")));
        rows.push(("Verification Required", flag(status, "verification_required").to_string()));
    }
    if !text("verification_nonce").is_empty() {
        rows.push(("Verification Nonce", text("verification_nonce")));
    }
    let rows = rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect();
    let mut whole = status.clone();
    json_text::fill(&mut whole, &json!({"nonce": "", "started": false, "t": 0, "n": 0, "progress": 0}));
    if !call.flags.on("verify") || call.flags.on("init") {
        json_text::fill(
            &mut whole,
            &json!({
                "required": 0, "pgp_fingerprints": null, "backup": false, "verification_required": false,
                "verification_nonce": "",
            }),
        );
    }
    show_rows(call, Some(["Key", "Value"]), rows, &whole, &ORDER)
}
