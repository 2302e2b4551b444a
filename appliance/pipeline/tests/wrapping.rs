//! An answer is put away in the transaction that it answers: there is both or neither.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // a helper that fails fails the test

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use framework::{
    Batch, Catalog, Context, Engine, Error, FreeForm, Json, Key, Map, MountId, Operation, Origin, Page, Prefix, Route,
    Secret, Store, SystemClock, SystemRng, Transaction, Version, Versioned,
};
use pipeline::{Answer, Pipeline, Request};
use registry::{DefaultMount, Registry, Settings, default_mounts};

/// A store that keeps the names of each batch, and fails when it is told to.
#[derive(Default)]
struct Memory {
    records: Mutex<BTreeMap<Key, (u64, Vec<u8>)>>,
    /// With whether the seal wraps the value.
    batches: Mutex<Vec<Vec<(String, bool)>>>,
    broken: Mutex<bool>,
}

impl Store<Secret> for Memory {
    fn get(&self, key: &Key) -> Result<Option<Versioned<Secret>>, Error> {
        let found = self.records.lock().unwrap().get(key).cloned();
        Ok(found.map(|(version, value)| Versioned { value: value.into(), version: Version(version) }))
    }

    fn list(&self, folder: &Prefix, _: &Page) -> Result<Vec<String>, Error> {
        let records = self.records.lock().unwrap();
        let below = records.keys().filter_map(|key| key.as_str().strip_prefix(folder.as_str()));
        let names: std::collections::BTreeSet<_> =
            below.map(|name| name.split_inclusive('/').next().unwrap_or_default().to_owned()).collect();
        Ok(names.into_iter().collect())
    }

    fn apply(&self, batch: Batch<Secret>) -> Result<(), Error> {
        if *self.broken.lock().unwrap() {
            return Err(Error::internal("disk gone"));
        }
        let mut batches = self.batches.lock().unwrap();
        batches.push(batch.writes.iter().map(|write| (write.key.as_str().to_owned(), write.seal_wrap)).collect());
        let mut records = self.records.lock().unwrap();
        for write in batch.writes {
            match write.value {
                Some(value) => records.insert(write.key, (batches.len() as u64, value.expose().to_vec())),
                None => records.remove(&write.key),
            };
        }
        Ok(())
    }
}

/// Keeps what it is given, and says so.
fn write(cx: &Context<'_>, put: FreeForm) -> Result<Map<String, Json>, Error> {
    cx.view.put(&put.path, Secret::transient(serde_json::to_vec(&put.data).map_err(Error::internal)?))?;
    Ok(put.data)
}

struct House {
    store: Arc<Memory>,
    pipeline: Pipeline,
    root: Secret,
}

fn house(seal_wrap: bool) -> House {
    let store = Arc::new(Memory::default());
    let probe = DefaultMount { path: "probe/", kind: "probe", description: "", local: false, seal_wrap };
    let mounts = default_mounts().into_iter().chain([probe]).collect();
    let (clock, rng) = (Arc::new(SystemClock), Arc::new(SystemRng));
    let settings = Settings { mounts, ..Settings::default() };
    let registry = Arc::new(Registry::new(clock.clone(), rng.clone(), settings));
    let key = Secret::locked(&[7; 32]).unwrap();
    let transaction = Transaction::new(&*store);
    let view = transaction.view(Prefix::root(), MountId::default(), &[]);
    let root = registry.initialise(&view, &key, None).unwrap();
    drop(view);
    transaction.commit().unwrap();
    registry.load(&*store, &key).unwrap();
    let routes = vec![Route::new(Operation::Update, "{path*}", "Keep it.", write)];
    let engine = Engine { kind: "probe", routes, ..Engine::default() };
    let catalog = Arc::new(Catalog::new(vec![engine]));
    House {
        pipeline: Pipeline { registry, catalog, store: store.clone(), clock, rng, handled: Arc::default() },
        store,
        root,
    }
}

impl House {
    fn write(&self, wrap_ttl: Option<Duration>) -> Answer {
        let body = serde_json::json!({"value": "v"}).as_object().cloned().unwrap();
        self.pipeline.handle(Request {
            operation: Operation::Update,
            path: "probe/x".to_owned(),
            token: Some(self.root.try_clone().unwrap()),
            body: Ok(body),
            upload: None,
            origin: Origin { wrap_ttl, ..Origin::local() },
            headers: Vec::new(),
            help: false,
        })
    }
}

#[test]
fn the_write_and_its_wrapped_answer_are_one_batch() {
    let house = house(false);
    house.store.batches.lock().unwrap().clear();
    let output = house.write(Some(Duration::from_secs(60))).result.unwrap();
    assert!(output.data.is_none() && output.wrap_info.is_some());
    let batches = house.store.batches.lock().unwrap().clone();
    let [batch] = batches.as_slice() else { panic!("{batches:?}") };
    let has = |start: &str, end: &str| batch.iter().any(|(name, _)| name.starts_with(start) && name.ends_with(end));
    assert!(has("logical/", "/x") && has("cubbyhole/", "/response") && has("sys/token/id/", ""), "{batch:?}");
    assert_eq!(batch.len(), 5, "the secret; the token, its lease and its deadline; the answer: {batch:?}");
}

#[test]
fn a_write_that_fails_leaves_no_answer() {
    let house = house(false);
    let before = house.store.records.lock().unwrap().len();
    *house.store.broken.lock().unwrap() = true;
    assert!(house.write(Some(Duration::from_secs(60))).result.is_err());
    assert_eq!(house.store.records.lock().unwrap().len(), before);
}

#[test]
fn what_the_seal_wraps_it_wraps_in_the_cubbyhole_too() {
    for seal_wrap in [true, false] {
        let house = house(seal_wrap);
        house.write(Some(Duration::from_secs(60))).result.unwrap();
        let batches = house.store.batches.lock().unwrap();
        let (_, sealed) = batches.iter().flatten().find(|(name, _)| name.ends_with("/response")).unwrap();
        assert_eq!(*sealed, seal_wrap);
    }
}
