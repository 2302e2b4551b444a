//! Capabilities by name and as a set.

use crate::Operation;

/// A set of capabilities. The names and what they mean are Vault's; `scan` is OpenBao's.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Capabilities(u16);

/// In the order in which `sys/internal/ui/resultant-acl` lists them.
const NAMES: [(&str, Capabilities); 10] = [
    ("deny", Capabilities::DENY),
    ("create", Capabilities(1 << 1)),
    ("delete", Capabilities(1 << 2)),
    ("list", Capabilities(1 << 3)),
    ("read", Capabilities(1 << 4)),
    ("sudo", Capabilities::SUDO),
    ("update", Capabilities(1 << 6)),
    ("patch", Capabilities(1 << 7)),
    ("scan", Capabilities(1 << 8)),
    ("recover", Capabilities(1 << 9)),
];

impl Capabilities {
    /// Nothing at all, whatever other policies say about the same path.
    pub const DENY: Self = Self(1);
    /// What root-protected paths want beside the operation's own capability.
    pub const SUDO: Self = Self(1 << 5);

    /// The capability with this name.
    pub fn named(name: &str) -> Option<Self> {
        NAMES.iter().find(|(known, _)| *known == name).map(|(_, capability)| *capability)
    }

    /// What an operation needs.
    pub fn needed_for(operation: Operation) -> Self {
        Self::named(operation.name()).unwrap_or(Self::DENY)
    }

    /// Whether all of `other` are in this set.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether the set grants something.
    pub fn grants(self) -> bool {
        self.0 != 0 && !self.contains(Self::DENY)
    }

    /// Both sets together.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The names in the set: `["deny"]` where it grants nothing.
    pub fn names(self) -> Vec<&'static str> {
        if !self.grants() {
            return vec!["deny"];
        }
        NAMES.iter().filter(|(_, capability)| self.contains(*capability)).map(|(name, _)| *name).collect()
    }
}
