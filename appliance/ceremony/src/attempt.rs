//! Gathering shares.

use framework::{Error, Progress, Rng, Secret};

/// The shares given so far.
#[derive(Default)]
pub(crate) struct Attempt {
    shares: Vec<Secret>,
    nonce: String,
}

impl Attempt {
    /// Takes a share; the same share twice counts once. Gives all of them, and forgets them, when there are enough.
    pub(crate) fn add(&mut self, share: Secret, threshold: u8, rng: &dyn Rng) -> Result<Option<Vec<Secret>>, Error> {
        // 32 bytes of key, and one byte that tells the shares apart where there are several.
        let length = if threshold == 1 { 32 } else { 33 };
        if share.len() != length {
            return Err(Error::field(
                "key",
                format!("'key' must be a valid hex or base64 string: a share has {length} bytes"),
            ));
        }
        if self.shares.is_empty() {
            self.nonce = framework::uuid(rng);
        }
        if !self.shares.contains(&share) {
            self.shares.push(share);
        }
        if self.shares.len() < usize::from(threshold) {
            return Ok(None);
        }
        self.nonce.clear();
        Ok(Some(std::mem::take(&mut self.shares)))
    }

    pub(crate) fn reset(&mut self) {
        *self = Self::default();
    }

    pub(crate) fn progress(&self) -> Progress {
        Progress { given: u8::try_from(self.shares.len()).unwrap_or(u8::MAX), nonce: self.nonce.clone() }
    }
}
