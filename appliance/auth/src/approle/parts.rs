//! Parts of a role, each under a path of its own.

use framework::Operation::{Delete, Read, Update};
use framework::{Change, Cidr, Context, Error, FieldType, Fields, Json, Map, Output, Route, Secs, fields};

use super::role::{At, Blocks, Role};

fields! {
    struct Policies {
        /// Use "token_policies" instead. If both are specified, only "token_policies" will be used.
        policies: Option<Vec<String>> => clear,
        /// Comma-separated list of policies.
        token_policies: Option<Vec<String>> => clear,
    }

    struct Period {
        /// Use "token_period" instead. If both are specified, only "token_period" will be used.
        period: Option<Secs>,
        /// If set, every renewal of the generated token sets this lifetime.
        token_period: Option<Secs>,
    }

    struct BindSecretId {
        /// Impose secret_id to be presented when logging in using this role.
        bind_secret_id: Option<bool>,
    }

    struct LocalSecretIds {
        /// If true, the secret identifiers generated using this role will be cluster local.
        local_secret_ids: Option<bool>,
    }

    struct SecretIdBoundCidrs {
        /// Comma separated string or list of CIDR blocks which can perform the login operation.
        secret_id_bound_cidrs: Option<Blocks>,
    }

    struct SecretIdNumUses {
        /// Number of times a secret ID can access the role, after which the secret ID will expire. 0 for any number.
        secret_id_num_uses: Option<u64>,
    }

    struct SecretIdTtl {
        /// Duration in seconds after which the issued secret ID should expire. 0 for no expiration.
        secret_id_ttl: Option<Secs>,
    }

    struct TokenBoundCidrs {
        /// Comma separated string or list of CIDR blocks which are allowed to use the generated token.
        token_bound_cidrs: Option<Vec<Cidr>>,
    }

    struct TokenNumUses {
        /// The maximum number of times a token may be used, a value of zero means unlimited.
        token_num_uses: Option<u64>,
    }

    struct TokenTtl {
        /// The initial ttl of the token to generate.
        token_ttl: Option<Secs>,
    }

    struct TokenMaxTtl {
        /// The maximum lifetime of the generated token.
        token_max_ttl: Option<Secs>,
    }

    struct BoundCidrList {
        /// Deprecated: Comma separated string or list of CIDR blocks which can perform the login operation.
        bound_cidr_list: Option<Blocks>,
    }
}

pub(super) fn routes() -> Vec<Route> {
    let parts = [
        part::<Policies>("role/{role_name}/policies", "Policies of the role."),
        part::<Period>("role/{role_name}/period", "The period of the role's tokens."),
        part::<BindSecretId>("role/{role_name}/bind-secret-id", "Whether a login with the role needs a secret_id."),
        part::<SecretIdBoundCidrs>("role/{role_name}/secret-id-bound-cidrs", "Addresses which may log in."),
        part::<SecretIdNumUses>("role/{role_name}/secret-id-num-uses", "Use limit of the role's secret ids."),
        part::<SecretIdTtl>("role/{role_name}/secret-id-ttl", "Lifetime of the role's secret ids."),
        part::<TokenBoundCidrs>("role/{role_name}/token-bound-cidrs", "Addresses which may use the role's tokens."),
        part::<TokenNumUses>("role/{role_name}/token-num-uses", "Use limit of the role's tokens."),
        part::<TokenTtl>("role/{role_name}/token-ttl", "Lifetime of the role's tokens."),
        part::<TokenMaxTtl>("role/{role_name}/token-max-ttl", "Longest lifetime of the role's tokens."),
        bound_cidr_list("role/{role_name}/bound-cidr-list"),
    ];
    let local = "Whether the role's secret ids stay in this cluster.";
    let mut routes = vec![reading::<LocalSecretIds>("role/{role_name}/local-secret-ids", local)];
    routes.extend(parts.into_iter().flatten());
    routes
}

/// The routes of a part that consists of the fields of `F`, which are among those of a role.
fn part<F: Fields + 'static>(path: &'static str, about: &'static str) -> [Route; 3] {
    let write = |cx: &Context<'_>, (at, part): (At, F)| {
        let role = Role::to_change(cx, &at.role_name)?;
        let given = part.emit();
        match F::fields().last() {
            Some(field) if given.is_empty() => Err(Error::field(field.name, format!("missing {}", field.name))),
            _ => role.change(cx, given.into_iter().collect()),
        }
    };
    let delete = |cx: &Context<'_>, at: At| match Role::find(cx, &at.role_name)? {
        Some(role) => role.change(cx, F::fields().iter().map(|field| (field.name.to_owned(), Json::Null)).collect()),
        None => Ok(()),
    };
    [reading::<F>(path, about), Route::new(Update, path, about, write), Route::new(Delete, path, about, delete)]
}

fn reading<F: Fields + 'static>(path: &'static str, about: &'static str) -> Route {
    let read = |cx: &Context<'_>, at: At| -> Result<Map<String, Json>, Error> {
        let mut shown = Role::find(cx, &at.role_name)?.ok_or(Error::NotFound)?.settings.emit();
        let names = F::fields().into_iter().map(|field| field.name);
        Ok(names.filter_map(|name| Some((name.to_owned(), shown.remove(name)?))).collect())
    };
    shows::<F>(Route::new(Read, path, about, read))
}

/// A route whose answer has the fields of `F`, null included.
fn shows<F: Fields>(mut route: Route) -> Route {
    route.response = F::fields();
    route
}

/// The old path of `secret-id-bound-cidrs`.
fn bound_cidr_list(path: &'static str) -> [Route; 3] {
    const ABOUT: &str = "Deprecated: addresses which may log in.";
    let set = |cx: &Context<'_>, role: Role, blocks: Blocks| {
        role.change(cx, Change::from_iter([("secret_id_bound_cidrs".to_owned(), blocks.emit().unwrap_or_default())]))
    };
    let read = |cx: &Context<'_>, at: At| {
        let role = Role::find(cx, &at.role_name)?.ok_or(Error::NotFound)?;
        let blocks = role.settings.0.secret_id_bound_cidrs.emit().unwrap_or_default();
        Ok(Output {
            data: Some(Map::from_iter([("bound_cidr_list".to_owned(), blocks)])),
            warnings: vec![
                "The \"bound_cidr_list\" field is deprecated and will be removed. Please use \"secret_id_bound_cidrs\" instead."
                    .to_owned(),
            ],
            ..Output::default()
        })
    };
    let write = move |cx: &Context<'_>, (at, part): (At, BoundCidrList)| {
        let role = Role::to_change(cx, &at.role_name)?;
        let missing = || Error::field("bound_cidr_list", "missing bound_cidr_list");
        set(cx, role, part.bound_cidr_list.ok_or_else(missing)?)
    };
    let delete = move |cx: &Context<'_>, at: At| match Role::find(cx, &at.role_name)? {
        Some(role) => set(cx, role, Blocks::default()),
        None => Ok(()),
    };
    [
        shows::<BoundCidrList>(Route::new(Read, path, ABOUT, read)),
        Route::new(Update, path, ABOUT, write),
        Route::new(Delete, path, ABOUT, delete),
    ]
}
