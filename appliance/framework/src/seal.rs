//! What protects the root key.

use std::fmt;
use std::time::Duration;

use crate::{Error, Secret};

/// Names the key that wrapped something: a label, never a handle or a slot.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct KeyId(pub String);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A value wrapped by a seal. Holds all that unwrapping needs but the key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Wrapped {
    /// Which key wrapped it.
    pub key_id: KeyId,
    /// How, as the seal names its mechanisms (for PKCS#11 the `CKM_` number).
    pub mechanism: u32,
    /// IV, ciphertext and tag, in the mechanism's own layout.
    pub blob: Vec<u8>,
}

impl Wrapped {
    /// The stored form: format 1, mechanism (big-endian u32), length of the key id (u8), key id, blob.
    pub fn encode(&self) -> Vec<u8> {
        let id = self.key_id.0.as_bytes();
        let id = id.get(..id.len().min(255)).unwrap_or_default();
        let mut bytes = Vec::with_capacity(6 + id.len() + self.blob.len());
        bytes.push(1);
        bytes.extend_from_slice(&self.mechanism.to_be_bytes());
        bytes.push(u8::try_from(id.len()).unwrap_or(u8::MAX));
        bytes.extend_from_slice(id);
        bytes.extend_from_slice(&self.blob);
        bytes
    }

    /// Reads the stored form. `bytes` may come from a damaged or hostile disk.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let malformed = || Error::internal("a wrapped value has no valid header");
        let (&[format, a, b, c, d, id_len], rest) = bytes.split_first_chunk::<6>().ok_or_else(malformed)?;
        if format != 1 {
            return Err(Error::internal(format!("wrapped value of unknown format {format}")));
        }
        let (id, blob) = rest.split_at_checked(usize::from(id_len)).ok_or_else(malformed)?;
        let id = std::str::from_utf8(id).map_err(|_| malformed())?;
        Ok(Self { key_id: KeyId(id.to_owned()), mechanism: u32::from_be_bytes([a, b, c, d]), blob: blob.to_vec() })
    }

    /// The stored form of one value as several keys wrapped it: format 2, how many (u8), then for each the length (big-endian
    /// u16) and [`Wrapped::encode`]. One alone is stored as that.
    pub fn encode_all(all: &[Self]) -> Result<Vec<u8>, Error> {
        if let [one] = all {
            return Ok(one.encode());
        }
        let too_many = |_| Error::internal("a value is wrapped by more than 255 keys");
        let mut bytes = vec![SEVERAL, u8::try_from(all.len()).map_err(too_many)?];
        for one in all {
            let one = one.encode();
            let length =
                u16::try_from(one.len()).map_err(|_| Error::internal("a wrapped value is over 64 KiB long"))?;
            bytes.extend_from_slice(&length.to_be_bytes());
            bytes.extend_from_slice(&one);
        }
        Ok(bytes)
    }

    /// Reads that form, whether one key wrapped the value or several. `bytes` may come from a damaged or hostile disk.
    pub fn decode_all(bytes: &[u8]) -> Result<Vec<Self>, Error> {
        let malformed = || Error::internal("a value wrapped by several keys has no valid header");
        let (count, mut rest) = match bytes {
            [SEVERAL, count, rest @ ..] => (*count, rest),
            _ => return Ok(vec![Self::decode(bytes)?]),
        };
        let mut all = Vec::new();
        for _ in 0..count {
            let (length, after) = rest.split_first_chunk::<2>().ok_or_else(malformed)?;
            let (one, after) =
                after.split_at_checked(usize::from(u16::from_be_bytes(*length))).ok_or_else(malformed)?;
            all.push(Self::decode(one)?);
            rest = after;
        }
        if rest.is_empty() && count > 0 { Ok(all) } else { Err(malformed()) }
    }
}

/// First byte of a value that several keys wrapped.
const SEVERAL: u8 = 2;

/// A key outside the store that wraps the root key and, for seal-wrapped paths, entry keys.
///
/// Implementations may block on an HSM or a network, within a deadline of their own; callers hold no lock.
pub trait Seal: Send + Sync {
    /// The key that [`Seal::wrap`] uses now.
    fn key_id(&self) -> KeyId;

    /// Wraps `plain`, bound to `aad`. At most 16,224 bytes (the limit of AES-GCM in AWS CloudHSM).
    fn wrap(&self, plain: &Secret, aad: &[u8]) -> Result<Wrapped, Error>;

    /// Unwraps; fails unless key, blob and `aad` are those of the wrapping. The result is locked.
    fn unwrap(&self, wrapped: &Wrapped, aad: &[u8]) -> Result<Secret, Error>;

    /// Whether it did what it was last asked, as far as is known without asking. Of several the healthy ones are asked first.
    fn is_healthy(&self) -> bool {
        true
    }
}

/// Kinds of seal, as `sys/seal-status` names them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SealKind {
    /// Shares typed by operators.
    Shamir,
    /// A PKCS#11 HSM.
    Pkcs11,
}

impl SealKind {
    /// The name in the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Shamir => "shamir",
            Self::Pkcs11 => "pkcs11",
        }
    }
}

/// What stands behind a seal, and how it fares.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SealBackend {
    /// Its name: the kind, unless the configuration gives it one.
    pub name: String,
    /// Whether it is being left: it unwraps what it wrapped before, and wraps no more.
    pub disabled: bool,
    /// For how long it has not done what it was asked; `None` while it does.
    pub unhealthy_for: Option<Duration>,
}

/// The state of everything that wraps, for `sys/seal-backend-status`. Never blocks on an HSM.
pub trait SealHealth: Send + Sync {
    /// All backends, at least one.
    fn backends(&self) -> Vec<SealBackend>;

    /// Whether everything that is wrapped is wrapped by every backend that is not being left, and by no other.
    fn fully_wrapped(&self) -> bool;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrapped_values_survive_the_disk_and_damage_is_an_error() {
        let wrapped = Wrapped { key_id: KeyId("holdfast-seal".into()), mechanism: 0x1087, blob: vec![7; 60] };
        let bytes = wrapped.encode();
        assert_eq!(Wrapped::decode(&bytes).unwrap(), wrapped);
        for cut in 0..19 {
            assert!(Wrapped::decode(&bytes[..cut]).is_err(), "{cut}");
        }
        assert!(Wrapped::decode(&[2, 0, 0, 0, 0, 0]).is_err());

        let other = Wrapped { key_id: KeyId("another".into()), ..wrapped.clone() };
        for all in [vec![wrapped.clone()], vec![wrapped, other]] {
            let bytes = Wrapped::encode_all(&all).unwrap();
            assert_eq!(Wrapped::decode_all(&bytes).unwrap(), all);
            assert!(Wrapped::decode_all(&bytes[..18]).is_err());
        }
    }
}
