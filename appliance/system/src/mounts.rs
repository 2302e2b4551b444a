//! `sys/mounts`, `sys/auth`, `sys/remount`: which engine answers where.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use framework::Operation::{Delete, Read, Update};
use framework::{
    Catalog, Context, Error, FieldType, Fields, Json, Kind, Map, Output, Route, Secret, Secs, Store, fields,
};
use registry::{LockoutChange, MountClass, MountConfig, MountSpec, Registry, Settings, Tune};

use crate::{Core, Nothing};

pub(crate) fn routes(core: &Core) -> Vec<Route> {
    let mut routes = of_class(core, MountClass::Secret);
    routes.extend(of_class(core, MountClass::Auth));
    let (moves, status, store) = (Arc::clone(&core.registry), Arc::clone(&core.registry), Arc::clone(&core.store));
    routes.push(
        Route::new(Update, "remount", "Move a mount to another path.", move |cx: &Context<'_>, wanted: Remount| {
            let moved = moves.move_mount(&cx.view, &wanted.from, &wanted.to)?;
            let answer = Moved { migration_id: moved.id }.emit();
            Ok(Output { data: Some(answer), ..ending_leases(&moves, &store) })
        })
        .sudo()
        .merged(),
    );
    routes.push(Route::new(Read, "remount/status/{id}", "The state of a move.", move |_: &Context<'_>, at: MoveAt| {
        let moved = status.migration(&at.id)?.ok_or(Error::NotFound)?;
        let mut info = Map::new();
        info.insert("source_mount".into(), moved.source.into());
        info.insert("target_mount".into(), moved.target.into());
        info.insert("status".into(), "success".into());
        Ok(MoveStatus { migration_id: moved.id, migration_info: info })
    }));
    routes
}

/// The same routes for secrets engines and for auth methods.
fn of_class(core: &Core, class: MountClass) -> Vec<Route> {
    // A mount's path may have slashes, so `{path*}` takes `a/b/tune` as well, and the handler looks at the end.
    let (list, one, enable, disable) = match class {
        MountClass::Secret => {
            ("mounts", "mounts/{path*}", "Mount a secrets engine, or with /tune set it.", "Unmount a secrets engine.")
        }
        MountClass::Auth => {
            ("auth", "auth/{path*}", "Enable an auth method, or with /tune set it.", "Disable an auth method.")
        }
    };
    let auth = class == MountClass::Auth;
    let registry = || Arc::clone(&core.registry);
    let (for_list, for_one, for_tuned, for_enable, for_tune, for_disable) =
        (registry(), registry(), registry(), registry(), registry(), registry());
    let (catalog, for_tuning, store) = (core.catalog.clone(), core.catalog.clone(), Arc::clone(&core.store));
    let sudo = |route: Route| if auth { route.sudo() } else { route };
    vec![
        Route::new(Read, list, "List what is mounted.", move |_: &Context<'_>, _: Nothing| all(&for_list, class))
            .merged(),
        sudo(Route::new(
            Read,
            one,
            "Read a mount, or with /tune its settings.",
            move |_: &Context<'_>, at: At| match at.path.trim_end_matches('/').strip_suffix("/tune") {
                Some(path) => tuned(&for_tuned, class, path),
                None => shown(&for_one, class, &at.path),
            },
        ))
        .merged(),
        sudo(Route::new(Update, one, enable, move |cx: &Context<'_>, wanted: Wanted| {
            match wanted.path.trim_end_matches('/').strip_suffix("/tune").map(str::to_owned) {
                Some(path) => tune_mount(&for_tune, &for_tuning, cx, &full(class, &path), wanted),
                None => enable_mount(&for_enable, &catalog, cx, class, wanted),
            }
        })),
        sudo(Route::new(Delete, one, disable, move |cx: &Context<'_>, at: At| {
            for_disable.disable_mount(&cx.view, class, &at.path).map(|()| ending_leases(&for_disable, &store))
        })),
    ]
}

fields! {
    struct At {
        /// The mount's path.
        path: String,
    }

    struct Wanted {
        /// The mount's path.
        path: String,
        /// The kind of engine.
        r#type: Option<String> => clear,
        /// Free text.
        description: Option<String> => clear,
        /// Lifetimes, visibility and the like.
        config: Option<Map<String, Json>>,
        /// Options of the engine.
        options: Option<BTreeMap<String, String>>,
        /// Whether the mount stays on this cluster.
        local: bool = false,
        /// Whether critical records are wrapped by the seal as well.
        seal_wrap: Option<bool>,
        /// Whether the engine may draw from the HSM's random numbers.
        external_entropy_access: bool = false,
        /// The name of a plugin; a kind of engine here.
        plugin_name: Option<String> => clear,
        /// Only the built-in version exists.
        plugin_version: Option<String> => clear,
        /// For tuning: lifetime of leases that ask for none.
        default_lease_ttl: Option<Lifetime>,
        /// For tuning: longest lifetime of leases.
        max_lease_ttl: Option<Lifetime>,
        /// For tuning: `unauth` or `hidden`.
        listing_visibility: Option<String>,
        /// For tuning: fields of requests whose values the audit log shows.
        audit_non_hmac_request_keys: Option<Vec<String>>,
        /// For tuning: fields of answers whose values the audit log shows.
        audit_non_hmac_response_keys: Option<Vec<String>>,
        /// For tuning: headers that the engine gets to see. None of those that are built in looks at any.
        passthrough_request_headers: Option<Vec<String>>,
        /// For tuning: headers that the engine may set. None of those that are built in sets any.
        allowed_response_headers: Option<Vec<String>>,
        /// For tuning auth methods: the kind of tokens.
        token_type: Option<String>,
        /// For tuning auth methods: when users are locked out.
        user_lockout_config: Option<Map<String, Json>>,
    }

    struct Remount {
        /// The present path.
        from: String,
        /// The new path.
        to: String,
    }

    struct Moved {
        /// Names the move.
        migration_id: String,
    }

    struct MoveAt {
        /// Names the move.
        id: String,
    }

    struct MoveStatus {
        /// Names the move.
        migration_id: String,
        /// From where to where, and how far.
        migration_info: Map<String, Json>,
    }
}

/// An answer that is given once the tokens and leases of what was disabled or moved have ended.
fn ending_leases(registry: &Arc<Registry>, store: &Arc<dyn Store<Secret>>) -> Output {
    let (registry, store) = (Arc::clone(registry), Arc::clone(store));
    let work = move || registry.finish_revocations(&*store);
    Output { outside: Some(Box::new(move |output, _| work().map(|_| output))), ..Output::default() }
}

/// A lifetime as the settings of a mount take it: `system` for the system's, nothing to leave it as it is.
struct Lifetime(Option<Duration>);

impl FieldType for Lifetime {
    const KIND: Kind = Kind::Seconds;
    fn parse(value: Json) -> Result<Self, &'static str> {
        match value.as_str() {
            Some("") => Ok(Self(None)),
            Some("system") => Ok(Self(Some(Duration::ZERO))),
            _ => Secs::parse(value).map(|Secs(ttl)| Self(Some(ttl))),
        }
    }
    fn emit(self) -> Option<Json> {
        self.0.map(|ttl| ttl.as_secs().into())
    }
}

fn full(class: MountClass, path: &str) -> String {
    format!("{}{}", class.prefix(), path)
}

/// The version that mounts show.
pub(crate) fn running_version() -> &'static str {
    Settings::default().running_version
}

fn all(registry: &Registry, class: MountClass) -> Result<Map<String, Json>, Error> {
    let mounts = registry.mounts(class)?;
    let relative = |path: &str| path.strip_prefix(class.prefix()).unwrap_or(path).to_owned();
    Ok(mounts
        .iter()
        .map(|mount| (relative(&mount.entry.path), Json::Object(mount.to_json(running_version()))))
        .collect())
}

fn shown(registry: &Registry, class: MountClass, path: &str) -> Result<Map<String, Json>, Error> {
    let mount = registry.mount(&full(class, path))?;
    let what = match class {
        MountClass::Secret => "secret engine mount",
        MountClass::Auth => "auth engine",
    };
    let mount = mount.ok_or_else(|| Error::invalid(format!("No {what} at {}/", path.trim_matches('/'))))?;
    Ok(mount.to_json(running_version()))
}

fn tuned(registry: &Registry, class: MountClass, path: &str) -> Result<Map<String, Json>, Error> {
    let mount = registry.mount(&full(class, path))?;
    mount.map(|mount| mount.tune_to_json()).ok_or_else(|| nothing_to_tune(&full(class, path)))
}

fn nothing_to_tune(path: &str) -> Error {
    Error::invalid(format!("cannot fetch sysview for path \"{}/\"", path.trim_end_matches('/')))
}

fn tune_mount(
    registry: &Registry,
    catalog: &Weak<Catalog>,
    cx: &Context<'_>,
    path: &str,
    wanted: Wanted,
) -> Result<(), Error> {
    if wanted.user_lockout_config.as_ref().is_some_and(|config| !config.is_empty()) {
        let mount = registry.mount(path)?.ok_or_else(|| nothing_to_tune(path))?;
        let (kind, catalog) = (&mount.info.kind, catalog.upgrade());
        let engine = catalog.as_ref().and_then(|catalog| mount.engine(catalog).ok());
        if !engine.is_some_and(|engine| engine.locks_out()) {
            let message = format!("tuning of user lockout configuration for auth type {kind:?} not allowed");
            return Err(Error::field("user_lockout_config", message));
        }
    }
    registry.tune_mount(&cx.view, path, tune_of(wanted)?)
}

fn enable_mount(
    registry: &Registry,
    catalog: &Weak<Catalog>,
    cx: &Context<'_>,
    class: MountClass,
    wanted: Wanted,
) -> Result<(), Error> {
    let kind = wanted.r#type.or(wanted.plugin_name).filter(|kind| !kind.is_empty());
    let kind = kind.ok_or_else(|| Error::field("type", "backend type must be specified as a string"))?;
    if wanted.plugin_version.is_some_and(|version| !version.is_empty()) {
        return Err(Error::field("plugin_version", "only built-in engines exist: leave plugin_version out"));
    }
    let options = wanted.options.clone().unwrap_or_default();
    let auth_wanted = class == MountClass::Auth;
    let known = catalog.upgrade().is_some_and(|catalog| {
        let plain = kind.strip_suffix("-v1").unwrap_or(&kind);
        match plain {
            // Those of which there is one are refused by the registry, in other words.
            "token" => true,
            "system" | "cubbyhole" => class == MountClass::Secret,
            _ => catalog.find(plain, &BTreeMap::new()).is_some_and(|engine| engine.auth.is_some() == auth_wanted),
        }
    });
    if !known {
        return Err(Error::field("type", format!("plugin not found in the catalog: {kind}")));
    }
    if kind == "kv" && !matches!(options.get("version").map(String::as_str), None | Some("1" | "2")) {
        return Err(Error::field("options", "unsupported version of the kv engine: take 1 or 2"));
    }
    let spec = MountSpec {
        path: wanted.path,
        kind,
        description: wanted.description.unwrap_or_default(),
        options: wanted.options.or_else(|| Some(BTreeMap::new())),
        config: config_of(wanted.config.unwrap_or_default())?,
        local: wanted.local,
        seal_wrap: wanted.seal_wrap.unwrap_or(false),
        external_entropy_access: wanted.external_entropy_access,
    };
    registry.enable_mount(&cx.view, class, spec).map(drop)
}

/// One setting of an object.
fn setting<T: FieldType>(
    object: &'static str,
    given: &mut Map<String, Json>,
    name: &'static str,
) -> Result<Option<T>, Error> {
    match given.remove(name) {
        None | Some(Json::Null) => Ok(None),
        // What a client says nothing of.
        Some(value) if value == "" => Ok(None),
        Some(value) => {
            T::parse(value).map(Some).map_err(|expected| Error::field(object, format!("{name}: {expected}")))
        }
    }
}

fn config_of(mut given: Map<String, Json>) -> Result<MountConfig, Error> {
    const FIELD: &str = "config";
    let seconds = |value: Option<Lifetime>| value.and_then(|Lifetime(ttl)| ttl).unwrap_or_default().as_secs();
    let config = MountConfig {
        default_lease_ttl: seconds(setting(FIELD, &mut given, "default_lease_ttl")?),
        max_lease_ttl: seconds(setting(FIELD, &mut given, "max_lease_ttl")?),
        force_no_cache: setting(FIELD, &mut given, "force_no_cache")?.unwrap_or_default(),
        listing_visibility: setting(FIELD, &mut given, "listing_visibility")?.unwrap_or_default(),
        audit_non_hmac_request_keys: setting(FIELD, &mut given, "audit_non_hmac_request_keys")?.unwrap_or_default(),
        audit_non_hmac_response_keys: setting(FIELD, &mut given, "audit_non_hmac_response_keys")?.unwrap_or_default(),
        passthrough_request_headers: setting(FIELD, &mut given, "passthrough_request_headers")?.unwrap_or_default(),
        allowed_response_headers: setting(FIELD, &mut given, "allowed_response_headers")?.unwrap_or_default(),
        token_type: setting(FIELD, &mut given, "token_type")?.unwrap_or_default(),
        user_lockout: None,
    };
    // What clients send along although it says nothing.
    given.retain(|_, value| !matches!(value, Json::Null) && *value != "" && *value != false);
    nothing_left(FIELD, &given)?;
    Ok(config)
}

fn tune_of(wanted: Wanted) -> Result<Tune, Error> {
    Ok(Tune {
        default_lease_ttl: wanted.default_lease_ttl.and_then(|Lifetime(ttl)| ttl),
        max_lease_ttl: wanted.max_lease_ttl.and_then(|Lifetime(ttl)| ttl),
        description: wanted.description,
        options: wanted.options,
        listing_visibility: wanted.listing_visibility,
        audit_non_hmac_request_keys: wanted.audit_non_hmac_request_keys,
        audit_non_hmac_response_keys: wanted.audit_non_hmac_response_keys,
        passthrough_request_headers: wanted.passthrough_request_headers,
        allowed_response_headers: wanted.allowed_response_headers,
        token_type: wanted.token_type,
        seal_wrap: wanted.seal_wrap,
        user_lockout: lockout_of(wanted.user_lockout_config.unwrap_or_default())?,
    })
}

fn lockout_of(mut given: Map<String, Json>) -> Result<LockoutChange, Error> {
    const FIELD: &str = "user_lockout_config";
    let seconds = |value: Option<Secs>| value.map(|Secs(duration)| duration);
    let change = LockoutChange {
        threshold: setting(FIELD, &mut given, "lockout_threshold")?,
        duration: seconds(setting(FIELD, &mut given, "lockout_duration")?),
        counter_reset: seconds(setting(FIELD, &mut given, "lockout_counter_reset_duration")?),
        disabled: setting(FIELD, &mut given, "lockout_disable")?,
    };
    nothing_left(FIELD, &given)?;
    Ok(change)
}

fn nothing_left(object: &'static str, given: &Map<String, Json>) -> Result<(), Error> {
    match given.keys().next() {
        None => Ok(()),
        Some(unknown) => Err(Error::field(object, format!("{object}: {unknown} is not supported"))),
    }
}
