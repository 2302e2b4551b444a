//! How new keys are asked for. Every attribute is given: defaults differ (in AWS CloudHSM a key is extractable, and gone with
//! its session, unless told otherwise).

use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::Attribute;
use hardening::random_bytes;

use crate::config::Config;
use crate::key::{self, Role};
use crate::profile::Profile;

/// RSA keys are made this long: NIST SP 800-57 part 1, table 2, for use beyond 2030.
const MODULUS_BITS: u64 = 3072;

/// A key, or a pair, that is to be made.
pub(super) struct NewKey {
    pub(super) role: &'static Role,
    pub(super) label: String,
    pub(super) generator: Mechanism<'static>,
    /// Of the public half of a pair.
    pub(super) public: Option<Vec<Attribute>>,
    /// Of the secret or private key.
    pub(super) template: Vec<Attribute>,
}

impl NewKey {
    /// Asks for a key of this role. The public half of a pair is not asked for on its own.
    pub(super) fn of_role(role: &'static Role, label: &str, config: &Config, profile: &Profile) -> Option<NewKey> {
        let id = if label == config.key_label { &config.key_id } else { &config.hmac_key_id };
        let id = id.clone().unwrap_or_else(|| {
            let mut id = vec![0; 16];
            random_bytes(&mut id);
            id
        });
        let common = || {
            vec![
                Attribute::Label(label.as_bytes().to_vec()),
                Attribute::Id(id.clone()),
                Attribute::Token(true),
                Attribute::Private(true),
            ]
        };
        let mut template = common();
        template.extend([Attribute::Sensitive(true), Attribute::Extractable(false), Attribute::Unwrap(false)]);
        let (generator, public, own) = if std::ptr::eq(role, &key::AES) {
            (Mechanism::AesKeyGen, None, secret(true))
        } else if std::ptr::eq(role, &key::MAC) {
            (Mechanism::GenericSecretKeyGen, None, secret(false))
        } else if std::ptr::eq(role, &key::RSA_PRIVATE) {
            let uses = [Attribute::Encrypt(true), Attribute::Verify(false), Attribute::Wrap(false)];
            let numbers = [Attribute::ModulusBits(MODULUS_BITS.into()), Attribute::PublicExponent(vec![1, 0, 1])];
            let public = common().into_iter().chain(numbers).chain(uses).collect();
            (Mechanism::RsaPkcsKeyPairGen, Some(public), vec![Attribute::Decrypt(true), Attribute::Sign(false)])
        } else {
            return None;
        };
        template.extend(own);
        if profile.fixed_keys {
            template.extend([Attribute::Derive(false), Attribute::Modifiable(false)]);
        }
        Some(NewKey { role, label: label.to_owned(), generator, public, template })
    }

    /// What the token must offer to make it.
    pub(super) fn generator_type(&self) -> MechanismType {
        self.generator.mechanism_type()
    }
}

/// A secret key that encrypts, or one that authenticates.
fn secret(encrypts: bool) -> Vec<Attribute> {
    vec![
        Attribute::ValueLen(32.into()),
        Attribute::Encrypt(encrypts),
        Attribute::Decrypt(encrypts),
        Attribute::Sign(!encrypts),
        Attribute::Verify(!encrypts),
        Attribute::Wrap(false),
    ]
}
