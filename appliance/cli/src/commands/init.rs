//! `operator init`.

use serde_json::{Value, json};

use crate::call::Call;
use crate::client::{Ask, Client};
use crate::command::{Arity, Command, Output};
use crate::failure::Failure;
use crate::flags::{Flag, Kind};
use crate::output::{self, Format};
use crate::{pgp, table};

use super::status::flag;

pub(super) static COMMANDS: [Command; 1] = [Command {
    name: "operator init",
    arguments: "",
    arity: Arity::Exactly(0),
    summary: "Initialize a server",
    about: "
  Makes the keys of a new server and prints, once and never again, the shares of
  the key that unseals it and the first root token. Where the seal is an HSM or
  a cloud service the shares are recovery keys instead.

      $ holdfast operator init -key-shares=5 -key-threshold=3",
    output: Output::Formats,
    flags: &[
        Flag::new("key-shares", Kind::Integer, "Number of unseal keys. -n is the same. The default is 5.").alias("n"),
        Flag::new(
            "key-threshold",
            Kind::Integer,
            "Number of unseal keys that together unseal. -t is the same. The default is 3.",
        )
        .alias("t"),
        Flag::new(
            "recovery-shares",
            Kind::Integer,
            "Number of recovery keys, where the seal unseals by itself. The default is 5.",
        ),
        Flag::new(
            "recovery-threshold",
            Kind::Integer,
            "Number of recovery keys that together suffice. The default is 3.",
        ),
        Flag::new(
            "pgp-keys",
            Kind::Text,
            "Comma-separated files with PGP public keys; each unseal key is encrypted to the one in its place.",
        ),
        Flag::new("recovery-pgp-keys", Kind::Text, "The same for recovery keys."),
        Flag::new(
            "root-token-pgp-key",
            Kind::Text,
            "File with the PGP public key that the root token is encrypted to.",
        ),
        Flag::new(
            "status",
            Kind::Switch,
            "Only tell whether the server is initialized: exit code 0 if it is, 2 if not.",
        ),
    ],
    run: init,
}];

/// The order of the keys in JSON.
const ORDER: [&str; 9] = [
    "unseal_keys_b64",
    "unseal_keys_hex",
    "unseal_shares",
    "unseal_threshold",
    "recovery_keys_b64",
    "recovery_keys_hex",
    "recovery_keys_shares",
    "recovery_keys_threshold",
    "root_token",
];

/// How the secret is split: number of shares, and how many of them are needed.
struct Shares {
    shares: i64,
    threshold: i64,
}

impl Shares {
    fn given(call: &Call<'_, '_>, kind: &str, default: bool) -> Self {
        let number = |name: &str, usual| {
            call.flags.integer(&format!("{kind}-{name}")).unwrap_or(if default { usual } else { 0 })
        };
        Self { shares: number("shares", 5), threshold: number("threshold", 3) }
    }
}

fn init(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let client = call.client()?;
    if call.flags.on("status") {
        return status(call, &client);
    }
    let seal: Value = client
        .send_always(&Ask::get("sys/seal-status"))
        .map_err(|fault| fault.during("Error checking seal status"))
        .map(|body| serde_json::from_str(&body).unwrap_or_default())?;
    let recovery = flag(&seal, "recovery_seal");
    let unseal = Shares::given(call, "key", !recovery);
    let recover = Shares::given(call, "recovery", recovery);
    let pgp_keys = |flag: &str| call.flags.text(flag).map(pgp::keys).transpose().map(Option::unwrap_or_default);
    let root_token_pgp_key = call.flags.text("root-token-pgp-key").map(pgp::key).transpose()?;
    let body = json!({
        "pgp_keys": pgp_keys("pgp-keys")?,
        "recovery_pgp_keys": pgp_keys("recovery-pgp-keys")?,
        "root_token_pgp_key": root_token_pgp_key.unwrap_or_default(),
        "secret_shares": unseal.shares,
        "secret_threshold": unseal.threshold,
        "recovery_shares": recover.shares,
        "recovery_threshold": recover.threshold,
    });
    let answer = client.object(&Ask::put("sys/init", body)).map_err(|fault| fault.during("Error initializing"))?;
    if call.format == Format::Table {
        return show(call, &answer, &unseal, &recover);
    }
    let list = |name: &str| answer.get(name).filter(|value| value.is_array()).cloned().unwrap_or_else(|| json!([]));
    let whole = json!({
        "unseal_keys_b64": list("keys_base64"),
        "unseal_keys_hex": list("keys"),
        // A seal that unseals by itself counts as the one share there is.
        "unseal_shares": unseal.shares.max(1),
        "unseal_threshold": unseal.threshold.max(1),
        "recovery_keys_b64": list("recovery_keys_base64"),
        "recovery_keys_hex": list("recovery_keys"),
        "recovery_keys_shares": recover.shares,
        "recovery_keys_threshold": recover.threshold,
        "root_token": answer.get("root_token").cloned().unwrap_or_default(),
    });
    output::machine(call.console, call.format, &whole, &ORDER)
}

fn status(call: &mut Call<'_, '_>, client: &Client) -> Result<(), Failure> {
    let initialized = flag(&client.object(&Ask::get("sys/seal-status"))?, "initialized");
    if call.format != Format::Table {
        output::machine(call.console, call.format, &json!({"Initialized": initialized}), &[])?;
    } else if initialized {
        call.console.line("Vault is initialized")?;
    } else {
        call.console.line("Vault is not initialized")?;
    }
    if initialized { Ok(()) } else { Err(Failure::Quiet(2)) }
}

fn show(call: &mut Call<'_, '_>, answer: &Value, unseal: &Shares, recover: &Shares) -> Result<(), Failure> {
    let keys = |name: &str| -> Vec<String> {
        let items = answer.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        items.iter().map(table::cell).collect()
    };
    let (unseal_keys, recovery_keys) = (keys("keys_base64"), keys("recovery_keys_base64"));
    let mut text = String::new();
    for (kind, keys) in [("Unseal", &unseal_keys), ("Recovery", &recovery_keys)] {
        for (index, key) in keys.iter().enumerate() {
            text.push_str(&format!("{kind} Key {}: {key}\n", index + 1));
        }
    }
    let root = answer.get("root_token").map(table::cell).unwrap_or_default();
    text.push_str(&format!("\nInitial Root Token: {root}\n\n"));
    if recovery_keys.is_empty() {
        text.push_str(&format!(
            "Vault initialized with {} key shares and a key threshold of {threshold}. Please securely\n\
             distribute the key shares printed above. When the Vault is re-sealed,\n\
             restarted, or stopped, you must supply at least {threshold} of these keys to unseal it\n\
             before it can start servicing requests.\n\n\
             Vault does not store the generated root key. Without at least {threshold} keys to\n\
             reconstruct the root key, Vault will remain permanently sealed!\n\n\
             It is possible to generate new unseal keys, provided you have a quorum\n\
             of existing unseal keys shares. See \"holdfast operator rotate-keys\" for more\n\
             information.",
            unseal.shares,
            threshold = unseal.threshold
        ));
    } else {
        text.push_str(&format!(
            "Success! Vault is initialized\n\n\
             Recovery key initialized with {} key shares and a key threshold of {}. Please\n\
             securely distribute the key shares printed above.",
            recover.shares, recover.threshold
        ));
    }
    call.console.line(&text)
}
