//! What protects the root key: as the configuration names it, as the storage has it, and whether the two agree.

use std::sync::Arc;

use barrier::SealSet;
use framework::{Error, Seal, SealKind, Secret, Wrapped};
use hardening::random_bytes;
use seals::{HsmSeal, ShamirSeal};

use crate::record::{ROOT_KEY, SealKey, SealRecord};

/// Bound to what is wrapped only to see whether a seal works.
const PROBE: &[u8] = b"holdfast seal probe";

/// What protects the root key, by configuration. The labels of the HSMs' keys are all different.
#[derive(Clone, Default)]
pub struct Protection {
    /// HSMs that each unseal, the preferred one first. None: shares held by operators do.
    pub hsms: Vec<Arc<HsmSeal>>,
    /// HSMs that are being left: they unwrap what they wrapped before, so that all can move away from them.
    pub leaving: Vec<Arc<HsmSeal>>,
}

impl Protection {
    pub(crate) fn kind(&self) -> SealKind {
        if self.hsms.is_empty() { SealKind::Shamir } else { SealKind::Pkcs11 }
    }

    fn all(&self) -> impl Iterator<Item = &Arc<HsmSeal>> {
        self.hsms.iter().chain(&self.leaving)
    }

    /// Whether the storage lies under another seal than this, so that a quorum has to move it.
    pub(crate) fn moves(&self, record: &SealRecord) -> bool {
        if record.is(SealKind::Shamir) { !self.hsms.is_empty() } else { self.in_use(record).is_empty() }
    }

    /// The HSMs that unseal, by configuration and by record.
    pub(crate) fn in_use(&self, record: &SealRecord) -> Vec<Arc<HsmSeal>> {
        self.hsms.iter().filter(|hsm| record.keys.iter().any(|key| is(hsm, key))).cloned().collect()
    }

    /// A key that the storage needs and the configuration does not have.
    pub(crate) fn lacking<'r>(&self, record: &'r SealRecord) -> Option<&'r SealKey> {
        record.keys.iter().chain(&record.retired).find(|key| !self.all().any(|hsm| is(hsm, key)))
    }

    /// Fails if the configuration has lost a key that the storage needs, and makes the HSMs keep to the keys that it knows.
    pub(crate) fn adopt(&self, record: &SealRecord) -> Result<(), Error> {
        if let Some(key) = self.lacking(record) {
            return Err(lost(record, key));
        }
        for key in record.keys.iter().chain(&record.retired) {
            self.all().filter(|hsm| is(hsm, key)).for_each(|hsm| hsm.pin(&key.check_value));
        }
        Ok(())
    }

    /// These HSMs wrap what is written from now on; all the others unwrap only.
    pub(crate) fn wrapping_by(&self, hsms: &[Arc<HsmSeal>]) -> SealSet {
        let wraps = |hsm: &&Arc<HsmSeal>| hsms.iter().any(|other| Arc::ptr_eq(other, hsm));
        let (wrapping, leaving): (Vec<_>, Vec<_>) = self.all().partition(wraps);
        let seals = |hsms: Vec<&Arc<HsmSeal>>| hsms.into_iter().map(|hsm| Arc::clone(hsm) as Arc<dyn Seal>).collect();
        SealSet { wrapping: seals(wrapping), leaving: seals(leaving) }
    }

    /// The root key, by any HSM that holds it.
    pub(crate) fn unwrap(&self, record: &SealRecord) -> Result<Secret, Error> {
        self.wrapping_by(&self.hsms).unwrap(&record.wrapped()?, ROOT_KEY)
    }

    /// The HSMs that wrap and unwrap now. Fails if there is none.
    pub(crate) fn able(&self) -> Result<Vec<Arc<HsmSeal>>, Error> {
        let mut failure = None;
        let works = |hsm: &&Arc<HsmSeal>| match probe(hsm) {
            Ok(()) => true,
            Err(error) => {
                failure = Some(error);
                false
            }
        };
        let able: Vec<_> = self.hsms.iter().filter(works).cloned().collect();
        match failure {
            Some(error) if able.is_empty() => Err(error),
            _ => Ok(able),
        }
    }
}

fn is(hsm: &HsmSeal, key: &SealKey) -> bool {
    hsm.key_id().0 == key.label
}

fn lost(record: &SealRecord, key: &SealKey) -> Error {
    let label = &key.label;
    let why = if record.keys.contains(key) { "it wraps the root key" } else { "stored values may be wrapped by it" };
    Error::internal(format!(
        "the storage needs the seal key {label:?} ({why}), and no seal stanza of the configuration has it as its key_label: \
         put that stanza back; to leave that HSM, keep its stanza with disabled = \"true\" until everything has been \
         rewrapped (sys/sealwrap/rewrap)"
    ))
}

/// Whether an HSM gives back what it wraps.
pub(crate) fn probe(hsm: &HsmSeal) -> Result<(), Error> {
    let mut random = [0; 32];
    random_bytes(&mut random);
    wrap_for_good(hsm, &Secret::locked(&random)?, PROBE).map(drop)
}

/// Nothing is founded on a wrap that cannot be undone.
fn wrap_for_good(hsm: &HsmSeal, plain: &Secret, aad: &[u8]) -> Result<Wrapped, Error> {
    let wrapped = hsm.wrap(plain, aad)?;
    if hsm.unwrap(&wrapped, aad)? != *plain {
        return Err(Error::HsmUnavailable { reason: "the HSM does not give back what it wrapped".to_owned() });
    }
    Ok(wrapped)
}

/// Who is to hold a root key.
#[derive(Clone, Copy)]
pub(crate) enum Holder<'h> {
    /// Operators, in shares of this key.
    Shares(&'h Secret),
    /// HSMs, each by itself.
    Hsms(&'h [Arc<HsmSeal>]),
}

/// A root key that is held.
pub(crate) struct Held {
    pub(crate) kind: SealKind,
    pub(crate) keys: Vec<SealKey>,
    /// As [`Wrapped::encode_all`] writes it.
    pub(crate) root_key: Vec<u8>,
}

impl Holder<'_> {
    pub(crate) fn hold(self, root: &Secret) -> Result<Held, Error> {
        let hsms = match self {
            Self::Shares(key) => {
                let root_key = ShamirSeal::from_key(key)?.wrap(root, ROOT_KEY)?.encode();
                return Ok(Held { kind: SealKind::Shamir, keys: Vec::new(), root_key });
            }
            Self::Hsms(hsms) => hsms,
        };
        let (mut keys, mut wrapped) = (Vec::new(), Vec::new());
        for hsm in hsms {
            let check_value = hsm.describe()?.check_value;
            hsm.pin(&check_value);
            wrapped.push(wrap_for_good(hsm, root, ROOT_KEY)?);
            keys.push(SealKey { label: hsm.key_id().0, check_value });
        }
        Ok(Held { kind: SealKind::Pkcs11, keys, root_key: Wrapped::encode_all(&wrapped)? })
    }
}
