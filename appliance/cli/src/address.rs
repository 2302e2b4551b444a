//! Where the server is, and the URLs below it.

use ureq::http::Uri;

use crate::failure::Failure;

/// The parsed address of a server: scheme, authority, and a path in front of `/v1`, if any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) scheme: String,
    pub(crate) authority: String,
    prefix: String,
}

impl Address {
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        let wrong = |problem: &str| Failure::local(format!("invalid address {text:?}: {problem}"));
        let uri: Uri = text.trim().parse().map_err(|_| wrong("must look like https://vault.example.com:8200"))?;
        let scheme = uri.scheme_str().ok_or_else(|| wrong("must start with https:// or http://"))?;
        if !["https", "http"].contains(&scheme) {
            return Err(wrong("must start with https:// or http://"));
        }
        let authority = uri.authority().ok_or_else(|| wrong("names no host"))?;
        if authority.as_str().contains('@') {
            return Err(wrong("must not hold a user name or password"));
        }
        Ok(Self {
            scheme: scheme.to_owned(),
            authority: authority.as_str().to_owned(),
            prefix: uri.path().trim_end_matches('/').to_owned(),
        })
    }

    /// The URL of an API path such as `v1/secret/data/a b`, as text for people and for the request alike.
    /// Empty and `.` segments fall away and `..` takes one back, so that what is shown is what the server sees.
    pub(crate) fn url(&self, path: &str, query: &[(String, String)]) -> String {
        let mut segments: Vec<&str> = Vec::new();
        for segment in path.split('/') {
            match segment {
                "" | "." => {}
                ".." => {
                    segments.pop();
                }
                other => segments.push(other),
            }
        }
        let mut url = format!("{}://{}{}", self.scheme, self.authority, self.prefix);
        for segment in segments {
            url.push('/');
            escape(&mut url, segment, b"$&+,:;=@-_.~");
        }
        for (index, (name, value)) in query.iter().enumerate() {
            url.push(if index == 0 { '?' } else { '&' });
            escape(&mut url, name, b"-_.~");
            url.push('=');
            escape(&mut url, value, b"-_.~");
        }
        url
    }
}

/// Percent-encodes everything but letters, digits and `kept` (RFC 3986 section 2).
fn escape(url: &mut String, text: &str, kept: &[u8]) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || kept.contains(&byte) {
            url.push(char::from(byte));
        } else {
            url.push_str(&format!("%{byte:02X}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Address;

    #[test]
    fn urls_are_escaped_and_cleaned() {
        let address = Address::parse("https://host:8200/base/").unwrap();
        let query = [("list".to_owned(), "true".to_owned()), ("after".to_owned(), "a b&".to_owned())];
        assert_eq!(
            address.url("v1//secret/./x/../é?#/a:b@", &query),
            "https://host:8200/base/v1/secret/%C3%A9%3F%23/a:b@?list=true&after=a%20b%26"
        );
    }

    #[test]
    fn only_plain_http_addresses_are_taken() {
        for text in ["", "host:8200", "unix:///run/x", "ftp://host", "https://user:password@host", "https://"] {
            assert!(Address::parse(text).is_err(), "{text}");
        }
    }
}
