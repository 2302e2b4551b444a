//! Names of users, roles and certificates.

use framework::Error;

/// A name as Vault takes it, in lower case: letters, digits and `_`, inside also `-` and `.`.
/// [`Error::NoRoute`] for others, since Vault's patterns do not know such a path.
pub(crate) fn lower(name: &str) -> Result<String, Error> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let whole = name.chars().all(|c| word(c) || matches!(c, '-' | '.'));
    if whole && name.starts_with(word) && name.ends_with(word) {
        return Ok(name.to_ascii_lowercase());
    }
    Err(Error::NoRoute { message: "unsupported path".to_owned() })
}

#[cfg(test)]
mod tests {
    use super::lower;

    #[test]
    fn names_are_vaults() {
        assert_eq!(lower("Bob.b-1_").unwrap(), "bob.b-1_");
        for bad in ["", ".", "..", ".a", "a.", "-", "a b", "a/b", "a@b", "ä", "a\n"] {
            assert!(lower(bad).is_err(), "{bad:?}");
        }
    }
}
