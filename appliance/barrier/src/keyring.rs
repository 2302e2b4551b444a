//! The keys of the barrier.
//!
//! | key | guards | changes |
//! |---|---|---|
//! | root | the keyring | when the operator changes it; wrapped by the seal |
//! | data, one per term | values | with every rotation; old terms stay for reading |
//! | names | path names | never: it outlives rotations, or every record would move |
//! | index | what [`Barrier::derive`](crate::Barrier::derive) hands out | never, likewise |

use std::sync::Arc;

use framework::{Cipher, Error, Key, Secret, Timestamp};

use crate::format;
use crate::mac::mac;
use crate::names::{NAME_KEY, Names};
use crate::uses::{self, Uses};

/// Where the keyring lies on the disk: no sealed name is as short as its folder's.
pub(crate) const KEYRING_RECORD: &str = "_/keyring";

const VERSION: u8 = 1;
const CHECK: usize = 8;
const HEADER: usize = 2 + CHECK;
/// Bytes of every symmetric key of this crate but the one for names.
const KEY: usize = Cipher::KEY;
const TERM: usize = 4 + 8 + KEY;

/// What may be told about a data key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TermInfo {
    /// Its number, from 1.
    pub term: u32,
    /// When it was made.
    pub installed: Timestamp,
    /// Values encrypted with it: never less than the true number, and after a restart some thousands more. Of terms that
    /// encrypt no more, those since the barrier was opened.
    pub encryptions: u64,
}

/// One data key.
pub(crate) struct Term {
    number: u32,
    installed: Timestamp,
    key: Secret,
    cipher: Cipher,
    uses: Arc<Uses>,
}

impl Term {
    fn new(number: u32, installed: Timestamp, key: Secret) -> Result<Self, Error> {
        Ok(Self { number, installed, cipher: Cipher::new(&key)?, key, uses: Arc::default() })
    }
}

/// All keys of an open barrier but the root key's own bytes.
pub(crate) struct Keyring {
    /// Ascending, never empty; the last one encrypts.
    terms: Vec<Term>,
    pub(crate) names: Names,
    index: Secret,
}

/// Why a keyring record did not open.
#[derive(Debug)]
pub(crate) enum Unopened {
    WrongRootKey,
    Failed(Error),
}

impl From<Error> for Unopened {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<hardening::ArenaFull> for Unopened {
    fn from(full: hardening::ArenaFull) -> Self {
        Self::Failed(full.into())
    }
}

/// The root key, ready to seal and open keyrings.
pub(crate) struct Root {
    cipher: Cipher,
    check: [u8; CHECK],
}

impl Root {
    pub(crate) fn new(key: &Secret) -> Result<Self, Error> {
        let check = mac(key, "holdfast: check value of the root key", &[])?;
        let check = *check.expose().first_chunk().ok_or_else(|| Error::internal("a MAC is too short"))?;
        Ok(Self { cipher: Cipher::new(key)?, check })
    }

    fn header(&self) -> [u8; HEADER] {
        let mut header = [0; HEADER];
        let fields = [format::KEYRING, format::AES_256_GCM_SIV].into_iter().chain(self.check);
        header.iter_mut().zip(fields).for_each(|(byte, field)| *byte = field);
        header
    }

    /// The record of `keyring`.
    pub(crate) fn seal(&self, keyring: &Keyring) -> Result<Vec<u8>, Error> {
        let header = self.header();
        self.cipher.seal(&header, &aad(&header), keyring.encode()?.expose())
    }

    /// The keyring in `record`, which may come from a damaged or hostile disk.
    pub(crate) fn open(&self, record: &[u8]) -> Result<Keyring, Unopened> {
        let damaged = || Error::internal("the keyring failed its integrity check");
        let header = record.first_chunk::<HEADER>().ok_or_else(damaged)?;
        let [format, cipher, check @ ..] = header;
        if [*format, *cipher] != [format::KEYRING, format::AES_256_GCM_SIV] {
            return Err(Error::internal("the keyring has an unknown format").into());
        }
        // Tells the wrong key from damage. Not secret, and no proof: the cipher's tag is that.
        if *check != self.check {
            return Err(Unopened::WrongRootKey);
        }
        let plain = self.cipher.open_locked(record, HEADER, &aad(header))?.map_err(|_| damaged())?;
        Ok(Keyring::decode(plain.expose())?)
    }
}

fn aad(header: &[u8]) -> Vec<u8> {
    [header, KEYRING_RECORD.as_bytes()].concat()
}

impl Keyring {
    /// Fresh keys; term 1.
    pub(crate) fn generate(now: Timestamp) -> Result<Self, Error> {
        Ok(Self {
            terms: vec![Term::new(1, now, Secret::random(KEY)?)?],
            names: Names::new(Secret::random(NAME_KEY)?)?,
            index: Secret::random(KEY)?,
        })
    }

    /// Adds a term and returns its number.
    pub(crate) fn rotate(&mut self, now: Timestamp) -> Result<u32, Error> {
        let number = self.newest().checked_add(1).ok_or_else(|| Error::internal("no data key term is left"))?;
        self.terms.push(Term::new(number, now, Secret::random(KEY)?)?);
        Ok(number)
    }

    /// The number of the term that encrypts.
    pub(crate) fn newest(&self) -> u32 {
        self.terms.last().map_or(0, |term| term.number)
    }

    /// Counts together with `other`, another reading of the same keyring.
    pub(crate) fn count_with(&mut self, other: &Self) {
        for term in &mut self.terms {
            if let Some(same) = other.terms.iter().find(|same| same.number == term.number) {
                term.uses = Arc::clone(&same.uses);
            }
        }
    }

    /// The uses of the term that encrypts.
    pub(crate) fn uses(&self) -> Result<&Uses, Error> {
        Ok(&self.active()?.uses)
    }

    /// Goes on counting where the record of a server before this one stopped.
    pub(crate) fn resume_count(&self, record: &[u8]) -> Result<(), Error> {
        let term = self.active()?;
        term.uses.resume(term.number, record)
    }

    /// The record of the count, where it is this batch that has to write it.
    pub(crate) fn count_due(&self) -> Result<Option<Vec<u8>>, Error> {
        let term = self.active()?;
        Ok(term.uses.due().map(|number| uses::encode(term.number, number)))
    }

    /// The record at `key` on the disk that holds `plain`.
    pub(crate) fn seal_value(&self, key: &Key, plain: &[u8]) -> Result<Vec<u8>, Error> {
        let term = self.active()?;
        term.uses.add_one();
        let header = format::value_header(term.number);
        term.cipher.seal(&header, &[&header, key.as_str().as_bytes()].concat(), plain)
    }

    /// The value in the record at `key` on the disk.
    pub(crate) fn open_value(&self, key: &Key, record: Vec<u8>) -> Result<Secret, Error> {
        let damaged =
            |why: &str| Error::internal(format!("record failed its integrity check: {why} (at {})", key.as_str()));
        let number = format::value_term(&record).map_err(damaged)?;
        let term = self.terms.iter().rev().find(|term| term.number == number);
        let term = term.ok_or_else(|| damaged("the keyring lacks its term"))?;
        let header = format::value_header(number);
        let plain = term.cipher.open(record, header.len(), &[&header, key.as_str().as_bytes()].concat());
        plain.map(Secret::transient).map_err(|_| damaged("it was altered, or belongs to another place"))
    }

    /// A key for `purpose`.
    pub(crate) fn derive(&self, purpose: &str) -> Result<Secret, Error> {
        mac(&self.index, "holdfast: derived key", &[purpose.as_bytes()])
    }

    /// The MAC of a seal record.
    pub(crate) fn vouch(&self, name: &str, data: &[u8]) -> Result<Secret, Error> {
        mac(&self.index, "holdfast: seal record", &[name.as_bytes(), data])
    }

    pub(crate) fn terms(&self) -> impl Iterator<Item = TermInfo> {
        self.terms.iter().map(|term| TermInfo {
            term: term.number,
            installed: term.installed,
            encryptions: term.uses.count(),
        })
    }

    fn active(&self) -> Result<&Term, Error> {
        self.terms.last().ok_or_else(|| Error::internal("the keyring has no data key"))
    }

    /// Version, key for names, index key, then per term: number u32, installed i64 ns, key. Integers big-endian.
    fn encode(&self) -> Result<Secret, Error> {
        let mut fields: Vec<&[u8]> = vec![&[VERSION], self.names.key_bytes(), self.index.expose()];
        let numbers: Vec<_> =
            self.terms.iter().map(|term| (term.number.to_be_bytes(), term.installed.nanos().to_be_bytes())).collect();
        for ((number, installed), term) in numbers.iter().zip(&self.terms) {
            fields.extend([&number[..], &installed[..], term.key.expose()]);
        }
        Ok(Secret::locked_with(fields.iter().map(|field| field.len()).sum(), |room| {
            let bytes = fields.iter().copied().flatten();
            room.iter_mut().zip(bytes).for_each(|(room, byte)| *room = *byte);
        })?)
    }

    fn decode(plain: &[u8]) -> Result<Self, Error> {
        let malformed = || Error::internal("the keyring is malformed");
        let (&[version], rest) = plain.split_first_chunk().ok_or_else(malformed)?;
        if version != VERSION {
            return Err(Error::internal(format!("the keyring has version {version}; this build knows {VERSION}")));
        }
        let (names, rest) = rest.split_at_checked(NAME_KEY).ok_or_else(malformed)?;
        let (index, rest) = rest.split_at_checked(KEY).ok_or_else(malformed)?;
        let (terms, []) = rest.as_chunks::<TERM>() else { return Err(malformed()) };
        let terms = terms.iter().map(|field| {
            let (number, field) = field.split_first_chunk().ok_or_else(malformed)?;
            let (installed, key) = field.split_first_chunk().ok_or_else(malformed)?;
            let installed = Timestamp::from_nanos(i64::from_be_bytes(*installed));
            Term::new(u32::from_be_bytes(*number), installed, Secret::locked(key)?)
        });
        let terms = terms.collect::<Result<Vec<Term>, Error>>()?;
        if terms.is_empty() || !terms.is_sorted_by(|a, b| a.number < b.number) {
            return Err(malformed());
        }
        Ok(Self { terms, names: Names::new(Secret::locked(names)?)?, index: Secret::locked(index)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(terms: &[u32]) -> Vec<u8> {
        let mut plain = vec![VERSION];
        plain.extend(0..96);
        for number in terms {
            plain.extend(number.to_be_bytes().into_iter().chain(1_000_000_000i64.to_be_bytes()).chain(100..132));
        }
        plain
    }

    /// Made by another implementation (AESGCMSIV of Python's cryptography 48, over OpenSSL).
    #[test]
    fn a_value_is_aes_256_gcm_siv_bound_to_header_and_place() {
        let record = ["010000000701", "000102030405060708090a0b", "13c7e203a76647fbbf6883863a0465948f597c4a9ca966e247"];
        let record: Vec<u8> = record.concat().as_bytes().chunks(2).map(hex).collect();
        let key = Key::new("ECt_LNki0lboRHjIDwJ8TJZVIGoPoU4").unwrap();
        let keyring = Keyring::decode(&plain(&[2, 7])).unwrap();
        assert_eq!(keyring.open_value(&key, record.clone()).unwrap().expose(), b"the value");
        assert_eq!(
            keyring.terms().map(|info| (info.term, info.installed.secs())).collect::<Vec<_>>(),
            [(2, 1), (7, 1)]
        );
        assert!(Keyring::decode(&plain(&[2])).unwrap().open_value(&key, record).is_err(), "a term that is not there");
    }

    fn hex(digits: &[u8]) -> u8 {
        u8::from_str_radix(std::str::from_utf8(digits).unwrap(), 16).unwrap()
    }

    #[test]
    fn malformed_keyrings_are_errors() {
        assert_eq!(Keyring::decode(&plain(&[1, 2])).unwrap().encode().unwrap().expose(), plain(&[1, 2]));
        for terms in [&[][..], &[1, 1], &[2, 1]] {
            assert!(Keyring::decode(&plain(terms)).is_err(), "{terms:?}");
        }
        let whole = plain(&[1]);
        for cut in 0..whole.len() {
            assert!(Keyring::decode(&whole[..cut]).is_err(), "{cut}");
        }
        assert!(Keyring::decode(&[&[9], &whole[1..]].concat()).is_err());
    }
}
