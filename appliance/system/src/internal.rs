//! `sys/internal/ui/…`: what clients ask before they act.

use std::sync::Arc;

use framework::Operation::Read;
use framework::{Context, Error, Json, Map, Route, fields};
use registry::{Mount, MountClass, Registry};

use crate::mounts::running_version;
use crate::{Core, Nothing};

pub(crate) fn routes(core: &Core) -> Vec<Route> {
    let registry = || Arc::clone(&core.registry);
    let (for_all, for_one, for_acl) = (registry(), registry(), registry());
    vec![
        Route::new(
            Read,
            "internal/ui/mounts",
            "The mounts that the caller may use.",
            move |cx: &Context<'_>, _: Nothing| visible(&for_all, cx),
        )
        .open(),
        Route::new(
            Read,
            "internal/ui/mounts/{path*}",
            "The mount that a path lies under.",
            move |cx: &Context<'_>, at: At| mount_of(&for_one, cx, &at.path),
        )
        // Asked with any token: the answer depends on what the token may do below the mount, not on a policy for this path.
        .open(),
        Route::new(
            Read,
            "internal/ui/resultant-acl",
            "What the caller's policies allow.",
            move |cx: &Context<'_>, _: Nothing| Ok(for_acl.acl_in(&cx.view, &cx.caller.policies, cx.now)?.resultant()),
        ),
    ]
}

fields! {
    struct At {
        /// A path below a mount.
        path: String,
    }

    struct Visible {
        /// Secrets engines.
        secret: Map<String, Json>,
        /// Auth methods.
        auth: Map<String, Json>,
    }
}

fn visible(registry: &Registry, cx: &Context<'_>) -> Result<Visible, Error> {
    let acl =
        if cx.caller.token.is_empty() { None } else { Some(registry.acl_in(&cx.view, &cx.caller.policies, cx.now)?) };
    let of = |class: MountClass| -> Result<Map<String, Json>, Error> {
        let mounts = registry.mounts(class)?;
        let shown = mounts.iter().filter(|mount| {
            mount.entry.config.listing_visibility == "unauth"
                || acl.as_ref().is_some_and(|acl| acl.reaches(&mount.entry.path))
        });
        Ok(shown
            .map(|mount| {
                let path = mount.entry.path.strip_prefix(class.prefix()).unwrap_or(&mount.entry.path);
                (path.to_owned(), Json::Object(mount.to_json(running_version())))
            })
            .collect())
    };
    Ok(Visible { secret: of(MountClass::Secret)?, auth: of(MountClass::Auth)? })
}

/// The command line asks this before every `kv` command, to learn the version of the engine.
fn mount_of(registry: &Registry, cx: &Context<'_>, path: &str) -> Result<Map<String, Json>, Error> {
    let refused = || Error::Refused {
        message: format!(
            "preflight capability check returned 403, please ensure client's policies grant access to path {:?}",
            with_slash(path)
        ),
    };
    let found: Option<(Arc<Mount>, &str)> = registry.locate(path)?;
    let (mount, _) = found.ok_or_else(refused)?;
    if !registry.acl_in(&cx.view, &cx.caller.policies, cx.now)?.reaches(&mount.entry.path) {
        return Err(refused());
    }
    let mut shown = mount.to_json(running_version());
    shown.insert("path".into(), mount.entry.path.as_str().into());
    Ok(shown)
}

fn with_slash(path: &str) -> String {
    format!("{}/", path.trim_end_matches('/'))
}
