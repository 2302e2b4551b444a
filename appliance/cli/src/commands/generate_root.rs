//! `operator generate-root`: a new root token from a quorum of keys.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use serde_json::{Value, json};

use crate::call::Call;
use crate::client::{Ask, Client, Fault};
use crate::command::{Arity, Command, Output};
use crate::failure::Failure;
use crate::flags::{Flag, Kind};
use crate::output::{self, Format};
use crate::{json as json_text, pgp, table, tls};

use super::rekey::key_and_nonce;
use super::status::{flag, show_rows};

pub(super) static COMMANDS: [Command; 1] = [Command {
    name: "operator generate-root",
    arguments: "[KEY]",
    arity: Arity::UpTo(1),
    summary: "Generate a new root token",
    about: "
  -init prints a one-time password; each key holder then hands a key in, and the
  last one gets a token that is encoded with that password:

      $ holdfast operator generate-root -init
      $ holdfast operator generate-root -nonce=NONCE KEY
      $ holdfast operator generate-root -decode=ENCODED -otp=OTP

  A server that was started with -recovery gives out a token for sys/raw in the
  same way: add -recovery-token to each command but the last.",
    output: Output::Formats,
    flags: &[
        Flag::new("init", Kind::Switch, "Start."),
        Flag::new("cancel", Kind::Switch, "Give up; what was handed in is forgotten."),
        Flag::new("status", Kind::Switch, "Print how far it is."),
        Flag::new("nonce", Kind::Text, "The nonce that -init printed; it goes with each key."),
        Flag::new("otp", Kind::Text, "The one-time password, for -decode, or one of your own for -init."),
        Flag::new(
            "pgp-key",
            Kind::Text,
            "For -init: file with the PGP public key that the token is encrypted to, in place of a one-time password.",
        ),
        Flag::new("decode", Kind::Text, "Decode this token with -otp. \"-\" reads it from standard input."),
        Flag::new("recovery-token", Kind::Switch, "A token for a server in recovery mode, in place of a root token."),
        Flag::new("generate-otp", Kind::Switch, "Print a one-time password of the length the server wants."),
    ],
    run: generate_root,
}];

/// Where the API is; servers that know it under its older name alone get that.
const BASES: [&str; 2] = ["sys/generate-root-token", "sys/generate-root"];
/// Where it is for servers in recovery mode.
const RECOVERY_BASES: [&str; 2] = ["sys/generate-recovery-token"; 2];

/// The order of the keys in JSON.
const ORDER: [&str; 10] = [
    "nonce",
    "started",
    "progress",
    "required",
    "complete",
    "encoded_token",
    "encoded_root_token",
    "pgp_fingerprint",
    "otp",
    "otp_length",
];

fn generate_root(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    if let Some(encoded) = call.flags.text("decode").map(str::to_owned) {
        return decode(call, &encoded);
    }
    let client = call.client()?;
    let bases = if call.flags.on("recovery-token") { RECOVERY_BASES } else { BASES };
    if call.flags.on("generate-otp") {
        let status =
            attempt(bases, &client, Ask::get).map_err(|fault| fault.during("Error getting root generation status"))?;
        let otp = one_time_password(otp_length(&status))?;
        return match call.format {
            Format::Table => call.console.raw(&otp),
            format => output::machine(call.console, format, &json!({"otp": otp, "otp_length": otp.len()}), &[]),
        };
    }
    if call.flags.on("cancel") {
        let canceled = on_either(bases, |base| client.send(&Ask::delete(format!("{base}/attempt"))));
        canceled.map_err(|fault| fault.during("Error canceling root token generation"))?;
        return call.console.line("Success! Root token generation canceled (if it was started)");
    }
    if call.flags.on("init") {
        let otp = call.flags.text("otp").unwrap_or_default().to_owned();
        let pgp_key = call.flags.text("pgp-key").map(pgp::key).transpose()?.unwrap_or_default();
        let body = json!({"otp": otp, "pgp_key": pgp_key});
        let status = attempt(bases, &client, |path| Ask::put(path, body.clone()));
        let status = status.map_err(|fault| fault.during("Error initializing root generation"))?;
        if otp.is_empty() && pgp_key.is_empty() && call.format == Format::Table {
            call.console.warn(
                "A One-Time-Password has been generated for you and is shown in the OTP field.\n\
                 You will need this value to decode the resulting root token, so keep it safe.",
            );
        }
        return show(call, &status);
    }
    let status =
        attempt(bases, &client, Ask::get).map_err(|fault| fault.during("Error getting root generation status"))?;
    if call.flags.on("status") {
        return show(call, &status);
    }
    if !flag(&status, "started") {
        return Err(Failure::local(
            "No root generation is in progress. Start a root generation by running\n\"holdfast operator generate-root -init\".",
        ));
    }
    let known_nonce = status.get("nonce").map(table::cell).unwrap_or_default();
    let (key, nonce) = key_and_nonce(call, &known_nonce, "Unseal Key")?;
    let body = json!({"key": key, "nonce": nonce});
    let answer = on_either(bases, |base| client.secret_or_object(&Ask::put(format!("{base}/update"), body.clone())));
    show(call, &answer.map_err(|fault| fault.during("Error posting unseal key"))?)
}

fn attempt(bases: [&str; 2], client: &Client, ask: impl Fn(String) -> Ask) -> Result<Value, Fault> {
    on_either(bases, |base| client.secret_or_object(&ask(format!("{base}/attempt"))))
}

/// Sends to the first base; to the second if the server has no such endpoint.
fn on_either<T>(bases: [&str; 2], send: impl Fn(&str) -> Result<T, Fault>) -> Result<T, Fault> {
    let [first, second] = bases;
    match send(first) {
        Err(fault) if fault.is_unknown_path() => {
            send(second).map_err(|other| if other.is_unknown_path() { fault } else { other })
        }
        answer => answer,
    }
}

fn show(call: &mut Call<'_, '_>, status: &Value) -> Result<(), Failure> {
    let text = |name: &str| status.get(name).map(table::cell).unwrap_or_default();
    let mut rows = vec![
        ("Nonce", text("nonce")),
        ("Started", flag(status, "started").to_string()),
        ("Progress", format!("{}/{}", text("progress"), text("required"))),
        ("Complete", flag(status, "complete").to_string()),
    ];
    for (label, name) in [("PGP Fingerprint", "pgp_fingerprint"), ("Encoded Token", "encoded_token"), ("OTP", "otp")] {
        if !text(name).is_empty() {
            rows.push((label, text(name)));
        }
    }
    if otp_length(status) > 0 {
        rows.push(("OTP Length", text("otp_length")));
    }
    let rows = rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect();
    let mut whole = status.clone();
    json_text::fill(
        &mut whole,
        &json!({
            "nonce": "", "started": false, "progress": 0, "required": 0, "complete": false, "encoded_token": "",
            "encoded_root_token": "", "pgp_fingerprint": "", "otp": "", "otp_length": 0,
        }),
    );
    show_rows(call, None, rows, &whole, &ORDER)
}

fn otp_length(status: &Value) -> usize {
    status.get("otp_length").and_then(Value::as_u64).and_then(|length| usize::try_from(length).ok()).unwrap_or_default()
}

/// Letters and digits, each equally likely.
fn one_time_password(length: usize) -> Result<String, Failure> {
    const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let provider = tls::provider();
    let mut otp = String::with_capacity(length);
    while otp.len() < length {
        let mut bytes = [0_u8; 64];
        provider
            .secure_random
            .fill(&mut bytes)
            .map_err(|_| Failure::local("this system has no random numbers to give"))?;
        // 248 is the largest multiple of 62 in a byte; the rest would favour the first letters.
        let letters = bytes.iter().filter(|byte| **byte < 248).filter_map(|byte| ALPHABET.get(usize::from(byte % 62)));
        otp.extend(letters.take(length - otp.len()).map(|letter| char::from(*letter)));
    }
    Ok(otp)
}

fn decode(call: &mut Call<'_, '_>, encoded: &str) -> Result<(), Failure> {
    let otp = call.flags.text("otp").unwrap_or_default().to_owned();
    if otp.is_empty() {
        return Err(Failure::local("Missing otp: use -otp to supply it"));
    }
    let encoded = if encoded == "-" { call.console.read_input()? } else { encoded.to_owned() };
    let token = decoded(encoded.trim(), &otp)
        .map_err(|problem| Failure::local(format!("Error decoding root token: {problem}")))?;
    match call.format {
        Format::Table => call.console.raw(&token),
        format => output::machine(call.console, format, &json!({"token": token}), &[]),
    }
}

fn decoded(encoded: &str, otp: &str) -> Result<String, String> {
    let bytes = STANDARD_NO_PAD.decode(encoded).or_else(|_| STANDARD.decode(encoded));
    let bytes = bytes.map_err(|error| format!("not base64: {error}"))?;
    if bytes.len() != otp.len() {
        return Err(format!("the token has {} bytes and the OTP {}; they must be as many", bytes.len(), otp.len()));
    }
    let token: Vec<u8> = bytes.iter().zip(otp.bytes()).map(|(byte, pad)| byte ^ pad).collect();
    String::from_utf8(token).map_err(|_| "the OTP is not the one this token was encoded with".to_owned())
}

#[cfg(test)]
mod tests {
    use super::{decoded, one_time_password};

    #[test]
    fn a_token_comes_back_with_its_password_alone() {
        // A pair taken from the reference server.
        let (encoded, otp) = ("IEgcUVd0LDdHBg9CGwECBiMKEhwsPgUFJCY", "SfM290aEuIlsv47rQauZyOsWcG");
        assert!(decoded(encoded, otp).is_ok_and(|token| token.starts_with("s.")));
        assert!(decoded(encoded, "short").is_err());
        assert!(decoded("!", otp).is_err());
    }

    #[test]
    fn one_time_passwords_have_the_length_asked_for() {
        let (one, other) = (one_time_password(100).unwrap(), one_time_password(100).unwrap());
        assert_eq!((one.len(), one != other), (100, true));
    }
}
