//! What was locked and what was not, as plain data for the caller to log.

use std::fmt;

/// Whether one lock holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// The lock holds.
    Set,
    /// This process cannot have it on this kernel, or it was given up on purpose; the detail says which.
    Unavailable,
    /// The lock could be had here and is not set; the detail says why and what to do.
    NotSet,
}

/// One lock and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Short stable name, such as `seccomp` or `guarded memory`.
    pub name: &'static str,
    /// Whether it holds.
    pub state: State,
    /// What exactly holds, or why it does not.
    pub detail: String,
}

/// The locks asked for, in the order they were tried.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// One entry a lock.
    pub items: Vec<Item>,
}

impl Report {
    /// The entry called `name`.
    pub fn get(&self, name: &str) -> Option<&Item> {
        self.items.iter().find(|item| item.name == name)
    }

    /// True if no lock that could be had is missing.
    pub fn complete(&self) -> bool {
        self.items.iter().all(|item| item.state != State::NotSet)
    }

    /// Adds the entries of `other` at the end.
    pub fn append(&mut self, other: Report) {
        self.items.extend(other.items);
    }

    pub(crate) fn add(&mut self, name: &'static str, state: State, detail: impl Into<String>) {
        self.items.push(Item { name, state, detail: detail.into() });
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            State::Set => "set",
            State::Unavailable => "unavailable",
            State::NotSet => "not set",
        })
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.name, self.state, self.detail)
    }
}

/// One line an item.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (line, item) in self.items.iter().enumerate() {
            if line > 0 {
                f.write_str("\n")?;
            }
            item.fmt(f)?;
        }
        Ok(())
    }
}
