//! HCL1, the language of Vault's policies and configuration files, and its JSON form.
//!
//! Takes what Vault's HCL1 takes: several attributes on one line, quoted keys and block types, `${…}` kept as it stands,
//! heredocs, three kinds of comments, trailing commas, repeated blocks. Input may be hostile: size, depth and count of values
//! are bounded, and no error or `Debug` output holds a value, since a value may be a PIN.

mod access;
mod json;
mod parse;
mod scan;
mod text;

use std::fmt;

pub use access::{Block, Reader};

/// Longest text that is parsed, in bytes: what Vault can store as one entry.
pub const MAX_BYTES: usize = 1 << 20;
/// How deep lists and objects may be nested.
pub const MAX_DEPTH: usize = 64;
/// How many keys, labels and values one text may hold in all.
pub const MAX_VALUES: usize = 100_000;

/// Where something stands in the text: both count from 1, columns in characters.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Position {
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

/// Why a text cannot be used: it is not HCL, or not the HCL that was asked for. Never holds a value from the text.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ParseError {
    /// Where.
    pub at: Position,
    /// What is wrong and what would be right.
    pub message: String,
}

impl ParseError {
    pub(super) fn new(at: Position, message: impl Into<String>) -> Self {
        Self { at, message: message.into() }
    }

    /// The message as a compiler prints it: `config.hcl:12: unknown key …`.
    pub fn in_file(&self, file: &str) -> String {
        format!("{file}:{}: {}", self.at.line, self.message)
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}", self.at.line, self.at.column, self.message)
    }
}

impl std::error::Error for ParseError {}

/// The items of a file or of one block.
#[derive(Clone, Default, PartialEq)]
pub struct Body {
    /// In source order; keys may repeat.
    pub items: Vec<Item>,
    /// Where it begins.
    pub at: Position,
}

/// One attribute or block.
#[derive(Clone, PartialEq)]
pub struct Item {
    /// The first key.
    pub key: String,
    /// The labels of a block: the keys between the first and the brace. Empty in the JSON form, where labels are the keys of
    /// nested objects; [`Body::blocks`] evens that out.
    pub labels: Vec<String>,
    /// What it is set to; a block's is a [`Value::Object`].
    pub value: Value,
    /// Where the key stands.
    pub at: Position,
}

/// A value. Its `Debug` output shows kinds and keys only.
#[derive(Clone, PartialEq)]
pub enum Value {
    /// A string or heredoc, escapes resolved.
    String(String),
    /// A number.
    Number(Number),
    /// `true` or `false`.
    Bool(bool),
    /// A list.
    List(Vec<Value>),
    /// An object or the body of a block.
    Object(Body),
}

/// A number, as it was written: decimal, `0x…`, octal `0…`, with a fraction or an exponent.
#[derive(Clone, PartialEq)]
pub struct Number(String);

impl Number {
    /// As it was written.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// Its value if it is whole (written without fraction and exponent) and fits 64 bits.
    pub fn integer(&self) -> Option<i64> {
        let (sign, digits) = match self.0.strip_prefix('-') {
            Some(digits) => (-1, digits),
            None => (1, self.0.as_str()),
        };
        let magnitude = if let Some(hex) = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
            i128::from_str_radix(hex, 16)
        } else if digits.len() > 1 && digits.starts_with('0') {
            i128::from_str_radix(digits, 8)
        } else {
            digits.parse()
        };
        i64::try_from(sign * magnitude.ok()?).ok()
    }

    /// Its value as a floating-point number.
    pub fn float(&self) -> Option<f64> {
        match self.integer() {
            #[expect(clippy::cast_precision_loss, reason = "that is what was asked for")]
            Some(whole) => Some(whole as f64),
            None => self.0.parse().ok().filter(|number: &f64| number.is_finite()),
        }
    }
}

impl Value {
    /// What kind of value it is, with its article, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::String(_) => "a string",
            Self::Number(_) => "a number",
            Self::Bool(_) => "a boolean",
            Self::List(_) => "a list",
            Self::Object(_) => "an object",
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.items).finish()
    }
}

impl fmt::Debug for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?} = {:?}", self.key, self.labels, self.value)
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::List(values) => f.debug_list().entries(values).finish(),
            Self::Object(body) => body.fmt(f),
            other => f.write_str(other.kind()),
        }
    }
}

impl fmt::Debug for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number")
    }
}

/// Parses HCL1, or its JSON form where the first character is `{`.
///
/// # Errors
/// The first thing that is wrong, with its place. The text may be hostile: over [`MAX_BYTES`], [`MAX_DEPTH`] or
/// [`MAX_VALUES`] it is refused.
pub fn parse(text: &str) -> Result<Body, ParseError> {
    let start = Position { line: 1, column: 1 };
    if text.len() > MAX_BYTES {
        return Err(ParseError::new(start, format!("the text is longer than {MAX_BYTES} bytes")));
    }
    let normalised;
    let text = if text.contains("\r\n") {
        normalised = text.replace("\r\n", "\n");
        normalised.as_str()
    } else {
        text
    };
    if text.trim_start_matches([' ', '\t', '\r', '\n']).starts_with('{') {
        json::parse(text)
    } else {
        parse::parse(text)
    }
}
