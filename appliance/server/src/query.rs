//! The query string, or a body in the same form (`application/x-www-form-urlencoded`).

use framework::{Error, Json, Map};

use crate::target::percent_decode;

/// What a query string says.
#[derive(Debug, Default)]
pub(crate) struct Query {
    /// Fields; one that is given several times is a list.
    pub(crate) fields: Map<String, Json>,
    /// `help` is there and not empty.
    pub(crate) help: bool,
    /// `list` is true.
    pub(crate) list: bool,
}

/// Reads a query string. `help` and `list` are the protocol's own and not among the fields.
pub(crate) fn parse(text: &str) -> Result<Query, Error> {
    let mut query = Query::default();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (decode(name)?, decode(value)?);
        match name.as_str() {
            "help" => query.help |= !value.is_empty(),
            "list" => query.list |= boolean(&value)?,
            _ => add(&mut query.fields, name, value),
        }
    }
    Ok(query)
}

/// Reads a form: no name has a meaning of its own.
pub(crate) fn form(text: &str) -> Result<Map<String, Json>, Error> {
    let mut fields = Map::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        add(&mut fields, decode(name)?, decode(value)?);
    }
    Ok(fields)
}

fn add(fields: &mut Map<String, Json>, name: String, value: String) {
    let value = Json::String(value);
    match fields.get_mut(&name) {
        None => {
            fields.insert(name, value);
        }
        Some(Json::Array(values)) => values.push(value),
        Some(first) => *first = Json::Array(vec![first.take(), value]),
    }
}

fn decode(text: &str) -> Result<String, Error> {
    percent_decode(text, true)
        .and_then(|bytes| String::from_utf8(bytes.into_owned()).ok())
        .ok_or_else(|| Error::invalid("query holds a malformed percent-encoding or is not valid UTF-8"))
}

/// As Go's `strconv.ParseBool`; empty is false.
fn boolean(text: &str) -> Result<bool, Error> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "" | "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(Error::field("list", "error parsing query parameter \"list\": expected true or false")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_text_and_repeated_ones_are_lists() {
        let query = parse("version=2&tag=a&tag=b%26+c&&empty=&flag&list=1&help=1").unwrap();
        let expected = r#"{"empty":"","flag":"","tag":["a","b& c"],"version":"2"}"#;
        assert_eq!(Json::Object(query.fields).to_string(), expected);
        assert!(query.list && query.help);
        let form = form("list=x&help=y").unwrap();
        assert_eq!(Json::Object(form).to_string(), r#"{"help":"y","list":"x"}"#);
    }

    #[test]
    fn what_is_malformed_is_refused() {
        for bad in ["a=%z1", "a=%ff", "%=1", "list=maybe"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
