//! AES-256-CBC with padding, then HMAC-SHA256 over the result (encrypt-then-MAC), by two keys of the token.
//!
//! Blob: length of the MAC key's label (1 byte), that label, IV (16), ciphertext, MAC (32). The MAC covers all before it, and
//! the associated data with its length. Both keys are found by label; the one of the MAC must be among the configured ones,
//! since what the blob says comes from the disk.

use cryptoki::mechanism::Mechanism as Call;
use cryptoki::object::ObjectHandle;
use cryptoki::session::Session;
use hardening::{Secret, random_bytes};

use super::{AES_CBC_PAD, Mechanism, Opened, aes_key, within};
use crate::config::Config;
use crate::entry::Entry;
use crate::error::{Fault, Kind};
use crate::key;

const IV_BYTES: usize = 16;
const MAC_BYTES: usize = 32;
const BLOCK: usize = 16;
/// Before everything that is MACed.
const DOMAIN: &[u8] = b"holdfast AES-CBC-PAD HMAC-SHA256 v1";
/// Bytes that one call can MAC in AWS CloudHSM (userguide, "ki-pkcs11-sdk").
const LONGEST_MACED: usize = 16_288;
/// So that with label, padding and associated data of some length the MAC is still one call.
const LONGEST_PLAINTEXT: usize = 15 * 1024;

struct CbcHmac {
    key: ObjectHandle,
    mac_key: ObjectHandle,
    mac_label: String,
}

/// The label of the MAC key, which must be configured.
pub(super) fn label(config: &Config) -> Result<&str, Fault> {
    config.hmac_key_label.as_deref().ok_or_else(|| {
        Fault::operator(
            "mechanism 0x1085 (CKM_AES_CBC_PAD) needs hmac_key_label: the label of the key that authenticates; \
             `holdfast hsm init` makes it",
        )
    })
}

pub(super) fn open(entry: &Entry, config: &Config) -> Result<Opened, Fault> {
    let mac_label = label(config)?;
    let key = aes_key(entry.door, entry.token.label(), config)?;
    let mac = key::find(entry.door, entry.token.label(), &key::MAC, mac_label, config.hmac_key_id.as_deref())?;
    let mechanism = CbcHmac { key: key.handle, mac_key: mac.handle, mac_label: mac_label.to_owned() };
    Ok(Opened { mechanism: Box::new(mechanism), key })
}

impl CbcHmac {
    /// HMAC over the associated data and `covered`.
    fn mac(&self, session: &Session, covered: &[u8], aad: &[u8]) -> Result<Secret, Fault> {
        let length = u64::try_from(aad.len()).unwrap_or(u64::MAX).to_be_bytes();
        let input = [DOMAIN, &length, aad, covered].concat();
        if input.len() > LONGEST_MACED {
            return Err(Fault::operator(format!("{} bytes are too many to authenticate", input.len())));
        }
        let mac = Secret::transient(session.sign(&Call::Sha256Hmac, self.mac_key, &input)?);
        if mac.len() != MAC_BYTES {
            return Err(Fault::operator(format!("C_Sign: HMAC-SHA256 gave {} bytes", mac.len())));
        }
        Ok(mac)
    }
}

impl Mechanism for CbcHmac {
    fn number(&self) -> u32 {
        AES_CBC_PAD
    }

    fn wrap(&self, session: &Session, plain: &[u8], aad: &[u8]) -> Result<Vec<u8>, Fault> {
        within(LONGEST_PLAINTEXT, plain)?;
        let mut iv = [0; IV_BYTES];
        random_bytes(&mut iv);
        let sealed = session.encrypt(&Call::AesCbcPad(iv), self.key, plain)?;
        let due = (plain.len() / BLOCK + 1) * BLOCK;
        if sealed.len() != due {
            let found = sealed.len();
            return Err(Fault::operator(format!("C_Encrypt: AES-CBC-PAD gave {found} bytes where {due} are due")));
        }
        let label = self.mac_label.as_bytes();
        let length = u8::try_from(label.len()).map_err(|_| Fault::operator("hmac_key_label is too long"))?;
        let covered = [&[length], label, &iv, &sealed].concat();
        let mac = self.mac(session, &covered, aad)?;
        Ok([&covered, mac.expose()].concat())
    }

    fn unwrap(&self, session: &Session, blob: &[u8], aad: &[u8]) -> Result<Secret, Fault> {
        let short = || Fault::rejected("the wrapped value is too short");
        let (covered, mac) = blob.split_last_chunk::<MAC_BYTES>().ok_or_else(short)?;
        let (length, rest) = covered.split_first().ok_or_else(short)?;
        let (label, rest) = rest.split_at_checked(usize::from(*length)).ok_or_else(short)?;
        let (iv, sealed) = rest.split_first_chunk::<IV_BYTES>().ok_or_else(short)?;
        if label != self.mac_label.as_bytes() {
            let label = String::from_utf8_lossy(label);
            return Err(Fault::operator(format!(
                "the value was authenticated by key {label:?}, and hmac_key_label is {:?}",
                self.mac_label
            )));
        }
        if sealed.is_empty() || sealed.len() % BLOCK != 0 || sealed.len() > LONGEST_PLAINTEXT + BLOCK {
            return Err(Fault::rejected("the wrapped value has an impossible length"));
        }
        // Compared in constant time, and before anything is decrypted: padding errors tell nothing.
        if self.mac(session, covered, aad)? != Secret::transient(mac.to_vec()) {
            return Err(Fault::rejected("HMAC-SHA256: value, key and place do not belong together"));
        }
        let plain = session.decrypt(&Call::AesCbcPad(*iv), self.key, sealed).map_err(|error| {
            // The MAC says that it is genuine, so this is not the value's fault.
            match Fault::from(error) {
                fault if matches!(fault.kind, Kind::Doubtful | Kind::Rejected) => Fault { kind: Kind::Login, ..fault },
                fault => fault,
            }
        })?;
        Ok(Secret::transient(plain))
    }

    fn about(&self) -> String {
        format!("AES-256-CBC-PAD, then HMAC-SHA256 by key {:?}", self.mac_label)
    }
}
