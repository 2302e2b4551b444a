//! A small YAML emitter for JSON values: block style, keys by name, strings quoted wherever a reader could take them
//! for something else (YAML 1.1 booleans, numbers, dates included).

use serde_json::{Map, Value};

use crate::json;

/// YAML text with a final line end.
pub(crate) fn emit(value: &Value) -> String {
    let mut text = String::new();
    match value {
        Value::Object(object) if !object.is_empty() => mapping(&mut text, object, 0, false),
        Value::Array(items) if !items.is_empty() => sequence(&mut text, items, 0),
        scalar => {
            text.push_str(&plain(scalar, 0));
            text.push('\n');
        }
    }
    text
}

fn mapping(text: &mut String, object: &Map<String, Value>, depth: usize, inline_first: bool) {
    for (index, (name, value)) in json::sorted(object).into_iter().enumerate() {
        if !(inline_first && index == 0) {
            indent(text, depth);
        }
        text.push_str(&string(name, depth, true));
        text.push(':');
        child(text, value, depth);
    }
}

fn child(text: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Object(object) if !object.is_empty() => {
            text.push('\n');
            mapping(text, object, depth + 1, false);
        }
        Value::Array(items) if !items.is_empty() => {
            text.push('\n');
            sequence(text, items, depth);
        }
        scalar => {
            text.push(' ');
            text.push_str(&plain(scalar, depth + 1));
            text.push('\n');
        }
    }
}

fn sequence(text: &mut String, items: &[Value], depth: usize) {
    for item in items {
        indent(text, depth);
        text.push('-');
        match item {
            Value::Object(object) if !object.is_empty() => {
                text.push(' ');
                mapping(text, object, depth + 1, true);
            }
            Value::Array(inner) if !inner.is_empty() => {
                text.push('\n');
                sequence(text, inner, depth + 1);
            }
            scalar => {
                text.push(' ');
                text.push_str(&plain(scalar, depth + 1));
                text.push('\n');
            }
        }
    }
}

fn indent(text: &mut String, depth: usize) {
    for _ in 0..depth {
        text.push_str("  ");
    }
}

fn plain(value: &Value, depth: usize) -> String {
    match value {
        Value::String(text) => string(text, depth, false),
        Value::Array(_) => "[]".to_owned(),
        Value::Object(_) => "{}".to_owned(),
        other => other.to_string(),
    }
}

/// One string as a plain, quoted or literal-block scalar; `depth` is where the lines of a block are indented to.
fn string(text: &str, depth: usize, key: bool) -> String {
    let printable = text.chars().all(|c| !c.is_control() || c == '\n');
    if text.contains('\n') && printable && !key {
        return literal(text, depth);
    }
    let mut quoted = if !printable || text.contains('\n') || taken_for_another_type(text) {
        json_string(text)
    } else if needs_quotes(text) {
        format!("'{}'", text.replace('\'', "''"))
    } else {
        text.to_owned()
    };
    quoted.shrink_to_fit();
    quoted
}

/// A JSON string is a YAML double-quoted scalar.
fn json_string(text: &str) -> String {
    Value::String(text.to_owned()).to_string()
}

fn literal(text: &str, depth: usize) -> String {
    let body = text.trim_end_matches('\n');
    let mut block = "|".to_owned();
    if text.starts_with([' ', '\n']) {
        // A reader cannot tell the indentation from such a first line.
        block.push('2');
    }
    block.push_str(match text.len() - body.len() {
        0 => "-",
        1 => "",
        _ => "+",
    });
    for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
        block.push('\n');
        if !line.is_empty() {
            indent(&mut block, depth.max(1));
            block.push_str(line);
        }
    }
    block
}

fn taken_for_another_type(text: &str) -> bool {
    const WORDS: [&str; 12] = ["", "~", "null", "true", "false", "yes", "no", "on", "off", "y", "n", "<<"];
    let lower = text.to_ascii_lowercase();
    let unsigned = lower.strip_prefix(['+', '-']).unwrap_or(&lower);
    let looks_numeric = unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && unsigned.chars().all(|c| c.is_ascii_hexdigit() || "._:xo+-tz".contains(c) || c == ' ')
        && !unsigned.starts_with("..");
    WORDS.contains(&lower.as_str())
        || looks_numeric && numeric_or_date(unsigned)
        || [".inf", ".nan"].contains(&unsigned)
}

fn numeric_or_date(text: &str) -> bool {
    let digits = text.replace('_', "");
    let radix =
        |prefix: &str, radix| digits.strip_prefix(prefix).is_some_and(|rest| u128::from_str_radix(rest, radix).is_ok());
    let sexagesimal = text.contains(':') && text.split(':').all(|part| part.parse::<f64>().is_ok());
    let date = {
        let mut parts = text.splitn(3, '-');
        let year = parts.next().is_some_and(|year| year.len() == 4 && year.parse::<u16>().is_ok());
        year && parts.next().is_some_and(|month| month.len() <= 2 && month.parse::<u8>().is_ok())
            && parts.next().is_some()
    };
    digits.parse::<f64>().is_ok() || radix("0x", 16) || radix("0o", 8) || radix("0b", 2) || sexagesimal || date
}

fn needs_quotes(text: &str) -> bool {
    let special_start =
        text.starts_with(['!', '&', '*', '{', '}', '[', ']', ',', '#', '|', '>', '@', '`', '"', '\'', '%', ' ', '=']);
    let indicator_start =
        text.starts_with(['-', '?', ':']) && text.get(1..).is_none_or(|rest| rest.is_empty() || rest.starts_with(' '));
    special_start
        || indicator_start
        || text.starts_with("---")
        || text.ends_with([' ', ':'])
        || text.contains(": ")
        || text.contains(" #")
}

#[cfg(test)]
mod tests {
    use super::emit;

    #[test]
    fn strings_that_look_like_something_else_are_quoted() {
        let value = serde_json::json!({
            "n": "1", "date": "2026-11-21T22:58:44.666479749Z", "version": "2.7.2", "uuid": "0359f253-97c5", "empty": "",
            "yes": true, "none": null, "plain": "a:b/c", "mark": "a: b", "dash": "-", "quote": "it's # here", "minus": "-x",
            "exponent": "359e253",
        });
        assert_eq!(
            emit(&value),
            "dash: '-'\ndate: \"2026-11-21T22:58:44.666479749Z\"\nempty: \"\"\nexponent: \"359e253\"\nmark: 'a: b'\nminus: -x\n\"n\": \"1\"\nnone: null\n\
             plain: a:b/c\nquote: 'it''s # here'\nuuid: 0359f253-97c5\nversion: 2.7.2\n\"yes\": true\n"
        );
    }

    #[test]
    fn nests_mappings_sequences_and_blocks() {
        let value = serde_json::json!({"a": {"b": [1, {"c": "x", "d": []}, [2]]}, "m": "line\ntwo", "t": "line\n", "o": {}, "w": "\n x\n\n"});
        assert_eq!(
            emit(&value),
            "a:\n  b:\n  - 1\n  - c: x\n    d: []\n  -\n    - 2\nm: |-\n  line\n  two\no: {}\nt: |\n  line\nw: |2+\n\n   x\n\n"
        );
    }
}
