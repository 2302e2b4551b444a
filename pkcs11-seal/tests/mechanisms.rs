//! Every mechanism wraps, binds and refuses alike, and values outlive a change of mechanism.
#![cfg(test)]

mod common;

use cloudhsm_shim as _;
use common::{KEY, alone, alone_with, config, secret, shim, violations};
use pkcs11_seal::ceremony::{self, Options};
use pkcs11_seal::{
    AES_CBC_PAD, AES_GCM, Blob, CLOUDHSM_AES_GCM, Config, Error, Hsm, OaepHash, RSA_OAEP, parse_mechanism,
};

/// SoftHSM has OAEP with SHA-1 only.
fn with(mechanism: u32) -> Config {
    Config {
        mechanism: Some(mechanism),
        hmac_key_label: Some("holdfast-hmac".to_owned()),
        oaep_hash: OaepHash::Sha1,
        ..config()
    }
}

fn wraps_and_binds(config: Config) {
    let mechanism = config.mechanism.unwrap();
    let hsm = Hsm::open(config).unwrap();
    for length in [0, 1, 32, 100] {
        let plain = secret(&vec![7; length]);
        let (one, two) = (hsm.wrap(&plain, b"place").unwrap(), hsm.wrap(&plain, b"place").unwrap());
        assert_eq!(one.mechanism, mechanism);
        assert_ne!(one, two, "no two wraps are alike");
        assert_eq!(hsm.unwrap(&one, b"place").unwrap(), plain);
        let rejected = |bytes: Vec<u8>, aad: &[u8], what: String| {
            let result = hsm.unwrap(&Blob { mechanism, bytes }, aad);
            assert!(matches!(result, Err(Error::Rejected(_) | Error::Operator(_))), "{what}: {result:?}");
        };
        rejected(one.bytes.clone(), b"elsewhere", "another place".to_owned());
        for at in (0..one.bytes.len()).step_by(5) {
            let mut flipped = one.bytes.clone();
            flipped[at] ^= 1;
            rejected(flipped, b"place", format!("bit flipped at {at} of {length}"));
        }
        for cut in [0, 1, 20, one.bytes.len() - 1] {
            rejected(one.bytes[..cut].to_vec(), b"place", format!("cut to {cut} of {length}"));
        }
        assert_eq!(hsm.unwrap(&two, b"place").unwrap(), plain, "and works after all that");
    }
    assert!(matches!(hsm.wrap(&secret(&[7; 20_000]), b""), Err(Error::Operator(_))));
}

#[test]
fn cbc_with_hmac() {
    alone("cbc_with_hmac", |_| {
        let made = ceremony::init(&with(AES_CBC_PAD), Options::default()).unwrap();
        assert!(made.outcome.contains("holdfast-hmac"), "{}", made.outcome);
        wraps_and_binds(with(AES_CBC_PAD));
        let other = Config { hmac_key_label: None, ..with(AES_CBC_PAD) };
        let Err(Error::Operator(message)) = Hsm::open(other) else { panic!("opened") };
        assert!(message.contains("needs hmac_key_label"), "{message}");
    });
}

#[test]
fn rsa_oaep() {
    alone("rsa_oaep", |_| {
        ceremony::init(&with(RSA_OAEP), Options::default()).unwrap();
        wraps_and_binds(with(RSA_OAEP));
        let first = Hsm::open(with(RSA_OAEP)).unwrap().describe().unwrap().check_value;
        assert_eq!((first[0], first.len()), (3, 33));
    });
}

#[test]
fn cloudhsms_own() {
    alone_with("cloudhsms_own", "", |folder| {
        let config = || Config { library: shim(), ..with(CLOUDHSM_AES_GCM) };
        ceremony::init(&config(), Options::default()).unwrap();
        wraps_and_binds(config());
        // The same blob as AES-GCM's.
        let hsm = Hsm::open(config()).unwrap();
        let blob = hsm.wrap(&secret(b"x"), b"p").unwrap();
        assert_eq!(hsm.unwrap(&Blob { mechanism: AES_GCM, ..blob }, b"p").unwrap(), secret(b"x"));
        assert_eq!(violations(folder), "");
    });
}

#[test]
fn what_an_earlier_mechanism_wrapped_is_still_read() {
    alone("what_an_earlier_mechanism_wrapped_is_still_read", |_| {
        ceremony::init(&with(AES_GCM), Options::default()).unwrap();
        let before = Hsm::open(with(AES_GCM)).unwrap();
        let (old, check_value) = (before.wrap(&secret(b"old"), b"p").unwrap(), before.describe().unwrap().check_value);
        drop(before);
        let Err(Error::Operator(message)) = Hsm::open(with(AES_CBC_PAD)) else { panic!("without its MAC key") };
        assert!(message.contains("holdfast-hmac"), "{message}");
        // The key that is missing is made, the seal key stays.
        ceremony::init(&with(AES_CBC_PAD), Options::default()).unwrap();
        let after = Hsm::open(with(AES_CBC_PAD)).unwrap();
        assert_eq!(after.describe().unwrap().check_value, check_value);
        let new = after.wrap(&secret(b"new"), b"p").unwrap();
        assert_eq!((old.mechanism, new.mechanism), (AES_GCM, AES_CBC_PAD));
        drop(after);
        for mechanism in [AES_GCM, AES_CBC_PAD] {
            let hsm = Hsm::open(with(mechanism)).unwrap();
            assert_eq!(hsm.unwrap(&old, b"p").unwrap(), secret(b"old"));
            assert_eq!(hsm.unwrap(&new, b"p").unwrap(), secret(b"new"));
            let confused = Blob { mechanism: AES_GCM, ..new.clone() };
            assert!(matches!(hsm.unwrap(&confused, b"p"), Err(Error::Rejected(_))));
            let unknown = Blob { mechanism: 0x1082, ..new.clone() };
            assert!(matches!(hsm.unwrap(&unknown, b"p"), Err(Error::Operator(_))));
        }
    });
}

#[test]
fn mechanisms_have_vaults_names() {
    for (text, number) in [("0x1087", AES_GCM), ("4229", AES_CBC_PAD), ("CKM_RSA_PKCS_OAEP", RSA_OAEP)] {
        assert_eq!(parse_mechanism(text), Some(number));
    }
    for unknown in ["0x1082", "", "gcm"] {
        assert_eq!(parse_mechanism(unknown), None);
    }
    assert!(!KEY.is_empty());
}
