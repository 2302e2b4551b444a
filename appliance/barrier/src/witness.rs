//! What says of records that they are as the barrier wrote them, without giving a value away: for whoever copies a store.

use framework::{Ciphertext, Error, Key, Secret, Store};

use crate::barrier::Barrier;
use crate::format;
use crate::keyring::{KEYRING_RECORD, Keyring};
use crate::mac::mac;
use crate::records;

impl<S: Store<Ciphertext>> Barrier<S> {
    /// Whether the record at `key` on the disk is as this barrier wrote it: its MAC, or tag, under the keyring is right.
    /// Of what the seal wrapped only the form is checked: the rest takes the seal.
    pub fn verify(&self, key: &Key, record: &[u8]) -> Result<(), Error> {
        self.with(|open| open.keyring.verify(key, record))
    }

    /// 32 bytes that nobody without this keyring can make for `data`: the same for the life of this storage.
    pub fn vouch(&self, purpose: &str, data: &[u8]) -> Result<Secret, Error> {
        self.with(|open| mac(&open.keyring.derive(purpose)?, "holdfast: vouched", &[data]))
    }
}

impl Keyring {
    fn verify(&self, key: &Key, record: &[u8]) -> Result<(), Error> {
        if format::is_wrapped(record) {
            return format::split_wrapped(record).map(drop);
        }
        // Opening it is what checks it.
        if key.as_str() == KEYRING_RECORD {
            return Ok(());
        }
        match key.as_str().strip_prefix(records::FOLDER) {
            Some(name) => records::check(name, record, |data, mac| Ok(self.vouch(name, data)?.ct_eq(mac))),
            None => self.open_value(key, record.to_vec()).map(drop),
        }
    }
}
