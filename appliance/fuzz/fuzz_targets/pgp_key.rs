//! A PGP key that a client gave: refused as the client's fault, or something that can be encrypted to. Binary keys are
//! mutated more usefully than their base64, so they are encoded here; text that is armored goes in as it is.
#![no_main]

use base64::Engine as _;
use framework::{Error, Secret, Timestamp};
use seals::pgp::Recipient;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let now = Timestamp::from_secs(1_800_000_000);
    let text = match std::str::from_utf8(bytes) {
        Ok(text) if text.starts_with("-----BEGIN") || text.starts_with("keybase") => text.to_owned(),
        _ => base64::engine::general_purpose::STANDARD.encode(bytes),
    };
    match Recipient::parse(&text, "pgp_keys", now) {
        Ok(recipient) => {
            assert!(!recipient.fingerprint().is_empty());
            assert!(recipient.encrypt(&Secret::from("a share")).is_ok());
        }
        Err(Error::Invalid { field: Some("pgp_keys"), .. }) => {}
        Err(other) => panic!("{other:?}"),
    }
});
