//! Gathering shares: the same for every ceremony.

use framework::{Error, Progress, Rng, Secret};

/// The shares given to one ceremony so far, and the nonce that names it.
pub(crate) struct Gathering {
    nonce: String,
    shares: Vec<Secret>,
}

/// What became of a share.
pub(crate) enum Added {
    /// It was given before.
    Again,
    /// More are needed.
    More,
    /// It was the last that was needed: all of them, which are forgotten here.
    Enough(Vec<Secret>),
}

impl Gathering {
    /// None yet, under a new nonce.
    pub(crate) fn new(rng: &dyn Rng) -> Self {
        Self { nonce: framework::uuid(rng), shares: Vec::new() }
    }

    pub(crate) fn nonce(&self) -> &str {
        &self.nonce
    }

    /// Different shares given so far.
    pub(crate) fn given(&self) -> u8 {
        u8::try_from(self.shares.len()).unwrap_or(u8::MAX)
    }

    pub(crate) fn progress(&self) -> Progress {
        Progress { given: self.given(), nonce: self.nonce.clone() }
    }

    /// Whether a holder means this ceremony. The sentence is Vault's.
    pub(crate) fn is(&self, nonce: &str, what: &str) -> Result<(), Error> {
        if nonce == self.nonce {
            return Ok(());
        }
        let own = &self.nonce;
        Err(Error::field("nonce", format!("incorrect nonce supplied; nonce for this {what} is {own:?}")))
    }

    /// Takes a share of which `threshold` are needed. What cannot be one is refused, and nothing changes.
    pub(crate) fn add(&mut self, share: Secret, threshold: u8) -> Result<Added, Error> {
        // 32 bytes of key, and one byte that tells the shares apart where there are several.
        let length = if threshold == 1 { 32 } else { 33 };
        if share.len() != length {
            return Err(Error::field(
                "key",
                format!("'key' must be a valid hex or base64 string: a share has {length} bytes"),
            ));
        }
        if self.shares.contains(&share) {
            return Ok(Added::Again);
        }
        let number = |share: &Secret| share.expose().get(32).copied();
        if threshold > 1 && self.shares.iter().any(|other| number(other) == number(&share)) {
            return Err(Error::field(
                "key",
                "another share of the same number was given before: one of the two is mistyped or belongs to another set",
            ));
        }
        self.shares.push(share);
        match self.given() {
            given if given < threshold => Ok(Added::More),
            _ => Ok(Added::Enough(std::mem::take(&mut self.shares))),
        }
    }
}

#[cfg(test)]
mod tests {
    use framework::SystemRng;

    use super::*;

    fn share(number: u8, byte: u8) -> Secret {
        Secret::from([vec![byte; 32], vec![number]].concat())
    }

    #[test]
    fn what_is_no_share_changes_nothing() {
        let mut gathering = Gathering::new(&SystemRng);
        assert!(matches!(gathering.add(share(1, 7), 3), Ok(Added::More)));
        assert!(matches!(gathering.add(share(1, 7), 3), Ok(Added::Again)));
        for bad in [Secret::from(vec![1; 32]), Secret::from(vec![1; 34]), Secret::from(vec![]), share(1, 8)] {
            assert!(gathering.add(bad, 3).is_err());
        }
        assert!(matches!(gathering.add(share(2, 7), 3), Ok(Added::More)));
        assert!(matches!(gathering.add(share(3, 7), 3), Ok(Added::Enough(all)) if all.len() == 3));
        assert_eq!(gathering.given(), 0, "and they are forgotten");
    }

    #[test]
    fn one_share_of_one_has_no_number() {
        let mut gathering = Gathering::new(&SystemRng);
        assert!(gathering.add(share(1, 7), 1).is_err());
        assert!(matches!(gathering.add(Secret::from(vec![7; 32]), 1), Ok(Added::Enough(_))));
    }
}
