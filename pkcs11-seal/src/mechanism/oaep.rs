//! RSA-OAEP (RFC 8017, section 7.1) by a key pair of the token.
//!
//! Encrypted is: length of the associated data (2 bytes), that data, the value. The parameter of OAEP made for it is not
//! used, since tokens refuse one (SoftHSM does). Whoever has the public key can make such a blob of a value of his own, so
//! this proves less than the mechanisms with secret keys: what is wrapped must be checked by what it opens, as the barrier
//! does with the root key and with every record.

use std::fmt;

use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsOaepParams, PkcsOaepSource};
use cryptoki::mechanism::{Mechanism as Call, MechanismType};
use cryptoki::object::{AttributeType, ObjectHandle};
use cryptoki::session::Session;
use hardening::Secret;

use super::{Mechanism, Opened, RSA_OAEP, within};
use crate::config::Config;
use crate::entry::Entry;
use crate::error::Fault;
use crate::key;
use crate::report::AttributeValue;

/// The hash of OAEP and of its mask. SoftHSM knows SHA-1 only, which is no weakness here: OAEP does not rest on collision
/// resistance (RFC 8017, appendix B.1).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum OaepHash {
    /// SHA-1.
    Sha1,
    /// SHA-256: the default, as in Vault.
    #[default]
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl OaepHash {
    /// Reads the name as Vault's `rsa_oaep_hash` has it.
    pub fn parse(text: &str) -> Option<OaepHash> {
        Some(match text {
            "sha1" => Self::Sha1,
            "sha256" => Self::Sha256,
            "sha384" => Self::Sha384,
            "sha512" => Self::Sha512,
            _ => return None,
        })
    }

    fn bytes(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    fn mechanism(self) -> Call<'static> {
        let (hash, mask) = match self {
            Self::Sha1 => (MechanismType::SHA1, PkcsMgfType::MGF1_SHA1),
            Self::Sha256 => (MechanismType::SHA256, PkcsMgfType::MGF1_SHA256),
            Self::Sha384 => (MechanismType::SHA384, PkcsMgfType::MGF1_SHA384),
            Self::Sha512 => (MechanismType::SHA512, PkcsMgfType::MGF1_SHA512),
        };
        Call::RsaPkcsOaep(PkcsOaepParams::new(hash, mask, PkcsOaepSource::empty()))
    }
}

impl fmt::Display for OaepHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sha1 => "SHA-1",
            Self::Sha256 => "SHA-256",
            Self::Sha384 => "SHA-384",
            Self::Sha512 => "SHA-512",
        })
    }
}

/// Bits of a modulus (NIST SP 800-131A).
const SHORTEST: usize = 2048;

struct Oaep {
    private: ObjectHandle,
    public: ObjectHandle,
    modulus_bytes: usize,
    hash: OaepHash,
}

pub(super) fn open(entry: &Entry, config: &Config) -> Result<Opened, Fault> {
    let find = |role| key::find(entry.door, entry.token.label(), role, &config.key_label, config.key_id.as_deref());
    let (private, public) = (find(&key::RSA_PRIVATE)?, find(&key::RSA_PUBLIC)?);
    let bits = match public.attributes.get(AttributeType::ModulusBits) {
        Some(AttributeValue::Number(bits)) => usize::try_from(*bits).unwrap_or_default(),
        _ => 0,
    };
    if bits < SHORTEST {
        return Err(Fault::operator(format!(
            "key {:?} is not fit to be the seal key: CKA_MODULUS_BITS is {bits} and must be at least {SHORTEST}",
            config.key_label
        )));
    }
    let mechanism = Oaep {
        private: private.handle,
        public: public.handle,
        modulus_bytes: bits.div_ceil(8),
        hash: config.oaep_hash,
    };
    Ok(Opened { mechanism: Box::new(mechanism), key: public })
}

impl Mechanism for Oaep {
    fn number(&self) -> u32 {
        RSA_OAEP
    }

    fn wrap(&self, session: &Session, plain: &[u8], aad: &[u8]) -> Result<Vec<u8>, Fault> {
        let room = self.modulus_bytes.saturating_sub(2 * self.hash.bytes() + 2);
        within(room.saturating_sub(2 + aad.len()), plain)?;
        let length = u16::try_from(aad.len()).unwrap_or(u16::MAX).to_be_bytes();
        let message = Secret::transient([&length, aad, plain].concat());
        Ok(session.encrypt(&self.hash.mechanism(), self.public, message.expose())?)
    }

    fn unwrap(&self, session: &Session, blob: &[u8], aad: &[u8]) -> Result<Secret, Fault> {
        if blob.len() != self.modulus_bytes {
            return Err(Fault::rejected("the wrapped value has an impossible length"));
        }
        let message = Secret::transient(session.decrypt(&self.hash.mechanism(), self.private, blob)?);
        let (length, rest) = message.expose().split_first_chunk::<2>().unwrap_or((&[u8::MAX; 2], &[]));
        match rest.split_at_checked(usize::from(u16::from_be_bytes(*length))) {
            Some((bound, plain)) if bound == aad => Ok(Secret::transient(plain.to_vec())),
            _ => Err(Fault::rejected("the value was wrapped for another place")),
        }
    }

    fn about(&self) -> String {
        format!("RSA-{} OAEP with {}", self.modulus_bytes * 8, self.hash)
    }
}
