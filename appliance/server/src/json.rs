//! JSON bodies, within bounds.

use framework::{Error, Json, Map};

/// Memory of one parsed value beyond its text: the value, and an allocation of its own.
pub(crate) const VALUE_MEMORY: usize = 64;

/// An upper bound of the number of values in `text`: every value but the first has one of these before it.
///
/// It counts inside strings too, which is what makes it fast.
pub(crate) fn values_at_most(text: &[u8]) -> usize {
    1 + text.iter().filter(|byte| matches!(byte, b',' | b':' | b'[' | b'{')).count()
}

/// Parses a body. Nothing, and `null`, are an object without members; of members with the same name the last one counts.
/// Numbers keep their digits. Nesting is limited to 128 levels.
///
/// # Errors
/// A 400 that shows nothing of the text, which may be secret.
pub(crate) fn parse(text: &[u8], limit: usize) -> Result<Map<String, Json>, Error> {
    let text = text.trim_ascii();
    if text.is_empty() || text == b"null" {
        return Ok(Map::new());
    }
    if text.first() != Some(&b'{') {
        return Err(Error::invalid("failed to parse JSON input: expected an object"));
    }
    // There are never more values than bytes, so an ordinary body is not counted at all.
    if text.len() > limit && values_at_most(text) > limit && values(text) > limit {
        return Err(Error::invalid(format!("failed to parse JSON input: more than {limit} values")));
    }
    serde_json::from_slice(text).map_err(|error| {
        let what = if error.is_eof() { "ends too early" } else { "malformed or nested too deeply" };
        Error::invalid(format!("failed to parse JSON input: {what} at line {} column {}", error.line(), error.column()))
    })
}

/// As [`values_at_most`], without what stands in strings.
fn values(text: &[u8]) -> usize {
    let (mut count, mut quoted, mut escaped) = (1, false, false);
    for &byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = quoted,
            b'"' => quoted = !quoted,
            b',' | b':' | b'[' | b'{' if !quoted => count += 1,
            _ => {}
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Option<String> {
        parse(text.as_bytes(), 6).ok().map(|map| Json::Object(map).to_string())
    }

    #[test]
    fn objects_only_and_numbers_as_written() {
        let number = r#"{"a":1.50,"b":12345678901234567890123,"c":1e+400}"#;
        assert_eq!(
            parse(number.as_bytes(), 100).map(|map| Json::Object(map).to_string()).ok().as_deref(),
            Some(number)
        );
        for nothing in ["", "  ", "null", " null\n", "{}"] {
            assert_eq!(parsed(nothing).as_deref(), Some("{}"), "{nothing:?}");
        }
        for bad in ["[]", "5", "\"a\"", "true", "{", "{\"a\"}", "{}x", "{\"a\":01}", "{\"a\":\"\u{1}\"}", "nul"] {
            assert_eq!(parsed(bad), None, "{bad:?}");
        }
        assert!(parse(b"{\"a\":\"\xff\"}", 100).is_err());
    }

    #[test]
    fn values_and_nesting_are_bounded() {
        assert!(parsed(r#"{"a":[1,2,3]}"#).is_some());
        assert!(parsed(r#"{"a":[1,2,3,4]}"#).is_none());
        assert!(parsed(r#"{"a":",,,[[[{{{\",:"}"#).is_some());
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(5000), "]".repeat(5000));
        assert!(parse(deep.as_bytes(), 100_000).is_err());
    }

    #[test]
    fn an_error_shows_nothing_of_the_body() {
        let Err(error) = parse(br#"{"password":"hunter2" "hunter2"}"#, 100) else { panic!("it parsed") };
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}
