//! The offline commands: `holdfast hsm init`, `status`, `tokens` and `keys`. They print, they exit; no server is running.

mod init;
mod template;

pub use init::{Options, init};

use cryptoki::object::{Attribute, AttributeType, ObjectClass};

use crate::config::Config;
use crate::connection::Connection;
use crate::entry::Entry;
use crate::error::{Error, Fault};
use crate::key::{self, Role};
use crate::module::Module;
use crate::report::{AttributeValue, KeyReport, TokenReport};
use crate::token;

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

/// The keys on the token, each with what hinders it from being a key of the seal.
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
    let session = entry.door.session()?;
    let mut reports = Vec::new();
    for class in [ObjectClass::SECRET_KEY, ObjectClass::PRIVATE_KEY, ObjectClass::PUBLIC_KEY] {
        for handle in session.find_objects(&[Attribute::Class(class), Attribute::Token(true)])? {
            let attributes = key::read(&session, handle)?;
            let label = attributes.text(AttributeType::Label);
            let fit = match role(class, attributes.get(AttributeType::KeyType)) {
                Some(role) => key::check(&attributes, role, &label),
                None => Err(Fault::operator("the seal uses no keys of this kind")),
            };
            reports.push(KeyReport {
                outcome: fit.map_or_else(|fault| fault.message, |()| "fit to be a seal key".into()),
                token_label: entry.token.label().to_owned(),
                token_serial: entry.token.serial_number().to_owned(),
                key_label: label,
                attributes: attributes.named(),
                check_value: None,
            });
        }
    }
    Ok(reports)
}

/// What a key of this class and type could be to the seal.
fn role(class: ObjectClass, kind: Option<&AttributeValue>) -> Option<&'static Role> {
    match (class, kind) {
        (ObjectClass::SECRET_KEY, Some(AttributeValue::Name("CKK_GENERIC_SECRET"))) => Some(&key::MAC),
        (ObjectClass::SECRET_KEY, _) => Some(&key::AES),
        (ObjectClass::PRIVATE_KEY, Some(AttributeValue::Name("CKK_RSA"))) => Some(&key::RSA_PRIVATE),
        (ObjectClass::PUBLIC_KEY, Some(AttributeValue::Name("CKK_RSA"))) => Some(&key::RSA_PUBLIC),
        _ => None,
    }
}

fn report(connection: &Connection, outcome: &str) -> KeyReport {
    let key = connection.description();
    KeyReport {
        outcome: format!("{outcome}; {}", connection.about()),
        token_label: key.token_label.clone(),
        token_serial: connection.serial().to_owned(),
        key_label: key.key_label.clone(),
        attributes: connection.attributes().named(),
        check_value: Some(key.check_value.clone()),
    }
}
