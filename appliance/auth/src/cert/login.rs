//! Logging in with the certificate of the connection.

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use framework::{Auth, Context, Error, Json, Operation, Route, fields};

use super::config::Config;
use super::facts::{self, Facts};
use super::role::{self, Role};
use super::trust::{Client, Match};

pub(super) fn route() -> Route {
    Route::new(Operation::Update, "login", "Log in with the certificate of the connection.", login).open()
}

fields! {
    struct Login {
        /// The name of the certificate role to authenticate against.
        name: String = String::new(),
    }
}

fn login(cx: &Context<'_>, login: Login) -> Result<Auth, Error> {
    let client = Client::of(cx)?;
    let (name, ((constraints, _), (_, token))) = matching(cx, &client, &login.name)?;
    token.admits(cx)?;
    let mut auth = token.auth(cx);
    let facts = &client.facts;
    for (key, value) in [
        ("cert_name", name.clone()),
        ("common_name", facts.common_name.clone()),
        ("serial_number", facts.serial.clone()),
        ("subject_key_id", colons(&facts.subject_key_id)),
        ("authority_key_id", colons(&facts.authority_key_id)),
    ] {
        auth.metadata.insert(key.to_owned(), value);
    }
    for oid in &constraints.allowed_metadata_extensions.0 {
        // Without dots, so that policy templates can name it.
        auth.metadata.extend(facts.extension_text(oid).map(|text| (oid.replace('.', "-"), text)));
    }
    auth.display_name = constraints.display_name;
    auth.internal.insert("cert_name".to_owned(), Json::String(name));
    auth.internal.insert("certificate".to_owned(), Json::String(fingerprint(&client)));
    Ok(auth)
}

/// The first role that trusts the client. A role that names the very certificate comes before one that names an authority.
fn matching(cx: &Context<'_>, client: &Client<'_>, name: &str) -> Result<(String, Role), Error> {
    let mut roles = role::named(&cx.view, name)?;
    roles.sort_by_key(|(_, ((constraints, _), _))| names_authority(&constraints.certificate));
    let mut vouched_for = false;
    for (name, role) in roles {
        match client.matches(cx, &role.0.0)? {
            Match::Yes => return Ok((name, role)),
            Match::Constrained => vouched_for = true,
            Match::No => {}
        }
    }
    Err(Error::invalid(if vouched_for {
        "no chain matching all constraints could be found for this login certificate"
    } else {
        "invalid certificate or no client certificate supplied"
    }))
}

fn names_authority(pem: &str) -> bool {
    facts::from_pem(pem).first().and_then(|der| Facts::of(der)).is_some_and(|facts| facts.is_authority)
}

fn fingerprint(client: &Client<'_>) -> String {
    STANDARD.encode(digest::digest(&digest::SHA256, &client.leaf))
}

/// Bytes as Vault shows the ids of keys.
fn colons(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":")
}

pub(super) fn renew(cx: &Context<'_>, auth: &mut Auth) -> Result<(), Error> {
    let internal = |name: &str| auth.internal.get(name).and_then(Json::as_str).unwrap_or_default().to_owned();
    let (name, certificate) = (internal("cert_name"), internal("certificate"));
    let Some((_, (_, token))) = role::find(&cx.view, &name)? else {
        return Err(Error::invalid("failed to renew entry: the certificate is not trusted any more"));
    };
    token.renew_with_same_policies(auth)?;
    if !Config::of(&cx.view)?.disable_binding {
        let client = Client::of(cx)?;
        matching(cx, &client, &name)?;
        if fingerprint(&client) != certificate {
            let message =
                "failed to renew entry: client identity during renewal not matching client identity used during login";
            return Err(Error::invalid(message));
        }
    }
    Ok(())
}
