//! `sys/policies/acl` and the older `sys/policy`.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use framework::Operation::{Delete, List, Patch, Read, Update};
use framework::acl::Values;
use framework::{Context, Error, Json, Map, Names, Output, Paging, Route, Secs, Timestamp, fields};
use registry::{PolicySpec, Registry, StoredPolicy};

use crate::Core;

/// Where the text of a policy stands in an answer.
const TEXT: &str = "policy";
/// The same on the older path.
const OLD_TEXT: &str = "rules";

pub(crate) fn routes(core: &Core) -> Vec<Route> {
    [listing(core), reading(core), writing(core)].into_iter().flatten().collect()
}

fn listing(core: &Core) -> Vec<Route> {
    let registry = || Arc::clone(&core.registry);
    let all = |registry: Arc<Registry>| move |cx: &Context<'_>, paging: Paging| list(&registry, cx, "", paging);
    let below = |registry: Arc<Registry>| {
        move |cx: &Context<'_>, (at, paging): (At, Paging)| list(&registry, cx, &at.name, paging)
    };
    let old = |registry: Arc<Registry>| {
        move |cx: &Context<'_>, (at, paging): (Folder, Paging)| {
            let keys = list(&registry, cx, &at.name.unwrap_or_default(), paging)?.keys;
            Ok(Policies { policies: keys.clone(), keys })
        }
    };
    let detailed = |registry: Arc<Registry>| {
        move |cx: &Context<'_>, (at, paging): (Folder, Paging)| {
            let keys = list(&registry, cx, &at.name.unwrap_or_default(), paging)?.keys;
            let info = keys.iter().map(|name| Ok((name.clone(), Json::Object(read(&registry, cx, name, TEXT)?))));
            Ok(Detailed { key_info: info.collect::<Result<_, Error>>()?, keys })
        }
    };
    vec![
        Route::new(List, "policies/acl", "List the names of the ACL policies.", all(registry())),
        Route::new(List, "policies/acl/{name*}", "List the names of the ACL policies in a folder.", below(registry())),
        Route::new(List, "policies/detailed/acl", "List the ACL policies.", detailed(registry())),
        Route::new(List, "policies/detailed/acl/{name*}", "List the ACL policies in a folder.", detailed(registry())),
        Route::new(Read, "policy", "List the names of the policies.", old(registry())).merged(),
        Route::new(List, "policy", "List the names of the policies.", old(registry())).merged(),
        Route::new(List, "policy/{name*}", "List the names of the policies in a folder.", old(registry())).merged(),
    ]
}

fn reading(core: &Core) -> Vec<Route> {
    let registry = || Arc::clone(&core.registry);
    let reader = |registry: Arc<Registry>, field: &'static str| {
        move |cx: &Context<'_>, at: At| read(&registry, cx, &at.name()?, field)
    };
    vec![
        Route::new(Read, "policies/acl/{name*}", "Read an ACL policy.", reader(registry(), TEXT)),
        Route::new(Read, "policy/{name*}", "Read a policy.", reader(registry(), OLD_TEXT)).merged(),
    ]
}

fn writing(core: &Core) -> Vec<Route> {
    let registry = || Arc::clone(&core.registry);
    let delete =
        |registry: Arc<Registry>| move |cx: &Context<'_>, at: At| registry.delete_policy(&cx.view, &at.name()?);
    let (new, old, patching) = (registry(), registry(), registry());
    vec![
        Route::new(Update, "policies/acl/{name*}", "Write an ACL policy.", move |cx: &Context<'_>, policy: Write| {
            write(&new, cx, policy)
        }),
        Route::new(
            Patch,
            "policies/acl/{name*}",
            "Change parts of an ACL policy.",
            move |cx: &Context<'_>, parts: Write| patch(&patching, cx, parts),
        ),
        Route::new(Delete, "policies/acl/{name*}", "Delete an ACL policy.", delete(registry())),
        Route::new(Update, "policy/{name*}", "Write a policy.", move |cx: &Context<'_>, policy: Write| {
            write_old(&old, cx, policy)
        }),
        Route::new(Delete, "policy/{name*}", "Delete a policy.", delete(registry())),
    ]
}

fields! {
    struct At {
        /// The policy's name.
        name: String,
    }

    struct Folder {
        /// What the names begin with, up to a slash.
        name: Option<String>,
    }

    struct Write {
        /// The policy's name.
        name: String,
        /// The rules, in HCL or JSON, as they are or in base64.
        policy: Option<String>,
        /// The old name of `policy`, for the older path.
        rules: Option<String>,
        /// The version that is replaced; 0 or -1 where there is none yet.
        cas: Option<i64>,
        /// Whether every write must give `cas`.
        cas_required: Option<bool>,
        /// When the policy ends (RFC 3339); empty for never.
        expiration: Option<String>,
        /// How long the policy lasts, in place of `expiration`.
        ttl: Option<Secs>,
        /// Fill values that hold a slash into templates too.
        allow_slashes_in_identity_templates: Option<bool>,
        /// Take `*` and `+` in values that are filled into templates for wildcards.
        allow_wildcards_in_identity_templates: Option<bool>,
    }

    struct Policies {
        /// The names.
        keys: Vec<String>,
        /// The names, again.
        policies: Vec<String>,
    }

    struct Detailed {
        /// The names.
        keys: Vec<String>,
        /// The policies by name.
        key_info: Map<String, Json>,
    }
}

impl At {
    fn name(self) -> Result<String, Error> {
        if self.name.is_empty() { Err(Error::Unsupported) } else { Ok(self.name) }
    }
}

fn list(registry: &Registry, cx: &Context<'_>, folder: &str, paging: Paging) -> Result<Names, Error> {
    Names::some(paging.of(registry.policies(&cx.view, folder, cx.now)?))
}

/// The text stands under `field`.
fn read(registry: &Registry, cx: &Context<'_>, name: &str, field: &str) -> Result<Map<String, Json>, Error> {
    let found = registry.policy(&cx.view, name, cx.now)?.ok_or(Error::NotFound)?;
    let StoredPolicy { name, text, version, modified, cas_required, expires, values } = found;
    let mut map = Map::new();
    map.insert("name".into(), name.into());
    map.insert(field.into(), text.into());
    map.insert("version".into(), version.into());
    map.insert("cas_required".into(), cas_required.into());
    map.insert("allow_slashes_in_identity_templates".into(), values.slashes.into());
    map.insert("allow_wildcards_in_identity_templates".into(), values.wildcards.into());
    for (field, at) in [("modified", modified), ("expiration", expires)] {
        if let Some(at) = at {
            map.insert(field.into(), at.to_string().into());
        }
    }
    Ok(map)
}

fn write(registry: &Registry, cx: &Context<'_>, policy: Write) -> Result<(), Error> {
    let text = policy.policy.as_deref().filter(|text| !text.is_empty());
    let text = text.ok_or_else(|| Error::field("policy", "'policy' parameter not supplied or empty"))?;
    let spec = policy.over(PolicySpec::new(decoded(text)), cx.now)?;
    registry.put_policy(&cx.view, &policy.name, spec, cx.now)
}

fn write_old(registry: &Registry, cx: &Context<'_>, mut policy: Write) -> Result<Output, Error> {
    let mut output = Output::default();
    if let Some(rules) = policy.rules.take() {
        policy.policy.get_or_insert(rules);
        output.warnings.push("'rules' is deprecated, please use 'policy' instead".to_owned());
    }
    write(registry, cx, policy).map(|()| output)
}

/// Replaces the version that was read, so `cas_required` is kept without `cas`.
fn patch(registry: &Registry, cx: &Context<'_>, parts: Write) -> Result<(), Error> {
    let StoredPolicy { name, text, version, cas_required, expires, values, .. } =
        registry.policy(&cx.view, &parts.name, cx.now)?.ok_or(Error::NotFound)?;
    let text = parts.policy.as_deref().filter(|text| !text.is_empty()).map_or(text, decoded);
    let cas = i64::try_from(version).ok();
    let spec = parts.over(PolicySpec { text, cas, cas_required, expires, values }, cx.now)?;
    registry.put_policy(&cx.view, &name, spec, cx.now)
}

impl Write {
    /// What is given here in place of what is there; the text is not looked at.
    fn over(&self, there: PolicySpec, now: Timestamp) -> Result<PolicySpec, Error> {
        let expires = match (self.expiration.as_deref(), self.ttl) {
            (Some(_), Some(_)) => {
                return Err(Error::field("ttl", "cannot supply both 'expiration' and 'ttl' for policies"));
            }
            (Some(""), None) => None,
            (Some(text), None) => Some(Timestamp::parse(text).ok_or_else(|| {
                let problem =
                    "error converting input for field \"expiration\": could not parse string as date and time";
                Error::field("expiration", problem)
            })?),
            (None, Some(Secs(ttl))) => Some(now.plus(ttl)),
            (None, None) => there.expires,
        };
        let values = Values {
            slashes: self.allow_slashes_in_identity_templates.unwrap_or(there.values.slashes),
            wildcards: self.allow_wildcards_in_identity_templates.unwrap_or(there.values.wildcards),
        };
        let cas_required = self.cas_required.unwrap_or(there.cas_required);
        Ok(PolicySpec { text: there.text, cas: self.cas.or(there.cas), cas_required, expires, values })
    }
}

/// A policy may be given in base64.
pub(crate) fn decoded(text: &str) -> String {
    let decoded = STANDARD.decode(text).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    decoded.unwrap_or_else(|| text.to_owned())
}
