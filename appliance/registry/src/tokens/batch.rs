//! Batch tokens: `hvb.` and the token's own record, sealed under a key of the store. Nothing is stored.
//!
//! They cannot be renewed or revoked; they end at their time, or with their parent.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use framework::{Cipher, Error, Secret};
use hardening::leaving_no_trace;

use super::record::TokenRecord;

const PREFIX: &[u8] = b"hvb.";
/// The format of what is sealed.
const HEADER: [u8; 1] = [1];
const BOUND: &[u8] = b"\x01holdfast batch token";

/// Seals and opens batch tokens.
pub(crate) struct BatchTokens(Cipher);

impl BatchTokens {
    pub(crate) fn new(key: &Secret) -> Result<Self, Error> {
        Ok(Self(leaving_no_trace(|| Cipher::new(key))?))
    }

    pub(super) fn seal(&self, record: &TokenRecord) -> Result<Secret, Error> {
        let plain = Secret::transient(serde_json::to_vec(record).map_err(Error::internal)?);
        let sealed = leaving_no_trace(|| self.0.seal(&HEADER, BOUND, plain.expose()))?;
        let mut token = PREFIX.to_vec();
        token.extend_from_slice(URL_SAFE_NO_PAD.encode(sealed).as_bytes());
        Ok(Secret::transient(token))
    }

    /// The record in a token; `None` for what this store has not sealed. Says nothing of whether it is still valid.
    pub(super) fn open(&self, token: &Secret) -> Option<TokenRecord> {
        let sealed = URL_SAFE_NO_PAD.decode(token.expose().strip_prefix(PREFIX)?).ok()?;
        if !sealed.starts_with(&HEADER) {
            return None;
        }
        let plain = leaving_no_trace(|| self.0.open(sealed, HEADER.len(), BOUND)).ok().map(Secret::transient)?;
        serde_json::from_slice(plain.expose()).ok()
    }
}

/// Whether a token has the form of a batch token.
pub(super) fn is_batch(token: &Secret) -> bool {
    token.expose().starts_with(PREFIX)
}
