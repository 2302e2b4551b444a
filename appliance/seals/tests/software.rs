//! A seal by a shared key.

use framework::{Error, Seal, Secret, Wrapped};
use seals::ShamirSeal;

#[test]
fn unwraps_only_what_this_key_wrapped_for_this_place() {
    let key = Secret::random(32).unwrap();
    let seal = ShamirSeal::from_key(&key).unwrap();
    let root = Secret::random(32).unwrap();
    let wrapped = seal.wrap(&root, b"root").unwrap();
    assert_ne!(seal.wrap(&root, b"root").unwrap(), wrapped, "fresh nonce");
    let stored = Wrapped::decode(&wrapped.encode()).unwrap();
    let opened = ShamirSeal::from_key(&key).unwrap().unwrap(&stored, b"root").unwrap();
    assert!(opened == root && opened.is_locked());

    assert!(matches!(seal.unwrap(&stored, b"other"), Err(Error::Invalid { .. })));
    let other = ShamirSeal::from_key(&Secret::random(32).unwrap()).unwrap();
    assert!(matches!(other.unwrap(&stored, b"root"), Err(Error::Invalid { message, .. }) if message.contains("share")));
    for at in 0..stored.blob.len() {
        let mut bent = stored.clone();
        bent.blob[at] ^= 0x10;
        assert!(seal.unwrap(&bent, b"root").is_err(), "{at}");
        bent.blob.truncate(at);
        assert!(seal.unwrap(&bent, b"root").is_err(), "{at}");
    }
    assert!(seal.unwrap(&Wrapped { mechanism: 0x1087, ..stored }, b"root").is_err());
    assert!(ShamirSeal::from_key(&Secret::random(33).unwrap()).is_err());
}
