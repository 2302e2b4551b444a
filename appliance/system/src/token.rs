//! `auth/token/`: making, looking up, renewing and revoking tokens.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use framework::Operation::{List, Read, Update};
use framework::{
    Auth, Catalog, Context, Engine, Error, Json, Map, Names, Output, Paging, Route, Secret, Secs, TokenKind, fields,
};
use registry::{Issued, Mount, Registry, Tidy, TokenRef, TokenSpec};

use crate::leases::start_tidy;
use crate::{Core, Nothing, token_roles};

pub(crate) fn engine(core: &Core) -> Engine {
    let routes = [making(core), looking_up(core), renewing(core), revoking(core), token_roles::routes(core)];
    Engine {
        kind: "token",
        about: "The token credential backend is always enabled and builtin. Client tokens are used to identify a client and to \
                allow it to associate policies and ACLs which are enforced on every request.",
        routes: routes.into_iter().flatten().map(Route::sees_token).collect(),
        ..Engine::default()
    }
}

fields! {
    struct Create {
        /// The token's text; root only.
        id: Option<String>,
        /// The policies; without any, those of the parent.
        policies: Vec<String> => clear,
        /// Metadata, shown in the audit log.
        meta: BTreeMap<String, String>,
        /// Make a token without parent.
        no_parent: bool = false,
        /// Leave the policy `default` out.
        no_default_policy: bool = false,
        /// Whether the token can be renewed.
        renewable: bool = true,
        /// The old name of `ttl`.
        lease: Option<Secs>,
        /// How long the token lives.
        ttl: Option<Secs>,
        /// It cannot live longer than this, whatever is renewed.
        explicit_max_ttl: Option<Secs>,
        /// Every renewal sets this lifetime.
        period: Option<Secs>,
        /// Shown in the audit log.
        display_name: Option<String> => clear,
        /// How often the token may be used; 0 for any number.
        num_uses: i64 = 0,
        /// `service` or `batch`.
        r#type: Option<String> => clear,
        /// Not supported by this version.
        entity_alias: Option<String>,
    }

    struct ByRole {
        /// The token role.
        role_name: String,
    }

    struct ByToken {
        /// The token.
        token: Option<String>,
    }

    struct ByAccessor {
        /// The token's accessor.
        accessor: String = String::new(),
    }

    struct RenewToken {
        /// The token.
        token: Option<String>,
        /// The lifetime wanted.
        increment: Option<Secs>,
    }

    struct RenewSelf {
        /// Taken as Vault's client sends it; the request's own token is renewed.
        token: Option<String>,
        /// The lifetime wanted.
        increment: Option<Secs>,
    }

    struct RenewAccessor {
        /// The token's accessor.
        accessor: String = String::new(),
        /// The lifetime wanted.
        increment: Option<Secs>,
    }
}

fn making(core: &Core) -> Vec<Route> {
    let make = |registry: &Arc<Registry>, cx: &Context<'_>, spec: Result<TokenSpec, Error>| {
        registry.create_token(&cx.view, cx.caller, cx.mount, spec?, cx.now).map(output)
    };
    let registry = || Arc::clone(&core.registry);
    let (plain, orphan, by_role) = (registry(), registry(), registry());
    vec![
        Route::new(Update, "create", "Make a token.", move |cx: &Context<'_>, wanted: Create| {
            make(&plain, cx, spec(wanted, "create".to_owned(), None))
        }),
        Route::new(Update, "create-orphan", "Make a token without parent.", move |cx: &Context<'_>, wanted: Create| {
            let spec = spec(wanted, "create-orphan".to_owned(), None);
            make(&orphan, cx, spec.map(|spec| TokenSpec { orphan_allowed: true, ..spec }))
        }),
        Route::new(
            Update,
            "create/{role_name}",
            "Make a token by a role.",
            move |cx: &Context<'_>, (at, wanted): (ByRole, Create)| {
                make(&by_role, cx, spec(wanted, format!("create/{}", at.role_name), Some(at.role_name)))
            },
        ),
    ]
}

fn spec(wanted: Create, path: String, role: Option<String>) -> Result<TokenSpec, Error> {
    let kind = match wanted.r#type.as_deref() {
        None | Some("") => TokenKind::OfMount,
        Some("service") => TokenKind::Service,
        Some("batch") => TokenKind::Batch,
        Some(_) => return Err(Error::field("type", "invalid 'token_type' value")),
    };
    let num_uses = u64::try_from(wanted.num_uses);
    let num_uses = num_uses.map_err(|_| Error::field("num_uses", "number of uses cannot be negative"))?;
    if wanted.entity_alias.is_some_and(|alias| !alias.is_empty()) {
        let message = match role {
            None => "'entity_alias' is only allowed in combination with token role",
            Some(_) => "'entity_alias' needs the identity engine, which this version does not have",
        };
        return Err(Error::field("entity_alias", message));
    }
    let duration = |secs: Option<Secs>| secs.unwrap_or_default().0;
    Ok(TokenSpec {
        id: wanted.id.filter(|id| !id.is_empty()).map(Secret::from),
        policies: wanted.policies,
        meta: wanted.meta,
        no_parent: wanted.no_parent,
        orphan_allowed: false,
        no_default_policy: wanted.no_default_policy,
        renewable: wanted.renewable,
        ttl: duration(wanted.ttl.or(wanted.lease)),
        explicit_max_ttl: duration(wanted.explicit_max_ttl),
        period: duration(wanted.period),
        display_name: wanted.display_name.unwrap_or_default(),
        num_uses,
        kind,
        role,
        path: format!("auth/token/{path}"),
    })
}

fn output(issued: Issued) -> Output {
    Output { auth: Some(issued.auth), warnings: issued.warnings, ..Output::default() }
}

/// The token named in the request.
fn named(token: Option<String>) -> Result<Secret, Error> {
    let token = token.filter(|token| !token.is_empty());
    token.map(Secret::from).ok_or_else(|| Error::field("token", "missing token ID"))
}

/// The token of the request itself.
fn own<'c>(cx: &Context<'c>) -> TokenRef<'c> {
    TokenRef::Own(cx.caller, cx.token)
}

fn looking_up(core: &Core) -> Vec<Route> {
    let registry = || Arc::clone(&core.registry);
    let by_token = |registry: Arc<Registry>| {
        move |cx: &Context<'_>, asked: ByToken| -> Result<Map<String, Json>, Error> {
            let found = match asked.token {
                Some(token) if !token.is_empty() => {
                    registry.lookup(&cx.view, TokenRef::Token(&Secret::from(token)), cx.now)
                }
                _ => registry.lookup(&cx.view, own(cx), cx.now),
            };
            found.map_err(|error| match error {
                Error::Denied => Error::Refused { message: "bad token".to_owned() },
                other => other,
            })
        }
    };
    let by_self =
        |registry: Arc<Registry>| move |cx: &Context<'_>, _: Nothing| registry.lookup(&cx.view, own(cx), cx.now);
    let (by_accessor, for_list) = (registry(), registry());
    vec![
        Route::new(Read, "lookup", "What is known of a token.", by_token(registry())),
        Route::new(Update, "lookup", "What is known of a token.", by_token(registry())),
        Route::new(Read, "lookup-self", "What is known of the request's own token.", by_self(registry())),
        Route::new(Update, "lookup-self", "What is known of the request's own token.", by_self(registry())),
        Route::new(
            Update,
            "lookup-accessor",
            "What is known of the token of an accessor.",
            move |cx: &Context<'_>, asked: ByAccessor| {
                by_accessor.lookup(&cx.view, TokenRef::Accessor(&asked.accessor), cx.now)
            },
        ),
        Route::new(List, "accessors", "The accessors of all tokens.", move |cx: &Context<'_>, paging: Paging| {
            Ok(Names { keys: for_list.accessors(&cx.view, &paging.page())? })
        })
        .sudo(),
    ]
}

fn renewing(core: &Core) -> Vec<Route> {
    let renew = || {
        let (registry, catalog) = (Arc::clone(&core.registry), core.catalog.clone());
        move |cx: &Context<'_>, token: TokenRef<'_>, increment: Option<Secs>| {
            let ask = |mount: &Mount, auth: &mut Auth| ask_method(&catalog, cx, mount, auth);
            registry.renew_token(&cx.view, token, increment.map(|Secs(wish)| wish), &ask, cx.now).map(output)
        }
    };
    let (by_token, by_self, by_accessor) = (renew(), renew(), renew());
    vec![
        Route::new(Update, "renew", "Give a token a new lifetime.", move |cx: &Context<'_>, asked: RenewToken| {
            let token = named(asked.token)?;
            by_token(cx, TokenRef::Token(&token), asked.increment)
        }),
        Route::new(
            Update,
            "renew-self",
            "Give the request's own token a new lifetime.",
            move |cx: &Context<'_>, asked: RenewSelf| by_self(cx, own(cx), asked.increment),
        ),
        Route::new(
            Update,
            "renew-accessor",
            "Give the token of an accessor a new lifetime.",
            move |cx: &Context<'_>, asked: RenewAccessor| {
                by_accessor(cx, TokenRef::Accessor(&asked.accessor), asked.increment)
            },
        ),
    ]
}

/// Asks the auth method from whose login a token came, in the transaction of the renewal.
fn ask_method(catalog: &Weak<Catalog>, cx: &Context<'_>, mount: &Mount, auth: &mut Auth) -> Result<(), Error> {
    let catalog = catalog.upgrade().ok_or_else(|| Error::internal("the catalog of engines is gone"))?;
    let engine = mount.engine(&catalog)?;
    let method =
        engine.auth.as_ref().ok_or_else(|| Error::internal(format!("no auth method of kind {}", mount.info.kind)))?;
    let there = Context {
        view: cx.view.below(mount.folder.as_str(), mount.id, mount.seal_wrapped(engine))?,
        mount: &mount.info,
        token: None,
        caller: cx.caller,
        origin: cx.origin,
        now: cx.now,
        rng: cx.rng,
    };
    (method.renew)(&there, auth)
}

fn revoking(core: &Core) -> Vec<Route> {
    let registry = || Arc::clone(&core.registry);
    let (by_token, by_self, by_accessor, orphaning, tidying) =
        (registry(), registry(), registry(), registry(), registry());
    vec![
        Route::new(
            Update,
            "tidy",
            "Look through all tokens for what belongs to nothing.",
            move |cx: &Context<'_>, _: Nothing| start_tidy(&tidying, cx, Tidy::Tokens),
        ),
        Route::new(
            Update,
            "revoke",
            "Revoke a token and all that were made with it.",
            move |cx: &Context<'_>, asked: ByToken| {
                let token = named(asked.token)?;
                by_token.revoke_token(&cx.view, TokenRef::Token(&token), cx.now).map(drop)
            },
        ),
        Route::new(
            Update,
            "revoke-self",
            "Revoke the request's own token and all that were made with it.",
            move |cx: &Context<'_>, _: ByToken| by_self.revoke_token(&cx.view, own(cx), cx.now).map(drop),
        ),
        Route::new(
            Update,
            "revoke-accessor",
            "Revoke the token of an accessor.",
            move |cx: &Context<'_>, asked: ByAccessor| {
                if asked.accessor.is_empty() {
                    return Err(Error::field("accessor", "missing accessor"));
                }
                let known = by_accessor.revoke_token(&cx.view, TokenRef::Accessor(&asked.accessor), cx.now)?;
                let mut output = Output::default();
                if !known {
                    output.warnings.push("No token found with this accessor".to_owned());
                }
                Ok(output)
            },
        ),
        Route::new(
            Update,
            "revoke-orphan",
            "Revoke a token; those made with it live on without parent.",
            move |cx: &Context<'_>, asked: ByToken| {
                let token = named(asked.token)?;
                orphaning.revoke_orphan(&cx.view, cx.caller, TokenRef::Token(&token), cx.now)
            },
        ),
    ]
}
