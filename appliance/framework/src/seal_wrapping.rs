//! What is known of seal wrap as a whole: which records are wrapped, by which key, and which should be.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::{Error, KeyId};

/// Keys of the core that the seal wraps whatever the mounts ask for. The keyring, which lies beside the barrier, is another,
/// and so are root tokens.
pub const CRITICAL: &[&str] = &["core/token-key", "core/recovery-key", "core/unseal-key"];

/// How the records of one prefix lie on the disk.
#[derive(Clone, Debug, Default)]
pub struct CoverageRow {
    /// The path of the mount; empty for records of none, such as those of a mount that is being removed.
    pub mount: String,
    /// Relative to the mount's folder.
    pub prefix: String,
    /// Whether the seal should wrap them.
    pub critical: bool,
    /// Wrapped by the keys in use, by each of them.
    pub wrapped: u64,
    /// Wrapped by other keys, or not by all of those in use: by their ids, joined by `+`.
    pub by_other_keys: BTreeMap<String, u64>,
    /// Under the barrier alone.
    pub unwrapped: u64,
    /// Altered, of an unknown format, or under a key that the seal does not have.
    pub unreadable: u64,
}

impl CoverageRow {
    /// All records of the row.
    pub fn records(&self) -> u64 {
        self.wrapped + self.by_other_keys() + self.unwrapped + self.unreadable
    }

    /// Those wrapped by other keys than those in use.
    pub fn by_other_keys(&self) -> u64 {
        self.by_other_keys.values().sum()
    }
}

/// How every record lies on the disk.
#[derive(Clone, Debug, Default)]
pub struct CoverageReport {
    /// The keys that wrap now; none without a seal that wraps, or with `disable_sealwrap`.
    pub keys: Vec<KeyId>,
    /// The keys that wrap the root key; none where operators hold it in shares.
    pub root_key: Vec<KeyId>,
    /// Each mount's prefixes.
    pub rows: Vec<CoverageRow>,
}

/// Looking at what the seal wraps.
pub trait SealWrapping: Send + Sync {
    /// Reads through the whole store. With `open`, every value is opened too, by the seal where it is wrapped; without, only
    /// its header is read. [`Error::HsmUnavailable`] if that needs an HSM that is out of reach.
    fn coverage(&self, open: bool) -> Result<CoverageReport, Error>;

    /// How long the seals take to wrap a key and to unwrap it again, now. `None` where nothing is wrapped.
    fn probe(&self) -> Result<Option<Duration>, Error>;
}
