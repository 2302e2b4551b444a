//! `sys/internal/ui/…`: what clients ask before they act.

use std::sync::Arc;

use framework::Operation::Read;
use framework::acl::Acl;
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
        .open()
        .sees_token(),
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
            "internal/ui/namespaces",
            "The namespaces below this one that the caller may use: none, there is one namespace.",
            |cx: &Context<'_>, _: Nothing| {
                if cx.caller.token.is_empty() { Err(Error::Denied) } else { Ok(Map::<String, Json>::new()) }
            },
        )
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

/// Which mounts a caller sees: those that anybody sees, and with a token those in which it may do something.
pub(crate) struct Sight(Option<Arc<Acl>>);

impl Sight {
    /// For routes that see the token and are open: [`Error::Denied`] for a token that stands for nobody.
    pub(crate) fn of(registry: &Registry, cx: &Context<'_>) -> Result<Self, Error> {
        match (cx.caller.token.is_empty(), cx.token) {
            (false, _) => Ok(Self(Some(registry.acl_in(&cx.view, &cx.caller.policies, cx.now)?))),
            (true, Some(_)) => Err(Error::Denied),
            (true, None) => Ok(Self(None)),
        }
    }

    pub(crate) fn sees(&self, mount: &Mount) -> bool {
        mount.entry.config.listing_visibility == "unauth"
            || self.0.as_ref().is_some_and(|acl| acl.reaches(&mount.entry.path))
    }
}

fn visible(registry: &Registry, cx: &Context<'_>) -> Result<Visible, Error> {
    let sight = Sight::of(registry, cx)?;
    let shown = |mount: &Mount| {
        let mut shown = mount.to_json(running_version());
        // Nobody is told enough to choose a way to log in, and no more.
        shown.retain(|name, _| sight.0.is_some() || matches!(name.as_str(), "type" | "description" | "options"));
        Json::Object(shown)
    };
    let of = |class: MountClass| -> Result<Map<String, Json>, Error> {
        let mounts = registry.mounts(class)?;
        Ok(mounts.iter().filter(|mount| sight.sees(mount)).map(|mount| (own_path(mount), shown(mount))).collect())
    };
    Ok(Visible { secret: of(MountClass::Secret)?, auth: of(MountClass::Auth)? })
}

/// The command line asks this before every `kv` command, to learn the version of the engine.
fn mount_of(registry: &Registry, cx: &Context<'_>, path: &str) -> Result<Map<String, Json>, Error> {
    if cx.caller.token.is_empty() {
        return Err(Error::Denied);
    }
    let refused = || Error::Refused {
        message: format!(
            "preflight capability check returned 403, please ensure client's policies grant access to path {:?}",
            format!("{}/", path.trim_end_matches('/'))
        ),
    };
    let found: Option<(Arc<Mount>, &str)> = registry.locate(path)?;
    let (mount, _) = found.ok_or_else(refused)?;
    if !registry.acl_in(&cx.view, &cx.caller.policies, cx.now)?.reaches(&mount.entry.path) {
        return Err(refused());
    }
    let mut shown = mount.to_json(running_version());
    shown.insert("path".into(), own_path(&mount).into());
    Ok(shown)
}

/// A mount's path among those of its class.
fn own_path(mount: &Mount) -> String {
    let path = &mount.entry.path;
    path.strip_prefix(mount.entry.class().prefix()).unwrap_or(path).to_owned()
}
