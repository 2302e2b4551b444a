//! Strings, heredocs and numbers.

use super::scan::Cursor;
use super::{Number, ParseError};

/// A string in double quotes. `${…}` is kept as it stands, quotes and newlines in it included.
pub(super) fn string(cursor: &mut Cursor<'_>) -> Result<String, ParseError> {
    let start = cursor.at();
    cursor.next();
    // Bytes, not characters: `\x` and octal escapes write single bytes.
    let mut value = Vec::new();
    loop {
        match cursor.next() {
            Some('"') => break,
            Some('\\') => escape(cursor, &mut value)?,
            Some('$') if cursor.peek() == Some('{') => interpolation(cursor, &mut value)?,
            None | Some('\n') => {
                return Err(ParseError::new(start, "this string has no end: `\"` is missing on its line"));
            }
            Some(c) => push(&mut value, c),
        }
    }
    if value.contains(&0) {
        return Err(ParseError::new(start, "a NUL character in a string"));
    }
    String::from_utf8(value).map_err(|_| ParseError::new(start, "the escapes in this string do not make UTF-8"))
}

fn push(value: &mut Vec<u8>, c: char) {
    value.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

fn interpolation(cursor: &mut Cursor<'_>, value: &mut Vec<u8>) -> Result<(), ParseError> {
    let start = cursor.at();
    value.push(b'$');
    let mut depth = 0_usize;
    loop {
        let Some(c) = cursor.next() else { return Err(ParseError::new(start, "this `${` has no end: `}` is missing")) };
        push(value, c);
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Ok(());
        }
    }
}

fn escape(cursor: &mut Cursor<'_>, value: &mut Vec<u8>) -> Result<(), ParseError> {
    let at = cursor.at();
    let bad = || ParseError::new(at, "no such escape in a string; a backslash itself is written `\\\\`");
    let byte = match cursor.next().ok_or_else(bad)? {
        'a' => 0x07,
        'b' => 0x08,
        'f' => 0x0c,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 0x0b,
        '\\' => b'\\',
        '"' => b'"',
        'x' => u8::try_from(digits(cursor, 16, 2, 0).ok_or_else(bad)?).map_err(|_| bad())?,
        c @ '0'..='7' => {
            let first = c.to_digit(8).unwrap_or_default();
            u8::try_from(digits(cursor, 8, 2, first).ok_or_else(bad)?).map_err(|_| bad())?
        }
        c @ ('u' | 'U') => {
            let code = digits(cursor, 16, if c == 'u' { 4 } else { 8 }, 0).ok_or_else(bad)?;
            push(value, char::from_u32(code).ok_or_else(bad)?);
            return Ok(());
        }
        _ => return Err(bad()),
    };
    value.push(byte);
    Ok(())
}

/// Exactly `count` digits after those already in `value`.
pub(super) fn digits(cursor: &mut Cursor<'_>, radix: u32, count: usize, mut value: u32) -> Option<u32> {
    for _ in 0..count {
        let digit = cursor.next()?.to_digit(radix)?;
        value = value.checked_mul(radix)?.checked_add(digit)?;
    }
    Some(value)
}

/// `<<EOF` keeps its lines as they are; `<<-EOF` takes the closing line's indentation off every line if all have it.
pub(super) fn heredoc(cursor: &mut Cursor<'_>) -> Result<String, ParseError> {
    let start = cursor.at();
    cursor.next();
    if !cursor.take('<') {
        return Err(ParseError::new(start, "a heredoc begins with `<<`"));
    }
    let indented = cursor.take('-');
    let anchor = cursor.take_while(|c| c.is_alphanumeric() || c == '_');
    if anchor.is_empty() || !cursor.take('\n') {
        return cursor.error("`<<` takes one word of letters and digits, then a new line");
    }
    let mut lines = Vec::new();
    loop {
        let line = cursor.take_while(|c| c != '\n');
        let ended = !cursor.take('\n');
        if line.trim() == anchor {
            let indent = line.get(..line.len() - line.trim_start().len()).unwrap_or_default();
            return Ok(unindent(&lines, indent, indented));
        }
        if ended {
            return Err(ParseError::new(start, "this heredoc has no end: its word is missing on a line of its own"));
        }
        if line.contains('\0') {
            return cursor.error("a NUL character");
        }
        lines.push(line);
    }
}

fn unindent(lines: &[&str], indent: &str, indented: bool) -> String {
    let strip = indented && lines.iter().all(|line| line.starts_with(indent));
    let mut value = String::new();
    for line in lines {
        value.push_str(if strip { line.strip_prefix(indent).unwrap_or(line) } else { line });
        value.push('\n');
    }
    if !indented {
        // HCL1 leaves the blanks before the closing word in the value.
        value.push_str(indent);
    }
    value
}

/// Decimal, `0x…`, octal `0…`, fraction, exponent; a minus before it.
pub(super) fn number(cursor: &mut Cursor<'_>) -> Result<Number, ParseError> {
    let start = cursor.at();
    let before = cursor.rest();
    cursor.take('-');
    if cursor.rest().starts_with("0x") || cursor.rest().starts_with("0X") {
        cursor.next();
        cursor.next();
        cursor.take_while(|c| c.is_ascii_hexdigit());
    } else {
        decimal(cursor);
    }
    let joined = cursor.peek().is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '.' | '-'));
    let text = before.get(..before.len() - cursor.rest().len()).unwrap_or_default();
    let number = Number(text.to_owned());
    let whole = !text.contains(['.', 'e', 'E']) || text.contains(['x', 'X']);
    let valid = if whole { number.integer().is_some() } else { number.float().is_some() };
    if joined || !valid {
        return Err(ParseError::new(start, "not a number that fits 64 bits; a string stands in double quotes"));
    }
    Ok(number)
}

fn decimal(cursor: &mut Cursor<'_>) {
    cursor.take_while(|c| c.is_ascii_digit());
    if cursor.take('.') {
        cursor.take_while(|c| c.is_ascii_digit());
    }
    if matches!(cursor.peek(), Some('e' | 'E')) {
        cursor.next();
        if matches!(cursor.peek(), Some('+' | '-')) {
            cursor.next();
        }
        cursor.take_while(|c| c.is_ascii_digit());
    }
}
