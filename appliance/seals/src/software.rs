//! A seal whose key is in this process: recovered from shares, and here only while it is needed.

use aes_gcm_siv::aead::inout::InOutBuf;
use aes_gcm_siv::{AeadInOut, Aes256GcmSiv, KeyInit, Nonce, Tag};
use framework::{Error, KeyId, Seal, Secret, Wrapped};
use hardening::{Guarded, random_bytes, wipe_stack};

const NONCE: usize = 12;
const TAG: usize = 16;

/// [`Wrapped::mechanism`] of this seal. PKCS#11 has no AES-GCM-SIV, and its vendors' numbers have the top bit set as well;
/// the key id tells whose it is.
const AES_256_GCM_SIV: u32 = 0x8000_8452;

/// Wraps by AES-256-GCM-SIV (RFC 8452) under a key that operators hold in shares. Blob: nonce 12, ciphertext, tag 16.
pub struct ShamirSeal(Guarded<Aes256GcmSiv>);

impl ShamirSeal {
    /// The id of every such key.
    pub const KEY_ID: &'static str = "shamir";

    /// A seal that uses `key`. [`Error::Invalid`] unless it has 32 bytes, since it comes from what operators typed.
    pub fn from_key(key: &Secret) -> Result<Self, Error> {
        let key: &[u8; 32] = key
            .expose()
            .try_into()
            .map_err(|_| Error::invalid(format!("the unseal key has {} bytes, not 32: a share is wrong", key.len())))?;
        Ok(Self(Guarded::with(|| Aes256GcmSiv::new(key.into()))?))
    }
}

impl Seal for ShamirSeal {
    fn key_id(&self) -> KeyId {
        KeyId(Self::KEY_ID.to_owned())
    }

    fn wrap(&self, plain: &Secret, aad: &[u8]) -> Result<Wrapped, Error> {
        let mut nonce = Nonce::default();
        random_bytes(&mut nonce);
        let mut tag = None;
        let sealed = Secret::locked_with(plain.len(), |room| {
            room.copy_from_slice(plain.expose());
            tag = self.0.encrypt_inout_detached(&nonce, aad, InOutBuf::from(room)).ok();
        })?;
        wipe_stack(); // ciphers leave round keys there
        let tag = tag.ok_or_else(|| Error::internal("a value is too long to wrap"))?;
        let blob = [&nonce[..], sealed.expose(), &tag[..]].concat();
        Ok(Wrapped { key_id: self.key_id(), mechanism: AES_256_GCM_SIV, blob })
    }

    /// [`Error::Invalid`] if this key did not wrap it: the shares given belong to another key, or one of them is wrong. Damage looks the same.
    fn unwrap(&self, wrapped: &Wrapped, aad: &[u8]) -> Result<Secret, Error> {
        if wrapped.mechanism != AES_256_GCM_SIV || wrapped.key_id.0 != Self::KEY_ID {
            let (id, mechanism) = (&wrapped.key_id, wrapped.mechanism);
            return Err(Error::internal(format!(
                "a value wrapped by key {id} (mechanism {mechanism:#x}) is not for shares"
            )));
        }
        let (nonce, body, tag) = parts(&wrapped.blob).ok_or_else(|| Error::internal("a wrapped value is too short"))?;
        let mut opened = Err(());
        let plain = Secret::locked_with(body.len(), |room| {
            room.copy_from_slice(body);
            opened = self.0.decrypt_inout_detached(&nonce, aad, InOutBuf::from(room), &tag).map_err(drop);
        })?;
        wipe_stack(); // as above
        match opened {
            Ok(()) => Ok(plain),
            Err(()) => Err(Error::invalid("the unseal key does not open this storage: at least one share is wrong")),
        }
    }
}

fn parts(blob: &[u8]) -> Option<(Nonce, &[u8], Tag)> {
    let (nonce, rest) = blob.split_first_chunk::<NONCE>()?;
    let (body, tag) = rest.split_last_chunk::<TAG>()?;
    Some(((*nonce).into(), body, (*tag).into()))
}
