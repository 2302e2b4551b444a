//! Servers without a network: a disk that remembers its past, an HSM that is a table, a clock that is moved by hand.
#![allow(dead_code, unreachable_pub, missing_docs)] // each test binary uses its part; none of it is API
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail the test they help"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write as _};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use barrier::{Barrier, SealSet, SealWrap};
use ceremony::{Ceremony, Protection, Setting};
use framework::hsm::{Answer, Description, Failure, FailureKind, Question};
use framework::{
    Batch, Ciphertext, Clock, Error, Given, InitAnswer, InitRequest, Key, Page, Prefix, SealControl, Secret, Store,
    SystemRng, Timestamp, Version, Versioned,
};
use registry::{Registry, Settings};
use seals::{HsmSeal, Limits};

type Records = BTreeMap<String, (Vec<u8>, u64)>;

/// Records in memory, as they are and as they were after every batch.
#[derive(Default)]
pub struct Disk {
    now: Mutex<Records>,
    past: Mutex<Vec<Records>>,
}

impl Disk {
    /// A disk as this one is now.
    pub fn copy(&self) -> Arc<Self> {
        Arc::new(Self { now: Mutex::new(self.now.lock().unwrap().clone()), past: Mutex::default() })
    }

    /// Disks as this one was after every batch: where a kill may have left it.
    pub fn past(&self) -> Vec<Arc<Self>> {
        let past = self.past.lock().unwrap();
        past.iter().map(|records| Arc::new(Self { now: Mutex::new(records.clone()), past: Mutex::default() })).collect()
    }
}

impl Store<Ciphertext> for Disk {
    fn get(&self, key: &Key) -> Result<Option<Versioned<Ciphertext>>, Error> {
        let found = self.now.lock().unwrap().get(key.as_str()).cloned();
        Ok(found.map(|(bytes, at)| Versioned { value: Ciphertext(bytes), version: Version(at) }))
    }

    fn list(&self, folder: &Prefix, page: &Page) -> Result<Vec<String>, Error> {
        let now = self.now.lock().unwrap();
        let below = now.keys().filter_map(|key| key.strip_prefix(folder.as_str()));
        let names: BTreeSet<String> = below.map(|rest| rest.split_inclusive('/').next().unwrap().to_owned()).collect();
        let after = page.after.clone().unwrap_or_default();
        Ok(names.into_iter().filter(|name| *name > after).take(page.limit.unwrap_or(usize::MAX)).collect())
    }

    fn apply(&self, batch: Batch<Ciphertext>) -> Result<(), Error> {
        let mut now = self.now.lock().unwrap();
        let at = |records: &Records, key: &Key| records.get(key.as_str()).map_or(0, |(_, at)| *at);
        if batch.reads.iter().any(|(key, version)| at(&now, key) != version.0) {
            return Err(Error::Conflict);
        }
        let next = now.values().map(|(_, at)| *at).max().unwrap_or(0) + 1;
        for write in batch.writes {
            match write.value {
                Some(value) => drop(now.insert(write.key.as_str().to_owned(), (value.0, next))),
                None => drop(now.remove(write.key.as_str())),
            }
        }
        self.past.lock().unwrap().push(now.clone());
        Ok(())
    }
}

/// An HSM whose wrapping is a table, and which can be switched off.
#[derive(Default)]
pub struct Hsm {
    pub label: &'static str,
    pub number: u8,
    table: Mutex<Vec<(Vec<u8>, Vec<u8>)>>,
    pub off: std::sync::atomic::AtomicBool,
}

impl Hsm {
    pub fn new(label: &'static str, number: u8) -> Arc<Self> {
        Arc::new(Self { label, number, ..Self::default() })
    }

    /// A seal that is connected to it.
    pub fn seal(self: &Arc<Self>) -> Arc<HsmSeal> {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let limits = Limits { deadline: Duration::from_secs(20), ..Limits::default() };
        let seal = Arc::new(HsmSeal::new(self.label, limits));
        seal.attach(ours).unwrap();
        let hsm = Arc::clone(self);
        std::thread::spawn(move || {
            let mut length = [0; 4];
            while theirs.read_exact(&mut length).is_ok() {
                let mut frame = vec![0; u32::from_be_bytes(length) as usize];
                theirs.read_exact(&mut frame).unwrap();
                let (id, question) = Question::decode(&frame).unwrap();
                if theirs.write_all(hsm.answer(question).encode(id).expose()).is_err() {
                    return;
                }
            }
        });
        seal
    }

    fn answer(&self, question: Question) -> Answer {
        if self.off.load(Ordering::SeqCst) {
            return failed(FailureKind::Transient, "C_OpenSession: CKR_DEVICE_REMOVED");
        }
        let mut table = self.table.lock().unwrap();
        match question {
            Question::Describe => Answer::Description(Description {
                key_label: self.label.into(),
                check_value: vec![self.number; 3],
                ..Description::default()
            }),
            Question::Wrap { plain, aad } => {
                table.push((plain.expose().to_vec(), aad));
                let blob = [&[self.number][..], &(table.len() - 1).to_be_bytes()].concat();
                Answer::Wrapped { key_label: self.label.into(), mechanism: 0x1087, blob }
            }
            Question::Unwrap { key_label, blob, aad, .. } => {
                let (number, at) = blob.split_first().unwrap();
                let entry = table.get(usize::from_be_bytes(at.try_into().unwrap()));
                match entry {
                    _ if key_label != self.label => failed(FailureKind::Operator, "no such key"),
                    Some((plain, bound)) if *bound == aad && *number == self.number => {
                        Answer::Plain(Secret::locked(plain).unwrap())
                    }
                    _ => failed(FailureKind::Rejected, "C_Decrypt: CKR_ENCRYPTED_DATA_INVALID"),
                }
            }
        }
    }
}

fn failed(kind: FailureKind, message: &str) -> Answer {
    Answer::Failed(Failure { kind, message: message.into() })
}

#[derive(Default)]
pub struct HandClock(pub AtomicI64);

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_secs(1_700_000_000 + self.0.load(Ordering::SeqCst))
    }
}

pub struct Server {
    pub ceremony: Ceremony<Arc<Disk>>,
    pub registry: Arc<Registry>,
    pub barrier: Arc<Barrier<SealWrap<Arc<Disk>>>>,
    pub clock: Arc<HandClock>,
}

impl Server {
    /// A server on this disk, sealed.
    pub fn start(disk: &Arc<Disk>, protection: Protection) -> Self {
        Self::try_start(disk, protection).unwrap()
    }

    pub fn try_start(disk: &Arc<Disk>, protection: Protection) -> Result<Self, Error> {
        let barrier = Arc::new(Barrier::new(SealWrap::new(Arc::clone(disk), SealSet::default())));
        let clock = Arc::new(HandClock::default());
        let registry =
            Arc::new(Registry::new(Arc::clone(&clock) as Arc<dyn Clock>, Arc::new(SystemRng), Settings::default()));
        let setting = Setting { storage: "memory", cluster_name: String::new(), root_token: None };
        let ceremony = Ceremony::new(
            Arc::clone(&barrier),
            Arc::clone(&registry),
            protection,
            Arc::clone(&clock) as Arc<dyn Clock>,
            Arc::new(SystemRng),
            setting,
        );
        Ok(Self { ceremony: ceremony?, registry, barrier, clock })
    }

    /// A new server behind shares, unsealed; the shares.
    pub fn shamir(disk: &Arc<Disk>, shares: u8, threshold: u8) -> (Self, Vec<Secret>) {
        let server = Self::start(disk, Protection::default());
        let made = server.init(shares, threshold);
        assert!(server.opens_with(&made.shares));
        (server, made.shares)
    }

    /// A new server behind an HSM, unsealed; the recovery shares.
    pub fn hsm(disk: &Arc<Disk>, hsm: &Arc<Hsm>) -> (Self, Vec<Secret>) {
        let server = Self::start(disk, behind(&[hsm], &[]));
        let made = server.init(3, 2);
        assert!(made.recovery && !server.ceremony.status().sealed);
        (server, made.shares)
    }

    pub fn init(&self, shares: u8, threshold: u8) -> InitAnswer {
        self.ceremony
            .initialize(&InitRequest { shares, threshold, pgp_keys: Vec::new(), root_token_pgp_key: None })
            .unwrap()
    }

    /// Whether these shares, the first so many as are needed, unseal the server.
    pub fn opens_with(&self, shares: &[Secret]) -> bool {
        let needed = usize::from(self.ceremony.status().threshold);
        for share in shares.iter().take(needed) {
            if self.ceremony.submit(Some(share.try_clone().unwrap())).is_err() {
                self.ceremony.submit(None).unwrap();
                return false;
            }
        }
        !self.ceremony.status().sealed
    }

    pub fn is_root(&self, token: &str) -> bool {
        let known = self
            .registry
            .identify(&*self.barrier, &Secret::from(token), std::net::Ipv4Addr::LOCALHOST.into(), self.clock.now())
            .unwrap();
        known.is_some_and(|known| known.caller.root)
    }
}

/// A configuration with these HSMs, and these disabled.
pub fn behind(hsms: &[&Arc<Hsm>], leaving: &[&Arc<Hsm>]) -> Protection {
    let seals = |hsms: &[&Arc<Hsm>]| hsms.iter().map(|hsm| hsm.seal()).collect();
    Protection { hsms: seals(hsms), leaving: seals(leaving) }
}

/// Whether a server on a copy of this disk opens with these shares.
pub fn opens(disk: &Arc<Disk>, shares: &[Secret]) -> bool {
    Server::start(&disk.copy(), Protection::default()).opens_with(shares)
}

pub fn give(share: &Secret, nonce: &str) -> Given {
    Given { share: share.try_clone().unwrap(), nonce: nonce.to_owned() }
}

/// A share that looks like this one and is wrong.
pub fn bent(share: &Secret) -> Secret {
    let mut bytes = share.expose().to_vec();
    bytes[5] ^= 1;
    Secret::from(bytes)
}

/// What a refusal says.
#[track_caller]
pub fn refused<T>(result: Result<T, Error>) -> String {
    match result {
        Err(Error::Invalid { message, .. }) => message,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("not refused"),
    }
}
