//! Making the seal key, and refusing to start on a doubtful one.
#![cfg(test)]

mod common;

use std::fs;
use std::time::{Duration, Instant};

use common::{KEY, PIN, SPY, TOKEN, alone, config, config_with, init_token, tool};
use pkcs11_seal::ceremony::{self, Options};
use pkcs11_seal::{AttributeValue, Error, Hsm, IvSource, TokenChoice};

fn operator<T>(result: Result<T, Error>) -> String {
    match result {
        Err(Error::Operator(message)) => message,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it worked"),
    }
}

#[test]
fn init_makes_one_key_once() {
    alone("init_makes_one_key_once", |_| {
        let dry = ceremony::init(&config(), Options { dry_run: true }).unwrap();
        assert_eq!(dry.attribute("CKA_EXTRACTABLE"), Some(&AttributeValue::Flag(false)));
        assert_eq!(ceremony::keys(&config()).unwrap(), []);

        let made = ceremony::init(&config(), Options::default()).unwrap();
        for (name, value) in [
            ("CKA_TOKEN", true),
            ("CKA_PRIVATE", true),
            ("CKA_SENSITIVE", true),
            ("CKA_ALWAYS_SENSITIVE", true),
            ("CKA_EXTRACTABLE", false),
            ("CKA_NEVER_EXTRACTABLE", true),
            ("CKA_LOCAL", true),
            ("CKA_ENCRYPT", true),
            ("CKA_DECRYPT", true),
            ("CKA_WRAP", false),
            ("CKA_UNWRAP", false),
            ("CKA_SIGN", false),
            ("CKA_VERIFY", false),
            ("CKA_DERIVE", false),
            ("CKA_MODIFIABLE", false),
        ] {
            assert_eq!(made.attribute(name), Some(&AttributeValue::Flag(value)), "{name}");
        }
        assert_eq!(made.attribute("CKA_VALUE_LEN"), Some(&AttributeValue::Number(32)));
        assert_eq!(made.to_json()["attributes"]["CKA_LABEL"], KEY);
        assert!(made.to_string().contains("check value"));

        let again = operator(ceremony::init(&config(), Options::default()));
        assert!(again.contains("already has a key") && again.contains("nothing was made"), "{again}");
        let status = ceremony::status(&config()).unwrap();
        assert_eq!((status.check_value, status.attributes), (made.check_value, made.attributes));
        assert_eq!(ceremony::keys(&config()).unwrap().len(), 1);
    });
}

#[test]
fn two_keys_of_one_label_stop_the_start() {
    alone("two_keys_of_one_label_stop_the_start", |folder| {
        let made = ceremony::init(&config(), Options::default()).unwrap();
        tool(folder, &["--keygen", "--key-type", "AES:32", "--label", KEY, "--id", "4242"]);
        let message = operator(Hsm::open(config()));
        assert!(message.contains("has 2 secret keys labelled") && message.contains("4242"), "{message}");
        // Told which one, it starts.
        let Some(AttributeValue::Text(id)) = made.attribute("CKA_ID") else { panic!("no id") };
        let id = (0..id.len()).step_by(2).map(|at| u8::from_str_radix(&id[at..at + 2], 16).unwrap()).collect();
        let chosen = Hsm::open(pkcs11_seal::Config { key_id: Some(id), ..config() }).unwrap();
        assert_eq!(Some(chosen.describe().unwrap().check_value), made.check_value);
    });
}

#[test]
fn a_key_that_is_not_fit_is_refused_by_name() {
    alone("a_key_that_is_not_fit_is_refused_by_name", |folder| {
        let none = operator(Hsm::open(config()));
        assert!(none.contains("no secret key labelled") && none.contains("holdfast hsm init"), "{none}");
        tool(folder, &["--keygen", "--key-type", "AES:16", "--label", KEY, "--extractable"]);
        let unfit = operator(Hsm::open(config()));
        for part in ["CKA_VALUE_LEN is 16 and must be 32", "CKA_EXTRACTABLE is true and must be false"] {
            assert!(unfit.contains(part), "{unfit}");
        }
        assert_eq!(ceremony::keys(&config()).unwrap().len(), 1);
    });
}

#[test]
fn the_token_is_found_by_a_unique_label_or_serial() {
    alone("the_token_is_found_by_a_unique_label_or_serial", |folder| {
        let missing = operator(Hsm::open(config_with(common::MODULE, "elsewhere", PIN)));
        assert!(missing.contains("no token labelled \"elsewhere\"") && missing.contains(TOKEN), "{missing}");
        let first = ceremony::tokens(&config()).unwrap().remove(0);
        assert_eq!((first.label.as_str(), first.pin), (TOKEN, "ok"));
        ceremony::init(&config(), Options::default()).unwrap();
        // SoftHSM lists tokens when it is initialised: a handle that is dropped finalises it.
        drop(Hsm::open(config()).unwrap());
        init_token(folder, TOKEN);
        let twice = operator(Hsm::open(config()));
        assert!(twice.contains("more than one token") && twice.contains(&first.serial), "{twice}");
        let by_serial = pkcs11_seal::Config { token: TokenChoice::Serial(first.serial), ..config() };
        assert_eq!(Hsm::open(by_serial).unwrap().describe().unwrap().token_label, TOKEN);
    });
}

#[test]
fn a_wrong_pin_is_tried_once() {
    alone("a_wrong_pin_is_tried_once", |folder| {
        let hsm = Hsm::start(config_with(SPY, TOKEN, "not-the-pin"));
        // Longer than the pauses between two attempts to open a token.
        let started = Instant::now();
        while started.elapsed() < Duration::from_millis(500) {
            let message = operator(hsm.describe());
            assert!(message.starts_with("C_Login: CKR_PIN_INCORRECT: "), "{message}");
            assert!(message.contains("not tried again") && !message.contains("not-the-pin"), "{message}");
        }
        let calls = fs::read_to_string(folder.join("calls")).unwrap();
        assert_eq!(calls.matches(": C_Login\n").count(), 1, "{calls}");
        assert_eq!(ceremony::tokens(&config_with(SPY, TOKEN, PIN)).unwrap()[0].pin, "wrong PIN tried");
    });
}

#[test]
fn nothing_leaves_that_was_encrypted_under_a_zero_iv() {
    alone("nothing_leaves_that_was_encrypted_under_a_zero_iv", |_| {
        ceremony::init(&config(), Options::default()).unwrap();
        // SoftHSM uses the zeros that a token with IVs of its own would have replaced.
        let message = operator(Hsm::open(pkcs11_seal::Config { iv: Some(IvSource::Token), ..config() }));
        assert!(message.contains("all-zero IV"), "{message}");
    });
}

#[test]
fn a_library_that_is_none_is_named() {
    let relative = operator(Hsm::open(config_with("libsofthsm2.so", TOKEN, PIN)));
    assert!(relative.contains("absolute path"), "{relative}");
    let missing = operator(Hsm::open(config_with("/nowhere/libnone.so", TOKEN, PIN)));
    assert!(missing.contains("/nowhere/libnone.so"), "{missing}");
}
