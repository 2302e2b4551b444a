//! The path of a request target, decoded.

use std::borrow::Cow;

use framework::Error;

/// Decodes the part of a target behind `/v1/`, once: `%2561` is `%61`.
///
/// A path that no mount could ever hold is not refused here: it comes back with its fault, so that it walks the corridor
/// as a request to nowhere and is recorded.
pub(crate) fn path(raw: &str) -> (String, Option<Error>) {
    let Some(bytes) = percent_decode(raw, false) else {
        return (raw.to_owned(), Some(Error::invalid("path holds a malformed percent-encoding")));
    };
    let path = match String::from_utf8(bytes.into_owned()) {
        Ok(path) => path,
        Err(bad) => {
            let lossy = String::from_utf8_lossy(bad.as_bytes()).into_owned();
            return (lossy, Some(Error::invalid("path is not valid UTF-8")));
        }
    };
    let fault = fault(&path).map(Error::invalid);
    (path, fault)
}

fn fault(path: &str) -> Option<&'static str> {
    if path.chars().any(char::is_control) {
        return Some("path holds a control character");
    }
    if path.starts_with('/') || path.contains("//") {
        return Some("path holds an empty segment");
    }
    if path.split('/').any(|segment| segment == "." || segment == "..") {
        return Some("relative paths not supported");
    }
    None
}

/// Resolves `%XX`, and `+` where it stands for a blank. `None` if an escape is malformed.
pub(crate) fn percent_decode(text: &str, plus: bool) -> Option<Cow<'_, [u8]>> {
    let bytes = text.as_bytes();
    if !bytes.iter().any(|&byte| byte == b'%' || (plus && byte == b'+')) {
        return Some(Cow::Borrowed(bytes));
    }
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut rest = bytes.iter();
    while let Some(&byte) = rest.next() {
        decoded.push(match byte {
            b'%' => {
                let mut digit = || rest.next().and_then(|&byte| char::from(byte).to_digit(16));
                u8::try_from(digit()? << 4 | digit()?).ok()?
            }
            b'+' if plus => b' ',
            _ => byte,
        });
    }
    Some(Cow::Owned(decoded))
}

#[cfg(test)]
mod tests {
    #[test]
    fn decodes_once() {
        for (raw, path) in [
            ("secret/data/a%2fb", "secret/data/a/b"),
            ("a%2561", "a%61"),
            ("a+b/", "a+b/"),
            ("%C3%BC/...", "ü/..."),
            ("", ""),
        ] {
            let (decoded, fault) = super::path(raw);
            assert_eq!((decoded.as_str(), fault.is_none()), (path, true), "{raw}");
        }
    }

    #[test]
    fn tricks_are_faults() {
        let tricks = [
            "a/../b",
            "..",
            "a/%2e%2e/b",
            "a/./b",
            "a//b",
            "/a",
            "a%2f%2fb",
            "a%00b",
            "a%0ab",
            "a%7f",
            "a%ff",
            "a%zz",
            "a%2",
            "a%+1",
        ];
        for raw in tricks {
            assert!(super::path(raw).1.is_some(), "{raw}");
        }
    }
}
