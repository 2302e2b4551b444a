//! Path names under AES-SIV (RFC 5297, AES-256): one segment at a time, so that a folder can be listed.
//!
//! A segment becomes base64url (no padding) of SIV tag and ciphertext; its associated data is the sealed name of the folder
//! it lies in (with final `/`; empty for the root). So equal names in different folders look different, a sealed segment
//! moved to another folder does not decrypt, and what a disk still shows is the shape: depth, lengths, and how many.

use std::sync::Arc;

use aes_siv::KeyInit;
use aes_siv::siv::Aes256Siv;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use framework::{Error, Key, Page, Prefix, Secret};
use hardening::{Guarded, random_bytes};
use polyval::Polyval;
use polyval::universal_hash::UniversalHash;

use crate::recent::Shards;
use crate::records::FOLDER;

/// Bytes of the key for names: half for the MAC, half for encryption.
pub(crate) const NAME_KEY: usize = 64;

/// Most bytes of a key on the disk.
const LONGEST: usize = 2048;

/// Sealed names of folders that are kept.
const FOLDERS: usize = 4096;
/// Sealed names of records that are kept, about 200 bytes each.
const RECORDS: usize = 32768;

/// Seals and opens path names. Leaves copies of its key on the stack: call it by
/// [`hardening::leaving_no_trace`].
pub(crate) struct Names {
    key: Secret,
    /// Hashes names for `folders` and `records`: universal, so that no two paths chosen without the key collide, but not one-way:
    /// it is wiped together with the key above.
    hash: Guarded<Polyval>,
    /// Sealed names of folders by hash of their plain name. Holds nothing that is not on the disk.
    folders: Shards<Arc<str>>,
    /// The same for records: a request reads a record, checks at commit that it is still the same, and writes it.
    records: Shards<Key>,
}

impl Names {
    /// `key` has [`NAME_KEY`] bytes.
    pub(crate) fn new(key: Secret) -> Result<Self, Error> {
        if key.len() != NAME_KEY {
            return Err(Error::internal(format!("the key for names has {} bytes, not {NAME_KEY}", key.len())));
        }
        let hash = Guarded::with(|| {
            let mut key = polyval::Key::default();
            random_bytes(&mut key);
            Polyval::new(&key)
        })?;
        Ok(Self { key, hash, folders: Shards::new(FOLDERS), records: Shards::new(RECORDS) })
    }

    /// The raw key, for the serialised keyring.
    pub(crate) fn key_bytes(&self) -> &[u8] {
        self.key.expose()
    }

    /// Where the record `key` lies on the disk.
    pub(crate) fn seal_key(&self, key: &Key) -> Result<Key, Error> {
        let hash = self.hash(key.as_str());
        if let Some(sealed) = self.records.get(hash) {
            return Ok(sealed);
        }
        let (folder, leaf) = key.split();
        let sealed = Key::new(self.seal(folder, Some(leaf))?)?;
        self.records.insert(hash, sealed.clone());
        Ok(sealed)
    }

    /// Where the folder `prefix` lies on the disk.
    pub(crate) fn seal_prefix(&self, prefix: &Prefix) -> Result<Prefix, Error> {
        Prefix::new(self.seal(prefix.as_str(), None)?)
    }

    /// The record that lies at `sealed` on the disk.
    pub(crate) fn open_key(&self, sealed: &Key) -> Result<Key, Error> {
        let mut siv = self.siv()?;
        let (mut name, mut folder) = (String::new(), 0);
        for entry in sealed.as_str().split_inclusive('/') {
            name.push_str(&open_segment(&mut siv, sealed.as_str().get(..folder).unwrap_or_default(), entry)?);
            folder += entry.len();
        }
        Key::new(name)
    }

    /// Turns a listing of the folder `sealed` on the disk into names in byte order, and takes the wanted part.
    pub(crate) fn open_listing(
        &self,
        sealed: &Prefix,
        listing: Vec<String>,
        page: &Page,
    ) -> Result<Vec<String>, Error> {
        let mut siv = self.siv()?;
        let entries = listing.iter().filter(|entry| !(sealed.as_str().is_empty() && entry.as_str() == FOLDER));
        let names = entries.map(|entry| open_segment(&mut siv, sealed.as_str(), entry));
        let mut names = names.collect::<Result<Vec<String>, Error>>()?;
        if let Some(after) = &page.after {
            names.retain(|name| name > after);
        }
        let limit = page.limit.unwrap_or(usize::MAX);
        // A small page of a large folder needs no full sort.
        if limit < names.len() {
            names.select_nth_unstable(limit);
            names.truncate(limit);
        }
        names.sort_unstable();
        Ok(names)
    }

    fn seal(&self, folder: &str, leaf: Option<&str>) -> Result<String, Error> {
        let (known, rest) = self.longest_known(folder);
        let mut sealed = String::with_capacity(known.as_deref().map_or(0, str::len) + 64 + 2 * rest.len());
        sealed.push_str(known.as_deref().unwrap_or_default());
        if rest.is_empty() && leaf.is_none() {
            return Ok(sealed);
        }
        let mut siv = self.siv()?;
        let mut plain = folder.len() - rest.len();
        for segment in rest.split_terminator('/') {
            seal_segment(&mut siv, &mut sealed, segment)?;
            sealed.push('/');
            plain += segment.len() + 1;
            self.remember(folder.get(..plain).unwrap_or_default(), &sealed);
        }
        if let Some(leaf) = leaf {
            seal_segment(&mut siv, &mut sealed, leaf)?;
        }
        Ok(sealed)
    }

    /// The sealed name of the longest ancestor of `folder` (or of itself) that is remembered, and what remains below it.
    fn longest_known<'f>(&self, folder: &'f str) -> (Option<Arc<str>>, &'f str) {
        let mut ancestor = folder;
        while !ancestor.is_empty() {
            if let Some(sealed) = self.folders.get(self.hash(ancestor)) {
                return (Some(sealed), folder.get(ancestor.len()..).unwrap_or_default());
            }
            let parent = ancestor.strip_suffix('/').and_then(|name| name.rfind('/')).map_or(0, |slash| slash + 1);
            ancestor = ancestor.get(..parent).unwrap_or_default();
        }
        (None, folder)
    }

    fn remember(&self, folder: &str, sealed: &str) {
        self.folders.insert(self.hash(folder), sealed.into());
    }

    fn hash(&self, folder: &str) -> u128 {
        let mut hash = Polyval::clone(&self.hash);
        hash.update_padded(folder.as_bytes());
        let length = u128::try_from(folder.len()).unwrap_or_default();
        hash.update(&[length.to_be_bytes().into()]);
        u128::from_be_bytes(hash.finalize().into())
    }

    /// The cipher changes while it works, so it cannot be shared: each call makes its own, on the stack.
    fn siv(&self) -> Result<Aes256Siv, Error> {
        Aes256Siv::new_from_slice(self.key.expose()).map_err(Error::internal)
    }
}

/// Appends the sealed form of `segment` to `sealed`, the sealed name of its folder.
fn seal_segment(siv: &mut Aes256Siv, sealed: &mut String, segment: &str) -> Result<(), Error> {
    let bytes = siv.encrypt([sealed.as_bytes()], segment.as_bytes()).map_err(Error::internal)?;
    URL_SAFE_NO_PAD.encode_string(bytes, sealed);
    if sealed.len() > LONGEST {
        let message =
            format!("path is too long: encrypted, it exceeds {LONGEST} bytes (use fewer or shorter segments)");
        return Err(Error::invalid(message));
    }
    Ok(())
}

/// The plain form of one entry (with `/` behind a folder) of the folder with the sealed name `folder`.
fn open_segment(siv: &mut Aes256Siv, folder: &str, entry: &str) -> Result<String, Error> {
    let damaged = || Error::internal(format!("a record's name failed its integrity check: {folder}{entry}"));
    let (sealed, slash) = entry.strip_suffix('/').map_or((entry, ""), |name| (name, "/"));
    let bytes = URL_SAFE_NO_PAD.decode(sealed).map_err(|_| damaged())?;
    let plain = siv.decrypt([folder.as_bytes()], &bytes).map_err(|_| damaged())?;
    let mut name = String::from_utf8(plain).map_err(|_| damaged())?;
    name.push_str(slash);
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        let key: Vec<u8> = (0..64).collect();
        Names::new(Secret::locked(&key).unwrap()).unwrap()
    }

    /// Made by another implementation (AESSIV of Python's cryptography 48, over OpenSSL).
    #[test]
    fn sealed_names_are_aes_siv_of_each_segment_under_its_folder() {
        let expected = "ECt_LNki0lboRHjIDwJ8TJZVIGoPoU4/GOV9ttwDwwIrILg-A5NE4PMyDXL2pSeGSw/\
                        a3Jwr8kf-uiYk3_rqWhVqm_MiiSc_fgYBMGOoYkqhKTArGua";
        let names = names();
        let key = Key::new(format!("logical/ünïcode/{}", "x".repeat(20))).unwrap();
        for _ in 0..2 {
            assert_eq!(names.seal_key(&key).unwrap().as_str(), expected, "cold, then warm");
        }
        assert!(names.open_key(&Key::new(expected).unwrap()).unwrap() == key);
        let (folder, leaf) = expected.split_at(expected.rfind('/').unwrap() + 1);
        let folder = Prefix::new(folder).unwrap();
        assert_eq!(names.seal_prefix(&Prefix::new("logical/ünïcode/").unwrap()).unwrap(), folder);
        let listed = names.open_listing(&folder, vec![leaf.to_owned()], &Page::default()).unwrap();
        assert_eq!(listed, ["x".repeat(20)]);
    }

    #[test]
    fn the_cache_gives_each_folder_its_own_name() {
        let (warm, cold) = (names(), names());
        // More folders than are kept, so that entries are dropped on the way.
        for round in 0..2 {
            for at in (0..3 * FOLDERS / 2).step_by(7 + round) {
                let key = Key::new(format!("a/{}/{at}/leaf", at % 5)).unwrap();
                let fresh = Names::new(Secret::locked(cold.key_bytes()).unwrap()).unwrap();
                assert_eq!(warm.seal_key(&key).unwrap(), fresh.seal_key(&key).unwrap());
            }
        }
        for at in 0..RECORDS + RECORDS / 4 {
            warm.seal_key(&Key::new(format!("a/{at}")).unwrap()).unwrap();
        }
        for (kept, most) in [(warm.folders.len(), FOLDERS), (warm.records.len(), RECORDS)] {
            assert!(kept <= most && kept > most / 4, "{kept} of {most}");
        }
    }

    #[test]
    fn a_listing_with_a_foreign_name_is_an_error() {
        let root = Prefix::root();
        for foreign in
            ["x", "AAAA", "ECt_LNki0lboRHjIDwJ8TJZVIGoPoU5", "", "/", "ECt_LNki0lboRHjIDwJ8TJZVIGoPoU4=", "_"]
        {
            assert!(names().open_listing(&root, vec![foreign.to_owned()], &Page::default()).is_err(), "{foreign}");
        }
    }
}
