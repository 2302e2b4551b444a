//! Encrypting to OpenPGP keys that GnuPG 2.2 made (`tests/keys`; the secret ones were never anybody's).
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail the test they help")]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use framework::{Error, Secret, Timestamp};
use pgp::composed::{Deserializable, Message, SignedSecretKey};
use proptest::prelude::*;
use seals::pgp::Recipient;

const RSA: &str = include_str!("keys/rsa.public");
const CURVE: &str = include_str!("keys/curve.public");

fn now() -> Timestamp {
    Timestamp::parse("2027-06-01T00:00:00Z").unwrap()
}

fn refused(text: &str) -> String {
    match Recipient::parse(text, "pgp_keys", now()) {
        Err(Error::Invalid { field: Some("pgp_keys"), message }) => message,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("taken: {text:.80}"),
    }
}

fn decrypted(message: &Secret, secret: &str) -> Vec<u8> {
    let key = SignedSecretKey::from_bytes(&*STANDARD.decode(secret.trim()).unwrap()).unwrap();
    Message::from_bytes(message.expose()).unwrap().decrypt(&"".into(), &key).unwrap().as_data_vec().unwrap()
}

#[test]
fn only_the_secret_key_reads_what_was_encrypted() {
    for (public, secret) in [(RSA, include_str!("keys/rsa.secret")), (CURVE, include_str!("keys/curve.secret"))] {
        let recipient = Recipient::parse(public, "pgp_keys", now()).unwrap();
        let message = recipient.encrypt(&Secret::from("0123456789abcdef")).unwrap();
        assert!(!message.expose().windows(16).any(|part| part == b"0123456789abcdef"));
        assert_eq!(decrypted(&message, secret), b"0123456789abcdef");
        assert_ne!(
            recipient.encrypt(&Secret::from("0123456789abcdef")).unwrap(),
            message,
            "a new session key each time"
        );
    }
}

#[test]
fn armored_keys_are_the_same_keys() {
    let armored = Recipient::parse(include_str!("keys/curve.armored"), "pgp_keys", now()).unwrap();
    let fingerprint = Recipient::parse(CURVE, "pgp_keys", now()).unwrap().fingerprint();
    assert_eq!((armored.fingerprint(), fingerprint.len()), (fingerprint.clone(), 40));
    assert!(fingerprint.bytes().all(|digit| digit.is_ascii_hexdigit() && !digit.is_ascii_uppercase()));
}

#[test]
fn keys_that_cannot_take_messages_are_refused() {
    for (text, why) in [
        ("keybase:somebody", "Keybase"),
        ("", "no key"),
        ("!!", "base64"),
        ("aGVsbG8=", "error decoding"),
        ("-----BEGIN PGP PUBLIC KEY BLOCK-----", "error decoding"),
        (include_str!("keys/rsa.secret"), "secret key"),
        (include_str!("keys/signer.public"), "signatures only"),
        (include_str!("keys/expiring.public"), "expired"),
        (include_str!("keys/revoked.public"), "revoked"),
        (&"A".repeat(400_000), "at most"),
    ] {
        let message = refused(text);
        assert!(message.starts_with("error decoding given PGP key: ") && message.contains(why), "{message}");
    }
    let two = [RSA, CURVE].map(|key| STANDARD.decode(key.trim()).unwrap()).concat();
    assert!(refused(&STANDARD.encode(two)).contains("more than one"));
    let made = Timestamp::parse("2026-11-24T22:00:00Z").unwrap();
    assert!(Recipient::parse(include_str!("keys/expiring.public"), "pgp_keys", made).is_ok(), "it was good once");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Bytes that are no key, or one that was altered: a refusal with the field's name, or a key that still works.
    #[test]
    fn any_bytes_are_a_key_or_a_refusal(
        noise in proptest::collection::vec(any::<u8>(), 0..300),
        at in any::<prop::sample::Index>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut key = STANDARD.decode(CURVE.trim()).unwrap();
        refused_or_usable(&noise)?;
        refused_or_usable(&key[..cut.index(key.len())])?;
        let at = at.index(key.len());
        key[at] ^= noise.first().copied().unwrap_or(1) | 1;
        refused_or_usable(&key)?;
        key.splice(at..at, noise);
        refused_or_usable(&key)?;
    }
}

fn refused_or_usable(bytes: &[u8]) -> Result<(), TestCaseError> {
    match Recipient::parse(&STANDARD.encode(bytes), "pgp_keys", now()) {
        Ok(recipient) => prop_assert!(recipient.encrypt(&Secret::from("x")).is_ok()),
        Err(Error::Invalid { field, .. }) => prop_assert_eq!(field, Some("pgp_keys")),
        Err(other) => prop_assert!(false, "{:?}", other),
    }
    Ok(())
}
