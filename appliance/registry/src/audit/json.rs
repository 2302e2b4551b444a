//! JSON straight into a buffer, escaped as Go does it, secret values as HMACs.

use aws_lc_rs::hmac;
use framework::{Json, Map};

const HEX: &[u8; 16] = b"0123456789abcdef";

/// A buffer that JSON is written into. Commas come by themselves.
pub(crate) struct Writer<'a> {
    pub(crate) out: Vec<u8>,
    key: &'a hmac::Key,
    raw: bool,
}

impl<'a> Writer<'a> {
    /// `raw` writes secret values as they are.
    pub(crate) fn new(key: &'a hmac::Key, raw: bool) -> Self {
        // A usual line has 1,000 to 2,500 bytes.
        Self { out: Vec::with_capacity(4096), key, raw }
    }

    /// An empty writer for a piece of the same line.
    pub(crate) fn part(&self) -> Self {
        Self { out: Vec::with_capacity(96), key: self.key, raw: self.raw }
    }

    pub(crate) fn object(&mut self, name: &'static str, body: impl FnOnce(&mut Self)) {
        self.name(name);
        self.braced(body);
    }

    pub(crate) fn braced(&mut self, body: impl FnOnce(&mut Self)) {
        self.comma();
        self.out.push(b'{');
        body(self);
        self.out.push(b'}');
    }

    /// A field; left out if it is empty, as Go's `omitempty`.
    pub(crate) fn text(&mut self, name: &'static str, value: &str) {
        if !value.is_empty() {
            self.name(name);
            self.quoted(value);
        }
    }

    /// A field with a value that is written as its HMAC. Not left out: an empty value has an HMAC too.
    pub(crate) fn secret(&mut self, name: &'static str, value: &str) {
        self.name(name);
        self.hidden(value);
    }

    /// A field with a value in its JSON form; left out if there is none.
    pub(crate) fn hidden_field(&mut self, name: &'static str, value: &[u8]) {
        if !value.is_empty() {
            self.name(name);
            self.out.extend_from_slice(value);
        }
    }

    /// A field; left out if it is 0.
    pub(crate) fn number(&mut self, name: &'static str, value: u64) {
        if value != 0 {
            self.name(name);
            self.display(&value);
        }
    }

    pub(crate) fn truth(&mut self, name: &'static str, value: bool) {
        self.name(name);
        self.out.extend_from_slice(if value { b"true" } else { b"false" });
    }

    /// A list; left out if it is empty.
    pub(crate) fn list<T: AsRef<str>>(&mut self, name: &'static str, values: &[T]) {
        if values.is_empty() {
            return;
        }
        self.name(name);
        self.array(values);
    }

    pub(crate) fn array<T: AsRef<str>>(&mut self, values: &[T]) {
        self.out.push(b'[');
        for value in values {
            self.comma();
            self.quoted(value.as_ref());
        }
        self.out.push(b']');
    }

    /// An object whose values are secret but for those `clear` names; left out if it is empty. Only names at the top count:
    /// what lies deeper may be the client's own.
    pub(crate) fn data(&mut self, name: &'static str, map: &Map<String, Json>, clear: &dyn Fn(&str) -> bool) {
        if map.is_empty() {
            return;
        }
        self.object(name, |w| {
            for (name, value) in map {
                w.free_name(name);
                w.value(value, clear(name));
            }
        });
    }

    pub(crate) fn value(&mut self, value: &Json, clear: bool) {
        match value {
            Json::Null => self.out.extend_from_slice(b"null"),
            Json::Bool(truth) => self.out.extend_from_slice(if *truth { b"true" } else { b"false" }),
            Json::Number(number) => self.display(number),
            Json::String(text) if clear => self.quoted(text),
            Json::String(text) => self.hidden(text),
            Json::Array(values) => {
                self.out.push(b'[');
                for value in values {
                    self.comma();
                    self.value(value, clear);
                }
                self.out.push(b']');
            }
            Json::Object(map) => {
                self.out.push(b'{');
                for (name, value) in map {
                    self.free_name(name);
                    self.value(value, clear);
                }
                self.out.push(b'}');
            }
        }
    }

    /// The name of a field of ours, which needs no escapes.
    pub(crate) fn name(&mut self, name: &'static str) {
        self.comma();
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    /// The name of a field that is the client's.
    pub(crate) fn free_name(&mut self, name: &str) {
        self.comma();
        self.quoted(name);
        self.out.push(b':');
    }

    fn comma(&mut self) {
        if !matches!(self.out.last(), None | Some(b'{' | b'[' | b':')) {
            self.out.push(b',');
        }
    }

    fn display(&mut self, value: &dyn std::fmt::Display) {
        use std::io::Write;
        // Writing into a vector does not fail.
        let _ = write!(self.out, "{value}");
    }

    /// A secret value.
    pub(crate) fn hidden(&mut self, value: &str) {
        if self.raw {
            return self.quoted(value);
        }
        self.out.push(b'"');
        hashed(self.key, value.as_bytes(), &mut self.out);
        self.out.push(b'"');
    }

    /// Text in quotes.
    pub(crate) fn quoted(&mut self, text: &str) {
        self.out.push(b'"');
        if text.bytes().any(special) {
            self.escaped(text);
        } else {
            self.out.extend_from_slice(text.as_bytes());
        }
        self.out.push(b'"');
    }

    fn escaped(&mut self, text: &str) {
        for c in text.chars() {
            let short = match c {
                '"' | '\\' => c,
                '\n' => 'n',
                '\r' => 'r',
                '\t' => 't',
                '\u{8}' => 'b',
                '\u{c}' => 'f',
                '\0'..' ' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                    self.display(&format_args!("\\u{:04x}", u32::from(c)));
                    continue;
                }
                _ => {
                    self.out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                    continue;
                }
            };
            self.out.push(b'\\');
            self.display(&short);
        }
    }
}

/// Whether [`Writer::escaped`] has to look at a text with this byte: it escapes it, or it may be the first of U+2028 or U+2029,
/// which end lines in JavaScript.
fn special(byte: u8) -> bool {
    matches!(byte, 0..0x20 | b'"' | b'\\' | b'<' | b'>' | b'&' | 0xe2)
}

/// `hmac-sha256:` and the HMAC of a value in hexadecimal.
pub(crate) fn hashed(key: &hmac::Key, value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"hmac-sha256:");
    hex(hmac::sign(key, value).as_ref(), out);
}

fn hex(bytes: &[u8], out: &mut Vec<u8>) {
    let digit = |nibble: u8| HEX.get(usize::from(nibble)).copied().unwrap_or_default();
    out.extend(bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]));
}
