//! On a module with AWS CloudHSM's rules: making the key, using it, and what the doctor says.
#![cfg(test)]

mod common;

use std::path::Path;
use std::time::{Duration, Instant};

use common::{PIN, TOKEN, alone, alone_with, config, config_with, secret, shim, violations};
use pkcs11_seal::ceremony::{self, Options};
use pkcs11_seal::doctor::{self, Verdict};
use pkcs11_seal::{AttributeValue, Config, Error, Hsm};

fn on_shim() -> Config {
    Config { library: shim(), ..config() }
}

/// Makes the key, whose use is delayed for over a second, and uses it.
fn waits_for_a_new_key(folder: &Path) {
    let since = Instant::now();
    let made = ceremony::init(&on_shim(), Options::default()).unwrap();
    assert!(since.elapsed() > Duration::from_secs(1));
    for name in ["CKA_EXTRACTABLE", "CKA_WRAP", "CKA_SIGN"] {
        assert_eq!(made.attribute(name), Some(&AttributeValue::Flag(false)), "{name}");
    }
    let hsm = Hsm::open(on_shim()).unwrap();
    assert!(hsm.describe().unwrap().library.contains("profile cloudhsm"));
    for round in 0..50_u8 {
        let blob = hsm.wrap(&secret(&[round; 32]), b"p").unwrap();
        assert_eq!(hsm.unwrap(&blob, b"p").unwrap(), secret(&[round; 32]));
    }
    assert_eq!(violations(folder), "");
}

#[test]
fn a_new_key_that_is_not_seen_yet() {
    alone_with("a_new_key_that_is_not_seen_yet", "new_key = invisible 1200", waits_for_a_new_key);
}

#[test]
fn a_new_key_that_fails_at_first() {
    alone_with("a_new_key_that_fails_at_first", "new_key = failing 1200", waits_for_a_new_key);
}

#[test]
fn a_wrong_password_costs_one_strike_however_often_it_is_asked_for() {
    alone("a_wrong_password_costs_one_strike_however_often_it_is_asked_for", |folder| {
        let wrong = || config_with(shim().to_str().unwrap(), TOKEN, "tester:wrong-password");
        let hsm = Hsm::start(wrong());
        let since = Instant::now();
        while since.elapsed() < Duration::from_millis(300) {
            assert!(matches!(hsm.describe(), Err(Error::Operator(message)) if message.contains("CKR_PIN_INCORRECT")));
        }
        let refused = hsm.refused_pin();
        assert_eq!(refused, Some(0xa0));
        drop(hsm);
        // The next process is told, and tries nothing.
        let next = Hsm::refused(wrong(), 0xa0);
        assert!(matches!(next.describe(), Err(Error::Operator(message)) if message.contains("CKR_PIN_INCORRECT")));
        assert_eq!(std::fs::read_to_string(folder.join("strikes")).unwrap(), "1");
    });
}

fn verdict(examination: &doctor::Examination, check: &str) -> Verdict {
    examination.findings.iter().find(|finding| finding.check == check).unwrap().verdict
}

#[test]
fn the_doctor_passes_cloudhsm() {
    alone("the_doctor_passes_cloudhsm", |folder| {
        let before = doctor::examine(&on_shim(), None);
        assert!(before.passed(), "{before}");
        ceremony::init(&on_shim(), Options::default()).unwrap();
        let after = doctor::examine(&on_shim(), None);
        let clean = after.findings.iter().all(|finding| finding.verdict == Verdict::Ok);
        assert!(clean && after.profile == "cloudhsm", "{after}");
        assert_eq!(ceremony::keys(&on_shim()).unwrap().len(), 1, "nothing is left behind");
        assert_eq!(violations(folder), "");
    });
}

#[test]
fn the_doctor_says_what_softhsm_fails() {
    alone("the_doctor_says_what_softhsm_fails", |_| {
        ceremony::init(&config(), Options::default()).unwrap();
        let found = doctor::examine(&config(), None);
        assert!(!found.passed());
        assert_eq!(verdict(&found, "IV left to the token"), Verdict::Fail);
        for check in ["read-only sessions", "IV by the caller", "encryption in parts", "longest value", "defaults"] {
            assert_eq!(verdict(&found, check), Verdict::Differs, "{check}");
        }
        assert_eq!(verdict(&found, "seal key"), Verdict::Ok);
        let json = found.to_json();
        assert_eq!((&json["passed"], &json["profile"]), (&false.into(), &"cloudhsm".into()));
    });
}

#[test]
fn the_doctor_tells_who_cannot_come_in() {
    alone("the_doctor_tells_who_cannot_come_in", |_| {
        let found = doctor::examine(&config_with(shim().to_str().unwrap(), "elsewhere", PIN), None);
        assert!(!found.passed() && found.to_string().contains("no token labelled \"elsewhere\""), "{found}");
    });
}
