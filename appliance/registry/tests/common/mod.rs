//! A registry over a store in memory, with a clock that is moved by hand.
#![allow(dead_code, unreachable_pub)]

pub mod vending;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use framework::{
    Batch, Caller, Catalog, Clock, Error, Key, MountId, Page, Prefix, Secret, Store, SystemRng, Timestamp, Transaction,
    Version, Versioned, View,
};
use registry::{AskMethod, Changed, Issued, PolicySpec, Registry, Settings, TokenRef, TokenSpec};

/// No auth method has a say about tokens that came from no login.
pub const NOBODY: &AskMethod<'static> = &|_, _| panic!("an auth method was asked");

#[derive(Default)]
pub struct Memory {
    records: Mutex<BTreeMap<Key, (u64, Vec<u8>)>>,
    written: AtomicU64,
    /// After this many more batches the store fails.
    pub fails_after: Mutex<Option<usize>>,
}

impl Memory {
    /// Every name and value, as text.
    pub fn dump(&self) -> String {
        let records = self.records.lock().unwrap();
        records.iter().map(|(k, (_, v))| format!("{} {}\n", k.as_str(), String::from_utf8_lossy(v))).collect()
    }

    pub fn count(&self, prefix: &str) -> usize {
        self.records.lock().unwrap().keys().filter(|key| key.as_str().starts_with(prefix)).count()
    }
}

impl Store<Secret> for Memory {
    fn get(&self, key: &Key) -> Result<Option<Versioned<Secret>>, Error> {
        let found = self.records.lock().unwrap().get(key).cloned();
        Ok(found.map(|(version, value)| Versioned { value: value.into(), version: Version(version) }))
    }

    fn list(&self, folder: &Prefix, page: &Page) -> Result<Vec<String>, Error> {
        let records = self.records.lock().unwrap();
        let below = records.keys().filter_map(|key| key.as_str().strip_prefix(folder.as_str()));
        let mut names: Vec<String> =
            below.map(|name| name.split_inclusive('/').next().unwrap_or_default().to_owned()).collect();
        names.sort();
        names.dedup();
        names.retain(|name| page.after.as_ref().is_none_or(|after| name > after));
        names.truncate(page.limit.unwrap_or(usize::MAX));
        Ok(names)
    }

    fn apply(&self, batch: Batch<Secret>) -> Result<(), Error> {
        if let Some(left) = self.fails_after.lock().unwrap().as_mut() {
            *left = left.checked_sub(1).ok_or_else(|| Error::internal("disk gone"))?;
        }
        let mut records = self.records.lock().unwrap();
        let now = |key: &Key| records.get(key).map_or(0, |(version, _)| *version);
        if batch.reads.iter().any(|(key, version)| now(key) != version.0) {
            return Err(Error::Conflict);
        }
        let version = self.written.fetch_add(1, Ordering::SeqCst) + 1;
        for write in batch.writes {
            match write.value {
                Some(value) => drop(records.insert(write.key, (version, value.expose().to_vec()))),
                None => drop(records.remove(&write.key)),
            }
        }
        Ok(())
    }
}

pub struct Hand(AtomicI64);

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        Timestamp::from_nanos(self.0.load(Ordering::SeqCst))
    }
}

/// Where requests come from.
pub const HOME: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

pub struct House {
    pub catalog: Catalog,
    pub store: Memory,
    pub clock: Arc<Hand>,
    pub registry: Registry,
    pub root: Secret,
}

pub fn hmac_key() -> Secret {
    Secret::locked(&[7; 32]).unwrap()
}

pub fn house() -> House {
    house_with(Settings::default())
}

pub fn house_with(settings: Settings) -> House {
    let store = Memory::default();
    let clock = Arc::new(Hand(AtomicI64::new(Timestamp::parse("2026-11-21T23:12:15.5Z").unwrap().nanos())));
    let registry = Registry::new(Arc::clone(&clock) as Arc<dyn Clock>, Arc::new(SystemRng), settings);
    let transaction = Transaction::new(&store);
    let view = transaction.view(Prefix::root(), MountId::default(), &[]);
    let root = registry.initialise(&view, &hmac_key(), None).unwrap();
    drop(view);
    transaction.commit().unwrap();
    registry.load(&store, &hmac_key()).unwrap();
    House { catalog: Catalog::new(vec![vending::engine()]), store, clock, registry, root }
}

impl House {
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub fn pass(&self, secs: u64) {
        self.clock.0.fetch_add(i64::try_from(secs).unwrap() * 1_000_000_000, Ordering::SeqCst);
    }

    /// To the next whole second.
    pub fn pass_to_the_second(&self) {
        self.clock.0.fetch_add(500_000_000, Ordering::SeqCst);
        assert_eq!(self.now().nanos() % 1_000_000_000, 0);
    }

    /// One transaction, committed, as the pipeline does it.
    pub fn write<T>(&self, work: impl FnOnce(&View<'_>) -> Result<T, Error>) -> Result<T, Error> {
        let transaction = Transaction::new(&self.store);
        let view = transaction.view(Prefix::root(), MountId::default(), &[]);
        let done = work(&view)?;
        drop(view);
        self.registry.committed(&transaction.commit()?, &self.store)?;
        Ok(done)
    }

    pub fn changed_by(&self, work: impl FnOnce(&View<'_>) -> Result<(), Error>) -> Changed {
        let transaction = Transaction::new(&self.store);
        let view = transaction.view(Prefix::root(), MountId::default(), &[]);
        work(&view).unwrap();
        drop(view);
        self.registry.committed(&transaction.commit().unwrap(), &self.store).unwrap()
    }

    pub fn caller(&self, token: &Secret) -> Option<Arc<Caller>> {
        self.registry.identify(&self.store, token, HOME, self.now()).unwrap().map(|known| known.caller)
    }
}

impl House {
    pub fn create_in(&self, view: &View<'_>, parent: &Caller, spec: TokenSpec) -> Result<Issued, Error> {
        let mount = self.registry.mount("auth/token")?.unwrap();
        self.registry.create_token(view, parent, &mount.info, spec, self.now())
    }

    pub fn create(&self, parent: &Secret, spec: TokenSpec) -> Result<Issued, Error> {
        let parent = self.caller(parent).unwrap();
        self.write(|view| self.create_in(view, &parent, spec))
    }

    pub fn token(&self, parent: &Secret, spec: TokenSpec) -> Secret {
        self.create(parent, spec).unwrap().auth.client_token.unwrap()
    }

    pub fn policy(&self, name: &str, text: &str) {
        self.write(|view| self.registry.put_policy(view, name, PolicySpec::new(text), self.now())).unwrap();
    }

    pub fn lookup(&self, token: TokenRef<'_>) -> framework::Map<String, framework::Json> {
        self.write(|view| self.registry.lookup(view, token, self.now())).unwrap()
    }

    /// Ends what has ended; the house's engines are those of `common::vending`.
    pub fn sweep(&self, limit: usize) -> usize {
        self.registry.sweep(&self.store, &self.catalog, self.now(), limit).unwrap()
    }
}

pub fn with(policies: &[&str]) -> TokenSpec {
    TokenSpec { policies: policies.iter().map(|name| (*name).to_owned()).collect(), ..TokenSpec::default() }
}

/// The sentence of a refusal.
pub fn refusal<T>(result: Result<T, Error>) -> String {
    match result {
        Ok(_) => "allowed".to_owned(),
        Err(error) => error.to_string(),
    }
}

pub fn hours(n: u64) -> Duration {
    Duration::from_secs(3600 * n)
}
