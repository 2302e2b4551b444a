//! Records that can be read while sealed: what is needed to unseal, such as the wrapped root key.

use framework::{Batch, Ciphertext, Class, Error, Key, MountId, Page, Prefix, Store, Version, Versioned, Write};

use crate::format::SEAL_RECORD;
use crate::keyring::{KEYRING_RECORD, Keyring};

/// The folder of these records as a listing shows it. A sealed name has 23 characters at least, so none is like it.
pub(crate) const FOLDER: &str = "_/";

const MAC: usize = 32;

/// Reads records that lie beside the keyring in the clear.
///
/// Nobody vouches for them while the barrier is sealed: a hostile disk may have altered them, so nothing that would be
/// dangerous then may rest on them (a wrapped root key is fine: the seal checks it; a verifier of recovery shares is not:
/// put it behind the barrier). [`Barrier::open`](crate::Barrier::open) checks the MAC of each and refuses to open over a
/// wrong one.
#[derive(Debug)]
pub struct SealRecords<'s, S>(&'s S);

impl<'s, S: Store<Ciphertext>> SealRecords<'s, S> {
    /// The records on this disk.
    pub fn new(store: &'s S) -> Self {
        Self(store)
    }

    /// The record `name`, as it lies there; see the type for what that is worth.
    pub fn get(&self, name: &str) -> Result<Option<Versioned<Vec<u8>>>, Error> {
        let Some(found) = self.0.get(&record_key(name)?)? else { return Ok(None) };
        let (_, data) = split(name, &found.value.0)?;
        Ok(Some(Versioned { value: data.to_vec(), version: found.version }))
    }

    /// Checks every record with `genuine(name, data, mac)`.
    pub(crate) fn verify(&self, genuine: impl Fn(&str, &[u8], &[u8]) -> Result<bool, Error>) -> Result<(), Error> {
        for name in self.0.list(&Prefix::new(FOLDER)?, &Page::default())? {
            let key = Prefix::new(FOLDER)?.key(&name)?;
            if key.as_str() == KEYRING_RECORD {
                continue;
            }
            let Some(found) = self.0.get(&key)? else { continue };
            check(&name, &found.value.0, |data, mac| genuine(&name, data, mac))?;
        }
        Ok(())
    }
}

/// Checks the record `name` with `genuine(data, mac)`.
pub(crate) fn check(
    name: &str,
    record: &[u8],
    genuine: impl FnOnce(&[u8], &[u8]) -> Result<bool, Error>,
) -> Result<(), Error> {
    let (mac, data) = split(name, record)?;
    if genuine(data, mac)? { Ok(()) } else { Err(altered(name)) }
}

fn altered(name: &str) -> Error {
    Error::internal(format!("seal record {name:?} failed its integrity check: it was altered since it was written"))
}

fn split<'r>(name: &str, record: &'r [u8]) -> Result<(&'r [u8; MAC], &'r [u8]), Error> {
    match record.split_first() {
        Some((&SEAL_RECORD, rest)) => rest.split_first_chunk().ok_or_else(|| altered(name)),
        _ => Err(altered(name)),
    }
}

fn record_key(name: &str) -> Result<Key, Error> {
    let key = Prefix::new(FOLDER)?.key(name)?;
    if name.contains('/') || key.as_str() == KEYRING_RECORD {
        return Err(Error::internal(format!("{name:?} cannot name a seal record")));
    }
    Ok(key)
}

/// The write of a seal record, vouched for by `keyring`.
pub(crate) fn write(keyring: &Keyring, name: &str, data: &[u8]) -> Result<Write<Ciphertext>, Error> {
    let mac = keyring.vouch(name, data)?;
    Ok(beside(record_key(name)?, [&[SEAL_RECORD], mac.expose(), data].concat(), false))
}

/// The write of the keyring's record, which the seal wraps; it fails if the record is no longer `version`.
pub(crate) fn keyring_batch(record: Vec<u8>, version: Version) -> Result<Batch<Ciphertext>, Error> {
    let key = Key::new(KEYRING_RECORD)?;
    Ok(Batch { reads: vec![(key.clone(), version)], writes: vec![beside(key, record, true)] })
}

/// The write of a record whose name is in the clear.
fn beside(key: Key, record: Vec<u8>, seal_wrap: bool) -> Write<Ciphertext> {
    Write { key, value: Some(Ciphertext(record)), mount: MountId::default(), class: Class::Replicated, seal_wrap }
}
