//! AES-256-GCM in the token: blob = IV (12 bytes) || ciphertext || tag (16 bytes).
//!
//! NIST SP 800-38D: with random 96-bit IVs one key may wrap 2^32 values. Each value wrapped here is a key, so that is
//! out of reach.

use cryptoki::mechanism::aead::GcmParams;
use cryptoki::object::ObjectHandle;
use cryptoki::session::Session;
use cryptoki::types::Ulong;
use hardening::{Secret, random_bytes};

use super::{AES_GCM, LONGEST_PLAINTEXT, Mechanism, Opened, aes_key, within};
use crate::config::{Config, IvSource};
use crate::entry::{Door, Entry};
use crate::error::{Fault, Kind};

pub(super) const IV_BYTES: usize = 12;
pub(super) const TAG_BYTES: usize = 16;
const TAG_BITS: Ulong = Ulong::new(128);

/// Encrypted to see who makes the IV. Public, and under associated data of its own.
const TRIAL: (&[u8], &[u8]) = (b"holdfast IV trial", b"holdfast IV trial v1");

struct Gcm {
    key: ObjectHandle,
    iv: IvSource,
}

pub(super) fn open(entry: &Entry, config: &Config) -> Result<Opened, Fault> {
    let key = aes_key(entry.door, entry.token.label(), config)?;
    let iv = match config.iv.or(entry.profile.iv) {
        Some(source) => source,
        None => find_iv_source(entry.door, key.handle)?,
    };
    Ok(Opened { mechanism: Box::new(Gcm { key: key.handle, iv }), key })
}

impl Mechanism for Gcm {
    fn number(&self) -> u32 {
        AES_GCM
    }

    fn wrap(&self, session: &Session, plain: &[u8], aad: &[u8]) -> Result<Vec<u8>, Fault> {
        wrap(session, self.key, self.iv, plain, aad)
    }

    fn unwrap(&self, session: &Session, blob: &[u8], aad: &[u8]) -> Result<Secret, Fault> {
        unwrap(session, self.key, blob, aad)
    }

    fn about(&self) -> String {
        let maker = match self.iv {
            IvSource::Caller => "the caller, at random",
            IvSource::Token => "the token",
        };
        format!("AES-256-GCM, IV by {maker}")
    }
}

/// Wraps `plain`. Refuses to let out anything made under an all-zero IV, given or returned: a module that neither
/// takes our IV nor writes back its own would use it every time.
fn wrap(session: &Session, key: ObjectHandle, source: IvSource, plain: &[u8], aad: &[u8]) -> Result<Vec<u8>, Fault> {
    within(LONGEST_PLAINTEXT, plain)?;
    let mut iv = [0; IV_BYTES];
    if source == IvSource::Caller {
        random_bytes(&mut iv);
        refuse_zero(&iv, "the random source gave an all-zero IV")?;
    }
    let params = GcmParams::new(&mut iv, aad, TAG_BITS)?;
    let sealed = session.encrypt(&cryptoki::mechanism::Mechanism::AesGcm(params), key, plain)?;
    // `iv` is read again: an HSM may have put one of its own there, and that is the one that counts.
    refuse_zero(&iv, "C_Encrypt: the token encrypted under an all-zero IV; the result was thrown away")?;
    if sealed.len() != plain.len() + TAG_BYTES {
        let (found, wanted) = (sealed.len(), plain.len() + TAG_BYTES);
        return Err(Fault::operator(format!("C_Encrypt: AES-GCM gave {found} bytes where {wanted} are due")));
    }
    Ok([&iv, sealed.as_slice()].concat())
}

/// Unwraps what any of the two AES-GCMs made: their blobs look alike.
pub(super) fn unwrap(session: &Session, key: ObjectHandle, blob: &[u8], aad: &[u8]) -> Result<Secret, Fault> {
    let (&iv, sealed) =
        blob.split_first_chunk::<IV_BYTES>().ok_or_else(|| Fault::rejected("the wrapped value is too short"))?;
    if sealed.len() < TAG_BYTES {
        return Err(Fault::rejected("the wrapped value is too short"));
    }
    if sealed.len() > LONGEST_PLAINTEXT + TAG_BYTES {
        return Err(Fault::rejected("the wrapped value is too long"));
    }
    let mut iv = iv;
    if iv == [0; IV_BYTES] {
        return Err(Fault::rejected("the wrapped value has an all-zero IV"));
    }
    let params = GcmParams::new(&mut iv, aad, TAG_BITS)?;
    let plain = Secret::transient(session.decrypt(&cryptoki::mechanism::Mechanism::AesGcm(params), key, sealed)?);
    // GCM keeps lengths; a module that reports success and another length has not checked the tag over this text.
    if plain.len() != sealed.len() - TAG_BYTES {
        return Err(Fault::new(Kind::Operator, "C_Decrypt: AES-GCM gave a plaintext of the wrong length"));
    }
    Ok(plain)
}

pub(super) fn refuse_zero(iv: &[u8; IV_BYTES], message: &str) -> Result<(), Fault> {
    if *iv == [0; IV_BYTES] { Err(Fault::operator(message)) } else { Ok(()) }
}

/// Tries whether the token takes an IV or makes its own, with a plaintext that may be known to all.
fn find_iv_source(door: Door, key: ObjectHandle) -> Result<IvSource, Fault> {
    // A session of its own for each try: a failed operation may stay active in its session.
    let (plain, aad) = TRIAL;
    let attempt = |source| wrap(&door.session()?, key, source, plain, aad);
    let refused = match attempt(IvSource::Caller) {
        Ok(_) => return Ok(IvSource::Caller),
        Err(fault) if matches!(fault.kind, Kind::Operator | Kind::Busy) => fault,
        Err(fault) => return Err(fault),
    };
    let both = |second: Fault| Fault {
        message: format!("{}; and with an IV of the token's own: {}", refused.message, second.message),
        ..refused.clone()
    };
    let one = attempt(IvSource::Token).map_err(both)?;
    let other = attempt(IvSource::Token).map_err(both)?;
    // Same plaintext, key and associated data: equal blobs have equal IVs.
    if one == other {
        return Err(Fault::operator("C_Encrypt: the token made the same IV twice; it cannot be used"));
    }
    Ok(IvSource::Token)
}
