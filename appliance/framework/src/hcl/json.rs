//! The JSON form. Order and repeated keys are kept, as in the HCL form; commas may trail; `null` means "not there".

use super::scan::Cursor;
use super::text::digits;
use super::{Body, Item, MAX_DEPTH, MAX_VALUES, Number, ParseError, Position, Value};

pub(super) fn parse(text: &str) -> Result<Body, ParseError> {
    let mut reader = Json { cursor: Cursor::new(text), left: MAX_VALUES };
    reader.blanks();
    let body = reader.object(0)?;
    reader.blanks();
    match reader.cursor.peek() {
        None => Ok(body),
        Some(_) => reader.cursor.error("something follows the JSON object's closing `}`"),
    }
}

struct Json<'t> {
    cursor: Cursor<'t>,
    left: usize,
}

impl Json<'_> {
    fn blanks(&mut self) {
        self.cursor.take_while(|c| matches!(c, ' ' | '\t' | '\n' | '\r'));
    }

    /// The next character that is not blank, left where it is.
    fn peek(&mut self) -> Option<char> {
        self.blanks();
        self.cursor.peek()
    }

    fn count(&mut self) -> Result<(), ParseError> {
        match self.left.checked_sub(1) {
            Some(left) => self.left = left,
            None => return self.cursor.error(format!("more than {MAX_VALUES} keys and values")),
        }
        Ok(())
    }

    fn object(&mut self, depth: usize) -> Result<Body, ParseError> {
        let mut body = Body { items: Vec::new(), at: self.cursor.at() };
        self.cursor.next();
        loop {
            match self.peek() {
                Some('}') => break,
                Some('"') => {
                    let at = self.cursor.at();
                    let key = self.string()?;
                    if self.peek() != Some(':') {
                        return self.cursor.error("expected `:` after a key");
                    }
                    self.cursor.next();
                    if let Some(value) = self.value(depth)? {
                        body.items.push(Item { key, labels: Vec::new(), value, at });
                    }
                }
                _ => return self.unclosed(body.at, "expected a key in double quotes or `}`"),
            }
            self.separator('}')?;
        }
        self.cursor.next();
        Ok(body)
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Value>, ParseError> {
        let opened = self.cursor.at();
        let mut values = Vec::new();
        self.cursor.next();
        loop {
            match self.peek() {
                Some(']') => break,
                None => return self.unclosed(opened, ""),
                Some(_) => match self.value(depth)? {
                    Some(value) => values.push(value),
                    None => return self.cursor.error("`null` cannot stand in a list"),
                },
            }
            self.separator(']')?;
        }
        self.cursor.next();
        Ok(values)
    }

    fn separator(&mut self, close: char) -> Result<(), ParseError> {
        match self.peek() {
            Some(',') => {
                self.cursor.next();
                Ok(())
            }
            Some(c) if c == close => Ok(()),
            _ => self.cursor.error(format!("expected `,` or `{close}`")),
        }
    }

    fn unclosed<T>(&self, opened: Position, otherwise: &str) -> Result<T, ParseError> {
        match self.cursor.peek() {
            None => Err(ParseError::new(opened, "what is opened here is never closed")),
            Some(_) => self.cursor.error(otherwise),
        }
    }

    fn value(&mut self, depth: usize) -> Result<Option<Value>, ParseError> {
        self.count()?;
        if depth >= MAX_DEPTH {
            return self.cursor.error(format!("nested deeper than {MAX_DEPTH}"));
        }
        Ok(Some(match self.peek() {
            Some('{') => Value::Object(self.object(depth + 1)?),
            Some('[') => Value::List(self.list(depth + 1)?),
            Some('"') => Value::String(self.string()?),
            Some('-' | '0'..='9') => Value::Number(self.number()?),
            _ => {
                let at = self.cursor.at();
                match self.cursor.take_while(|c| c.is_ascii_alphabetic()) {
                    "true" => Value::Bool(true),
                    "false" => Value::Bool(false),
                    "null" => return Ok(None),
                    _ => return Err(ParseError::new(at, "expected a JSON value")),
                }
            }
        }))
    }

    fn number(&mut self) -> Result<Number, ParseError> {
        let at = self.cursor.at();
        let text = self.cursor.take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
        let number = Number(text.to_owned());
        let digits = text.strip_prefix('-').unwrap_or(text);
        let plain = digits.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-'));
        let octal =
            digits.len() > 1 && digits.starts_with('0') && !digits.starts_with("0.") && !digits.starts_with("0e");
        let whole = digits.chars().all(|c| c.is_ascii_digit());
        let valid = if whole { number.integer().is_some() } else { number.float().is_some() };
        if plain && valid && !octal { Ok(number) } else { Err(ParseError::new(at, "not a number that fits 64 bits")) }
    }

    fn string(&mut self) -> Result<String, ParseError> {
        self.count()?;
        let start = self.cursor.at();
        self.cursor.next();
        let mut value = String::new();
        loop {
            match self.cursor.next() {
                Some('"') => return Ok(value),
                Some('\\') => value.push(self.escape()?),
                None | Some('\n') => {
                    return Err(ParseError::new(start, "this string has no end: `\"` is missing on its line"));
                }
                Some('\0') => return self.cursor.error("a NUL character"),
                Some(c) => value.push(c),
            }
        }
    }

    fn escape(&mut self) -> Result<char, ParseError> {
        let at = self.cursor.at();
        let bad = || ParseError::new(at, "no such escape in a JSON string");
        Ok(match self.cursor.next().ok_or_else(bad)? {
            c @ ('"' | '\\' | '/') => c,
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => {
                let mut code = digits(&mut self.cursor, 16, 4, 0).ok_or_else(bad)?;
                if (0xd800..0xdc00).contains(&code) {
                    let low = (self.cursor.take('\\') && self.cursor.take('u'))
                        .then(|| digits(&mut self.cursor, 16, 4, 0))
                        .flatten()
                        .filter(|low| (0xdc00..0xe000).contains(low))
                        .ok_or_else(bad)?;
                    code = 0x1_0000 + ((code - 0xd800) << 10) + (low - 0xdc00);
                }
                char::from_u32(code).filter(|&c| c != '\0').ok_or_else(bad)?
            }
            _ => return Err(bad()),
        })
    }
}
