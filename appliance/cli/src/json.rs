//! JSON as the reference client prints it: two spaces, `<`, `>` and `&` escaped, and the keys that matter first.

use serde_json::{Map, Value};

/// Pretty JSON without a final line end. Keys named in `order` come first in their object, in that order; the others
/// follow by name. An entry of `order` is a path from the top, with `.` between keys and `*` for any key.
pub(crate) fn pretty(value: &Value, order: &[&str]) -> String {
    let mut text = String::new();
    write_at(&mut text, value, order, &mut Vec::new(), 0);
    text
}

/// JSON text of one string, quotes included.
pub(crate) fn quoted(text: &str) -> String {
    let plain = Value::String(text.to_owned()).to_string();
    let mut escaped = String::with_capacity(plain.len());
    for c in plain.chars() {
        match c {
            '<' => escaped.push_str("\\u003c"),
            '>' => escaped.push_str("\\u003e"),
            '&' => escaped.push_str("\\u0026"),
            '\u{2028}' => escaped.push_str("\\u2028"),
            '\u{2029}' => escaped.push_str("\\u2029"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// The entries of an object by name.
pub(crate) fn sorted(object: &Map<String, Value>) -> Vec<(&String, &Value)> {
    let mut entries: Vec<_> = object.iter().collect();
    entries.sort_by_key(|(name, _)| *name);
    entries
}

/// Adds to an object the keys of `defaults` that it lacks, so that scripts find them whatever the server left out.
pub(crate) fn fill(value: &mut Value, defaults: &Value) {
    if let (Some(object), Some(defaults)) = (value.as_object_mut(), defaults.as_object()) {
        for (name, default) in defaults {
            object.entry(name.clone()).or_insert_with(|| default.clone());
        }
    }
}

/// Where the key `name` of the object at `path` stands among the keys that come first.
fn rank(order: &[&str], path: &[&str], name: &str) -> usize {
    let matches = |pattern: &&str| {
        let parts = pattern.split('.');
        parts.clone().count() == path.len() + 1
            && parts.zip(path.iter().copied().chain([name])).all(|(part, key)| part == "*" || part == key)
    };
    order.iter().position(matches).unwrap_or(order.len())
}

fn write_at<'v>(text: &mut String, value: &'v Value, order: &[&str], path: &mut Vec<&'v str>, depth: usize) {
    match value {
        Value::Array(items) if !items.is_empty() => {
            text.push('[');
            path.push("[]");
            for (index, item) in items.iter().enumerate() {
                separate(text, index, depth + 1);
                write_at(text, item, order, path, depth + 1);
            }
            path.pop();
            separate(text, 0, depth);
            text.push(']');
        }
        Value::Object(object) if !object.is_empty() => {
            text.push('{');
            let mut entries = sorted(object);
            entries.sort_by_key(|(name, _)| rank(order, path, name));
            for (index, (name, item)) in entries.into_iter().enumerate() {
                separate(text, index, depth + 1);
                text.push_str(&quoted(name));
                text.push_str(": ");
                path.push(name);
                write_at(text, item, order, path, depth + 1);
                path.pop();
            }
            separate(text, 0, depth);
            text.push('}');
        }
        Value::String(plain) => text.push_str(&quoted(plain)),
        other => text.push_str(&other.to_string()),
    }
}

fn separate(text: &mut String, index: usize, depth: usize) {
    text.push_str(if index == 0 { "\n" } else { ",\n" });
    for _ in 0..depth {
        text.push_str("  ");
    }
}

#[cfg(test)]
mod tests {
    use super::pretty;

    #[test]
    fn known_keys_come_first_numbers_stay_as_sent_and_html_is_escaped() {
        let value = serde_json::from_str(
            r#"{"a":"<&>","z":[],"n":2.50,"big":12345678901234567890,"o":{"z":null,"a":1,"b":2}}"#,
        )
        .unwrap();
        let expected = "{\n  \"z\": [],\n  \"a\": \"\\u003c\\u0026\\u003e\",\n  \"big\": 12345678901234567890,\n  \"n\": 2.50,\n  \"o\": {\n    \"b\": 2,\n    \"a\": 1,\n    \"z\": null\n  }\n}";
        assert_eq!(pretty(&value, &["z", "*.b"]), expected);
    }
}
