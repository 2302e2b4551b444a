//! The API of the server's own engines as files that a review sees change. `UPDATE=1 cargo test -p system` writes them anew.
#![allow(clippy::unwrap_used)] // a helper that fails fails the test

use std::io::Read;
use std::sync::{Arc, Weak};
use std::time::Duration;

use framework::{
    Batch, CoverageReport, Error, GenerateToken, Given, InitAnswer, InitRequest, KeptShares, Key, KeyRotation, KeySet,
    KeyStatus, Page, Prefix, RawRecords, Rekey, RekeyRequest, RekeyState, RekeyStep, SealBackend, SealControl,
    SealHealth, SealStatus, SealWrapping, Secret, ShareBackup, Store, SystemClock, SystemRng, Timestamp, TokenAttempt,
    TokenRequest, Verification, VerifyRekey, Versioned,
};
use registry::{Registry, Settings};
use system::{Ceremonies, Core, Snapshots, Telemetry, Unauthenticated, Versions};

/// A server that is not there: the routes are looked at and never called.
struct Absent;

impl Store<Secret> for Absent {
    fn get(&self, _: &Key) -> Result<Option<Versioned<Secret>>, Error> {
        Err(Error::Sealed)
    }
    fn list(&self, _: &Prefix, _: &Page) -> Result<Vec<String>, Error> {
        Err(Error::Sealed)
    }
    fn apply(&self, _: Batch<Secret>) -> Result<(), Error> {
        Err(Error::Sealed)
    }
}

impl SealControl for Absent {
    fn status(&self) -> SealStatus {
        unreachable!()
    }
    fn initialize(&self, _: &InitRequest) -> Result<InitAnswer, Error> {
        Err(Error::Sealed)
    }
    fn submit(&self, _: Option<Secret>) -> Result<SealStatus, Error> {
        Err(Error::Sealed)
    }
    fn migrate(&self, _: Secret) -> Result<SealStatus, Error> {
        Err(Error::Sealed)
    }
    fn seal(&self) -> Result<(), Error> {
        Err(Error::Sealed)
    }
}

impl GenerateToken for Absent {
    fn attempt(&self) -> Result<TokenAttempt, Error> {
        Err(Error::Sealed)
    }
    fn start(&self, _: TokenRequest) -> Result<TokenAttempt, Error> {
        Err(Error::Sealed)
    }
    fn give(&self, _: Given) -> Result<TokenAttempt, Error> {
        Err(Error::Sealed)
    }
    fn cancel(&self) {}
}

impl Rekey for Absent {
    fn state(&self, _: KeySet) -> Result<RekeyState, Error> {
        Err(Error::Sealed)
    }
    fn start(&self, _: KeySet, _: RekeyRequest) -> Result<RekeyState, Error> {
        Err(Error::Sealed)
    }
    fn give(&self, _: KeySet, _: Given) -> Result<RekeyStep, Error> {
        Err(Error::Sealed)
    }
    fn cancel(&self, _: KeySet) {}
}

impl VerifyRekey for Absent {
    fn verification(&self, _: KeySet) -> Result<Verification, Error> {
        Err(Error::Sealed)
    }
    fn verify(&self, _: KeySet, _: Given) -> Result<Verification, Error> {
        Err(Error::Sealed)
    }
    fn restart_verification(&self, _: KeySet) -> Result<Verification, Error> {
        Err(Error::Sealed)
    }
}

impl KeyRotation for Absent {
    fn data_key(&self) -> Result<KeyStatus, Error> {
        Err(Error::Sealed)
    }
    fn rotate_data_key(&self, _: Timestamp) -> Result<(), Error> {
        Err(Error::Sealed)
    }
    fn rotate_root_key(&self) -> Result<(), Error> {
        Err(Error::Sealed)
    }
}

impl ShareBackup for Absent {
    fn kept(&self, _: KeySet) -> Result<Option<KeptShares>, Error> {
        Err(Error::Sealed)
    }
    fn drop_kept(&self, _: KeySet) -> Result<(), Error> {
        Err(Error::Sealed)
    }
}

impl SealHealth for Absent {
    fn backends(&self) -> Vec<SealBackend> {
        Vec::new()
    }
    fn fully_wrapped(&self) -> bool {
        true
    }
}

impl SealWrapping for Absent {
    fn coverage(&self, _: bool) -> Result<CoverageReport, Error> {
        Err(Error::Sealed)
    }
    fn probe(&self) -> Result<Option<Duration>, Error> {
        Err(Error::Sealed)
    }
}

impl RawRecords for Absent {
    fn is_protected(&self, _: &str) -> bool {
        true
    }
    fn is_wrapped(&self, _: &str) -> Result<Option<bool>, Error> {
        Err(Error::Sealed)
    }
}

impl Snapshots for Absent {
    fn save(&self) -> Result<Box<dyn Read + Send>, Error> {
        Err(Error::Sealed)
    }
    fn restore(&self, _: &mut dyn Read, _: bool) -> Result<(), Error> {
        Err(Error::Sealed)
    }
}

#[test]
fn the_api_is_the_one_in_the_file() {
    let absent = Arc::new(Absent);
    let core = Core {
        registry: Arc::new(Registry::new(Arc::new(SystemClock), Arc::new(SystemRng), Settings::default())),
        control: absent.clone(),
        ceremonies: Ceremonies {
            root: absent.clone(),
            rekey: absent.clone(),
            verify: absent.clone(),
            keys: absent.clone(),
            backup: absent.clone(),
        },
        seal_health: absent.clone(),
        seal_wrapping: absent.clone(),
        snapshots: absent.clone(),
        unauthenticated: Unauthenticated::default(),
        store: absent.clone(),
        records: Some(absent),
        catalog: Weak::new(),
        telemetry: Telemetry {
            page: Arc::new(framework::metrics::Page::default),
            prometheus: true,
            unauthenticated: false,
        },
        versions: Versions { reported: "1.0.0".into(), product: "0" },
    };
    for engine in system::engines(&core) {
        let path = format!("{}/api/{}.txt", env!("CARGO_MANIFEST_DIR"), engine.kind);
        let now = engine.api();
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&path, &now).unwrap();
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap_or_default(), now, "{path}");
    }
}
