//! A small engine that leases secrets: a secret is a record `out/<number>` of its mount. It fails where a record `broken` says
//! so, for now or for good.

use std::time::Duration;

use framework::{Context, Engine, Error, Json, Lease, LeaseKind, Secret, View};

use super::{House, refusal};

pub fn engine() -> Engine {
    Engine {
        kind: "vending",
        about: "Gives out numbers.",
        leases: vec![
            LeaseKind { name: "number", renew: Some(renew), revoke },
            LeaseKind { name: "fixed", renew: None, revoke },
        ],
        ..Engine::default()
    }
}

fn number(lease: &Lease) -> String {
    format!("out/{}", lease.data["number"].as_u64().unwrap())
}

fn renew(cx: &Context<'_>, lease: &mut Lease) -> Result<(), Error> {
    match cx.view.get(&number(lease))? {
        Some(_) => Ok(()),
        None => Err(Error::invalid("no such number")),
    }
}

fn revoke(cx: &Context<'_>, lease: &Lease) -> Result<(), Error> {
    match cx.view.get("broken")? {
        None => cx.view.delete(&number(lease)),
        Some(how) if how.expose() == b"for good" => Err(Error::invalid("it is broken")),
        Some(_) => Err(Error::Busy { reason: "it is broken for now" }),
    }
}

impl House {
    /// Mounts the engine.
    pub fn vend_at(&self, path: &str) {
        let spec = registry::MountSpec { path: path.into(), kind: "vending".into(), ..registry::MountSpec::default() };
        self.write(|view| self.registry.enable_mount(view, registry::MountClass::Secret, spec).map(drop)).unwrap();
    }

    /// Has a number given out to a token by a request for `path`, in one transaction, as the pipeline does it.
    pub fn vend(&self, token: &Secret, path: &str, number: u64, wish: Lease) -> Result<Lease, Error> {
        let caller = self.caller(token).ok_or(Error::Denied)?;
        self.write(|view| self.vend_in(view, &caller, path, number, wish))
    }

    pub fn vend_in(
        &self,
        view: &View<'_>,
        caller: &framework::Caller,
        path: &str,
        number: u64,
        wish: Lease,
    ) -> Result<Lease, Error> {
        let (mount, _) = self.registry.locate(path)?.unwrap();
        let own = view.below(mount.folder.as_str(), mount.id, &[])?;
        own.put(&format!("out/{number}"), Secret::from("secret"))?;
        let kind = if wish.kind.is_empty() { "number" } else { wish.kind };
        let data = [("number".to_owned(), Json::from(number))].into_iter().collect();
        let mut lease = Lease { kind, data, ..wish };
        self.registry.hold_mount(view, &mount)?;
        self.registry.grant_lease(view, &mut lease, caller, &mount, path, self.now())?;
        Ok(lease)
    }

    /// Breaks the engine at `path`, or mends it.
    pub fn break_vending(&self, path: &str, how: Option<&str>) {
        let (mount, _) = self.registry.locate(path).unwrap().unwrap();
        self.write(|view| {
            let own = view.below(mount.folder.as_str(), mount.id, &[])?;
            how.map_or_else(|| own.delete("broken"), |how| own.put("broken", Secret::from(how)))
        })
        .unwrap();
    }

    /// How many numbers are out.
    pub fn out(&self) -> usize {
        self.store.dump().lines().filter(|line| line.starts_with("logical/") && line.contains("/out/")).count()
    }

    pub fn renew(&self, id: &str, increment: u64) -> Result<Lease, Error> {
        self.in_request(|cx| {
            let increment = Some(Duration::from_secs(increment));
            Ok(self.registry.renew_lease(cx, &self.catalog, id, increment)?.0)
        })
    }

    pub fn revoke(&self, id: &str) -> String {
        refusal(self.registry.revoke_lease(&self.store, &self.catalog, id))
    }

    pub fn revoke_prefix(&self, prefix: &str, force: bool) -> String {
        refusal(self.registry.revoke_prefix(&self.store, &self.catalog, prefix, force))
    }

    /// Does all that threads of the server's own do, a second later: what ends now is found in the next second.
    pub fn settle(&self) {
        self.registry.finish_removals(&self.store).unwrap();
        self.pass(1);
        while self.sweep(1000) > 0 {}
        self.registry.finish_removals(&self.store).unwrap();
    }

    fn in_request<T>(&self, work: impl FnOnce(&Context<'_>) -> Result<T, Error>) -> Result<T, Error> {
        let mount = self.registry.mount("sys")?.unwrap();
        let (caller, origin) = (framework::Caller::default(), framework::Origin::local());
        self.write(|view| {
            work(&Context {
                view: view.clone(),
                caller: &caller,
                origin: &origin,
                mount: &mount.info,
                now: self.now(),
                rng: &framework::SystemRng,
                token: None,
            })
        })
    }
}
