//! A disk that a test can reach into, and a seal made of software.
#![allow(dead_code, unreachable_pub, missing_docs)] // each test binary uses its part; none of it is API
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail the test they help"
)]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use barrier::{Barrier, Founding};
use framework::{
    Batch, Ciphertext, Class, Error, Key, KeyId, MountId, Page, Prefix, Record, Seal, Secret, Store, Timestamp,
    Version, Versioned, Walk, Wrapped, Write,
};

/// Records in memory, in the open.
#[derive(Default)]
pub struct Disk(pub Mutex<Records>);

/// The number of the last write, and by key: bytes and the number of their write.
type Records = (u64, BTreeMap<String, (Vec<u8>, u64)>);

impl Disk {
    pub fn keys(&self) -> Vec<String> {
        self.0.lock().unwrap().1.keys().cloned().collect()
    }

    pub fn raw(&self, key: &str) -> Vec<u8> {
        self.0.lock().unwrap().1[key].0.clone()
    }

    pub fn set_raw(&self, key: &str, bytes: Vec<u8>) {
        self.0.lock().unwrap().1.entry(key.to_owned()).or_default().0 = bytes;
    }
}

impl Walk<Ciphertext> for Disk {
    fn walk(&self, after: Option<&Key>) -> Result<Vec<Record<Ciphertext>>, Error> {
        let disk = self.0.lock().unwrap();
        let behind = disk.1.iter().filter(|(key, _)| after.is_none_or(|after| key.as_str() > after.as_str()));
        let record = |(key, (bytes, at)): (&String, &(Vec<u8>, u64))| Record {
            key: Key::new(key).unwrap(),
            value: Ciphertext(bytes.clone()),
            version: Version(*at),
            mount: MountId::default(),
            class: Class::default(),
        };
        Ok(behind.take(2).map(record).collect())
    }
}

impl Store<Ciphertext> for Disk {
    fn get(&self, key: &Key) -> Result<Option<Versioned<Ciphertext>>, Error> {
        let disk = self.0.lock().unwrap();
        let found = disk.1.get(key.as_str());
        Ok(found.map(|(bytes, at)| Versioned { value: Ciphertext(bytes.clone()), version: Version(*at) }))
    }

    fn list(&self, folder: &Prefix, page: &Page) -> Result<Vec<String>, Error> {
        let disk = self.0.lock().unwrap();
        let below = disk.1.keys().filter_map(|key| key.strip_prefix(folder.as_str()));
        let names: std::collections::BTreeSet<String> =
            below.map(|rest| rest.split_inclusive('/').next().unwrap().to_owned()).collect();
        let after = page.after.clone().unwrap_or_default();
        Ok(names.into_iter().filter(|name| *name > after).take(page.limit.unwrap_or(usize::MAX)).collect())
    }

    fn apply(&self, batch: Batch<Ciphertext>) -> Result<(), Error> {
        let mut disk = self.0.lock().unwrap();
        for (key, version) in &batch.reads {
            if disk.1.get(key.as_str()).map_or(0, |(_, at)| *at) != version.0 {
                return Err(Error::Conflict);
            }
        }
        disk.0 += 1;
        let at = disk.0;
        for write in batch.writes {
            match write.value {
                Some(value) => drop(disk.1.insert(write.key.as_str().to_owned(), (value.0, at))),
                None => drop(disk.1.remove(write.key.as_str())),
            }
        }
        Ok(())
    }
}

/// A seal that hides its plaintext behind a table: what it hands out is a number.
#[derive(Default)]
pub struct TableSeal {
    /// Its key id; "table" if it is empty.
    pub label: &'static str,
    table: Mutex<Vec<(Vec<u8>, Vec<u8>)>>,
    pub unwraps: AtomicUsize,
    pub broken: AtomicBool,
}

impl Seal for TableSeal {
    fn key_id(&self) -> KeyId {
        KeyId(if self.label.is_empty() { "table" } else { self.label }.into())
    }

    fn wrap(&self, plain: &Secret, aad: &[u8]) -> Result<Wrapped, Error> {
        self.check()?;
        let mut table = self.table.lock().unwrap();
        table.push((plain.expose().to_vec(), aad.to_vec()));
        Ok(Wrapped { key_id: self.key_id(), mechanism: 7, blob: (table.len() - 1).to_be_bytes().to_vec() })
    }

    fn unwrap(&self, wrapped: &Wrapped, aad: &[u8]) -> Result<Secret, Error> {
        self.check()?;
        self.unwraps.fetch_add(1, Ordering::SeqCst);
        let number = wrapped.blob.as_slice().try_into().map(usize::from_be_bytes).unwrap_or(usize::MAX);
        match self.table.lock().unwrap().get(number) {
            Some((plain, bound)) if bound == aad => Ok(Secret::locked(plain)?),
            _ => Err(Error::internal("rejected")),
        }
    }
}

impl TableSeal {
    pub fn labelled(label: &'static str) -> Self {
        Self { label, ..Self::default() }
    }

    fn check(&self) -> Result<(), Error> {
        match self.broken.load(Ordering::SeqCst) {
            true => Err(Error::HsmUnavailable { reason: "C_Decrypt: CKR_DEVICE_ERROR".into() }),
            false => Ok(()),
        }
    }
}

pub fn key(name: &str) -> Key {
    Key::new(name).unwrap()
}

pub fn put(name: &str, value: &[u8]) -> Write<Secret> {
    Write {
        key: key(name),
        value: Some(Secret::transient(value.to_vec())),
        mount: MountId::default(),
        class: Class::Replicated,
        seal_wrap: false,
    }
}

/// One record that is readable while sealed.
pub fn seal_record<'n>(name: &'n str, data: &[u8]) -> Founding<'n> {
    Founding { seal_records: vec![(name, data.to_vec())], records: Vec::new() }
}

pub fn apply(store: &impl Store<Secret>, writes: Vec<Write<Secret>>) -> Result<(), Error> {
    store.apply(Batch { reads: vec![], writes })
}

pub fn read(store: &impl Store<Secret>, name: &str) -> Result<Option<Vec<u8>>, Error> {
    Ok(store.get(&key(name))?.map(|found| found.value.expose().to_vec()))
}

/// The cause of an integrity error; panics if it is anything else.
pub fn integrity<T: std::fmt::Debug>(result: Result<T, Error>) -> String {
    match result {
        Err(Error::Internal(incident)) if incident.cause.contains("failed its integrity check") => incident.cause,
        other => panic!("expected an integrity error, got {other:?}"),
    }
}

pub const THEN: i64 = 1_700_000_000;

/// An open barrier over `store`, and its root key.
pub fn founded<S: Store<Ciphertext>>(store: S) -> (Barrier<S>, Secret) {
    let barrier = Barrier::new(store);
    let root = Secret::random(32).unwrap();
    barrier.initialise(&root, Founding::default(), Timestamp::from_secs(THEN)).unwrap();
    barrier.open(&root).unwrap();
    (barrier, root)
}

pub fn fresh() -> (Barrier<Arc<Disk>>, Secret, Arc<Disk>) {
    let disk = Arc::new(Disk::default());
    let (barrier, root) = founded(disk.clone());
    (barrier, root, disk)
}
