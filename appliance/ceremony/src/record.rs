//! The record that says how the root key is protected. It is read while sealed, so nothing in it is secret, and nothing
//! dangerous may rest on it before the barrier has vouched for it.

use framework::{Error, SealKind, Wrapped};
use serde::{Deserialize, Serialize};

/// Name of the record beside the keyring.
pub(crate) const NAME: &str = "seal";

/// Bound to the wrapping of the root key.
pub(crate) const ROOT_KEY: &[u8] = b"holdfast root key";

/// How the root key is protected.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct SealRecord {
    /// `shamir` or `pkcs11`.
    pub(crate) kind: String,
    /// Shares that were given out.
    pub(crate) shares: u8,
    /// Shares that are needed.
    pub(crate) threshold: u8,
    /// Check value of the HSM's key: says which key it must be, and nothing about its bytes. Empty without an HSM.
    pub(crate) check_value: Vec<u8>,
    /// The wrapped root key, as [`Wrapped::encode`] writes it.
    pub(crate) root_key: Vec<u8>,
    /// Names this cluster.
    pub(crate) cluster_name: String,
    /// Names this cluster (a UUID).
    pub(crate) cluster_id: String,
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

    pub(crate) fn wrapped(&self) -> Result<Wrapped, Error> {
        Wrapped::decode(&self.root_key)
    }
}
