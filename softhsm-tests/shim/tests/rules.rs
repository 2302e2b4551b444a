//! The module keeps CloudHSM's rules, seen from the client's side. Each test in a process of its own: settings and module
//! are a process's for good.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::print_stdout)]

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::mechanism::vendor_defined::VendorDefinedMechanism;
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeType, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;

const PIN: &str = "tester:password-1";
const CHILD: &str = "CLOUDHSM_SHIM_TEST";

struct Token {
    module: Pkcs11,
    slot: Slot,
    state: PathBuf,
}

impl Token {
    fn session(&self) -> Session {
        self.module.open_rw_session(self.slot).unwrap()
    }

    fn logged_in(&self) -> Session {
        let session = self.session();
        log_in(&session, PIN).unwrap();
        session
    }

    fn violations(&self) -> String {
        fs::read_to_string(self.state.join(cloudhsm_shim::VIOLATIONS)).unwrap_or_default()
    }
}

fn log_in(session: &Session, pin: &str) -> Result<(), Error> {
    session.login(UserType::User, Some(&AuthPin::new(pin.into())))
}

#[track_caller]
fn refused<T>(result: Result<T, Error>, with: RvError) {
    match result {
        Err(Error::Pkcs11(code, _)) => assert_eq!(code, with),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("not refused"),
    }
}

/// Runs `body` in a process of its own, on a fresh token under these settings.
fn on(name: &str, settings: &str, body: impl FnOnce(Token)) {
    if env::var(CHILD).as_deref() == Ok(name) {
        let module = Pkcs11::new(env::current_exe().unwrap().with_file_name("libcloudhsm_shim.so")).unwrap();
        module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)).unwrap();
        let slot = module.get_slots_with_initialized_token().unwrap()[0];
        let state = PathBuf::from(env::var_os(cloudhsm_shim::settings::VARIABLE).unwrap()).with_file_name("");
        return body(Token { module, slot, state });
    }
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::create_dir(path("tokens")).unwrap();
    fs::write(path("softhsm2.conf"), format!("directories.tokendir = {}\n", path("tokens").display())).unwrap();
    fs::write(path("settings"), format!("state = {}\n{settings}\n", folder.path().display())).unwrap();
    let made = Command::new("softhsm2-util")
        .env("SOFTHSM2_CONF", path("softhsm2.conf"))
        .args(["--init-token", "--free", "--label", "test", "--pin", PIN, "--so-pin", "so-pin-1234"])
        .output()
        .unwrap();
    assert!(made.status.success());
    let child = Command::new(env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture"])
        .env(CHILD, name)
        .env("SOFTHSM2_CONF", path("softhsm2.conf"))
        .env(cloudhsm_shim::settings::VARIABLE, path("settings"))
        .output()
        .unwrap();
    let out = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success() && out.contains("1 passed"), "{out}{}", String::from_utf8_lossy(&child.stderr));
}

fn aes(label: &str) -> Vec<Attribute> {
    vec![
        Attribute::Label(label.into()),
        Attribute::Id(label.into()),
        Attribute::ValueLen(32.into()),
        Attribute::Token(true),
        Attribute::Extractable(false),
        Attribute::Sensitive(true),
        Attribute::Encrypt(true),
        Attribute::Decrypt(true),
    ]
}

fn key(session: &Session, template: &[Attribute]) -> Result<ObjectHandle, Error> {
    session.generate_key(&Mechanism::AesKeyGen, template)
}

#[test]
fn sessions() {
    on("sessions", "sessions = 3", |token| {
        refused(token.module.open_ro_session(token.slot), RvError::FunctionFailed);
        let open: Vec<Session> = (0..3).map(|_| token.session()).collect();
        refused(token.module.open_rw_session(token.slot), RvError::SessionCount);
        drop(open);
        let session = token.logged_in();
        refused(log_in(&token.session(), PIN), RvError::UserAlreadyLoggedIn);
        let twice = token.module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK));
        refused(twice, RvError::CryptokiAlreadyInitialized);
        assert_eq!(session.generate_random_vec(8).unwrap().len(), 8);
        assert_eq!(token.violations(), "");
    });
}

#[test]
fn five_wrong_passwords_lock_the_user_and_nothing_warns() {
    on("five_wrong_passwords_lock_the_user_and_nothing_warns", "", |token| {
        let session = token.session();
        for unlike_a_pin in ["no-colon-at-all", "user:short", ":no-user-name"] {
            refused(log_in(&session, unlike_a_pin), RvError::ArgumentsBad);
        }
        for _ in 0..4 {
            refused(log_in(&session, "tester:wrong-password"), RvError::PinIncorrect);
            let info = token.module.get_token_info(token.slot).unwrap();
            assert!(!info.user_pin_count_low() && !info.user_pin_final_try());
        }
        log_in(&session, PIN).unwrap();
        session.logout().unwrap();
        for _ in 0..5 {
            refused(log_in(&session, "tester:wrong-password"), RvError::PinIncorrect);
        }
        refused(log_in(&session, PIN), RvError::PinLocked);
    });
}

#[test]
fn mechanisms() {
    on("mechanisms", "", |token| {
        let offered = token.module.get_mechanism_list(token.slot).unwrap();
        let vendor = MechanismType::new_vendor_defined(0x8000_1087).unwrap();
        for there in [MechanismType::AES_GCM, MechanismType::AES_CBC_PAD] {
            assert!(offered.contains(&there), "{there}");
        }
        // The list that `cryptoki` gives has no vendors' mechanisms.
        assert!(token.module.get_mechanism_info(token.slot, vendor).unwrap().encrypt());
        for absent in [MechanismType::AES_KEY_WRAP, MechanismType::DES3_CBC] {
            assert!(!offered.contains(&absent), "{absent}");
            assert!(token.module.get_mechanism_info(token.slot, absent).is_err());
        }
        let session = token.logged_in();
        let wrapping = key(&session, &aes("k")).unwrap();
        refused(session.wrap_key(&Mechanism::AesKeyWrap, wrapping, wrapping), RvError::MechanismInvalid);
        assert_eq!(session.digest(&Mechanism::Sha256, b"x").unwrap().len(), 32);
        let exponent = Attribute::PublicExponent(vec![1, 0, 1]);
        let (public, private) = ([Attribute::ModulusBits(2048.into()), exponent, Attribute::Encrypt(true)], []);
        let pair = session.generate_key_pair(&Mechanism::RsaPkcsKeyPairGen, &public, &private).unwrap();
        refused(session.encrypt(&Mechanism::RsaPkcs, pair.0, b"x"), RvError::MechanismInvalid);
    });
}

#[test]
fn the_hsm_makes_the_iv() {
    on("the_hsm_makes_the_iv", "", |token| {
        let session = token.logged_in();
        let key = key(&session, &aes("k")).unwrap();
        let encrypt = |iv: &mut [u8], plain: &[u8]| {
            let params = GcmParams::new(iv, b"aad", 128.into()).unwrap();
            token.session().encrypt(&Mechanism::AesGcm(params), key, plain)
        };
        refused(encrypt(&mut [7; 12], b"plain"), RvError::MechanismParamInvalid);
        refused(encrypt(&mut [0; 16], b"plain"), RvError::MechanismParamInvalid);
        refused(encrypt(&mut [0; 12], &[1; 16_225]), RvError::DataLenRange);
        assert_eq!(encrypt(&mut [0; 12], &[1; 16_224]).unwrap().len(), 16_240);
        let (mut one, mut two) = ([0; 12], [0; 12]);
        let sealed = encrypt(&mut one, b"plain").unwrap();
        encrypt(&mut two, b"plain").unwrap();
        assert!(one != two && one != [0; 12]);
        let mut iv = one;
        let gcm = Mechanism::AesGcm(GcmParams::new(&mut iv, b"aad", 128.into()).unwrap());
        assert_eq!(session.decrypt(&gcm, key, &sealed).unwrap(), b"plain");

        let parts = token.session();
        let mut zero = [0; 12];
        parts.encrypt_init(&Mechanism::AesGcm(GcmParams::new(&mut zero, b"", 128.into()).unwrap()), key).unwrap();
        refused(parts.encrypt_update(b"part"), RvError::MechanismInvalid);
        assert_eq!(token.violations(), "");
    });
}

/// As `CK_GCM_PARAMS`, which `cryptoki` makes with an IV only.
#[repr(C)]
struct Parameters {
    iv: *const u8,
    iv_length: u64,
    iv_bits: u64,
    aad: *const u8,
    aad_length: u64,
    tag_bits: u64,
}

#[test]
fn the_vendors_mechanism_puts_the_iv_in_front() {
    on("the_vendors_mechanism_puts_the_iv_in_front", "", |token| {
        let session = token.logged_in();
        let key = key(&session, &aes("k")).unwrap();
        let parameters = |aad: &'static [u8]| Parameters {
            iv: std::ptr::null(),
            iv_length: 0,
            iv_bits: 0,
            aad: aad.as_ptr(),
            aad_length: aad.len() as u64,
            tag_bits: 128,
        };
        let kind = MechanismType::new_vendor_defined(0x8000_1087).unwrap();
        let (right, wrong) = (parameters(b"aad"), parameters(b"AAD"));
        let mechanism = Mechanism::VendorDefined(VendorDefinedMechanism::new(kind, Some(&right)));
        let one = session.encrypt(&mechanism, key, b"plain").unwrap();
        let two = session.encrypt(&mechanism, key, b"plain").unwrap();
        assert_eq!(one.len(), 12 + 5 + 16);
        assert_ne!(one[..12], two[..12]);
        assert_eq!(session.decrypt(&mechanism, key, &one).unwrap(), b"plain");
        let mut iv: [u8; 12] = one[..12].try_into().unwrap();
        let plain = Mechanism::AesGcm(GcmParams::new(&mut iv, b"aad", 128.into()).unwrap());
        assert_eq!(session.decrypt(&plain, key, &one[12..]).unwrap(), b"plain");
        let wrong = Mechanism::VendorDefined(VendorDefinedMechanism::new(kind, Some(&wrong)));
        assert!(token.session().decrypt(&wrong, key, &one).is_err());
        assert_eq!(token.violations(), "");
    });
}

#[test]
fn a_zero_or_repeated_iv_is_a_violation() {
    on("a_zero_or_repeated_iv_is_a_violation", "rules = none", |token| {
        let session = token.logged_in();
        let key = key(&session, &aes("k")).unwrap();
        for (mut iv, seen) in [([1; 12], 0), ([2; 12], 0), ([1; 12], 1), ([0; 12], 2)] {
            let gcm = Mechanism::AesGcm(GcmParams::new(&mut iv, b"", 128.into()).unwrap());
            session.encrypt(&gcm, key, b"plain").unwrap();
            assert_eq!(token.violations().lines().count(), seen);
        }
    });
}

#[test]
fn attributes() {
    on("attributes", "", |token| {
        let session = token.logged_in();
        let flags = |key: ObjectHandle| {
            let kinds = [AttributeType::Token, AttributeType::Extractable, AttributeType::Sign, AttributeType::Encrypt];
            session.get_attributes(key, &kinds).unwrap()
        };
        let bare = key(&session, &[Attribute::ValueLen(32.into())]).unwrap();
        let defaults =
            [Attribute::Token(false), Attribute::Extractable(true), Attribute::Sign(true), Attribute::Encrypt(false)];
        assert_eq!(flags(bare), defaults);
        let with = |attribute: Attribute| key(&session, &[vec![attribute], aes("with")].concat());
        refused(key(&session, &[Attribute::Token(true)]), RvError::TemplateIncomplete);
        refused(with(Attribute::Private(false)), RvError::AttributeValueInvalid);
        refused(with(Attribute::Modifiable(false)), RvError::AttributeValueInvalid);
        refused(with(Attribute::Copyable(false)), RvError::TemplateInconsistent);
        refused(with(Attribute::Local(true)), RvError::AttributeReadOnly);
        let label = [Attribute::Label(b"other".to_vec())];
        refused(session.update_attributes(bare, &label), RvError::FunctionNotSupported);
        refused(session.copy_object(bare, &label), RvError::FunctionNotSupported);
        assert!(session.get_attributes(bare, &[AttributeType::Copyable]).unwrap().is_empty());
        let (public, private) = (
            [Attribute::ModulusBits(2048.into()), Attribute::PublicExponent(vec![1, 0, 1])],
            [Attribute::ModulusBits(2048.into()), Attribute::Sign(true)],
        );
        let (_, useless) = session.generate_key_pair(&Mechanism::RsaPkcsKeyPairGen, &public, &private).unwrap();
        assert_eq!(session.get_attributes(useless, &[AttributeType::Sign]).unwrap(), [Attribute::Sign(false)]);
    });
}

#[test]
fn quota_and_ids() {
    on("quota_and_ids", "keys = 2\nduplicate_ids = false", |token| {
        let session = token.logged_in();
        key(&session, &aes("one")).unwrap();
        refused(key(&session, &aes("one")), RvError::AttributeValueInvalid);
        key(&session, &aes("two")).unwrap();
        refused(key(&session, &aes("three")), RvError::DeviceMemory);
    });
}

fn found_after(token: &Token, session: &Session) -> Duration {
    let since = Instant::now();
    while session.find_objects(&[Attribute::Label(b"k".to_vec())]).unwrap().is_empty() {
        assert!(since.elapsed() < Duration::from_secs(20));
        thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(token.violations(), "");
    since.elapsed()
}

#[test]
fn a_new_key_is_unseen_for_a_while() {
    on("a_new_key_is_unseen_for_a_while", "new_key = invisible 300", |token| {
        let session = token.logged_in();
        key(&session, &aes("k")).unwrap();
        assert!(found_after(&token, &session) >= Duration::from_millis(250));
    });
}

#[test]
fn a_new_key_fails_for_a_while() {
    on("a_new_key_fails_for_a_while", "new_key = failing 300", |token| {
        let session = token.logged_in();
        let key = key(&session, &aes("k")).unwrap();
        found_after(&token, &session);
        let since = Instant::now();
        refused(session.encrypt(&Mechanism::AesCbc([0; 16]), key, &[0; 16]), RvError::FunctionFailed);
        while session.encrypt(&Mechanism::AesCbc([0; 16]), key, &[0; 16]).is_err() {
            assert!(since.elapsed() < Duration::from_secs(20));
            thread::sleep(Duration::from_millis(5));
        }
    });
}

#[test]
fn a_call_in_the_wrong_order_is_a_violation() {
    on("a_call_in_the_wrong_order_is_a_violation", "latency C_GenerateRandom = 5", |token| {
        let session = token.logged_in();
        let key = key(&session, &aes("k")).unwrap();
        session.encrypt_init(&Mechanism::AesCbcPad([0; 16]), key).unwrap();
        session.encrypt_update(b"part").unwrap();
        refused(session.encrypt_init(&Mechanism::AesCbcPad([0; 16]), key), RvError::OperationActive);
        assert!(token.violations().contains("C_EncryptInit while"));
        let since = Instant::now();
        session.generate_random_vec(8).unwrap();
        assert!(since.elapsed() >= Duration::from_millis(5), "latency");
    });
}
