//! `sys/capabilities`, `-self`, `-accessor`: what a token may do.

use std::sync::Arc;

use framework::Operation::Update;
use framework::{Context, Error, Json, Map, PolicyNames, Route, Secret, fields};
use registry::{Registry, TokenRef};

use crate::Core;

pub(crate) fn routes(core: &Core) -> Vec<Route> {
    let registry = || Arc::clone(&core.registry);
    let (own, of_token, of_accessor) = (registry(), registry(), registry());
    vec![
        Route::new(
            Update,
            "capabilities-self",
            "What the token of the request may do.",
            move |cx: &Context<'_>, asked: Asked| answer(&own, cx, &cx.caller.policies, asked.paths()?),
        )
        .merged(),
        Route::new(Update, "capabilities", "What a token may do.", move |cx: &Context<'_>, asked: AskedOfToken| {
            let token = Secret::from(asked.token);
            let policies = policies_of(&of_token, cx, TokenRef::Token(&token))?;
            answer(&of_token, cx, &policies, Asked { path: asked.path, paths: asked.paths }.paths()?)
        })
        .merged(),
        Route::new(
            Update,
            "capabilities-accessor",
            "What the token of an accessor may do.",
            move |cx: &Context<'_>, asked: AskedOfAccessor| {
                let policies = policies_of(&of_accessor, cx, TokenRef::Accessor(&asked.accessor))?;
                answer(&of_accessor, cx, &policies, Asked { path: asked.path, paths: asked.paths }.paths()?)
            },
        )
        .merged(),
    ]
}

fields! {
    struct Asked {
        /// One path.
        path: Vec<String>,
        /// Paths.
        paths: Vec<String>,
    }

    struct AskedOfToken {
        /// The token.
        token: String,
        /// One path.
        path: Vec<String>,
        /// Paths.
        paths: Vec<String>,
    }

    struct AskedOfAccessor {
        /// The token's accessor.
        accessor: String,
        /// One path.
        path: Vec<String>,
        /// Paths.
        paths: Vec<String>,
    }
}

impl Asked {
    fn paths(self) -> Result<Vec<String>, Error> {
        let paths = if self.paths.is_empty() { self.path } else { self.paths };
        if paths.is_empty() {
            return Err(Error::field("paths", "paths must be supplied"));
        }
        if paths.iter().any(String::is_empty) {
            return Err(Error::field("paths", "missing path"));
        }
        Ok(paths)
    }
}

fn policies_of(registry: &Registry, cx: &Context<'_>, token: TokenRef<'_>) -> Result<PolicyNames, Error> {
    let known = registry.lookup(&cx.view, token, cx.now).map_err(|error| match error {
        Error::Denied => Error::field("token", "invalid token"),
        other => other,
    })?;
    let policies = known.get("policies").and_then(Json::as_array).cloned().unwrap_or_default();
    Ok(policies.iter().filter_map(Json::as_str).map(str::to_owned).collect::<Vec<_>>().into())
}

fn answer(
    registry: &Registry,
    cx: &Context<'_>,
    policies: &PolicyNames,
    paths: Vec<String>,
) -> Result<Map<String, Json>, Error> {
    let acl = registry.acl_in(&cx.view, policies, cx.now)?;
    let mut map = Map::new();
    // With one path the answer stands under `capabilities` too.
    if let [path] = paths.as_slice() {
        map.insert("capabilities".into(), acl.capabilities(path).into());
    }
    for path in paths {
        let capabilities = acl.capabilities(&path);
        map.insert(path, capabilities.into());
    }
    Ok(map)
}
