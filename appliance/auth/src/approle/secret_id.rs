//! The secret ids of a role: made, looked up, destroyed.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use framework::Operation::{Delete, List, Update};
use framework::{Context, Error, Json, Map, Output, Paging, Route, Secs, Timestamp, fields, uuid};

use super::ids::{self, SecretId};
use super::role::{At, Blocks, LONGEST, Role};

pub(super) fn routes() -> Vec<Route> {
    let make = |cx: &Context<'_>, (at, wanted): (At, Wanted)| {
        let secret_id = uuid(cx.rng);
        make(cx, &at, wanted, secret_id)
    };
    let register = |cx: &Context<'_>, (at, (custom, wanted)): (At, (Custom, Wanted))| {
        make_custom(cx, &at, wanted, custom.secret_id)
    };
    let by_id = |cx: &Context<'_>, (at, which): (At, ById)| by_id(cx, &at, &which);
    let by_accessor = |cx: &Context<'_>, (at, which): (At, ByAccessor)| by_accessor(cx, &at, &which);
    let destroy = |cx: &Context<'_>, (at, which): (At, ById)| destroy(cx, &at, &which);
    let destroy_by_accessor = |cx: &Context<'_>, (at, which): (At, ByAccessor)| destroy_by_accessor(cx, &at, &which);
    const DESTROY: &str = "Invalidate an issued secret_id.";
    const DESTROY_BY_ACCESSOR: &str = "Invalidate an issued secret_id, using its accessor.";
    vec![
        Route::new(Update, "role/{role_name}/secret-id", "Generate a SecretID against this role.", make),
        Route::new(List, "role/{role_name}/secret-id", "List the accessors of the role's SecretIDs.", list),
        Route::new(
            Update,
            "role/{role_name}/custom-secret-id",
            "Assign a SecretID of choice against the role.",
            register,
        ),
        Route::new(Update, "role/{role_name}/secret-id/lookup", "Read the properties of an issued secret_id.", by_id),
        Route::new(Update, "role/{role_name}/secret-id/destroy", DESTROY, destroy),
        Route::new(Delete, "role/{role_name}/secret-id/destroy", DESTROY, destroy),
        Route::new(
            Update,
            "role/{role_name}/secret-id-accessor/lookup",
            "Read an issued secret_id, using its accessor.",
            by_accessor,
        ),
        Route::new(Update, "role/{role_name}/secret-id-accessor/destroy", DESTROY_BY_ACCESSOR, destroy_by_accessor),
        Route::new(Delete, "role/{role_name}/secret-id-accessor/destroy", DESTROY_BY_ACCESSOR, destroy_by_accessor),
        Route::new(Update, "tidy/secret-id", "Trigger the clean-up of expired SecretID entries.", tidy),
    ]
}

fields! {
    struct Nothing {}

    struct Wanted {
        /// Metadata to be tied to the SecretID: a JSON formatted string, or "key=value" pairs, separated by commas.
        metadata: String = String::new(),
        /// Comma separated string or list of CIDR blocks enforcing secret IDs to be used from specific set of IP addresses.
        /// If 'secret_id_bound_cidrs' is set on the role, they should be a subset of those.
        cidr_list: Blocks = Blocks::default(),
        /// Comma separated string or list of CIDR blocks. If set, specifies the blocks of IP addresses
        /// which are allowed to use the generated token. They should be a subset of those of the role, if any.
        token_bound_cidrs: Blocks = Blocks::default(),
        /// Number of times this SecretID can be used, after which the SecretID expires.
        /// May not be higher than the role's secret_id_num_uses.
        num_uses: Option<u64>,
        /// Duration in seconds after which this SecretID expires. May not be longer than the role's secret_id_ttl.
        ttl: Option<Secs>,
    }

    struct Custom {
        /// SecretID to be attached to the role.
        secret_id: String = String::new(),
    }

    struct Made {
        /// Secret ID attached to the role.
        secret_id: String,
        /// Accessor of the secret ID.
        secret_id_accessor: String,
        /// Number of times a secret ID can access the role, after which the secret ID will expire.
        secret_id_num_uses: u64,
        /// Duration in seconds after which the issued secret ID expires.
        secret_id_ttl: Secs,
    }

    struct ById {
        /// SecretID attached to the role.
        secret_id: String = String::new(),
    }

    struct ByAccessor {
        /// Accessor of the SecretID.
        secret_id_accessor: String = String::new(),
    }

    struct Shown {
        /// Accessor of the secret ID.
        secret_id_accessor: String,
        /// Uses left; 0 for any number.
        secret_id_num_uses: u64,
        /// The lifetime that was asked for.
        secret_id_ttl: Secs,
        /// When it was made.
        creation_time: String,
        /// When it expires; the year 1 for never.
        expiration_time: String,
        /// When it was changed last.
        last_updated_time: String,
        /// Its metadata.
        metadata: BTreeMap<String, String>,
        /// From where it may be used.
        cidr_list: Blocks,
        /// From where its tokens may be used.
        token_bound_cidrs: Vec<String>,
    }
}

/// The role, for paths on which Vault's refusal of an unknown one is not that of a path.
fn role(cx: &Context<'_>, at: &At) -> Result<Role, Error> {
    let missing = || Error::invalid(format!("role {:?} does not exist", at.role_name));
    Role::find(cx, &at.role_name)?.ok_or_else(missing)
}

fn make_custom(cx: &Context<'_>, at: &At, wanted: Wanted, secret_id: String) -> Result<Made, Error> {
    if secret_id.is_empty() {
        return Err(Error::field("secret_id", "missing secret_id"));
    }
    if secret_id.len() > LONGEST {
        return Err(Error::field("secret_id", format!("value is longer than maximum of {LONGEST} bytes")));
    }
    make(cx, at, wanted, secret_id)
}

fn make(cx: &Context<'_>, at: &At, wanted: Wanted, secret_id: String) -> Result<Made, Error> {
    let missing = || Error::NoRoute { message: format!("role {:?} does not exist", at.role_name) };
    let role = Role::find(cx, &at.role_name)?.ok_or_else(missing)?;
    let (constraints, (_, token)) = &role.settings;
    if !constraints.bind_secret_id {
        return Err(Error::invalid("bind_secret_id is not set on the role"));
    }
    wanted.cidr_list.check_within(&constraints.secret_id_bound_cidrs.cidrs())?;
    wanted.token_bound_cidrs.check_within(&token.token_bound_cidrs)?;
    let uses = within(wanted.num_uses, constraints.secret_id_num_uses)
        .ok_or_else(|| Error::field("num_uses", "num_uses cannot be higher than the role's secret_id_num_uses"))?;
    let Secs(most) = constraints.secret_id_ttl;
    let ttl = within(wanted.ttl.map(|Secs(ttl)| ttl.as_secs()), most.as_secs())
        .ok_or_else(|| Error::field("ttl", "ttl cannot be longer than the role's secret_id_ttl"))?;
    // No longer than anything may live on this mount.
    let lifetime = Secs(std::time::Duration::from_secs(ttl).min(cx.mount.max_ttl));
    let record = SecretId {
        accessor: uuid(cx.rng),
        num_uses: uses,
        ttl,
        created: cx.now.nanos(),
        expires: if ttl == 0 { 0 } else { cx.now.plus(lifetime.0).nanos() },
        updated: cx.now.nanos(),
        metadata: metadata(&wanted.metadata)?,
        cidr_list: wanted.cidr_list.0,
        token_bound_cidrs: wanted.token_bound_cidrs.0,
    };
    let (ids, hmac) = (role.ids(cx), role.hmac(&secret_id)?);
    if ids.get(&hmac)?.is_some() {
        return Err(Error::field("secret_id", "failed to store secret_id: SecretID is already registered"));
    }
    ids.add(&hmac, &record)?;
    Ok(Made { secret_id, secret_id_accessor: record.accessor, secret_id_num_uses: uses, secret_id_ttl: lifetime })
}

/// What is wanted, or what the role says; `None` if it is more than the role allows, where 0 is without end.
fn within(wanted: Option<u64>, most: u64) -> Option<u64> {
    match wanted {
        None => Some(most),
        Some(wanted) if most > 0 && (wanted == 0 || wanted > most) => None,
        wanted => wanted,
    }
}

/// An object of text in JSON, or pairs; either also in base64, as Vault takes it.
fn metadata(text: &str) -> Result<BTreeMap<String, String>, Error> {
    let refused =
        || Error::field("metadata", "failed to parse metadata: failed to parse the input: invalid <key,value> format");
    let decoded = STANDARD.decode(text).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let text = decoded.as_deref().unwrap_or(text).trim();
    if text.is_empty() {
        return Ok(BTreeMap::new());
    }
    if let Ok(map) = serde_json::from_str(text) {
        return Ok(map);
    }
    let pair = |part: &str| part.split_once('=').map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()));
    let pairs = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    pairs.map(|part| pair(part).filter(|(key, _)| !key.is_empty()).ok_or_else(refused)).collect()
}

fn list(cx: &Context<'_>, (at, paging): (At, Paging)) -> Result<framework::Names, Error> {
    role(cx, &at)?.ids(cx).list(paging)
}

/// What was found is there while it is valid.
fn shown(record: Option<SecretId>, now: Timestamp) -> Output {
    let Some(record) = record.filter(|record| record.valid(now)) else { return Output::default() };
    let at = |nanos: i64| Timestamp::from_nanos(nanos).to_string();
    let shown = Shown {
        secret_id_accessor: record.accessor,
        secret_id_num_uses: record.num_uses,
        secret_id_ttl: Secs(std::time::Duration::from_secs(record.ttl)),
        creation_time: at(record.created),
        expiration_time: if record.expires == 0 { "0001-01-01T00:00:00Z".to_owned() } else { at(record.expires) },
        last_updated_time: at(record.updated),
        metadata: record.metadata,
        cidr_list: Blocks(record.cidr_list),
        token_bound_cidrs: record.token_bound_cidrs,
    };
    framework::IntoOutput::into_output(shown)
}

fn given<'a>(value: &'a str, name: &'static str) -> Result<&'a str, Error> {
    if value.is_empty() { Err(Error::field(name, format!("missing {name}"))) } else { Ok(value) }
}

fn by_id(cx: &Context<'_>, at: &At, which: &ById) -> Result<Output, Error> {
    let secret_id = given(&which.secret_id, "secret_id")?;
    let role = role(cx, at)?;
    Ok(shown(role.ids(cx).get(&role.hmac(secret_id)?)?, cx.now))
}

fn by_accessor(cx: &Context<'_>, at: &At, which: &ByAccessor) -> Result<Output, Error> {
    let accessor = given(&which.secret_id_accessor, "secret_id_accessor")?;
    match role(cx, at)?.ids(cx).by_accessor(accessor)? {
        Some((_, record)) => Ok(shown(Some(record), cx.now)),
        None => {
            // Vault's shape of this one refusal, which clients read.
            let message = format!("failed to find accessor entry for secret_id_accessor: {accessor:?}");
            let data = Map::from_iter([("error".to_owned(), Json::from(message))]);
            Ok(Output { data: Some(data), status: Some(404), ..Output::default() })
        }
    }
}

fn destroy(cx: &Context<'_>, at: &At, which: &ById) -> Result<(), Error> {
    let secret_id = given(&which.secret_id, "secret_id")?;
    let role = role(cx, at)?;
    let (ids, hmac) = (role.ids(cx), role.hmac(secret_id)?);
    ids.get(&hmac)?.map_or(Ok(()), |record| ids.remove(&hmac, &record))
}

fn destroy_by_accessor(cx: &Context<'_>, at: &At, which: &ByAccessor) -> Result<(), Error> {
    let accessor = given(&which.secret_id_accessor, "secret_id_accessor")?;
    let ids = role(cx, at)?.ids(cx);
    let (hmac, record) = ids.by_accessor(accessor)?.ok_or_else(|| {
        Error::field(
            "secret_id_accessor",
            format!("failed to find accessor entry for secret_id_accessor: {accessor:?}"),
        )
    })?;
    ids.remove(&hmac, &record)
}

/// Begins the clean-up, and leaves what is too much for one transaction to the next time it is due.
fn tidy(cx: &Context<'_>, _: Nothing) -> Result<Output, Error> {
    ids::sweep(cx)?;
    let warning =
        "Tidy operation successfully started. Any information from the operation will be printed to the server's logs.";
    Ok(Output { warnings: vec![warning.to_owned()], status: Some(202), ..Output::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_an_object_or_pairs() {
        let parsed = |text: &str| {
            metadata(text).map(|map| map.into_iter().map(|(k, v)| k + "=" + &v).collect::<Vec<_>>().join(";"))
        };
        assert_eq!(parsed("").unwrap(), "");
        assert_eq!(parsed(r#"{"a":"b","c":"d"}"#).unwrap(), "a=b;c=d");
        assert_eq!(parsed("a=b, c=d=e").unwrap(), "a=b;c=d=e");
        assert_eq!(parsed(&STANDARD.encode(r#"{"a":"b"}"#)).unwrap(), "a=b");
        for bad in ["x", "=b", r#"{"a":1}"#, "[]"] {
            assert!(parsed(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn no_more_than_the_role_allows() {
        assert_eq!(
            [within(None, 3), within(Some(2), 3), within(Some(5), 0), within(Some(0), 0)],
            [Some(3), Some(2), Some(5), Some(0)]
        );
        assert_eq!([within(Some(4), 3), within(Some(0), 3)], [None, None]);
    }
}
