//! Names of stored records: segments joined by `/`.

use std::fmt;

use crate::Error;

/// The most bytes a key may have. Longer request paths are refused with a message.
const LONGEST_KEY: usize = 2048;

/// The name of one record: one or more non-empty segments joined by `/`; no `.` or `..` segment, no control character.
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Key(String);

/// The name of a folder of records: empty (the root), or a key followed by `/`.
#[derive(Clone, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Prefix(String);

impl Key {
    /// Checks and takes a name. The caller may be hostile: every rule of the type is checked here and nowhere else.
    pub fn new(name: impl Into<String>) -> Result<Self, Error> {
        let name = name.into();
        check(&name)?;
        Ok(Self(name))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The folder this record lies in, and its last segment.
    pub fn split(&self) -> (&str, &str) {
        match self.0.rfind('/') {
            Some(at) => (self.0.get(..=at).unwrap_or_default(), self.0.get(at + 1..).unwrap_or_default()),
            None => ("", &self.0),
        }
    }

    /// The segments, in order.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }
}

impl Prefix {
    /// The folder that holds everything.
    pub fn root() -> Self {
        Self::default()
    }

    /// Checks and takes a folder's name, with or without its final `/`. Empty is the root.
    pub fn new(name: impl Into<String>) -> Result<Self, Error> {
        let mut name = name.into();
        if name.ends_with('/') {
            name.pop();
        }
        if name.is_empty() {
            return Ok(Self::root());
        }
        check(&name)?;
        name.push('/');
        Ok(Self(name))
    }

    /// The name as text: empty, or ending in `/`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The record `name` inside this folder.
    pub fn key(&self, name: &str) -> Result<Key, Error> {
        let mut full = String::with_capacity(self.0.len() + name.len());
        full.push_str(&self.0);
        full.push_str(name);
        Key::new(full)
    }

    /// The folder `name` inside this folder.
    pub fn folder(&self, name: &str) -> Result<Self, Error> {
        let mut full = String::with_capacity(self.0.len() + name.len() + 1);
        full.push_str(&self.0);
        full.push_str(name);
        Self::new(full)
    }

    /// The segments, in order; none for the root.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.0.split_terminator('/')
    }
}

fn check(name: &str) -> Result<(), Error> {
    if name.len() > LONGEST_KEY {
        return Err(Error::invalid(format!("path is longer than {LONGEST_KEY} bytes")));
    }
    if name.chars().any(char::is_control) {
        return Err(Error::invalid("path holds a control character"));
    }
    for segment in name.split('/') {
        if segment.is_empty() {
            return Err(Error::invalid("path holds an empty segment"));
        }
        if segment == "." || segment == ".." {
            return Err(Error::invalid("path cannot contain parent references"));
        }
    }
    Ok(())
}

// A path names what a secret is for; like the disk, the log does not show it.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Prefix(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_are_refused() {
        for bad in ["", "/", "a//b", "/a", "a/", "a/../b", ".", "..", "a\0b", "a\nb"] {
            assert!(Key::new(bad).is_err(), "{bad:?}");
        }
        assert!(Key::new("x".repeat(LONGEST_KEY + 1)).is_err());
        assert!(Key::new("a/b c/ü.d/...").is_ok());
    }

    #[test]
    fn folders_and_keys_fit_together() {
        let folder = Prefix::new("a/b").unwrap();
        assert_eq!(folder.as_str(), "a/b/");
        assert_eq!(folder.key("c/d").unwrap().split(), ("a/b/c/", "d"));
        assert_eq!(Prefix::root().key("x").unwrap().split(), ("", "x"));
        assert_eq!(Prefix::root().segments().count(), 0);
    }
}
