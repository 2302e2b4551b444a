//! `holdfast server -dev`: a server in memory for trying things out, unsealed and with a known root token. The same roles
//! and the same locks as a real one, as far as the user may set them.

use std::io::Write;
use std::net::SocketAddr;

use framework::{Error, InitRequest, Operation, SealControl, Secret};
use pipeline::Request;

use crate::arguments::DevOptions;
use crate::compose::Parts;
use crate::config::{self, Config, ConfigError};

/// The configuration of a server for trying out.
pub(crate) fn config(dev: &DevOptions) -> Result<Config, ConfigError> {
    config::in_memory(server::Listener { address: dev.address, tls: None })
}

/// The root token that was asked for; `None` leaves it to chance.
pub(crate) fn root_token(dev: &DevOptions) -> Option<Secret> {
    dev.root_token.clone().filter(|token| !token.is_empty()).map(Secret::from)
}

/// Initialises, unseals, mounts `secret/`, and tells the user how to go on.
pub(crate) fn prepare(dev: &DevOptions, parts: &Parts, addresses: &[SocketAddr]) -> Result<(), Error> {
    let answer = parts.control.initialize(&InitRequest {
        shares: 1,
        threshold: 1,
        pgp_keys: Vec::new(),
        root_token_pgp_key: None,
    })?;
    let share = answer.shares.first().ok_or_else(|| Error::internal("no share"))?;
    parts.control.submit(Some(share.try_clone()?))?;
    mount_secret(parts, &answer.root_token)?;
    let token = String::from_utf8_lossy(answer.root_token.expose()).into_owned();
    let address = addresses.first().copied().unwrap_or(dev.address);
    let hex = framework::hex::encode(share.expose());
    let _ = writeln!(
        std::io::stdout(),
        "\nHoldfast runs for trying out: everything is in memory and gone when it ends.\n\n\
         Type in another terminal:\n\n    export VAULT_ADDR='http://{address}'\n    export VAULT_TOKEN='{token}'\n    \
         holdfast kv put secret/hello to=world\n\nUnseal Key: {hex}\nRoot Token: {token}\n"
    );
    Ok(())
}

/// `secret/`, as a dev server of Vault has it.
fn mount_secret(parts: &Parts, token: &Secret) -> Result<(), Error> {
    let body =
        serde_json::json!({"type": "kv", "options": {"version": "2"}, "description": "key/value secret storage"});
    let serde_json::Value::Object(body) = body else { return Ok(()) };
    let request = Request {
        operation: Operation::Update,
        path: "sys/mounts/secret".to_owned(),
        token: Some(token.try_clone()?),
        body: Ok(body),
        upload: None,
        origin: framework::Origin::local(),
        headers: Vec::new(),
        help: false,
    };
    parts.pipeline.handle(request).result.map(drop)
}
