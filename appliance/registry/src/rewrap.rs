//! How far giving every record its due form has come: `sys/sealwrap/rewrap`.

use framework::{Error, Key, Timestamp, View};
use serde::{Deserialize, Serialize};

use crate::names;

/// The last full rewrap, or the one under way. It is a record, so that it goes on after a restart where it was.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct Rewrap {
    /// Whether it is under way.
    pub running: bool,
    /// When it began, in nanoseconds since 1970; 0 if there never was one.
    pub started: i64,
    /// When it came to its end; 0 before.
    pub finished: i64,
    /// Records that there were when it began; 0 until they are counted.
    pub total: u64,
    /// Records that were looked at.
    pub processed: u64,
    /// Those of them that were written anew.
    pub changed: u64,
    /// Those of them that could not be opened; the log names their places.
    pub failed: u64,
    /// Most records in a second; 0 for no limit.
    pub throttle: u32,
    /// Where on the disk the last one of them lies.
    position: Option<String>,
}

/// What a portion of a rewrap did.
#[derive(Clone, Debug, Default)]
pub struct Portion {
    /// Records that were looked at.
    pub processed: u64,
    /// Those that were written anew.
    pub changed: u64,
    /// Those that could not be opened.
    pub failed: u64,
    /// Where the last one lies; `None` if there are none left.
    pub position: Option<Key>,
}

impl Rewrap {
    /// As it is now. `view` is rooted at the whole store.
    pub fn read(view: &View<'_>) -> Result<Self, Error> {
        Ok(names::read(view, names::REWRAP)?.unwrap_or_default())
    }

    /// Stages it.
    pub fn write(&self, view: &View<'_>) -> Result<(), Error> {
        names::write(view, names::REWRAP, self)
    }

    /// One from the beginning.
    pub fn start(throttle: u32, now: Timestamp) -> Self {
        Self { running: true, started: now.nanos(), throttle, ..Self::default() }
    }

    /// Where the record lies behind which it goes on; `None` at the beginning.
    pub fn position(&self) -> Result<Option<Key>, Error> {
        self.position.as_deref().map(Key::new).transpose()
    }

    /// After a portion that was done at `now`.
    pub fn advance(&mut self, portion: &Portion, now: Timestamp) {
        self.processed += portion.processed;
        self.changed += portion.changed;
        self.failed += portion.failed;
        match &portion.position {
            Some(position) => self.position = Some(position.as_str().to_owned()),
            None => {
                self.running = false;
                self.finished = now.nanos();
            }
        }
    }
}
