//! The record that says how the root key is protected. It is read while sealed, so nothing in it is secret, and nothing
//! dangerous may rest on it before the barrier has vouched for it.

use framework::{Error, SealKind, Wrapped};
use serde::{Deserialize, Serialize};

use crate::protection::Held;

/// Name of the record beside the keyring.
pub(crate) const NAME: &str = "seal";

/// Bound to the wrapping of the root key.
pub(crate) const ROOT_KEY: &[u8] = b"holdfast root key";

/// How the root key is protected.
///
/// **Invariant:** no stored value is wrapped by a key that is in neither of the two lists.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct SealRecord {
    /// `shamir` or `pkcs11`.
    pub(crate) kind: String,
    /// Shares that were given out.
    pub(crate) shares: u8,
    /// Shares that are needed.
    pub(crate) threshold: u8,
    /// The HSMs' keys that each wrapped the root key, and wrap values. None where shares unseal.
    pub(crate) keys: Vec<SealKey>,
    /// HSMs' keys that unseal no more, and that may have wrapped values which are still stored.
    pub(crate) retired: Vec<SealKey>,
    /// The wrapped root key, as [`Wrapped::encode_all`] writes it.
    pub(crate) root_key: Vec<u8>,
    /// Names this cluster.
    pub(crate) cluster_name: String,
    /// Names this cluster (a UUID).
    pub(crate) cluster_id: String,
}

/// A key in an HSM.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct SealKey {
    /// Its label, by which wrapped values name it.
    pub(crate) label: String,
    /// Says which key it must be, and nothing about its bytes.
    pub(crate) check_value: Vec<u8>,
}

impl SealRecord {
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Error> {
        serde_json::from_slice(bytes).map_err(|error| Error::internal(format!("the seal record is malformed: {error}")))
    }

    pub(crate) fn encode(&self) -> Result<Vec<u8>, Error> {
        serde_json::to_vec(self).map_err(Error::internal)
    }

    pub(crate) fn is(&self, kind: SealKind) -> bool {
        self.kind == kind.name()
    }

    pub(crate) fn wrapped(&self) -> Result<Vec<Wrapped>, Error> {
        Wrapped::decode_all(&self.root_key)
    }

    /// The same storage with its root key held otherwise. A key that no longer does is retired, not forgotten.
    pub(crate) fn held(&self, held: Held) -> Self {
        let stays = |key: &&SealKey| held.keys.iter().any(|kept| kept.label == key.label);
        let retired = self.keys.iter().chain(&self.retired).filter(|key| !stays(key)).cloned().collect();
        let Held { kind, keys, root_key } = held;
        Self { kind: kind.name().to_owned(), keys, retired, root_key, ..self.clone() }
    }
}
