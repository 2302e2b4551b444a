//! Logging in with a role's id and a secret id.

use std::collections::BTreeMap;

use framework::{Auth, Cidr, Context, Error, FieldType, Input, Json, Operation, Route, fields};

use super::ids::SecretId;
use super::role::{Blocks, Role};

pub(super) fn route() -> Route {
    Route::new(Operation::Update, "login", "Issue a token based on the credentials supplied.", login).login(claim)
}

fields! {
    struct Credentials {
        /// Unique identifier of the Role. Required at all times.
        role_id: String = String::new(),
        /// SecretID of the Role. Required when the 'bind_secret_id' constraint is set.
        secret_id: String = String::new(),
    }
}

/// Who wants to be let in.
fn claim(input: &Input) -> String {
    let id = input.body.get("role_id").cloned().map(String::parse);
    id.and_then(Result::ok).unwrap_or_default().trim().to_owned()
}

fn wrong(known: bool) -> Error {
    Error::BadCredentials { message: "invalid role or secret ID", known }
}

fn login(cx: &Context<'_>, credentials: Credentials) -> Result<Auth, Error> {
    let role_id = credentials.role_id.trim();
    if role_id.is_empty() {
        return Err(Error::field("role_id", "missing role_id"));
    }
    let role = Role::by_id(cx, role_id)?.ok_or_else(|| wrong(false))?;
    let constraints = &role.settings.0;
    let secret_id =
        if constraints.bind_secret_id { Some(use_up(cx, &role, credentials.secret_id.trim())?) } else { None };
    let refused =
        |what: &str| Error::invalid(format!("source address \"{}\" unauthorized {what}", cx.origin.remote_address));
    let admits = |blocks: &Blocks| Cidr::any_contains(&blocks.cidrs(), cx.origin.remote_address);
    if !admits(&constraints.secret_id_bound_cidrs) {
        return Err(refused("by CIDR restrictions on the role"));
    }
    let (mut metadata, mut own_bounds) = (BTreeMap::new(), Vec::new());
    if let Some(secret_id) = secret_id {
        let cidr_list = Blocks(secret_id.cidr_list);
        cidr_list.check_within(&constraints.secret_id_bound_cidrs.cidrs())?;
        if !admits(&cidr_list) {
            return Err(refused("through CIDR restrictions on the secret ID"));
        }
        metadata = secret_id.metadata;
        own_bounds = Blocks(secret_id.token_bound_cidrs).cidrs();
    }
    metadata.insert("role_name".to_owned(), role.kept.name.clone());
    let mut auth = role.settings.1.1.auth(cx);
    if !own_bounds.is_empty() {
        auth.bound_cidrs = own_bounds;
    }
    auth.metadata = metadata;
    auth.internal.insert("role_name".to_owned(), Json::String(role.kept.name));
    Ok(auth)
}

/// The secret id, and one use of it less: the last one ends it. Two logins with the same one at once conflict, and one of
/// them runs again, so that no use counts twice.
fn use_up(cx: &Context<'_>, role: &Role, secret_id: &str) -> Result<SecretId, Error> {
    if secret_id.is_empty() {
        return Err(Error::field("secret_id", "missing secret_id"));
    }
    let (ids, hmac) = (role.ids(cx), role.hmac(secret_id)?);
    let mut record = ids.get(&hmac)?.filter(|record| record.valid(cx.now)).ok_or_else(|| wrong(true))?;
    match record.num_uses {
        0 => {}
        1 => ids.remove(&hmac, &record)?,
        _ => {
            record.num_uses -= 1;
            record.updated = cx.now.nanos();
            ids.change(&hmac, &record)?;
        }
    }
    Ok(record)
}

pub(super) fn renew(cx: &Context<'_>, auth: &mut Auth) -> Result<(), Error> {
    let name = auth.internal.get("role_name").and_then(Json::as_str).unwrap_or_default().to_owned();
    match Role::find(cx, &name)? {
        Some(role) => {
            role.settings.1.1.renew(auth);
            Ok(())
        }
        None => Err(Error::invalid(format!("failed to renew entry: role {name:?} does not exist during renewal"))),
    }
}
