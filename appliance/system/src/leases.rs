//! `sys/leases`: what was given out for a time, tokens among it. The old forms of Vault's are served too.

use std::sync::{Arc, Weak};

use framework::Operation::{List, Read, Update};
use framework::{Catalog, Context, Error, Json, Map, Names, Output, Paging, Route, Secret, Secs, Store, fields};
use registry::{IrrevocableLease, Registry, Tidy};

use crate::{Core, Nothing};

/// Irrevocable leases that are shown unless all are asked for. The number and the sentence are Vault's.
const SHOWN: usize = 10_000;
const MORE: &str = "Command halted because many irrevocable leases were found. To emit the entire list, re-run the command with force set true.";

/// What the handlers work with.
#[derive(Clone)]
struct Leases {
    registry: Arc<Registry>,
    catalog: Weak<Catalog>,
    store: Arc<dyn Store<Secret>>,
}

impl Leases {
    fn catalog(&self) -> Result<Arc<Catalog>, Error> {
        self.catalog.upgrade().ok_or_else(|| Error::internal("the engines are gone"))
    }

    /// Work for after the commit.
    fn outside(
        &self,
        work: impl FnOnce(&Registry, &dyn Store<Secret>, &Catalog) -> Result<(), Error> + Send + 'static,
    ) -> Result<Output, Error> {
        let (leases, catalog) = (self.clone(), self.catalog()?);
        let work = move || work(&leases.registry, &*leases.store, &catalog);
        Ok(Output { outside: Some(Box::new(move |output, _| work().map(|()| output))), ..Output::default() })
    }
}

pub(crate) fn routes(core: &Core) -> Vec<Route> {
    let leases =
        Leases { registry: Arc::clone(&core.registry), catalog: core.catalog.clone(), store: Arc::clone(&core.store) };
    let mut routes = looking_up(&leases);
    routes.extend(renewing(&leases));
    routes.extend(revoking(&leases));
    let registry = Arc::clone(&core.registry);
    let tidy = move |cx: &Context<'_>, _: Nothing| start_tidy(&registry, cx, Tidy::Leases);
    routes.push(Route::new(Update, "leases/tidy", "Look through all leases for what belongs to nothing.", tidy));
    routes
}

fields! {
    struct ById {
        /// The id of the lease.
        lease_id: Option<String>,
        /// The same, as a part of the path.
        url_lease_id: Option<String>,
    }

    struct Increment {
        /// The lifetime wanted.
        increment: Option<Secs>,
    }

    struct Sync {
        /// Whether to wait until the secrets are taken back.
        sync: bool = true,
    }

    struct Below {
        /// A path, or the id of a lease.
        prefix: String,
    }

    struct Kind {
        /// Which leases: only `irrevocable` exists.
        r#type: Option<String> => clear,
        /// Those of child namespaces too.
        include_child_namespaces: bool = false,
    }

    struct Limit {
        /// How many are shown, or `none` for all.
        limit: Option<String> => clear,
    }

    struct Counted {
        /// How many there are.
        lease_count: u64,
        /// How many there are by mount, by accessor.
        counts: Map<String, Json>,
    }

    struct Listed {
        /// How many are shown.
        lease_count: u64,
        /// The leases, the oldest first.
        leases: Json,
    }
}

impl ById {
    fn id(self) -> Result<String, Error> {
        let given = [self.lease_id, self.url_lease_id].into_iter().flatten().find(|id| !id.is_empty());
        given.ok_or_else(|| Error::field("lease_id", "lease_id must be specified"))
    }
}

impl Below {
    /// The path, if there is one: no path does not mean all leases there are.
    fn named(self) -> Result<String, Error> {
        let nothing = self.prefix.trim_matches('/').is_empty();
        if nothing { Err(Error::NoRoute { message: "unsupported path".to_owned() }) } else { Ok(self.prefix) }
    }
}

fn looking_up(leases: &Leases) -> Vec<Route> {
    let registry = || Arc::clone(&leases.registry);
    let (one, folder, count, list) = (registry(), registry(), registry(), registry());
    vec![
        Route::new(Update, "leases/lookup", "What is known of a lease.", move |cx: &Context<'_>, by: ById| {
            one.lookup_lease(&cx.view, &by.id()?, cx.now)
        }),
        Route::new(
            List,
            "leases/lookup/{prefix*}",
            "The leases directly below a path.",
            move |cx: &Context<'_>, (below, paging): (Below, Paging)| {
                Names::some(folder.leases(&cx.view, &below.prefix, &paging.page())?)
            },
        )
        .sudo(),
        Route::new(
            Read,
            "leases/count",
            "How many leases could not be revoked.",
            move |cx: &Context<'_>, wanted: Kind| Ok(counted(&wanted.irrevocable(&count, cx)?)),
        ),
        Route::new(
            Read,
            "leases",
            "The leases that could not be revoked.",
            move |cx: &Context<'_>, (wanted, limit): (Kind, Limit)| {
                let all = wanted.irrevocable(&list, cx)?;
                listed(all, limit.number()?)
            },
        )
        .sudo(),
    ]
}

impl Kind {
    fn irrevocable(&self, registry: &Registry, cx: &Context<'_>) -> Result<Vec<IrrevocableLease>, Error> {
        match self.r#type.as_deref() {
            Some("irrevocable") => registry.irrevocable_leases(&cx.view),
            _ => Err(Error::NotFound),
        }
    }
}

impl Limit {
    /// `None` for all.
    fn number(&self) -> Result<Option<usize>, Error> {
        match self.limit.as_deref() {
            None | Some("") => Ok(Some(SHOWN)),
            Some("none") => Ok(None),
            Some(text) => match text.parse() {
                Ok(number) if number > 0 => Ok(Some(number)),
                _ => Err(Error::field("limit", "limit must be 'none' or a positive integer")),
            },
        }
    }
}

fn counted(all: &[IrrevocableLease]) -> Counted {
    let mut counts = std::collections::BTreeMap::<&str, u64>::new();
    all.iter().for_each(|lease| *counts.entry(&lease.mount).or_default() += 1);
    Counted {
        lease_count: all.len() as u64,
        counts: counts.into_iter().map(|(mount, count)| (mount.to_owned(), count.into())).collect(),
    }
}

fn listed(mut all: Vec<IrrevocableLease>, limit: Option<usize>) -> Result<framework::Reply<Listed>, Error> {
    let more = limit.is_some_and(|limit| all.len() > limit);
    all.truncate(limit.unwrap_or(usize::MAX));
    let shown = |lease: &IrrevocableLease| {
        let fields = [("lease_id", &lease.id), ("mount_id", &lease.mount), ("error", &lease.trouble)];
        Json::Object(fields.into_iter().map(|(name, value)| (name.to_owned(), value.as_str().into())).collect())
    };
    let leases = all.iter().map(shown).collect::<Vec<_>>();
    let reply = framework::Reply::new(Listed { lease_count: leases.len() as u64, leases: leases.into() });
    Ok(if more { reply.warn(MORE) } else { reply })
}

fn renewing(leases: &Leases) -> Vec<Route> {
    let renew = |path: &'static str| {
        let leases = leases.clone();
        Route::new(
            Update,
            path,
            "Give a leased secret a new lifetime.",
            move |cx: &Context<'_>, (by, wanted): (ById, Increment)| {
                let increment = wanted.increment.map(|Secs(increment)| increment);
                let (lease, warnings) = leases.registry.renew_lease(cx, &*leases.catalog()?, &by.id()?, increment)?;
                Ok(Output { lease: Some(lease), warnings, ..Output::default() })
            },
        )
    };
    ["leases/renew", "leases/renew/{url_lease_id*}", "renew", "renew/{url_lease_id*}"].map(renew).into()
}

fn revoking(leases: &Leases) -> Vec<Route> {
    let one = |path: &'static str| {
        let leases = leases.clone();
        Route::new(Update, path, "Revoke a lease.", move |cx: &Context<'_>, (by, how): (ById, Sync)| {
            let id = by.id()?;
            if how.sync {
                return leases.outside(move |registry, store, catalog| registry.revoke_lease(store, catalog, &id));
            }
            leases.registry.expire_lease(&cx.view, &id, cx.now).map(|()| accepted())
        })
    };
    let below = |path: &'static str| {
        let leases = leases.clone();
        let about = "Revoke all leases below a path.";
        let revoke = move |cx: &Context<'_>, (below, how): (Below, Sync)| {
            let prefix = below.named()?;
            if how.sync {
                return leases
                    .outside(move |registry, store, catalog| registry.revoke_prefix(store, catalog, &prefix, false));
            }
            leases.registry.expire_prefix(&cx.view, &prefix, cx.now).map(|()| accepted())
        };
        Route::new(Update, path, about, revoke).sudo()
    };
    let force = |path: &'static str| {
        let leases = leases.clone();
        let about = "End all leases below a path, even where engines cannot take the secrets back.";
        let revoke = move |_: &Context<'_>, below: Below| {
            let prefix = below.named()?;
            leases.outside(move |registry, store, catalog| registry.revoke_prefix(store, catalog, &prefix, true))
        };
        Route::new(Update, path, about, revoke).sudo()
    };
    let mut routes: Vec<Route> =
        ["leases/revoke", "leases/revoke/{url_lease_id*}", "revoke", "revoke/{url_lease_id*}"].map(one).into();
    routes.extend(["leases/revoke-prefix/{prefix*}", "revoke-prefix/{prefix*}"].map(below));
    routes.extend(["leases/revoke-force/{prefix*}", "revoke-force/{prefix*}"].map(force));
    routes
}

/// What will be done is not done yet.
fn accepted() -> Output {
    Output { status: Some(202), ..Output::default() }
}

/// Starts looking through everything of a kind.
pub(crate) fn start_tidy(registry: &Registry, cx: &Context<'_>, what: Tidy) -> Result<Output, Error> {
    let mut output = Output::default();
    if registry.start_tidy(&cx.view, what)? {
        output.status = Some(202);
        let said = "Tidy operation successfully started. Any information from the operation will be printed to the server's logs.";
        output.warnings.push(said.to_owned());
    } else {
        output.warnings.push("Tidy operation already in progress.".to_owned());
    }
    Ok(output)
}
