//! How often a data key was used, across restarts.
//!
//! The number on the disk runs ahead of the true one. A batch that comes near it carries the next, so counting costs no
//! write of its own; and since a batch is far smaller than what is left then, the number on the disk is never too small.

use std::sync::atomic::{AtomicU64, Ordering};

use framework::Error;

/// Name of the record beside the keyring.
pub(crate) const RECORD: &str = "encryptions";

/// How far the number on the disk runs ahead when it is written, and so by how much a restart may overstate it.
const AHEAD: u64 = 8192;
/// With fewer left, the next number is written: more than all batches under way encrypt.
const NEAR: u64 = AHEAD / 2;

/// Uses of one data key. Shared by every reading of the keyring in this process.
#[derive(Debug, Default)]
pub(crate) struct Uses {
    count: AtomicU64,
    /// The number on the disk, or on its way there.
    reserved: AtomicU64,
}

impl Uses {
    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    pub(crate) fn add_one(&self) {
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    /// The number that the present batch has to write, if it is its turn.
    pub(crate) fn due(&self) -> Option<u64> {
        let (count, reserved) = (self.count(), self.reserved.load(Ordering::Relaxed));
        if count + NEAR <= reserved {
            return None;
        }
        let next = count + AHEAD;
        // Of several batches at once, one writes it.
        self.reserved.compare_exchange(reserved, next, Ordering::Relaxed, Ordering::Relaxed).ok().map(|_| next)
    }

    /// The batch that should have written a number failed: the next one does.
    pub(crate) fn lost(&self) {
        self.reserved.store(0, Ordering::Relaxed);
    }

    /// Goes on from what [`encode`] wrote for `term`. A number of another term was written at the same time as the keyring
    /// was rotated: the true one is less than what a new term reserves.
    pub(crate) fn resume(&self, term: u32, record: &[u8]) -> Result<(), Error> {
        let malformed = || Error::internal("the record of encryptions is malformed");
        let (of, count) = record.split_first_chunk::<4>().ok_or_else(malformed)?;
        let count = u64::from_be_bytes(count.try_into().map_err(|_| malformed())?);
        self.count.store(if u32::from_be_bytes(*of) == term { count } else { AHEAD }, Ordering::Relaxed);
        Ok(())
    }
}

/// Term (u32) and number (u64), big-endian.
pub(crate) fn encode(term: u32, number: u64) -> Vec<u8> {
    [&term.to_be_bytes()[..], &number.to_be_bytes()[..]].concat()
}
