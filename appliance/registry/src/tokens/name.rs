//! The names of tokens.

use aws_lc_rs::hmac;

/// Characters of a name: 142 bits.
const LENGTH: usize = 24;
const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Names a token: 24 characters of base 62, taken from an HMAC of it under a key that is in guarded memory while the barrier is
/// open. Records and memory know a token by nothing else. It is the token's accessor too: whoever has it can look the token
/// up and revoke it, but not use it, nor tell a guess at the token from the token.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub(crate) struct Name([u8; LENGTH]);

impl Name {
    pub(crate) fn of(key: &hmac::Key, token: &[u8]) -> Self {
        let tag = hmac::sign(key, token);
        let mut name = [0; LENGTH];
        // Six characters of each eight bytes. What remains of these is 28 bits: no character is noticeably likelier.
        for (characters, bytes) in name.chunks_mut(6).zip(tag.as_ref().as_chunks::<8>().0) {
            let mut number = u64::from_be_bytes(*bytes);
            for character in characters {
                *character = BASE62.get((number % 62) as usize).copied().unwrap_or_default();
                number /= 62;
            }
        }
        Self(name)
    }

    /// As it stands in the names of records and in [`framework::Caller::token`].
    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// A name from a client or a record.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let name = text.as_bytes().try_into().ok()?;
        text.bytes().all(|byte| byte.is_ascii_alphanumeric()).then_some(Self(name))
    }

    /// Bytes that are as good as random.
    pub(super) fn bytes(&self) -> &[u8; LENGTH] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_made_of_the_whole_hmac() {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &[7; 32]);
        let name = Name::of(&key, b"hvs.x");
        assert!(name.as_str().len() == LENGTH && name.as_str().bytes().all(|byte| byte.is_ascii_alphanumeric()));
        assert!(Name::parse(name.as_str()) == Some(name) && Name::parse("short").is_none());
        assert_ne!(name.as_str(), Name::of(&key, b"hvs.y").as_str());
        let distinct: std::collections::BTreeSet<_> = name.as_str().as_bytes().chunks(6).collect();
        assert_eq!(distinct.len(), 4, "each quarter comes from other bytes");
    }
}
