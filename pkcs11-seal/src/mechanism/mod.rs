//! The ways to wrap: one file each, behind one trait. A stored value names the mechanism that wrapped it, so values remain
//! readable when another mechanism is configured.

mod cbc_hmac;
mod cloudhsm_gcm;
mod gcm;
mod oaep;

use cryptoki::session::Session;
use hardening::Secret;

pub use oaep::OaepHash;

use crate::config::Config;
use crate::entry::{Door, Entry};
use crate::error::Fault;
use crate::key::{self, Key, Role};

/// `CKM_AES_GCM` (PKCS#11 v2.40 mechanisms, section 2.12.4).
pub const AES_GCM: u32 = 0x1087;
/// `CKM_CLOUDHSM_AES_GCM` (AWS userguide, "pkcs11-mechanisms"): the HSM puts its IV in front of the ciphertext.
pub const CLOUDHSM_AES_GCM: u32 = 0x8000_1087;
/// `CKM_AES_CBC_PAD`, and HMAC-SHA256 over it: Vault's default (section 2.11.8).
pub const AES_CBC_PAD: u32 = 0x1085;
/// `CKM_RSA_PKCS_OAEP` (section 2.1.8).
pub const RSA_OAEP: u32 = 0x0009;

/// Bytes that one call can wrap with any mechanism but RSA: the limit of AES-GCM in AWS CloudHSM.
pub const LONGEST_PLAINTEXT: usize = 16_224;

const NAMES: [(u32, &str); 4] = [
    (AES_GCM, "CKM_AES_GCM"),
    (CLOUDHSM_AES_GCM, "CKM_CLOUDHSM_AES_GCM"),
    (AES_CBC_PAD, "CKM_AES_CBC_PAD"),
    (RSA_OAEP, "CKM_RSA_PKCS_OAEP"),
];

/// Reads a mechanism as Vault's stanza has it: a hexadecimal or decimal number, or its name. `None` if it is not supported.
pub fn parse_mechanism(text: &str) -> Option<u32> {
    let number = match text.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    };
    NAMES.iter().find(|(known, name)| *name == text || Some(*known) == number).map(|(known, _)| *known)
}

/// The mechanisms that can be configured, for messages.
pub fn mechanism_names() -> String {
    NAMES.map(|(number, name)| format!("{number:#06x} ({name})")).join(", ")
}

/// The name of a mechanism.
pub(crate) fn name(number: u32) -> String {
    let known = NAMES.iter().find(|(known, _)| *known == number);
    known.map_or_else(|| format!("{number:#06x}"), |(_, name)| (*name).to_owned())
}

/// Wraps and unwraps with keys it has found.
pub(crate) trait Mechanism: Send + Sync {
    /// What stored values name.
    fn number(&self) -> u32;

    /// Wraps `plain`, bound to `aad`.
    fn wrap(&self, session: &Session, plain: &[u8], aad: &[u8]) -> Result<Vec<u8>, Fault>;

    /// Unwraps what [`Mechanism::wrap`] made. `blob` and `aad` may come from a hostile disk.
    fn unwrap(&self, session: &Session, blob: &[u8], aad: &[u8]) -> Result<Secret, Fault>;

    /// For people: how exactly.
    fn about(&self) -> String;
}

/// A mechanism, and the key that the seal is known by.
pub(crate) struct Opened {
    pub(crate) mechanism: Box<dyn Mechanism>,
    pub(crate) key: Key,
}

/// Finds the keys that `number` needs.
pub(crate) fn open(number: u32, entry: &Entry, config: &Config) -> Result<Opened, Fault> {
    match number {
        AES_GCM => gcm::open(entry, config),
        CLOUDHSM_AES_GCM => cloudhsm_gcm::open(entry, config),
        AES_CBC_PAD => cbc_hmac::open(entry, config),
        RSA_OAEP => oaep::open(entry, config),
        other => Err(Fault::operator(format!("mechanism {} is not supported", name(other)))),
    }
}

/// The keys that `number` needs, and their labels: the seal's own comes first.
pub(crate) fn roles(number: u32, config: &Config) -> Result<Vec<(&'static Role, &str)>, Fault> {
    let own = config.key_label.as_str();
    Ok(match number {
        AES_CBC_PAD => vec![(&key::AES, own), (&key::MAC, cbc_hmac::label(config)?)],
        RSA_OAEP => vec![(&key::RSA_PRIVATE, own), (&key::RSA_PUBLIC, own)],
        _ => vec![(&key::AES, own)],
    })
}

/// The AES key that the seal is known by.
fn aes_key(door: Door, token: &str, config: &Config) -> Result<Key, Fault> {
    key::find(door, token, &key::AES, &config.key_label, config.key_id.as_deref())
}

/// Refuses what no call can take.
fn within(limit: usize, plain: &[u8]) -> Result<(), Fault> {
    match plain.len() {
        length if length > limit => {
            Err(Fault::operator(format!("{length} bytes are too many to wrap: at most {limit}")))
        }
        _ => Ok(()),
    }
}
