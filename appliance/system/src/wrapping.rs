//! `sys/wrapping/`: putting something away, asking about it, getting it out, moving it to a new token.
//!
//! Which wrapping token is meant stands in the body; otherwise it is the request's own. That it is one comes before any
//! question of policy, as in Vault: who holds a spent token learns that it is spent, and that somebody else was faster.

use std::sync::Arc;

use framework::Operation::{Read, Update};
use framework::{Context, Error, Field, Fields, Input, Json, Map, Output, Route, Secret, envelope, fields};
use registry::{Registry, WrappingToken};

use crate::Core;

pub(crate) fn routes(core: &Core) -> Vec<Route> {
    let registry = || Arc::clone(&core.registry);
    let lookup = |registry: Arc<Registry>| move |cx: &Context<'_>, named: Named| lookup(&registry, cx, named);
    let (unwrapping, rewrapping) = (registry(), registry());
    let on_a_wrapping_token = |route: Route| {
        let registry = registry();
        route.sees_token().checked_first(move |cx: &Context<'_>, input: &Input| {
            meant(&registry, cx, token(cx, input.body.get("token"))?).map(drop)
        })
    };
    let asking = "When, for what and for how long an answer was put away.";
    vec![
        Route::new(Update, "wrapping/wrap", "Put the fields of the request away under a wrapping token.", wrap),
        on_a_wrapping_token(Route::new(Update, "wrapping/lookup", asking, lookup(registry())).open()),
        on_a_wrapping_token(Route::new(Read, "wrapping/lookup", asking, lookup(registry())).open()),
        on_a_wrapping_token(
            Route::new(
                Update,
                "wrapping/unwrap",
                "Get an answer out; the wrapping token ends.",
                move |cx: &Context<'_>, named: Named| unwrap(&unwrapping, cx, named),
            )
            .unwraps(),
        ),
        on_a_wrapping_token(
            Route::new(
                Update,
                "wrapping/rewrap",
                "Put an answer under a new wrapping token; the old one ends.",
                move |cx: &Context<'_>, named: Named| rewrap(&rewrapping, cx, named),
            )
            .unwraps(),
        ),
    ]
}

fields! {
    struct Named {
        /// The wrapping token; without it, the request's own token is meant.
        token: Option<String>,
    }

    struct Creation {
        /// The path of the request whose answer was put away.
        creation_path: String,
        /// When it was put away.
        creation_time: String => clear,
        /// For how long, in seconds.
        creation_ttl: u64,
    }
}

/// Every field of the body, whatever its name.
struct Payload(Map<String, Json>);

impl Fields for Payload {
    fn fields() -> Vec<Field> {
        Vec::new()
    }

    fn parse(input: &mut Input) -> Result<Self, Error> {
        Ok(Self(std::mem::take(&mut input.body)))
    }

    fn emit(self) -> Map<String, Json> {
        self.0
    }
}

/// The pipeline puts the answer away, as it does with any.
fn wrap(cx: &Context<'_>, payload: Payload) -> Result<Payload, Error> {
    match cx.origin.wrap_ttl {
        Some(_) => Ok(payload),
        None => Err(Error::invalid("endpoint requires response wrapping to be used")),
    }
}

fn lookup(registry: &Registry, cx: &Context<'_>, named: Named) -> Result<Creation, Error> {
    let wrapped = meant(registry, cx, named.token(cx)?)?;
    Ok(Creation {
        creation_path: wrapped.path().to_owned(),
        creation_time: wrapped.created().to_string(),
        creation_ttl: wrapped.ttl().as_secs(),
    })
}

fn unwrap(registry: &Registry, cx: &Context<'_>, named: Named) -> Result<Output, Error> {
    let wrapped = meant(registry, cx, named.token(cx)?)?;
    envelope::read(registry.unwrap(&cx.view, &wrapped)?.expose())
}

/// The new token lives as long as the old one was meant to, or for less where the client asks for less.
fn rewrap(registry: &Registry, cx: &Context<'_>, named: Named) -> Result<Output, Error> {
    let wrapped = meant(registry, cx, named.token(cx)?)?;
    let answer = registry.unwrap(&cx.view, &wrapped)?;
    let ttl = cx.origin.wrap_ttl.map_or(wrapped.ttl(), |asked| asked.min(wrapped.ttl()));
    let info = registry.wrap(&cx.view, &answer, wrapped.path(), ttl, cx.caller, cx.now)?;
    Ok(Output { wrap_info: Some(info), ..Output::default() })
}

impl Named {
    fn token(self, cx: &Context<'_>) -> Result<Secret, Error> {
        token(cx, self.token.map(Json::String).as_ref())
    }
}

/// The text of the token that is meant. The sentences and their 403 are OpenBao's.
fn token(cx: &Context<'_>, named: Option<&Json>) -> Result<Secret, Error> {
    let refuse = |why| Error::Refused { message: format!("error validating wrapping token: {why}") };
    match named {
        None | Some(Json::Null) => cx.token.ok_or_else(|| refuse("token is empty"))?.try_clone().map_err(Error::from),
        Some(Json::String(text)) if text.is_empty() => Err(refuse("empty token in request body")),
        Some(Json::String(text)) => Ok(Secret::from(text.as_str())),
        Some(_) => Err(refuse("could not decode token in request body")),
    }
}

fn meant(registry: &Registry, cx: &Context<'_>, token: Secret) -> Result<WrappingToken, Error> {
    let found = registry.wrapping_token(&cx.view, &token, cx.now)?;
    found.ok_or_else(|| Error::invalid("wrapping token is not valid or does not exist"))
}
