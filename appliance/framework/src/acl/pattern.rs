//! What a rule's path matches, and how it ranks among rules that match the same path.

use std::cmp::Reverse;

use super::template::Rendered;

/// The path of a rule.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    /// As the policy has it, templates filled in, without a `*` at the end.
    pub(super) text: Box<str>,
    /// Whether the text is only how the path must begin.
    pub(super) glob: bool,
    /// What Vault calls a segment wildcard path.
    pub(super) segmented: bool,
    /// Where in the text the `+` stand that are whole segments.
    wildcards: Vec<usize>,
    first_wildcard: usize,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Piece<'p> {
    /// Bytes to be matched as they stand.
    Literal(&'p str),
    /// One segment, which may be empty.
    Segment,
}

/// Which of two rules that match the same path counts: the greater.
#[derive(Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Rank<'p> {
    exact: bool,
    first_wildcard: usize,
    whole: bool,
    wildcards: Reverse<usize>,
    length: usize,
    text: &'p str,
}

impl Pattern {
    pub(super) fn new(path: Rendered) -> Self {
        let Rendered { mut text, filled } = path;
        let written = |at: usize| !filled.iter().any(|range| range.contains(&at));
        let glob = text.ends_with('*') && written(text.len() - 1);
        if glob {
            text.pop();
        }
        let bytes = text.as_bytes();
        let bounds = |at: usize| bytes.get(at).is_none_or(|&byte| byte == b'/');
        let begins_segment = |at: usize| at.checked_sub(1).is_none_or(bounds);
        let plus: Vec<usize> = text.match_indices('+').map(|(at, _)| at).filter(|&at| written(at)).collect();
        let wildcards: Vec<usize> = plus.iter().copied().filter(|&at| begins_segment(at) && bounds(at + 1)).collect();
        // Vault takes any `+` after a slash for a sign that the path is segmented, also one that begins a longer segment;
        // and then it takes the first `+` anywhere in the path for the first wildcard.
        let segmented = !wildcards.is_empty() || plus.iter().any(|&at| at > 0 && begins_segment(at));
        let first_wildcard = plus.first().copied().filter(|_| segmented).unwrap_or(text.len());
        Self { text: text.into(), glob, segmented, wildcards, first_wildcard }
    }

    /// Whether the path is named exactly; such a rule beats all others.
    pub(super) fn exact(&self) -> bool {
        !self.glob && !self.segmented
    }

    pub(super) fn rank(&self) -> Rank<'_> {
        Rank {
            exact: self.exact(),
            first_wildcard: self.first_wildcard,
            whole: !self.glob,
            wildcards: Reverse(self.wildcards.len()),
            length: self.text.len(),
            text: &self.text,
        }
    }

    pub(super) fn pieces(&self) -> impl Iterator<Item = Piece<'_>> {
        let starts = std::iter::once(0).chain(self.wildcards.iter().map(|at| at + 1));
        let ends = self.wildcards.iter().copied().map(Some).chain([None]);
        starts.zip(ends).flat_map(|(start, end)| {
            let literal = self.text.get(start..end.unwrap_or(self.text.len())).filter(|text| !text.is_empty());
            literal.map(Piece::Literal).into_iter().chain(end.map(|_| Piece::Segment))
        })
    }

    /// Whether a path that begins with `mount`, and is not covered by a rule on `mount` itself, could match.
    pub(super) fn reaches(&self, mount: &str) -> bool {
        if !self.segmented {
            return self.text.starts_with(mount);
        }
        let mut rest = mount;
        for piece in self.pieces() {
            if rest.is_empty() {
                return true;
            }
            rest = match piece {
                Piece::Literal(text) => match rest.strip_prefix(text) {
                    Some(after) => after,
                    None => return text.starts_with(rest),
                },
                Piece::Segment => rest.find('/').and_then(|end| rest.get(end..)).unwrap_or_default(),
            };
        }
        rest.is_empty() || self.glob
    }
}
