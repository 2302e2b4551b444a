//! Keys of the seal: found by label, their attributes read back, their identity checked.

mod check_value;
mod roles;

use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;

pub(crate) use roles::{AES, MAC, RSA_PRIVATE, RSA_PUBLIC, Role};

use crate::entry::Door;
use crate::error::Fault;
use crate::report::{AttributeValue, Attributes};

/// All that is read back of a key, in the order of the report.
const READ: [AttributeType; 20] = [
    AttributeType::Label,
    AttributeType::Id,
    AttributeType::KeyType,
    AttributeType::ValueLen,
    AttributeType::ModulusBits,
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

/// A key that was found, and is what it must be.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) handle: ObjectHandle,
    pub(crate) attributes: Attributes,
}

/// Keys of this role on the token that carry `label` (and `id`, if given).
pub(crate) fn labelled(
    session: &Session,
    role: &Role,
    label: &str,
    id: Option<&[u8]>,
) -> Result<Vec<ObjectHandle>, Fault> {
    let mut template =
        vec![Attribute::Class(role.class), Attribute::Token(true), Attribute::Label(label.as_bytes().to_vec())];
    template.extend(id.map(|id| Attribute::Id(id.to_vec())));
    Ok(session.find_objects(&template)?)
}

/// The one key of this role. None, or more than one, stops here: a guess would split the data between two keys.
pub(crate) fn find(door: Door, token: &str, role: &Role, label: &str, id: Option<&[u8]>) -> Result<Key, Fault> {
    let session = door.session()?;
    let what = role.what;
    match labelled(&session, role, label, id)?.as_slice() {
        [handle] => {
            let key = Key { handle: *handle, attributes: read(&session, *handle)? };
            check(&key.attributes, role, label)?;
            Ok(key)
        }
        [] => {
            let with_id = id.map(|id| format!(" and id {}", framework::hex::encode(id))).unwrap_or_default();
            Err(Fault::operator(format!(
                "token {token:?} has no {what} labelled {label:?}{with_id}; labels seen: {}. If no seal key was ever made \
                 there, run `holdfast hsm init`; if there was one, restore it: without it the data cannot be read",
                labels(&session, role)?
            )))
        }
        several => Err(Fault::operator(format!(
            "token {token:?} has {} {what}s labelled {label:?}, with ids {}; name the right one by key_id, or rename or \
             delete the others",
            several.len(),
            ids(&session, several)
        ))),
    }
}

fn labels(session: &Session, role: &Role) -> Result<String, Fault> {
    let keys = session.find_objects(&[Attribute::Class(role.class), Attribute::Token(true)])?;
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

/// Refuses a key that is not what its role wants, and says in what.
pub(crate) fn check(attributes: &Attributes, role: &Role, label: &str) -> Result<(), Fault> {
    let mut wrong = Vec::new();
    for (attribute, wanted, why) in role.rules {
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

/// A value that is the same for the same key, and says nothing about its bytes or about anything it wraps.
pub(crate) fn check_value(door: Door, key: &Key) -> Result<Vec<u8>, Fault> {
    match key.attributes.get(AttributeType::KeyType) {
        Some(AttributeValue::Name("CKK_RSA")) => check_value::of_modulus(door, key.handle),
        _ => check_value::of_secret(door, key.handle),
    }
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
        A::ValueLen(number) | A::ModulusBits(number) => AttributeValue::Number(**number),
        A::Class(class) if *class == ObjectClass::PUBLIC_KEY => AttributeValue::Name("CKO_PUBLIC_KEY"),
        A::Class(class) if *class == ObjectClass::PRIVATE_KEY => AttributeValue::Name("CKO_PRIVATE_KEY"),
        A::KeyType(kind) if *kind == KeyType::AES => AttributeValue::Name("CKK_AES"),
        A::KeyType(kind) if *kind == KeyType::GENERIC_SECRET => AttributeValue::Name("CKK_GENERIC_SECRET"),
        A::KeyType(kind) if *kind == KeyType::RSA => AttributeValue::Name("CKK_RSA"),
        A::KeyType(kind) => AttributeValue::Text(kind.to_string()),
        A::Label(label) => AttributeValue::Text(String::from_utf8_lossy(label).into_owned()),
        A::Id(id) => AttributeValue::Text(framework::hex::encode(id)),
        _ => return None,
    })
}
