//! `key=value` arguments.

use serde_json::{Map, Value};

use crate::console::Console;
use crate::failure::Failure;

/// Collects arguments into an object: `key=value`, `key=@file`, `key=-` (standard input), `@file` and `-` (a whole JSON
/// object). `\@` at the start of a value is a plain `@`. A key given twice becomes a list.
pub(crate) fn parse(arguments: &[String], console: &mut Console<'_>) -> Result<Map<String, Value>, Failure> {
    let mut input = Some(console);
    let mut read_input = || match input.take() {
        Some(console) => console.read_input(),
        None => Err(Failure::local("standard input was already read")),
    };
    let mut object = Map::new();
    for argument in arguments {
        let wrong = |problem: String| {
            // The value may be a secret, so only what stands before the `=` is repeated.
            let shown = argument.split_once('=').map_or(argument.as_str(), |(key, _)| key);
            Failure::local(format!("Failed to parse K=V data: invalid key/value pair {shown:?}: {problem}"))
        };
        let whole = match argument.as_str() {
            "-" => Some(read_input()?),
            other => match other.strip_prefix('@') {
                Some(path) => Some(read_file(path).map_err(wrong)?),
                None => None,
            },
        };
        if let Some(text) = whole {
            let parsed: Map<String, Value> = serde_json::from_str(&text).map_err(|error| {
                wrong(format!("not a JSON object (line {}, column {})", error.line(), error.column()))
            })?;
            object.extend(parsed);
            continue;
        }
        let Some((key, value)) = argument.split_once('=') else {
            return Err(wrong("format must be key=value".to_owned()));
        };
        let value = if let Some(path) = value.strip_prefix('@') {
            read_file(path).map_err(wrong)?
        } else if value == "-" {
            read_input()?
        } else {
            value.strip_prefix('\\').filter(|rest| rest.starts_with('@')).unwrap_or(value).to_owned()
        };
        insert(&mut object, key, Value::String(value));
    }
    Ok(object)
}

/// Like [`parse`], for places that take one text per key.
pub(crate) fn parse_texts(arguments: &[String], console: &mut Console<'_>) -> Result<Map<String, Value>, Failure> {
    let object = parse(arguments, console)?;
    match object.iter().find(|(_, value)| !value.is_string()) {
        Some((key, _)) => Err(Failure::local(format!("Failed to parse K=V data: {key:?} must have one text value"))),
        None => Ok(object),
    }
}

fn insert(object: &mut Map<String, Value>, key: &str, value: Value) {
    match object.get_mut(key) {
        None => {
            object.insert(key.to_owned(), value);
        }
        Some(Value::Array(items)) => items.push(value),
        Some(single) => *single = Value::Array(vec![single.take(), value]),
    }
}

/// The text of a local file.
pub(crate) fn read_file(path: &str) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("error reading file {path}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::parse;
    use crate::console::Console;

    fn run(arguments: &[&str]) -> Result<String, String> {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let parsed = parse(&arguments, &mut Console::new(&mut out, &mut err));
        parsed.map(|object| serde_json::Value::Object(object).to_string()).map_err(|failure| format!("{failure:?}"))
    }

    #[test]
    fn pairs_files_and_repeated_keys() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("v.json");
        std::fs::write(&path, r#"{"n": 1.50}"#).unwrap();
        let whole = format!("@{}", path.display());
        let value = format!("f=@{}", path.display());
        assert_eq!(
            run(&["a=b=c", "e=", r"x=\@y", "l=1", "l=2", "l=3"]).unwrap(),
            r#"{"a":"b=c","e":"","l":["1","2","3"],"x":"@y"}"#
        );
        assert_eq!(run(&[&whole]).unwrap(), r#"{"n":1.50}"#);
        assert_eq!(run(&[&value]).unwrap(), r#"{"f":"{\"n\": 1.50}"}"#);
    }

    #[test]
    fn a_wrong_pair_is_named_without_its_value() {
        let failure = run(&["password=@/nonexistent/hunter2"]).unwrap_err();
        assert!(failure.contains(r#"pair \"password\""#), "{failure}");
        assert!(run(&["plain"]).unwrap_err().contains("format must be key=value"));
    }
}
