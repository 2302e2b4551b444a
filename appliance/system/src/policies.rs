//! `sys/policies/acl` and the older `sys/policy`.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use framework::Operation::{Delete, List, Read, Update};
use framework::{Context, Error, Json, Map, Route, fields};
use registry::{Registry, StoredPolicy};

use crate::{Core, Keys, Nothing};

pub(crate) fn routes(core: &Core) -> Vec<Route> {
    let registry = || Arc::clone(&core.registry);
    let list =
        |registry: Arc<Registry>| move |cx: &Context<'_>, _: Nothing| Ok(Keys { keys: registry.policies(&cx.view)? });
    let write = |registry: Arc<Registry>| {
        move |cx: &Context<'_>, policy: Write| {
            registry.put_policy(&cx.view, &policy.name, &text(policy.policy)?, cx.now)
        }
    };
    let delete = |registry: Arc<Registry>| move |cx: &Context<'_>, at: At| registry.delete_policy(&cx.view, &at.name);
    let (new, old, both) = (registry(), registry(), registry());
    vec![
        Route::new(List, "policies/acl", "List the names of the ACL policies.", list(registry())),
        Route::new(Read, "policies/acl/{name}", "Read an ACL policy.", move |cx: &Context<'_>, at: At| {
            read(&new, cx, &at.name, "policy")
        }),
        Route::new(Update, "policies/acl/{name}", "Write an ACL policy.", write(registry())),
        Route::new(Delete, "policies/acl/{name}", "Delete an ACL policy.", delete(registry())),
        Route::new(Read, "policy", "List the names of the policies.", move |cx: &Context<'_>, _: Nothing| {
            let keys = both.policies(&cx.view)?;
            Ok(Policies { policies: keys.clone(), keys })
        })
        .merged(),
        Route::new(List, "policy", "List the names of the policies.", list(registry())).merged(),
        Route::new(Read, "policy/{name}", "Read a policy.", move |cx: &Context<'_>, at: At| {
            read(&old, cx, &at.name, "rules")
        })
        .merged(),
        Route::new(Update, "policy/{name}", "Write a policy.", write(registry())),
        Route::new(Delete, "policy/{name}", "Delete a policy.", delete(registry())),
    ]
}

fields! {
    struct At {
        /// The policy's name.
        name: String,
    }

    struct Write {
        /// The policy's name.
        name: String,
        /// The rules, in HCL or JSON, as they are or in base64.
        policy: Option<String>,
    }

    struct Policies {
        /// The names.
        keys: Vec<String>,
        /// The names, again.
        policies: Vec<String>,
    }
}

fn text(policy: Option<String>) -> Result<String, Error> {
    let policy = policy.filter(|policy| !policy.is_empty());
    let policy = policy.ok_or_else(|| Error::field("policy", "'policy' parameter not supplied or empty"))?;
    let decoded = STANDARD.decode(&policy).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    Ok(decoded.unwrap_or(policy))
}

/// The text stands under `policy`, or, on the older path, under `rules`.
fn read(registry: &Registry, cx: &Context<'_>, name: &str, field: &str) -> Result<Map<String, Json>, Error> {
    let StoredPolicy { name, text, version, modified } = registry.policy(&cx.view, name)?.ok_or(Error::NotFound)?;
    let mut map = Map::new();
    map.insert("name".into(), name.into());
    map.insert(field.into(), text.into());
    map.insert("version".into(), version.into());
    map.insert("cas_required".into(), false.into());
    if let Some(modified) = modified {
        map.insert("modified".into(), modified.to_string().into());
    }
    Ok(map)
}
