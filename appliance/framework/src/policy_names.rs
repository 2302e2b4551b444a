//! The names of a token's policies, and what is worked out of them once for all of its requests.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

/// Names of policies, sorted. A clone shares them, and nothing that is done at each request takes time in proportion to their
/// number: a token may have thousands.
#[derive(Clone, Default)]
pub struct PolicyNames(Arc<Inner>);

#[derive(Default)]
struct Inner {
    names: Vec<String>,
    hash: u64,
    recorded: OnceLock<Recorded>,
}

/// The names as the audit log shows them.
#[derive(Debug)]
pub struct Recorded {
    /// The list.
    pub list: Vec<u8>,
    /// What clients with just these policies are counted under.
    pub client_id: String,
}

impl PolicyNames {
    /// The form of the audit log, which `make` finds out the first time.
    pub fn recorded(&self, make: impl FnOnce(&[String]) -> Recorded) -> &Recorded {
        self.0.recorded.get_or_init(|| make(self))
    }
}

impl From<Vec<String>> for PolicyNames {
    fn from(names: Vec<String>) -> Self {
        let mut hasher = DefaultHasher::new();
        names.hash(&mut hasher);
        Self(Arc::new(Inner { names, hash: hasher.finish(), recorded: OnceLock::new() }))
    }
}

impl Deref for PolicyNames {
    type Target = [String];

    fn deref(&self) -> &[String] {
        &self.0.names
    }
}

impl PartialEq for PolicyNames {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || (self.0.hash == other.0.hash && self.0.names == other.0.names)
    }
}

impl Eq for PolicyNames {}

impl Hash for PolicyNames {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0.hash);
    }
}

impl fmt::Debug for PolicyNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.names.fmt(f)
    }
}
