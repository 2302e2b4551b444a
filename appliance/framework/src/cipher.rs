//! AES-256-GCM-SIV (RFC 8452) with its key schedule in guarded memory: a nonce that comes twice is no catastrophe.

use aes_gcm_siv::aead::inout::InOutBuf;
use aes_gcm_siv::{AeadInOut, Aes256GcmSiv, KeyInit, Nonce, Tag};
use hardening::{Guarded, random_bytes};

use crate::{Error, Secret};

const NONCE: usize = 12;
const TAG: usize = 16;

/// The bytes, key or associated data are not those of the encryption.
#[derive(Debug)]
pub struct Forged;

/// One key, ready for use. Its work leaves round keys on the stack: call it by [`hardening::leaving_no_trace`].
pub struct Cipher(Guarded<Aes256GcmSiv>);

// Inlined, so that no frames more stand between a caller and the depth to which it wipes the stack.
impl Cipher {
    /// Bytes of a key.
    pub const KEY: usize = 32;

    /// `key` has [`Cipher::KEY`] bytes.
    #[inline]
    pub fn new(key: &Secret) -> Result<Self, Error> {
        let key: &[u8; Self::KEY] =
            key.expose().try_into().map_err(|_| Error::internal(format!("a key has {} bytes, not 32", key.len())))?;
        Ok(Self(Guarded::with(|| Aes256GcmSiv::new(key.into()))?))
    }

    /// `header`, a fresh random nonce, ciphertext and tag; `aad` should begin with `header`.
    #[inline]
    pub fn seal(&self, header: &[u8], aad: &[u8], plain: &[u8]) -> Result<Vec<u8>, Error> {
        // All room at once: growing would leave plaintext in the buffer left behind.
        let mut record = Vec::with_capacity(header.len() + NONCE + plain.len() + TAG);
        record.extend_from_slice(header);
        let mut nonce = Nonce::default();
        random_bytes(&mut nonce);
        record.extend_from_slice(&nonce);
        let start = record.len();
        record.extend_from_slice(plain);
        let body = record.get_mut(start..).unwrap_or_default();
        let tag = self.0.encrypt_inout_detached(&nonce, aad, InOutBuf::from(body));
        record.extend_from_slice(&tag.map_err(|_| Error::internal("a value is too long to encrypt"))?);
        Ok(record)
    }

    /// The plaintext of `record`, which begins with `header` bytes of header; decrypted where it lies.
    #[inline]
    pub fn open(&self, mut record: Vec<u8>, header: usize, aad: &[u8]) -> Result<Vec<u8>, Forged> {
        let (nonce, start, end) = layout(&record, header).ok_or(Forged)?;
        let tag = tag(&record, end).ok_or(Forged)?;
        let body = record.get_mut(start..end).ok_or(Forged)?;
        self.0.decrypt_inout_detached(&nonce, aad, InOutBuf::from(body), &tag).map_err(|_| Forged)?;
        record.truncate(end);
        record.drain(..start);
        Ok(record)
    }

    /// As [`Cipher::open`], but for key material: the plaintext is never outside guarded memory.
    #[inline]
    pub fn open_locked(&self, record: &[u8], header: usize, aad: &[u8]) -> Result<Result<Secret, Forged>, Error> {
        let parts = layout(record, header)
            .and_then(|(nonce, start, end)| Some((nonce, record.get(start..end)?, tag(record, end)?)));
        let Some((nonce, body, tag)) = parts else { return Ok(Err(Forged)) };
        let mut checked = Err(Forged);
        let plain = Secret::locked_with(body.len(), |room| {
            room.copy_from_slice(body);
            checked = self.0.decrypt_inout_detached(&nonce, aad, InOutBuf::from(room), &tag).map_err(|_| Forged);
        })?;
        Ok(checked.map(|()| plain))
    }
}

/// Nonce, start and end of the ciphertext.
fn layout(record: &[u8], header: usize) -> Option<(Nonce, usize, usize)> {
    let nonce: [u8; NONCE] = *record.get(header..)?.first_chunk()?;
    let start = header + NONCE;
    let end = record.len().checked_sub(TAG).filter(|end| *end >= start)?;
    Some((nonce.into(), start, end))
}

fn tag(record: &[u8], end: usize) -> Option<Tag> {
    let tag: [u8; TAG] = record.get(end..)?.try_into().ok()?;
    Some(tag.into())
}
