//! What the operator is shown about tokens and keys.

use std::fmt;

use cryptoki::object::AttributeType;
use framework::{Json, Map, hex};

/// The value of a PKCS#11 attribute.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum AttributeValue {
    /// `CK_BBOOL`.
    Flag(bool),
    /// `CK_ULONG`.
    Number(u64),
    /// A constant of the standard.
    Name(&'static str),
    /// Text, or bytes in hexadecimal.
    Text(String),
}

impl fmt::Display for AttributeValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => flag.fmt(f),
            Self::Number(number) => number.fmt(f),
            Self::Name(name) => f.write_str(name),
            Self::Text(text) => f.write_str(text),
        }
    }
}

impl AttributeValue {
    fn to_json(&self) -> Json {
        match self {
            Self::Flag(flag) => Json::from(*flag),
            Self::Number(number) => Json::from(*number),
            Self::Name(name) => Json::from(*name),
            Self::Text(text) => Json::from(text.as_str()),
        }
    }
}

/// Attributes read back from a token.
#[derive(Clone, Debug, Default)]
pub(crate) struct Attributes(pub(crate) Vec<(AttributeType, AttributeValue)>);

impl Attributes {
    pub(crate) fn get(&self, attribute: AttributeType) -> Option<&AttributeValue> {
        self.0.iter().find(|(found, _)| *found == attribute).map(|(_, value)| value)
    }

    pub(crate) fn text(&self, attribute: AttributeType) -> String {
        self.get(attribute).map(ToString::to_string).unwrap_or_default()
    }

    /// With the names of the standard, `CKA_…`.
    pub(crate) fn named(&self) -> Vec<(String, AttributeValue)> {
        self.0.iter().map(|(attribute, value)| (attribute.to_string(), value.clone())).collect()
    }
}

/// A secret key on the token, as it was read back.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KeyReport {
    /// What was done, or what the key is fit for: one line for people.
    pub outcome: String,
    /// Label of the token.
    pub token_label: String,
    /// Serial number of the token.
    pub token_serial: String,
    /// `CKA_LABEL`.
    pub key_label: String,
    /// Attributes by their `CKA_` names. Attributes that the token does not know are absent.
    pub attributes: Vec<(String, AttributeValue)>,
    /// The value by which the key is recognised, if it was computed. Not secret.
    pub check_value: Option<Vec<u8>>,
}

impl KeyReport {
    /// The value of the attribute called `name`.
    pub fn attribute(&self, name: &str) -> Option<&AttributeValue> {
        self.attributes.iter().find(|(found, _)| found == name).map(|(_, value)| value)
    }

    /// `{outcome, token_label, token_serial, key_label, attributes: {CKA_…: …}, check_value}`; the check value in
    /// hexadecimal, or null.
    pub fn to_json(&self) -> Json {
        let attributes = self.attributes.iter().map(|(name, value)| (name.clone(), value.to_json()));
        object([
            ("outcome", Json::from(self.outcome.as_str())),
            ("token_label", Json::from(self.token_label.as_str())),
            ("token_serial", Json::from(self.token_serial.as_str())),
            ("key_label", Json::from(self.key_label.as_str())),
            ("attributes", Json::Object(attributes.collect::<Map<String, Json>>())),
            ("check_value", self.check_value.as_deref().map_or(Json::Null, |value| Json::from(hex::encode(value)))),
        ])
    }
}

impl fmt::Display for KeyReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "key    {:?}: {}", self.key_label, self.outcome)?;
        writeln!(f, "token  {:?}, serial number {}", self.token_label, self.token_serial)?;
        for (name, value) in &self.attributes {
            writeln!(f, "  {name:<22}{value}")?;
        }
        match &self.check_value {
            Some(value) => write!(f, "  {:<22}{}", "check value", hex::encode(value)),
            None => write!(f, "  {:<22}not computed", "check value"),
        }
    }
}

/// A token that the module shows.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TokenReport {
    /// Slot id: may change at any time.
    pub slot: u64,
    /// Label, without padding.
    pub label: String,
    /// Serial number.
    pub serial: String,
    /// Manufacturer.
    pub manufacturer: String,
    /// Model.
    pub model: String,
    /// State of the user PIN: `ok`, `not set`, `wrong PIN tried`, `one try left` or `locked`.
    pub pin: &'static str,
}

impl TokenReport {
    /// The fields under their own names.
    pub fn to_json(&self) -> Json {
        object([
            ("slot", Json::from(self.slot)),
            ("label", Json::from(self.label.as_str())),
            ("serial", Json::from(self.serial.as_str())),
            ("manufacturer", Json::from(self.manufacturer.as_str())),
            ("model", Json::from(self.model.as_str())),
            ("pin", Json::from(self.pin)),
        ])
    }
}

impl fmt::Display for TokenReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TokenReport { slot, label, serial, manufacturer, model, pin } = self;
        write!(f, "token {label:?}, serial number {serial}, slot {slot}, {manufacturer} {model}, PIN: {pin}")
    }
}

fn object<const N: usize>(fields: [(&str, Json); N]) -> Json {
    Json::Object(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}
