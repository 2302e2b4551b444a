//! Shares as operators type and read them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use framework::{Error, Given, Secret, hex};

/// A share as operators type it: hexadecimal first, since every hexadecimal text is base64 as well.
pub(crate) fn parse(text: &str) -> Result<Secret, Error> {
    let text = text.trim();
    let bytes = hex::decode(text).or_else(|| STANDARD.decode(text).ok());
    bytes.map(Secret::from).ok_or_else(|| Error::field("key", "'key' must be a valid hex or base64 string"))
}

/// Shares in hexadecimal, and the same in base64.
pub(crate) fn both(shares: &[Secret]) -> (Vec<String>, Vec<String>) {
    let hex = |share: &Secret| hex::encode(share.expose());
    (shares.iter().map(hex).collect(), shares.iter().map(|share| STANDARD.encode(share.expose())).collect())
}

framework::fields! {
    /// A share for a ceremony.
    pub(crate) struct Giving {
        /// One share, in hexadecimal or base64.
        pub(crate) key: Option<String>,
        /// The nonce of the ceremony.
        pub(crate) nonce: Option<String>,
    }
}

impl Giving {
    pub(crate) fn given(self) -> Result<Given, Error> {
        let key = self.key.filter(|key| !key.is_empty());
        let key = key.ok_or_else(|| Error::field("key", "'key' must be specified in request body as JSON"))?;
        Ok(Given { share: parse(&key)?, nonce: self.nonce.unwrap_or_default() })
    }
}
