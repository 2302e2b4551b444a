//! An engine is a value in one place: its routes, and what it declares about its records.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::{Auth, Context, Error, Field, Input, LeaseKind, Operation, Route};

/// A secrets engine or an auth method.
#[derive(Default)]
pub struct Engine {
    /// Its kind, as `sys/mounts` takes it; a second version of the same kind has a suffix (`kv-v2`).
    pub kind: &'static str,
    /// What it is for, in a sentence.
    pub about: &'static str,
    /// Every operation it has.
    pub routes: Vec<Route>,
    /// The kinds of secrets that it leases.
    pub leases: Vec<LeaseKind>,
    /// Work it wants done from time to time.
    pub periodic: Vec<Periodic>,
    /// Prefixes of its records, relative to the mount, that are critical: seal-wrapped where the mount asks for it.
    pub seal_wrapped: &'static [&'static str],
    /// What makes it an auth method; secrets engines have none.
    pub auth: Option<AuthMethod>,
}

/// What an auth method has beside its routes.
pub struct AuthMethod {
    /// Asked before a token of one of its logins is renewed, with a context of its mount in the transaction of the renewal.
    /// It may refuse, since the user is gone or has other policies now, and it sets `ttl`, `max_ttl` and `period` to what
    /// a login would get now.
    pub renew: fn(&Context<'_>, &mut Auth) -> Result<(), Error>,
}

/// Work that runs from time to time, in a transaction of its own.
pub struct Periodic {
    /// What it does, for the log.
    pub about: &'static str,
    /// How often.
    pub every: Duration,
    /// The work, in portions that one transaction can hold; true if it wants to run again at once, since there is more.
    pub run: fn(&Context<'_>) -> Result<bool, Error>,
}

impl Engine {
    /// The most specific route for a path, and the parts of the path. [`Error::Unsupported`] where the path exists but
    /// not the operation, [`Error::NoRoute`] where no pattern fits.
    pub fn route(&self, operation: Operation, path: &str) -> Result<(&Route, Input), Error> {
        let mut known = false;
        let mut best: Option<(&Route, Input)> = None;
        for route in &self.routes {
            let Some(parts) = route.pattern.matches(path) else { continue };
            known = true;
            if route.operation == operation
                && best.as_ref().is_none_or(|(other, _)| other.pattern.weight() < route.pattern.weight())
            {
                best = Some((route, Input { path: parts, ..Input::default() }));
            }
        }
        best.ok_or_else(|| {
            if known { Error::Unsupported } else { Error::NoRoute { message: "unsupported path".to_owned() } }
        })
    }

    /// The whole API as text, for a file that a review sees change: each route with the fields of its request (`<`; a `!`
    /// marks those that must be there) and of its answer (`>`).
    pub fn api(&self) -> String {
        let field = |field: &Field| {
            let mark = if field.required { "!" } else { "" };
            format!(" {}{mark}:{:?}", field.name, field.kind)
        };
        let fields = |fields: &[Field]| fields.iter().map(field).collect::<String>();
        let route = |route: &Route| {
            let (asked, answered) = (fields(&route.request), fields(&route.response));
            let head = format!("{} {} {:?}", route.operation, route.pattern.as_str(), route.access);
            format!("\n{head}\n  <{asked}\n  >{answered}\n")
        };
        let routes: String = self.routes.iter().map(route).collect();
        format!("{}\nseal-wrapped: {:?}\n{routes}", self.kind, self.seal_wrapped)
    }

    /// Whether users of its logins are locked out who fail too often.
    pub fn locks_out(&self) -> bool {
        self.routes.iter().any(Route::is_login)
    }

    /// Whether any of its routes takes much of a processor.
    pub fn is_costly(&self) -> bool {
        self.routes.iter().any(|route| route.costly)
    }

    /// The routes whose pattern fits a path, for help.
    pub fn routes_at(&self, path: &str) -> impl Iterator<Item = &Route> {
        self.routes.iter().filter(move |route| route.pattern.matches(path).is_some())
    }
}

/// Every engine this server has.
#[derive(Default)]
pub struct Catalog(Vec<Engine>);

impl Catalog {
    /// The engines; their kinds differ.
    pub fn new(engines: Vec<Engine>) -> Self {
        Self(engines)
    }

    /// The engine of a mount. The option `version` picks among several of a kind: `kv` with version 2 is `kv-v2`.
    pub fn find(&self, kind: &str, options: &BTreeMap<String, String>) -> Option<&Engine> {
        let version = options.get("version").map(String::as_str);
        // Compared part by part: this is asked for every request, and a name put together would be thrown away at once.
        let of = |engine: &Engine| engine.kind.strip_prefix(kind)?.strip_prefix("-v");
        let versioned = self.0.iter().find(|engine| version.is_some() && of(engine) == version);
        versioned.or_else(|| self.0.iter().find(|engine| engine.kind == kind))
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Engine> {
        self.0.iter()
    }
}
