//! Handing a share or a token to one person: encrypted to their OpenPGP key (RFC 9580), so that nobody else, whoever
//! carries it, can read it. Public keys only: one that comes with its secret part is refused.
//!
//! A key comes from a client, so its bytes may be anything. What the key says about itself counts only where the key itself
//! has signed it. Session keys come from the kernel. The message has an encrypted container of version 1 with AES-256, which
//! every GnuPG reads.

use std::panic::{AssertUnwindSafe, catch_unwind};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use framework::{Error, Secret, Timestamp};
use pgp::composed::{MessageBuilder, PublicOrSecret, SignedPublicKey, SignedPublicSubKey};
use pgp::crypto::sym::SymmetricKeyAlgorithm;
use pgp::packet::{Signature, SignatureType};
use pgp::ser::Serialize;
use pgp::types::{KeyDetails, Tag, VerifyingKey};
use rand::{CryptoRng, RngCore};

/// Most bytes a key may have; one with a picture and many signatures has less.
const LONGEST_KEY: usize = 256 * 1024;

/// A person to encrypt to.
#[derive(Clone)]
pub struct Recipient {
    key: Box<SignedPublicKey>,
    /// The subkey that takes messages; `None` where the primary key does.
    subkey: Option<usize>,
}

impl Recipient {
    /// Reads a public key: its binary form in base64, as Vault takes it, or armored text. `field` names it in a refusal.
    ///
    /// # Errors
    /// [`Error::Invalid`] for anything but one public key that can take messages `now`: no base64, no key, several keys, a
    /// secret key, a name to be looked up elsewhere, a key that is revoked, expired, or for signatures only.
    pub fn parse(text: &str, field: &'static str, now: Timestamp) -> Result<Self, Error> {
        // The parser is not ours: should it fall over some key, that key is refused.
        let parsed = catch_unwind(AssertUnwindSafe(|| read(text.trim(), now)));
        let parsed = parsed.unwrap_or_else(|_| Err("the key is malformed".to_owned()));
        parsed.map_err(|problem| Error::field(field, format!("error decoding given PGP key: {problem}")))
    }

    /// The fingerprint of the primary key, in hexadecimal.
    pub fn fingerprint(&self) -> String {
        self.key.primary_key.fingerprint().to_string()
    }

    /// A message, in binary, that only the holder of the secret key can read.
    pub fn encrypt(&self, plain: &Secret) -> Result<Secret, Error> {
        let encrypted = || -> pgp::errors::Result<Vec<u8>> {
            let message = MessageBuilder::from_bytes("", plain.expose().to_vec());
            let mut message = message.seipd_v1(KernelRng, SymmetricKeyAlgorithm::AES256);
            match self.subkey.and_then(|at| self.key.public_subkeys.get(at)) {
                Some(subkey) => message.encrypt_to_key(KernelRng, subkey)?,
                None => message.encrypt_to_key(KernelRng, &self.key.primary_key)?,
            };
            message.to_vec(KernelRng)
        };
        let message = encrypted().map_err(|error| Error::internal(format!("encrypting to a PGP key: {error}")));
        hardening::wipe_deep_stack();
        message.map(Secret::transient)
    }
}

/// The random bytes of the rest of the server, in the shape that the library asks for.
#[derive(Clone, Copy)]
struct KernelRng;

impl RngCore for KernelRng {
    fn next_u32(&mut self) -> u32 {
        let mut bytes = [0; 4];
        self.fill_bytes(&mut bytes);
        u32::from_ne_bytes(bytes)
    }

    fn next_u64(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.fill_bytes(&mut bytes);
        u64::from_ne_bytes(bytes)
    }

    fn fill_bytes(&mut self, buffer: &mut [u8]) {
        hardening::random_bytes(buffer);
    }

    fn try_fill_bytes(&mut self, buffer: &mut [u8]) -> Result<(), rand::Error> {
        self.fill_bytes(buffer);
        Ok(())
    }
}

impl CryptoRng for KernelRng {}

fn read(text: &str, now: Timestamp) -> Result<Recipient, String> {
    if text.starts_with("keybase:") {
        let message = "Keybase names are not supported: the server asks nobody for keys; give the public key itself";
        return Err(message.to_owned());
    }
    if text.len() > LONGEST_KEY {
        return Err(format!("a key has at most {LONGEST_KEY} characters"));
    }
    let key = single(text)?;
    let sealed_by_itself = |found: &&Signature| {
        key.details.users.iter().any(|user| found.verify_certification(&key.primary_key, Tag::UserId, &user.id).is_ok())
            || found.verify_key(&key.primary_key).is_ok()
    };
    let revoked = |found: &Signature| found.typ() == Some(SignatureType::KeyRevocation);
    if key.details.revocation_signatures.iter().filter(sealed_by_itself).any(revoked) {
        return Err("the key is revoked".to_owned());
    }
    let certifications = key.details.users.iter().flat_map(|user| &user.signatures);
    let about_primary = newest(certifications.chain(&key.details.direct_signatures).filter(sealed_by_itself));
    let about_primary = about_primary.ok_or("the key is not signed by itself")?;
    if expired(about_primary, &key.primary_key, now) {
        return Err("the key has expired".to_owned());
    }
    let subkeys = key.public_subkeys.iter().enumerate();
    let usable = subkeys.filter(|(_, subkey)| takes_messages(subkey, &key.primary_key, now));
    let subkey = usable.max_by_key(|(_, subkey)| subkey.key.created_at().as_secs()).map(|(at, _)| at);
    let primary_does = about_primary.key_flags().encrypt_comms() || about_primary.key_flags().encrypt_storage();
    if subkey.is_none() && !(primary_does && key.primary_key.algorithm().can_encrypt()) {
        return Err(
            "no part of the key can take messages now: it is for signatures only, expired or revoked".to_owned()
        );
    }
    Ok(Recipient { key: Box::new(key), subkey })
}

/// The one public key in a text.
fn single(text: &str) -> Result<SignedPublicKey, String> {
    let mut found = if text.starts_with("-----BEGIN") {
        let (keys, _) = PublicOrSecret::from_armor_many(text.as_bytes()).map_err(|error| error.to_string())?;
        keys.take(2).collect::<Vec<_>>()
    } else {
        let bytes = STANDARD.decode(text).map_err(|error| format!("illegal base64 data: {error}"))?;
        let keys = PublicOrSecret::from_bytes_many(&*bytes).map_err(|error| error.to_string())?;
        keys.take(2).collect()
    };
    match (found.pop(), found.pop()) {
        (Some(Ok(PublicOrSecret::Public(key))), None) => Ok(key),
        (Some(Ok(PublicOrSecret::Secret(_))), _) | (_, Some(Ok(PublicOrSecret::Secret(_)))) => {
            Err("this is a secret key, which nobody but its holder may have: give the public key".to_owned())
        }
        (Some(Err(error)), _) => Err(error.to_string()),
        (Some(_), Some(_)) => Err("there is more than one key".to_owned()),
        (None, _) => Err("there is no key in it".to_owned()),
    }
}

/// Whether messages can be encrypted to a subkey: bound by the primary key for that, neither revoked nor expired.
fn takes_messages<P: VerifyingKey + Serialize>(subkey: &SignedPublicSubKey, primary: &P, now: Timestamp) -> bool {
    let genuine = || subkey.signatures.iter().filter(|found| found.verify_subkey_binding(primary, &subkey.key).is_ok());
    let of = |kind| move |found: &&Signature| found.typ() == Some(kind);
    if !subkey.key.algorithm().can_encrypt() || genuine().any(|found| of(SignatureType::SubkeyRevocation)(&found)) {
        return false;
    }
    newest(genuine().filter(of(SignatureType::SubkeyBinding))).is_some_and(|binding| {
        let flags = binding.key_flags();
        (flags.encrypt_comms() || flags.encrypt_storage()) && !expired(binding, &subkey.key, now)
    })
}

fn newest<'s>(signatures: impl Iterator<Item = &'s Signature>) -> Option<&'s Signature> {
    signatures.max_by_key(|signature| signature.created().map(|at| at.as_secs()))
}

/// Whether a key has ended, by what a signature over it says.
fn expired(signature: &Signature, key: &impl KeyDetails, now: Timestamp) -> bool {
    let life = signature.key_expiration_time().map_or(0, |life| life.as_secs());
    life > 0 && i64::from(key.created_at().as_secs()) + i64::from(life) <= now.secs()
}
