//! What the suites share.
#![allow(dead_code, unreachable_pub, reason = "each suite uses a part")]

pub mod simulated;

use std::path::Path;
use std::sync::Arc;

use framework::{Batch, Ciphertext, Class, Error, Key, MountId, Page, Prefix, Store, Version, Write};
use storage::{Kind, Options, Storage};

pub fn key(name: &str) -> Key {
    Key::new(name).unwrap()
}

pub fn put(name: &str, value: &[u8]) -> Write<Ciphertext> {
    let value = Some(Ciphertext(value.to_vec()));
    Write { key: key(name), value, mount: MountId([7; 16]), class: Class::Local, seal_wrap: false }
}

pub fn delete(name: &str) -> Write<Ciphertext> {
    Write { value: None, ..put(name, b"") }
}

pub fn write(store: &Storage, writes: Vec<Write<Ciphertext>>) -> Result<(), Error> {
    store.apply(Batch { reads: Vec::new(), writes })
}

pub fn write_if(store: &Storage, read: (&str, u64), writes: Vec<Write<Ciphertext>>) -> Result<(), Error> {
    store.apply(Batch { reads: vec![(key(read.0), Version(read.1))], writes })
}

pub fn get(store: &Storage, name: &str) -> Option<Vec<u8>> {
    store.get(&key(name)).unwrap().map(|found| found.value.0)
}

pub fn version(store: &Storage, name: &str) -> u64 {
    store.get(&key(name)).unwrap().map_or(0, |found| found.version.0)
}

pub fn list(store: &Storage, folder: &str) -> Vec<String> {
    store.list(&Prefix::new(folder).unwrap(), &Page::default()).unwrap()
}

/// Small files and frequent upkeep, so that a short test meets all of it.
pub fn small() -> Options {
    Options { segment_bytes: 64 << 10, snapshot_bytes: 256 << 10, checkpoint_bytes: 32 << 10, ..Options::default() }
}

pub fn open(kind: Kind, path: &Path) -> Arc<Storage> {
    storage::open(kind, Some(path), small()).unwrap()
}

/// Bytes that look like ciphertext and tell from what they were made.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        bytes.extend_from_slice(&random.next().to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// A small generator whose whole state is its seed (xorshift64*).
pub struct Random(pub u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        let mut random = Self(seed.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ 0x9e37_79b9_7f4a_7c15 | 1);
        random.next();
        random
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        (self.next() >> 11) % limit.max(1)
    }

    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// How often a slow loop runs: `short` by default, `long` with HOLDFAST_LONG=1.
pub fn rounds(short: u64, long: u64) -> u64 {
    if std::env::var("HOLDFAST_LONG").is_ok_and(|value| value == "1") { long } else { short }
}
