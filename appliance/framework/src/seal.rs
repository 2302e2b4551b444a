//! What protects the root key, and how an operator drives it.

use std::fmt;

use crate::{Error, Secret};

/// Names the key that wrapped something: a label, never a handle or a slot.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
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
}

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

/// The state of the seal, for `sys/seal-status` and `sys/health`.
#[derive(Clone, Debug)]
pub struct SealStatus {
    /// The kind of seal that protects the root key.
    pub kind: SealKind,
    /// Whether `sys/init` was done.
    pub initialized: bool,
    /// Whether the keyring is out of reach.
    pub sealed: bool,
    /// Shares needed to unseal; with an HSM, recovery shares needed to authorise.
    pub threshold: u8,
    /// Shares that exist.
    pub shares: u8,
    /// How far the present attempt to unseal has come.
    pub progress: Progress,
    /// Name of this cluster, once unsealed.
    pub cluster_name: Option<String>,
    /// Id of this cluster, once unsealed.
    pub cluster_id: Option<String>,
    /// Kind of storage, as in the configuration.
    pub storage: &'static str,
    /// What is wrong with the seal, if something is.
    pub trouble: Option<String>,
}

/// An attempt to gather shares.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// Different shares given so far.
    pub given: u8,
    /// Names the attempt; empty when none is under way.
    pub nonce: String,
}

/// What `sys/init` asks for.
#[derive(Clone, Debug)]
pub struct InitRequest {
    /// How many shares: of the unseal key, or with an HSM of the recovery key. 1 to 255.
    pub shares: u8,
    /// How many of them are needed. 1 to `shares`; 1 only if `shares` is 1.
    pub threshold: u8,
}

/// What `sys/init` gives out, once.
pub struct InitAnswer {
    /// The shares.
    pub shares: Vec<Secret>,
    /// Whether they are recovery shares: they authorise, they do not decrypt.
    pub recovery: bool,
    /// The first root token.
    pub root_token: Secret,
}

/// The ceremonies behind `sys/init`, `sys/unseal` and `sys/seal`.
pub trait SealControl: Send + Sync {
    /// The state now. Never blocks on an HSM.
    fn status(&self) -> SealStatus;

    /// Makes the root key, keyring and root token. [`Error::Invalid`] if that was done before. Leaves the server unsealed
    /// with an HSM, sealed with shares.
    fn initialize(&self, request: &InitRequest) -> Result<InitAnswer, Error>;

    /// Takes one share; `None` abandons the attempt. Unseals when enough are there.
    fn submit(&self, share: Option<Secret>) -> Result<SealStatus, Error>;

    /// Forgets every key. After this no secret is left in the process.
    fn seal(&self) -> Result<(), Error>;
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
    }
}
