//! What each key of the seal must be.

use cryptoki::object::{AttributeType as A, ObjectClass};

use crate::report::AttributeValue::{self, Flag, Name, Number};

/// What a kind of key is for, and what follows from it.
pub(crate) struct Role {
    /// For messages.
    pub(crate) what: &'static str,
    pub(crate) class: ObjectClass,
    /// An attribute, what it must be, and why a key is refused where it is not.
    pub(crate) rules: &'static [(A, AttributeValue, &'static str)],
}

const LASTS: (A, AttributeValue, &str) = (A::Token, Flag(true), "a session key dies with its session");
const PRIVATE: (A, AttributeValue, &str) = (A::Private, Flag(true), "nobody may use it without logging in");
const SENSITIVE: (A, AttributeValue, &str) = (A::Sensitive, Flag(true), "its value must not be readable");
const STAYS: (A, AttributeValue, &str) = (A::Extractable, Flag(false), "it must not leave the HSM under another key");
const NO_WRAP: (A, AttributeValue, &str) =
    (A::Wrap, Flag(false), "a key that wraps and decrypts gives other keys away");
const NO_UNWRAP: (A, AttributeValue, &str) =
    (A::Unwrap, Flag(false), "a key that unwraps and encrypts takes in known keys");
const NO_SIGN: (A, AttributeValue, &str) = (A::Sign, Flag(false), "one key, one purpose");

/// Wraps, by AES.
pub(crate) static AES: Role = Role {
    what: "secret key",
    class: ObjectClass::SECRET_KEY,
    rules: &[
        (A::KeyType, Name("CKK_AES"), "the seal wraps with AES"),
        (A::ValueLen, Number(32), "the seal key is an AES-256 key"),
        LASTS,
        PRIVATE,
        SENSITIVE,
        STAYS,
        (A::Encrypt, Flag(true), "the seal encrypts with it"),
        (A::Decrypt, Flag(true), "the seal decrypts with it"),
        NO_WRAP,
        NO_UNWRAP,
        NO_SIGN,
    ],
};

/// Authenticates what AES-CBC encrypted.
pub(crate) static MAC: Role = Role {
    what: "secret key",
    class: ObjectClass::SECRET_KEY,
    rules: &[
        (A::KeyType, Name("CKK_GENERIC_SECRET"), "HMAC takes a generic secret"),
        (A::ValueLen, Number(32), "HMAC-SHA256 has 256 bits"),
        LASTS,
        PRIVATE,
        SENSITIVE,
        STAYS,
        (A::Sign, Flag(true), "the seal authenticates with it"),
        (A::Encrypt, Flag(false), "one key, one purpose"),
        (A::Decrypt, Flag(false), "one key, one purpose"),
        NO_WRAP,
        NO_UNWRAP,
    ],
};

/// Unwraps, by RSA.
pub(crate) static RSA_PRIVATE: Role = Role {
    what: "private key",
    class: ObjectClass::PRIVATE_KEY,
    rules: &[
        (A::KeyType, Name("CKK_RSA"), "the seal wraps with RSA"),
        LASTS,
        PRIVATE,
        SENSITIVE,
        STAYS,
        (A::Decrypt, Flag(true), "the seal decrypts with it"),
        NO_UNWRAP,
        NO_SIGN,
    ],
};

/// Wraps, by RSA; and the seal is known by its modulus.
pub(crate) static RSA_PUBLIC: Role = Role {
    what: "public key",
    class: ObjectClass::PUBLIC_KEY,
    rules: &[
        (A::KeyType, Name("CKK_RSA"), "the seal wraps with RSA"),
        LASTS,
        (A::Encrypt, Flag(true), "the seal encrypts with it"),
        (A::Wrap, Flag(false), "one key, one purpose"),
    ],
};
