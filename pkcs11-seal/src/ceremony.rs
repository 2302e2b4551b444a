//! The offline commands: `holdfast hsm init`, `status`, `tokens` and `keys`. They print, they exit; no server is running.

use std::thread;
use std::time::Duration;

use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use hardening::random_bytes;

use crate::config::Config;
use crate::connection::Connection;
use crate::entry::Entry;
use crate::error::{Error, Fault, Kind};
use crate::key;
use crate::module::Module;
use crate::report::{Attributes, KeyReport, TokenReport};
use crate::token;

/// How `init` is to be done.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Look at everything, make nothing.
    pub dry_run: bool,
}

/// A new key may not be usable at once: AWS CloudHSM first copies it to a second HSM.
const PATIENCE: u32 = 20;
const PAUSE: Duration = Duration::from_millis(500);

/// Makes the seal key, once: AES-256, generated inside the HSM, with every attribute given and then read back; then
/// wraps and unwraps with it as the server will.
///
/// # Errors
/// If a key of that label exists (nothing is made), or the token cannot make such a key (a key made otherwise than asked
/// is destroyed again), or as [`Hsm::describe`](crate::Hsm::describe).
pub fn init(config: &Config, options: Options) -> Result<KeyReport, Error> {
    Ok(make(config, options)?)
}

/// Opens the seal key as the server does, and reports it.
///
/// # Errors
/// As [`Hsm::describe`](crate::Hsm::describe).
pub fn status(config: &Config) -> Result<KeyReport, Error> {
    Ok(report(&Connection::open(config)?, "usable as seal key; it wrapped and unwrapped a probe"))
}

/// The tokens that the module shows. Takes no PIN.
///
/// # Errors
/// If the module does not load or answer.
pub fn tokens(config: &Config) -> Result<Vec<TokenReport>, Error> {
    Ok(list_tokens(config)?)
}

/// The secret keys on the token, each with what hinders it from being a seal key.
///
/// # Errors
/// As [`Hsm::describe`](crate::Hsm::describe), but for the key.
pub fn keys(config: &Config) -> Result<Vec<KeyReport>, Error> {
    Ok(list_keys(config)?)
}

fn list_tokens(config: &Config) -> Result<Vec<TokenReport>, Fault> {
    config.validate()?;
    let module = Module::load(&config.library)?;
    module.initialize()?;
    let report = |(slot, token): (cryptoki::slot::Slot, cryptoki::slot::TokenInfo)| TokenReport {
        slot: slot.id(),
        label: token.label().to_owned(),
        serial: token.serial_number().to_owned(),
        manufacturer: token.manufacturer_id().to_owned(),
        model: token.model().to_owned(),
        pin: match () {
            () if !token.user_pin_initialized() => "not set",
            () if token.user_pin_locked() => "locked",
            () if token.user_pin_final_try() => "one try left",
            () if token.user_pin_count_low() => "wrong PIN tried",
            () => "ok",
        },
    };
    Ok(token::list(module)?.into_iter().map(report).collect())
}

fn list_keys(config: &Config) -> Result<Vec<KeyReport>, Fault> {
    let entry = Entry::open(config)?;
    let template = [Attribute::Class(ObjectClass::SECRET_KEY), Attribute::Token(true)];
    let mut reports = Vec::new();
    for handle in entry.keeper.find_objects(&template)? {
        let attributes = key::read(&entry.keeper, handle)?;
        let label = attributes.text(AttributeType::Label);
        reports.push(KeyReport {
            outcome: key::check(&attributes, &label)
                .map_or_else(|fault| fault.message, |()| "fit to be a seal key".into()),
            token_label: entry.token.label().to_owned(),
            token_serial: entry.token.serial_number().to_owned(),
            key_label: label,
            attributes: attributes.named(),
            check_value: None,
        });
    }
    Ok(reports)
}

fn make(config: &Config, options: Options) -> Result<KeyReport, Fault> {
    let entry = Entry::open(config)?;
    let label = &config.key_label;
    if !key::labelled(&entry.keeper, label, None)?.is_empty() {
        return Err(Fault::operator(format!(
            "token {:?} already has a key labelled {label:?}: nothing was made. To use it, start the server; \
             `holdfast hsm keys` shows it",
            entry.token.label()
        )));
    }
    offers_mechanisms(&entry)?;
    let mut template = template(config);
    if options.dry_run {
        return Ok(KeyReport {
            outcome: "nothing made (dry run); this is what would be asked for".to_owned(),
            token_label: entry.token.label().to_owned(),
            token_serial: entry.token.serial_number().to_owned(),
            key_label: label.clone(),
            attributes: key::named(&template).named(),
            check_value: None,
        });
    }
    let handle = generate(&entry.keeper, &mut template)?;
    let made = key::read(&entry.keeper, handle).and_then(|found| as_asked(&template, &found));
    if let Err(fault) = made {
        return Err(destroy(&entry.keeper, handle, fault));
    }
    let connection = open_when_ready(entry, config)?;
    Ok(report(&connection, "made in the HSM; it wrapped and unwrapped a probe"))
}

fn offers_mechanisms(entry: &Entry) -> Result<(), Fault> {
    let offered = entry.module.pkcs11().get_mechanism_list(entry.slot)?;
    for needed in [MechanismType::AES_KEY_GEN, MechanismType::AES_GCM] {
        if !offered.contains(&needed) {
            let label = entry.token.label();
            return Err(Fault::operator(format!(
                "token {label:?} does not offer {needed}: it cannot hold the seal key"
            )));
        }
    }
    Ok(())
}

/// Every attribute is given: defaults differ (in AWS CloudHSM a key is extractable unless told otherwise). The two at
/// the end are given up if the token will not hear of them.
fn template(config: &Config) -> Vec<Attribute> {
    let id = config.key_id.clone().unwrap_or_else(|| {
        let mut id = vec![0; 16];
        random_bytes(&mut id);
        id
    });
    vec![
        Attribute::Label(config.key_label.clone().into_bytes()),
        Attribute::Id(id),
        Attribute::ValueLen(32.into()),
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Encrypt(true),
        Attribute::Decrypt(true),
        Attribute::Wrap(false),
        Attribute::Unwrap(false),
        Attribute::Sign(false),
        Attribute::Verify(false),
        Attribute::Derive(false),
        Attribute::Modifiable(false),
    ]
}

/// Attributes that the rules of a seal key do not need.
const WISHES: usize = 2;

fn generate(session: &Session, template: &mut Vec<Attribute>) -> Result<ObjectHandle, Fault> {
    for _ in 0..WISHES {
        match session.generate_key(&Mechanism::AesKeyGen, template).map_err(Fault::from) {
            Err(fault) if fault.kind == Kind::Operator => {
                tracing::debug!(error = %fault.message, "asking for a key with one attribute less");
                template.pop();
            }
            other => return other,
        }
    }
    Ok(session.generate_key(&Mechanism::AesKeyGen, template)?)
}

/// Some tokens take a template and make another key without a word.
fn as_asked(template: &[Attribute], found: &Attributes) -> Result<(), Fault> {
    for (attribute, wanted) in key::named(template).0 {
        match found.get(attribute) {
            Some(value) if *value == wanted => {}
            Some(value) => {
                return Err(Fault::operator(format!("asked for {attribute} {wanted}, the token made it {value}")));
            }
            None => return Err(Fault::operator(format!("the token does not show {attribute} of the key it made"))),
        }
    }
    Ok(())
}

fn destroy(session: &Session, key: ObjectHandle, why: Fault) -> Fault {
    let fate = match session.destroy_object(key) {
        Ok(()) => "the key was destroyed again".to_owned(),
        Err(error) => format!("the key could not be destroyed ({}): delete it", Fault::from(error).message),
    };
    Fault { message: format!("{}; {fate}", why.message), ..why }
}

/// Opens the new key as the server will, which also finds a second key made at the same time.
fn open_when_ready(entry: Entry, config: &Config) -> Result<Connection, Fault> {
    let mut result = Connection::over(entry, config);
    for _ in 0..PATIENCE {
        match &result {
            Err(fault) if matches!(fault.kind, Kind::Busy | Kind::Doubtful | Kind::Lost) => {
                thread::sleep(PAUSE);
                result = Connection::open(config);
            }
            _ => break,
        }
    }
    result
        .map_err(|fault| Fault { message: format!("the key was made but cannot be used: {}", fault.message), ..fault })
}

fn report(connection: &Connection, outcome: &str) -> KeyReport {
    let key = connection.description();
    KeyReport {
        outcome: format!("{outcome}; IV by {}", connection.iv_maker()),
        token_label: key.token_label.clone(),
        token_serial: connection.serial().to_owned(),
        key_label: key.key_label.clone(),
        attributes: connection.attributes().named(),
        check_value: Some(key.check_value.clone()),
    }
}
