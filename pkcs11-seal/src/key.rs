//! The seal key: found by label, its attributes read back, its identity checked.

use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;

use crate::config::Config;
use crate::entry::Entry;
use crate::error::{Fault, Kind};
use crate::report::{AttributeValue, Attributes, hex};

/// All that is read back of a key, in the order of the report.
const READ: [AttributeType; 19] = [
    AttributeType::Label,
    AttributeType::Id,
    AttributeType::KeyType,
    AttributeType::ValueLen,
    AttributeType::Token,
    AttributeType::Private,
    AttributeType::Sensitive,
    AttributeType::AlwaysSensitive,
    AttributeType::Extractable,
    AttributeType::NeverExtractable,
    AttributeType::Local,
    AttributeType::Modifiable,
    AttributeType::Encrypt,
    AttributeType::Decrypt,
    AttributeType::Wrap,
    AttributeType::Unwrap,
    AttributeType::Sign,
    AttributeType::Verify,
    AttributeType::Derive,
];

/// What a seal key must be, and why a key that is not is refused.
const RULES: [(AttributeType, AttributeValue, &str); 11] = [
    (AttributeType::KeyType, AttributeValue::Name("CKK_AES"), "the seal wraps with AES"),
    (AttributeType::ValueLen, AttributeValue::Number(32), "the seal key is an AES-256 key"),
    (AttributeType::Token, AttributeValue::Flag(true), "a session key dies with its session"),
    (AttributeType::Private, AttributeValue::Flag(true), "nobody may use it without logging in"),
    (AttributeType::Sensitive, AttributeValue::Flag(true), "its value must not be readable"),
    (AttributeType::Extractable, AttributeValue::Flag(false), "it must not leave the HSM under another key"),
    (AttributeType::Encrypt, AttributeValue::Flag(true), "the seal encrypts with it"),
    (AttributeType::Decrypt, AttributeValue::Flag(true), "the seal decrypts with it"),
    (AttributeType::Wrap, AttributeValue::Flag(false), "a key that wraps and decrypts gives other keys away"),
    (AttributeType::Unwrap, AttributeValue::Flag(false), "a key that unwraps and encrypts takes in known keys"),
    (AttributeType::Sign, AttributeValue::Flag(false), "one key, one purpose"),
];

/// Secret keys of the token that carry `label` (and `id`, if given).
pub(crate) fn labelled(session: &Session, label: &str, id: Option<&[u8]>) -> Result<Vec<ObjectHandle>, Fault> {
    let mut template = vec![
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::Token(true),
        Attribute::Label(label.as_bytes().to_vec()),
    ];
    template.extend(id.map(|id| Attribute::Id(id.to_vec())));
    Ok(session.find_objects(&template)?)
}

/// The one seal key. None, or more than one, stops here: a guess would split the data between two keys.
pub(crate) fn find(entry: &Entry, config: &Config) -> Result<ObjectHandle, Fault> {
    let label = &config.key_label;
    let found = labelled(&entry.keeper, label, config.key_id.as_deref())?;
    match found.as_slice() {
        [key] => Ok(*key),
        [] => {
            let with_id = config.key_id.as_ref().map(|id| format!(" and id {}", hex(id))).unwrap_or_default();
            Err(Fault::operator(format!(
                "token {:?} has no secret key labelled {label:?}{with_id}; labels seen: {}. If no seal key was ever made \
                 there, run `holdfast hsm init`; if there was one, restore it: without it the data cannot be read",
                entry.token.label(),
                labels(&entry.keeper)?
            )))
        }
        several => Err(Fault::operator(format!(
            "token {:?} has {} secret keys labelled {label:?}, with ids {}; name the right one by key_id, or rename or \
             delete the others",
            entry.token.label(),
            several.len(),
            ids(&entry.keeper, several)
        ))),
    }
}

fn labels(session: &Session) -> Result<String, Fault> {
    let keys = session.find_objects(&[Attribute::Class(ObjectClass::SECRET_KEY), Attribute::Token(true)])?;
    let mut labels = Vec::new();
    for key in keys.into_iter().take(20) {
        labels.push(format!("{:?}", read(session, key)?.text(AttributeType::Label)));
    }
    Ok(if labels.is_empty() { "none".to_owned() } else { labels.join(", ") })
}

fn ids(session: &Session, keys: &[ObjectHandle]) -> String {
    let id = |key: &ObjectHandle| read(session, *key).map(|a| a.text(AttributeType::Id)).unwrap_or_default();
    keys.iter().map(|key| format!("{:?}", id(key))).collect::<Vec<_>>().join(", ")
}

/// Reads a key's attributes. What the token does not know is absent.
pub(crate) fn read(session: &Session, key: ObjectHandle) -> Result<Attributes, Fault> {
    Ok(named(&session.get_attributes(key, &READ)?))
}

/// The attributes of a template, in the form in which they are reported.
pub(crate) fn named(template: &[Attribute]) -> Attributes {
    Attributes(template.iter().filter_map(|a| Some((a.attribute_type(), value(a)?))).collect())
}

/// Refuses a key that is not what a seal key must be, and says in what.
pub(crate) fn check(attributes: &Attributes, label: &str) -> Result<(), Fault> {
    let mut wrong = Vec::new();
    for (attribute, wanted, why) in &RULES {
        match attributes.get(*attribute) {
            Some(found) if found == wanted => {}
            Some(found) => wrong.push(format!("{attribute} is {found} and must be {wanted} ({why})")),
            None => wrong.push(format!("{attribute} cannot be read and must be {wanted} ({why})")),
        }
    }
    if wrong.is_empty() {
        return Ok(());
    }
    Err(Fault::operator(format!(
        "key {label:?} is not fit to be the seal key: {}. Make one with `holdfast hsm init` under another label",
        wrong.join("; ")
    )))
}

fn value(attribute: &Attribute) -> Option<AttributeValue> {
    use Attribute as A;
    Some(match attribute {
        A::Token(flag)
        | A::Private(flag)
        | A::Sensitive(flag)
        | A::AlwaysSensitive(flag)
        | A::Extractable(flag)
        | A::NeverExtractable(flag)
        | A::Local(flag)
        | A::Modifiable(flag)
        | A::Encrypt(flag)
        | A::Decrypt(flag)
        | A::Wrap(flag)
        | A::Unwrap(flag)
        | A::Sign(flag)
        | A::Verify(flag)
        | A::Derive(flag) => AttributeValue::Flag(*flag),
        A::ValueLen(length) => AttributeValue::Number(**length),
        A::KeyType(kind) if *kind == KeyType::AES => AttributeValue::Name("CKK_AES"),
        A::KeyType(kind) => AttributeValue::Text(kind.to_string()),
        A::Label(label) => AttributeValue::Text(String::from_utf8_lossy(label).into_owned()),
        A::Id(id) => AttributeValue::Text(hex(id)),
        _ => return None,
    })
}

/// What is encrypted for the check value: exactly two AES blocks.
const CHECK_LABEL: &[u8; 32] = b"holdfast seal key check value v1";

/// First byte of a check value made by CBC-MAC: 16 bytes follow.
const BY_CBC_MAC: u8 = 1;
/// First byte of a check value that is the token's `CKA_CHECK_VALUE`: usually 3 bytes follow.
const BY_ATTRIBUTE: u8 = 2;

/// A value that is the same for the same key, and says nothing about its bytes or about anything it wraps.
///
/// It is the second block of AES-CBC, zero IV, over [`CHECK_LABEL`], and so a block cipher's output for an input that
/// nobody outside the HSM knows. It cannot be a block of a GCM key stream either, but by chance of 2^-128: those have
/// small counters in their last four bytes, and the label's first block has text there. GCM itself is no use for this,
/// since AWS CloudHSM lets nobody choose the IV; a CMAC would need a key that signs. Where the token has no AES-CBC,
/// AES-ECB gives the same value; where it has neither, its own `CKA_CHECK_VALUE` must do.
pub(crate) fn check_value(entry: &Entry, key: ObjectHandle) -> Result<Vec<u8>, Fault> {
    let refused = |fault: &Fault| matches!(fault.kind, Kind::Operator);
    // A session of its own for each try: a failed operation may stay active in its session.
    let by_cbc =
        || -> Result<Vec<u8>, Fault> { Ok(entry.session()?.encrypt(&Mechanism::AesCbc([0; 16]), key, CHECK_LABEL)?) };
    let by_ecb = || -> Result<Vec<u8>, Fault> {
        let session = entry.session()?;
        let (first, second) = CHECK_LABEL.split_at(16);
        let chained = session.encrypt(&Mechanism::AesEcb, key, first)?;
        let input: Vec<u8> = chained.iter().zip(second).map(|(a, b)| a ^ b).collect();
        Ok([chained, session.encrypt(&Mechanism::AesEcb, key, &input)?].concat())
    };
    let encrypted = match by_cbc() {
        Err(fault) if refused(&fault) => by_ecb(),
        other => other,
    };
    match encrypted {
        Ok(blocks) => match blocks.get(16..) {
            Some(last) if last.len() == 16 => Ok([&[BY_CBC_MAC], last].concat()),
            _ => Err(Fault::operator("C_Encrypt: AES-CBC gave a result of the wrong length")),
        },
        Err(fault) if refused(&fault) => {
            let found = entry.keeper.get_attributes(key, &[AttributeType::CheckValue])?;
            match found.first() {
                Some(Attribute::CheckValue(value)) if value.len() >= 3 => {
                    Ok([&[BY_ATTRIBUTE], value.as_slice()].concat())
                }
                _ => Err(Fault::operator(format!(
                    "{}; and there is no CKA_CHECK_VALUE: nothing tells this key from another",
                    fault.message
                ))),
            }
        }
        Err(fault) => Err(fault),
    }
}
