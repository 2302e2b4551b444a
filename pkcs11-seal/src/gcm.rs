//! AES-256-GCM in the token: blob = IV (12 bytes) || ciphertext || tag (16 bytes).
//!
//! NIST SP 800-38D: with random 96-bit IVs one key may wrap 2^32 values. Each value wrapped here is a key, so that is
//! out of reach.

use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::object::ObjectHandle;
use cryptoki::session::Session;
use cryptoki::types::Ulong;
use hardening::{Secret, random_bytes};

use crate::config::IvSource;
use crate::error::{Fault, Kind};

/// Bytes that one call can wrap: the limit of AES-GCM in AWS CloudHSM.
pub const LONGEST_PLAINTEXT: usize = 16_224;

const IV_BYTES: usize = 12;
const TAG_BYTES: usize = 16;
const TAG_BITS: Ulong = Ulong::new(128);

/// Wraps `plain`. Refuses to let out anything made under an all-zero IV, given or returned: a module that neither
/// takes our IV nor writes back its own would use it every time.
pub(crate) fn wrap(
    session: &Session,
    key: ObjectHandle,
    source: IvSource,
    plain: &[u8],
    aad: &[u8],
) -> Result<Vec<u8>, Fault> {
    if plain.len() > LONGEST_PLAINTEXT {
        let length = plain.len();
        return Err(Fault::operator(format!("{length} bytes are too many to wrap: at most {LONGEST_PLAINTEXT}")));
    }
    let mut iv = [0; IV_BYTES];
    if source == IvSource::Caller {
        random_bytes(&mut iv);
        refuse_zero(&iv, "the random source gave an all-zero IV")?;
    }
    let params = GcmParams::new(&mut iv, aad, TAG_BITS)?;
    let sealed = session.encrypt(&Mechanism::AesGcm(params), key, plain)?;
    // `iv` is read again: an HSM may have put one of its own there, and that is the one that counts.
    refuse_zero(&iv, "C_Encrypt: the token encrypted under an all-zero IV; the result was thrown away")?;
    if sealed.len() != plain.len() + TAG_BYTES {
        let (found, wanted) = (sealed.len(), plain.len() + TAG_BYTES);
        return Err(Fault::operator(format!("C_Encrypt: AES-GCM gave {found} bytes where {wanted} are due")));
    }
    Ok([&iv, sealed.as_slice()].concat())
}

/// Unwraps what [`wrap`] made. `blob` and `aad` may come from a hostile disk.
pub(crate) fn unwrap(session: &Session, key: ObjectHandle, blob: &[u8], aad: &[u8]) -> Result<Secret, Fault> {
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
    let plain = Secret::transient(session.decrypt(&Mechanism::AesGcm(params), key, sealed)?);
    // GCM keeps lengths; a module that reports success and another length has not checked the tag over this text.
    if plain.len() != sealed.len() - TAG_BYTES {
        return Err(Fault::new(Kind::Operator, "C_Decrypt: AES-GCM gave a plaintext of the wrong length"));
    }
    Ok(plain)
}

fn refuse_zero(iv: &[u8; IV_BYTES], message: &str) -> Result<(), Fault> {
    if *iv == [0; IV_BYTES] { Err(Fault::operator(message)) } else { Ok(()) }
}
