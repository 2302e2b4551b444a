//! Handing out shares and tokens: as they are, or encrypted to the PGP keys of those who are to have them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use framework::{Error, Secret, Timestamp};
use seals::pgp::Recipient;

/// Who gets the shares, in order; nobody in particular where no keys were given.
#[derive(Default)]
pub(crate) struct Recipients(Vec<Recipient>);

impl Recipients {
    /// No keys, or one for each of `shares`. `field` names them in a refusal.
    pub(crate) fn parse(keys: &[String], shares: u8, field: &'static str, now: Timestamp) -> Result<Self, Error> {
        if !keys.is_empty() && keys.len() != usize::from(shares) {
            let message = "count mismatch between number of provided PGP keys and number of shares";
            return Err(Error::field(field, message));
        }
        keys.iter().map(|key| Recipient::parse(key, field, now)).collect::<Result<_, _>>().map(Self)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn fingerprints(&self) -> Vec<String> {
        self.0.iter().map(Recipient::fingerprint).collect()
    }

    /// The shares as they are to be given out. Encrypted ones hold the share in hexadecimal, as Vault's do.
    pub(crate) fn hand_out(&self, shares: Vec<Secret>) -> Result<Vec<Secret>, Error> {
        if self.is_empty() {
            return Ok(shares);
        }
        let hex = |share: &Secret| Secret::from(framework::hex::encode(share.expose()));
        self.0.iter().zip(&shares).map(|(recipient, share)| recipient.encrypt(&hex(share))).collect()
    }
}

/// A token as only this recipient can read it: a message in base64.
pub(crate) fn token_for(recipient: &Recipient, token: &Secret) -> Result<Secret, Error> {
    Ok(Secret::from(STANDARD.encode(recipient.encrypt(token)?.expose())))
}
