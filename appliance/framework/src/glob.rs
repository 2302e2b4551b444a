//! Patterns in which `*` stands for any text.

/// Whether `text` fits `pattern`. There is no escape: a `*` in a pattern is always a wildcard.
pub fn fits(pattern: &str, text: &str) -> bool {
    let Some((head, tail)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut rest) = text.strip_prefix(head) else { return false };
    let Some((middle, end)) = tail.rsplit_once('*') else { return rest.ends_with(tail) };
    // The leftmost place for each part leaves the most for those that follow.
    for part in middle.split('*').filter(|part| !part.is_empty()) {
        let Some(at) = rest.find(part) else { return false };
        rest = rest.get(at + part.len()..).unwrap_or_default();
    }
    rest.ends_with(end)
}

/// Whether any of the patterns fits any of the texts; no patterns fit everything.
pub fn any_fits(patterns: &[String], texts: &[String]) -> bool {
    patterns.is_empty() || patterns.iter().any(|pattern| texts.iter().any(|text| fits(pattern, text)))
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn stars_stand_for_any_text() {
        for (pattern, text) in [
            ("a", "a"),
            ("*", ""),
            ("*", "x"),
            ("a*", "a"),
            ("*a", "ba"),
            ("a*c", "abc"),
            ("a*c", "abbc"),
            ("a*b*c", "a1b2b3c"),
            ("a*b*c", "aXbYc"),
            ("**", "x"),
            ("a*a", "aa"),
        ] {
            assert!(fits(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [
            ("a", "b"),
            ("a", "ab"),
            ("a*b*c", "acb"),
            ("*b*b*", "abc"),
            ("", "a"),
            ("a*a", "a"),
            ("a*b*c", "ac"),
            ("*b*", "ac"),
            ("a*b*b", "ab"),
            ("*a", "ab"),
        ] {
            assert!(!fits(pattern, text), "{pattern} {text}");
        }
    }
}
