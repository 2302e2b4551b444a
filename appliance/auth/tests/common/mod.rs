//! One mount of an auth method over a store in memory, with a clock that is moved by hand.
#![allow(dead_code, unreachable_pub)]

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use framework::audit::Exempt;
use framework::{
    Ask, Auth, Batch, Caller, Context, Engine, Error, Json, Key, Map, MountId, MountInfo, Operation, Origin, Output,
    Page, Permit, Prefix, Secret, Store, SystemRng, Timestamp, Transaction, Unrecorded, Verdict, Version, Versioned,
};

type Records = BTreeMap<Key, (u64, Vec<u8>)>;

#[derive(Default)]
struct Memory(Mutex<(u64, Records)>);

impl Store<Secret> for Memory {
    fn get(&self, key: &Key) -> Result<Option<Versioned<Secret>>, Error> {
        let found = self.0.lock().unwrap().1.get(key).cloned();
        Ok(found.map(|(version, value)| Versioned { value: value.into(), version: Version(version) }))
    }

    fn list(&self, folder: &Prefix, page: &Page) -> Result<Vec<String>, Error> {
        let state = self.0.lock().unwrap();
        let below = state.1.keys().filter_map(|key| key.as_str().strip_prefix(folder.as_str()));
        let mut names: Vec<String> =
            below.map(|name| name.split_inclusive('/').next().unwrap_or_default().to_owned()).collect();
        names.sort();
        names.dedup();
        names.retain(|name| page.after.as_ref().is_none_or(|after| name > after));
        names.truncate(page.limit.unwrap_or(usize::MAX));
        Ok(names)
    }

    fn apply(&self, batch: Batch<Secret>) -> Result<(), Error> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = |key: &Key| state.1.get(key).map_or(0, |(version, _)| *version);
        if batch.reads.iter().any(|(key, version)| now(key) != version.0) {
            return Err(Error::Conflict);
        }
        state.0 += 1;
        let version = state.0;
        for write in batch.writes {
            match write.value {
                Some(value) => drop(state.1.insert(write.key, (version, value.expose().to_vec()))),
                None => drop(state.1.remove(&write.key)),
            }
        }
        Ok(())
    }
}

pub struct Mount {
    engine: Engine,
    store: Memory,
    info: MountInfo,
    pub origin: Origin,
    pub now: Timestamp,
}

impl Mount {
    pub fn new(engine: Engine) -> Self {
        let hours = |n: u64| Duration::from_secs(3600 * n);
        let info = MountInfo {
            path: "auth/test/".into(),
            kind: engine.kind.into(),
            default_ttl: hours(24),
            max_ttl: hours(768),
            ..MountInfo::nowhere()
        };
        let now = Timestamp::parse("2026-11-24T12:00:00Z").unwrap();
        Self { engine, store: Memory::default(), info, origin: Origin::local(), now }
    }

    pub fn pass(&mut self, secs: u64) {
        self.now = self.now.plus(Duration::from_secs(secs));
    }

    /// The same mount as it is seen from another address.
    pub fn from(&mut self, address: &str) -> &mut Self {
        self.origin.remote_address = address.parse::<IpAddr>().unwrap();
        self
    }

    /// How many records there are below a folder of the mount.
    pub fn count(&self, folder: &str) -> usize {
        self.store.0.lock().unwrap().1.keys().filter(|key| key.as_str().starts_with(&format!("mount/{folder}"))).count()
    }

    /// Everything that is stored, as text.
    pub fn dump(&self) -> String {
        let state = self.store.0.lock().unwrap();
        state.1.iter().map(|(k, (_, v))| format!("{} {}\n", k.as_str(), String::from_utf8_lossy(v))).collect()
    }

    fn transaction<T>(&self, work: impl Fn(&Context<'_>) -> Result<T, Error>) -> Result<T, Error> {
        let caller = Caller::default();
        loop {
            let transaction = Transaction::new(&self.store);
            let done = work(&Context {
                view: transaction.view(Prefix::new("mount").unwrap(), MountId::default(), &[]),
                caller: &caller,
                origin: &self.origin,
                mount: &self.info,
                now: self.now,
                rng: &SystemRng,
                token: None,
            })?;
            match transaction.commit() {
                Err(Error::Conflict) => {}
                committed => return committed.map(|_| done),
            }
        }
    }

    /// One request, in a transaction of its own, again while others are faster.
    pub fn call(&self, operation: Operation, path: &str, body: Json) -> Result<Output, Error> {
        let (route, mut input) = self.engine.route(operation, path)?;
        input.body = body.as_object().cloned().unwrap_or_default();
        let (caller, data) = (Caller::default(), Map::new());
        let ask = Ask {
            origin: &self.origin,
            headers: &Vec::new(),
            caller: &caller,
            remaining_uses: 0,
            token: None,
            operation,
            path,
            mount: None,
            data: &data,
            clear: &[],
        };
        self.transaction(|cx| {
            let permit = Permit::admit(Verdict::Allowed, &ask, &Exempt);
            let permit = permit.unwrap_or_else(|_: Unrecorded<Output>| panic!("not admitted"));
            route.call(&permit, cx, input.clone()).settle(&ask, &Exempt)
        })
    }

    pub fn write(&self, path: &str, body: Json) -> Result<Output, Error> {
        self.call(Operation::Update, path, body)
    }

    /// A write that must succeed; its data.
    #[track_caller]
    pub fn done(&self, path: &str, body: Json) -> Json {
        let output = self.write(path, body).unwrap_or_else(|error| panic!("{path}: {error:?}"));
        output.data.map_or(Json::Null, Json::Object)
    }

    #[track_caller]
    pub fn read(&self, path: &str) -> Json {
        let output = self.call(Operation::Read, path, Json::Null).unwrap_or_else(|error| panic!("{path}: {error:?}"));
        Json::Object(output.data.unwrap())
    }

    pub fn list(&self, path: &str) -> Result<Json, Error> {
        self.call(Operation::List, path, Json::Null).map(|output| output.data.unwrap()["keys"].clone())
    }

    pub fn delete(&self, path: &str) -> Result<Output, Error> {
        self.call(Operation::Delete, path, Json::Null)
    }

    /// The token that a login asks for.
    pub fn login(&self, path: &str, body: Json) -> Result<Auth, Error> {
        self.write(path, body).map(|output| output.auth.unwrap())
    }

    /// Asks the method about a token of one of its logins, as the issue has made it.
    pub fn renew(&self, auth: &Auth) -> Result<Auth, Error> {
        let mut policies = auth.policies.clone();
        policies.push("default".to_owned());
        self.transaction(|cx| {
            let mut asked = Auth {
                policies: policies.clone(),
                metadata: auth.metadata.clone(),
                internal: auth.internal.clone(),
                ..Auth::default()
            };
            (self.engine.auth.as_ref().unwrap().renew)(cx, &mut asked)?;
            Ok(asked)
        })
    }

    /// Does the method's chores until there is nothing more to do.
    pub fn chores(&self) {
        for periodic in &self.engine.periodic {
            while self.transaction(|cx| (periodic.run)(cx)).unwrap() {}
        }
    }
}

/// The sentence of a refusal; a refusal is the client's to mend, never a fault of ours.
#[track_caller]
pub fn refusal<T>(result: Result<T, Error>) -> String {
    match result {
        Ok(_) => "allowed".to_owned(),
        Err(Error::Internal(incident)) => panic!("{}", incident.cause),
        Err(error) => error.to_string(),
    }
}

/// Sends values of every wrong type in every field of a login; none may be more than a refusal.
pub fn fuzz_login(mount: &Mount, path: &str, good: &Json) {
    use serde_json::json;
    for field in good.as_object().unwrap().keys() {
        for wrong in [
            json!(null),
            json!(true),
            json!(0),
            json!(-1),
            json!(1.5),
            json!(1e300),
            json!(""),
            json!(" "),
            json!("\u{0}"),
            json!("a/../b"),
            json!("ü\u{202e}"),
            json!("x".repeat(100_000)),
            json!([]),
            json!([1, "a"]),
            json!([[]]),
            json!({}),
            json!({"a": {"b": []}}),
        ] {
            let mut body = good.clone();
            body[field] = wrong.clone();
            let refused = refusal(mount.write(path, body));
            assert_ne!(refused, "allowed", "{field}: {wrong}");
        }
    }
    for body in [json!({}), json!({"unknown": 1})] {
        assert_ne!(refusal(mount.write(path, body)), "allowed");
    }
}
