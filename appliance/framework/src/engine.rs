//! An engine is a value in one place: its routes, and what it declares about its records.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::{Context, Error, Input, LeaseKind, Operation, Route};

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
}

/// Work that runs from time to time, in a transaction of its own.
pub struct Periodic {
    /// What it does, for the log.
    pub about: &'static str,
    /// How often.
    pub every: Duration,
    /// The work.
    pub run: fn(&Context<'_>) -> Result<(), Error>,
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
        let versioned = options.get("version").map(|version| format!("{kind}-v{version}"));
        let by_kind = |wanted: &str| self.0.iter().find(|engine| engine.kind == wanted);
        versioned.as_deref().and_then(by_kind).or_else(|| by_kind(kind))
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Engine> {
        self.0.iter()
    }
}
